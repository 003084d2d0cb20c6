# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""People in a directory: the real slapd, on good days."""
import re
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import directory as ldap
from directory import BIND, SUFFIX, door
from harness import LONG, Section, certificates, config_text, wait_until
from logins import (CROWD, GROUPS, LATE, NEEDS_SLAPD, PEOPLE, attempt, code,
                    last_cause, slapd, with_ldap)  # noqa: F401

pytestmark = NEEDS_SLAPD
OWN = Section("sender", plugin="policy_sender", header="off")


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
        policy=[OWN])
    with portero.login("ana") as client:
        for sender in ("ana@example.org", "A@Example.org", "eva@example.org",
                       "mailers@example.org"):
            client.expect(250, f"MAIL FROM:<{sender}>")
            client.expect(250, "RSET")
        for sender in ("luis@example.org", "*", "*@example.org", "bulk@example.org",
                       "x)(mail=*@example.org"):
            assert client.mail(sender).code // 100 == 5, sender
        assert client.mail("luis@example.org").status == "553 5.7.1"
        slapd.pause()
        try:
            assert client.mail("luis@example.org").status == "451 4.7.0"
        finally:
            slapd.resume()


def test_a_question_that_grows_too_long_is_nobodys_answer(with_ldap):
    portero = with_ldap(
        {"owns_filter": ["(|" + "(member=%D)" * 300 + ")"],
         "owns_base": SUFFIX},
        policy=[OWN])
    with portero.login("ana") as client:
        assert client.mail("luis@example.org").status == "451 4.7.0"
    assert "8191 octets" in portero.log_text()


def test_addresses_without_room_are_one_line_and_still_ones_own(slapd,
                                                                with_ldap):
    domain = f"{'x' * 50}.example.org"
    many = "".join(f"mail: {n:03d}@{domain}\n" for n in range(100))
    change = f"dn: uid=luis,{PEOPLE}\nchangetype: modify\n"
    slapd.change(change + "add: mail\n" + many)
    try:
        portero = with_ldap(policy=[OWN])
        with portero.login("luis", "pa55word") as client:
            for n in (0, 99):
                client.expect(250, f"MAIL FROM:<{n:03d}@{domain}>")
                client.expect(250, "RSET")
    finally:
        slapd.change(change + "delete: mail\n" + many)
    warnings = portero.events("plugin", level="warning")
    assert len(warnings) == 1
    assert re.search(r"no room for \d+ values of mail", warnings[0]["msg"])


def test_values_of_no_use_are_a_few_lines(slapd, with_ldap):
    change = f"dn: uid=luis,{PEOPLE}\nchangetype: modify\n"
    slapd.change(change + "add: description\n" + "".join(
        f"description: nonsense {n}\n" for n in range(100)))
    try:
        portero = with_ldap({"limit_attribute": "description"})
        assert code(portero, "luis", "pa55word") == 235
    finally:
        slapd.change(change + "delete: description\n")
    warnings = portero.events("plugin", level="warning")
    assert len(warnings) == 4
    assert warnings[-1]["msg"] == \
        "luis: 97 more values of description are left out"


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


def test_two_thousand_people_are_themselves(with_ldap):
    portero = with_ldap({"id_attribute": "employeeNumber"})
    some = range(7, CROWD, 40)
    with ThreadPoolExecutor(10) as pool:
        got = pool.map(lambda i: attempt(
            portero, f"P{i:04}", f"password-{i}")[0].code, some)
        assert set(got) == {235}
    # the log's lines come a moment after the replies
    wait_until(lambda: len(portero.events("auth", result="ok")) == len(some),
               what="log")
    events = portero.events("auth", result="ok")
    assert sorted(int(e["user"]) for e in events) == list(some)
    assert code(portero, "p0007", "password-8") == 535


@pytest.mark.parametrize("name", ["ana", "crypt", pytest.param(
    "argon", marks=pytest.mark.skipif(not ldap.HAS_ARGON2,
                                      reason="slapd has no argon2"))])
def test_passwords_are_kept_in_many_ways(with_ldap, name):
    portero = with_ldap()
    assert code(portero, name) == 235
    assert code(portero, name, "S3cret") == 535
    assert last_cause(portero) == "bad_password"


def test_a_kept_connection_is_nobodys(slapd, with_ldap):
    """Whoever was bound on it before: the password counts for one person."""
    with door(slapd) as d:
        portero = with_ldap({"uri": [d.uri]}, auth_workers=1)
        logins = [("ana", "s3cret", 235), ("luis", "s3cret", 535),
                  ("luis", "pa55word", 235), ("ana", "pa55word", 535),
                  ("nobody", "s3cret", 535)] * 6
        with ThreadPoolExecutor(10) as pool:
            got = pool.map(lambda l: code(portero, *l[:2]), logins)
            assert list(got) == [l[2] for l in logins]
        assert d.clients == 2  # one to search, one to bind


def test_nobody_learns_who_is_unknown(with_ldap):
    """With PORTERO_LONG=1 not by the time, either."""
    tries = 1000 if LONG else 10
    portero = with_ldap()

    def refusal(login):
        with portero.secure() as client:
            reply, seconds = client.timed(client.auth_plain, login, "wrong")
        text = re.sub(r" \[\w+\]", "", str(reply))
        return text, seconds

    logins = [name.format(i % CROWD) for i in range(tries)
              for name in ("p{:04}", "x{:04}")]
    with ThreadPoolExecutor(10) as pool:
        got = list(pool.map(refusal, logins))
    assert len({text for text, _ in got}) == 1
    known, unknown = (statistics.median(s for _, s in got[at::2])
                      for at in (0, 1))
    print(f"medians: {known * 1000:.2f} ms for a person, "
          f"{unknown * 1000:.2f} ms for nobody")
    if LONG:
        assert abs(known - unknown) < 0.005
    causes = [e["cause"] for e in portero.events("auth")]
    assert set(causes) == {"bad_password", "no_user"}


# ---- who may not ----

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


def test_the_directory_locks_who_guesses(with_ldap):
    portero = with_ldap()
    assert code(portero, "hasty") == 235
    for _ in range(2):
        assert code(portero, "hasty", "wrong") == 535
        assert last_cause(portero) == "bad_password"
    assert code(portero, "hasty") == 535
    assert last_cause(portero) == "locked"


@pytest.mark.parametrize("name, cause", [("old", "expired"),
                                         ("fresh", "must_change")])
def test_a_password_that_is_to_be_changed_is_wrong(with_ldap, name, cause):
    portero = with_ldap()
    reply = attempt(portero, name)[0]
    assert reply.status == "535 5.7.8"
    assert last_cause(portero) == cause
    assert code(portero, name, "wrong") == 535
    assert last_cause(portero) == "bad_password"


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


# ---- options ----

@pytest.mark.parametrize("options, words", [
    ({"base": None}, "base is missing"),
    ({"uri": []}, "uri is empty"),
    ({"filter": "(uid=%u"}, "is not a filter"),
    ({"filter": "(uid=%x)"}, "none of %und"),
    ({"filter": "(uid=*)"}, "neither %u nor %n"),
    ({"filter": "(uid=%%u)"}, "neither %u nor %n"),
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
