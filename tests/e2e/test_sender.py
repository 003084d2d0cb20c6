# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Who may send as whom."""
import pytest

from client import lockstep, pipelined
from directory import SUFFIX
from harness import Section, running
from logins import NEEDS_SLAPD, PEOPLE, slapd, with_ldap  # noqa: F401
from sink import checked_sink

USERS = {
    "ana@example.org": ("s3cret", "addresses=a.garcia@example.org"),
    "nobody": "s3cret",  # without an address
    "mta": ("s3cret", "class=relay"),
    "scanner": ("s3cret", "class=scanner"),
}
RULES = Section(
    "sender", plugin="policy_sender", allow=["noreply@example.org"],
    **{"class": [Section("relay", allow=["@example.org", "@*.example.org"]),
                 Section("scanner", allow=["any"], null_sender=False)]})
R, BODY = "RCPT TO:<bob@example.net>", b"Subject: test\r\n\r\ntext\r\n.\r\n"

CASES = [
    # who, from, and the answer: True, or the code
    ("ana@example.org", "ana@example.org", True),
    ("ana@example.org", "ANA@Example.ORG", True),
    ("ana@example.org", "a.garcia@example.org", True),
    ("ana@example.org", "ana+shop@example.org", True),
    ("ana@example.org", "A.Garcia+a+b@example.org", True),
    ("ana@example.org", "ana-shop@example.org", False),
    ("ana@example.org", "+ana@example.org", False),
    ("ana@example.org", "luis@example.org", False),
    ("ana@example.org", "ana@example.org.evil.net", False),
    ("ana@example.org", "noreply@example.org", True),
    ("ana@example.org", "", True),
    ('ana@example.org', '"ana@example.org"@evil.net', False),
    ('ana@example.org', '"ana"@example.net', False),
    ("ana@example.org", "ana@[192.0.2.1]", False),
    ("nobody", "nobody@example.org", False),
    ("nobody", "", True),
    ("mta", "anybody@example.org", True),
    ("mta", "anybody@sub.example.org", True),
    ("mta", "anybody@example.com", False),
    ("scanner", "anybody@example.com", True),
    ("scanner", "", False),
]


@pytest.fixture(scope="module")
def world():
    with checked_sink() as sink, \
            running(sink, users=USERS, policy=[RULES]) as portero:
        yield sink, portero


@pytest.mark.parametrize("play", [lockstep, pipelined])
def test_senders(world, play):
    sink, portero = world
    clients = {name: portero.login(name, "s3cret") for name in USERS}
    for name, sender, right in CASES:
        sink.reset()
        replies = play(clients[name],
                       [f"MAIL FROM:<{sender}>", R, "DATA", BODY, "RSET"])
        got = [r.status for r in replies]
        assert got[0] == ("250 2.1.0" if right else "553 5.7.1"), (name, sender)
        assert [m.sender for m in sink.messages] == ([sender] if right else [])
        if not right:
            assert got[1:3] == ["503 5.5.1", "503 5.5.1"]
            assert f"[{replies[0].sid}]" in replies[0].text
    for client in clients.values():
        client.expect(221, "QUIT")


def test_a_refusal_says_who_and_is_logged(world):
    _, portero = world
    with portero.login("ana@example.org", "s3cret") as client:
        reply = client.mail("luis@example.org")
    assert reply.text.startswith(
        "5.7.1 You cannot send as luis@example.org. Use your own address. [")
    refusal = portero.wait_event("refusal", s=reply.sid)
    assert refusal["plugin"] == "sender" and refusal["reason"] == "sender"
    assert refusal["from"] == "luis@example.org"
    assert refusal["user"] == "ana@example.org"


def test_delimiters_are_the_sites_own(start):
    portero = start(users=USERS, policy=[RULES], sub_address_delimiters="-")
    with portero.login("ana@example.org", "s3cret") as client:
        client.expect(250, "MAIL FROM:<ana-shop@example.org>")
        client.expect(250, "RSET")
        client.expect("553 5.7.1", "MAIL FROM:<ana+shop@example.org>")


def test_a_trial_only_logs(start):
    rules = Section("sender", plugin="policy_sender", mode="monitor")
    portero = start(users=USERS, policy=[rules])
    with portero.login("ana@example.org", "s3cret") as client:
        assert client.send_message(sender="luis@example.org").code == 250
    seen = portero.wait_event("monitor", plugin="sender")
    assert seen["reply"].startswith("553 5.7.1 You cannot send as luis@")


# ---- a directory says whose an address is ----

@NEEDS_SLAPD
def test_aliases_groups_and_delegates(slapd, with_ldap):  # noqa: F811
    # ana is a delegate of eva, and a member of the group mailers
    slapd.change(f"dn: uid=eva,{PEOPLE}\nchangetype: modify\n"
                 f"replace: employeeType\nemployeeType: ana\n")
    portero = with_ldap(
        {"owns_filter": ["(&(mail=%a)(employeeType=%i))",
                         "(&(cn=%n)(member=%D))"], "owns_base": SUFFIX},
        policy=[Section("sender", plugin="policy_sender")])
    with portero.login("ana") as client:
        for sender in ("ana@example.org", "a@example.org", "eva@example.org",
                       "EVA@example.org", "mailers@example.org",
                       "eva+x@example.org", "ana+x@example.org"):
            assert client.send_message(sender=sender).code == 250, sender
        for sender in ("luis@example.org", "luis+eva@example.org", "*",
                       "*@example.org", "x)(mail=*@example.org",
                       "bulk@example.org"):
            assert client.mail(sender).code // 100 == 5, sender
        client.expect("553 5.7.1", "MAIL FROM:<luis@example.org>")
        slapd.pause()
        try:
            # own ones are known from the login; of others nobody can tell
            assert client.send_message(sender="a@example.org").code == 250
            reply = client.expect("451 4.7.0", "MAIL FROM:<eva@example.org>")
            assert "eva@example.org" in reply.text
        finally:
            slapd.resume()
        assert client.send_message(sender="eva@example.org").code == 250
