# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Ordinary clients through both ports to a real Postfix and to the sink: the
message that arrives is the one that was sent, byte by byte."""
import base64
import email.utils
import os
import random
import shutil
import smtplib
import subprocess

import pytest

import harness
import postfix
from harness import LONG, Section, certificates, wait_until
from sink import checked_sink

PORTS = ["submissions", "submission"]
SENDER, RECIPIENT = "ana@example.org", "bob@example.net"
PASSWORD = "s3cret"
CERTIFICATE = "localhost"  # issued below; every client verifies it


# ---- what is sent ----

def text_body():
    return b"Dear Bob,\n\nall is well.\n\n  Ana\n" * 20


def eightbit_body():
    """UTF-8, and every other octet above 127."""
    line = "Señor Müller trägt Ōsaka – 東京 €\n".encode()
    return line * 10 + bytes(range(128, 256)) + b"\n" + line


def dots_body():
    """What a message may have to do with dots, first and last line too."""
    lines = [b".", b"..", b"...", b".text", b"..text", b"text.", b" .", b"",
             b". ", b".\t", b"." * 998, b"QUIT", b".", b"", b"."]
    return b"\n".join(lines) + b"\n"


def long_body():
    """Lines of 998 octets, the most that RFC 5322 allows."""
    lines = [bytes([33 + n % 90]) * 998 for n in range(95)]
    return b"\n".join(lines) + b"\n"


def attachment():
    """10 MB that do not compress."""
    return random.Random(20261123).randbytes(10_000_000)


def attachment_body():
    return b"--limit\nContent-Type: text/plain\n\nSee there.\n" \
        b"--limit\nContent-Type: application/octet-stream\n" \
        b"Content-Transfer-Encoding: base64\n\n" + \
        base64.encodebytes(attachment()) + b"--limit--\n"


BODIES = {"text": text_body, "8bit": eightbit_body, "dots": dots_body,
          "long": long_body, "attachment": attachment_body}


def message(kind, token):
    """A whole message; lines end with LF."""
    more = b"Content-Type: multipart/mixed; boundary=limit" \
        if kind == "attachment" else \
        b"Content-Type: text/plain; charset=utf-8\n" \
        b"Content-Transfer-Encoding: 8bit"
    header = f"From: {SENDER}\nTo: {RECIPIENT}\nSubject: {token}\n" \
        f"Date: {email.utils.formatdate(1000000)}\n" \
        f"Message-ID: <{token}@example.org>\nMIME-Version: 1.0\n"
    return header.encode() + more + b"\n\n" + BODIES[kind]()


# ---- who sends: (portero, listener, kind, token, folder) -> what was sent ----

def run(*command, **options):
    """Runs a client, which must succeed."""
    done = subprocess.run(command, capture_output=True, timeout=120,
                          check=False, **options)
    assert done.returncode == 0, (command, done.stdout[-4000:],
                                  done.stderr[-4000:])


def to_file(content, folder):
    path = folder / "message"
    path.write_bytes(content)
    return path


def by_swaks(portero, listener, kind, token, folder):
    content = message(kind, token)
    if content.endswith(b"\n.\n"):
        content += b"end\n"  # it takes a last dot for the end of data
    path = to_file(content.removesuffix(b"\n"), folder)  # it adds one
    run("swaks", "--server", "localhost",
        "--port", str(portero.ports[listener]),
        "--tls-on-connect" if listener == "submissions" else "--tls",
        "--tls-verify", "--tls-ca-path", str(certificates().ca),
        "--auth", "PLAIN", "--auth-user", "ana", "--auth-password", PASSWORD,
        "--ehlo", "client.example.test", "--from", SENDER, "--to", RECIPIENT,
        "--data", f"@{path}", "--silent", "2")
    return content


def by_curl(portero, listener, kind, token, folder):
    content = message(kind, token)
    scheme = "smtps" if listener == "submissions" else "smtp"
    # curl sends the file as it is, so its lines must be whole
    path = to_file(content.replace(b"\n", b"\r\n"), folder)
    run("curl", "--silent", "--show-error", "--ssl-reqd", "--cacert",
        str(certificates().ca), "--user", f"ana:{PASSWORD}",
        "--login-options", "AUTH=LOGIN", "--mail-from", SENDER,
        "--mail-rcpt", RECIPIENT, "--upload-file", str(path),
        f"{scheme}://localhost:{portero.ports[listener]}/client.example.test")
    return content


def by_msmtp(portero, listener, kind, token, folder):
    content = message(kind, token)
    run("msmtp", "--file=/dev/null", "--host=localhost",
        f"--port={portero.ports[listener]}", "--tls=on",
        f"--tls-starttls={'off' if listener == 'submissions' else 'on'}",
        f"--tls-trust-file={certificates().ca}", "--auth=login", "--user=ana",
        f"--passwordeval=echo {PASSWORD}", "--domain=client.example.test",
        f"--from={SENDER}", "--set-from-header=off", "--set-date-header=off",
        RECIPIENT, input=content)
    return content


def by_smtplib(portero, listener, kind, token, _folder):
    content = message(kind, token)
    context = certificates().client_context()
    port = portero.ports[listener]
    if listener == "submissions":
        client = smtplib.SMTP_SSL("localhost", port, context=context)
    else:
        client = smtplib.SMTP("localhost", port)
        client.starttls(context=context)
    with client:
        client.login("ana", PASSWORD)
        options = ["BODY=8BITMIME"] if kind == "8bit" else []
        client.sendmail(SENDER, [RECIPIENT], content.replace(b"\n", b"\r\n"),
                        options)
    return content


def by_s_nail(portero, listener, kind, token, folder):
    """It writes the header and encodes by its own lights; with a fixed clock
    it does so in the same way twice, so what it sends can be had before."""
    body, more = BODIES[kind](), []
    if kind == "attachment":
        path = folder / "attachment.bin"
        path.write_bytes(attachment())
        body, more = b"See there.\n", ["-a", str(path)]
    if kind == "8bit":  # it would not send what its character set lacks
        body = body.decode("utf-8", "ignore").encode()
    settings = {"v15-compat": "yes", "from": SENDER, "ttycharset": "utf-8",
                "sendcharsets": "utf-8", "mime-encoding": "8bit",
                "sendwait": "yes", "smtp-auth": "login",
                "hostname": "client.example.test", "tls-verify": "strict",
                "tls-ca-file": certificates().ca, "tls-ca-no-defaults": "yes"}
    scheme = "smtps" if listener == "submissions" else "smtp"
    if scheme == "smtp":
        settings["smtp-use-starttls"] = "yes"
    environment = dict(os.environ, SOURCE_DATE_EPOCH="1000000",
                       LC_ALL="C.UTF-8", HOME=str(folder))
    expected = folder / "expected"
    for mta in (f"test://{expected}",
                f"{scheme}://ana:{PASSWORD}@localhost:"
                f"{portero.ports[listener]}"):
        options = [word for name, value in {**settings, "mta": mta}.items()
                   for word in ("-S", f"{name}={value}")]
        run("s-nail", "-:/", *options, "-s", token, *more, RECIPIENT,
            input=body, env=environment)
    # an mbox: a line before it, an empty one behind
    return expected.read_bytes().split(b"\n", 1)[1].removesuffix(b"\n")


CLIENTS = {"swaks": by_swaks, "curl": by_curl, "msmtp": by_msmtp,
           "smtplib": by_smtplib, "s-nail": by_s_nail}


# ---- where it arrives ----

class ToSink:
    """The sink saw the wire: CRLF, and our Received on top."""

    def __init__(self):
        self.context = checked_sink()
        self.sink = self.context.__enter__()
        self.port = self.sink.port

    def stop(self):
        self.context.__exit__(None, None, None)

    def check(self, token, content):
        def find():
            return [m for m in self.sink.messages
                    if token.encode() in m.content.split(b"\r\n\r\n")[0]]

        arrived, = wait_until(find, 10, token)
        self.sink.messages.remove(arrived)  # it may be large
        assert arrived.body == content.replace(b"\n", b"\r\n")
        assert arrived.sender == SENDER
        assert arrived.recipients == [RECIPIENT]


class ToPostfix:
    """Postfix puts its own fields on top, then there is our Received."""

    def __init__(self):
        self.context = postfix.running()
        self.postfix = self.context.__enter__()
        self.port = self.postfix.port

    def stop(self):
        self.context.__exit__(None, None, None)

    def check(self, token, content):
        arrived = wait_until(lambda: self.postfix.find(token.encode()), 20,
                             f"{token} in {self.postfix.says()[-2000:]}")
        assert arrived.endswith(content)
        fields = arrived[:-len(content)].replace(b"\n\t", b" ").splitlines()
        names = [field.split(b":")[0] for field in fields]
        assert names == [b"Return-Path", b"X-Original-To", b"Delivered-To",
                         b"Received", b"Received"], fields
        assert b" (Postfix) " in fields[3]
        assert b"smtp.example.test" in fields[4]


@pytest.fixture(scope="module", params=[ToSink, ToPostfix])
def route(request):
    """An upstream and a Portero before it."""
    if request.param is ToPostfix and postfix.why_not():
        pytest.skip(postfix.why_not())
    certs = certificates()
    if not os.path.exists(certs.certificate(CERTIFICATE)):
        certs.issue(CERTIFICATE, "localhost", "smtp.example.test")
    upstream = request.param()
    try:
        with harness.running(
                upstream, session_workers=1,
                tls=[Section(certificate=[certs.certificate(CERTIFICATE)],
                             key=[certs.key(CERTIFICATE)])]) as portero:
            yield upstream, portero
    finally:
        upstream.stop()


def is_due(client, listener, kind):
    """10 MB once for each client and upstream, but not through each port."""
    turn = PORTS[list(CLIENTS).index(client) % 2]
    return LONG or kind != "attachment" or listener == turn


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("listener", PORTS)
def test_every_byte_arrives(route, client, listener, tmp_path):
    if client != "smtplib" and shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    upstream, portero = route
    for kind in BODIES:
        if not is_due(client, listener, kind):
            continue
        token = f"{client}-{listener}-{kind}"
        content = CLIENTS[client](portero, listener, kind, token, tmp_path)
        upstream.check(token, content)
        for path in tmp_path.iterdir():
            path.unlink()
