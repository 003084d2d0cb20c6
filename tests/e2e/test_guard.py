# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""policy_guard: who guesses passwords is stopped, and nobody else is."""
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import faults
import memory
from harness import IS_ROOT, Section, running, wait_until
from redis_server import SERVER, running_redis

OFFICE, OFFICE_TOO, HOTEL = "127.0.1.1", "127.0.1.2", "127.0.2.1"


def guarded(start, **options):
    mode = options.pop("mode", "enforce")
    guard = {"network_failures": 4, "person_failures": 2, **options}
    return start(exempt_networks=[], store={"plugin": "store_memory"},
                 policy=[Section("guard", plugin="policy_guard", mode=mode,
                                 **guard)])


def attempt(portero, source, user="ana", password="s3cret", tries=1):
    """The reply to the last of so many logins in one session."""
    with portero.secure("submission", source=source) as client:
        for _ in range(tries):
            reply = client.auth_plain(user, password)
        return reply


def attempts(portero, source, logins):
    """All of them at the same moment, since each takes a second."""
    with ThreadPoolExecutor(len(logins)) as threads:
        replies = list(threads.map(
            lambda login: attempt(portero, source, *login), logins))
    # what became of the last is told behind its reply's delay
    wait_until(lambda: len(portero.events("auth", result="fail")) >=
               len([r for r in replies if r.code == 535]), 5, "failures")
    return [reply.status for reply in replies]


def assert_waits(reply, portero, cause):
    assert reply.status == "454 4.7.0"
    assert "Too many wrong passwords" in reply.text
    assert portero.wait_event("auth", result="limited", cause=cause)


def test_guessing_one_person(start):
    portero = guarded(start)
    assert attempts(portero, OFFICE, [("ana", "a"), ("ana", "b")]) == \
        ["535 5.7.8"] * 2
    # the right one does not help any more, and the next one ends the session
    with portero.secure("submission", source=OFFICE_TOO) as client:
        assert_waits(client.auth_plain("ana", "s3cret"), portero, "guesses")
        assert client.auth_plain("ana", "s3cret").status == "421 4.7.0"
        assert client.is_closed()
    event = portero.wait_event("auth", result="limited")
    assert (event["login"], event["plugin"]) == ("ana", "guard")
    assert portero.status()["counters"]["login_limited"] == 1
    # others there, and she elsewhere
    assert attempt(portero, OFFICE, "luis", "pa55word").code == 235
    assert attempt(portero, HOTEL).code == 235


def test_other_spellings_are_the_same_name(start):
    portero = guarded(start)
    attempts(portero, OFFICE, [("Ana", "a"), ("ana ", "b")])
    assert_waits(attempt(portero, OFFICE, "ANA"), portero, "guesses")
    attempts(portero, HOTEL, [("Eva Sol", "a"), (" eva  sol", "b")])
    assert_waits(attempt(portero, HOTEL, "eva   sol "), portero, "guesses")
    attempts(portero, "127.0.3.1", [("Jos\u00e9", "a"), ("jose\u0301", "b")])
    assert_waits(attempt(portero, "127.0.3.1", "\uff2a\uff4fs\u00ade"), portero,
                 "guesses")


def test_a_phone_with_an_old_password(start):
    """The same wrong one again and again is one failure."""
    portero = guarded(start)
    assert attempts(portero, OFFICE, [("ana", "old")] * 8) == ["535 5.7.8"] * 8
    assert attempt(portero, OFFICE).code == 235
    assert attempt(portero, OFFICE, "luis", "pa55word").code == 235


def test_guessing_from_one_network(start):
    """Only who is at home there goes on."""
    portero = guarded(start)
    assert attempt(portero, OFFICE).code == 235
    attempts(portero, OFFICE,
             [("eva", "x"), ("root", "x"), ("admin", "x"), ("luis", "x")])
    assert_waits(attempt(portero, OFFICE_TOO, "eva", "0ther-s3cret"), portero,
                 "guesses_network")
    assert attempt(portero, OFFICE_TOO).code == 235
    assert attempt(portero, HOTEL, "eva", "0ther-s3cret").code == 235


def test_strangers_lock_nobody_out(start):
    portero = guarded(start)
    assert attempt(portero, OFFICE).code == 235
    with ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(
            lambda n: attempt(portero, f"127.0.{n}.1", "ana", f"guess {n}"),
            range(10, 16)))
    assert [r.code for r in replies] == [535] * 6
    assert_waits(attempt(portero, "127.0.10.9"), portero, "guesses_person")
    assert attempt(portero, OFFICE).code == 235
    assert attempt(portero, HOTEL).code == 235


