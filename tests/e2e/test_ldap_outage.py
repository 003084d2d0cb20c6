# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A directory on bad days: what fails is put off and never called wrong."""
import contextlib
import itertools
import signal
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import directory as ldap
import memory
from directory import BIND, EXTENDED, SUFFIX, door
from harness import LONG, certificates, cpu_seconds, room, wait_until
from logins import (LATE, NEEDS_SLAPD, PEOPLE, attempt, code, last_cause,
                    slapd, with_ldap)  # noqa: F401

pytestmark = NEEDS_SLAPD


@pytest.mark.parametrize("kind", ["plain", "ldaps", "starttls"])
def test_a_silent_server_is_454_in_time(with_ldap, kind):
    with door() as silent:
        portero = with_ldap({
            "uri": [silent.ldaps if kind == "ldaps" else silent.uri],
            "starttls": kind == "starttls", "timeout": "1s",
            "connect_timeout": "1s"})
        reply, seconds = attempt(portero, "ana")
        assert reply.status == "454 4.7.0" and seconds < LATE
        assert portero.events("plugin_failed") == []


def test_silence_after_starttls_was_accepted(slapd, with_ldap):
    with door(slapd, extended="accept") as d:
        portero = with_ldap({"uri": [d.uri, slapd.uri], "starttls": True,
                             "ca_file": str(certificates().ca),
                             "connect_timeout": "1s"})
        reply, seconds = attempt(portero, "ana")
        assert reply.code == 235 and 0.9 < seconds < LATE
        assert d.seen[0] == EXTENDED


@pytest.mark.parametrize("answer", [
    b"\x30\x84\x7f\xff\xff\xff\x02\x01\x02",  # of two gigabytes
    b"\xff" * 100,
    b"\x30\x84\x00",  # and no more
])
def test_an_answer_that_is_none_is_454_in_time(slapd, with_ldap, answer):
    with door(slapd, search=answer) as d:
        portero = with_ldap(anonymous(slapd, [d.uri]))
        reply, seconds = attempt(portero, "open")
        assert reply.code == 454 and seconds < LATE
        assert portero.events("plugin_failed") == []


def anonymous(slapd, uri):
    """Then every bind that a door sees is a person's."""
    return {"uri": uri, "bind_dn": None, "bind_password_file": None,
            "base": f"ou=open,{SUFFIX}", "timeout": "1s"}


def test_a_bind_that_was_not_answered_is_not_repeated(slapd, with_ldap):
    with door(slapd, bind="silent") as d, door(slapd) as other:
        portero = with_ldap(anonymous(slapd, [d.uri, other.uri]))
        reply, seconds = attempt(portero, "open")
        assert reply.code == 454 and seconds < LATE
        assert last_cause(portero) == "ldap_timeout"
        assert d.seen.count(BIND) == 1 and BIND not in other.seen
        # the next one goes to the other server at once
        reply, seconds = attempt(portero, "open")
        assert reply.code == 235 and seconds < room(1)
        assert d.seen.count(BIND) == 1


def test_a_reset_in_a_bind_is_retried_once(slapd, with_ldap):
    with door(slapd, bind="reset") as d:
        portero = with_ldap(anonymous(slapd, [d.uri]))
        binds = []
        # on a busy machine the reset may come too late to be "at once"
        while 2 not in binds and len(binds) < 5:
            d.seen.clear()
            reply, seconds = attempt(portero, "open")
            assert reply.code == 454 and seconds < LATE
            assert last_cause(portero) == "ldap_down"
            binds.append(d.seen.count(BIND))
        assert binds[-1] == 2 and max(binds) == 2
        d.on = {}
        assert code(portero, "open") == 235


