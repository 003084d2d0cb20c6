# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Bad days of the upstream: what the client hears, what the log says, and
that no half of a message is ever delivered."""
import threading
import time

import pytest

import sink as upstream
from harness import certificates, private_memory, room, wait_until

MAIL = "MAIL FROM:<ana@example.org>"
RCPT = "RCPT TO:<bob@example.net>"
TEXT = b"Subject: test\r\n\r\ntext\r\n"


def envelope(client):
    client.expect(250, MAIL)
    client.expect(250, RCPT)


def goes_on(client, sink):
    """The session lives, and a message goes through once all is well."""
    sink.as_usual()
    before = len(sink.messages)
    client.expect(250, "RSET")
    reply = client.send_message()
    assert reply.code == 250, reply
    assert len(sink.messages) == before + 1


def outcome(portero, client):
    """What the log says of the session's last message."""
    sid = client.greeting.sid
    portero.wait_event("message", s=sid)
    return portero.events("message", s=sid)[-1]


# ---- away ----

def test_refused_connection(start, sink):
    portero = start()
    sink.down()
    with portero.login() as client:
        reply, seconds = client.timed(client.command, MAIL)
        assert reply.status == "451 4.4.1" and seconds < room(2)
        client.expect("503 5.5.1", RCPT)
        sink.up()
        goes_on(client, sink)


