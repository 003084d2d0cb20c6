# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""What it takes to be let in by the upstream: fingerprints, certificates of
our own, sessions that are resumed, an account."""
import base64
import contextlib
import hashlib
import re
import socketserver
import ssl
import subprocess
import threading

import pytest

import harness
import postfix
from harness import certificates, wait_until

MAIL = "MAIL FROM:<ana@example.org>"
VERIFIED = {"tls": "starttls", "tls_name": "mx.example.test"}


def verified(**more):
    return {**VERIFIED, "ca_file": str(certificates().ca), **more}


def fingerprint(name, what="certificate"):
    path = certificates().certificate(name)
    if what == "certificate":
        pem = open(path, encoding="ascii").read()
        der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN"):])
    else:
        key = subprocess.run(["openssl", "x509", "-in", path, "-noout",
                              "-pubkey"], capture_output=True, check=True)
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"],
                             input=key.stdout, capture_output=True,
                             check=True).stdout
    return hashlib.sha256(der).hexdigest()


def send(portero, **options):
    with portero.login() as client:
        return client.send_message(**options)


# ---- TLS ----

@pytest.mark.parametrize("what", ["certificate", "key"])
def test_pinned_certificate_needs_no_authority(start, sink, what):
    sink.tls = certificates().server_context("mx")
    hexdigits = fingerprint("mx", what).upper()
    colons = ":".join(hexdigits[i:i + 2] for i in range(0, 64, 2))
    portero = start(upstream={"tls": "starttls", "fingerprints": [colons]})
    assert send(portero).code == 250
    assert sink.messages[0].tls


def test_other_certificate_than_the_pinned_one_gets_no_mail(start, sink):
    """Though its name and its authority are fine."""
    sink.tls = certificates().server_context("mx")
    portero = start(upstream=verified(fingerprints=[fingerprint("other")]))
    with portero.login() as client:
        client.expect("451 4.7.5", MAIL)
    assert not sink.attempts
    away = portero.wait_event("upstream", result="away")
    assert fingerprint("mx") in away["error"]


@pytest.mark.parametrize("offered", [False, True])
def test_opportunity_is_taken(start, sink, offered):
    if offered:
        sink.tls = certificates().server_context("other")
    portero = start(upstream={"tls": "opportunistic"})
    assert send(portero).code == 250
    assert sink.messages[0].tls is offered


def test_our_certificate_is_shown_where_it_is_asked_for(start, sink):
    context = certificates().server_context("mx")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(certificates().ca))
    sink.tls = context
    own = {"certificate": str(certificates().certificate("smtp")),
           "key": str(certificates().key("smtp"))}
    assert send(start(upstream=verified(**own))).code == 250
    shown = sink.connections[sink.messages[0].connection].names
    assert shown == ["smtp.example.test"]


def test_upstream_that_misses_our_certificate_gets_no_mail(start, sink):
    context = certificates().server_context("mx")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(certificates().ca))
    sink.tls = context
    portero = start(upstream=verified())
    with portero.login() as client:
        reply = client.command(MAIL)
        assert reply.code == 451, reply
    assert not sink.attempts


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_sessions_are_resumed(start, sink, version):
    context = certificates().server_context("mx")
    context.maximum_version = getattr(ssl.TLSVersion, version)
    sink.tls = context
    sink.on("dot", lambda c: c.say("250 2.0.0 Bye") or c.hang_up())
    portero = start(upstream=verified(), session_workers=1)
    for _ in range(3):
        assert send(portero).code == 250
    resumed = [c.resumed for c in sink.connections if c.tls]
    assert resumed.count(False) <= 2  # the first, and a probe of control
    assert resumed[-1]


# ---- the account ----

@pytest.fixture
def password_file():
    folder = harness.temporary_folder()
    path = folder / "password"
    path.write_text("s3cret-of-the-relay\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_account_opens_the_upstream(start, sink, password_file, mechanism):
    sink.tls = certificates().server_context("mx")
    sink.accounts = {"relay": "s3cret-of-the-relay"}
    sink.mechanisms = [mechanism]
    portero = start(upstream=verified(user="relay",
                                      password_file=str(password_file)))
    assert send(portero).code == 250
    assert send(portero).code == 250
    connection = sink.connections[sink.messages[0].connection]
    assert connection.account == "relay"
    assert "s3cret-of-the-relay" not in portero.log_text()


def test_wrong_password_of_ours_is_no_fault_of_the_client(start, sink,
                                                          password_file):
    sink.tls = certificates().server_context("mx")
    sink.accounts = {"relay": "another"}
    portero = start(upstream=verified(user="relay",
                                      password_file=str(password_file)))
    with portero.login() as client:
        client.expect("451 4.3.0", MAIL)
        client.expect("250 2.0.0", "NOOP")
    assert not sink.attempts
    away = portero.wait_event("upstream", result="away")
    assert "AUTH: 535" in away["error"]


# ---- the account at a real Postfix, which XCLIENT makes forget it ----

class Accounts(socketserver.ThreadingUnixStreamServer):
    """Dovecot's side of Postfix's question about a login: all are right."""
    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), Account)
        path.chmod(0o666)
        self.names = []


class Account(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\n"
                         b"CUID\t1\nCOOKIE\t" + b"0" * 32 + b"\nDONE\n")
        for line in self.rfile:
            words = line.decode().rstrip("\n").split("\t")
            if words[0] != "AUTH":
                continue
            said = base64.b64decode(words[-1].removeprefix("resp="))
            name = said.split(b"\0")[1].decode()
            self.server.names.append(name)
            self.wfile.write(f"OK\t{words[1]}\tuser={name}\n".encode())


@contextlib.contextmanager
def strict_postfix():
    """Takes mail from nobody who has not logged in."""
    folder = harness.temporary_folder()
    with Accounts(folder / "accounts") as accounts:
        threading.Thread(target=accounts.serve_forever, daemon=True).start()
        with postfix.running(f"""
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {certificates().certificate("mx")}
smtpd_tls_key_file = {certificates().key("mx")}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder / "accounts"}
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
""") as server:
            yield server, accounts
        accounts.shutdown()


@pytest.mark.skipif(postfix.why_not() is not None,
                    reason=str(postfix.why_not()))
def test_postfix_takes_the_person_for_the_account(start, password_file):
    long = "=" * 90  # longer than what XCLIENT can tell
    with strict_postfix() as (server, accounts):
        portero = start(
            session_workers=1, users={"ana": "s3cret", long: "s3cret"},
            upstream=verified(hosts=[f"127.0.0.1:{server.port}"], user="relay",
                              password_file=str(password_file)))
        for user, known_as, logins in (
                ("ana", "XCLIENT, sasl_username=ana", 1),
                (long, "PLAIN, sasl_username=relay", 2),
                ("ana", "XCLIENT, sasl_username=ana", 2)):
            with portero.login(user) as client:
                reply = client.send_message()
            assert reply.code == 250, reply
            queue_id = re.search(r"queued as (\w+)", str(reply)).group(1)
            wait_until(lambda: f"{queue_id}: client=unknown[127.0.0.1], "
                       f"sasl_method={known_as}" in server.says(), 10,
                       f"{queue_id} in the log")
            assert accounts.names == ["relay"] * logins
