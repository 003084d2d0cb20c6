# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Ordinary clients through both ports to a real Postfix and to the sink: the
message that arrives is the one that was sent, byte by byte."""
import base64
import email.utils
import random
import shutil

import pytest

import harness
import mailers
import postfix
from harness import LONG, wait_until
from mailers import RECIPIENT, SENDER
from sink import checked_sink

PORTS = ["submissions", "submission"]


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


# ---- who sends ----

def swaks_content(job, kind):
    content = message(kind, job.token)
    # it takes a last dot for the end of data
    return content + b"end\n" if content.endswith(b"\n.\n") else content


def s_nail_content(job, kind):
    """It writes the header and encodes by its own lights; but in the same way
    twice, so what it sends can be had before."""
    job.text = BODIES[kind]()
    if kind == "attachment":
        job.text, job.attachment = b"See there.\n", attachment()
    if kind == "8bit":  # it would not send what its character set lacks
        job.text = job.text.decode("utf-8", "ignore").encode()
    expected = job.folder / "expected"
    code, said = mailers.by_s_nail(job, mta=f"test://{expected}")
    assert code == 0, said
    # an mbox: a line before it, an empty one behind
    return expected.read_bytes().split(b"\n", 1)[1].removesuffix(b"\n")


CONTENTS = {"swaks": swaks_content, "s-nail": s_nail_content}


def send(client, job, kind):
    """What was sent."""
    job.content = CONTENTS[client](job, kind) if client in CONTENTS \
        else message(kind, job.token)
    code, said = mailers.CLIENTS[client](job)
    assert code == 0, said[-4000:]
    return job.content


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
    upstream = request.param()
    try:
        with harness.running(upstream, session_workers=1,
                             tls=mailers.tls_for_clients()) as portero:
            yield upstream, portero
    finally:
        upstream.stop()


def is_due(client, listener, kind):
    """10 MB once for each client and upstream, but not through each port."""
    turn = PORTS[list(mailers.CLIENTS).index(client) % 2]
    return LONG or kind != "attachment" or listener == turn


@pytest.mark.parametrize("client", mailers.CLIENTS)
@pytest.mark.parametrize("listener", PORTS)
def test_every_byte_arrives(route, client, listener, tmp_path):
    if client != "smtplib" and shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    upstream, portero = route
    for kind in BODIES:
        if not is_due(client, listener, kind):
            continue
        token = f"{client}-{listener}-{kind}"
        job = mailers.Job(portero, listener, tmp_path, token, "login")
        upstream.check(token, send(client, job, kind))
        for path in tmp_path.iterdir():
            path.unlink()
