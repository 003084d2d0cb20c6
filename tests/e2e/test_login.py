# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""From the connection to the login: TLS, STARTTLS, AUTH, and their refusals."""
import base64
import os
import re
import signal
import ssl
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Client, Closed, insecure_context
from harness import Section, certificates, room, wait_until

PORTS = ["submissions", "submission"]


def b64(text):
    return base64.b64encode(text.encode()).decode()


# ---- TLS ----

def handshake(portero, context, name="smtp.example.test"):
    """The certificate and the TLS version of a connection to port 465."""
    with portero.connect(context=context, server_name=name) as client:
        client.expect(221, "QUIT")
        return client.socket.getpeercert(True), client.socket.version()


def der(name):
    with open(certificates().certificate(name), encoding="ascii") as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls_versions_that_are_spoken(shared_portero, version):
    version = ssl.TLSVersion[version]
    context = certificates().client_context(minimum_version=version,
                                            maximum_version=version)
    _, spoken = handshake(shared_portero, context)
    assert spoken == version.name.replace("_", ".")


def old_context(kind):
    """As old as this OpenSSL can be made to be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = ssl.SSLContext(kind)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def agree(client, server):
    """A handshake in memory; the version."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server),
            server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(5):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return ends[0].version()


def test_tls_1_1_is_refused(shared_portero):
    old = old_context(ssl.PROTOCOL_TLS_CLIENT)
    # this client could: with a server that is as old it agrees
    server = old_context(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates().certificate("smtp-rsa"),
                           certificates().key("smtp-rsa"))
    assert agree(old, server) == "TLSv1.1"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(shared_portero, old)
    with shared_portero.connect("submission") as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.start_tls(old)


def test_plain_text_on_the_tls_port_gets_no_greeting(shared_portero):
    with Client(shared_portero.ports["submissions"], greet=False) as client:
        client.send(b"EHLO client.example.test\r\n")
        assert b"220" not in client.receive()