def test_what_the_directory_says_to_a_bind(slapd, with_ldap):
    table = {49: (535, "bad_password"), 51: (454, "ldap_busy"),
             52: (454, "ldap_busy"), 53: (454, "ldap_unwilling"),
             10: (454, "ldap_referral"), 80: (454, "ldap_error")}
    with door(slapd) as d:
        portero = with_ldap(anonymous(slapd, [d.uri]), auth_workers=1)
        for number, (status, cause) in table.items():
            d.on = {BIND: (number, b"no")}
            assert code(portero, "open") == status, number
            assert last_cause(portero) == cause, number
            assert BIND in d.seen
        d.on = {BIND: (49, b"AcceptSecurityContext error, data 773, v1")}
        assert code(portero, "open") == 535
        assert last_cause(portero) == "must_change"
        # a yes that is none: of another request, or to another one
        for yes in (lambda n: [ldap.reply(n + 1, ldap.BIND_DONE, 0)],
                    lambda n: [ldap.reply(n - 1, ldap.BIND_DONE, 0)],
                    lambda n: [ldap.reply(0, ldap.BIND_DONE, 0)],
                    lambda n: [ldap.reply(n, ldap.SEARCH_DONE, 0)],
                    lambda n: [ldap.reply(n, EXTENDED + 1, 0)],
                    lambda n: [ldap.found(n, "uid=open", uid=[b"open"])]):
            d.on = {BIND: yes}
            assert code(portero, "open") == 454
            assert last_cause(portero) in ("ldap_timeout", "ldap_error")
        d.on = {ldap.SEARCH: (4, b"too many")}
        assert code(portero, "open") == 454
        assert last_cause(portero) == "ambiguous"
        d.on = {}
        assert code(portero, "open") == 235


def test_connections_are_kept_and_replaced_when_stale(slapd, with_ldap):
    with door(slapd) as d:
        portero = with_ldap(anonymous(slapd, [d.uri]), auth_workers=1)
        assert code(portero, "open") == 235
        before = len(d.sockets)
        for _ in range(3):
            assert code(portero, "open") == 235
        assert len(d.sockets) == before
        d.hang_up()
        reply, seconds = attempt(portero, "open")
        assert reply.code == 235 and seconds < room(1)
        assert not portero.events("plugin", level="warning")


@pytest.mark.parametrize("number", [0, 2, 32, 49, 52])
def test_a_farewell_is_no_answer(slapd, with_ldap, number):
    with door(slapd) as d:
        portero = with_ldap(anonymous(slapd, [d.uri]), auth_workers=1)
        assert code(portero, "open") == 235
        before = d.clients
        for s in d.sockets:
            if s.getsockname()[1] == d.port:
                s.sendall(ldap.farewell(number))
        assert code(portero, "open") == 235
        assert d.clients == before + 2  # to search and to bind
        assert not portero.events("plugin", level="warning")
        d.on = {BIND: lambda _: [ldap.farewell(number)]}
        assert code(portero, "open") == 454
        assert last_cause(portero) == "ldap_down"
        d.behave()
        assert code(portero, "open") == 235


@pytest.mark.parametrize("tls", [False, True])
def test_an_order_of_the_master_ends_no_wait(slapd, with_ldap, tls):
    with door(slapd, tls) as d:
        portero = with_ldap({
            **anonymous(slapd, [d.ldaps if tls else d.uri]), "timeout": "4s",
            "ca_file": str(certificates().ca)}, auth_workers=1)
        assert code(portero, "open") == 235
        d.delay = 0.6  # once for the search, once for the bind
        for seconds in (0.4, 0.9):
            threading.Timer(seconds, portero.process.send_signal,
                            [signal.SIGUSR1]).start()
        reply, seconds = attempt(portero, "open")
        assert reply.code == 235 and seconds > 1
        assert not portero.events("plugin", level="warning")


@pytest.mark.parametrize("first", ["refuses", "silent"])
@pytest.mark.parametrize("template", [False, True])
def test_another_server_stands_in(slapd, with_ldap, first, template):
    options = {"timeout": "1s"}
    if template:
        options |= {"dn_template": f"uid=%u,{PEOPLE}"}
    with door() as d:
        if first == "refuses":
            d.close()
        portero = with_ldap({"uri": [d.uri, slapd.uri], **options})
        reply, seconds = attempt(portero, "ana")
        assert reply.code == 235 and seconds < LATE
        asked = d.clients
        for _ in range(3):  # all workers know by now
            assert code(portero, "ana") == 235
        assert d.clients == asked


def test_a_server_that_is_up_again_is_asked_again(slapd, with_ldap):
    with door(slapd, search=(52,)) as d:
        portero = with_ldap({"uri": [d.uri, slapd.uri], "retry_after": "2s"})
        assert code(portero, "ana") == 235
        seen = len(d.seen)
        assert code(portero, "ana") == 235
        assert len(d.seen) == seen
        d.on = {}
        time.sleep(2.1)
        assert code(portero, "ana") == 235
        assert len(d.seen) > seen
        assert "is up again" in portero.log_text()


