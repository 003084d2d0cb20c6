# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A directory on bad days: what fails is put off and never called wrong."""
import time

import pytest

import directory as ldap
from directory import BIND, EXTENDED, SUFFIX, door
from harness import certificates
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
        assert reply.code == 235 and seconds < 1
        assert d.seen.count(BIND) == 1


def test_a_reset_in_a_bind_is_retried_once(slapd, with_ldap):
    with door(slapd, bind="reset") as d:
        portero = with_ldap(anonymous(slapd, [d.uri]))
        reply, seconds = attempt(portero, "open")
        assert reply.code == 454 and seconds < LATE
        assert last_cause(portero) == "ldap_down"
        assert d.seen.count(BIND) == 2
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
        for yes in (lambda n: ldap.reply(n + 1, ldap.BIND_DONE, 0),
                    lambda n: ldap.reply(n - 1, ldap.BIND_DONE, 0),
                    lambda n: ldap.reply(0, ldap.BIND_DONE, 0),
                    lambda n: ldap.reply(n, ldap.SEARCH_DONE, 0),
                    lambda n: ldap.reply(n, EXTENDED + 1, 0),
                    lambda n: ldap.found(n, "uid=open", uid=[b"open"])):
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
        assert reply.code == 235 and seconds < 1
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
        for _ in range(3):  # all workers know by now
            reply, seconds = attempt(portero, "ana")
            assert reply.code == 235 and seconds < 0.9


def test_a_server_that_is_up_again_is_asked_again(slapd, with_ldap):
    with door(slapd, search=(52,)) as d:
        portero = with_ldap({"uri": [d.uri, slapd.uri], "retry_after": "1s"})
        assert code(portero, "ana") == 235
        seen = len(d.seen)
        assert code(portero, "ana") == 235
        assert len(d.seen) == seen
        d.on = {}
        time.sleep(1.1)
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
            assert reply.code == 454 and seconds < 1
        slapd.start()
        assert code(portero, "ana") == 235
        assert code(portero, "ana", "wrong") == 535