def test_an_operator_lets_somebody_off(start):
    """limits reset, by whatever spelling of the name."""
    portero = guarded(start, network_failures=30)
    attempts(portero, OFFICE, [("ana", "a"), ("ana", "b"),
                               ("luis", "a"), ("luis", "b")])
    assert_waits(attempt(portero, OFFICE), portero, "guesses")
    reset = portero.ctl("limits", "reset", "Ana")
    assert (reset.returncode, reset.stdout) == (0, "reset\n")
    assert attempt(portero, OFFICE).code == 235
    assert_waits(attempt(portero, OFFICE, "luis", "pa55word"), portero,
                 "guesses")


def test_it_outlives_a_restart_of_its_workers(start):
    portero = guarded(start)
    attempts(portero, OFFICE, [("ana", "a"), ("ana", "b")])
    assert portero.ctl("reload").returncode == 0
    assert_waits(attempt(portero, OFFICE), portero, "guesses")
    portero.kill_role("policy")

    def waits():
        """Till new workers are up nobody can tell: try later, never yes."""
        reply = attempt(portero, OFFICE)
        assert reply.status == "454 4.7.0"
        return "Too many wrong passwords" in reply.text
    wait_until(waits, 10, "what was remembered")


def test_on_trial(start):
    """mode = monitor: it says what it would have done."""
    portero = guarded(start, mode="monitor")
    attempts(portero, OFFICE, [("ana", "a"), ("ana", "b")])
    assert attempt(portero, OFFICE, "ana", "c").code == 535
    event = portero.wait_event("monitor", stage="login")
    assert (event["login"], event["reason"]) == ("ana", "guesses")
    assert attempt(portero, OFFICE).code == 235
    assert not portero.events("auth", result="limited")


@pytest.mark.skipif(not IS_ROOT, reason="only root may look into others")
def test_passwords_stay_out_of_the_policy_workers(start):
    portero = guarded(start)
    secret = "wrong-Zx81-password"
    attempt(portero, OFFICE, "ana", secret)
    for pid in portero.pids("policy"):
        assert memory.find_in_process(pid, [secret.encode()]) == ""
    assert secret not in portero.log_text()


def test_no_policy_workers_no_login(start):
    """Nobody to ask: try later, and never wrong password or yes."""
    portero = guarded(start)
    portero.may_crash = True
    pids = portero.pids("policy")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert attempt(portero, OFFICE).status == "454 4.7.0"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert portero.wait_event("auth", result="deferred")
    wait_until(lambda: len(portero.pids("policy")) == 2, 5, "workers")
    assert attempt(portero, OFFICE).code == 235


@pytest.mark.parametrize("kind", ["crash", "wait", "nonsense", "none"])
def test_a_faulty_policy_is_try_later(start, kind):
    portero = start(policy=[faults.policy(kind, "login")], store=faults.STORE,
                    policy_timeout="1s")
    portero.may_crash = True
    assert attempt(portero, HOTEL, f"{kind}-login").status == "454 4.7.0"
    assert portero.wait_event("auth", result="deferred")
    assert attempt(portero, HOTEL).code == 235
    assert attempt(portero, HOTEL, "ana", "wrong").code == 535


@pytest.mark.skipif(not SERVER, reason="redis-server is not installed")
def test_hosts_that_share_a_store_count_together(sink):
    """And each by itself while the store is away."""
    with running_redis() as redis, contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(running(
            sink, exempt_networks=[],
            store={"plugin": "store_redis", "uri": [redis.uri]},
            policy=[Section("guard", plugin="policy_guard",
                            network_failures=4, person_failures=2)]))
            for _ in range(2))
        attempts(one, OFFICE,
                 [("eva", "x"), ("root", "x"), ("admin", "x"), ("luis", "x")])
        wait_until(lambda: redis.ask("KEYS", "*{n127.0.1.0*"), 5,
                   "the network in the store")
        assert_waits(attempt(two, OFFICE), two, "guard.network")
        assert attempt(two, HOTEL).code == 235
        for key in redis.ask("KEYS", "*"):
            assert redis.ask("TTL", key) > 0, key
        # nobody who does not exist has a place there
        assert not redis.ask("KEYS", "*{proot*")
        redis.kill()
        assert attempt(two, HOTEL).code == 235
        assert_waits(attempt(one, OFFICE), one, "guesses_network")
