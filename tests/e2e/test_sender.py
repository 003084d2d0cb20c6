# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Who may send as whom."""
import email
import email.utils

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
    header="off",
    **{"class": [Section("relay", allow=["@example.org", "@*.example.org"]),
                 Section("scanner", allow=["any"], null_sender=False)]})
R = "RCPT TO:<bob@example.net>"
BODY = b"Subject: test\r\n\r\ntext\r\n.\r\n"

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
    seen = portero.wait_event("monitor", stage="mail", plugin="sender")
    assert seen["reply"].startswith("553 5.7.1 You cannot send as luis@")
    seen = portero.wait_event("monitor", stage="header", plugin="sender")
    assert seen["reply"].startswith("550 5.7.1 The message has no From")


# ---- a directory says whose an address is ----

@NEEDS_SLAPD
def test_aliases_groups_and_delegates(slapd, with_ldap):  # noqa: F811
    # ana is a delegate of eva, and a member of the group mailers
    slapd.change(f"dn: uid=eva,{PEOPLE}\nchangetype: modify\n"
                 f"replace: employeeType\nemployeeType: ana\n")
    portero = with_ldap(
        {"owns_filter": ["(&(mail=%a)(employeeType=%i))",
                         "(&(cn=%n)(member=%D))"], "owns_base": SUFFIX},
        policy=[Section("sender", plugin="policy_sender", header="off")])
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


# ---- the header ----

ANA = "ana@example.org"


def section(header, **options):
    return Section("sender", plugin="policy_sender", header=header,
                   allow=["@lists.example.org"], **options)


@pytest.fixture(scope="module", params=[False, True],
                ids=["DATA upstream", "CHUNKING upstream"])
def strict(request):
    with checked_sink(chunking=request.param) as sink, \
            running(sink, users=USERS,
                    policy=[section("reject")]) as portero:
        yield sink, portero


def by_data(client, body):
    return client.data(body + b".\r\n")


def by_chunks(client, body, size=40):
    """The reply to the first chunk that is refused, or to the last."""
    reply = None
    for at in range(0, len(body) + size, size):
        chunk = body[at:at + size]
        last = b" LAST" if not chunk else b""
        client.send(b"BDAT %d%s\r\n" % (len(chunk), last) + chunk)
        reply = client.reply()
        if reply.code != 250 or last:
            return reply
    return reply


def transfer(client, send, body):
    client.expect(250, f"MAIL FROM:<{ANA}>")
    client.expect(250, R)
    reply = send(client, body)
    if reply.code != 250:
        client.expect(250, "RSET")
    return reply


MINE = [
    b"From: ana@example.org\r\n",
    b"From: Ana <ANA@Example.org>\r\n",
    b"from:\r\n =?utf-8?q?Ana?= (home)\r\n\t<a.garcia@example.org>\r\n",
    b"From: us: ana@example.org, <ana+x@example.org>;\r\n"
    b"Sender: ana@example.org\r\n",
    b"From: x@lists.example.org\r\n",
    b"Received: by x;\r\n Mon\r\nFrom: Ana \xc3\xb1 <ana@example.org>\r\n",
]
FORGED = [
    b"From: luis@example.org\r\n",
    b"From: ana@example.org, luis@example.org\r\n",
    b"From: ana@example.org\r\nFrom: luis@example.org\r\n",
    b"From: luis@example.org\r\nFrom: ana@example.org\r\n",
    b"From: ana@example.org\r\nFrom: ana@example.org\r\n",
    b"From : luis@example.org\r\nFrom: ana@example.org\r\n",
    b"From\t: luis@example.org\r\nFrom: ana@example.org\r\n",
    b"From: luis@example.org <ana@example.org>\r\n",
    b"From: \"luis@example.org\r\n <ana@example.org>\r\n",
    b"From: (x <ana@example.org>) luis@example.org\r\n",
    b"From: luis@example.org (ana@example.org)\r\n",
    b"From: <luis@example.org> <ana@example.org>\r\n",
    b"From: <ana@example.org>, <luis@example.org>\r\n",
    b"From: <@example.org,@x:luis@example.org>\r\n",
    b"From: us: luis@example.org;\r\n",
    b"From: us:; , luis@example.org\r\n",
    b"From: ana@example.org\r\nSender: luis@example.org\r\n",
    b"From: luis@example.org\r\nSender: ana@example.org\r\n",
    b"From: ana@example.org\r\nSender: ana@example.org\r\n"
    b"Sender: luis@example.org\r\n",
    b"From: \"luis\"@example.org\r\n",
    b"From: luis@example.org.\r\n",
    b"From: ana@example.org@example.com\r\n",
    b"From: ana@[luis@example.org]\r\n",
    b"From: =?utf-8?q?luis=40example.org?=\r\n",
    b"From: ana @ example.org\r\n",
    b"From: luis@\xef\xbd\x85xample.org\r\n",
    b" From: luis@example.org\r\nFrom: ana@example.org\r\n",
    b"X: y\r\n \r\nFrom: luis@example.org\r\nFrom: ana@example.org\r\n",
    b"X: y\x0bFrom: luis@example.org\r\nFrom: ana@example.org\r\n",
    b"no field\r\nFrom: ana@example.org\r\n",
    b"From ana@example.org Mon\r\nFrom: ana@example.org\r\n",
    # the next hop takes the dot away
    b".From: luis@example.org\r\nFrom: ana@example.org\r\n",
    b"From: ana@example.org\r\n.Sender: luis@example.org\r\n",
    b"..From: luis@example.org\r\nFrom: ana@example.org\r\n",
    b"From:\r\n",
    b"From: undisclosed:;\r\n",
    b"X: no From\r\n",
    b"",
    b"From: " + b"ana@example.org," * 40 + b"\r\n",
]
REST = b"Subject: test\r\n\r\nFrom: luis@example.org\r\n..x\r\n"


