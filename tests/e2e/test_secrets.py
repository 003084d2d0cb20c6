# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A password goes from the client to an auth worker, and nowhere else."""
import base64
import os
import secrets
import signal
import string
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import faults
import harness
import memory
from harness import IS_ROOT, LONG, wait_until

LOGINS = 1000 if LONG else 100
PIECE = 12

pytestmark = pytest.mark.skipif(
    not IS_ROOT, reason="only root may look into other processes")


def canary():
    return "".join(secrets.choice(string.ascii_letters) for _ in range(48))


def base64_inside(text):
    """What base64 makes of it, wherever in a group of three it begins."""
    for skip in range(3):
        encoded = base64.b64encode(b"\0" * skip + text)
        # the ends depend on what stands beside it
        yield encoded[4 if skip else 0:len(encoded) - 4]


def needles(*passwords):
    """Pieces, since freed memory is soon written over in places."""
    found = []
    for password in passwords:
        for at in range(0, len(password), PIECE):
            piece = password[at:at + PIECE].encode()
            found += [piece, *base64_inside(piece)]
    assert min(map(len, found)) >= 8
    return found


RIGHT, WRONG = canary(), canary()
NEEDLES = needles(RIGHT, WRONG)


def b64(text):
    return base64.b64encode(text.encode()).decode()


# ---- ways to log in ----

def plain_line(password, user="ana"):
    return "AUTH PLAIN " + b64(f"\0{user}\0{password}")


def plain(client, password):
    return client.command(plain_line(password))


def plain_without_initial(client, password):
    client.expect(334, "AUTH PLAIN")
    return client.command(b64(f"\0ana\0{password}"))


def login(client, password):
    return client.auth_login("ana", password)


def login_with_initial(client, password):
    client.expect(334, f"AUTH LOGIN {b64('ana')}")
    return client.command(b64(password))


def in_pieces(client, password):
    """The line needs a buffer, and a larger one."""
    line = (plain_line(password) + "\r\n").encode()
    for at in range(0, len(line), 10):
        client.send(line[at:at + 10])
    return client.reply()


def with_more_behind(client, password):
    """What follows is kept until the login is answered."""
    line = (plain_line(password) + "\r\nNOOP\r\nNO").encode()
    client.send(line[:30])
    client.send(line[30:])
    reply = client.reply()
    assert client.reply().code == 250
    client.expect(250, "OP")
    return reply


def behind_a_wrong_one(client, password):
    """The line itself is kept until another login is answered."""
    client.send((plain_line(WRONG) + "\r\n" + plain_line(password) +
                 "\r\n").encode())
    assert client.reply().code == 535
    return client.reply()


WAYS = [plain, plain_without_initial, login, login_with_initial, in_pieces,
        with_more_behind, behind_a_wrong_one]


