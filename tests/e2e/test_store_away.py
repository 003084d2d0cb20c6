# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of limits while Redis is away, on one host and on two."""
import contextlib
import json
import signal
import time

import pytest

import client as smtp
from harness import room, running, wait_until
from ledger import limit, quota, start_again, wait_used
from redis_server import SERVER, running_redis

pytestmark = pytest.mark.skipif(
    not SERVER, reason="redis-server is not installed")

PATIENCE = room(2)


def letter(sender="ana@example.org"):
    return [f"MAIL FROM:<{sender}>", "RCPT TO:<bob@example.net>", "DATA",
            b"Subject: test\r\n\r\ntext\r\n.\r\n"]


def last(replies):
    return next((r for r in replies if r.code >= 400), replies[-1])


def store(redis, **options):
    return {"plugin": "store_redis", "uri": [redis.uri], **options}


@pytest.fixture
def redis():
    with running_redis() as server:
        yield server


@contextlib.contextmanager
def hosts(sink, redis, *limits_, count=1, **options):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(running(sink, **{
            **quota(*limits_), "store": store(redis, **options)}))
            for _ in range(count)]


def send(client):
    """The answer to a message, and the longest wait of it."""
    start = time.monotonic()
    code = last(smtp.pipelined(client, letter())).code
    return code, time.monotonic() - start


def send_many(host, count, user="ana"):
    """How many were accepted; nobody waited for Redis."""
    accepted = 0
    with host.login(user=user) as client:
        for _ in range(count):
            code, took = send(client)
            assert code in (250, 450, 451), code
            assert took < PATIENCE
            accepted += code == 250
    return accepted


def states(host):
    return [e["state"] for e in host.events("store") if "state" in e]


def wait_state(host, wanted, timeout=15):
    wait_until(lambda: states(host) == wanted, timeout,
               f"{wanted}, not {states(host)}")


@pytest.mark.parametrize("how", ["killed", "paused", "full"])
def test_a_host_goes_on_and_charges_later(sink, redis, how):
    with hosts(sink, redis, limit("burst", "30m", messages=20)) as [host]:
        assert send_many(host, 5) == 5
        if how == "killed":
            redis.kill()
        elif how == "paused":
            redis.signal(signal.SIGSTOP)
        else:
            redis.ask("CONFIG", "SET", "maxmemory", "1")
        assert send_many(host, 20) == 15
        assert states(host) == ["away"]
        if how == "killed":
            redis.start()  # empty
        elif how == "paused":
            redis.signal(signal.SIGCONT)
        else:
            redis.ask("CONFIG", "SET", "maxmemory", "0")
        wait_state(host, ["away", "up", "charged"])
        kept = 0 if how == "killed" else 5
        wait_used(host, kept + 15, "burst")
        assert send_many(host, 10) == 5 - kept
        assert len(sink.messages) == 20 + 5 - kept


def test_the_store_and_its_heaviest_users_are_shown(sink, redis):
    def lines(host):
        done = host.ctl("store", "status", "--json")
        assert done.returncode == 0, done
        return {x["name"]: x["value"] for x in json.loads(done.stdout)["store"]}
    with hosts(sink, redis, limit("burst", "30m", messages=20, recipients=40),
               ) as [host]:
        assert send_many(host, 5) == 5
        wait_used(host, 5, "burst")
        done = host.ctl("limits", "top", "--json")
        rows = json.loads(done.stdout)["limits"]
        assert [(r["person"], r["unit"], r["used"], r["max"]) for r in rows] \
            == [("ana", "messages", 5, 20), ("ana", "recipients", 5, 40)]
        assert "PERSON" in host.ctl("limits", "top").stdout
        up = lines(host)
        assert up["state"].startswith("up since 20")
        assert up["to be charged"] == "0 messages"
        assert float(up["write latency"].split()[0]) < 1000 * PATIENCE
        redis.kill()
        assert send_many(host, 3) == 3
        away = lines(host)
        assert away["state"].startswith("away since 20")
        assert away["to be charged"] == "3 messages"
        assert host.ctl("limits", "top").returncode == 1
        assert host.status()["counters"]["store_outages"] == 1
        assert host.status()["counters"]["store_local"] == 3


def test_defer_and_allow(sink, redis):
    for mode, accepted in (("defer", 0), ("allow", 8)):
        with hosts(sink, redis, limit(mode, "30m", messages=5),
                   on_store_failure=mode) as [host]:
            assert send_many(host, 1) == 1
            with redis.paused():
                assert send_many(host, 8) == accepted
                wait_state(host, ["away"])
            wait_until(lambda: "up" in states(host), 15, "up")
            wait_used(host, 1 + accepted, mode, timeout=15)


def test_what_was_noted_outlives_a_restart(sink, redis):
    with hosts(sink, redis, limit("burst", "30m", messages=20)) as [host]:
        assert send_many(host, 2) == 2
        redis.signal(signal.SIGSTOP)
        assert send_many(host, 3) == 3
        host.stop()
        start_again(host)
        assert send_many(host, 20) == 15
        redis.signal(signal.SIGCONT)
        wait_until(lambda: "charged" in states(host), 15, "charged")
        wait_used(host, 20, "burst", timeout=15)


def test_a_short_question_finds_it_away_too(sink, redis):
    with running(sink, policy_timeout="100ms", **{
            **quota(limit("burst", "30m", messages=20)),
            "store": store(redis)}) as host:
        with redis.paused():
            assert send_many(host, 5) == 5
            wait_state(host, ["away"])


def hear(host, user):
    """A look at the limits tells the host what others have used."""
    with host.login(user=user) as client:
        client.mail("ana@example.org")


def outage(redis, two, user):
    """What each of two hosts lets through while Redis is silent."""
    before = [len(states(host)) for host in two]
    with redis.paused():
        sent = [send_many(host, 20, user) for host in two]
    for host, seen in zip(two, before):
        wait_until(lambda h=host, n=seen: "up" in states(h)[n:] and (
            "charged" in states(h)[n:] or sum(sent) == 0), 20, "up")
    return sent


def test_two_hosts_and_several_outages(sink, redis):
    users = {"ana": "s3cret", "bob": "s3cret"}
    with contextlib.ExitStack() as stack:
        a, b = two = [stack.enter_context(running(sink, users=users, **{
            **quota(limit("burst", "30m", messages=20)),
            "store": store(redis, hosts=2)})) for _ in range(2)]
        # both have heard of 8: together exactly 20, and then nothing more
        assert [send_many(host, 4, "ana") for host in two] == [4, 4]
        hear(a, "ana")
        assert outage(redis, two, "ana") == [6, 6]
        wait_used(a, 20, "burst", timeout=15)
        hear(a, "ana")
        hear(b, "ana")
        assert outage(redis, two, "ana") == [0, 0]
        wait_used(a, 20, "burst")
        # the worst that the manual states: all of it by one host, and the
        # other one has never heard of bob
        assert send_many(a, 21, "bob") == 20
        for expected in [0, 10], [0, 0], [0, 0]:
            assert outage(redis, two, "bob") == expected
            wait_used(a, 30, "burst", person="bob", timeout=15)
        assert len(sink.messages) == 50