def test_refused_connection_is_told_to_a_pipelining_client(start, sink):
    portero = start()
    sink.down()
    with portero.login() as client:
        client.send(f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
        got = [client.reply().status for _ in range(3)]
        assert got == ["451 4.4.1", "503 5.5.1", "503 5.5.1"]
        sink.up()
        goes_on(client, sink)


@pytest.mark.parametrize("step", ["connect", "ehlo"])
def test_silence_before_mail(start, sink, step):
    portero = start(upstream={"connect_timeout": "1s"})
    sink.on(step, upstream.silent())
    with portero.login() as client:
        reply, seconds = client.timed(client.command, MAIL)
        assert reply.status == "451 4.4.1" and 0.5 < seconds < 6
        goes_on(client, sink)


@pytest.mark.parametrize("step,action", [
    ("connect", upstream.close()),
    ("greeting", upstream.say_and_close("421 4.3.2 Too busy")),
    ("greeting", upstream.reply("554 5.7.1 Go away")),
    ("greeting", upstream.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    ("greeting", upstream.raw(b"\0\xff\n\n")),
    ("greeting", upstream.endless("220-and so on")),
    ("ehlo", upstream.close()),
    ("ehlo", upstream.reply("421 4.3.2 Too busy")),
    ("ehlo", upstream.reply("550 5.7.1 Not you")),
    ("ehlo", upstream.endless()),
    ("ehlo", upstream.raw(b"250" + b"x" * 100000)),
])
def test_no_greeting_of_use(start, sink, step, action):
    portero = start(upstream={"connect_timeout": "2s"})
    sink.on(step, action)
    with portero.login() as client:
        reply, seconds = client.timed(client.command, MAIL)
        assert reply.status in ("451 4.4.1", "451 4.3.0"), reply
        assert seconds < 8
        goes_on(client, sink)
    assert not sink.attempts[:-1]


# ---- each step, each kind of trouble ----

STEPS = ["mail", "rcpt", "data", "dot"]


def run_to(client, step):
    """The reply to a step, those before it being accepted."""
    if step == "mail":
        return client.command(MAIL)
    client.expect(250, MAIL)
    if step == "rcpt":
        return client.command(RCPT)
    client.expect(250, RCPT)
    if step == "data":
        return client.command("DATA")
    client.expect(354, "DATA")
    client.send(TEXT + b".\r\n")
    return client.reply()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("line", [
    "450 4.2.0 Mailbox busy", "451 4.7.1 Greylisted", "452 4.3.1 Disk full",
    "550 5.7.1 Refused by local policy", "552 5.3.4 Too big for me",
    "554 5.6.0 No"])
def test_refusals_are_passed_on_as_they_are(shared_portero, shared_sink, step,
                                            line):
    shared_sink.reset()
    shared_sink.on(step, upstream.reply(line))
    with shared_portero.login() as client:
        reply = run_to(client, step)
        assert f"{reply.code} {reply.text}" == line
        if step == "dot":
            message = outcome(shared_portero, client)
            assert message["outcome"] == "refused"
            assert message["reply"] == line
        goes_on(client, shared_sink)
    assert len(shared_sink.messages) == 1


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("line", [
    "421 4.3.2 Shutting down", "500 5.5.2 What", "501 5.5.4 Syntax",
    "502 5.5.1 No", "503 5.5.1 Sequence", "504 5.5.4 No",
    "530 5.7.0 Authentication required", "534 5.7.9 Mechanism",
    "535 5.7.8 Bad credentials", "538 5.7.11 Encrypt", "555 5.5.4 Parameters",
    "334 Tell me"])
def test_what_is_addressed_to_us_is_not_passed_on(shared_portero, shared_sink,
                                                  step, line):
    shared_sink.reset()
    shared_sink.on(step, upstream.reply(line))
    with shared_portero.login() as client:
        reply = run_to(client, step)
        if step == "dot" and line[0] == "3":
            # neither yes nor no
            assert reply.status == "451 4.4.2", reply
            assert outcome(shared_portero, client)["outcome"] == "unknown"
        else:
            assert reply.status == "451 4.3.0", reply
        assert line[4:] not in reply.text
        goes_on(client, shared_sink)
    assert len(shared_sink.messages) == 1


@pytest.mark.parametrize("line,status", [
    ("250 Ok: queued", "250 2.0.0"),
    ("550 No", "550 5.0.0"),
    ("451 Later", "451 4.0.0"),
    ("250 2.0.0 Ok: queued as 4F1A2", "250 2.0.0"),
])
def test_enhanced_code_is_added_where_there_is_none(shared_portero, shared_sink,
                                                    line, status):
    shared_sink.reset()
    shared_sink.on("dot", upstream.reply(line))
    with shared_portero.login() as client:
        reply = run_to(client, "dot")
        assert reply.status == status
        assert reply.text.endswith(line[4:])


def test_every_line_of_a_reply_is_passed_on(shared_portero, shared_sink):
    lines = ["5.7.1 Your message was refused", "5.7.1 because of its content;",
             "5.7.1 see https://example.net/why"]
    shared_sink.reset()
    shared_sink.on("dot", upstream.reply(
        f"550-{lines[0]}\n550-{lines[1]}\n550 {lines[2]}"))
    with shared_portero.login() as client:
        assert list(run_to(client, "dot").lines) == lines


def test_control_characters_of_a_reply_are_not_passed_on(shared_portero,
                                                         shared_sink):
    shared_sink.reset()
    shared_sink.on("rcpt", upstream.raw(b"550 5.1.1 a\x1b[31m\xc3\xb1\tb\r\n"))
    with shared_portero.login() as client:
        client.expect(250, MAIL)
        assert client.command(RCPT).text == "5.1.1 a?[31m???b"


# ---- lost ----

@pytest.mark.parametrize("after", ["mail", "rcpt"])
def test_lost_between_commands_is_mended_unseen(start, sink, after):
    """MAIL and the accepted RCPTs are said again on a fresh connection."""
    portero = start()
    with portero.login() as client:
        client.expect(250, MAIL)
        if after == "rcpt":
            client.expect(250, RCPT)
        sink.cut()
        if after == "mail":
            client.expect(250, RCPT)
        assert client.data(TEXT + b".\r\n").code == 250
    message, = sink.messages
    assert message.sender == "ana@example.org"
    assert message.recipients == ["bob@example.net"]


@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
def test_lost_at_a_command_once_is_mended(start, sink, step):
    portero = start()
    sink.on(step, upstream.close(), times=1)
    with portero.login() as client:
        assert client.send_message().code == 250
    assert len(sink.messages) == 1


@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
def test_lost_at_a_command_again_and_again(start, sink, step):
    portero = start()
    sink.on(step, upstream.close())
    with portero.login() as client:
        reply, seconds = client.timed(run_to, client, step)
        assert reply.status == "451 4.4.1" and seconds < 8
        goes_on(client, sink)
    assert len(sink.messages) == 1


def test_replay_that_is_answered_otherwise_is_not_hidden(start, sink):
    portero = start()
    with portero.login() as client:
        envelope(client)
        sink.on("rcpt", upstream.reply("550 5.1.1 Gone since"))
        sink.cut()
        reply = client.command("DATA")
        assert reply.code == 451, reply
        goes_on(client, sink)
    assert len(sink.messages) == 1


@pytest.mark.parametrize("step,action", [
    ("mail", upstream.silent()), ("rcpt", upstream.silent()),
    ("data", upstream.silent()),
    ("mail", upstream.endless()), ("rcpt", upstream.endless()),
    ("data", upstream.endless("354-and so on")),
    ("mail", upstream.raw(b"25")), ("rcpt", upstream.raw(b"Hello\r\n")),
    ("data", upstream.raw(b"\x16\x03\x01\x02\x00\r\n")),
    ("rcpt", upstream.raw(b"250-a\r\n251 b\r\n")),
    ("mail", upstream.raw(b"250 " + b"x" * 70000)),
])
def test_no_reply_of_use(start, sink, step, action):
    portero = start(upstream={"reply_timeout": "1s", "connect_timeout": "2s"})
    sink.on(step, action)
    with portero.login() as client:
        reply, seconds = client.timed(run_to, client, step)
        assert reply.status in ("451 4.4.1", "451 4.3.0"), reply
        assert seconds < 10
        goes_on(client, sink)
    assert len(sink.messages) == 1


@pytest.mark.parametrize("step", STEPS)
def test_endless_reply_takes_no_memory(start, sink, step):
    portero = start(session_workers=1, upstream={"reply_timeout": "2s",
                                                 "dot_timeout": "2s"})
    worker, = portero.pids("session")
    with portero.login() as client:
        assert client.send_message().code == 250
        before = private_memory(worker)
        sink.on(step, upstream.endless())
        assert run_to(client, step).code == 451
        assert private_memory(worker) - before < 16 << 20
        goes_on(client, sink)


@pytest.mark.parametrize("mark", [0, 100_000])
@pytest.mark.parametrize("action", [
    upstream.close(), upstream.close(reset=True),
    upstream.say_and_close("421 4.3.2 Going down")], ids=["eof", "reset", "421"])
def test_lost_in_the_body(start, sink, mark, action):
    portero = start()
    sink.body_mark = mark
    sink.on("body", action)
    with portero.login() as client:
        envelope(client)
        client.expect(354, "DATA")
        client.send(b"Subject: long\r\n\r\n")
        for _ in range(20):
            client.send(b"x" * 998 + b"\r\n" + (b"y" * 70 + b"\r\n") * 200)
        upward = sink.connections[sink.attempts[-1].connection]
        wait_until(lambda: upward.over, what="upstream's end")
        client.send(b"the rest\r\n.\r\n")
        reply = client.reply()
        told = (reply.status, outcome(portero, client)["outcome"])
        assert told in (("451 4.4.2", "lost"), ("451 4.3.0", "refused")), told
        assert not sink.messages
        sink.body_mark = 0
        goes_on(client, sink)
    assert len(sink.messages) == 1


@pytest.mark.parametrize("action", [upstream.close(), upstream.close(reset=True)],
                         ids=["eof", "reset"])
def test_lost_after_the_dot_is_unknown(start, sink, action):
    portero = start()
    sink.on("dot", action)
    with portero.login() as client:
        envelope(client)
        reply = client.data(TEXT + b".\r\n")
        assert reply.status == "451 4.4.2", reply
        assert outcome(portero, client)["outcome"] == "unknown"
        # never sent a second time on our own
        assert [m.state for m in sink.attempts] == ["complete"]
        goes_on(client, sink)
    assert len(portero.events("message", outcome="unknown")) == 1


def test_silence_after_the_dot_is_unknown(start, sink):
    portero = start(upstream={"dot_timeout": "1s"})
    sink.on("dot", upstream.silent())
    with portero.login() as client:
        envelope(client)
        reply, seconds = client.timed(client.data, TEXT + b".\r\n")
        assert reply.status == "451 4.4.2" and 0.5 < seconds < 5
        assert outcome(portero, client)["outcome"] == "unknown"
        assert len(sink.attempts) == 1
        goes_on(client, sink)


@pytest.mark.parametrize("step", STEPS)
def test_slow_answers_are_waited_for(start, sink, step):
    portero = start()
    sink.on(step, upstream.delay(1.5))
    with portero.login() as client:
        reply, seconds = client.timed(client.send_message)
        assert reply.code == 250 and seconds > 1.4
        assert len(sink.messages) == 1


def test_unknown_is_told_only_where_it_is(start, sink):
    """Refused after the dot is refused: nobody need wonder."""
    portero = start()
    sink.on("dot", upstream.say_and_close("451 4.3.0 Try again"))
    with portero.login() as client:
        envelope(client)
        assert client.data(TEXT + b".\r\n").status == "451 4.3.0"
        assert outcome(portero, client)["outcome"] == "refused"
    assert not portero.events("message", outcome="unknown")


# ---- the client goes away ----

@pytest.mark.parametrize("leave", ["close", "abort"])
@pytest.mark.parametrize("ending", [b"", b"\r\n", b"\r\n.", b"\r\n.\r"])
def test_client_gone_in_the_body_leaves_nothing(start, sink, leave, ending):
    portero = start()
    with portero.login() as client:
        envelope(client)
        client.expect(354, "DATA")
        client.send(b"Subject: half\r\n\r\nhalf a message" + ending)
        wait_until(lambda: sink.attempts[-1].state == "data")
        getattr(client, leave)()
    assert outcome(portero, client)["outcome"] == "lost"
    upward = sink.connections[sink.attempts[-1].connection]
    wait_until(lambda: upward.over, what="upstream's end")
    assert not sink.messages


def test_client_gone_after_the_dot_is_delivered_and_logged(start, sink):
    portero = start()
    sink.on("dot", upstream.delay(1))
    with portero.login() as client:
        envelope(client)
        client.expect(354, "DATA")
        client.send(TEXT + b".\r\n")
        wait_until(lambda: sink.attempts[-1].state == "complete")
        client.abort()
    message = portero.wait_event("message", s=client.greeting.sid)
    assert message["outcome"] == "accepted" and "queued as" in message["reply"]
    assert len(sink.messages) == 1


# ---- connections ----

def test_connection_is_used_again(start, sink):
    portero = start(session_workers=1)
    with portero.login() as client:
        for _ in range(3):
            assert client.send_message().code == 250
    with portero.login("luis", "pa55word") as client:
        assert client.send_message(sender="luis@example.org").code == 250
    assert len({m.connection for m in sink.messages}) == 1


def test_idle_sessions_hold_no_connection(start, sink):
    portero = start(session_workers=1)
    with portero.login() as client:
        assert client.send_message().code == 250
        with portero.login("luis", "pa55word"):
            wait_until(lambda: not sink.open_connections(), 12,
                       "end of the idle connection")
        assert client.send_message().code == 250


@pytest.mark.parametrize("behind", [b"250 2.0.0 One more\r\n", b"x"])
def test_stray_bytes_retire_a_connection(start, sink, behind):
    """A reply too many must never answer the next message."""
    portero = start(session_workers=1)
    sink.on("dot", upstream.usual_and(behind), times=1)
    with portero.login() as client:
        assert client.send_message().code == 250
        sink.on("mail", upstream.reply("550 5.7.1 Really no"), times=1)
        assert client.mail("ana@example.org").status == "550 5.7.1"
        assert client.send_message().code == 250
    assert sink.messages[0].connection != sink.messages[1].connection


def test_early_replies_are_not_believed(start, sink):
    """An upstream that answers before it was asked."""
    portero = start(session_workers=1)
    sink.on("mail", upstream.raw(b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
                                 b"354 Go\r\n250 2.0.0 Queued\r\n"))
    with portero.login() as client:
        replies = [client.mail("ana@example.org")]
        if replies[-1].code == 250:
            replies.append(client.rcpt("bob@example.net"))
        if replies[-1].code == 250:
            replies.append(client.data(TEXT + b".\r\n"))
        assert replies[-1].code == 451, replies
        assert not portero.events("message", outcome="accepted")
        goes_on(client, sink)


def test_refused_recipient_does_not_leak_into_the_next_transaction(start, sink):
    portero = start(session_workers=1)
    with portero.login() as client:
        envelope(client)
        client.expect(250, "RSET")
        client.expect(250, MAIL)
        client.expect(250, "RCPT TO:<carol@example.net>")
        assert client.data(TEXT + b".\r\n").code == 250
    message, = sink.messages
    assert message.recipients == ["carol@example.net"]


# ---- slow, and much ----

def test_client_is_read_no_faster_than_the_upstream_reads(start, sink):
    portero = start(session_workers=1)
    worker, = portero.pids("session")
    block = (b"z" * 76 + b"\r\n") * 800
    with portero.login() as client:
        assert client.send_message().code == 250
        before = private_memory(worker)
        envelope(client)
        client.expect(354, "DATA")
        client.send(b"Subject: long\r\n\r\n")
        sink.reading.clear()
        sent = []

        def pour():
            for _ in range(800):  # about 50 MB
                client.send(block)
                sent.append(len(block))
        thread = threading.Thread(target=pour)
        thread.start()
        wait_until(lambda: sent, what="first block")
        steady = -1
        while steady != len(sent):
            steady = len(sent)
            time.sleep(0.5)
        assert sum(sent) < 40 << 20, "nothing held the client back"
        assert private_memory(worker) - before < 16 << 20
        sink.reading.set()
        thread.join(60)
        assert not thread.is_alive()
        client.socket.settimeout(60)
        client.send(b".\r\n")
        assert client.reply().code == 250
    assert sink.messages[-1].body == b"Subject: long\r\n\r\n" + block * 800


# ---- TLS to the upstream ----

def test_upstream_tls_is_verified_and_used(start, sink):
    sink.tls = certificates().server_context("mx")
    portero = start(upstream={
        "tls": "starttls", "ca_file": str(certificates().ca),
        "tls_name": "mx.example.test"})
    with portero.login() as client:
        assert client.send_message().code == 250
    assert sink.messages[0].tls


@pytest.mark.parametrize("changes", [
    {"tls_name": "else.example.test", "ca_file": "ours"},
    {"tls_name": "mx.example.test"},  # the system does not know our authority
], ids=["name", "authority"])
def test_upstream_with_a_bad_certificate_gets_no_mail(start, sink, changes):
    sink.tls = certificates().server_context("mx")
    if "ca_file" in changes:
        changes = {**changes, "ca_file": str(certificates().ca)}
    portero = start(upstream={"tls": "starttls", **changes})
    with portero.login() as client:
        client.expect("451 4.7.5", MAIL)
        client.expect("250 2.0.0", "NOOP")
    assert not sink.attempts


def test_upstream_without_starttls_gets_no_mail(start, sink):
    portero = start(upstream={"tls": "starttls"})
    with portero.login() as client:
        client.expect("451 4.7.5", MAIL)
    assert not sink.attempts


def test_upstream_that_talks_behind_its_starttls_gets_no_mail(start, sink):
    """The same injection, from the other side."""
    sink.tls = certificates().server_context("mx")
    sink.on("starttls", upstream.usual_and(b"250 2.0.0 Injected\r\n"))
    portero = start(upstream={
        "tls": "starttls", "ca_file": str(certificates().ca),
        "tls_name": "mx.example.test"})
    with portero.login() as client:
        reply = client.command(MAIL)
        assert reply.status in ("451 4.7.5", "451 4.4.1", "451 4.3.0"), reply
    assert not sink.attempts


def test_unverified_tls_is_a_choice(start, sink):
    sink.tls = certificates().server_context("mx")
    portero = start(upstream={"tls": "starttls", "verify": False})
    with portero.login() as client:
        assert client.send_message().code == 250
    assert sink.messages[0].tls


# ---- what is sent up ----

def test_envelope_goes_up_as_it_came(start, sink):
    portero = start()
    with portero.login() as client:
        assert client.send_message(
            sender='"odd one"@example.org', to=["a+b@example.net", "Postmaster"],
            parameters=" SIZE=1000 BODY=8BITMIME").code == 250
    message, = sink.messages
    assert message.sender == '"odd one"@example.org'
    assert message.recipients == ["a+b@example.net", "Postmaster"]
    parameters = dict(p.split("=") for p in message.parameters.split())
    assert parameters["BODY"] == "8BITMIME"
    assert int(parameters["SIZE"]) >= 1000


def test_only_what_is_offered_goes_up(start, sink):
    sink.size = None
    sink.eightbit = False
    portero = start()
    with portero.login() as client:
        assert "8BITMIME" not in client.ehlo()
        assert client.send_message(parameters=" SIZE=1000").code == 250
    assert sink.messages[0].parameters == ""


def test_all_commands_of_a_group_go_up_in_one_write(start, sink):
    """Where the upstream pipelines; and never where it does not."""
    portero = start()
    seen = []
    sink.on("mail", lambda c: seen.append(c.buffer) or upstream.NORMAL)
    with portero.login() as client:
        client.send(f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
        assert [client.reply().code for _ in range(3)] == [250, 250, 354]
        client.send(TEXT + b".\r\n")
        assert client.reply().code == 250
    assert seen[0].count(b"\r\n") == 2, seen


def test_nothing_goes_ahead_to_an_upstream_that_does_not_pipeline(start, sink):
    sink.pipelining = False
    ahead = []
    for step in ("mail", "rcpt", "data", "ehlo"):
        sink.on(step, lambda c: ahead.append(c.buffer) or upstream.NORMAL)
    portero = start()
    with portero.login() as client:
        client.send(f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
        assert [client.reply().code for _ in range(3)] == [250, 250, 354]
        client.send(TEXT + b".\r\n")
        assert client.reply().code == 250
    assert ahead and not any(ahead)


def test_session_outlives_closed_upstreams(start, sink):
    """Twenty messages, the upstream hanging up after each."""
    portero = start(session_workers=1)
    sink.on("dot", upstream.say_and_close("250 2.0.0 Ok, and good bye"))
    with portero.login() as client:
        for _ in range(20):
            assert client.send_message().code == 250
    assert [m.state for m in sink.attempts] == ["complete"] * 20
    assert len({m.connection for m in sink.attempts}) == 20