def log_in(portero, number):
    """Half of them with the wrong password; the connection, still open."""
    way = WAYS[number % len(WAYS)]
    turn = number // len(WAYS)
    password, code = ((WRONG, 535), (RIGHT, 235))[turn % 2]
    listener = ("submissions", "submission")[turn // 2 % 2]
    client = portero.secure(listener, timeout=60)
    assert way(client, password).code == code, way
    if code == 235 and turn % 3 == 0:
        assert client.send_message().code == 250
    return client


# ---- attempts that never become a login ----

def in_the_clear(portero):
    with portero.connect("submission") as client:
        client.ehlo()
        client.expect(538, plain_line(RIGHT))
        client.send(plain_line(RIGHT)[:60].encode())


def malformed(portero):
    with portero.secure() as client:
        client.expect(501, plain_line(RIGHT) + "!")
        client.expect(504, f"AUTH XOAUTH2 {b64(RIGHT)}")
        client.expect(334, "AUTH LOGIN")
        client.expect(334, b64(RIGHT))  # where the name belongs
        client.expect(501, "*")
        client.expect(500, b64(RIGHT))
        client.expect(500, RIGHT)


def too_long(portero):
    with portero.secure() as client:
        client.expect(500, plain_line(RIGHT + "x" * 2000))


def left_half_way(portero):
    with portero.secure() as client:
        client.send(plain_line(RIGHT)[:-4].encode())
    with portero.secure() as client:
        client.expect(334, "AUTH LOGIN")
        client.expect(334, b64("ana"))
        client.send(b64(RIGHT).encode())
        client.abort()


def left_while_it_is_checked(portero):
    with portero.secure() as client:
        ends = len(portero.events("worker", role="auth"))
        client.send((plain_line(RIGHT, "sleep-auth") + "\r\n").encode())
        wait_until(lambda: any(
            p["role"] == "auth" and p["state"] == "busy"
            for p in portero.status()["processes"]), 5, "the check")
        client.abort()
    # the session ends at once, the check of its password later
    wait_until(lambda: len(portero.events("worker", role="auth")) > ends, 10,
               "end of the check")


def checked_for_too_long(portero):
    with portero.secure() as client:
        client.expect(454, plain_line(RIGHT, "sleep-auth"))


def checker_crashes(portero):
    with portero.secure() as client:
        client.expect(454, plain_line(RIGHT, "crash-auth"))


ATTEMPTS = [in_the_clear, malformed, too_long, left_half_way,
            left_while_it_is_checked, checked_for_too_long, checker_crashes]


# ---- where to look ----

def places_in_memory(portero):
    """Everything but the private memory of auth workers."""
    found = []
    auth = portero.pids("auth")
    for pid in portero.all_pids():
        where = memory.find_in_process(pid, NEEDLES, shared_only=pid in auth) \
            or memory.find_in_memfds(pid, NEEDLES)
        if where:
            found.append(f"{harness.command_of(pid)}: {where}")
    return found


def places_in_files(portero):
    """The log, and what lies in the folders that the server writes to."""
    found = [memory.find_in_file(path, NEEDLES)
             for path in portero.folder.rglob("*") if path.is_file()]
    return [where for where in found if where]


def cores():
    """Files that a worker that dies might leave."""
    return {path for folder in ("/", "/tmp", "/var/lib/systemd/coredump")
            for path in Path(folder).glob("*core*") if path.is_file()}


@pytest.fixture(scope="module")
def portero(shared_sink):
    with faults.people({"ana": RIGHT}) as people, harness.running(
            shared_sink, log={"level": "debug"}, login_timeout="120s",
            auth=[faults.auth("sleep"), faults.auth("crash"), people],
            # a busy machine needs its time for hashes
            auth_timeout="3s", auth_workers=4, store=faults.STORE,
            policy=[faults.QUOTA]) as running:
        running.may_crash = True
        yield running


def test_the_search_finds_what_is_there(portero):
    """A session that has read half of a login holds it, in base64."""
    with portero.secure() as client:
        client.send(plain_line(RIGHT)[:-4].encode())
        wait_until(lambda: any("session" in place
                               for place in places_in_memory(portero)),
                   10, "the password in a session worker")
    assert memory.find_in_process(os.getpid(), NEEDLES)
    wait_until(lambda: not places_in_memory(portero), 10, "nothing left")


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_attempts_leave_nothing(portero, attempt):
    attempt(portero)
    wait_until(lambda: portero.status()["counters"]["sessions"] == 0, 10,
               "end of the session")
    assert not places_in_memory(portero)
    assert not places_in_files(portero)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_log_in_leaves_nothing(portero, way):
    with portero.secure() as good, portero.secure("submission") as bad, \
            ThreadPoolExecutor(2) as threads:
        replies = [threads.submit(way, good, RIGHT),
                   threads.submit(way, bad, WRONG)]
        assert [r.result().code for r in replies] == [235, 535]
        assert not places_in_memory(portero)
    assert not places_in_files(portero)


def test_many_logins_leave_nothing(portero):
    with ThreadPoolExecutor(25) as threads:
        clients = list(threads.map(lambda number: log_in(portero, number),
                                   range(LOGINS)))
    assert not places_in_memory(portero)
    for client in clients:
        client.close()
    wait_until(lambda: portero.status()["counters"]["sessions"] == 0, 10,
               "end of all sessions")
    assert not places_in_memory(portero)
    assert not places_in_files(portero)
    counters = portero.status()["counters"]
    assert counters["login_ok"] >= LOGINS // 3
    assert counters["login_denied"] >= LOGINS // 3


def test_no_process_leaves_a_core(portero):
    """Nor may anybody but root look into one."""
    before = cores()
    for pid in portero.all_pids():
        limits = Path(f"/proc/{pid}/limits").read_text()
        line, = [l for l in limits.splitlines() if "core file" in l]
        assert line.split()[4:6] == ["0", "0"], harness.command_of(pid)
        # a process that may be dumped has files of its own user there
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    with portero.secure() as client:
        client.send(plain_line(RIGHT)[:-4].encode())
        for role in ("session", "auth"):
            for pid in portero.kill_role(role, signal.SIGABRT):
                wait_until(lambda p=pid: not harness.is_process(p), 5, role)
    assert cores() == before
    assert not places_in_files(portero)
    wait_until(lambda: portero.login("ana", RIGHT), 10, "a new worker")
