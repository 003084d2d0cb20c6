# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A directory for tests: the real slapd with people in it, and a door before
it that misbehaves as told."""
import base64
import contextlib
import functools
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

import harness

SUFFIX = "dc=example,dc=org"
SERVICE = f"cn=portero,{SUFFIX}"
SERVICE_PASSWORD = "service-s3cret"
SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/libexec:/usr/lib/openldap:"
                     + os.environ.get("PATH", ""))
MODULES = [p for p in ("/usr/lib/ldap", "/usr/lib/openldap",
                       "/usr/lib64/openldap") if os.path.isdir(p)]
SOURCE = Path(os.environ.get("PORTERO_SOURCE", Path(__file__).parents[2]))
IS_THERE = bool(SLAPD and MODULES and shutil.which("ldapadd") and
                os.path.isdir("/etc/ldap/schema"))
HAS_ARGON2 = IS_THERE and os.path.exists(f"{MODULES[0]}/argon2.so")

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
{schema}
modulepath {modules}
moduleload back_mdb
moduleload memberof
moduleload ppolicy
{argon2}
pidfile {folder}/slapd.pid
TLSCACertificateFile {ca}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
TLSVerifyClient allow
database config
access to * by dn.regex="^gidNumber=.*,cn=peercred,cn=external,cn=auth$" manage
database mdb
suffix "{suffix}"
rootdn "cn=root,{suffix}"
rootpw root-s3cret
directory {folder}/data
index objectClass,uid,mail,employeeNumber eq
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,{suffix}"
ppolicy_use_lockout
{rights}
"""

RIGHTS = f"""
access to attrs=userPassword by * auth
access to dn.subtree="ou=open,{SUFFIX}" by * read
access to * by dn.exact="{SERVICE}" read
  by dn.regex="^gidNumber=.*,cn=peercred,cn=external,cn=auth$" read
  by dn.exact="cn=mx.example.test" read
  by self read by * none
"""


def ssha(password, salt=b"saltsalt"):
    digest = hashlib.sha1(password.encode() + salt).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def line(name, value):
    """Of LDIF."""
    if value.isascii():
        return f"{name}: {value}"
    return f"{name}:: {base64.b64encode(value.encode()).decode()}"


def entry(dn, *classes, **attributes):
    """LDIF; values that are lists stand several times."""
    lines = [line("dn", dn)] + [f"objectClass: {c}" for c in classes]
    for name, values in attributes.items():
        for value in [values] if isinstance(values, str) else values:
            lines.append(line(name, value))
    return "\n".join(lines) + "\n"


@functools.cache
def argon2(password):
    done = subprocess.run(
        [shutil.which("slappasswd", path=os.path.dirname(SLAPD)), "-h",
         "{ARGON2}", "-o", f"module-path={MODULES[0]}", "-o",
         "module-load=argon2 m=1024 t=1 p=1", "-s", password],
        capture_output=True, text=True, check=True)
    return done.stdout.strip()


def person(uid, password, *classes, ou="people", hashed=None, **attributes):
    return entry(f"uid={uid},ou={ou},{SUFFIX}", "inetOrgPerson", *classes,
                 cn=uid, sn=uid, userPassword=hashed or ssha(password),
                 uid=uid, **attributes)


def crowd(n, name="p{:04}", password="password-{}"):
    """People beside those below; the id is in employeeNumber, too."""
    return "\n".join(person(name.format(i), password.format(i),
                            mail=name.format(i) + "@example.org",
                            employeeNumber=str(i)) for i in range(n))


def policy(name, **attributes):
    return entry(f"cn={name},{SUFFIX}", "device", "pwdPolicy", cn=name,
                 pwdAttribute="userPassword", pwdLockout="TRUE", **attributes)


def hashes():
    """A person for each way to keep a password."""
    kept = {"crypt": "{CRYPT}" + harness.password_hash("s3cret")}
    if HAS_ARGON2:
        kept["argon"] = argon2("s3cret")
    return [person(name, "s3cret", mail=f"{name}@example.org", hashed=value)
            for name, value in kept.items()]