def test_slapd_paused_stopped_and_started_again(with_ldap):
    with ldap.running_directory() as slapd:
        portero = with_ldap({**slapd.options(), "timeout": "1s"})
        assert code(portero, "ana") == 235
        slapd.pause()
        reply, seconds = attempt(portero, "ana")
        assert reply.code == 454 and seconds < LATE
        slapd.resume()
        assert code(portero, "ana") == 235
        slapd.stop()
        for _ in range(2):
            reply, seconds = attempt(portero, "ana")
            assert reply.code == 454 and seconds < room(1)
        slapd.start()
        assert code(portero, "ana") == 235
        assert code(portero, "ana", "wrong") == 535


# ---- those who are logged in ----

def send(client, n):
    """The seconds that each of n messages took."""
    times = []
    for _ in range(n):
        reply, seconds = client.timed(client.send_message)
        assert reply.code == 250
        times.append(seconds)
    return sorted(times)


@contextlib.contextmanager
def logins_that_hang(portero, n=8):
    """They all begin now; none is answered before its time."""
    ready = threading.Barrier(n + 1)

    def hang():
        with portero.secure() as client:
            ready.wait()
            return client.auth_plain("ana", "s3cret").code

    with ThreadPoolExecutor(n) as pool:
        logins = [pool.submit(hang) for _ in range(n)]
        ready.wait()
        yield
    assert {login.result() for login in logins} == {454}


