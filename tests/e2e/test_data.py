# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""What is between DATA and its end: every byte arrives, or none does, and
nothing in it is ever a command."""
import hashlib
import itertools
import random
import re

import pytest

import sink as upstream
from harness import Section, running, wait_until
from sink import checked_sink

PORTS = ["submissions", "submission"]


SINKS = pytest.mark.parametrize("world", ["strict sink", "lenient sink"],
                                indirect=True)


@pytest.fixture(scope="module")
def world(request):
    lenient = getattr(request, "param", "") == "lenient sink"
    with checked_sink(lenient=lenient) as sink, running(sink) as portero:
        yield sink, portero


@pytest.fixture(scope="module")
def strict_world():
    with checked_sink(lenient=True) as sink, \
            running(sink, bare_newline="reject") as portero:
        yield sink, portero


def stuffed(content):
    """A message of whole lines, ready for the wire, without its end."""
    return re.sub(rb"^\.", b"..", content, flags=re.M)


def begin(client):
    client.expect(250, "MAIL FROM:<ana@example.org>")
    client.expect(250, "RCPT TO:<bob@example.net>")
    client.expect(354, "DATA")


def deliver(client, sink, pieces):
    """Sends a body in these pieces, each a TLS record of its own; the reply
    and the message, if one came through."""
    sink.reset()
    begin(client)
    for piece in pieces:
        if piece:
            client.send(piece)
    reply = client.reply()
    assert len(sink.messages) == (1 if reply.code == 250 else 0)
    return reply, sink.messages[0] if sink.messages else None


# ---- the end of data, and what is not ----

ENDINGS = {"CRLF": b"\r\n", "LF": b"\n", "CR": b"\r", "CRCRLF": b"\r\r\n",
           "LFCR": b"\n\r"}
PAIRS = [(a, b) for a, b in itertools.product(ENDINGS, ENDINGS)
         if b"\r\n.\r\n" not in ENDINGS[a] + b"." + ENDINGS[b]]
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\n" \
    b"DATA\r\nevil\r\n"


def is_faulty(body, is_strict):
    return re.search(rb"\r(?!\n)|\0", body) or \
        (is_strict and re.search(rb"(?<!\r)\n", body))


def as_read(body):
    """What a reader must get of a body with bare LFs: lines as the client's
    reader sees them, every dot behind a bare LF being text."""
    lines = body.split(b"\r\n")
    lines = [l[1:] if l.startswith(b".") and not l.startswith(b".\n") else l
             for l in lines]
    return b"\r\n".join(lines).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def check_smuggling(world, before, after, is_strict):
    """One message at most, whole, for every place where it may be cut."""
    sink, portero = world
    tail = ENDINGS[before] + b"." + ENDINGS[after]
    body = b"Subject: x\r\n\r\ntext" + tail + SMUGGLED
    end = b".\r\n"
    with portero.login() as client:
        start = len(body) - len(SMUGGLED) - len(tail) - 2
        for cut in range(start, len(body) - len(SMUGGLED) + 3):
            reply, message = deliver(client, sink,
                                     [body[:cut], body[cut:] + end])
            if is_faulty(body, is_strict):
                assert reply.status == "550 5.6.11", (cut, reply)
            else:
                assert reply.code == 250, (cut, reply)
                assert message.body == as_read(body), cut
            assert len(sink.attempts) == 1, "one transaction, no more"
        # byte by byte
        deliver(client, sink, [bytes([c]) for c in body + end])
        assert len(sink.attempts) == 1
        client.expect("250 2.0.0", "NOOP")


@SINKS
@pytest.mark.parametrize("before,after", PAIRS)
def test_only_crlf_dot_crlf_is_the_end(world, before, after):
    check_smuggling(world, before, after, is_strict=False)


@pytest.mark.parametrize("before,after", PAIRS)
def test_bare_newlines_can_be_refused(strict_world, before, after):
    check_smuggling(strict_world, before, after, is_strict=True)


def test_end_cut_at_every_place(world):
    sink, portero = world
    wire = b"Subject: x\r\n\r\n..\r\n.\r\n"
    with portero.login() as client:
        for cut in range(len(wire) + 1):
            reply, message = deliver(client, sink, [wire[:cut], wire[cut:]])
            assert reply.code == 250
            assert message.body == b"Subject: x\r\n\r\n.\r\n"


def test_end_behind_a_bare_cr_is_the_end_all_the_same(world):
    sink, portero = world
    with portero.login() as client:
        reply, _ = deliver(client, sink, [b"text\r\r\n.\r\nNOOP\r\n"])
        assert reply.status == "550 5.6.11"
        assert client.reply().status == "250 2.0.0"


def test_commands_behind_the_end_are_heard(world):
    """The next transaction in the same segment as the dot, three times."""
    sink, portero = world
    sink.reset()
    rest = b"MAIL FROM:<ana@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
    with portero.login() as client:
        begin(client)
        for n in range(3):
            client.send(b"Subject: %d\r\n\r\n.\r\n" % n + rest)
            assert [client.reply().code for _ in range(4)] == \
                [250, 250, 250, 354]
        client.send(b".\r\nRSET\r\nNOOP\r\nQUIT\r\n")
        assert [client.reply().code for _ in range(4)] == [250, 250, 250, 221]
        assert client.is_closed()
    assert len(sink.messages) == 4


# ---- dots, lines, sizes ----

def random_lines(size, seed):
    """Text of exactly this size whose lines often begin with dots."""
    dice = random.Random(seed)
    out = bytearray()
    while (room := size - len(out)) > 0:
        line = b"." * dice.choice((0, 0, 0, 1, 2, 3)) + \
            dice.randbytes(dice.randrange(0, 60)).hex().encode()
        if len(line) > room - 5:  # the last one
            line = b"x" * (room - 2)
        out += line + b"\r\n"
    return bytes(out)


CONTENTS = {
    "empty": b"",
    "one empty line": b"\r\n",
    "header only": b"Subject: x\r\n",
    "no header": b"\r\ntext\r\n",
    "a dot": b"\r\n.\r\n",
    "dots": b"\r\n.\r\n..\r\n...\r\n. \r\n.x\r\n..x\r\nx.\r\n.\r\n",
    "many dots": b"\r\n" + b".\r\n" * 5000,
    "998 octets": b"\r\n" + b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n",
    "8 bit": b"\r\n" + bytes(c for c in range(1, 256) if c not in b"\r\n") +
             b"\r\n",
    "a line of a million": b"\r\n" + b"y" * 1_000_000 + b"\r\n",
    **{f"{size} octets": random_lines(size, size)
       for base in (1024, 4096, 16384, 32768, 65536)
       for size in range(base - 3, base + 4)},
    "10 MiB": random_lines(10 << 20, 1),
}


@pytest.mark.parametrize("listener", PORTS)
def test_every_byte_arrives(world, listener):
    sink, portero = world
    with portero.login(listener=listener) as client:
        for name, content in CONTENTS.items():
            reply, message = deliver(client, sink,
                                     [stuffed(content) + b".\r\n"])
            assert reply.code == 250, (name, reply)
            assert hashlib.sha256(message.body).digest() == \
                hashlib.sha256(content).digest(), name
            logged = portero.wait_event("message", s=client.greeting.sid,
                                        size=len(content))
            assert logged["outcome"] == "accepted"


def test_every_byte_arrives_in_small_pieces(world):
    sink, portero = world
    content = random_lines(30_000, 7)
    wire = stuffed(content) + b".\r\n"
    dice = random.Random(8)
    with portero.login() as client:
        for most in (3, 70, 1500):
            pieces, at = [], 0
            while at < len(wire):
                size = dice.randrange(1, most + 1)
                pieces.append(wire[at:at + size])
                at += size
            _, message = deliver(client, sink, pieces)
            assert message.body == content


def test_unstuffed_dot_line_passes_as_it_is(world):
    """A client that forgot to stuff: the next hop takes the dot, as always."""
    sink, portero = world
    with portero.login() as client:
        _, message = deliver(client, sink, [b"\r\n.forgotten\r\n.\r\n"])
    assert message.wire.endswith(b"\r\n\r\n.forgotten\r\n")
    assert message.body == b"\r\nforgotten\r\n"


# ---- bare CR, bare LF, NUL ----

@pytest.mark.parametrize("body", [
    b"a\rb\r\n", b"a\0b\r\n", b"a\r\r\n", b"\0", b"\r", b".\r\r\n", b"\r\n.\rM",
    b"a\r\n.\0\r\n", b"ok\r\n" * 20000 + b"a\rb\r\n"])
def test_bare_cr_and_nul_are_refused_at_the_end(world, body):
    sink, portero = world
    with portero.login() as client:
        reply, _ = deliver(client, sink,
                           [b"Subject: x\r\n\r\n" + body + b"\r\n.\r\n"])
        assert reply.status == "550 5.6.11"
        upward = sink.connections[sink.attempts[0].connection]
        wait_until(lambda: upward.over, what="upstream's end")
        assert sink.attempts[0].state == "data", "the dot must not be sent"
        logged = portero.wait_event("message", s=reply.sid)
        assert logged["outcome"] == "refused"
        assert client.send_message().code == 250
    assert len(sink.messages) == 1


def test_bare_lf_becomes_crlf(world):
    sink, portero = world
    text = b"Subject: x\n\n.\n..\n.x\nlast\n"
    with portero.login() as client:
        _, message = deliver(client, sink, [text + b"\r\n.\r\n"])
    assert message.body == text.replace(b"\n", b"\r\n") + b"\r\n"


@pytest.mark.parametrize("first,status", [(b"\0\r\n", "550 5.6.11"),
                                          (b"", "552 5.3.4")])
def test_refused_body_is_not_swallowed_for_ever(start, sink, first, status):
    """Of what cannot be sent anyway only so much is read: the reply comes
    although the end does not."""
    portero = start(policy=[Section("size", plugin="policy_size", max="1M")])
    with portero.login() as client:
        begin(client)
        client.send(first)
        for _ in range(80):
            client.send((b"x" * 98 + b"\r\n") * 10_000)
        assert client.reply().status == status
        assert client.is_closed()
    assert not sink.messages


# ---- sizes that are allowed ----

@pytest.fixture(scope="module")
def small_world():
    with checked_sink() as sink, running(
            sink, policy=[Section("size", plugin="policy_size",
                                  max="64K")]) as portero:
        yield sink, portero


def test_size_that_is_offered(small_world):
    """At least what a person may send: the least of all limits follows at
    MAIL."""
    _, portero = small_world
    with portero.login() as client:
        assert int(client.ehlo()["SIZE"]) >= 65536


@pytest.mark.parametrize("parameters", ["", " SIZE=1000"])
def test_too_large_when_it_happens(small_world, parameters):
    sink, portero = small_world
    for size in (65537, 200_000, 3_000_000):
        sink.reset()
        with portero.login() as client:
            client.expect(250, f"MAIL FROM:<ana@example.org>{parameters}")
            client.expect(250, "RCPT TO:<bob@example.net>")
            client.expect(354, "DATA")
            client.send(stuffed(random_lines(size, 3)) + b".\r\n")
            reply = client.reply()
            assert reply.status == "552 5.3.4", reply
            sizes = {65537: "is 65537 bytes, the limit is 65536 bytes",
                     200_000: "is 195.3 kB, the limit is 64 kB",
                     3_000_000: "is 2.8 MB, the limit is 64 kB"}
            assert sizes[size] in reply.text, "both sizes must be named"
            assert portero.wait_event("message", s=reply.sid)["outcome"] == \
                "refused"
            assert not sink.messages
            assert sink.attempts[0].state == "data"
            assert client.send_message().code == 250


def test_exactly_the_size_that_is_allowed(small_world):
    """Stuffed dots and the end do not count (RFC 1870)."""
    sink, portero = small_world
    with portero.login() as client:
        for extra, code in ((0, 250), (2, 552)):
            body = b"\r\n" * (extra // 2) + random_lines(65536, 5)
            reply, _ = deliver(client, sink, [stuffed(body) + b".\r\n"])
            assert reply.code == code, (len(body), reply)


def test_size_that_the_upstream_allows_is_kept(start, sink):
    sink.size = 100_000
    portero = start()
    # the upstream's offer is learnt by a probe
    def offered():
        with portero.secure() as client:
            return int(client.ehlo()["SIZE"]) <= 100_000
    wait_until(offered, 10, "SIZE")
    with portero.login() as client:
        assert int(client.ehlo()["SIZE"]) >= 98_000
        client.expect("552 5.3.4", "MAIL FROM:<ana@example.org> SIZE=100001")


# ---- refused DATA ----

MAIL = b"MAIL FROM:<ana@example.org>\r\n"
RCPT = b"RCPT TO:<bob@example.net>\r\n"
UNKNOWN = b"RCPT TO:<unknown@example.net>\r\n"


@pytest.mark.parametrize("behind", [b"Subject: x\r\n\r\ntext\r\n.\r\n",
                                    b"RSET\r\nMAIL FROM:<evil@example.org>\r\n"])
@pytest.mark.parametrize("before,status", [
    (MAIL + RCPT, "451 4.3.2"), (MAIL + UNKNOWN, "554 5.5.1"),
    (MAIL, "503 5.5.1"), (b"", "503 5.5.1")])
def test_octets_behind_a_refused_data_are_no_commands(world, before, status,
                                                      behind):
    sink, portero = world
    sink.reset()
    sink.on("data", upstream.reply("451 4.3.2 Disk full"))
    sink.on("rcpt", upstream.reply("550 5.1.1 No such user"), match="unknown")
    with portero.login() as client:
        client.send(before + b"DATA\r\n" + behind)
        for _ in range(before.count(b"\r\n")):
            client.reply()
        assert client.reply().status == status
        assert client.is_closed()
    assert len(sink.attempts) == before.count(MAIL)


# ---- the trace field ----

def test_received_field_tells_ids_and_no_address(world):
    sink, portero = world
    with portero.login(listener="submission") as client:
        for number in (1, 2):
            _, message = deliver(client, sink,
                                 [b"Received: from x\r\nSubject: y\r\n\r\n.\r\n"])
            trace = message.trace
            assert trace.startswith("Received: by smtp.example.test ")
            assert f"{client.greeting.sid}.{number}" in trace
            assert "ESMTPSA" in trace
            assert "127.0.0.1" not in trace and "client.example" not in trace
            assert "ana" not in trace
            assert re.search(r"; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d "
                             r"[+-]\d{4}$", trace)
            assert message.body == b"Received: from x\r\nSubject: y\r\n\r\n"
            head, _ = message.split()
            assert max(map(len, head.split(b"\r\n"))) < 78


def test_person_in_the_trace_is_the_same_and_not_another(world):
    sink, portero = world
    tags = []
    for user, password in (("ana", "s3cret"), ("luis", "pa55word"),
                           ("ana", "s3cret")):
        with portero.login(user, password) as client:
            _, message = deliver(client, sink, [b"\r\n.\r\n"])
            tags.append(re.search(r"\(person (\w+)\)", message.trace).group(1))
            assert portero.wait_event("auth", s=client.greeting.sid)["person"] \
                == tags[-1]
    assert tags[0] == tags[2] != tags[1]
