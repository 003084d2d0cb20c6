# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""The door: how many may come in, from where, and how fast who is turned away
makes room for others."""
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Closed
from harness import LONG, room, wait_until

FLOOD = 2000 if LONG else 400
HERE = "127.0.1.1"
NEIGHBOUR = "127.0.1.2"
ELSEWHERE = "127.0.2.1"


def is_turned_away(portero, source, listener="submission"):
    """No greeting. In clear text it is said why."""
    if listener == "submissions":
        try:
            portero.connect(listener, source=source).close()
        except (OSError, Closed):
            return True
        return False
    with portero.connect(listener, source=source) as client:
        if client.greeting.code == 220:
            return False
        assert client.greeting.status == "421 4.7.0"
        assert "from your network" in client.greeting.text
        assert client.greeting.sid
        assert client.is_closed()
        return True


def counters(portero):
    return portero.status()["counters"]


def wait_for_sessions(portero, count):
    wait_until(lambda: counters(portero)["sessions"] == count, 5,
               f"{count} sessions")


def come(portero, source, count):
    clients = [portero.connect("submission", source=source)
               for _ in range(count)]
    assert all(c.greeting.code == 220 for c in clients)
    return clients


def leave(clients):
    while clients:
        clients.pop().close()


def test_connections_of_one_host(start):
    portero = start(exempt_networks=[], max_host_connections=6,
                    help_url="https://help.example.org")
    clients = come(portero, HERE, 6)
    for listener in ("submission", "submissions"):
        assert is_turned_away(portero, HERE, listener)
    assert not is_turned_away(portero, NEIGHBOUR)
    clients.pop().close()
    wait_for_sessions(portero, 5)
    assert not is_turned_away(portero, HERE)
    event = portero.wait_event("turned_away")
    assert (event["ip"], event["why"]) == (HERE, "host")
    assert counters(portero)["connections_refused"] == 2
    with portero.connect("submission", source=NEIGHBOUR) as client:
        assert client.greeting.code == 220
    leave(clients)


def test_connections_of_one_network(start):
    portero = start(exempt_networks=[], max_network_connections=6)
    clients = come(portero, HERE, 3) + come(portero, NEIGHBOUR, 3)
    assert is_turned_away(portero, "127.0.1.77")
    assert not is_turned_away(portero, ELSEWHERE)
    assert portero.wait_event("turned_away")["why"] == "network"
    leave(clients)


@pytest.mark.parametrize("option, other, why", [
    ("max_host_rate", NEIGHBOUR, "host rate"),
    ("max_network_rate", ELSEWHERE, "network rate")])
def test_new_connections_in_a_minute(start, option, other, why):
    portero = start(exempt_networks=[], **{option: 10})
    admitted = 0
    while not is_turned_away(portero, HERE):
        admitted += 1
        assert admitted < 15
    assert admitted >= 10  # a slow machine may see the minute pass
    assert not is_turned_away(portero, other)
    assert portero.wait_event("turned_away")["why"] == why


def test_exempt_networks_are_not_counted(start):
    portero = start(exempt_networks=["127.0.1.0/24"], max_host_connections=2,
                    max_network_connections=2, max_host_rate=2)
    clients = come(portero, HERE, 10)
    assert come(portero, ELSEWHERE, 2)
    assert is_turned_away(portero, ELSEWHERE)
    leave(clients)


def test_a_dead_worker_gives_its_clients_back(start):
    portero = start(exempt_networks=[], max_host_connections=8,
                    session_workers=1)
    clients = come(portero, HERE, 8)
    assert is_turned_away(portero, HERE)
    portero.kill_role("session", signal.SIGKILL)
    portero.wait_event("worker", role="session", result="crashed")
    wait_until(lambda: portero.pids("session"), 5, "a new worker")
    leave(clients)
    clients = come(portero, HERE, 8)
    assert is_turned_away(portero, HERE)
    leave(clients)


def test_a_reload_keeps_the_count(start):
    """Who is with the old workers counts for the new ones."""
    portero = start(exempt_networks=[], max_host_connections=4,
                    max_transactions=2)
    clients = [portero.login(source=HERE) for _ in range(4)]
    for client in clients[:2]:
        client.expect(250, "MAIL FROM:<ana@example.org>")
    assert portero.ctl("reload").returncode == 0
    wait_for_sessions(portero, 2)  # those with a message
    fresh = [portero.login(source=HERE) for _ in range(2)]
    assert fresh[0].mail("ana@example.org").status == "451 4.7.1"
    assert is_turned_away(portero, HERE)
    leave(clients)
    leave(fresh)


def test_a_full_worker_says_so(start):
    portero = start(session_workers=1, max_connections=5)
    clients = come(portero, "127.0.0.1", 5)
    with portero.connect("submission") as client:
        assert client.greeting.status == "421 4.3.2"
        assert client.is_closed()
    assert is_turned_away(portero, "127.0.0.1", "submissions")
    clients.pop().close()
    wait_for_sessions(portero, 4)
    clients.append(portero.connect("submission"))
    assert clients[-1].greeting.code == 220
    assert portero.wait_event("turned_away")["why"] == "full"
    leave(clients)


def test_who_does_not_log_in_makes_room(start):
    """In a crowd, after a sixth of the time; the others stay."""
    portero = start(session_workers=1, max_connections=5, login_timeout="9s")
    at_work = portero.login()
    idle = come(portero, "127.0.0.1", 4)
    assert portero.connect("submission").greeting.code == 421
    time.sleep(1.6)
    with portero.connect("submission") as client:
        assert client.greeting.code == 220
        assert idle[0].is_closed()
        idle[1].expect(250, "EHLO x")
        at_work.expect(250, "NOOP")
    assert portero.wait_event("session", end="made room")
    leave(idle)
    at_work.close()


def test_parallel_messages_of_one_person(start, sink):
    portero = start(max_transactions=3)
    clients = [portero.login() for _ in range(4)]
    for client in clients[:3]:
        client.expect(250, "MAIL FROM:<ana@example.org>")
    late = clients[3]
    late.send(b"MAIL FROM:<ana@example.org>\r\nRCPT TO:<bob@example.net>\r\n"
              b"DATA\r\n")
    replies = [late.reply().status for _ in range(3)]
    assert replies == ["451 4.7.1", "503 5.5.1", "503 5.5.1"]
    assert portero.wait_event("refusal", stage="mail")["reply"] == "451 4.7.1"
    with portero.login("luis", "pa55word") as other:
        assert other.send_message().code == 250
    clients[0].expect(250, "RSET")
    assert late.send_message().code == 250
    clients[1].close()
    wait_until(lambda: counters(portero)["transactions"] == 1, 5,
               "end of a transaction")
    assert late.send_message().code == 250
    leave(clients)
    assert len(sink.messages) == 3


def test_a_flood_from_one_address(start):
    """Others are greeted at once meanwhile, and the log stays readable."""
    portero = start(exempt_networks=[])

    def flood(_):
        try:
            with portero.connect("submission", source=HERE,
                                 greet=False) as client:
                client.socket.settimeout(5)
                return client.receive()[:3]
        except OSError:
            return b""

    def newcomer():
        started = time.monotonic()
        with portero.connect("submission", source=ELSEWHERE) as client:
            assert client.greeting.code == 220
            return time.monotonic() - started

    started = time.monotonic()
    with ThreadPoolExecutor(50) as threads:
        flooding = threads.map(flood, range(FLOOD))
        greeted = [newcomer() for _ in range(10)]
        heard = list(flooding)
    took = time.monotonic() - started
    # 60 in a minute, and what was let in when the minute passed
    assert 60 <= heard.count(b"220") <= 130
    assert heard.count(b"421") == len(heard) - heard.count(b"220")
    assert sorted(greeted)[8] < room(0.1)
    assert len(portero.events("turned_away")) <= 2 * (took + 2)
