# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the real porterod with a configuration of its own, and watches it.

    with running(sink, users={"ana": "s3cret"}) as portero:
        with portero.login("ana", "s3cret") as client:
            ...

What is run is found in the environment: PORTEROD, PORTEROCTL and
PORTERO_PLUGIN_DIR. Works as root (users portero, portero-auth and
portero-policy, or stand-ins when they are missing) and as anybody else.
"""
import collections
import contextlib
import ctypes
import ctypes.util
import functools
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import client as smtp_client

START_TIMEOUT = 30  # seconds; sanitizers are slow to start
STOP_TIMEOUT = 40
LONG = bool(os.environ.get("PORTERO_LONG"))  # the tests that take their time
IS_ROOT = os.geteuid() == 0

# Everything that is running now, for the report of a failed test.
living = []


def program(variable, name):
    """The path of a program under test."""
    path = os.environ.get(variable) or shutil.which(name)
    if not path or not os.access(path, os.X_OK):
        raise RuntimeError(
            f"{name} not found: set {variable}, or run `make check`")
    return path


def plugin_dir():
    path = os.environ.get("PORTERO_PLUGIN_DIR") or os.environ.get("PLUGIN_DIR")
    if not path or not os.path.isdir(path):
        raise RuntimeError("set PORTERO_PLUGIN_DIR to the folder of plugins")
    return path


def wait_until(predicate, timeout=10, what="it"):
    """The predicate's first true value."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not after {timeout} s"
        time.sleep(0.02)


def room(seconds):
    """An upper bound of a time: with PORTERO_LONG=1 as it is, otherwise with
    room, since the machine may be busy with something else."""
    return seconds if LONG else seconds + 2


def temporary_folder():
    """A short path that other users may pass through."""
    path = Path(tempfile.mkdtemp(prefix="portero-"))
    path.chmod(0o755)
    return path


# ---- ports ----

# What keeps other tests off a port until our server listens there; of two that
# choose the same one the second would not start. Names of sockets that are in
# no folder end with their process.
kept_ports = collections.deque(maxlen=64)


def keep_port(port):
    keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        keeper.bind(f"\0portero-test-port-{port}")
    except OSError:
        keeper.close()
        return False
    kept_ports.append(keeper)
    return True


def nobody_listens(port):
    """Without SO_REUSEPORT, which would hide a clash."""
    for family, address in ((socket.AF_INET, "0.0.0.0"),
                            (socket.AF_INET6, "::")):
        try:
            with socket.socket(family) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as e:
            if e.errno not in (97, 99):  # no IPv6 here
                return False
    return True


def free_port():
    """A port nobody listens on, outside the range of outgoing connections."""
    while True:
        port = 12000 + secrets.randbelow(18000)
        if keep_port(port) and nobody_listens(port):
            return port


# ---- passwords ----

def password_hash(password, salt="portero"):
    """A hash that is cheap to check: SHA-256 with the fewest rounds."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt"))
    library.crypt.restype = ctypes.c_char_p
    hashed = library.crypt(password.encode(), f"$5$rounds=1000${salt}$".encode())
    assert hashed and hashed.startswith(b"$5$")
    return hashed.decode()


# ---- certificates ----

class Certificates:
    """An authority and what it signed; made once a run."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.openssl("req", "-x509", "-days", "90", "-nodes",
                     "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-keyout", "ca.key", "-out", "ca.pem",
                     "-subj", "/CN=Portero test authority")
        self.issue("smtp", "smtp.example.test")
        self.issue("smtp-rsa", "smtp.example.test", rsa=True)
        self.issue("other", "mail.other.test")
        self.issue("mx", "mx.example.test", "localhost")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)

    def issue(self, name, *hosts, rsa=False):
        kind = ["rsa:2048"] if rsa else \
            ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        names = ",".join(f"DNS:{host}" for host in hosts)
        self.openssl("req", "-x509", "-days", "90", "-nodes",
                     "-CA", "ca.pem", "-CAkey", "ca.key", "-newkey", *kind,
                     "-keyout", f"{name}.key", "-out", f"{name}.crt",
                     "-subj", f"/CN={hosts[0]}",
                     "-addext", f"subjectAltName={names}",
                     "-addext", "basicConstraints=critical,CA:FALSE",
                     "-addext", "crlDistributionPoints="
                     "URI:http://crl.example.test/ca.crl")
        (self.folder / f"{name}.key").chmod(0o600)

    def certificate(self, name):
        return str(self.folder / f"{name}.crt")

    def key(self, name):
        return str(self.folder / f"{name}.key")

    def client_context(self, **settings):
        """A context that trusts our authority."""
        context = ssl.create_default_context(cafile=str(self.ca))
        for name, value in settings.items():
            setattr(context, name, value)
        return context

    def server_context(self, name="mx"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate(name), self.key(name))
        return context


