# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Processes die at any moment, clients go away at any moment: no limit is
overrun, no message is sent twice or half, and what was charged is in the end
exactly what was sent."""
import os
import random
import signal
import threading
import time

import pytest

import client as smtp
import sink as upstream
from harness import LONG, Section, is_process, room, wait_until
from ledger import (BODY, background, in_parallel, limit, limits, quota,
                    start_again, used, wait_settled, wait_used)
from storm import PORTS, Letters, check_letters, kill, killer, send_on, sometimes

CHAOS_S = 10 if LONG else 1
MAIL = "MAIL FROM:<ana@example.org>"
RCPT = "RCPT TO:<bob@example.net>"


def is_quiet(portero):
    counters = portero.status()["counters"]
    return counters["sessions"] == counters["transactions"] == 0


@pytest.mark.parametrize("roles", [
    ["session"], ["policy"], ["session", "policy"],
    ["session", "policy", "auth", "control"]], ids="-".join)
@pytest.mark.parametrize("most", [100000, 60])
def test_workers_die_under_load(start, sink, roles, most):
    """With a limit that nobody reaches, and with one that all fight for."""
    portero = start(session_workers=3, policy_workers=3,
                    **quota(limit("burst", "1d", messages=most)))
    portero.may_crash = True
    sink.on("rcpt", sometimes(0.1, upstream.reply("550 5.1.1 No such user")))
    sink.on("dot", sometimes(0.3, upstream.delay(
        0.02, upstream.reply("451 4.3.0 Not now"))))
    letters = Letters()
    ends_at = time.monotonic() + CHAOS_S

    def goes_on():
        return time.monotonic() < ends_at or len(sink.messages) <= 10
    with background(killer(portero, roles, 0.05)):
        in_parallel(12, lambda i: send_on(portero, letters, i, goes_on),
                    CHAOS_S + 60)
    assert len(portero.events("worker", result="crashed")) > 3

    wait_until(lambda: portero.ctl("ping").returncode == 0, 10, "control")
    rows = wait_settled(portero)
    wait_until(lambda: is_quiet(portero), 10, "quiet")
    charged = rows["burst", "messages"]["used"]
    unknown = len(check_letters(letters, sink.messages))
    assert len(sink.messages) <= charged <= len(sink.messages) + unknown
    assert charged <= most

    # what is left of the limit is there, to the last message
    sink.as_usual()
    left = min(most - charged, 50)
    with portero.login() as client:
        for _ in range(left):
            assert letters.send(client, smtp.pipelined).code == 250
        if most - charged == left:
            assert letters.send(client, smtp.pipelined).status == "550 5.7.1"
    wait_used(portero, charged + left, "burst")


def test_a_session_worker_takes_only_its_own_clients_along(start, sink):
    portero = start(session_workers=4)
    portero.may_crash = True
    clients = in_parallel(24, lambda i: portero.login("ana", "s3cret",
                                                      PORTS[i % 2]))
    for client in clients[::2]:
        client.expect(250, MAIL)
    victim = portero.pids("session")[0]
    kill(victim)
    wait_until(lambda: len(portero.pids("session")) == 4 and
               victim not in portero.pids("session"), 5, "a successor")
    lost = 0
    for i, client in enumerate(clients):
        try:
            reply = client.send_message() if i % 2 else client.command(RCPT)
            assert reply.code == 250
        except (smtp.Closed, OSError):
            lost += 1
    assert 0 < lost < 16, "each worker has some of 24 clients"
    # the dead one's share of new connections is served by its successor
    assert all(in_parallel(24, lambda i: portero.login().command("NOOP")))


def test_a_session_worker_that_hangs_is_replaced(start):
    portero = start(session_workers=2)
    portero.may_crash = True
    victim = portero.pids("session")[0]
    os.kill(victim, signal.SIGSTOP)
    started = time.monotonic()
    clients = in_parallel(12, lambda i: portero.login("ana", "s3cret",
                                                      timeout=15))
    assert time.monotonic() - started < 12
    assert len(clients) == 12 and victim not in portero.pids("session")
    assert portero.wait_event("worker", role="session", cause="hung")
    assert portero.status()["counters"]["worker_killed"] == 1


# ---- clients that vanish ----

def begin(client, lines=("MAIL", "RCPT", "DATA")):
    for line in lines:
        client.expect(354 if line == "DATA" else 250,
                      {"MAIL": MAIL, "RCPT": RCPT}.get(line, line))


def vanish(client, how):
    if how == "close":
        client.close()
    elif how == "reset":
        client.abort()
    else:
        client.socket.shutdown(2)
        client.close()


@pytest.mark.parametrize("how", ["close", "reset", "shutdown"])
def test_a_client_that_vanishes_before_the_dot_has_sent_nothing(start, sink,
                                                                how):
    portero = start(**quota(limit("day", "1d", messages=5, recipients=9)))
    head = b"Subject: x\r\n"
    for part in (b"", b"Subj", head, head + b"\r\nsome\r\n",
                 head + b"\r\n" + b"some\r\n" * 50000, head + b"\r\n."):
        client = portero.login()
        begin(client)
        client.send(part)
        vanish(client, how)
    wait_used(portero, 0, "day")
    wait_used(portero, 0, "day", "recipients")
    assert not sink.messages
    assert not portero.events("message", outcome="accepted")
    wait_until(lambda: is_quiet(portero), 10, "quiet")


@pytest.mark.parametrize("how", ["close", "reset", "shutdown"])
@pytest.mark.parametrize("answer,outcome,charged", [
    (None, "accepted", 1),
    (upstream.reply("550 5.6.0 No"), "refused", 0),
    (upstream.close(), "unknown", 1)])
def test_a_client_that_vanishes_after_the_dot_has_sent_it(
        start, sink, how, answer, outcome, charged):
    portero = start(**quota(limit("day", "1d", messages=5)))
    sink.on("dot", upstream.delay(0.3, answer))
    client = portero.login()
    begin(client)
    client.send(BODY + b".\r\n")
    wait_until(lambda: sink.attempts and sink.attempts[0].state == "complete",
               5, "the dot")
    vanish(client, how)
    portero.wait_event("message", outcome=outcome)
    wait_used(portero, charged, "day")
    assert len(sink.messages) == (outcome == "accepted")
    wait_until(lambda: is_quiet(portero), 10, "quiet")


def test_a_worker_that_dies_keeps_what_it_may_have_sent(start, sink):
    """Before the dot the master gives back, after it the charge stays."""
    portero = start(**quota(limit("day", "1d", messages=5)))
    portero.may_crash = True
    sink.on("dot", upstream.delay(1))
    past = portero.login()
    begin(past)
    past.send(BODY + b".\r\n")
    wait_until(lambda: sink.attempts and sink.attempts[0].state == "complete",
               5, "the dot")
    waiting = [portero.login() for _ in range(4)]
    for client in waiting[1:]:
        begin(client)
        client.send(b"Subject: half\r\n")
    begin(waiting[0], ("MAIL", "RCPT"))
    assert used(portero, "day") == 4
    for pid in portero.pids("session"):
        kill(pid)
    wait_used(portero, 1, "day")
    sink.wait_messages(1)
    assert len(sink.messages) == 1
    assert portero.status()["counters"]["settled_by_master"] == 4


def test_a_policy_worker_that_stands_still_delays_one_question(start, sink):
    portero = start(policy_workers=2, policy_timeout="500ms",
                    **quota(limit("day", "1d", messages=100)))
    portero.may_crash = True
    stopped = portero.pids("policy")[0]
    os.kill(stopped, signal.SIGSTOP)
    replies = in_parallel(10, lambda i: timed_message(portero))
    assert {r.status for r, _ in replies} <= {"250 2.0.0", "451 4.7.0"}
    assert max(seconds for _, seconds in replies) < room(2)
    accepted = sum(r.code == 250 for r, _ in replies)
    assert accepted >= 9 and accepted == len(sink.messages)
    wait_used(portero, accepted, "day")
    kill(stopped, signal.SIGCONT)


def timed_message(portero):
    with portero.login() as client:
        return client.timed(client.send_message)


# ---- the directory's workers ----

def test_an_auth_worker_that_dies_at_a_question_is_answered_for(start):
    portero = start(auth_workers=2)
    sleepy = Section("sleepy", plugin="fault_auth", fault="sleep",
                     when="sleepy")
    portero.options["auth"].insert(0, sleepy)
    portero.write_config()
    assert portero.ctl("reload").returncode == 0
    portero.may_crash = True
    for _ in range(3):
        with portero.secure() as client:
            answers = []
            thread = threading.Thread(target=lambda: answers.append(
                client.timed(client.auth_plain, "sleepy", "x")))
            thread.start()
            busy = wait_until(lambda: [
                p["pid"] for p in portero.status()["processes"]
                if p["role"] == "auth" and p.get("busy_ms", 0) > 20],
                5, "busy")
            killed_at = time.monotonic()
            kill(busy[0])
            thread.join(10)
            assert time.monotonic() - killed_at < room(0.3)
            assert answers[0][0].status == "454 4.7.0"
            assert client.auth_plain("ana", "s3cret").code == 235


def test_no_login_is_lost_with_the_worker_that_gets_it(start):
    """Killed around the moment of the question, also as it is handed over:
    the master answers, or the successor does."""
    portero = start(auth_workers=1)
    portero.may_crash = True
    slowest = 0
    for i in range(60 if LONG else 8):
        (pid,) = wait_until(lambda: portero.pids("auth"), 5, "a worker")
        with portero.secure() as client:
            if i % 2:
                os.kill(pid, signal.SIGSTOP)
            killer_thread = threading.Timer(random.uniform(0, 0.003),
                                            kill, [pid])
            killer_thread.start()
            reply, seconds = client.timed(client.auth_plain, "ana", "s3cret")
            killer_thread.join()
        assert reply.status in ("235 2.7.0", "454 4.7.0")
        slowest = max(slowest, seconds)
        if reply.code == 235 and is_process(pid):
            wait_until(lambda: not is_process(pid), 5, "its end")
    assert slowest < room(2), "a successor starts within a second"


# ---- the master ----

def test_without_a_master_all_finish_and_go(start, sink):
    portero = start(session_workers=2,
                    **quota(limit("day", "1d", messages=5)))
    portero.may_crash = True
    sender, idle, between = portero.login(), portero.login(), portero.login()
    begin(sender)
    sender.send(b"Subject: last\r\n\r\n")
    begin(between, ("MAIL", "RCPT"))
    pids = portero.all_pids()
    os.kill(portero.process.pid, signal.SIGKILL)
    assert idle.reply().status == "421 4.3.2"
    assert idle.is_closed()
    sender.send(b"text\r\n.\r\n")
    assert sender.reply().code == 250
    assert sender.reply().status == "421 4.3.2"
    assert between.command("DATA").code == 354
    between.send(BODY + b".\r\n")
    assert between.reply().code == 250
    assert between.reply().status == "421 4.3.2"
    for client in sender, idle, between:
        client.close()
    started = time.monotonic()
    wait_until(lambda: not any(map(is_process, pids)), 10, "end of all")
    assert time.monotonic() - started < room(2)
    with pytest.raises(ConnectionRefusedError):
        portero.connect()
    portero.kill()
    assert len(sink.messages) == 2
    start_again(portero)
    assert used(portero, "day") == 2
    assert all(row["open"] == 0 for row in limits(portero).values())
