# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""An upstream for tests that does what it is told, also what is wrong.

    sink = Sink()
    sink.on("rcpt", reply("550 5.1.1 No such user"), match="nobody@")
    sink.on("dot", close(), times=1)

It keeps a ledger: every message that it answered with 2xx, byte by byte, and
everything that was begun. It is strict where a lenient server would hide a
fault of its client: only CRLF ends a line, only CRLF.CRLF ends a message.

Steps: connect greeting starttls ehlo mail rcpt data body dot bdat rset quit
xother. The last chunk of BDAT is a "dot", the others are each a "bdat".
"""
import base64
import contextlib
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field


END = re.compile(rb"(\r\n)\.\r\n")
ANY_END = re.compile(rb"(\r\n|\r|\n)\.(?:\r\n|\r|\n)")


class Gone(Exception):
    """The connection is over, by our will or theirs."""


# ---- what a rule can do: functions of a connection ----

def reply(text):
    """These lines ("550-5.1.1 No\\n550 5.1.1 user")."""
    def act(connection):
        connection.say(text)
    return act


def close(reset=False):
    """Hangs up without a word."""
    def act(connection):
        connection.hang_up(reset)
    return act


def say_and_close(text):
    def act(connection):
        connection.say(text)
        connection.hang_up()
    return act


def silent():
    """Says nothing until the other side has gone (or the sink stops)."""
    def act(connection):
        connection.wait_gone()
    return act


def delay(seconds, then=None):
    """Waits, then does as usual or as `then` says."""
    def act(connection):
        connection.sink.stopping.wait(seconds)
        if then is None:
            return NORMAL
        return then(connection)
    return act


def endless(line="250-and so on"):
    """A reply that never ends."""
    def act(connection):
        block = (line + "\r\n").encode() * 100
        while not connection.sink.stopping.is_set():
            connection.send(block)
        raise Gone
    return act


def raw(data):
    """These very bytes instead of a reply."""
    def act(connection):
        connection.send(data)
    return act


def usual_and(data):
    """The usual reply with these bytes behind it, in one segment."""
    def act(connection):
        connection.trailer = data
        return NORMAL
    return act


NORMAL = object()  # an action's result: now do as usual


@dataclass
class Rule:
    step: str
    action: object
    times: int  # how often it still applies; -1: always
    match: str  # part of the command line


@dataclass
class Message:
    """One transaction from MAIL on."""
    connection: int
    tls: bool
    sender: str = ""
    parameters: str = ""
    recipients: list = field(default_factory=list)
    rcpt_parameters: list = field(default_factory=list)  # of each
    wire: bytes = b""     # as it came, stuffed, without the dot line
    chunks: list = field(default_factory=list)  # sizes; then not stuffed
    state: str = "mail"   # mail, data, complete, accepted, refused
    received_at: float = 0.0

    @property
    def content(self):
        """What a reader gets: dots unstuffed."""
        if self.chunks:
            return self.wire
        lines = self.wire.split(b"\r\n")
        return b"\r\n".join(l[1:] if l.startswith(b".") else l for l in lines)

    @property
    def trace(self):
        """The Received field on top, unfolded."""
        head, _ = self.split()
        return re.sub(rb"\r\n[ \t]+", b" ", head).decode("ascii").rstrip()

    @property
    def body(self):
        """What the client sent: the content below our Received field."""
        return self.split()[1]

    def split(self):
        found = re.match(rb"Received:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*",
                         self.content)
        assert found, f"no Received field on top: {self.content[:200]!r}"
        return self.content[:found.end()], self.content[found.end():]


class Connection:
    def __init__(self, sink, sock, number):
        self.sink = sink
        self.socket = sock
        self.number = number
        self.tls = False
        self.resumed = False  # TLS went on with an earlier session
        self.names = []       # of the certificate that we were shown
        self.account = None   # who logged in
        self.greeted = False  # EHLO or HELO was said
        self.commands = []    # all lines, as they came
        self.buffer = b""
        self.out = b""
        self.trailer = b""
        self.message = None
        self.over = False

    # ---- bytes ----

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (OSError, ssl.SSLError) as e:
            raise Gone from e

    def say(self, text):
        """Queues a reply; it leaves when the next line must be waited for."""
        self.out += "".join(l + "\r\n" for l in text.split("\n")).encode()

    def flush(self):
        data, self.out = self.out + self.trailer, b""
        self.trailer = b""
        if data:
            self.send(data)

    def receive(self):
        self.flush()
        try:
            data = self.socket.recv(self.sink.read_size)
        except (OSError, ssl.SSLError) as e:
            raise Gone from e
        if not data:
            raise Gone
        self.sink.reading.wait()
        if self.sink.rate:
            time.sleep(len(data) / self.sink.rate)
        return data

    def hang_up(self, reset=False):
        if not reset:
            self.flush()
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   b"\1\0\0\0\0\0\0\0")
        raise Gone

    def wait_gone(self):
        while True:
            self.receive()

    def read_line(self):
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > 100000:
                self.sink.complain(f"endless command: {self.buffer[:80]!r}")
                raise Gone
            self.buffer += self.receive()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if b"\n" in line or b"\r" in line:
            self.sink.complain(f"bare newline in a command: {line!r}")
        return line.decode("utf-8", "replace")

    # ---- steps ----

    def step(self, name, line="", usual=None):
        """Does what the rules say, else says `usual`; the code of the last
        reply that waits to be sent."""
        action = self.sink.rule_for(name, line)
        if action is None or action(self) is NORMAL:
            if usual is not None:
                self.say(usual)
        lines = self.out.split(b"\r\n")
        return int(lines[-2][:3]) if len(lines) > 1 else 0

    def run(self):
        try:
            self.step("connect")
            self.step("greeting", "", f"220 {self.sink.name} ESMTP sink")
            while True:
                self.command(self.read_line())
        except Gone:
            pass
        finally:
            self.over = True
            self.socket.close()

    def command(self, line):
        self.commands.append(line)
        verb = line.split(" ")[0].lower()
        handler = getattr(self, "do_" + verb, None)
        if handler is None:
            self.step("xother", line, "500 5.5.2 Unknown command")
        else:
            handler(line)

    def do_ehlo(self, line):
        self.greeted = True
        self.message = None
        lines = [self.sink.name] + self.sink.offers(self.tls)
        marks = "-" * (len(lines) - 1) + " "
        self.step("ehlo", line, "\n".join(
            f"250{mark}{text}" for mark, text in zip(marks, lines)))

    def do_starttls(self, line):
        if self.sink.tls is None or self.tls:
            self.say("503 5.5.1 Not now")
            return
        if self.step("starttls", line, "220 2.0.0 Ready") != 220:
            return
        self.flush()
        if self.buffer:
            self.sink.complain(f"bytes behind STARTTLS: {self.buffer!r}")
        try:
            self.socket = self.sink.tls.wrap_socket(self.socket,
                                                    server_side=True)
        except (OSError, ssl.SSLError) as e:
            raise Gone from e
        self.tls = True
        self.resumed = self.socket.session_reused
        self.names = [name for entry in
                      (self.socket.getpeercert() or {}).get("subject", ())
                      for key, name in entry if key == "commonName"]
        self.greeted = False

    def do_auth(self, line):
        """PLAIN with an initial response, or LOGIN."""
        if not self.sink.accounts or not self.tls or self.account:
            self.say("503 5.5.1 Not now")
            return
        mechanism, *initial = line.split(" ")[1:]
        if mechanism not in self.sink.mechanisms:
            self.say("504 5.5.4 Another one, please")
            return
        words = initial
        if mechanism == "LOGIN":
            words = [self.ask("334 VXNlcm5hbWU6"), self.ask("334 UGFzc3dvcmQ6")]
        words = b"\0".join(map(base64.b64decode, words)).split(b"\0")
        user, password = map(bytes.decode, words[-2:])
        if self.sink.accounts.get(user) == password:
            self.account = user
            self.step("auth", line, "235 2.7.0 Welcome")
        else:
            self.say("535 5.7.8 No")

    def ask(self, challenge):
        self.say(challenge)
        return self.read_line()

    def do_mail(self, line):
        if not self.greeted or self.message is not None:
            self.say("503 5.5.1 Not now")
            return
        if self.sink.accounts and not self.account:
            self.say("530 5.7.0 Who are you?")
            return
        found = re.fullmatch(r"MAIL FROM:<([^>]*)>(.*)", line, re.I)
        if not found:
            self.sink.complain(f"bad MAIL: {line!r}")
            self.say("501 5.5.4 Syntax")
            return
        message = Message(self.number, self.tls, found.group(1),
                          found.group(2).strip())
        self.sink.begin(message)
        if self.step("mail", line, "250 2.1.0 Ok") // 100 == 2:
            self.message = message

    def do_rcpt(self, line):
        if self.message is None:
            self.say("503 5.5.1 Need MAIL")
            return
        found = re.fullmatch(r"RCPT TO:<([^>]+)>((?: [^ ]+)*)", line, re.I)
        if not found:
            self.sink.complain(f"bad RCPT: {line!r}")
            self.say("501 5.5.4 Syntax")
            return
        if self.step("rcpt", line, "250 2.1.5 Ok") // 100 == 2:
            self.message.recipients.append(found.group(1))
            self.message.rcpt_parameters.append(found.group(2).strip())

    def do_data(self, line):
        if self.message is None:
            self.say("503 5.5.1 Need MAIL")
            return
        if not self.message.recipients and not self.sink.data_without_rcpt:
            self.say("554 5.5.1 No valid recipients")
            return
        if self.message.chunks:
            self.sink.complain("DATA after BDAT")
        if self.step("data", line, "354 Go on") != 354:
            return
        self.message.state = "data"
        self.read_body(self.message)
        self.complete(self.message)

    def do_bdat(self, line):
        found = re.fullmatch(r"BDAT (\d+)( LAST)?", line, re.I)
        if not found or not self.sink.chunking:
            self.sink.complain(f"bad BDAT: {line!r}")
            raise Gone
        size = int(found.group(1))
        while len(self.buffer) < size:
            self.buffer += self.receive()
        octets, self.buffer = self.buffer[:size], self.buffer[size:]
        message = self.message
        if message is None or not message.recipients:
            self.say("503 5.5.1 Not now")
            return
        message.state = "data"
        message.chunks.append(size)
        message.wire += octets
        if found.group(2):
            self.check_lines(message)
            self.complete(message)
        elif self.step("bdat", line, "250 2.0.0 Ok so far") // 100 != 2:
            message.state = "refused"
            self.message = None

    def complete(self, message):
        """The answer to a whole message."""
        self.message = None
        message.state = "complete"
        number = self.sink.next_id()
        code = self.step("dot", "", f"250 2.0.0 Ok: queued as {number}")
        if code // 100 == 2:
            message.state = "accepted"
            message.received_at = time.time()
            self.sink.accept(message)
        elif code != 0:
            message.state = "refused"

    def read_body(self, message):
        """Up to CRLF.CRLF, or whatever a lenient server takes for it. The
        rule for "body" is asked in the midst of it."""
        body = bytearray(b"\r\n")  # the line end before the first line
        pattern = ANY_END if self.sink.lenient else END
        is_asked = False
        end = None
        try:
            while end is None:
                searched = max(0, len(body) - 4)
                body += self.buffer or self.receive()
                self.buffer = b""
                end = pattern.search(body, searched)
                if end and end.end() == len(body) and body.endswith(b"\r"):
                    end = None  # its LF may be on its way
                if not is_asked and len(body) > 2 + self.sink.body_mark:
                    is_asked = True
                    self.step("body")
        except Gone:
            message.wire = bytes(body[2:])
            raise
        self.buffer = bytes(body[end.end():])
        message.wire = bytes(body[2:end.end(1)])
        self.check_lines(message)

    def check_lines(self, message):
        if re.search(rb"\r(?!\n)|(?<!\r)\n|\0", message.wire):
            self.sink.complain("bare CR, bare LF or NUL in a body")

    def do_rset(self, line):
        self.message = None
        self.step("rset", line, "250 2.0.0 Ok")

    def do_noop(self, line):
        self.step("xother", line, "250 2.0.0 Ok")

    def do_quit(self, line):
        self.step("quit", line, "221 2.0.0 Bye")
        self.flush()
        raise Gone


class Sink:
    def __init__(self, pipelining=True, size=100_000_000, eightbit=True,
                 enhanced=True, tls=None, name="mx.example.test", extra=(),
                 chunking=False, lenient=False):
        """tls: a server context; STARTTLS is offered then. lenient: ends a
        body where any server might."""
        self.lenient = lenient
        self.pipelining = pipelining
        self.size = size
        self.eightbit = eightbit
        self.enhanced = enhanced
        self.chunking = chunking
        self.tls = tls
        self.accounts = {}    # names and passwords; if any, AUTH is a must
        self.mechanisms = ["PLAIN", "LOGIN"]
        self.name = name
        self.extra = list(extra)
        self.data_without_rcpt = False  # answer DATA with 354 all the same
        self.body_mark = 0    # bytes of a body before its rule is asked
        self.read_size = 65536
        self.rate = None      # bytes a second of each connection; as they come
        self.reading = threading.Event()  # cleared: nothing is read
        self.reading.set()
        self.stopping = threading.Event()
        self.lock = threading.Condition()
        self.messages = []    # answered with 2xx
        self.attempts = []    # all that began with MAIL
        self.connections = []
        self.complaints = []  # what no client of ours may do
        self.rules = []
        self.counter = 0
        self.listener = None
        self.port = None
        self.up()

    # ---- the listening side ----

    def up(self):
        """Listens, on the same port as before."""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port or 0))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept_loop, args=(self.listener,),
                         daemon=True).start()

    def down(self):
        """Refuses new connections; cuts those that are there."""
        listener, self.listener = self.listener, None
        if listener is not None:
            # close() alone would leave accept() in the other thread
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self):
        """Ends all connections; new ones are welcome."""
        for connection in list(self.connections):
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept_loop(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def stop(self):
        self.stopping.set()
        self.reading.set()
        self.down()

    # ---- rules ----

    def on(self, step, action, times=-1, match=""):
        """From now on (or for so many times) the action for a step."""
        with self.lock:
            self.rules.append(Rule(step, action, times, match))

    def as_usual(self):
        """Forgets all rules."""
        with self.lock:
            self.rules = []
        self.reading.set()

    def reset(self):
        """Forgets rules and ledger, for the next test on the same sink;
        complaints stay."""
        self.as_usual()
        self.body_mark = 0
        self.data_without_rcpt = False
        with self.lock:
            self.counter = 0
            self.messages = []
            self.attempts = []

    def rule_for(self, step, line):
        with self.lock:
            for rule in self.rules:
                if rule.step == step and rule.times != 0 and rule.match in line:
                    rule.times -= rule.times > 0
                    return rule.action
        return None

    def offers(self, is_tls):
        offers = list(self.extra)
        if self.pipelining:
            offers.append("PIPELINING")
        if self.size is not None:
            offers.append(f"SIZE {self.size}")
        if self.chunking:
            offers.append("CHUNKING")
        if self.eightbit:
            offers.append("8BITMIME")
        if self.tls is not None and not is_tls:
            offers.append("STARTTLS")
        if self.accounts and is_tls:
            offers.append("AUTH " + " ".join(self.mechanisms))
        if self.enhanced:
            offers.append("ENHANCEDSTATUSCODES")
        return offers

    # ---- the ledger ----

    def next_id(self):
        with self.lock:
            self.counter += 1
            return f"Q{self.counter:06d}"

    def begin(self, message):
        with self.lock:
            self.attempts.append(message)

    def accept(self, message):
        with self.lock:
            self.messages.append(message)
            self.lock.notify_all()

    def complain(self, text):
        with self.lock:
            self.complaints.append(text)

    def wait_messages(self, count, timeout=10):
        with self.lock:
            ok = self.lock.wait_for(lambda: len(self.messages) >= count,
                                    timeout)
        assert ok, f"{len(self.messages)} of {count} messages after {timeout} s"
        return self.messages

    def open_connections(self):
        return [c for c in self.connections if not c.over]


@contextlib.contextmanager
def checked_sink(**options):
    """A sink; in the end there must have been nothing to complain about."""
    sink = Sink(**options)
    try:
        yield sink
    finally:
        sink.stop()
    assert not sink.complaints, sink.complaints
