# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A raw SMTP client: it sends exactly the bytes it is told and reads replies.

lockstep() and pipelined() play the same dialogue, once with a wait for every
reply and once in groups (RFC 2920), so that a test can compare the answers.
"""
import base64
import re
import socket
import ssl
import time
from dataclasses import dataclass

SID = re.compile(r"\[[0-9A-HJKMNP-TV-Z]{8}\]")


@dataclass(frozen=True)
class Reply:
    code: int
    lines: tuple  # without code and separator

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def enhanced(self):
        """"5.7.8", or "" where there is none."""
        found = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?= |$)", self.lines[0])
        return found.group(0) if found else ""

    @property
    def sid(self):
        """The id of the session at the end of the reply, or None."""
        found = SID.search(self.lines[-1])
        return found.group(0)[1:-1] if found else None

    @property
    def status(self):
        """"535 5.7.8", as the manual writes it."""
        return f"{self.code} {self.enhanced}".rstrip()

    def plain(self):
        """Comparable between sessions: without the session's id."""
        return f"{self.code} " + SID.sub("[SID]", self.text)


class Closed(Exception):
    """The server ended the connection where a reply was due."""


def insecure_context(**settings):
    """A TLS context that verifies nothing, with these attributes set."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context


class Client:
    def __init__(self, port, tls=None, server_name="smtp.example.test",
                 host="127.0.0.1", timeout=20, greet=True, source=None,
                 first=b""):
        """tls: a context for implicit TLS, None for plain text. source: the
        address to come from. first: bytes to send before anything else."""
        self.server_name = server_name
        self.socket = socket.create_connection(
            (host, port), timeout, source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.replies = []
        if first:
            self.send(first)
        if tls is not None:
            self.start_tls(tls)
        self.greeting = self.reply() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Goes away without a word."""
        self.socket.close()

    def abort(self):
        """Goes away with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    # ---- bytes ----

    def start_tls(self, context):
        self.socket = context.wrap_socket(
            self.socket, server_hostname=self.server_name)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """What there is next; b"" at the end, however it came about."""
        try:
            return self.socket.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def read_line(self):
        while b"\n" not in self.buffer:
            data = self.receive()
            if not data:
                raise Closed(f"closed; unfinished line: {self.buffer!r}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), f"a line must end with CRLF: {line!r}"
        return line[:-1].decode("ascii")

    def reply(self):
        lines = []
        while True:
            line = self.read_line()
            assert re.match(r"[2-5]\d\d[ -]", line), f"not a reply: {line!r}"
            lines.append(line[4:])
            if line[3] == " ":
                break
        reply = Reply(int(line[:3]), tuple(lines))
        self.replies.append(reply)
        return reply

    def is_closed(self, timeout=10):
        """Whether the server ends the connection without a further word."""
        self.socket.settimeout(timeout)
        try:
            return not self.buffer and not self.receive()
        except TimeoutError:
            return False

    # ---- commands ----

    def command(self, line):
        self.send(line.encode("utf-8") + b"\r\n")
        return self.reply()

    def expect(self, status, line):
        """Sends the line; the reply must be this one ("250 2.1.0", 250)."""
        reply = self.command(line)
        got = reply.code if isinstance(status, int) else reply.status
        assert got == status, f"{line!r}: wanted {status}, got {reply}"
        return reply

    def ehlo(self, name="client.example.test"):
        """The keywords that are offered, with their arguments."""
        reply = self.expect(250, f"EHLO {name}")
        offers = {}
        for line in reply.lines[1:]:
            word, _, rest = line.partition(" ")
            offers[word.upper()] = rest
        return offers

    def auth_plain(self, user, password, identity=""):
        message = f"{identity}\0{user}\0{password}".encode("utf-8")
        return self.command("AUTH PLAIN " + base64.b64encode(message).decode())

    def auth_login(self, user, password):
        self.expect(334, "AUTH LOGIN")
        self.expect(334, base64.b64encode(user.encode()).decode())
        return self.command(base64.b64encode(password.encode()).decode())

    def mail(self, sender, parameters=""):
        return self.command(f"MAIL FROM:<{sender}>{parameters}")

    def rcpt(self, recipient):
        return self.command(f"RCPT TO:<{recipient}>")

    def data(self, body):
        """DATA and, after a 354, the body with its end: the last reply."""
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        self.send(body)
        return self.reply()

    def send_message(self, body=b"Subject: test\r\n\r\ntext\r\n",
                     sender="ana@example.org", to=("bob@example.net",),
                     parameters=""):
        """A whole transaction; the first reply that is a refusal, or the
        last one. body: ready for the wire, without the final dot."""
        reply = self.mail(sender, parameters)
        if reply.code != 250:
            return reply
        for recipient in [to] if isinstance(to, str) else to:
            reply = self.rcpt(recipient)
            if reply.code != 250:
                return reply
        return self.data(body + b".\r\n")

    def timed(self, call, *arguments):
        """The result of a call and the seconds it took."""
        started = time.monotonic()
        result = call(*arguments)
        return result, time.monotonic() - started


# ---- dialogues ----
#
# A dialogue is a list of commands (str) and bodies (bytes, final dot line
# included). A body follows DATA and is left out where DATA is refused. A chunk
# (bytes, too) is BDAT with its octets, made by bdat().

def bdat(octets, last=False):
    return b"BDAT %d%s\r\n" % (len(octets), b" LAST" if last else b"") + octets


def is_body(step):
    return isinstance(step, bytes) and not step.startswith(b"BDAT ")


def wire(step):
    return step if isinstance(step, bytes) else step.encode("utf-8") + b"\r\n"


def lockstep(client, dialogue):
    """Waits for the reply to each step before the next."""
    replies = []
    for step in dialogue:
        if is_body(step) and (not replies or replies[-1].code != 354):
            continue
        client.send(wire(step))
        replies.append(client.reply())
    return replies


# Those that must be the last of a group (RFC 2920 section 3.1).
LAST_IN_GROUP = ("EHLO", "HELO", "DATA", "BDAT", "VRFY", "TURN", "QUIT", "NOOP", "AUTH",
                 "STARTTLS")  # BDAT: a malformed one, chunks are bytes


def groups(dialogue):
    """A body goes with the commands that follow it."""
    group = []
    for step in dialogue:
        if is_body(step) and group:
            yield group
            group = []
        group.append(step)
        verb = step.split(" ")[0].upper() if isinstance(step, str) else ""
        if verb in LAST_IN_GROUP:
            yield group
            group = []
    if group:
        yield group


def pipelined(client, dialogue):
    """Sends whole groups in one write and then reads all their replies."""
    replies = []
    for group in groups(dialogue):
        if is_body(group[0]) and \
                (not replies or replies[-1].code != 354):
            group = group[1:]
        if not group:
            continue
        client.send(b"".join(map(wire, group)))
        for _ in group:
            replies.append(client.reply())
    return replies
