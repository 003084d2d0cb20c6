# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of limits while Redis is away, on one host and on two."""
import contextlib
import json
import signal
import time

import pytest

import client as smtp
from harness import running, wait_until
from ledger import in_parallel, limit, limits, quota, used, wait_used
from redis_server import SERVER, running_redis

pytestmark = pytest.mark.skipif(
    not SERVER, reason="redis-server is not installed")

# The promise is 250 ms; the machine of a test may be busy with others.
PATIENCE = 1.0


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


def send_many(host, count):
    """How many were accepted; nobody waited for Redis."""
    accepted = 0
    with host.login() as client:
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