@functools.cache
def certificates():
    return Certificates(run_folder())


@functools.cache
def run_folder():
    """Removed by conftest.py at the end of the run."""
    return temporary_folder()


# ---- configuration ----

class Section:
    """A section with a title, or one that may stand several times."""

    def __init__(self, title=None, **options):
        self.title = title
        self.options = options


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def value_text(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(value_text(v) for v in value) + "}"
    if isinstance(value, int):
        return str(value)
    return quoted(str(value))


def config_text(options, indent=""):
    """The file's text. Sections are Section, dict, or lists of Section;
    None leaves an option out."""
    lines = []
    for name, value in options.items():
        if isinstance(value, dict):
            value = Section(None, **value)
        if isinstance(value, Section):
            value = [value]
        if isinstance(value, list) and value and isinstance(value[0], Section):
            for section in value:
                title = f" {quoted(section.title)}" if section.title else ""
                lines.append(f"{indent}{name}{title} {{")
                lines.append(config_text(section.options, indent + "  "))
                lines.append(f"{indent}}}")
        elif value is not None:
            lines.append(f"{indent}{name} = {value_text(value)}")
    return "\n".join(lines)


def existing_user(wanted, stand_in):
    try:
        return pwd.getpwnam(wanted).pw_name
    except KeyError:
        return stand_in


def user_options():
    if not IS_ROOT:
        return {}
    return {
        "user": existing_user("portero", "nobody"),
        "user_auth": existing_user("portero-auth", "daemon"),
        "user_policy": existing_user("portero-policy", "bin"),
    }


# ---- the log ----

PAIR = re.compile(r'([A-Za-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^ ]*)')


def parse_line(line):
    """A line of logfmt as a dict; None if it is something else."""
    pairs = PAIR.findall(line)
    if not pairs or "ev" not in dict(pairs):
        return None
    return {key: json.loads(value) if value.startswith('"') else value
            for key, value in pairs}


TROUBLE = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|"
                     r"Assertion .* failed|ThreadSanitizer")


