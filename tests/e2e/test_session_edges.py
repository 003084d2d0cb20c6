# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Sessions at their edges: answers that come too late, clients that do not
read or do not stop, ends in the midst of something."""
import base64
import os
import random
import signal
import time

import pytest

import sink as upstream
from client import Closed
from harness import LONG, Section, private_memory, wait_until
from ledger import BODY, in_parallel, limit, quota, wait_settled

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


# ---- behind a refused MAIL ----

@pytest.mark.parametrize("sender, refused, errors", [
    (f"{MAIL} SIZE=99999999999", "552 5.3.4", 0),
    (f"{MAIL} BODY=9BIT", "501 5.5.4", 1),
])
def test_recipients_behind_a_refused_mail_are_errors_in_the_end(
        start, sender, refused, errors):
    """A client that pipelines could not know; one that sends more recipients
    than a message may have could. The tenth error is the last."""
    portero = start(max_recipients=20)
    with portero.login() as client:
        client.send(f"{sender}\r\n".encode() + f"{RCPT}\r\n".encode() * 40)
        assert client.reply().status == refused
        for _ in range(20 + 1 + 9 - errors):  # one might have been DATA
            assert client.reply().status == "503 5.5.1"
        assert client.reply().status == "421 4.7.0"
        assert client.is_closed()


def test_commands_of_one_message_behind_a_refused_mail_are_no_errors(start):
    """Not even with as many recipients as a message may have, again and
    again."""
    portero = start(max_recipients=2)
    message = f"{MAIL} SIZE=99999999999\r\n{RCPT}\r\n{RCPT}\r\nDATA\r\n"
    with portero.login() as client:
        for _ in range(12):
            client.send(message.encode())
            assert client.reply().status == "552 5.3.4"
            for _ in range(3):
                assert client.reply().status == "503 5.5.1"
        client.expect(221, "QUIT")


# ---- clients that do not read, or do not stop ----

def test_replies_that_nobody_reads_are_bounded(start):
    portero = start(session_workers=1)
    worker, = portero.pids("session")
    with portero.secure() as client:  # later only so many lead nowhere
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


def test_cut_wherever_it_is(start, sink):
    """Every state of a session, and everybody whom it may wait for."""
    portero = start(stop_timeout="1s", session_workers=1,
                    auth_timeout="20s", policy_timeout="20s",
                    **quota(limit("daily", messages=100)))
    sink.on("rcpt", upstream.silent(), match="silent@")
    steps = [MAIL, RCPT, "DATA"]

    def transaction(count):
        client = portero.login()
        for step in steps[:count]:
            assert client.command(step).code in (250, 354)
        return client

    silent = portero.connect("submissions", greet=False)  # handshake done
    greeted = portero.connect("submission")
    idle, in_mail, in_rcpt = portero.login(), transaction(1), transaction(2)
    in_data, full, asked = transaction(3), transaction(3), transaction(2)
    waits = transaction(1)
    in_sasl, in_login = portero.secure(), portero.secure()
    delayed = portero.secure()
    waits.send(b"RCPT TO:<silent@example.net>\r\n")
    in_data.send(TEXT)
    in_sasl.expect(334, "AUTH LOGIN")
    sink.reading.clear()
    full.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            full.send(b"x" * 62 + b"\r\n" * 1024)
    full.socket.settimeout(20)
    delayed.send(f"AUTH PLAIN {plain('ana', 'wrong')}\r\n".encode())
    portero.wait_event("auth", result="fail")
    stopped = [pid for role in ("auth", "policy")
               for pid in portero.kill_role(role, signal.SIGSTOP)]
    in_login.send(f"AUTH PLAIN {plain('ana', 's3cret')}\r\n".encode())
    asked.send(b"DATA\r\n")
    time.sleep(0.1)
    portero.process.send_signal(signal.SIGTERM)
    for client in (greeted, in_mail, in_rcpt, in_data, full, asked, waits,
                   in_sasl, in_login):
        assert client.reply().status == "421 4.3.2"
        assert client.is_closed()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    portero.process.wait(20)
    for client in (silent, idle, delayed):
        client.close()
    sessions = [e["s"] for e in portero.events("session")]
    assert len(sessions) == len(set(sessions)) == 12
    lost = portero.events("message")
    assert {e["s"] for e in lost} == {in_data.greeting.sid, full.greeting.sid}
    assert all(e["outcome"] == "lost" for e in lost)


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


# ---- everything in any order ----

BIG = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n"
WORDS = [
    MAIL, MAIL, MAIL + " SIZE=400", MAIL + " SIZE=40000", "MAIL FROM:<>",
    "MAIL FROM:<broken", RCPT, RCPT, RCPT, "RCPT TO:<refused@example.net>",
    "RCPT TO:<@>", "DATA", "DATA", "DATA", "DATA now", "RSET", "NOOP", "HELP",
    "EHLO again.example.test", "HELO h", "EHLO", "VRFY ana", "STARTTLS", "BDAT",
    "AUTH PLAIN " + plain("ana", "s3cret"), "QUIT",
]
LETTER = [MAIL, RCPT, RCPT, "DATA"]
BODIES = [BODY + b".\r\n"] * 6 + [
    BODY, b"bare\rCR\r\n.\r\n", b"bare\nLF\r\n.\r\n", BIG * 400 + b".\r\n",
    BIG * 100 + b".\r\nMAIL FROM:<ana@example.org>\r\n"]


def sometimes(chance, share, *actions):
    def act(connection):
        if chance.random() < share:
            return chance.choice(actions)(connection)
        return upstream.NORMAL
    return act


def bad_days(chance, sink):
    """An upstream that now and then does anything."""
    sink.on("rcpt", upstream.reply("550 5.1.1 No such user"), match="refused@")
    refuse = [upstream.reply("451 4.3.0 Not now"),
              upstream.reply("550 5.7.1 Never"), upstream.close(),
              upstream.say_and_close("421 4.3.2 Going down")]
    for step in ("mail", "rcpt", "data", "rset"):
        sink.on(step, sometimes(chance, 0.08, *refuse))
    sink.on("greeting", sometimes(chance, 0.02, upstream.close()))
    sink.on("body", sometimes(chance, 0.1, upstream.close(reset=True),
                              upstream.say_and_close("552 5.3.4 Too much")))
    sink.on("dot", sometimes(chance, 0.3, refuse[0], refuse[1], refuse[3]))


def babble(chance, client):
    """Anything in any order, in any pieces; reads replies or not; and goes
    in one way or another."""
    expected = 0
    words = []
    for _ in range(chance.randrange(1, 40)):
        if not words:
            words = chance.choice([LETTER, LETTER, [chance.choice(WORDS)]])
        word, *words = words
        data = word.encode() + b"\r\n"
        if word.startswith("DATA") and chance.random() < 0.8:
            while expected and client.reply().code != 354:
                expected -= 1
            client.send(data)
            if client.reply().code != 354:
                continue
            data = chance.choice(BODIES)
        at = chance.randrange(len(data)) if chance.random() < 0.3 else 0
        for piece in (data[:at], data[at:]):
            client.send(piece)
            if at and chance.random() < 0.1:
                time.sleep(0.01)
        expected += 1
        if chance.random() < 0.5:
            client.reply()
            expected -= 1
        if chance.random() < 0.02:
            chance.choice([client.close, client.abort])()
            return


@pytest.mark.parametrize("pipelining", [True, False])
def test_whatever_is_said_leaves_nothing(start, sink, pipelining):
    sink.pipelining = pipelining
    seed = int(os.environ.get("PORTERO_SEED", random.randrange(1 << 30)))
    print("PORTERO_SEED =", seed)
    options = quota(limit("daily", messages=100000, recipients=100000,
                          bytes="10G"))
    options["policy"].append(Section("size", plugin="policy_size", max="20K"))
    portero = start(session_workers=1, idle_timeout="2s", **options)
    bad_days(random.Random(seed), sink)
    until = time.monotonic() + (60 if LONG else 4)

    def work(i):
        chance = random.Random(seed + i)
        while time.monotonic() < until:
            with portero.login() as client:
                client.socket.settimeout(0.3)
                try:
                    babble(chance, client)
                except (Closed, OSError, ValueError):
                    pass
    in_parallel(12, work, timeout=120)
    counters = wait_until(
        lambda: (c := portero.status()["counters"])["sessions"] == 0 and c,
        20, "end of all sessions")
    assert counters["transactions"] == counters["sessions_logged_in"] == 0
    rows = wait_settled(portero)
    sent = [e for e in portero.events("message")
            if e["outcome"] in ("accepted", "unknown")]
    assert rows["daily", "messages"]["used"] == len(sent)
    assert rows["daily", "recipients"]["used"] == \
        sum(int(e["nrcpt"]) for e in sent)
    assert rows["daily", "bytes"]["used"] == sum(int(e["size"]) for e in sent)
    accepted = portero.events("message", outcome="accepted")
    assert len(accepted) == len(sink.messages) == counters["messages_accepted"]
    sessions = [e["s"] for e in portero.events("session")]
    assert len(sessions) == len(set(sessions)) == counters["connections"]


# ---- a session that has lasted long enough ----

OLD = "421 4.3.2"


def test_an_idle_session_ends_at_its_age(start):
    portero = start(max_session="1s")
    with portero.login("ana") as client:
        assert client.send_message().code == 250
        assert client.reply().status == OLD
        assert client.is_closed()
    portero.wait_event("session", end="max session", user="ana", messages=1)
    with portero.login("ana") as client:
        assert client.send_message().code == 250


def test_an_old_session_finishes_its_message_first(start, sink):
    portero = start(max_session="1s")
    with portero.login("ana") as client:
        client.mail("ana@example.org")
        client.rcpt("bob@example.org")
        client.expect(354, "DATA")
        client.send(b"Subject: long\r\n\r\n")
        time.sleep(1.5)
        client.send(b"still here\r\n.\r\n")
        assert client.reply().code == 250
        assert client.reply().status == OLD
        assert client.is_closed()
    assert len(sink.messages) == 1


def test_who_never_pauses_is_ended_at_the_next_mail(start):
    portero = start(max_session="1s")
    message = (b"MAIL FROM:<ana@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
               b"DATA\r\n")
    with portero.login("ana") as client:
        client.send(message)
        for expected in (250, 250, 354):
            assert client.reply().code == expected
        time.sleep(1.2)
        # the next one is there before the answer to this one
        client.send(b"Subject: one\r\n\r\n.\r\n" + message)
        assert client.reply().code == 250
        assert client.reply().status == OLD
        assert client.is_closed()
