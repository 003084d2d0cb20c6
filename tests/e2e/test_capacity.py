# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Many connections, large messages, few descriptors: what is there goes on,
who comes is served, and nothing grows that should not."""
import os
import resource
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness
import memory
from client import Closed
from harness import IS_ROOT, LONG, cpu_seconds, room, wait_until

IDLE = 5000 if LONG else 300
KIB = 1024
SESSION_KIB = 20   # the budget of an idle session
RELAYING_KIB = 96  # and of one with a message on its way


def descriptors_for(count):
    """So many may be open in this process, and in those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        pytest.skip(f"{count} descriptors are needed, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def sessions(portero):
    return portero.status()["counters"]["sessions"]


def private_memory(portero):
    return sum(map(harness.private_memory, portero.pids("session")))


def check_memory(portero, before, allowed):
    """It may have grown by so much."""
    if not memory.is_sanitized():
        assert private_memory(portero) - before < allowed


def newcomer(portero):
    """Connection, login, message: its seconds."""
    started = time.monotonic()
    with portero.login("luis", "pa55word") as client:
        assert client.send_message().code == 250
    return time.monotonic() - started


def newcomers(portero):
    return [newcomer(portero) for _ in range(20)]


def is_there(client):
    try:
        return client.command("NOOP").code == 250
    except (Closed, OSError):
        return False


@pytest.fixture(scope="module")
def crowd(shared_sink):
    """A Portero with many idle sessions: what it was like before, and they."""
    descriptors_for(2 * IDLE + 200)
    with harness.running(shared_sink, session_workers=2,
                         idle_timeout="30m") as portero:
        before = statistics.median(newcomers(portero))
        empty = private_memory(portero)
        with ThreadPoolExecutor(8) as threads:
            clients = list(threads.map(
                lambda n: portero.login(
                    listener=("submissions", "submission")[n % 2]),
                range(IDLE)))
        portero.may_crash = True
        yield portero, clients, before, empty
        for client in clients:
            client.close()


def test_a_newcomer_is_served_at_once(crowd):
    portero, clients, before, _ = crowd
    assert sessions(portero) == len(clients)
    times = newcomers(portero)
    assert statistics.median(times) < before + 0.1
    assert max(times) < before + 1
    assert all(is_there(client) for client in clients[::IDLE // 50])


def test_an_idle_session_is_small(crowd):
    portero, clients, _, empty = crowd
    check_memory(portero, empty, len(clients) * SESSION_KIB * KIB)


@pytest.mark.skipif(not IS_ROOT, reason="only root may look into others")
def test_the_crowd_is_balanced(crowd):
    """Each worker has its share of the connections."""
    portero, clients, _, _ = crowd
    counts = [len(os.listdir(f"/proc/{pid}/fd"))
              for pid in portero.pids("session")]
    assert min(counts) > len(clients) / 2 * 0.75


def test_a_worker_dies(crowd):
    """The sessions of others do not notice, and nobody is refused."""
    portero, clients, before, _ = crowd
    victim = portero.pids("session")[0]
    os.kill(victim, 9)
    times = newcomers(portero)
    assert max(times) < before + 2
    portero.wait_event("worker", role="session", result="crashed")
    with ThreadPoolExecutor(8) as threads:
        alive = list(threads.map(is_there, clients))
    assert 0.25 < sum(alive) / len(clients) < 0.75
    clients[:] = [client for client, is_alive in zip(clients, alive)
                  if is_alive]
    wait_until(lambda: sessions(portero) == len(clients), 10,
               "the gauge of sessions")
    wait_until(lambda: len(portero.pids("session")) == 2, 5, "a new worker")


@pytest.mark.skipif(not LONG, reason="with PORTERO_LONG=1")
def test_memory_is_given_back(crowd):
    portero, clients, _, empty = crowd
    if memory.is_sanitized():
        pytest.skip("a sanitizer keeps what is freed")
    peak = private_memory(portero) - empty
    while clients:
        clients.pop().close()
    wait_until(lambda: sessions(portero) == 0, 20, "end of all sessions")
    wait_until(lambda: private_memory(portero) - empty < 0.3 * peak, 40,
               "memory given back")


# ---- large messages ----

def megabytes(count):
    line = b"x" * 70 + b"\r\n"
    return b"Subject: large\r\n\r\n" + line * (count * 1_000_000 // len(line))


class Sender(threading.Thread):
    """Sends one message; says how far it has come."""

    def __init__(self, portero, body):
        super().__init__(daemon=True)
        self.client = portero.login(timeout=60)
        self.body = body
        self.sent = 0
        self.reply = None
        for line in ("MAIL FROM:<ana@example.org>",
                     "RCPT TO:<bob@example.net>"):
            self.client.expect(250, line)
        self.client.expect(354, "DATA")

    def run(self):
        for at in range(0, len(self.body), 65536):
            self.client.send(self.body[at:at + 65536])
            self.sent = at + 65536
        self.client.send(b".\r\n")
        self.reply = self.client.reply()
        self.client.close()


def stand_still(senders):
    """Nobody gets on any more."""
    def have_stopped():
        before = [s.sent for s in senders]
        time.sleep(0.5)
        return before == [s.sent for s in senders]
    wait_until(have_stopped, 20, "standstill")


def test_a_slow_upstream_costs_no_memory(start, sink):
    """It stops reading in the midst of large messages, which are larger
    than what the kernel's own buffers on the way may hold."""
    body = megabytes(25)
    portero = start(session_workers=1, data_timeout="60s")
    portero.login().close()
    before = private_memory(portero)
    senders = [Sender(portero, body) for _ in range(4)]
    sink.reading.clear()
    for sender in senders:
        sender.start()
    stand_still(senders)
    assert all(sender.sent < len(body) for sender in senders)
    check_memory(portero, before, len(senders) * RELAYING_KIB * KIB)
    assert newcomer_login(portero) < room(1)
    sink.reading.set()
    for sender in senders:
        sender.join(60)
        assert sender.reply is not None and sender.reply.code == 250
    assert [m.body == body for m in sink.messages] == [True] * len(senders)
    check_memory(portero, before, len(senders) * RELAYING_KIB * KIB)


@pytest.mark.skipif(not LONG, reason="with PORTERO_LONG=1")
def test_an_upstream_of_one_megabyte_a_second_costs_no_memory(start, sink):
    """20 messages of 25 MB: the memory of all processes stays as it is."""
    body = megabytes(25)
    portero = start(data_timeout="60s")
    portero.login().close()

    def all_memory():
        return sum(map(harness.private_memory, portero.all_pids()))
    before = all_memory()
    senders = [Sender(portero, body) for _ in range(20)]
    sink.rate = 1_000_000
    for sender in senders:
        sender.start()
    samples = []
    while any(sender.is_alive() for sender in senders):
        samples.append(all_memory() - before)
        time.sleep(0.5)
    assert len(samples) > 30, "that was too fast"
    if not memory.is_sanitized():
        assert max(samples) < len(senders) * RELAYING_KIB * KIB, samples
    assert [s.reply.code for s in senders] == [250] * len(senders)
    assert [m.body == body for m in sink.messages] == [True] * len(senders)


def newcomer_login(portero):
    started = time.monotonic()
    portero.login("luis", "pa55word").close()
    return time.monotonic() - started


# ---- few descriptors ----

# More than have room; as many as have in two turns.
CAME = 45


@pytest.fixture
def few_descriptors(start, monkeypatch, tmp_path):
    """A Portero whose processes may open 64 descriptors."""
    wrapper = tmp_path / "porterod"
    real = harness.program("PORTEROD", "porterod")
    wrapper.write_text(f'#!/bin/sh\nulimit -n 64\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PORTEROD", str(wrapper))
    return start(session_workers=1, auth_workers=1, policy_workers=1)


def test_no_descriptors_left(few_descriptors, sink):
    """Who is there goes on; who comes waits, and is served in his turn."""
    portero = few_descriptors
    worker, = portero.pids("session")
    first = portero.login()
    assert first.send_message().code == 250

    def come():
        return portero.login("luis", "pa55word", timeout=60)

    with ThreadPoolExecutor(CAME) as threads:
        coming = [threads.submit(come) for _ in range(CAME)]
        portero.wait_event("accept")
        wait_until(lambda: not sink.open_connections(), 15,
                   "end of the idle connection to the upstream")
        used = cpu_seconds(worker)
        time.sleep(1)
        assert cpu_seconds(worker) - used < 0.2
        there = [c.result() for c in coming if c.done()]
        assert CAME / 2 < len(there) < CAME
        # a message needs a descriptor for the upstream
        assert first.send_message().code == 250
        assert there[0].send_message().code == 250
        for client in there:
            client.close()
        rest = [c.result() for c in coming if c.result() not in there]
    assert len(there) + len(rest) == CAME
    assert all(map(is_there, rest))
    for client in [first, *rest]:
        client.close()
    # the log says so, and does not fill up
    assert len(portero.events("accept")) == 1