def groups():
    """They are added while slapd runs, so that memberOf follows."""
    group = f"ou=groups,{SUFFIX}"
    everybody = f"ou=people,{SUFFIX}"
    return "\n".join([
        entry(f"cn=mailers,{group}", "groupOfNames", cn="mailers",
              member=[f"uid=ana,{everybody}", f"uid=luis,{everybody}"]),
        entry(f"cn=bulk,{group}", "groupOfNames", cn="bulk",
              member=f"uid=luis,{everybody}"),
    ])


def people():
    return "\n".join([
        entry(SUFFIX, "dcObject", "organization", dc="example", o="Example"),
        entry(SERVICE, "organizationalRole", "simpleSecurityObject",
              cn="portero", userPassword=ssha(SERVICE_PASSWORD)),
        policy("policy", pwdMaxFailure="1000"),
        policy("strict", pwdMaxFailure="2", pwdMaxAge="3600",
               pwdMustChange="TRUE"),
        entry(f"ou=people,{SUFFIX}", "organizationalUnit", ou="people"),
        entry(f"ou=open,{SUFFIX}", "organizationalUnit", ou="open"),
        entry(f"ou=groups,{SUFFIX}", "organizationalUnit", ou="groups"),
        person("ana", "s3cret", mail=["ana@example.org", "a@example.org"],
               employeeType="staff", preferredLanguage="es",
               description=["hourly=2/1h", "nonsense"], carLicense="2k"),
        person("luis", "pa55word", mail="luis@example.org"),
        person("eva", "0ther-s3cret", mail="eva@example.org"),
        person("open", "s3cret", ou="open", mail="open@example.org"),
        person("zo\u00e9", "s3cret", mail="zoe@example.org"),
        # one mail address of two people
        person("twin1", "s3cret", mail="twin@example.org"),
        person("twin2", "s3cret", mail="twin@example.org"),
        # two names of one person
        person("two", "s3cret", mail="two@example.org").replace(
            "\nuid: two\n", "\nuid: two\nuid: deux\n"),
        # nobody can log in without a password
        person("none", "x", mail="none@example.org").replace(
            f"userPassword: {ssha('x')}\n", ""),
        *(person(uid, "s3cret", mail=f"{uid}@example.org",
                 pwdPolicySubentry=f"cn=strict,{SUFFIX}", **state)
          for uid, state in (
              ("hasty", {}),
              ("old", {"pwdChangedTime": "20200101000000Z"}),
              ("fresh", {"pwdReset": "TRUE"}))),
        *hashes(),
    ])


@functools.cache
def server_certificate():
    """For an address only, so that localhost is another name."""
    certs = harness.certificates()
    certs.openssl("req", "-x509", "-days", "90", "-nodes", "-CA", "ca.pem",
                  "-CAkey", "ca.key", "-newkey", "ec",
                  "-pkeyopt", "ec_paramgen_curve:P-256",
                  "-keyout", "ldap.key", "-out", "ldap.crt",
                  "-subj", "/CN=directory",
                  "-addext", "subjectAltName=IP:127.0.0.1",
                  "-addext", "basicConstraints=critical,CA:FALSE")
    return certs.certificate("ldap"), certs.key("ldap")


