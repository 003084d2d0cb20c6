# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""One table of dialogues, played by a client that waits for every reply and
by one that sends whole groups: both must read the same.

Each side has a person of its own, so that limits count the same for both.
"""
import itertools
import re
from dataclasses import dataclass, field

import pytest

import sink as upstream
from client import bdat, lockstep, pipelined
from harness import Section, running
from sink import checked_sink

BODY = b"Subject: test\r\n\r\n..text\r\n.\r\n"
TEXT = b"Subject: test\r\n\r\n.text\r\n"
CHUNK = bdat(TEXT, last=True)
M = "MAIL FROM:<ana@example.org>"
R = "RCPT TO:<bob@example.net>"


def to(name):
    return f"RCPT TO:<{name}@example.net>"


@dataclass
class Case:
    name: str
    steps: list
    want: list            # the replies' codes, with the enhanced where it tells
    rules: list = field(default_factory=list)  # step, action, further arguments
    delivered: int = 0    # messages that reach the upstream, for each client
    body: bytes = b""     # the end of the first of them, as it arrives there


def mixed(count):
    """So many recipients, every third unknown."""
    return [to(f"unknown{i}" if i % 3 == 2 else f"user{i}")
            for i in range(count)]


UNKNOWN = [("rcpt", upstream.reply("550 5.1.1 No such user"),
            {"match": "unknown"})]

CASES = [
    Case("one message", [M, R, "DATA", BODY],
         ["250 2.1.0", "250 2.1.5", 354, "250 2.0.0"], delivered=1),
    Case("null reverse-path", ["MAIL FROM:<>", R, "DATA", BODY],
         [250, 250, 354, 250], delivered=1),
    Case("parameters", [M + " SIZE=100 BODY=8BITMIME", R, "DATA", BODY],
         [250, 250, 354, 250], delivered=1),
    Case("three messages in a row", [M, R, "DATA", BODY] * 3,
         [250, 250, 354, 250] * 3, delivered=3),
    Case("many recipients, some unknown", [M, *mixed(9), "DATA", BODY],
         [250] + [250, 250, "550 5.1.1"] * 3 + [354, 250],
         rules=UNKNOWN, delivered=1),
    Case("all recipients unknown", [M, to("unknown1"), to("unknown2"), "DATA"],
         [250, "550 5.1.1", "550 5.1.1", "554 5.5.1"], rules=UNKNOWN),
    Case("all unknown, then a new start",
         [M, to("unknown1"), "DATA", M, R, "DATA", BODY],
         [250, "550 5.1.1", "554 5.5.1", 250, 250, 354, 250],
         rules=UNKNOWN, delivered=1),
    Case("multi-line refusal",
         [M, to("unknown"), R, "DATA", BODY],
         [250, "550 5.1.1", 250, 354, 250], delivered=1,
         rules=[("rcpt", upstream.reply(
             "550-5.1.1 No such user\n550-5.1.1 in this house;\n"
             "550 5.1.1 see https://example.net/"), {"match": "unknown"})]),
    Case("refusal without an enhanced code", [M, to("unknown"), "RSET"],
         [250, "550 5.0.0", "250 2.0.0"],
         rules=[("rcpt", upstream.reply("550 No such user"),
                 {"match": "unknown"})]),
    Case("temporary refusal of a recipient", [M, R, to("later"), "DATA", BODY],
         [250, 250, "450 4.2.0", 354, 250], delivered=1,
         rules=[("rcpt", upstream.reply("450 4.2.0 Mailbox busy"),
                 {"match": "later"})]),
    Case("MAIL refused by the upstream", [M, R, "DATA", M, R, "DATA", BODY],
         ["550 5.7.1", "503 5.5.1", "503 5.5.1", 250, 250, 354, 250],
         rules=[("mail", upstream.reply("550 5.7.1 Not from you"),
                 {"times": 1})], delivered=1),
    Case("DATA refused by the upstream", [M, R, "DATA", M, R, "DATA", BODY],
         [250, 250, "451 4.3.2", 250, 250, 354, 250],
         rules=[("data", upstream.reply("451 4.3.2 Disk full"),
                 {"times": 1})], delivered=1),
    Case("message refused by the upstream", [M, R, "DATA", BODY, "NOOP"],
         [250, 250, 354, "554 5.7.1", "250 2.0.0"],
         rules=[("dot", upstream.reply("554 5.7.1 Spam"))]),
    Case("the upstream closes the door: 421 at RCPT", [M, R, R, "RSET"],
         [250, "451 4.3.0", 451, "250 2.0.0"],
         rules=[("rcpt", upstream.say_and_close("421 4.3.2 Going down"))]),
    Case("addressed to us: 530 at MAIL", [M, R, "RSET"],
         ["451 4.3.0", "503 5.5.1", "250 2.0.0"],
         rules=[("mail", upstream.reply("530 5.7.0 Log in"))]),
    Case("addressed to us: 503 at RCPT", [M, R, "RSET"],
         [250, "451 4.3.0", "250 2.0.0"],
         rules=[("rcpt", upstream.reply("503 5.5.1 Not now"))]),
    Case("addressed to us: 555 at MAIL", [M, "RSET"], ["451 4.3.0", 250],
         rules=[("mail", upstream.reply("555 5.5.4 No such parameter"))]),

    # what we refuse ourselves
    Case("RCPT and DATA without MAIL", [R, "DATA", M, "RSET"],
         ["503 5.5.1", "503 5.5.1", 250, 250]),
    Case("DATA without RCPT", [M, "DATA", R, "DATA", BODY],
         [250, "503 5.5.1", 250, 354, 250], delivered=1),
    Case("MAIL in a transaction", [M, M, R, "DATA", BODY],
         [250, "503 5.5.1", 250, 354, 250], delivered=1),
    Case("RSET forgets", [M, R, "RSET", R, "DATA"],
         [250, 250, "250 2.0.0", "503 5.5.1", "503 5.5.1"]),
    Case("EHLO forgets", [M, R, "EHLO client.example.test", R],
         [250, 250, 250, "503 5.5.1"]),
    Case("STARTTLS and AUTH in a transaction", [M, "STARTTLS", "AUTH PLAIN",
                                                "RSET"],
         [250, "503 5.5.1", "503 5.5.1", 250]),
    Case("malformed addresses",
         ["MAIL FROM:ana@example.org", "MAIL FROM:<ana>", M,
          "RCPT TO:<bob>", "RCPT TO:<@a,@b:bob@example.net>", "RCPT TO:<>", R,
          "DATA", BODY],
         ["501 5.1.7", "501 5.1.7", 250, "501 5.1.3", "553 5.1.3", "501 5.1.3",
          250, 354, 250], delivered=1),
    Case("unknown parameters",
         [M + " X=1", M + " SIZE=x", M + " SIZE=1 SIZE=1", M, R + " X=1", R,
          "DATA now", "DATA", BODY],
         ["555 5.5.4", "501 5.5.4", "501 5.5.4", 250, "555 5.5.4", 250,
          "501 5.5.4", 354, 250], delivered=1),
    Case("internationalized address", ["MAIL FROM:<añ@example.org>", M,
                                       "RCPT TO:<ñ@example.net>", "RSET"],
         ["553 5.6.7", 250, "553 5.6.7", 250]),
    Case("unknown and unsupported commands", ["FROB", "EXPN list",
                                              "NOOP a b c", "HELP", "VRFY ana"],
         ["500 5.5.2", "502 5.5.1", 250, 214, 252]),
    Case("the tenth error is the last", ["FROB"] * 10, ["500 5.5.2"] * 9 + [421]),
    Case("too large by SIZE=", [M + " SIZE=99999999", R, M + " SIZE=1000", R,
                                "DATA", BODY],
         ["552 5.3.4", "503 5.5.1", 250, 250, 354, 250], delivered=1),
    Case("SIZE= beyond any number", [M + " SIZE=99999999999999999999", "NOOP"],
         ["552 5.3.4", 250]),
    Case("more recipients than a message may have",
         [M, *(to(f"user{i}") for i in range(14)), "DATA", BODY],
         [250] + [250] * 12 + ["452 4.5.3"] * 2 + [354, 250], delivered=1),

    # BDAT (RFC 3030)
    Case("BDAT: one chunk", [M, R, CHUNK, "NOOP"],
         [250, 250, "250 2.0.0", 250], delivered=1),
    Case("BDAT: three chunks, a line and a CRLF cut",
         [M, R, bdat(b"Subject: te"), bdat(b"st\r\n\r\n.text\r"),
          bdat(b"\n", last=True), M, R, CHUNK],
         [250, 250, "250 2.0.0", "250 2.0.0", "250 2.0.0", 250, 250, 250],
         delivered=2),
    Case("BDAT: the last chunk is empty",
         [M, R, bdat(TEXT), bdat(b"", last=True)], [250] * 4, delivered=1),
    Case("BDAT: one empty chunk", [M, R, bdat(b"", last=True)],
         [250] * 3, delivered=1),
    Case("BDAT: no octet is a command, no dot an end",
         [M, R, bdat(b"A: b\r\n\r\n.\r\nQUIT\r\n..\r\n.\r\n", last=True)],
         [250] * 3, delivered=1, body=b"A: b\r\n\r\n.\r\nQUIT\r\n..\r\n.\r\n"),
    Case("BDAT and DATA in turn", [M, R, CHUNK, M, R, "DATA", BODY, M, R, CHUNK],
         [250, 250, 250, 250, 250, 354, 250, 250, 250, 250], delivered=3),
    Case("BDAT without MAIL, the octets are read",
         [bdat(b"QUIT\r\n", last=True), M, R, CHUNK],
         ["503 5.5.1", 250, 250, 250], delivered=1),
    Case("BDAT without RCPT: failed until RSET",
         [M, bdat(b"QUIT\r\n"), bdat(TEXT), R, M, "RSET",
          M, R, CHUNK],
         [250, "503 5.5.1", "503 5.5.1", "503 5.5.1", "503 5.5.1", 250,
          250, 250, 250], delivered=1),
    Case("BDAT: all recipients unknown, the last chunk ends it",
         [M, to("unknown1"), bdat(TEXT), bdat(TEXT), bdat(TEXT, last=True),
          M, R, CHUNK],
         [250, "550 5.1.1", "554 5.5.1", "503 5.5.1", "503 5.5.1",
          250, 250, 250], rules=UNKNOWN, delivered=1),
    Case("BDAT: some recipients unknown", [M, *mixed(6), CHUNK],
         [250] + [250, 250, "550 5.1.1"] * 2 + [250], rules=UNKNOWN,
         delivered=1),
    Case("BDAT: MAIL refused by the upstream", [M, R, CHUNK, M, R, CHUNK],
         ["550 5.7.1", "503 5.5.1", "503 5.5.1", 250, 250, 250],
         rules=[("mail", upstream.reply("550 5.7.1 Not from you"),
                 {"times": 1})], delivered=1),
    Case("BDAT: message refused by the upstream",
         [M, R, bdat(TEXT), bdat(TEXT, last=True), "NOOP"],
         [250, 250, 250, "554 5.7.1", 250],
         rules=[("dot", upstream.reply("554 5.7.1 Spam"))]),
    Case("DATA, MAIL and RCPT behind BDAT", [M, R, bdat(TEXT), M, R, "AUTH PLAIN",
                                             "STARTTLS", "VRFY ana",
                                             bdat(TEXT, last=True)],
         [250, 250, 250] + ["503 5.5.1"] * 4 + [252, 250], delivered=1),
    Case("DATA behind BDAT", [M, R, bdat(TEXT), "DATA", "RSET", M, R, CHUNK],
         [250, 250, 250, "503 5.5.1", 250, 250, 250, 250], delivered=1),
    Case("BDAT: RSET ends a message half sent",
         [M, R, bdat(TEXT), "RSET", bdat(TEXT, last=True), M, R, CHUNK],
         [250, 250, 250, 250, "503 5.5.1", 250, 250, 250], delivered=1),
    Case("BDAT: EHLO ends a message half sent",
         [M, R, bdat(TEXT), "EHLO client.example.test", M, R, CHUNK],
         [250, 250, 250, 250, 250, 250, 250], delivered=1),
    Case("BDAT: bare CR", [M, R, bdat(b"a\rb\r\n", last=True), M, R, CHUNK],
         [250, 250, "550 5.6.11", 250, 250, 250], delivered=1),
    Case("BDAT: bare CR at the very end", [M, R, bdat(b"a\r", last=True), "NOOP"],
         [250, 250, "550 5.6.11", 250]),
    Case("BDAT: NUL in the first of three chunks",
         [M, R, bdat(b"a\0b\r\n"), bdat(TEXT), bdat(TEXT, last=True),
          M, R, CHUNK],
         [250, 250, "550 5.6.11", "503 5.5.1", "503 5.5.1", 250, 250, 250],
         delivered=1),
    Case("BDAT: bare LF is made whole", [M, R, bdat(b"a: b\n\n.\nc\n", last=True)],
         [250] * 3, delivered=1),
    Case("BDAT: more than the person may send",
         [M, R, bdat(TEXT), bdat(b"x" * 1100000), CHUNK, M, R, CHUNK],
         [250, 250, 250, "552 5.3.4", "503 5.5.1", 250, 250, 250], delivered=1),
    Case("BDAT: SIZE= larger than what comes", [M + " SIZE=1000000", R, CHUNK],
         [250] * 3, delivered=1),
    Case("BDAT: message limit", [M, R, CHUNK] * 3 + [M, R, CHUNK],
         [250] * 9 + ["550 5.7.1", "503 5.5.1", "503 5.5.1"], delivered=3),
    Case("BDAT: refused at its end costs nothing", [M, R, bdat(b"\r", last=True)] * 4
         + [M, R, CHUNK],
         [250, 250, "550 5.6.11"] * 4 + [250] * 3, delivered=1),
    Case("malformed BDAT", ["BDAT", "BDAT x", "BDAT 1 FIRST", "BDAT -1",
                            "BDAT 1 LAST 2", M, "BDAT 0x10"],
         ["501 5.5.4"] * 5 + [250, "501 5.5.4"]),

    # limits: each person may send 3 messages and 20 recipients an hour
    Case("message limit", [M, R, "DATA", BODY] * 3 + [M, R],
         [250, 250, 354, 250] * 3 + ["550 5.7.1", "503 5.5.1"], delivered=3),
    Case("recipient limit, the rest of the message goes",
         [M, *(to(f"user{i}") for i in range(12)), "DATA", BODY,
          M, *(to(f"user{i}") for i in range(10)), "DATA", BODY],
         [250] * 13 + [354, 250] +
         [250] + [250] * 8 + ["550 5.7.1"] * 2 + [354, 250], delivered=2),
    Case("refused by the upstream costs nothing",
         [M, to("unknown"), "DATA"] * 4 + [M, R, "DATA", BODY],
         [250, "550 5.1.1", "554 5.5.1"] * 4 + [250, 250, 354, 250],
         rules=UNKNOWN, delivered=1),
    Case("message refused at its end costs nothing",
         [M, R, "DATA", BODY] * 5,
         [250, 250, 354, "554 5.7.1"] * 4 + [250, 250, 354, 250],
         rules=[("dot", upstream.reply("554 5.7.1 Spam"), {"times": 4})],
         delivered=1),
]

people = itertools.count()


UPSTREAMS = {
    "pipelining upstream": {},
    "lock-step upstream": {"pipelining": False},
    "chunking upstream": {"chunking": True},
}


@pytest.fixture(scope="module", params=UPSTREAMS.values(), ids=UPSTREAMS)
def world(request):
    """A sink and a Portero before it, with a person for each run of a case."""
    names = {f"person{i}": "s3cret" for i in range(6 * len(CASES) + 30)}
    with checked_sink(**request.param) as sink, running(
            sink, users=names, max_recipients=12,
            store={"plugin": "store_memory"},
            policy=[
                Section("quota", plugin="policy_rate", limit=[
                    Section("hourly", messages=3, per="2h"),
                    Section("people", recipients=20, per="2h")]),
                Section("size", plugin="policy_size", max="1M"),
            ]) as portero:
        yield sink, portero


def play(world, case, runner):
    """The replies, and what reached the upstream."""
    sink, portero = world
    sink.reset()
    for step, action, *arguments in case.rules:
        sink.on(step, action, **(arguments[0] if arguments else {}))
    with portero.login(f"person{next(people)}", "s3cret") as client:
        replies = runner(client, case.steps)
        if replies[-1].code == 421:
            assert client.is_closed()
        else:
            client.expect(221, "QUIT")
    return replies, [(m.sender, m.recipients, m.body) for m in sink.messages]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_dialogue(world, case):
    slow, slow_mail = play(world, case, lockstep)
    got = [r.code if isinstance(w, int) else r.status
           for r, w in zip(slow, case.want)]
    assert got == case.want, "\n".join(map(str, slow))
    assert len(slow) == len(case.want)
    assert len(slow_mail) == case.delivered
    assert not case.body or slow_mail[0][2].endswith(case.body)
    fast, fast_mail = play(world, case, pipelined)
    assert [r.plain() for r in fast] == [r.plain() for r in slow]
    assert fast_mail == slow_mail


def test_who_waits_for_the_refusal_of_data_may_go_on(world):
    """Only octets that were on their way already end the session."""
    _, portero = world
    name = f"person{next(people)}"
    for _ in range(20):
        with portero.login(name, "s3cret") as client:
            pipelined(client, [M, R, "RSET", R, "DATA"])
            client.expect(221, "QUIT")


# ---- what our own refusals tell ----

def test_refusals_carry_the_session_id_and_are_short(world):
    _, portero = world
    name = f"person{next(people)}"
    with portero.login(name, "s3cret") as client:
        sid = client.greeting.sid
        assert sid
        for line in ("FROB", "RCPT TO:<a@b>", "MAIL FROM:<x>", "DATA",
                     M + " SIZE=99999999"):
            reply = client.command(line)
            assert reply.code >= 500 and reply.sid == sid, reply
            assert len(reply.lines) == 1
            assert 4 + len(reply.text) <= 300
    session = portero.wait_event("session", s=sid)
    assert session["user"] == name and session["ip"] == "127.0.0.1"


def test_limit_refusal_names_limit_and_time(world):
    _, portero = world
    name = f"person{next(people)}"
    with portero.login(name, "s3cret") as client:
        for _ in range(3):
            assert client.send_message().code == 250
        reply = client.mail("ana@example.org")
    assert reply.status == "550 5.7.1"
    assert re.search(r"\b3\b", reply.text), reply
    assert re.search(r"\b\d\d:\d\d\b", reply.text), reply
    refusal = portero.wait_event("refusal", s=reply.sid)
    assert refusal["stage"] == "mail" and refusal["user"] == name
    assert refusal["limit"] == "hourly"
    assert (refusal["used"], refusal["of"]) == ("3", "3")
    assert refusal["until"].endswith("Z")


def test_size_refusal_names_both_sizes(world):
    _, portero = world
    with portero.login(f"person{next(people)}", "s3cret") as client:
        reply = client.mail("ana@example.org", " SIZE=3145728")
    assert reply.status == "552 5.3.4"
    assert "3" in reply.text and "1" in reply.text, reply
    assert portero.wait_event("refusal", s=reply.sid)["stage"] == "mail"


def test_help_link_stands_before_the_session_id(start):
    portero = start(help_url="https://help.example.org/e")
    with portero.secure() as client:
        reply = client.auth_plain("ana", "wrong")
        assert re.search(r" https://help\.example\.org/e/\w+ \[\w{8}\]$",
                         reply.text), reply
