# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Behind a load balancer that speaks the PROXY protocol: the client that it
names is the client everywhere, and nobody else may name one."""
import contextlib
import re
import shutil
import socket
import struct
import subprocess

import pytest

import client as smtp_client
import harness
from client import Client, Closed
from harness import Section, free_port, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BALANCER = "127.0.3.1"
V1 = b"PROXY TCP4 198.51.100.7 127.0.0.1 40000 465\r\n"


def v2(command, family, addresses=b"", tlvs=b""):
    rest = addresses + tlvs
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


V2 = v2(0x21, 0x11, socket.inet_aton("198.51.100.7") +
        socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40000, 465),
        b"\x04\0\x05noop.")
V2_IPV6 = v2(0x21, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7") +
             socket.inet_pton(socket.AF_INET6, "::1") +
             struct.pack("!HH", 40000, 465))


def listeners(**options):
    return [Section("submissions", address=["127.0.0.1"], port=free_port(),
                    tls="implicit", proxy="required", **options),
            Section("submission", address=["127.0.0.1"], port=free_port(),
                    tls="starttls", proxy="required", **options),
            Section("direct", address=["127.0.0.1"], port=free_port(),
                    tls="implicit")]


@pytest.fixture
def balanced(start):
    return start(listen=listeners(proxy_from=["127.0.3.0/24"]),
                 max_host_connections=3, max_host_rate=30)


def come(portero, listener, first, source=BALANCER):
    return portero.login(listener=listener, source=source, first=first)


@pytest.mark.parametrize("listener", ["submissions", "submission"])
@pytest.mark.parametrize("header, address", [
    (V1, "198.51.100.7"), (V2, "198.51.100.7"), (V2_IPV6, "2001:db8::7"),
    (v2(0x20, 0), BALANCER), (b"PROXY UNKNOWN\r\n", BALANCER)])
def test_the_header_names_the_client(balanced, sink, listener, header, address):
    with come(balanced, listener, header) as client:
        assert client.send_message().code == 250
        client.expect(221, "QUIT")
    assert len(sink.messages) == 1
    end = balanced.wait_event("session", end="quit")
    assert end["ip"] == address
    assert end.get("proxy") == (BALANCER if address != BALANCER else None)
    for event in ("auth", "message"):
        assert balanced.wait_event(event)["ip"] == address


@pytest.mark.parametrize("header", [V1, V2])
def test_tls_may_follow_in_the_same_segment_or_byte_by_byte(balanced, header):
    """Not a byte behind the header is taken for it, and none before."""
    context = harness.certificates().client_context()
    for piece in (1, 7, 16, 100, 4096):
        incoming, outgoing = smtp_client.ssl.MemoryBIO(), \
            smtp_client.ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing,
                               server_hostname="smtp.example.test")
        with socket.create_connection(
                ("127.0.0.1", balanced.ports["submissions"]), 10,
                (BALANCER, 0)) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            before = header
            while True:
                try:
                    greeting = tls.read(100)
                    break
                except smtp_client.ssl.SSLWantReadError:
                    data = before + outgoing.read()
                    before = b""
                    for at in range(0, len(data), piece):
                        raw.sendall(data[at:at + piece])
                    incoming.write(raw.recv(65536))
            assert greeting.startswith(b"220 ")


@pytest.mark.parametrize("first", [
    b"EHLO client.example.test\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"PROXY TCP4 198.51.100.7 127.0.0.1 40000\r\n",
    V2[:12] + b"\x31" + V2[13:]])
def test_without_a_header_not_a_word(balanced, first):
    with Client(balanced.ports["submission"], source=BALANCER, first=first,
                greet=False) as client:
        assert client.receive() == b""
    assert balanced.wait_event("proxy")["ip"] == BALANCER
    assert balanced.wait_event("session")["end"] == "no proxy header"


def test_strangers_are_closed_at_the_door(balanced):
    with pytest.raises((Closed, OSError)):
        come(balanced, "submission", V1, source="127.0.4.1")
    assert balanced.wait_event("turned_away")["why"] == "not a proxy"


def test_a_listener_without_proxy_takes_no_header(balanced):
    with pytest.raises((Closed, OSError)):
        come(balanced, "direct", V1)
    with balanced.login(listener="direct") as client:
        client.expect(250, "NOOP")


def test_the_named_client_is_the_one_that_is_counted(balanced):
    clients = [come(balanced, "submission", V1) for _ in range(3)]
    with Client(balanced.ports["submission"], source=BALANCER,
                first=V1) as client:
        assert client.greeting.status == "421 4.7.0"
        assert client.is_closed()
    assert balanced.wait_event("turned_away")["ip"] == "198.51.100.7"
    with pytest.raises((Closed, OSError)):
        come(balanced, "submissions", V2)
    other = V1.replace(b"198.51.100.7", b"203.0.113.9")
    come(balanced, "submissions", other).close()
    for client in clients:
        client.close()


# ---- the real thing ----

def haproxy_section(name, port, backend, version, check=""):
    return f"""
listen {name}
    bind 127.0.0.1:{port}
    server portero 127.0.0.1:{backend} source {BALANCER} {version} {check}
"""


@contextlib.contextmanager
def haproxy(sections, folder):
    path = folder / "haproxy.cfg"
    path.write_text("global\n    log stdout format raw local0\ndefaults\n"
                    "    mode tcp\n    timeout connect 5s\n"
                    "    timeout client 30s\n    timeout server 30s\n"
                    "    log global\n" + sections)
    log = folder / "haproxy.log"
    with open(log, "wb") as out, subprocess.Popen(
            [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f",
             str(path)], stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT) as process:
        try:
            yield log
        finally:
            process.kill()


def test_behind_haproxy(balanced, sink, tmp_path):
    versions = {"v1": "send-proxy", "v2": "send-proxy-v2",
                "v2-ssl": "send-proxy-v2-ssl"}
    ports = {(name, listener): free_port() for name in versions
             for listener in ("submissions", "submission")}
    sections = "".join(
        haproxy_section(f"{name}-{listener}", port, balanced.ports[listener],
                        versions[name], "check inter 200ms")
        for (name, listener), port in ports.items())
    with haproxy(sections, tmp_path) as log:
        def is_open(port):
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_until(lambda: all(map(is_open, ports.values())), 10, "haproxy")
        for n, ((_, listener), port) in enumerate(ports.items()):
            balanced.ports["through"] = port
            address = f"127.0.5.{n + 1}"
            context = None
            if listener == "submissions":
                context = harness.certificates().client_context()
            with Client(port, context, source=address) as client:
                client.ehlo()
                if context is None:
                    client.expect(220, "STARTTLS")
                    client.start_tls(harness.certificates().client_context())
                    client.ehlo()
                assert client.auth_plain("ana", "s3cret").code == 235
                assert client.send_message().code == 250
            end = balanced.wait_event("session", ip=address)
            assert (end["proxy"], end["messages"]) == (BALANCER, "1")
        # its health checks come with LOCAL (v2), and find the server up
        wait_until(lambda: balanced.events("session", ip=BALANCER), 5,
                   "health checks")
    assert not re.search(r"is DOWN", log.read_text())
    assert len(sink.messages) == len(ports)
