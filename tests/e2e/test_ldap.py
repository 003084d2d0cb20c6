# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""People in a directory: the real slapd, on good days and on bad ones."""
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import directory as ldap
from directory import BIND, EXTENDED, SUFFIX, door
from harness import Section, certificates, config_text, wait_until

pytestmark = pytest.mark.skipif(
    not ldap.IS_THERE, reason="slapd or ldap-utils is not installed")

PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
LATE = 5.5  # seconds: auth_timeout and a little


@pytest.fixture(scope="module")
def slapd():
    with ldap.running_directory() as directory:
        yield directory


@pytest.fixture
def with_ldap(slapd, start):
    """with_ldap(option=...): a Portero that asks the directory."""
    def start_it(options=None, auth=(), **others):
        options = slapd.options(**(options or {}))
        return start(auth=[Section("directory", **options), *auth], **others)
    return start_it


def attempt(portero, user, password="s3cret"):
    """The reply to a login, and the seconds it took."""
    before = len(portero.events("auth"))
    with portero.secure() as client:
        result = client.timed(client.auth_plain, user, password)
    wait_until(lambda: len(portero.events("auth")) > before, what="log")
    return result


def code(portero, user, password="s3cret"):
    return attempt(portero, user, password)[0].code


def last_cause(portero):
    return portero.events("auth")[-1]["cause"]


# ---- who is it ----

def test_names_and_passwords(with_ldap):
    portero = with_ldap({"filter": "(|(uid=%u)(mail=%u))"})
    for name in ("ana", "ANA", "  Ana ", "ana@example.org", "A@Example.org"):
        assert code(portero, name) == 235
        assert portero.events("auth")[-1]["user"] == "ana"
    for name in ("zo\u00e9", "ZO\u00c9", "zoe\u0301", "ZOE\u0301"):
        assert code(portero, name) == 235, ascii(name)
        assert portero.events("auth")[-1]["user"] == "zo\u00e9"
    wrong = attempt(portero, "ana", "wrong")[0]
    assert last_cause(portero) == "bad_password"
    unknown = attempt(portero, "nobody", "wrong")[0]
    assert last_cause(portero) == "no_user"
    assert wrong.status == "535 5.7.8" and unknown.status == wrong.status
    hostile = ("*", "a*", "ana)(uid=*", "*)(objectClass=*", "an\\61", "uid=ana",
               "ana,ou=people", "#616e61", "ana\x01", "\u00e1na", "x" * 255)
    with ThreadPoolExecutor(len(hostile)) as pool:  # each takes a second
        for name, got in zip(hostile, pool.map(
                lambda name: code(portero, name), hostile)):
            assert got == 535, name
    assert code(portero, "none", "x") == 535
    assert last_cause(portero) in ("no_password", "bad_password")
    assert code(portero, "two") == 454
    assert last_cause(portero) == "no_id"
    assert code(portero, "twin@example.org") == 454
    assert last_cause(portero) == "ambiguous"
    assert "more than one person" in portero.log_text()


def test_an_empty_password_asks_nobody(slapd, with_ldap):
    with door(slapd) as d:
        portero = with_ldap({"uri": [d.uri]})
        assert code(portero, "ana", "") == 535
        assert d.seen == []
        assert code(portero, "ana") == 235
        assert d.seen != []


def test_default_domain_and_case(with_ldap):
    portero = with_ldap({"default_domain": "example.org",
                         "filter": "(mail=%u)"})
    assert code(portero, "Ana") == 235
    assert code(portero, "ana@example.org") == 235
    assert code(portero, "ana@example.net") == 535


def test_dn_template_reads_as_the_person(with_ldap):
    portero = with_ldap({"dn_template": f"uid=%u,{PEOPLE}", "base": None,
                         "bind_dn": None, "bind_password_file": None,
                         "class_attribute": "employeeType",
                         "size_attribute": "carLicense"},
                        policy=[Section("size", plugin="policy_size")])
    assert code(portero, "ana", "wrong") == 535
    assert code(portero, "nobody") == 535
    assert code(portero, f"ana,{PEOPLE}") == 535
    with portero.login("ana") as client:
        assert client.mail("ana@example.org", " SIZE=3000").code == 552
        assert client.mail("ana@example.org", " SIZE=2000").code == 250


