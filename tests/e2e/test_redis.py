# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Quotas in Redis: one limit on many hosts."""
import contextlib
import re
import subprocess
import time

import pytest

import client as smtp
from directory import SOURCE
from harness import (certificates, config_text, default_options, free_port,
                     program, running, wait_until)
from ledger import (background, in_parallel, limit, quota, used, wait_used)
from redis_server import PLUGIN, SERVER, running_redis, watched_redis

pytestmark = pytest.mark.skipif(
    not SERVER, reason="redis-server is not installed")

LETTER = ["MAIL FROM:<ana@example.org>", "RCPT TO:<bob@example.net>", "DATA",
          b"Subject: test\r\n\r\ntext\r\n.\r\n"]


def store(redis, **options):
    return {"plugin": "store_redis", "uri": [redis.uri],
            "connect_timeout_ms": 2000, "command_timeout_ms": 2000, **options}


def last(replies):
    return next((r for r in replies if r.code >= 400), replies[-1])


@pytest.fixture
def redis_on_socket():
    with running_redis(unixsocket="socket", unixsocketperm=777) as server:
        yield server.folder / "socket"


@pytest.fixture
def redis():
    with running_redis() as server:
        yield server


def test_n_means_n_on_two_hosts(sink, redis):
    options = {**quota(limit("burst", "30m", messages=60)),
               "store": store(redis, on_store_failure="defer")}
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(running(sink, **options))
                 for _ in range(2)]

        def work(i):
            with hosts[i % 2].login(timeout=60) as client:
                play = [smtp.lockstep, smtp.pipelined][i // 2 % 2]
                return [last(play(client, LETTER)).code for _ in range(4)]
        codes = [c for some in in_parallel(40, work) for c in some]
        assert codes.count(250) == len(sink.messages) <= 60
        assert set(codes) <= {250, 450, 451}

        def is_full():
            """At once, unless Redis was late on a busy machine."""
            with contextlib.suppress(AssertionError):
                if used(hosts[0], "burst") == 60:
                    return True
                work(0)
            return False
        wait_until(is_full, 60, "all of them")
        assert len(sink.messages) == 60
        for host in hosts:
            wait_used(host, 60, "burst")
        assert hosts[0].ctl("limits", "reset", "ana").returncode == 0
        assert used(hosts[1], "burst") == 0
    # nothing stays for ever
    for key in redis.ask("KEYS", "*"):
        assert redis.ask("TTL", key) > 0, key


# ---- as the manual says ----

def manual_rights():
    """The line of redis.conf in portero.conf(5)."""
    page = (SOURCE / "doc/portero.conf.5.in").read_text()
    line = re.search(r"^user portero on (.*?)^\.Ed", page, re.M | re.S)[1]
    return line.replace("\\e\n", " ").replace(">PASSWORD", ">s3cret")


def password_file(folder):
    path = folder / "password"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    return str(path)


def test_the_rights_of_the_manual_are_enough(sink):
    with running_redis(user=[f"portero on {manual_rights()}",
                             "default on >other ~* &* +@all"],
                       requirepass="other") as redis:
        portero_store = store(redis, user="portero", database=3,
                              password_file=password_file(redis.folder))
        with running(sink, store=portero_store, policy=quota(
                limit("burst", "30m", messages=2))["policy"]) as portero:
            with portero.login() as client:
                codes = [last(smtp.lockstep(client, LETTER)).code
                         for _ in range(3)]
            assert codes == [250, 250, 450]
            wait_used(portero, 2, "burst")
            status = portero.ctl("store", "status")
            assert status.returncode == 0, status
            for word in ("noeviction", "persistence", "latency", "script",
                         "memory per person"):
                assert word in status.stdout, status.stdout
            top = portero.ctl("limits", "top")
            assert top.returncode == 0 and "ana" in top.stdout, top
            assert portero.ctl("limits", "reset", "ana").returncode == 0
            assert used(portero, "burst") == 0
            warnings = [e for e in portero.events() if e["level"] == "warning"]
            assert "keeps nothing on disk" in str(warnings)
        refused = redis.ask("ACL", "LOG")
        assert not refused, refused


def test_a_socket_of_the_same_machine(sink, redis_on_socket):
    with running(sink, store={"plugin": "store_redis",
                              "uri": [f"unix:{redis_on_socket}"]},
                 policy=quota(limit("burst", "30m", messages=1))["policy"]) \
            as portero, portero.login() as client:
        codes = [last(smtp.lockstep(client, LETTER)).code for _ in range(2)]
        assert codes == [250, 450]


# ---- TLS ----

def tls_redis():
    certs = certificates()
    return running_redis(
        tls_port=free_port(), tls_cert_file=certs.certificate("mx"),
        tls_key_file=certs.key("mx"), tls_ca_cert_file=certs.ca,
        tls_auth_clients="no")


def send_two(sink, portero_store):
    """What becomes of two messages with a limit of one."""
    with running(sink, store={"on_store_failure": "defer", **portero_store},
                 policy=quota(limit("burst", "30m", messages=1))["policy"]) \
            as portero, portero.login() as client:
        return [last(smtp.lockstep(client, LETTER)).code for _ in range(2)]


def test_tls_checks_the_name_or_is_refused(sink, tmp_path):
    """hiredis before 1.0 has none; that must be told, and no plain text."""
    ca = str(certificates().ca)
    if b"SSL_do_handshake" not in PLUGIN.read_bytes():
        text = config_text({**default_options(tmp_path, sink), "store": {
            "plugin": "store_redis", "uri": ["rediss://localhost"]}})
        (tmp_path / "conf").write_text(text + "\n")
        (tmp_path / "users").write_text("")
        done = subprocess.run([program("PORTEROD", "porterod"), "-t", "-c",
                               str(tmp_path / "conf")], capture_output=True,
                              text=True, check=False)
        assert done.returncode != 0 and "hiredis 1.0" in done.stderr, done
        return
    with tls_redis() as redis:
        uri = f"rediss://localhost:{redis.port}"
        good = {"plugin": "store_redis", "uri": [uri], "ca_file": ca}
        assert send_two(sink, good) == [250, 450]
        for change in ({"ca_file": None},
                       {"uri": [f"rediss://127.0.0.1:{redis.port}"]},
                       {"uri": [f"redis://localhost:{redis.port}"],
                        "ca_file": None}):
            assert send_two(sink, {**good, **change}) == [451, 451]


# ---- fail-over ----

def send_on(portero, codes, stopping):
    """One message after the other, whatever is said to them."""
    with portero.login(timeout=60) as client:
        while not stopping.is_set():
            codes.append(last(smtp.pipelined(client, LETTER)).code)
            if codes[-1] != 250:
                time.sleep(0.01)


CONNECTIONS = 4


def kill_primary(redis, codes):
    """How many messages the replica did not hear of, at most."""
    old, replica = redis.primary(), redis.replica()
    with replica.paused():
        old.ask("CLIENT", "KILL", "TYPE", "replica")
        before = codes.count(250)
        wait_until(lambda: codes.count(250) >= before + 10, 30, "mail")
        old.kill()
        return codes.count(250) - before + CONNECTIONS


def test_a_fail_over_is_followed(sink):
    """What the replica had not heard of may be sent once more, no more."""
    maximum = 300
    with watched_redis() as redis, contextlib.ExitStack() as stack:
        options = {"plugin": "store_redis", "uri": redis.uris,
                   "sentinel": redis.NAME, "on_store_failure": "defer"}
        portero = stack.enter_context(running(sink, store=options, policy=quota(
            limit("burst", "30m", messages=maximum))["policy"]))
        codes = []
        for _ in range(CONNECTIONS):
            stack.enter_context(background(
                lambda stopping: send_on(portero, codes, stopping)))
        wait_until(lambda: codes.count(250) >= 60, 30, "mail before")
        old = redis.primary()
        unheard = kill_primary(redis, codes)
        before = codes.count(250)
        wait_until(lambda: codes.count(250) > before + 20, 30, "mail after")
        assert redis.primary() is not old
        wait_until(lambda: codes.count(450) > 20, 30, "the end of the limit")
        states = [e["state"] for e in portero.events("store") if "state" in e]
        assert states == ["away", "up"], portero.log_tail()
    assert 451 in codes
    over = len(sink.messages) - maximum
    print(f"over-issue: {over} of {unheard} messages")
    assert 0 <= over <= unheard