def test_who_is_logged_in_goes_on_sending(slapd, with_ldap):
    """With PORTERO_LONG=1 no slower than before, either."""
    rounds, messages = (9, 500) if LONG else (1, 50)
    good, bad = [], []
    with door(slapd) as d:
        portero = with_ldap({"uri": [d.uri]})
        with portero.login("ana") as client:
            send(client, 20)
            for _ in range(rounds):
                good.append(send(client, messages)[-messages // 100])
                misbehave(d, search="silent")
                with logins_that_hang(portero):
                    bad.append(send(client, messages)[-messages // 100])
                d.behave()
                wait_until(lambda: code(portero, "ana") == 235)
    print(f"p99 in ms: {[round(s * 1000, 2) for s in good]} and, with logins "
          f"that hang, {[round(s * 1000, 2) for s in bad]}")
    if LONG:
        assert statistics.median(bad) < 1.2 * statistics.median(good)


# ---- servers that answer, but how ----

def endless(number):
    """The person, again and again."""
    one = ldap.found(number, f"uid=open,ou=open,{SUFFIX}", uid=[b"open"],
                     mail=[b"x" * 1000])
    return itertools.repeat(one * 100)


def largest(pids):
    """The most memory that one of them ever had, in KiB."""
    return max(int(line.split()[1]) for pid in pids for line in
               Path(f"/proc/{pid}/status").read_text().splitlines()
               if line.startswith("VmHWM"))


@pytest.mark.parametrize("to, answer, cause", [
    ("search", endless, "ambiguous"),
    ("search", lambda n: endless(n + 7), "ldap_timeout"),
    ("search", lambda n: endless(0), "ldap_timeout"),
    ("bind", endless, "ldap_error"),
], ids=["search", "other number", "no number", "bind"])
def test_entries_without_end_cost_no_memory(slapd, with_ldap, to, answer,
                                            cause):
    with door(slapd, **{to: answer}) as d:
        portero = with_ldap(anonymous(slapd, [d.uri]), auth_workers=1)
        before = largest(portero.pids("auth"))
        reply, seconds = attempt(portero, "open")
        assert reply.code == 454 and seconds < LATE
        assert last_cause(portero) == cause
        if not memory.is_sanitized():  # they keep what was freed
            assert largest(portero.pids("auth")) - before < 8192
        d.behave()
        assert code(portero, "open") == 235


BAD = {
    "slow": dict(delay=3),
    "dripping": dict(drip=0.2),
    "silent": dict(search="silent"),
    "resetting": dict(search="reset"),
    "closing": dict(search="close"),
    "busy": dict(search=(51,)),
    "nonsense": dict(search=b"\xff" * 100),
    "huge": dict(search=lambda n: [ldap.found(
        n, f"uid=ana,{PEOPLE}", uid=[b"x" * (2 << 20)])]),
}


def misbehave(d, delay=0, drip=0, **on):
    d.delay, d.drip = delay, drip
    d.on = {ldap.KINDS[kind]: what for kind, what in on.items()}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_server_is_454_in_time_and_forgiven(slapd, with_ldap, how):
    with door(slapd) as d:
        portero = with_ldap({"uri": [d.uri], "timeout": "1s"}, auth_workers=2)
        assert code(portero, "ana") == 235
        misbehave(d, **BAD[how])
        reply, seconds = attempt(portero, "ana")
        assert reply.status == "454 4.7.0" and seconds < LATE
        assert portero.events("plugin_failed") == []
        d.behave()
        reply, seconds = attempt(portero, "ana")
        assert reply.code == 235 and seconds < room(2)


@pytest.mark.parametrize("balance", ["order", "spread"])
@pytest.mark.parametrize("how", BAD)
def test_of_two_servers_one_is_bad(slapd, with_ldap, how, balance):
    with door(slapd) as d:
        portero = with_ldap({"uri": [d.uri, slapd.uri], "timeout": "1s",
                             "balance": balance}, auth_workers=4)
        misbehave(d, **BAD[how])
        tries = [attempt(portero, "ana") for _ in range(8)]
        assert {reply.code for reply, _ in tries} == {235}
        # who waited has told the others
        *others, slowest = sorted(seconds for _, seconds in tries)
        assert slowest < LATE and others[-1 if LONG else 4] < 1


def test_spread_asks_all_servers(slapd, with_ldap):
    with door(slapd) as a, door(slapd) as b:
        portero = with_ldap({"uri": [a.uri, b.uri], "balance": "spread"},
                            auth_workers=4)
        for _ in range(12):
            assert code(portero, "ana") == 235
        assert a.clients > 0 and b.clients > 0


def test_drips_in_a_handshake_are_454_in_time(slapd, with_ldap):
    with door(slapd, tls=True) as d:
        portero = with_ldap({"uri": [d.ldaps], "connect_timeout": "1s",
                             "ca_file": str(certificates().ca)})
        d.drip = 0.1
        reply, seconds = attempt(portero, "ana")
        assert reply.code == 454 and seconds < LATE
        d.behave()
        assert code(portero, "ana") == 235


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("how", [dict(gather=0.1), dict(drip=0.001)],
                         ids=["at once", "in pieces"])
def test_answers_come_at_once_or_in_pieces(slapd, with_ldap, tls, how):
    with door(slapd, tls=tls) as d:
        portero = with_ldap({"uri": [d.ldaps if tls else d.uri],
                             "ca_file": str(certificates().ca)},
                            auth_workers=1)
        assert code(portero, "ana") == 235
        vars(d).update(how)
        reply, seconds = attempt(portero, "ana")
        assert reply.code == 235 and seconds < 2  # no time-out
        assert d.clients == 2  # for the searches and for the binds


def test_drips_behind_a_handshake_are_454_in_time(slapd, with_ldap):
    with door(slapd, tls=True) as d:
        portero = with_ldap({"uri": [d.ldaps], "timeout": "1s",
                             "ca_file": str(certificates().ca)},
                            auth_workers=1)
        assert code(portero, "ana") == 235
        worker, = portero.pids("auth")
        used = cpu_seconds(worker)
        d.drip = 0.1
        reply, seconds = attempt(portero, "ana")
        assert reply.code == 454 and seconds < LATE
        assert cpu_seconds(worker) - used < 0.1  # the rest is waited for
        assert portero.events("plugin_failed") == []
        d.behave()
        assert code(portero, "ana") == 235


@pytest.mark.parametrize("to", ["search", "bind"])
def test_a_referral_is_not_followed(slapd, with_ldap, to):
    with door(slapd) as d:
        misbehave(d, **{to: lambda n: [ldap.reply(
            n, ldap.KINDS[to] + (2 if to == "search" else 1), 10,
            referrals=[f"{d.uri}/{PEOPLE}??sub"])]})
        portero = with_ldap(anonymous(slapd, [d.uri]), auth_workers=1)
        reply, seconds = attempt(portero, "open")
        assert reply.code == 454 and seconds < room(1)
        assert last_cause(portero) == "ldap_referral"
        assert "not followed" in portero.log_text()
        assert d.clients == (1 if to == "search" else 2)


def test_references_are_not_followed(slapd, with_ldap):
    with door(slapd) as d:
        here = ldap.ber(0x04, f"{d.uri}/{PEOPLE}??sub".encode())
        misbehave(d, search=lambda n: [
            ldap.message_of(n, ldap.REFERENCE, here),
            ldap.reply(n, ldap.SEARCH_DONE, 0)])
        portero = with_ldap(anonymous(slapd, [d.uri]), auth_workers=1)
        assert code(portero, "open") == 535
        assert last_cause(portero) == "no_user"
        assert d.clients == 1