@pytest.mark.parametrize("send", [by_data, by_chunks])
def test_headers(strict, send):
    sink, portero = strict
    with portero.login(ANA, "s3cret") as client:
        for head in MINE:
            sink.reset()
            reply = transfer(client, send, head + REST)
            assert reply.code == 250, (head, reply)
            message, = sink.messages
            if send == by_data:
                assert message.body == head + REST.replace(b"..x", b".x")
        sink.reset()
        for head in FORGED:
            reply = transfer(client, send, head + REST)
            assert reply.status == "550 5.7.1", (head, reply)
        client.expect(221, "QUIT")
    assert sink.messages == []


def test_what_passes_shows_no_stranger_to_another_reader(strict):
    """Python's own parser agrees about each author that is let through."""
    sink, portero = strict
    own = {ANA, "a.garcia@example.org", "ana+x@example.org",
           "x@lists.example.org"}
    with portero.login(ANA, "s3cret") as client:
        sink.reset()
        for head in MINE + FORGED:
            transfer(client, by_data, head + REST)
        assert len(sink.messages) == len(MINE)
        for message in sink.messages:
            read = email.message_from_bytes(message.content)
            seen = email.utils.getaddresses(
                [str(v) for v in read.get_all("from") + read.get_all(
                    "sender", [])])
            found = {address.lower() for _, address in seen if address}
            assert found and found <= own, seen


def test_a_refused_header_says_why_and_nothing_went_up(strict):
    sink, portero = strict
    sink.reset()
    with portero.login(ANA, "s3cret") as client:
        reply = transfer(client, by_data,
                         b"From: luis@example.org\r\n" + REST)
        assert reply.text.startswith("5.7.1 You cannot send as "
                                     "luis@example.org (From). Use your own")
    refusal = portero.wait_event("refusal", s=reply.sid)
    assert refusal["stage"] == "header" and refusal["reason"] == "sender"
    message = portero.wait_event("message", s=reply.sid)
    assert message["outcome"] == "refused"
    assert sink.messages == []


def test_the_header_in_pieces_of_any_size(strict):
    sink, portero = strict
    mine, forged = MINE[2] + REST + b".\r\n", FORGED[2] + REST + b".\r\n"
    with portero.login(ANA, "s3cret") as client:
        for at in range(1, len(mine), 7):
            for body, code in ((mine, 250), (forged, 550)):
                client.expect(250, f"MAIL FROM:<{ANA}>")
                client.expect(250, R)
                client.expect(354, "DATA")
                client.send(body[:at])
                client.send(body[at:])
                assert client.reply().code == code


