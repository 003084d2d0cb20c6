# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Quotas in Redis: one limit on many hosts."""
import contextlib

import pytest

import client as smtp
from harness import running
from ledger import in_parallel, limit, quota, used, wait_used
from redis_server import SERVER, running_redis

pytestmark = pytest.mark.skipif(
    not SERVER, reason="redis-server is not installed")

LETTER = ["MAIL FROM:<ana@example.org>", "RCPT TO:<bob@example.net>", "DATA",
          b"Subject: test\r\n\r\ntext\r\n.\r\n"]


def store(redis, **options):
    return {"plugin": "store_redis", "uri": [redis.uri],
            "connect_timeout_ms": 2000, "command_timeout_ms": 2000, **options}


def last(replies):
    return next((r for r in replies if r.code >= 400), replies[-1])


@pytest.fixture
def redis():
    with running_redis() as server:
        yield server


def test_n_means_n_on_two_hosts(sink, redis):
    options = {**quota(limit("burst", "30m", messages=60)),
               "store": store(redis)}
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(running(sink, **options))
                 for _ in range(2)]

        def work(i):
            with hosts[i % 2].login(timeout=60) as client:
                play = [smtp.lockstep, smtp.pipelined][i // 2 % 2]
                return [last(play(client, LETTER)).code for _ in range(4)]
        codes = [c for some in in_parallel(40, work) for c in some]
        assert codes.count(250) == len(sink.messages) == 60
        assert codes.count(450) == 100
        for host in hosts:
            wait_used(host, 60, "burst")
        assert hosts[0].ctl("limits", "reset", "ana").returncode == 0
        assert used(hosts[1], "burst") == 0
    # nothing stays for ever
    for key in redis.ask("KEYS", "*"):
        assert redis.ask("TTL", key) > 0, key