def test_dn_templates_are_tried_in_their_order(slapd, with_ldap):
    templates = [f"uid=%n,ou=%d,{SUFFIX}", f"uid=%u,ou=open,{SUFFIX}",
                 f"uid=%u,{PEOPLE}"]
    with door(slapd) as d:
        portero = with_ldap({"uri": [d.uri], "dn_template": templates,
                             "base": None})
        def binds(user, password, status, cause, n):
            d.seen.clear()
            assert code(portero, user, password) == status
            assert portero.events("auth")[-1].get("cause", "ok") == cause
            # less the service's own, of a worker that had not met this
            # server yet
            assert d.seen.count(BIND) in (n, n + 1)
        binds("open", "s3cret", 235, "ok", 2)
        binds("ana", "s3cret", 235, "ok", 3)
        binds("ana", "wrong", 535, "bad_password", 3)
        binds("nobody", "s3cret", 535, "bad_password", 3)
        binds("ana@people", "s3cret", 235, "ok", 1)
        # who is there and locked is not looked for elsewhere, and what could
        # not be asked is no reason to say "wrong"
        for answer, status, cause in (((53, b"Account inactivated"), 535, "disabled"),
                                      ((51, b"no"), 454, "ldap_busy")):
            d.on = {BIND: answer}
            binds("ana", "s3cret", status, cause, 1 if status == 535 else 2)
            d.behave()


def test_limits_and_language_come_from_the_entry(with_ldap):
    portero = with_ldap(
        {"limit_attribute": "description", "size_attribute": "carLicense"},
        store={"plugin": "store_memory"},
        policy=[Section("quota", plugin="policy_rate", limit=Section(
            "hourly", messages=1, per="1h"))])
    for user, password, messages in (("ana", "s3cret", 2),
                                     ("luis", "pa55word", 1)):
        with portero.login(user, password) as client:
            for _ in range(messages):
                assert client.send_message().code == 250
            assert client.send_message().code // 100 in (4, 5)
    portero.wait_event("plugin", plugin="directory")
    assert "nonsense" in portero.log_text()


@pytest.mark.parametrize("group_filter", [None, "(member=%D)"])
def test_groups_let_in_and_make_classes(with_ldap, group_filter):
    portero = with_ldap(
        {"required_group": f"cn=mailers, {GROUPS}",
         "group_filter": group_filter,
         "class": Section("bulk", group=f"CN=bulk,{GROUPS}")},
        policy=[Section("size", plugin="policy_size", max="1k",
                        **{"class": Section("bulk", max="1M")})])
    assert code(portero, "eva", "0ther-s3cret") == 535
    assert last_cause(portero) == "not_in_group"
    for user, password, status in (("ana", "s3cret", 552),
                                   ("luis", "pa55word", 250)):
        with portero.login(user, password) as client:
            reply = client.mail("x@example.org", " SIZE=2000")
            assert reply.code == status, reply


def test_addresses_that_one_may_use(slapd, with_ldap):
    # whoever is named in an entry may send as it
    slapd.change(f"dn: uid=eva,{PEOPLE}\nchangetype: modify\n"
                 f"replace: employeeType\nemployeeType: ana\n")
    portero = with_ldap(
        {"owns_filter": ["(&(mail=%a)(employeeType=%i))",
                         "(&(cn=%n)(member=%D))"], "owns_base": SUFFIX},
        policy=[Section("owned", plugin="owned_policy")])
    with portero.login("ana") as client:
        for sender in ("ana@example.org", "A@Example.org", "eva@example.org",
                       "mailers@example.org"):
            client.expect(250, f"MAIL FROM:<{sender}>")
            client.expect(250, "RSET")
        for sender in ("luis@example.org", "*", "*@example.org", "bulk@example.org",
                       "x)(mail=*@example.org"):
            assert client.mail(sender).code // 100 == 5, sender
        assert "Not yours" in str(client.mail("luis@example.org"))
        slapd.pause()
        try:
            assert "Nobody knows" in str(client.mail("luis@example.org"))
        finally:
            slapd.resume()


def test_the_second_section_is_asked_for_strangers(with_ldap, slapd):
    portero = with_ldap()
    users = Section("local", plugin="auth_file",
                    file=str(portero.users_file))
    portero.options["auth"].append(users)
    portero.write_users({"admin": "br3ak-glass", "ana": "another"})
    portero.write_config()
    assert portero.ctl("reload").returncode == 0
    assert code(portero, "admin", "br3ak-glass") == 235
    assert code(portero, "ana", "another") == 535
    assert code(portero, "ana") == 235


