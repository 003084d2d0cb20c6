# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Two hosts, one Redis and fifty connections: what was charged is in the end
what was sent, whoever dies, stands still or is full in the middle of it."""
import contextlib
import json
import random
import statistics
import time

import pytest

import client as smtp
import sink as upstream
from harness import LONG, room, running, wait_until
from ledger import (background, in_parallel, limit, limits, quota, wait_settled,
                    wait_used)
from redis_server import SERVER, running_redis
from test_chaos import Letters, check_letters, killer, send_on, sometimes

pytestmark = pytest.mark.skipif(
    not SERVER, reason="redis-server is not installed")
STORM_S = 30 if LONG else 3
CONNECTIONS = 50


def store(redis, **options):
    return {"plugin": "store_redis", "uri": [redis.uri], "hosts": 2, **options}


@contextlib.contextmanager
def two_hosts(sink, redis, *limits_, store_options=None, **options):
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(running(
            sink, session_workers=2, policy_workers=3,
            **{**quota(*limits_),
               "store": store(redis, **(store_options or {})), **options}))
            for _ in range(2)]
        for host in hosts:
            host.may_crash = True
        yield hosts


@pytest.fixture
def redis():
    """Nothing that it said yes to is lost when it is killed."""
    with running_redis(appendonly="yes", appendfsync="always") as server:
        yield server


def states(host):
    return [e["state"] for e in host.events("store") if "state" in e]


# ---- exactly N ----

def letter(number, recipients, octets):
    return ["MAIL FROM:<ana@example.org>",
            *[f"RCPT TO:<r{i}@example.net>" for i in range(recipients)],
            "DATA", f"Subject: {number}\r\n\r\n".encode() +
            (b"x" * 76 + b"\r\n") * (octets // 78) + b".\r\n"]


# who they are, what their messages are like, which limit it is that ends them
PEOPLE = {"ana": (1, 100, "messages", 40), "bob": (5, 100, "recipients", 90),
          "eve": (1, 4000, "bytes", 120000)}


def test_three_limits_are_exact_on_two_hosts(sink, redis):
    """The upstream refuses a third. A limit of 5 s is never overrun either."""
    sink.on("dot", sometimes(0.33, upstream.reply("451 4.3.0 Not now")))
    limits_ = [limit("hour", "1h", messages=40, recipients=90),
               limit("volume", "10m", bytes="120000"),
               limit("burst", "5s", messages=20)]
    users = {name: "s3cret" for name in PEOPLE}
    with two_hosts(sink, redis, *limits_, users=users,
                   # a store that is slow because the machine is busy is not
                   # what this is about
                   store_options={"on_store_failure": "defer"}) as hosts:
        def work(i):
            name = list(PEOPLE)[i % 3]
            recipients, octets, unit, _ = PEOPLE[name]
            play = [smtp.lockstep, smtp.pipelined][i // 2 % 2]
            ends_at = time.monotonic() + 60
            with hosts[i % 2].login(name, timeout=60) as client:
                while time.monotonic() < ends_at:
                    reply = next((r for r in play(client, letter(
                        f"{name} {i}", recipients, octets)) if r.code >= 400),
                        None)
                    if reply is None or "Not now" in reply.text:
                        continue
                    if "Limit burst" in reply.text:
                        time.sleep(0.3)
                        continue
                    if "Limit" in reply.text and full(name):
                        return
                    time.sleep(0.1)  # what others have under way comes back
                    client.command("RSET")

        def full(name):
            recipients, octets, unit, most = PEOPLE[name]
            least = {"messages": 1, "recipients": recipients,
                     "bytes": octets + 100}[unit]
            with contextlib.suppress(AssertionError):  # away for a moment
                row = limits(hosts[0], name).get(
                    ("volume" if unit == "bytes" else "hour", unit))
                return row and row["open"] == 0 and row["used"] + least > most
            return False
        in_parallel(CONNECTIONS, work, 120)
        for name, (recipients, octets, unit, most) in PEOPLE.items():
            sent = [m for m in sink.messages
                    if m.body.startswith(f"Subject: {name} ".encode())]
            rows = wait_settled(hosts[0], name)
            wait_used(hosts[1], len(sent), "hour", "messages", name)
            wait_used(hosts[1], len(sent) * recipients, "hour", "recipients",
                      name)
            octets = sum(len(m.body) for m in sent)
            assert rows["volume", "bytes"]["used"] == octets
            charged = {"messages": len(sent), "bytes": octets,
                       "recipients": len(sent) * recipients}[unit]
            assert charged <= most
            if unit != "bytes":
                assert charged == most
            times = sorted(m.received_at for m in sent)
            for first, last in zip(times, times[20:]):
                assert last - first > 4.5, "more than 20 in 5 s"


# ---- Redis in trouble, workers dying ----

def trouble(redis, hows):
    """Redis goes away in one of these ways, and comes back, again and again."""
    def run(stopping):
        turn = 0
        while not stopping.is_set():
            how = hows[turn % len(hows)]
            turn += 1
            stopping.wait(random.uniform(0.2, 0.8))
            if how == "paused":
                with redis.paused():
                    stopping.wait(random.uniform(0.1, 0.6))
            elif how == "killed":
                redis.kill()
                stopping.wait(random.uniform(0, 0.5))
                redis.start()
            else:
                redis.ask("CONFIG", "SET", "maxmemory", "1")
                stopping.wait(random.uniform(0.1, 0.6))
                redis.ask("CONFIG", "SET", "maxmemory", "0")
    return run


def is_whole(host):
    """The store is up, and nothing is left to be charged."""
    done = host.ctl("store", "status", "--json")
    lines = {line["name"]: line["value"]
             for line in json.loads(done.stdout)["store"]}
    return lines["state"].startswith("up") and \
        lines["to be charged"] == "0 messages"


@pytest.mark.parametrize("most", [100000, 60])
@pytest.mark.parametrize("deaths", [[], ["session", "policy"]],
                         ids=["all-live", "workers-die"])
def test_the_ledger_balances_through_a_storm(sink, redis, most, deaths):
    sink.on("rcpt", sometimes(0.1, upstream.reply("550 5.1.1 No such user")))
    sink.on("dot", sometimes(0.33, upstream.delay(
        0.02, upstream.reply("451 4.3.0 Not now"))))
    letters = Letters()
    with two_hosts(sink, redis, limit("burst", "1d", messages=most)) as hosts:
        ends_at = time.monotonic() + STORM_S
        with contextlib.ExitStack() as stack:
            stack.enter_context(background(
                trouble(redis, ["paused", "killed", "full"])))
            if deaths:
                for host in hosts:
                    stack.enter_context(background(killer(host, deaths, 0.1)))
            in_parallel(20, lambda i: send_on(
                hosts[i % 2], letters, i, lambda: time.monotonic() < ends_at),
                STORM_S + 60)
        wait_until(lambda: all(is_whole(host) for host in hosts), 20, "whole")
        rows = wait_settled(hosts[0], timeout=20)
        unknown = check_letters(letters, sink.messages)
        used = rows["burst", "messages"]["used"]
        assert len(sink.messages) <= used <= len(sink.messages) + unknown
        assert len(sink.messages) <= most + most // 2
        for host in hosts:
            changes = [s for s in states(host) if s != "charged"]
            assert "away" in changes
            if not deaths:  # who dies may not have said it
                assert changes == ["away", "up"] * (len(changes) // 2)


# ---- nobody waits ----

def test_nobody_waits_for_a_dead_store(sink, redis):
    """One client; the longest of its messages while Redis stands still."""
    took = []
    with two_hosts(sink, redis, limit("burst", "1h", messages=100000)) as hosts:
        with hosts[0].login() as client:
            def send():
                start = time.monotonic()
                replies = smtp.pipelined(client, letter(1, 1, 100))
                assert replies[-1].code == 250
                return time.monotonic() - start
            usual = statistics.median(send() for _ in range(50))
            for _ in range(20 if LONG else 3):
                with redis.paused():
                    took += [send() for _ in range(30)]
                wait_until(lambda: states(hosts[0])[-1] != "away", 15, "up")
    print(f"usual {usual * 1000:.1f} ms, longest {max(took) * 1000:.1f} ms")
    assert max(took) < room(0.25)