class Directory:
    """A slapd that can be stopped and started."""

    def __init__(self, folder, schema="slapd.conf", rights=RIGHTS):
        """schema: "slapd.conf" or "cn=config", where ours is to be."""
        certificate, key = server_certificate()
        self.folder = Path(folder)
        self.port = harness.free_port()
        self.tls_port = harness.free_port()
        self.socket = self.folder / "ldapi"
        (self.folder / "data").mkdir()
        (self.folder / "slapd.conf").write_text(CONFIG.format(
            modules=MODULES[0], folder=self.folder, suffix=SUFFIX,
            schema=f"include {SOURCE}/conf/portero.schema"
            if schema == "slapd.conf" else "",
            argon2="moduleload argon2" if HAS_ARGON2 else "",
            rights=rights, ca=harness.certificates().ca,
            certificate=certificate, key=key))
        self.schema = schema
        self.config = ["-f", str(self.folder / "slapd.conf")]
        self.password_file = self.folder / "password"
        self.password_file.write_text(SERVICE_PASSWORD + "\n")
        self.password_file.chmod(0o600)
        self.uri = f"ldap://127.0.0.1:{self.port}"
        self.ldaps = f"ldaps://127.0.0.1:{self.tls_port}"
        self.ldapi = "ldapi://" + quote(str(self.socket), safe="")
        self.process = None

    def tool(self, name, *arguments, **options):
        """One of slapd's own: they are slapd by another name."""
        done = subprocess.run(
            [name, *self.config, *arguments], executable=SLAPD, check=False,
            capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stderr

    def prepare(self, ldif):
        """Before the first start."""
        (self.folder / "people.ldif").write_text(ldif)
        self.tool("slapadd", "-q", "-l", str(self.folder / "people.ldif"))
        if self.schema == "cn=config":
            (self.folder / "config").mkdir()
            self.tool("slaptest", "-F", str(self.folder / "config"))
            self.config = ["-F", str(self.folder / "config")]

    def start(self):
        with open(self.folder / "slapd.log", "ab") as log:
            self.process = subprocess.Popen(
                [SLAPD, *self.config, "-d", "0", "-h",
                 f"{self.uri} {self.ldaps} {self.ldapi}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        harness.wait_until(self.is_up, 20, "slapd")
        self.socket.chmod(0o777)

    def is_up(self):
        assert self.process.poll() is None, \
            (self.folder / "slapd.log").read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return self.socket.exists()

    def change(self, ldif, *options):
        self.modify(["-x", "-H", self.uri, "-D", f"cn=root,{SUFFIX}", "-w",
                     "root-s3cret", *options], input=ldif)

    @staticmethod
    def modify(options, **others):
        subprocess.run(["ldapmodify", *options], text=True, check=True,
                       capture_output=True,
                       env=dict(os.environ, LDAPNOINIT="1"), **others)

    def pause(self):
        """Until one of its threads takes the signal the others go on."""
        self.process.send_signal(signal.SIGSTOP)
        harness.wait_until(self.is_paused, 10, "a pause")

    def is_paused(self):
        return all("\nState:\tT" in task.read_text() for task in
                   Path(f"/proc/{self.process.pid}/task").glob("*/status"))

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process is not None:
            self.resume()
            self.process.terminate()
            self.process.wait()
            self.process = None

    def options(self, **changes):
        """Of an auth section that searches with the service's login, and
        remembers nothing."""
        return {"plugin": "auth_ldap", "uri": [self.uri],
                "base": f"ou=people,{SUFFIX}", "bind_dn": SERVICE,
                "bind_password_file": str(self.password_file),
                "cache_time": "0s", "cache_away_time": "0s", **changes}


@contextlib.contextmanager
def running_directory(more="", **options):
    """more: LDIF of others who are there from the beginning."""
    folder = harness.temporary_folder()
    directory = Directory(folder, **options)
    try:
        directory.prepare(people() + "\n" + more)
        directory.start()
        directory.change(groups(), "-a")
        yield directory
    finally:
        directory.stop()
        shutil.rmtree(folder, ignore_errors=True)


# ---- a door that misbehaves ----

BIND, UNBIND, SEARCH, EXTENDED = 0x60, 0x42, 0x63, 0x77
KINDS = {"bind": BIND, "search": SEARCH, "extended": EXTENDED}
BIND_DONE, ENTRY, SEARCH_DONE, REFERENCE = 0x61, 0x64, 0x65, 0x73


def ber(tag, content):
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def receive(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(size - len(data))
        if not more:
            raise OSError("end")
        data += more
    return data


def request_from(s):
    """One whole request, and no octet of the next."""
    message = receive(s, 2)
    size = message[1]
    if size & 0x80:
        message += receive(s, size & 0x7f)
        size = int.from_bytes(message[2:], "big")
    return message + receive(s, size)


def request_of(message):
    """Message id and kind of operation, of one whole request."""
    at = 2 + (message[1] & 0x7f if message[1] & 0x80 else 0)
    length = message[at + 1]
    return (int.from_bytes(message[at + 2:at + 2 + length], "big"),
            message[at + 2 + length])


def message_of(number, kind, content):
    return ber(0x30, ber(0x02, struct.pack(">I", number)) + ber(kind, content))


def reply(number, kind, code, text=b"", referrals=()):
    content = ber(0x0a, bytes([code])) + ber(0x04, b"") + ber(0x04, text)
    if referrals:
        content += ber(0xa3, b"".join(
            ber(0x04, uri.encode()) for uri in referrals))
    return message_of(number, kind, content)


def farewell(code):
    """A notice of disconnection, which answers no request."""
    return message_of(0, EXTENDED + 1, ber(0x0a, bytes([code])) +
                      ber(0x04, b"") + ber(0x04, b"bye") +
                      ber(0x8a, b"1.3.6.1.4.1.1466.20036"))


def found(number, dn, **attributes):
    """An entry, as the answer to a search."""
    parts = [ber(0x30, ber(0x04, name.encode()) +
                 ber(0x31, b"".join(ber(0x04, v) for v in values)))
             for name, values in attributes.items()]
    return message_of(number, ENTRY, ber(0x04, dn.encode()) +
                      ber(0x30, b"".join(parts)))


def end(s):
    """Also for a thread that waits on it, which a close alone does not wake."""
    with contextlib.suppress(OSError):
        s.shutdown(socket.SHUT_RDWR)
    s.close()


class Door:
    """Stands before a directory and passes everything on, until it is told
    what to do with a request of some kind: "silent", "reset", "close",
    "accept" (and say nothing more), bytes to answer with, a code and a text,
    or a function of the request's number that makes several of them. Answers may
    take a `delay`, wait for more so that all comes at once (`gather`), or come
    octet by octet with a pause between (`drip`).
    Without a directory it never says a word; with tls it stands before the
    port for ldaps and sees nothing of what passes."""

    def __init__(self, directory=None, tls=False):
        self.target = directory and \
            (directory.tls_port if tls else directory.port)
        self.tls = tls
        self.on = {}
        self.delay = self.gather = self.drip = 0
        self.seen = []  # kinds of requests that have an answer
        self.sockets = []
        self.mute = []  # clients that get no answer any more
        self.clients = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.uri = f"ldap://127.0.0.1:{self.port}"
        self.ldaps = f"ldaps://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                self.clients += 1
                self.sockets.append(client)
                if self.target is not None:
                    threading.Thread(target=self.serve, args=(client,),
                                     daemon=True).start()

    def serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            end(client)
            return
        self.sockets.append(server)
        threading.Thread(target=self.answer, args=(server, client),
                         daemon=True).start()
        with contextlib.suppress(OSError):
            while True:
                if self.tls or client in self.mute:
                    message = client.recv(65536)
                    if not message:
                        break
                    passes = self.tls
                else:
                    message = request_from(client)
                    passes = not self.misbehave(client, message)
                if passes:
                    server.sendall(message)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def misbehave(self, client, message):
        number, kind = request_of(message)
        if kind != UNBIND:  # it comes when it comes
            self.seen.append(kind)
        what = self.on.get(kind)
        # the answer to a search ends it
        done = SEARCH_DONE if kind == SEARCH else kind + 1
        if what == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack("ii", 1, 0))
            client.close()
        elif what == "close":
            end(client)
        elif what == "accept":
            self.mute.append(client)
            client.sendall(reply(number, done, 0))
        elif isinstance(what, bytes):
            client.sendall(what)
        elif isinstance(what, tuple):
            client.sendall(reply(number, done, *what))
        elif callable(what):
            for part in what(number):
                client.sendall(part)
        return what is not None

    def answer(self, server, client):
        with contextlib.suppress(OSError):
            while server.recv(1, socket.MSG_PEEK):
                time.sleep(self.gather)
                data = server.recv(65536)
                time.sleep(self.delay)
                if not self.drip:
                    client.sendall(data)
                    continue
                for octet in data:
                    client.sendall(bytes([octet]))
                    time.sleep(self.drip)
            client.shutdown(socket.SHUT_WR)

    def behave(self):
        """From now on, and for those who come now."""
        self.on = {}
        self.delay = self.gather = self.drip = 0

    def hang_up(self):
        """Ends all connections."""
        for s in self.sockets:
            end(s)
        self.sockets = []

    def close(self):
        end(self.listener)
        self.hang_up()


@contextlib.contextmanager
def door(directory=None, tls=False, **on):
    d = Door(directory, tls)
    d.on = {KINDS[name]: what for name, what in on.items()}
    try:
        yield d
    finally:
        d.close()