def test_a_locked_person_is_wrong_and_the_log_says_why(slapd, with_ldap):
    portero = with_ldap()
    lock = f"dn: uid=eva,{PEOPLE}\nchangetype: modify\n" \
        "{0}: pwdAccountLockedTime\n"
    slapd.change(lock.format("add") + "pwdAccountLockedTime: 000001010000Z\n")
    try:
        assert code(portero, "eva", "0ther-s3cret") == 535
        assert last_cause(portero) == "locked"
    finally:
        slapd.change(lock.format("delete"))
    assert code(portero, "eva", "0ther-s3cret") == 235


# ---- ways to a server ----

def ways(slapd):
    certs = certificates()
    ca = {"ca_file": str(certs.ca)}
    nobody = {"bind_dn": None, "bind_password_file": None}
    external = {**nobody, "sasl_external": True}
    key = slapd.folder / "client.key"  # the plugin reads it as its own user
    key.write_bytes(Path(certs.key("mx")).read_bytes())
    return {
        "ldaps": {"uri": [slapd.ldaps], **ca},
        "starttls": {"starttls": True, **ca},
        "ldapi": {"uri": [slapd.ldapi], **external},
        "certificate": {"uri": [slapd.ldaps], **ca, **external,
                        "certificate": certs.certificate("mx"),
                        "key": str(key)},
        "anonymous": {**nobody, "base": f"ou=open,{SUFFIX}"},
        "unverified": {"uri": [slapd.ldaps], "tls_verify": False},
    }


@pytest.mark.parametrize("way", ["ldaps", "starttls", "ldapi", "certificate",
                                 "anonymous", "unverified"])
def test_ways_to_a_server(slapd, with_ldap, way):
    portero = with_ldap(ways(slapd)[way])
    user = "open" if way == "anonymous" else "ana"
    for _ in range(3):
        assert code(portero, user) == 235


@pytest.mark.parametrize("how", ["unknown authority", "another name"])
def test_a_server_that_is_not_verified_sees_no_password(slapd, with_ldap, how):
    options = {"uri": [slapd.ldaps]}
    if how == "another name":
        options = {"uri": [f"ldaps://localhost:{slapd.tls_port}"],
                   "ca_file": str(certificates().ca)}
    portero = with_ldap(options)
    reply, seconds = attempt(portero, "ana")
    assert reply.code == 454 and seconds < LATE
    assert last_cause(portero) == "ldap_down"
    assert "certificate" in portero.log_text()


# ---- bad days ----

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


# ---- options ----

@pytest.mark.parametrize("options, words", [
    ({"base": None}, "base is missing"),
    ({"filter": "(uid=%u"}, "is not a filter"),
    ({"filter": "(uid=%x)"}, "none of %und"),
    ({"filter": "(uid=*)"}, "neither %u nor %n"),
    ({"dn_template": [f"uid=%u,{PEOPLE}", "%u"]}, "is not a DN"),
    ({"dn_template": ["cn=x,dc=%d"]}, "neither %u nor %n"),
    ({"owns_filter": ["(member=%D)"], "owns_base": SUFFIX, "base": None,
      "dn_template": [f"uid=%u,{PEOPLE}"]}, "%D needs base"),
    ({"base": "people"}, "is not a DN"),
    ({"uri": ["http://localhost"]}, "ldaps://host"),
    ({"bind_password_file": None}, "both or none"),
    ({"sasl_external": True}, "only one"),
    ({"required_group": "mailers"}, "is not a DN"),
    ({"key": "/dev/null"}, "both or none"),
])
def test_mistakes_are_found_before_the_start(slapd, shared_portero, options,
                                             words):
    auth = Section("directory", **slapd.options(**options))
    text = shared_portero.config.read_text()
    changed = dict(shared_portero.options, auth=[auth])
    try:
        shared_portero.config.write_text(config_text(changed) + "\n")
        done = shared_portero.ctl("reload")
        assert done.returncode != 0
        assert words in done.stdout + done.stderr
    finally:
        shared_portero.config.write_text(text)