def test_rsa_certificate_for_clients_that_want_one(shared_portero):
    context = certificates().client_context(
        maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert handshake(shared_portero, context)[0] == der("smtp-rsa")
    assert handshake(shared_portero, certificates().client_context())[0] == \
        der("smtp")


def test_sni_picks_the_certificate(start):
    certs = certificates()
    portero = start(tls=[
        Section(certificate=[certs.certificate("smtp")],
                key=[certs.key("smtp")]),
        Section("other", certificate=[certs.certificate("other")],
                key=[certs.key("other")]),
    ])
    trusting = certs.client_context()
    assert handshake(portero, trusting, "smtp.example.test")[0] == der("smtp")
    assert handshake(portero, trusting, "mail.other.test")[0] == der("other")
    # a name nobody knows, and none at all: the first one
    for name in ("unknown.example.test", None):
        assert handshake(portero, insecure_context(), name)[0] == der("smtp")
    with portero.connect("submission", server_name="mail.other.test") as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.start_tls(trusting)
        assert client.socket.getpeercert(True) == der("other")


# ---- STARTTLS ----

@pytest.mark.parametrize("behind", [
    b"NOOP\r\n", b"EHLO evil.example.test\r\n", b"MAIL FROM:<x@example.org>\r\n",
    b"AUTH PLAIN AGFuYQBzM2NyZXQ=\r\n", b"x", b"\r\n"])
def test_bytes_behind_starttls_end_the_session(shared_portero, behind):
    with shared_portero.connect("submission") as client:
        client.ehlo()
        client.send(b"STARTTLS\r\n" + behind)
        # at most the 220 comes; then it is over, in clear and in TLS
        data = b""
        while chunk := client.receive():
            data += chunk
        assert data == b"" or re.fullmatch(rb"[25]\d\d [^\r\n]*\r\n", data)


def test_bytes_behind_starttls_are_not_heard_inside_tls(shared_portero):
    """However the handshake and the intruder's line arrive, it is no command."""
    with shared_portero.connect("submission") as client:
        client.ehlo()
        client.send(b"STARTTLS\r\n")
        client.send(b"NOOP\r\n")
        with pytest.raises((ssl.SSLError, Closed, OSError)):
            client.reply()
            client.start_tls(certificates().client_context())
            client.send(b"EHLO client.example.test\r\n")
            client.reply()


def test_nothing_learnt_in_clear_survives_starttls(shared_portero):
    with shared_portero.connect("submission") as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.start_tls(certificates().client_context())
        assert client.auth_plain("ana", "s3cret").status == "503 5.5.1"
        client.ehlo()
        assert client.auth_plain("ana", "s3cret").code == 235


def test_starttls_is_offered_once(shared_portero):
    with shared_portero.connect("submission") as client:
        assert "STARTTLS" in client.ehlo()
        client.expect("501 5.5.4", "STARTTLS now")
        client.expect(220, "STARTTLS")
        client.start_tls(certificates().client_context())
        assert "STARTTLS" not in client.ehlo()
        client.expect("503 5.5.1", "STARTTLS")
    with shared_portero.connect() as client:
        assert "STARTTLS" not in client.ehlo()
        client.expect("503 5.5.1", "STARTTLS")


def test_clear_text_gets_no_further_than_starttls(shared_portero, shared_sink):
    attempts = len(shared_sink.attempts)
    with shared_portero.connect("submission") as client:
        assert "AUTH" not in client.ehlo()
        client.expect("538 5.7.11", "AUTH PLAIN AGFuYQBzM2NyZXQ=")
        client.expect("538 5.7.11", "AUTH PLAIN")
        client.expect("538 5.7.11", "AUTH LOGIN")
        client.expect("530 5.7.0", "MAIL FROM:<ana@example.org>")
        client.expect("530 5.7.0", "RCPT TO:<bob@example.net>")
        client.expect("530 5.7.0", "DATA")
        client.expect("250 2.0.0", "NOOP")
        client.expect("221 2.0.0", "QUIT")
    assert len(shared_sink.attempts) == attempts
    assert not shared_portero.events("auth", result="ok",
                                     s=client.replies[-2].sid)


# ---- AUTH ----

@pytest.mark.parametrize("listener", PORTS)
def test_login_in_every_form(shared_portero, listener):
    forms = [
        lambda c: c.auth_plain("ana", "s3cret"),
        lambda c: c.auth_plain("ana", "s3cret", identity="ana"),
        lambda c: [c.expect(334, "AUTH PLAIN"),
                   c.command(b64("\0ana\0s3cret"))][1],
        lambda c: c.auth_login("ana", "s3cret"),
        lambda c: [c.expect(334, f"AUTH LOGIN {b64('ana')}"),
                   c.command(b64("s3cret"))][1],
        lambda c: c.command("auth plain AGFuYQBzM2NyZXQ="),
    ]
    for form in forms:
        with shared_portero.secure(listener) as client:
            reply = form(client)
            assert reply.status == "235 2.7.0", reply


def test_login_challenges_are_those_that_clients_know(shared_portero):
    with shared_portero.secure() as client:
        assert client.expect(334, "AUTH PLAIN").text == ""
        client.expect("501 5.7.0", "*")
        assert client.expect(334, "AUTH LOGIN").text == b64("Username:")
        assert client.expect(334, b64("ana")).text == b64("Password:")
        client.expect("501 5.7.0", "*")


def test_auth_is_offered_inside_tls_until_it_was_used(shared_portero):
    with shared_portero.connect() as client:
        offers = client.ehlo()
        assert set(offers["AUTH"].split()) == {"PLAIN", "LOGIN"}
        assert client.auth_plain("ana", "s3cret").code == 235
        assert "AUTH" not in client.ehlo()
        assert client.auth_plain("ana", "s3cret").status == "503 5.5.1"


@pytest.mark.parametrize("listener", PORTS)
def test_no_mail_before_login(shared_portero, listener):
    with shared_portero.secure(listener) as client:
        client.expect("530 5.7.0", "MAIL FROM:<ana@example.org>")
        client.expect("530 5.7.0", "RCPT TO:<bob@example.net>")
        client.expect("530 5.7.0", "DATA")


# Nobody may learn from the answer which part was wrong.
WRONG = {
    "password": lambda c: c.auth_plain("ana", "wrong"),
    "password, LOGIN": lambda c: c.auth_login("ana", "wrong"),
    "name": lambda c: c.auth_plain("nobody-here", "s3cret"),
    "name, LOGIN": lambda c: c.auth_login("nobody-here", "s3cret"),
    "name of another": lambda c: c.auth_plain("ana", "s3cret", "luis"),
    "empty name": lambda c: c.auth_plain("", "s3cret"),
    "empty password": lambda c: c.auth_plain("ana", ""),
    "control character": lambda c: c.auth_plain("ana\n", "s3cret"),
    "a hash": lambda c: c.auth_plain("ana", "$5$rounds=1000$portero$x"),
}


def test_wrong_login_has_one_text_and_one_time(shared_portero):
    def attempt(what):
        with shared_portero.secure() as client:
            return (what, *client.timed(WRONG[what], client))
    with ThreadPoolExecutor(len(WRONG)) as pool:
        results = list(pool.map(attempt, WRONG))
    for what, reply, seconds in results:
        assert reply.status == "535 5.7.8", (what, reply)
        assert reply.sid, "the help desk needs the session's id"
        assert 0.9 <= seconds < room(2.5), (what, seconds)
    texts = {reply.plain() for _, reply, _ in results}
    assert len(texts) == 1, texts


def test_right_login_after_a_wrong_one(shared_portero):
    """Without the delay; the machine may be busy, but not each time."""
    seconds = 1
    for _ in range(5):
        with shared_portero.secure() as client:
            assert client.auth_plain("ana", "wrong").code == 535
            reply, seconds = client.timed(client.auth_plain, "ana", "s3cret")
            assert reply.code == 235
            assert client.send_message().code == 250
        if seconds < 0.9:
            return
    pytest.fail(f"{seconds} s")


def test_attempts_of_one_session_are_few(shared_portero):
    with shared_portero.secure() as client:
        for _ in range(3):
            assert client.auth_plain("ana", "wrong").status == "535 5.7.8"
        # not even the right password is looked at any more
        assert client.auth_plain("ana", "s3cret").status == "454 4.7.0"
        assert client.auth_plain("ana", "s3cret").status == "421 4.7.0"
        assert client.is_closed()


@pytest.mark.parametrize("line,status", [
    ("AUTH", "501 5.5.4"),
    ("AUTH CRAM-MD5", "504 5.5.4"),
    ("AUTH PLAIN AGFu*", "501 5.5.2"),
    ("AUTH PLAIN AGFuYQBzM2NyZXQ", "501 5.5.2"),
    ("AUTH PLAIN " + "QUFB" * 2000, "500 5.5.6"),
])
def test_malformed_auth(shared_portero, line, status):
    with shared_portero.secure() as client:
        client.expect(status, line)
        assert client.auth_plain("ana", "s3cret").code == 235


def test_equals_sign_is_an_empty_response(shared_portero):
    with shared_portero.secure() as client:
        client.expect("501 5.5.2", "AUTH PLAIN =")
        assert client.expect(334, "AUTH LOGIN =").text == b64("Password:")
        client.expect("535 5.7.8", b64("s3cret"))
        assert client.auth_plain("ana", "s3cret").code == 235


@pytest.mark.parametrize("opening, prefix", [
    (None, "AUTH PLAIN "), ("AUTH PLAIN", ""), ("AUTH LOGIN", "")])
def test_auth_lines_are_read_up_to_their_bound(shared_portero, opening, prefix):
    """Far beyond what a login can be, the session goes on; an octet more and
    nobody knows where the line ends."""
    longest = prefix + "A" * (12288 - 2 - len(prefix))
    with shared_portero.secure() as client:
        for _ in range(2):
            if opening:
                client.expect(334, opening)
            reply = client.command(longest)
            assert reply.code in (500, 501), reply
        if opening:
            client.expect(334, opening)
        client.send(longest.encode() + b"A\r\n")
        assert client.reply().status == "500 5.5.6"
        assert client.is_closed()


def test_login_is_logged_without_the_password(start):
    portero = start(users={"ana": "CANARY-4711"}, log={"level": "debug"})
    with portero.secure() as client:
        assert client.auth_plain("ana", "CANARY-4711").code == 235
    with portero.secure("submission") as client:
        denied = client.auth_plain("ana", "CANARY-0815")
    ok = portero.wait_event("auth", result="ok")
    assert ok["user"] == "ana" and ok["listener"] == "submissions"
    assert ok["mech"] == "PLAIN" and ok["ip"] == "127.0.0.1"
    fail = portero.wait_event("auth", s=denied.sid)
    assert fail["result"] == "fail"
    for secret in ("CANARY", b64("\0ana\0CANARY-4711"), b64("CANARY-4711")):
        assert secret not in portero.log_text()


def test_login_deadline_holds_whatever_the_client_does(start):
    portero = start(login_timeout="2s")
    with portero.secure() as client:
        def be_busy():
            until = time.monotonic() + 5
            try:
                while client.command("NOOP").code == 250 and \
                        time.monotonic() < until:
                    pass
                return client.replies[-1].code
            except Closed:
                return None
        code, seconds = client.timed(be_busy)
        assert code in (421, None)
        assert 1 < seconds < 5
    # a login in time lifts it
    with portero.login() as client:
        assert not client.is_closed(timeout=3)
        client.socket.settimeout(10)
        client.expect(250, "NOOP")


# ---- the directory is away ----

def test_late_directory_is_not_a_wrong_password(start):
    portero = start(auth_timeout="1s")
    with portero.secure() as client, portero.login("luis", "pa55word") as other:
        wait_until(lambda: all(p["state"] == "idle" for p in
                               portero.status()["processes"]
                               if p["role"] == "auth"), 5, "idle workers")
        # stands still, as if the directory did not answer
        pids = portero.kill_role("auth", signal.SIGSTOP)
        assert pids
        for password in ("s3cret", "wrong"):
            reply, seconds = client.timed(client.auth_plain, "ana", password)
            assert reply.status == "454 4.7.0", reply
            assert seconds < 4
        # whoever is logged in goes on
        assert other.send_message(sender="luis@example.org").code == 250
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        assert client.auth_plain("ana", "s3cret").code == 235
    assert len(portero.events("auth", result="deferred")) == 2


def test_killed_directory_worker_is_not_a_wrong_password(start):
    portero = start(auth_workers=1, auth_timeout="2s")
    with portero.secure() as client:
        pids = portero.kill_role("auth", signal.SIGSTOP)
        client.send(b"AUTH PLAIN AGFuYQBzM2NyZXQ=\r\n")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # lost with the worker (then the time-out tells), or still in the
        # queue for its successor
        reply, seconds = client.timed(client.reply)
        assert reply.status in ("454 4.7.0", "235 2.7.0"), reply
        assert seconds < 4


def test_suspended_is_told_only_with_the_right_password(start):
    portero = start(users={"ana": "s3cret", "mal": "!s3cret"})
    with portero.secure() as client:
        assert client.auth_plain("mal", "wrong").status == "535 5.7.8"
        assert client.auth_plain("mal", "s3cret").status == "525 5.7.13"
        client.expect("530 5.7.0", "MAIL FROM:<mal@example.org>")
