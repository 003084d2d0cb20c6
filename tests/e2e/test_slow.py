# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow on purpose, talk without end, go away in the middle,
or speak something else."""
import ssl
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import faults
import sink as upstream
from client import Client, Closed
from harness import LONG, certificates, room, wait_until

SLOW = 500 if LONG else 60


def drip(client, data, every):
    """A byte at a time, until the server has enough; the seconds it took."""
    started = time.monotonic()
    client.socket.settimeout(every)
    for byte in data:
        try:
            client.send(bytes([byte]))
            if not client.receive():
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


def begin(client):
    client.expect(250, "MAIL FROM:<ana@example.org>")
    client.expect(250, "RCPT TO:<bob@example.net>")
    client.expect(354, "DATA")


# ---- time ----

def test_a_dripping_command_has_one_time_limit(start):
    portero = start(idle_timeout="1s")
    with portero.login() as client:
        assert 0.9 < drip(client, b"NOOP" + b" " * 200, 0.1) < 3
    assert portero.wait_event("session")["end"] == "timeout"


def test_a_dripping_message_must_get_on(start, sink):
    portero = start(data_timeout="1s")
    with portero.login() as client:
        begin(client)
        assert 0.9 < drip(client, b"x" * 200, 0.1) < 3
    assert portero.wait_event("message")["outcome"] == "lost"
    assert not sink.messages


def test_dripping_chunks_must_get_on(start):
    portero = start(data_timeout="1s")
    with portero.login() as client:
        client.expect(250, "MAIL FROM:<ana@example.org>")
        client.expect(250, "RCPT TO:<bob@example.net>")
        started = time.monotonic()
        with pytest.raises((Closed, OSError)):
            for _ in range(30):
                client.send(b"BDAT 1\r\nx")
                client.reply()
                time.sleep(0.1)
        assert 0.9 < time.monotonic() - started < 3
    assert portero.wait_event("message")["outcome"] == "lost"


def test_a_slow_message_that_gets_on_is_fine(start, sink):
    """Longer than the time limit in all."""
    portero = start(data_timeout="2s")
    with portero.login() as client:
        begin(client)
        for _ in range(8):
            client.send(b"x" * 70 + b"\r\n" + b"y" * 5000 + b"\r\n")
            time.sleep(0.4)
        client.send(b".\r\n")
        assert client.reply().code == 250
    assert len(sink.messages) == 1


def test_talk_without_a_message_ends(start):
    portero = start()
    with portero.login() as client:
        for _ in range(100):
            client.expect(250, "NOOP")
        assert client.send_message().code == 250
        for verb in ("NOOP", "RSET", "HELP", "VRFY bob") * 25:
            assert client.command(verb).code < 300
        assert client.command("NOOP").status == "421 4.7.0"
        assert client.is_closed()
    assert portero.wait_event("session")["end"] == "idle commands"


# ---- who has gone ----

@pytest.mark.parametrize("leave", [Client.close, Client.abort])
def test_a_client_that_leaves_while_the_upstream_is_awaited(start, sink, leave):
    portero = start(upstream={"reply_timeout": "20s"})
    sink.on("rcpt", upstream.silent())
    client = portero.login()
    client.expect(250, "MAIL FROM:<ana@example.org>")
    client.send(b"RCPT TO:<bob@example.net>\r\n")
    wait_until(lambda: sink.attempts, 5, "MAIL")
    time.sleep(0.1)
    started = time.monotonic()
    leave(client)
    event = portero.wait_event("session", timeout=5)
    assert event["end"] in ("closed by client", "broken connection")
    assert time.monotonic() - started < room(2)
    wait_until(lambda: not sink.open_connections(), 5, "the upstream's end")


def test_a_client_that_leaves_while_a_policy_is_awaited(start):
    portero = start(policy=[faults.policy("sleep")], store=faults.STORE,
                    policy_timeout="5s")
    portero.may_crash = True
    client = portero.login()
    client.send(b"MAIL FROM:<sleep-mail@example.org>\r\n")
    time.sleep(0.2)
    client.close()
    assert portero.wait_event("session", timeout=3)["messages"] == "0"


def test_what_was_said_before_leaving_counts(start, sink):
    """A client that sends all at once and closes its side has its mail sent."""
    portero = start()
    sink.on("dot", upstream.delay(0.5))
    with portero.login() as client:
        begin(client)
        client.send(b"Subject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n")
        assert client.reply().code == 250
        assert client.reply().code == 221
    assert len(sink.messages) == 1


def test_after_the_dot_the_answer_is_awaited(start, sink):
    portero = start()
    sink.on("dot", upstream.delay(1))
    client = portero.login()
    begin(client)
    client.send(b"Subject: x\r\n\r\ntext\r\n.\r\n")
    time.sleep(0.2)
    client.close()
    event = portero.wait_event("message")
    assert event["outcome"] == "accepted"


# ---- something else ----

@pytest.mark.parametrize("first", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /mail HTTP/1.1\r\n\r\nMAIL",
    b"CONNECT mx.example.net:25 HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_a_browser_on_the_wrong_port(shared_portero, first):
    with shared_portero.connect("submission") as client:
        client.send(first)
        assert client.reply().status == "500 5.5.2"
        assert client.is_closed()
        sid = client.replies[0].lines[0].split("[")[1].rstrip("]")
    event = shared_portero.wait_event("session", s=sid)
    assert (event["end"], event["ip"]) == ("not smtp", "127.0.0.1")


@pytest.mark.parametrize("before", [b"", b"EHLO x\r\n"])
def test_tls_where_starttls_is_due(shared_portero, before):
    with shared_portero.connect("submission") as client:
        sid = client.greeting.lines[0].split("[")[1].rstrip("]")
        if before:
            client.send(before)
            client.reply()
        with pytest.raises((ssl.SSLError, OSError)):
            client.start_tls(certificates().client_context())
    assert shared_portero.wait_event("session", s=sid)["end"] == \
        "tls on a starttls port"


def test_a_line_without_end_is_answered_early(shared_portero):
    """Before and after the login: nobody collects megabytes."""
    for client in (shared_portero.connect("submission"),
                   shared_portero.login()):
        with client:
            sent = 0
            client.socket.settimeout(0.2)
            try:
                for _ in range(64):
                    client.send(b"x" * 1024)
                    sent += 1024
                    try:
                        reply = client.reply()
                        break
                    except TimeoutError:
                        continue
            except OSError:
                pytest.fail("closed without a word")
            assert reply.status == "500 5.5.6"
            assert sent <= 8192


def test_the_tenth_error_is_the_last(shared_portero):
    with shared_portero.login() as client:
        codes = [client.command("XYZZY").status for _ in range(10)]
        assert codes == ["500 5.5.2"] * 9 + ["421 4.7.0"]
        assert client.is_closed()


# ---- many of them ----

def letter(portero):
    """The seconds that a whole delivery takes."""
    started = time.monotonic()
    with portero.login("luis", "pa55word") as client:
        assert client.send_message().code == 250
    return time.monotonic() - started


def letters(porteros, count):
    """Of deliveries through each, in turn, since a machine is not always
    equally busy; a few clients at a time."""
    with ThreadPoolExecutor(2) as threads:
        took = threads.map(lambda _: [letter(p) for p in porteros],
                           range(count))
        return [sorted(seconds) for seconds in zip(*took)]


def test_slow_and_silent_clients_harm_nobody(start):
    """Half a handshake, half a command, half a message, or not a word, and
    another Portero without them to compare with."""
    portero = start(idle_timeout="30s", login_timeout="30s")
    alone = start()
    count = 200 if LONG else 60
    letters([alone, portero], 10)
    stopping = threading.Event()

    def tease(client, piece):
        try:
            while not stopping.wait(0.5):
                client.send(piece)
        except OSError:
            pass

    clients, threads = [], []
    for n in range(SLOW):
        kind = n % 4
        if kind == 0:    # silent
            client = Client(portero.ports["submissions"], greet=False)
        elif kind == 1:  # half a TLS record
            client = Client(portero.ports["submissions"], greet=False)
            client.send(b"\x16\x03\x01\x02\x00\x01")
        elif kind == 2:  # half a command
            client = portero.connect("submission")
            client.send(b"EHLO cl")
        else:            # half a message
            client = portero.login()
            begin(client)
            client.send(b"Subject: slow\r\n")
        clients.append(client)
    dripping = [c for n, c in enumerate(clients) if n % 4 >= 2]
    for client in dripping[:: max(1, len(dripping) // 40)]:
        thread = threading.Thread(target=tease, args=(client, b"x"),
                                  daemon=True)
        thread.start()
        threads.append(thread)
    quiet, busy = letters([alone, portero], count)
    stopping.set()
    for thread in threads:
        thread.join()
    assert portero.status()["counters"]["sessions"] >= SLOW * 0.9
    for client in clients:
        client.close()
    print(f"quiet median {statistics.median(quiet):.4f} "
          f"p99 {quiet[int(count * 0.99)]:.4f}, with {SLOW} slow clients "
          f"median {statistics.median(busy):.4f} "
          f"p99 {busy[int(count * 0.99)]:.4f}")
    at = int(count * (0.99 if LONG else 0.5))
    assert busy[at] <= 2 * quiet[at] + 0.05
