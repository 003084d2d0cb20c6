# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Messages in chunks (RFC 3030), to an upstream that takes chunks and to one
that must be given DATA: every byte arrives, or none does."""
import random

import pytest

import sink as upstream
from client import bdat, lockstep, pipelined
from harness import running, wait_until
from sink import checked_sink

HEAD = b"Subject: test\r\n\r\n"


@pytest.fixture(scope="module", params=[True, False],
                ids=["upstream with CHUNKING", "without"])
def world(request):
    with checked_sink(chunking=request.param) as sink, \
            running(sink, session_workers=1) as portero:
        yield sink, portero


def begin(client):
    client.expect(250, "MAIL FROM:<ana@example.org>")
    client.expect(250, "RCPT TO:<bob@example.net>")


def chunk(client, octets, last=False):
    client.send(bdat(octets, last))
    return client.reply()


def test_chunking_is_offered(world):
    _, portero = world
    with portero.login() as client:
        assert client.ehlo()["CHUNKING"] == ""


def lines(rng, size):
    """Whole lines, many of them beginning with dots."""
    body = bytearray()
    while len(body) < size:
        body += rng.choice([b".", b"..", b"", b"."]) + b"x" * rng.randrange(99)
        body += b"\r\n"
    return bytes(body)


def test_every_byte_arrives_in_chunks_of_any_size(world):
    sink, portero = world
    rng = random.Random(5)
    with portero.login() as client:
        for largest in (1, 50, 5000, 40000, 3000000):
            sink.reset()
            body = HEAD + lines(rng, min(60 * largest, 3000000))
            begin(client)
            sent, out = 0, []
            while sent < len(body):
                n = rng.randint(1, largest)
                out.append(bdat(body[sent:sent + n]))
                sent += n
            client.send(b"".join(out))
            for _ in out:
                assert client.reply().status == "250 2.0.0"
            assert chunk(client, b"", last=True).status == "250 2.0.0"
            message, = sink.messages
            assert message.body == body
            if sink.chunking:
                assert all(n >= 32768 for n in message.chunks[:-1])


def test_a_message_without_a_last_line_end(world):
    sink, portero = world
    sink.reset()
    with portero.login() as client:
        begin(client)
        assert chunk(client, HEAD + b".", last=True).code == 250
    message, = sink.messages
    assert message.body == HEAD + (b"." if sink.chunking else b".\r\n")


def resets(sink):
    return sum(c.commands.count("RSET") for c in sink.connections)


def test_a_message_given_up_leaves_nothing(world):
    """RSET upstream where chunks go, no end of data where they do not; the
    session and the next message are as good as ever."""
    sink, portero = world
    sink.reset()
    known = resets(sink)
    with portero.login() as client:
        for _ in range(3):
            begin(client)
            assert chunk(client, HEAD + b"x" * 50000 + b"\r\n").code == 250
            client.expect("250 2.0.0", "RSET")
        begin(client)
        assert chunk(client, HEAD, last=True).code == 250
    assert len(sink.messages) == 1 and len(sink.attempts) == 4
    if sink.chunking:
        # the last of them on another connection, maybe
        wait_until(lambda: resets(sink) == known + 3, 5, "three RSET")


def test_the_client_goes_in_the_midst_of_a_chunk(world):
    sink, portero = world
    sink.reset()
    with portero.login() as client:
        begin(client)
        client.send(b"BDAT 100000 LAST\r\n" + HEAD + b"x" * 5000)
        wait_until(lambda: any(c.message for c in sink.open_connections()))
    event = portero.wait_event("message", s=client.greeting.text[-9:-1])
    assert event["outcome"] == "lost"
    assert not sink.messages


def test_the_upstream_is_lost_between_two_chunks(world):
    sink, portero = world
    sink.reset()
    with portero.login() as client:
        begin(client)
        assert chunk(client, HEAD + b"x" * 50000).code == 250
        for connection in sink.open_connections():
            connection.socket.shutdown(2)
        wait_until(lambda: not sink.open_connections())
        refused = chunk(client, b"y\r\n")
        if refused.code == 250:  # not known yet when the chunk came
            refused = chunk(client, b"y\r\n")
        assert refused.status == "451 4.4.2"
        assert chunk(client, b"z\r\n", last=True).status == "503 5.5.1"
        begin(client)
        assert chunk(client, HEAD, last=True).code == 250
    assert len(sink.messages) == 1


def test_a_chunk_refused_by_the_upstream_is_its_verdict():
    with checked_sink(chunking=True) as sink, running(sink) as portero:
        sink.on("bdat", upstream.reply("552 5.2.2 Mailbox full"))
        with portero.login() as client:
            begin(client)
            client.send(bdat(HEAD + b"x" * 200000) + bdat(b"y\r\n", last=True))
            assert client.reply().status == "250 2.0.0"
            reply = client.reply()
            assert reply.status == "552 5.2.2" and "Mailbox full" in reply.text
        assert not sink.messages


def test_octets_of_a_chunk_too_large_to_read_end_the_session(world):
    _, portero = world
    with portero.login() as client:
        begin(client)
        client.send(b"BDAT 99999999999999999999 LAST\r\nQUIT\r\n")
        assert client.reply().status == "552 5.3.4"
        assert client.is_closed()
    with portero.login() as client:
        client.send(b"BDAT 99999999999999999999\r\nQUIT\r\n")
        assert client.reply().status == "503 5.5.1"
        assert client.is_closed()


def test_nothing_behind_a_chunk_is_read_before_login(world):
    """We do not read octets for a stranger, nor take them for commands."""
    _, portero = world
    with portero.secure() as client:
        client.send(b"BDAT 6 LAST\r\nQUIT\r\n")
        assert client.reply().status == "530 5.7.0"
        assert client.is_closed()


@pytest.mark.parametrize("play", [lockstep, pipelined])
def test_who_was_not_offered_chunks_sends_none(world, play):
    sink, portero = world
    sink.reset()
    with portero.login() as client:
        client.expect(250, "HELO client.example.org")
        replies = play(client, ["MAIL FROM:<ana@example.org>",
                                "RCPT TO:<bob@example.net>", "BDAT 0 LAST"])
        assert [r.code for r in replies] == [250, 250, 502]
    assert sink.messages == []