def test_a_refused_body_is_read_to_its_end(strict):
    _, portero = strict
    with portero.login(ANA, "s3cret") as client:
        body = FORGED[0] + b"\r\n" + b"x" * 70 + b"\r\n"
        reply = transfer(client, by_data, body + b"text\r\n" * 300_000)
        assert reply.status == "550 5.7.1"
        assert transfer(client, by_data, MINE[0] + REST).code == 250


def test_an_endless_header(strict):
    sink, portero = strict
    sink.reset()
    line = b"X: " + b"y" * 60 + b"\r\n"
    with portero.login(ANA, "s3cret") as client:
        for n, status in ((1500, "250 2.0.0"), (2500, "552 5.3.4"),
                          (100_000, "552 5.3.4")):
            reply = transfer(client, by_data, MINE[0] + line * n + REST)
            assert reply.status == status, (n, reply)
    assert len(sink.messages) == 1


def test_a_sender_field_is_added(start, sink):
    portero = start(users=USERS, policy=[section("add_sender")])
    cases = [
        (b"From: luis@example.org\r\n", b"Sender: <ana@example.org>\r\n"),
        (b"From: ana@example.org\r\n", b""),
        (b"From: luis@example.org\r\nSender: ana@example.org\r\n", b""),
    ]
    with portero.login(ANA, "s3cret") as client:
        for head, added in cases:
            sink.reset()
            assert transfer(client, by_data, head + REST).code == 250
            message, = sink.messages
            assert message.body == added + head + REST.replace(b"..x", b".x")
        for head in (FORGED[2], FORGED[5], FORGED[16], b""):
            assert transfer(client, by_data, head + REST).code == 550, head


@NEEDS_SLAPD
def test_a_directory_knows_authors(slapd, with_ldap):  # noqa: F811
    slapd.change(f"dn: uid=eva,{PEOPLE}\nchangetype: modify\n"
                 f"replace: employeeType\nemployeeType: ana\n")
    portero = with_ldap({"owns_filter": ["(&(mail=%a)(employeeType=%i))"]},
                        policy=[section("reject")])
    eva, luis = b"From: eva@example.org\r\n", b"From: luis@example.org\r\n"
    both = b"From: ana@example.org, eva@example.org, a@example.org\r\n"
    with portero.login("ana") as client:
        for head, code in ((eva, 250), (both, 250), (luis, 550),
                           (eva[:-2] + b", luis@example.org\r\n", 550)):
            assert transfer(client, by_data, head + REST).code == code, head
        slapd.pause()
        try:
            assert transfer(client, by_data, MINE[0] + REST).code == 250
            reply = transfer(client, by_data, eva + REST)
            assert reply.status == "451 4.7.0", reply
        finally:
            slapd.resume()
        assert transfer(client, by_data, eva + REST).code == 250


# ---- what a submission server adds, and counts ----

def fields(message):
    return email.message_from_bytes(message.content)


def test_missing_fields_are_added_and_nothing_else(start, sink):
    portero = start(add_missing_headers=True)
    have = b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <a@b>\r\n"
    signed = b"DKIM-Signature: v=1; h=from:date\r\n"
    seen = set()
    with portero.login() as client:
        for head in (b"", have[:39], have[39:], have, signed):
            for _ in range(2):
                sink.reset()
                assert transfer(client, by_data, head + REST).code == 250
                message, = sink.messages
                assert message.body.endswith(
                    head + REST.replace(b"..x", b".x"))
                read = fields(message)
                if head == signed:
                    assert message.body.startswith(signed)
                    continue
                assert len(read.get_all("date")) == 1
                assert email.utils.parsedate_to_datetime(read["date"])
                assert len(read.get_all("message-id")) == 1
                if b"Message-ID" in head:
                    assert read["message-id"] == "<a@b>"
                else:
                    assert read["message-id"] not in seen
                    assert read["message-id"].endswith("@smtp.example.test>")
                    seen.add(read["message-id"])
                if head == have:
                    assert message.body.startswith(have)


def test_a_message_that_goes_in_circles(start, sink):
    portero = start()
    with portero.login() as client:
        hop = b"Received: from x by y;\r\n Mon\r\n"
        assert transfer(client, by_data, hop * 50 + REST).code == 250
        reply = transfer(client, by_data, hop * 51 + REST)
        assert reply.status == "554 5.4.6"
    assert portero.wait_event("refusal", s=reply.sid)["stage"] == "header"
    assert len(sink.messages) == 1
