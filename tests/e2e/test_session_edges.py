# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Sessions at their edges: answers that come too late, clients that do not
read or do not stop, ends in the midst of something."""
import base64
import contextlib
import os
import re
import resource
import signal
import socket
import time
from pathlib import Path

import pytest

import sink as upstream
from client import Closed
from harness import IS_ROOT, private_memory, wait_until

MAIL = "MAIL FROM:<ana@example.org>"
RCPT = "RCPT TO:<bob@example.net>"
TEXT = b"Subject: test\r\n\r\ntext\r\n"


def plain(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


# ---- the time is over ----

def test_late_login_does_not_bring_a_session_back(start):
    """The directory answers when the session has been told good-bye."""
    portero = start(login_timeout="1s", auth_timeout="5s")
    with portero.secure() as client:
        pids = portero.kill_role("auth", signal.SIGSTOP)
        client.send(f"AUTH PLAIN {plain('ana', 's3cret')}\r\n".encode())
        assert client.reply().status == "421 4.4.2"
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        with pytest.raises(Closed):
            print(client.reply())
    assert not portero.events("auth", result="ok")


def test_last_reply_is_not_followed_by_a_reset(start):
    """Who still talks when the time for the login is over can read why."""
    portero = start(login_timeout="1s")
    with portero.secure("submission") as client:
        client.socket.settimeout(0.02)
        received = b""
        deadline = time.monotonic() + 5
        while b"421 4.4.2" not in received:
            assert time.monotonic() < deadline
            client.socket.send(b"NOOP\r\n")
            try:
                received += client.socket.recv(65536)
            except TimeoutError:
                pass
        # not read by then, and more is under way: still no reset
        for _ in range(10):
            client.socket.send(b"NOOP\r\n")
            time.sleep(0.02)


def test_login_takes_its_second_from_the_last_word(start):
    """A client that dawdles must not learn how long the check took."""
    portero = start()
    with portero.secure() as client:
        client.expect(334, "AUTH LOGIN")
        client.expect(334, base64.b64encode(b"ana").decode())
        time.sleep(1.2)
        reply, seconds = client.timed(
            client.command, base64.b64encode(b"wrong").decode())
        assert reply.status == "535 5.7.8"
        assert seconds > 0.8


# ---- clients that do not read, or do not stop ----

def test_replies_that_nobody_reads_are_bounded(start):
    portero = start(session_workers=1)
    worker, = portero.pids("session")
    with portero.login() as client:
        client.expect(250, "NOOP")
        before = private_memory(worker)
        block = b"HELP\r\n" * 2000
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(3000):  # would be answered by half a gigabyte
                client.send(block)
        # a sanitizer keeps what was freed for a while
        assert private_memory(worker) - before < 64 << 20
        # and it goes on where it stopped
        client.socket.settimeout(20)
        for _ in range(10000):
            assert client.reply().code == 214


# ---- passwords ----

def holds(pid, secret):
    """Whether a process has these bytes anywhere in its own memory."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if not found or "[v" in line:
                continue
            first, last = (int(x, 16) for x in found.groups())
            if last - first > 1 << 32:
                continue  # a sanitizer's own
            while first < last:
                size = min(last - first, 1 << 22)
                try:
                    if secret in os.pread(memory.fileno(), size, first):
                        return True
                except OSError:
                    break
                first += size - len(secret) if size == 1 << 22 else size
    return False


@pytest.mark.skipif(not IS_ROOT, reason="reads the worker's memory")
def test_no_password_stays_in_a_session_worker(start):
    """However the commands were cut and followed by others."""
    portero = start(session_workers=1, users={"ana": "CANARY-4711-abcdefgh"})
    worker, = portero.pids("session")
    login = f"AUTH PLAIN {plain('ana', 'CANARY-4711-abcdefgh')}\r\n".encode()
    secrets = [b"CANARY-4711", login[20:50]]
    sent = [
        [login],
        [login[:40], login[40:]],
        [login + b"NOOP\r\n"],
        [login[:40], login[40:] + b"NOOP\r\n"],
        [b"NOOP\r\n" + login[:40], login[40:] + b"NOOP\r\nNOOP\r\n"],
        [b"AUTH PLAIN AGFuYQBmYWxzZQ==\r\n" + login],
        [b"AUTH PLAIN AGFuYQBmYWxzZQ==\r\n" + login + b"NOOP\r\nNO", b"OP\r\n"],
    ]
    for pieces in sent:
        with portero.secure() as client:
            for piece in pieces:
                client.send(piece)
                time.sleep(0.05)
            while client.reply().code != 235:
                pass
            assert not any(holds(worker, s) for s in secrets), pieces
    assert not any(holds(worker, s) for s in secrets)


# ---- the end of a generation ----

def test_cut_after_the_dot_is_unknown_and_logged(start, sink):
    """The time to stop is over while the upstream still thinks."""
    portero = start(stop_timeout="1s", session_workers=1)
    sink.on("dot", upstream.silent())
    with portero.login() as client, portero.login("luis", "pa55word") as other:
        client.expect(250, MAIL)
        client.expect(250, RCPT)
        client.expect(354, "DATA")
        client.send(TEXT + b".\r\n")
        other.expect(250, "MAIL FROM:<luis@example.org>")
        wait_until(lambda: sink.attempts and
                   sink.attempts[0].state == "complete")
        portero.process.send_signal(signal.SIGTERM)
        assert client.reply().status == "421 4.3.2"
        assert other.reply().status == "421 4.3.2"
    message = portero.wait_event("message", s=client.greeting.sid)
    assert message["outcome"] == "unknown"
    for one in (client, other):
        assert len(portero.events("session", s=one.greeting.sid)) == 1
    portero.process.wait(10)


# ---- descriptors ----

@pytest.mark.skipif(not IS_ROOT, reason="lowers a limit for good")
def test_idle_clients_leave_descriptors_for_the_upstream(start, sink):
    portero = start(session_workers=1)
    resource.prlimit(portero.process.pid, resource.RLIMIT_NOFILE, (120, 120))
    assert portero.ctl("reload").returncode == 0
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(portero.login())
        crowd = [stack.enter_context(socket.create_connection(
            ("127.0.0.1", portero.ports["submission"]))) for _ in range(130)]
        portero.wait_event("accept")
        assert first.send_message().code == 250
        time.sleep(0.5)
        assert len(portero.events("accept")) == 1
        for one in crowd:
            one.close()
        with portero.login("luis", "pa55word") as client:
            assert client.send_message(sender="luis@example.org").code == 250


# ---- the upstream ----

def test_body_of_a_lost_upstream_is_lost_however_the_client_ends(start, sink):
    portero = start()
    sink.on("body", upstream.close())
    with portero.login() as client:
        client.expect(250, MAIL)
        client.expect(250, RCPT)
        client.expect(354, "DATA")
        client.send(TEXT)
        wait_until(lambda: portero.status()["counters"]["upstream_failed"])
        client.close()
    message = portero.wait_event("message")
    assert message["outcome"] == "lost"


def test_upstream_that_restarts_between_commands_goes_unnoticed(start, sink):
    portero = start()
    with portero.login() as client:
        client.expect(250, MAIL)
        sink.down()
        time.sleep(0.3)
        sink.up()
        client.expect(250, RCPT)
        assert client.data(TEXT + b".\r\n").code == 250
    assert not portero.events("upstream", result="away")


# ---- octets behind DATA ----

@pytest.mark.parametrize("line", ["DATA now", "DATA"])
def test_what_stands_behind_a_data_without_transaction_is_no_command(
        start, sink, line):
    portero = start()
    with portero.login() as client:
        client.expect(250, MAIL)
        if line == "DATA":
            client.expect(250, "RSET")
        client.send(line.encode() + b"\r\nRSET\r\n" + TEXT + b".\r\n")
        assert client.reply().code in (501, 503)
        assert client.is_closed()