class Portero:
    def __init__(self, options, users, folder):
        self.options = options
        self.folder = folder
        self.config = folder / "portero.conf"
        self.users_file = folder / "users"
        self.log_file = folder / "log"
        self.ports = {s.title: s.options["port"] for s in options["listen"]}
        self.process = None
        self.may_crash = False  # a test that kills workers says so
        self.write_users(users)
        self.write_config()

    # ---- files ----

    def write_users(self, users):
        """users: name -> password, or (password, "class=staff,..."). A
        password that begins with "!" is a suspended person's."""
        lines = []
        for name, value in users.items():
            password, keys = value if isinstance(value, tuple) else (value, "")
            mark = "!" if password.startswith("!") else ""
            lines.append(f"{name}:{mark}{password_hash(password.lstrip('!'))}" +
                         (f":{keys}" if keys else ""))
        new = self.users_file.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.chmod(0o640)
        if IS_ROOT:  # the master looks at it as root, the plugin by its group
            os.chown(new, 0, pwd.getpwnam(self.options["user_auth"]).pw_gid)
        new.rename(self.users_file)

    def write_config(self, text=None):
        """text: instead of what the options say."""
        self.config.write_text(text or config_text(self.options) + "\n")

    # ---- life ----

    def start(self):
        # leaks are looked for in unit tests: inside the chroot it cannot be
        environment = dict(
            os.environ, LC_ALL="C.UTF-8",
            ASAN_OPTIONS="abort_on_error=1:detect_leaks=0",
            UBSAN_OPTIONS="print_stacktrace=1")
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [program("PORTEROD", "porterod"), "-c", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", env=environment)
        living.append(self)
        wait_until(self.is_ready, START_TIMEOUT, "start")

    def is_ready(self):
        assert self.process.poll() is None, \
            f"porterod ended with {self.process.returncode}:\n{self.log_tail()}"
        return self.events("ready") and self.ctl("ping").returncode == 0

    def stop(self):
        """Ends it as an operator would, and looks whether all was well."""
        if self.process is None:
            return
        pids = self.all_pids()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "killed"
        self.process = None
        living.remove(self)
        assert code == 0, f"porterod ended with {code}:\n{self.log_tail()}"
        wait_until(lambda: not any(map(is_process, pids)), 10,
                   "end of all workers")
        self.check_log()

    def kill(self):
        """For a test that is over, however it ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            living.remove(self)

    def check_log(self):
        text = self.log_text()
        found = TROUBLE.search(text)
        assert not found, f"{found.group(0)} in the log:\n{text[-20000:]}"
        if not self.may_crash:
            crashed = [e for e in self.events()
                       if e.get("result") in ("crashed", "killed")]
            assert not crashed, crashed

    def all_pids(self):
        """The master and everything below it."""
        if self.process is None:
            return []
        pids = [self.process.pid]
        for pid in pids:
            pids += children(pid)
        return pids

    def pids(self, role):
        """Processes of a role, as their command lines say."""
        return [p for p in self.all_pids() if f"--role={role}" in command_of(p)]

    def kill_role(self, role, how=signal.SIGKILL):
        self.may_crash = True
        pids = self.pids(role)
        for pid in pids:
            os.kill(pid, how)
        return pids

    # ---- what it says ----

    def log_text(self):
        return self.log_file.read_text("utf-8", "replace") \
            if self.log_file.exists() else ""

    def log_tail(self, size=3000):
        return self.log_text()[-size:]

    def events(self, name=None, **fields):
        """Lines of the log: events of that name with these values."""
        found = []
        for line in self.log_text().splitlines():
            event = parse_line(line)
            if event is None or (name and event["ev"] != name):
                continue
            if all(event.get(k) == str(v) for k, v in fields.items()):
                found.append(event)
        return found

    def wait_event(self, name, timeout=10, **fields):
        """The first such line, once it is there."""
        return wait_until(lambda: self.events(name, **fields), timeout,
                          f"ev={name} {fields}")[0]

    def ctl(self, *arguments, **options):
        return subprocess.run(
            [program("PORTEROCTL", "porteroctl"), "--socket",
             self.options["control_socket"], *arguments],
            capture_output=True, text=True, timeout=60, check=False, **options)

    def status(self):
        done = self.ctl("status", "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    # ---- clients ----

    def is_implicit(self, listener):
        return any(s.title == listener and s.options["tls"] == "implicit"
                   for s in self.options["listen"])

    def connect(self, listener="submissions", context=None, **options):
        """A client that has been greeted; inside TLS on the implicit port."""
        tls = None
        if self.is_implicit(listener):
            tls = context or certificates().client_context()
        return smtp_client.Client(self.ports[listener], tls, **options)

    def secure(self, listener="submissions", **options):
        """Inside TLS and after EHLO, on either port."""
        client = self.connect(listener, **options)
        client.ehlo()
        if not self.is_implicit(listener):
            client.expect(220, "STARTTLS")
            client.start_tls(certificates().client_context())
            client.ehlo()
        return client

    def login(self, user="ana", password="s3cret", listener="submissions",
              **options):
        client = self.secure(listener, **options)
        reply = client.auth_plain(user, password)
        assert reply.code == 235, f"login of {user}: {reply}"
        return client


# ---- processes ----

def is_process(pid):
    """Alive; a zombie is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid):
    try:
        return [int(p) for p in
                Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() \
            .replace(b"\0", b" ").decode()
    except OSError:
        return ""


def private_memory(pid):
    """Bytes of anonymous memory, which no other process shares."""
    text = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"^RssAnon:\s+(\d+)", text, re.M).group(1))


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- all together ----

USERS = {"ana": "s3cret", "luis": "pa55word", "eva": "0ther-s3cret"}


def default_options(folder, sink):
    certs = certificates()
    (folder / "empty").mkdir()
    state = folder / "state"
    state.mkdir(mode=0o755)
    return {
        "hostname": "smtp.example.test",
        # bytes are compared
        "add_missing_headers": False,
        "plugin_dir": plugin_dir(),
        "control_socket": str(folder / "control"),
        "state_dir": str(state),
        "chroot_dir": str(folder / "empty"),
        **user_options(),
        "session_workers": 2,
        "auth_workers": 2,
        "policy_workers": 2,
        "stop_timeout": "5s",
        "max_transactions": "unlimited",
        "tls": [Section(certificate=[certs.certificate("smtp"),
                                     certs.certificate("smtp-rsa")],
                        key=[certs.key("smtp"), certs.key("smtp-rsa")])],
        "listen": [
            Section("submissions", address=["127.0.0.1"], port=free_port(),
                    tls="implicit"),
            Section("submission", address=["127.0.0.1"], port=free_port(),
                    tls="starttls"),
        ],
        "auth": [Section("people", plugin="auth_file",
                         file=str(folder / "users"))],
        "upstream": {"hosts": [f"127.0.0.1:{sink.port}"], "tls": "none",
                     "connect_timeout": "3s"},
    }


def merged(options, changes):
    """changes win; in sections without a title option by option."""
    result = dict(options)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            value = {**result[name], **value}
        result[name] = value
    return result


@contextlib.contextmanager
def running(sink, /, users=None, **changes):
    """A Portero with these options beside the defaults. At the end it is
    stopped and must have been well all the time."""
    folder = temporary_folder()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        options = merged(default_options(folder, sink), changes)
        portero = Portero(options, USERS if users is None else users, folder)
        stack.callback(portero.kill)
        portero.start()
        yield portero
        portero.stop()
