# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of bad answer at every step of the upstream, in the clear and
inside TLS: the client gets the reply that is due, in time, and its session goes
on; nothing is delivered that the client was told was not; and in the end no
descriptor and no memory is left behind."""
import contextlib
import os

import pytest

import harness
import sink as upstream
from harness import certificates, private_memory, wait_until

ANSWER_TIME = 1  # of the upstream, seconds
SUCCESS = {"greeting": 220, "starttls": 220, "ehlo": 250, "mail": 250,
           "rcpt": 250, "data": 354, "dot": 250}
STAGES = {"plain": ["greeting", "ehlo", "mail", "rcpt", "data", "dot"],
          "tls": ["starttls", "ehlo", "mail", "rcpt", "data", "dot"]}


def then(data, end):
    def act(connection):
        connection.send(data)
        return end(connection)
    return act


def endless_line(connection):
    connection.send(b"250 ")
    while not connection.sink.stopping.is_set():
        connection.send(b"x" * 4096)
    raise upstream.Gone


# what an upstream says instead of its usual answer, whose code is %d
KINDS = {
    "garbage": lambda code: upstream.raw(b"Hello, who is there?\r\n"),
    "eight bit": lambda code: upstream.raw(b"\xff\xfe%d\xa0ok\r\n" % code),
    "NUL": lambda code: upstream.raw(b"\0%d ok\r\n" % code),
    "long line": lambda code: upstream.raw(
        b"%d %s\r\n" % (code, b"x" * 70000)),
    "endless line": lambda code: endless_line,
    "endless lines": lambda code: upstream.endless(f"{code}-and so on"),
    "disagreeing codes": lambda code: upstream.raw(
        b"%d-ok\r\n550 not so\r\n" % code),
    "code of nobody": lambda code: upstream.raw(b"999 ok\r\n"),
    "half, then closed": lambda code: then(b"%d o" % code, upstream.close()),
    "half, then silence": lambda code: then(b"%d-o" % code, upstream.silent()),
    "silence": lambda code: upstream.silent(),
    "closed": lambda code: upstream.close(),
    "reset": lambda code: upstream.close(reset=True),
}
# nothing whole was said: that is no fault of its SMTP
CUT = {"half, then closed", "half, then silence", "silence", "closed", "reset"}


def due(stage, kind):
    """The replies that the client may get, as the manual says."""
    if stage == "dot":
        return {"451 4.4.2"}
    if stage == "starttls":
        return {"451 4.7.5", "451 4.4.1", "451 4.3.0"}
    return {"451 4.4.1"} if kind in CUT else {"451 4.3.0", "451 4.4.1"}


class Hostile:
    def __init__(self, stack, way):
        self.sink = stack.enter_context(upstream.checked_sink())
        options = {"reply_timeout": f"{ANSWER_TIME}s",
                   "dot_timeout": f"{ANSWER_TIME}s",
                   "connect_timeout": f"{ANSWER_TIME}s"}
        if way == "tls":
            self.sink.tls = certificates().server_context("mx")
            options |= {"tls": "starttls", "tls_name": "mx.example.test",
                        "ca_file": str(certificates().ca)}
        self.way = way
        self.portero = stack.enter_context(harness.running(
            self.sink, upstream=options, session_workers=1))
        self.worker, = self.portero.pids("session")
        self.rest()
        self.descriptors = self.count_descriptors()
        self.memory = private_memory(self.worker)

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.worker}/fd"))

    def rest(self):
        """Without a connection to the upstream, after one message."""
        with self.portero.login() as client:
            assert client.send_message().code == 250
        self.sink.cut()
        wait_until(lambda: not self.sink.open_connections(), 10, "rest")


@pytest.fixture(scope="module", params=["plain", "tls"])
def hostile(request):
    with contextlib.ExitStack() as stack:
        yield Hostile(stack, request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_answers(hostile, kind):
    for stage in STAGES[hostile.way]:
        bad_answer(hostile, stage, kind)
    hostile.rest()
    wait_until(lambda: hostile.count_descriptors() <= hostile.descriptors, 10,
               "descriptors of upstreams closed")
    assert private_memory(hostile.worker) - hostile.memory < 8 << 20


def bad_answer(hostile, stage, kind):
    sink, action = hostile.sink, KINDS[kind](SUCCESS[stage])
    behind_tls = hostile.way == "tls" and stage != "starttls"
    sink.cut()
    wait_until(lambda: not sink.open_connections(), 10, "closed connections")
    delivered = len(sink.messages)
    sink.on(stage, lambda c: action(c) if c.tls or not behind_tls
            else upstream.NORMAL)
    with hostile.portero.login() as client:
        reply, seconds = client.timed(client.send_message)
        assert reply.status in due(stage, kind), (stage, reply)
        # once more after a loss, and a busy machine
        assert seconds < 2 * ANSWER_TIME + 10, (stage, seconds)
        sink.as_usual()
        sink.cut()
        client.expect(250, "RSET")
        again = client.send_message()
        assert again.code == 250, (stage, again)
    assert len(sink.messages) == delivered + 1, stage
