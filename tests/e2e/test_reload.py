# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Reloads and ends: nobody is refused, nobody is cut off in a transaction,
and a configuration that is wrong changes nothing."""
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

import harness
from harness import (LONG, Section, certificates, is_process, room,
                     wait_until)
from ledger import (BODY, background, in_parallel, limit, quota, start_again,
                    used, wait_used)

PORTS = ["submissions", "submission"]
MAIL = "MAIL FROM:<ana@example.org>"
RCPT = "RCPT TO:<bob@example.net>"
BAD = Path(os.environ.get("PORTERO_SOURCE", "../..")) / "tests/data/config/bad"


def begin(client, lines=("MAIL", "RCPT", "DATA")):
    for line in lines:
        client.expect(354 if line == "DATA" else 250,
                      {"MAIL": MAIL, "RCPT": RCPT}.get(line, line))


# ---- the load ----

class Drained(Exception):
    """421 4.3.2 between two transactions, as it may be."""


class Visitor:
    """One connection after the other, in which all must go well but for a
    421 4.3.2 between transactions. The slow ones take their time within."""

    def __init__(self, portero, i, pause_s):
        self.portero = portero
        self.i = i
        self.pause_s = pause_s
        self.sent = 0
        self.drained = 0

    def pause(self):
        time.sleep(random.uniform(0, self.pause_s))

    def message(self, client):
        reply = client.command(MAIL)
        if reply.status == "421 4.3.2":
            assert client.is_closed()
            raise Drained
        assert reply.code == 250, reply
        self.pause()
        client.expect(250, RCPT)
        client.expect(354, "DATA")
        client.send(b"Subject: x\r\n\r\nhalf\r\n")
        self.pause()
        client.send(b"whole\r\n.\r\n")
        reply = client.reply()
        assert reply.code == 250, reply
        self.sent += 1

    def visit(self):
        with self.portero.login("ana", "s3cret", PORTS[self.i % 2]) as client:
            try:
                for _ in range(random.randrange(1, 5)):
                    self.message(client)
                    self.pause()
            except Drained:
                self.drained += 1

    def run(self, stopping):
        while not stopping.is_set():
            self.visit()


@contextlib.contextmanager
def visitors(portero, count=6, pause_s=0.02):
    """A load that fails the test if anything goes wrong."""
    them = [Visitor(portero, i, pause_s) for i in range(count)]
    with contextlib.ExitStack() as stack:
        for visitor in them:
            stack.enter_context(background(visitor.run))
        wait_until(lambda: all(v.sent for v in them), 20, "the load")
        yield them


def reload(portero, **changes):
    """A good one."""
    portero.options.update(changes)
    portero.write_config()
    done = portero.ctl("reload")
    assert done.returncode == 0 and re.search(
        r"(?m)^reloaded: generation \d+ serves\n\Z", done.stdout), done


def only_current(portero):
    """The old generations have gone."""
    return all(len(portero.pids(role)) == portero.options[f"{role}_workers"]
               for role in ("session", "auth", "policy"))


# ---- good configurations ----

@pytest.mark.parametrize("pause_s,rounds", [(0.02, 20), (0.3, 8)])
def test_reloads_under_load(start, sink, pause_s, rounds):
    """Also faster than messages end: then a reload waits."""
    rounds = 100 if LONG else rounds
    portero = start(**quota(limit("day", "1d", messages=1000000)))
    with visitors(portero, 10, pause_s) as them:
        for _ in range(rounds):
            reload(portero)
    assert sum(v.drained for v in them) > 0
    assert len(sink.messages) == sum(v.sent for v in them)
    assert portero.status()["counters"]["reloads"] == rounds
    wait_used(portero, len(sink.messages), "day")
    wait_until(lambda: only_current(portero), 10, "end of the old workers")


def test_two_askers_get_their_verdicts(start):
    """Those who ask while a reload runs get the verdict of the next."""
    portero = start()
    done = in_parallel(6, lambda i: portero.ctl("reload", "--json"))
    assert all(d.returncode == 0 for d in done), done
    texts = [d.stdout for d in done]
    assert 1 < len(set(texts)) <= 3, texts
    assert portero.status()["generation"] == 1 + len(set(texts))


def test_idle_sessions_are_told_and_newcomers_served(start, sink):
    portero = start()
    regular, newcomer, sender = portero.login(), portero.connect(), \
        portero.login()
    assert regular.send_message().code == 250
    begin(sender)
    started = time.monotonic()
    reload(portero)
    assert regular.reply().status == "421 4.3.2"
    assert regular.is_closed()
    assert time.monotonic() - started < room(1)
    newcomer.ehlo()
    assert newcomer.auth_plain("ana", "s3cret").code == 235
    assert newcomer.send_message().code == 250
    assert newcomer.reply().status == "421 4.3.2"
    sender.send(BODY + b".\r\n")
    assert sender.reply().code == 250
    assert sender.reply().status == "421 4.3.2"
    for client in regular, newcomer, sender:
        client.close()
    wait_until(lambda: only_current(portero), 10, "end of the old workers")
    assert len(sink.messages) == 3


def test_a_third_reload_waits_for_the_oldest_workers(start, sink):
    portero = start()
    first = portero.login()
    begin(first)
    reload(portero)
    second = portero.login()
    begin(second)
    reload(portero)
    answers = []
    third = threading.Thread(
        target=lambda: answers.append(portero.ctl("reload")), daemon=True)
    third.start()
    portero.wait_event("reload",
                       msg="waiting for generation 1 to finish its messages")
    with portero.login() as client:
        assert client.send_message().code == 250
    assert not answers
    first.send(BODY + b".\r\n")
    assert first.reply().code == 250
    first.close()
    third.join(10)
    assert answers and answers[0].returncode == 0
    second.send(BODY + b".\r\n")
    assert second.reply().code == 250
    assert len(sink.messages) == 3


def test_drain_timeout_bounds_a_message(start, sink):
    portero = start(drain_timeout="1s",
                    **quota(limit("day", "1d", messages=5)))
    client = portero.login()
    begin(client)
    client.send(b"Subject: never\r\n")
    old = portero.pids("session")
    started = time.monotonic()
    reload(portero)
    assert client.reply().status == "421 4.3.2"
    assert client.is_closed()
    assert 0.9 < time.monotonic() - started < 4
    client.close()
    wait_until(lambda: not any(map(is_process, old)), 5, "end of the old")
    wait_used(portero, 0, "day")
    assert not sink.messages


def test_listeners_come_and_go(start, sink):
    portero = start()
    both = portero.options["listen"]
    extra = Section("extra", address=["127.0.0.1"], port=harness.free_port(),
                    tls="starttls")
    portero.ports["extra"] = extra.options["port"]
    with visitors(portero):
        with pytest.raises(ConnectionRefusedError):
            portero.connect("extra")
        reload(portero, listen=both + [extra])
        late = portero.login(listener="extra")
        begin(late)
        reload(portero, listen=both)
        assert portero.wait_event("reload", generation=3)
        wait_until(lambda: is_refused(portero.ports["extra"]), 10, "the close")
        late.send(BODY + b".\r\n")
        assert late.reply().code == 250
        assert late.reply().status == "421 4.3.2"
        reload(portero, listen=both + [extra])
        with portero.login(listener="extra") as client:
            assert client.send_message().code == 250


def is_refused(port):
    """Nobody listens there any more. While old workers end, a connection may
    still be taken and dropped."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("role", ["session", "policy", "auth"])
def test_the_number_of_workers_changes(start, sink, role):
    portero = start()
    with visitors(portero):
        for count in (4, 1, 3):
            reload(portero, **{f"{role}_workers": count})
            wait_until(lambda: only_current(portero), 20, "the new number")
            in_parallel(12, lambda i: portero.login("ana", "s3cret",
                                                    PORTS[i % 2]).close())
    assert sink.messages


def peer_name(portero, name, listener):
    """The certificate that is shown; verified for the name."""
    with portero.secure(listener, server_name=name) as client:
        return client.socket.getpeercert(True)


@pytest.mark.parametrize("listener", PORTS)
def test_a_renewed_certificate_is_shown(start, listener):
    portero = start()
    folder = portero.folder / "tls"
    folder.mkdir()

    def put(name):
        for kind in ("crt", "key"):
            new = folder / f"new.{kind}"
            shutil.copy(certificates().folder / f"{name}.{kind}", new)
            new.rename(folder / f"tls.{kind}")
    put("smtp")
    reload(portero, tls=[Section(certificate=str(folder / "tls.crt"),
                                 key=str(folder / "tls.key"))])
    old = peer_name(portero, "smtp.example.test", listener)
    put("other")
    with visitors_of(portero, "smtp.example.test", listener):
        # not before the reload
        assert peer_name(portero, "smtp.example.test", listener) == old
    reload(portero)
    assert peer_name(portero, "mail.other.test", listener) != old
    with pytest.raises(ssl.SSLCertVerificationError):
        peer_name(portero, "smtp.example.test", listener)


@contextlib.contextmanager
def visitors_of(portero, name, listener):
    """One session of before that goes on."""
    with portero.secure(listener, server_name=name) as client:
        yield
        client.expect(250, "NOOP")


def test_limits_and_size_change_for_new_sessions(start, sink):
    portero = start(**quota(limit("day", "1d", messages=2)))
    with portero.login() as client:
        assert client.send_message().code == 250
    reload(portero, **quota(limit("day", "1d", messages=4)))
    wait_used(portero, 1, "day")
    with portero.login() as client:
        codes = [client.send_message().code for _ in range(4)]
    assert codes == [250] * 3 + [550]
    listen = [Section(s.title, **{**s.options, "max_size": "10K"})
              for s in portero.options["listen"]]
    reload(portero, listen=listen)
    with portero.secure() as client:
        assert client.ehlo()["SIZE"] == "10240"


def test_sighup_is_a_reload(start):
    portero = start()
    with visitors(portero, 3):
        portero.process.send_signal(signal.SIGHUP)
        portero.wait_event("reload", result="ok", generation=2)
        good = portero.config.read_text()
        portero.write_config(good + "nonsense = 1\n")
        portero.process.send_signal(signal.SIGHUP)
        portero.wait_event("reload", result="refused", generation=2)
        line = good.count("\n") + 1
        assert f"{portero.config}:{line}: error: unknown option " in \
            portero.wait_event("config")["msg"]


# ---- bad configurations ----

def local_paths(text, portero):
    """Files that are there where the example's are not."""
    for example, here in (
            ("/etc/portero/tls.crt", certificates().certificate("smtp")),
            ("/etc/portero/ecdsa.crt", certificates().certificate("smtp")),
            ("/etc/portero/rsa.crt", certificates().certificate("smtp-rsa")),
            ("/etc/portero/tls.key", certificates().key("smtp")),
            ("/etc/portero/users", str(portero.users_file)),
            ('hostname = "smtp.example.org"\n',
             'hostname = "smtp.example.org" '
             f'plugin_dir = "{harness.plugin_dir()}"\n')):
        text = text.replace(example, here)
    return text


def untouched(portero, clients, pids):
    """No session noticed anything, and no process is another one."""
    for client in clients:
        client.expect(250, "NOOP")
    assert [portero.pids(role) for role in ("session", "auth", "policy",
                                            "control")] == pids
    assert portero.status()["generation"] == 1


@contextlib.contextmanager
def nobody_notices(portero):
    """Sessions in all states, and a load beside them."""
    clients = [portero.connect(), portero.secure("submission"),
               portero.login(), portero.login()]
    clients[3].expect(250, MAIL)
    roles = ("session", "auth", "policy", "control")
    pids = [portero.pids(role) for role in roles]
    with visitors(portero, 4) as them:
        yield lambda: untouched(portero, clients, pids)
    assert not any(v.drained for v in them)
    clients[3].expect(250, RCPT)
    clients[3].expect(354, "DATA")
    clients[3].send(BODY + b".\r\n")
    assert clients[3].reply().code == 250


def assert_told(portero, said, line):
    """The file, the line and the text. Why a plugin cannot be loaded is told
    by the real loader at more length."""
    said = [s.removeprefix("porteroctl: ") for s in said.splitlines()]
    line, _, unknown = line.partition("there is no plugin ")
    line = f"{portero.config}:{line}"
    assert any(s.startswith(line) and unknown in s if unknown else s == line
               for s in said), (line, said)


def test_broken_configurations_under_load(start):
    portero = start()
    files = sorted(BAD.glob("*.conf"))
    assert len(files) >= 30
    with nobody_notices(portero) as check:
        for path in files:
            text = path.read_text()
            wanted = re.findall(r"(?m)^# expect (\d+: .*)$", text)
            assert wanted, path
            portero.write_config(local_paths(text, portero))
            done = portero.ctl("reload")
            assert done.returncode == 1, path
            for line in wanted:
                assert_told(portero, done.stderr, local_paths(line, portero))
            check()
        portero.write_config()
        assert portero.status()["counters"]["reloads_failed"] == len(files)
    reload(portero)


def spoilt_key(portero):
    portero.options["tls"] = [Section(
        certificate=certificates().certificate("smtp"),
        key=certificates().key("other"))]
    return "does not belong to"


def no_certificate(portero):
    portero.options["tls"] = [Section(certificate="/nowhere/tls.crt",
                                      key=certificates().key("smtp"))]
    return "No such file"


def no_plugin(portero):
    portero.options["policy"] = [Section("x", plugin="policy_nothing")]
    return "policy_nothing"


def plugin_that_refuses(portero):
    portero.options["policy"] = [Section(
        "x", plugin="policy_rate", limit=[Section("l", per="1h")])]
    return "limits nothing"


def port_of_a_stranger(portero):
    portero.stranger = socket.socket()
    portero.stranger.bind(("127.0.0.1", 0))
    portero.stranger.listen()
    port = portero.stranger.getsockname()[1]
    portero.options["listen"] = portero.options["listen"] + [
        Section("extra", address=["127.0.0.1"], port=port, tls="starttls")]
    return f"cannot listen on 127.0.0.1:{port}"


def log_to_nowhere(portero):
    portero.options["log"] = {"to": "file", "file": "/nowhere/at/all/log"}
    return "/nowhere/at/all/log"


def unknown_user(portero):
    portero.options["user"] = "nobody-of-this-name"
    return "nobody-of-this-name"


def no_file(portero):
    portero.config.unlink()
    return str(portero.config)


@pytest.mark.parametrize("spoil", [
    spoilt_key, no_certificate, no_plugin, plugin_that_refuses,
    port_of_a_stranger, log_to_nowhere, unknown_user, no_file])
def test_what_only_a_trial_tells(start, spoil):
    if spoil is unknown_user and not harness.IS_ROOT:
        pytest.skip("users change only for root")
    portero = start()
    good = dict(portero.options)
    with nobody_notices(portero) as check:
        word = spoil(portero)
        if spoil is not no_file:
            portero.write_config()
        done = portero.ctl("reload")
        assert done.returncode == 1 and word in done.stderr, done
        check()
        portero.options = good
        portero.write_config()
    reload(portero)


# ---- the end ----

@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "stop"])
def test_the_end_waits_for_messages(start, sink, how):
    portero = start(**quota(limit("day", "1d", messages=5)))
    idle, sender, between = [portero.login() for _ in range(3)]
    assert idle.send_message().code == 250
    begin(sender)
    begin(between, ("MAIL", "RCPT"))
    if how == "stop":
        assert portero.ctl("stop").returncode == 0
    else:
        portero.process.send_signal(how)
    assert idle.reply().status == "421 4.3.2"
    wait_until(lambda: is_refused(portero.ports["submission"]), 5, "the close")
    time.sleep(0.3)
    assert portero.process.poll() is None
    sender.send(BODY + b".\r\n")
    assert sender.reply().code == 250
    assert sender.reply().status == "421 4.3.2"
    between.expect(354, "DATA")
    between.send(BODY + b".\r\n")
    assert between.reply().code == 250
    for client in idle, sender, between:
        client.close()
    assert portero.process.wait(3) == 0
    assert len(sink.messages) == 3


def test_stop_timeout_bounds_the_end(start, sink):
    portero = start(stop_timeout="1s",
                    **quota(limit("day", "1d", messages=5)))
    client = portero.login()
    begin(client)
    client.send(b"Subject: never\r\n")
    started = time.monotonic()
    portero.process.send_signal(signal.SIGTERM)
    assert client.reply().status == "421 4.3.2"
    assert portero.process.wait(10) == 0
    assert 0.9 < time.monotonic() - started < 5
    start_again(portero)
    assert used(portero, "day") == 0 and not sink.messages


def test_told_twice_it_does_not_wait(start, sink):
    portero = start(stop_timeout="60s",
                    **quota(limit("day", "1d", messages=5)))
    client = portero.login()
    begin(client)
    for _ in range(2):
        portero.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert portero.process.wait(5) == 0
    assert client.reply().status == "421 4.3.2"
    assert not sink.messages


def test_an_end_in_the_midst_of_a_reload(start):
    portero = start()
    asked = threading.Thread(target=portero.ctl, args=("reload",))
    asked.start()
    time.sleep(0.01)
    portero.process.send_signal(signal.SIGTERM)
    assert portero.process.wait(10) == 0
    asked.join(10)
    assert not asked.is_alive()


# ---- the log ----

def test_a_rotated_log_loses_nothing(start, sink):
    portero = start()
    log = portero.folder / "mail.log"
    reload(portero, log={"to": "file", "file": str(log)})
    with visitors(portero) as them:
        for i in range(5):
            have = len(sink.messages)
            sink.wait_messages(have + 20)
            log.rename(portero.folder / f"mail.log.{i}")
            portero.process.send_signal(signal.SIGUSR1)
            wait_until(log.exists, 5, "the new file")
    sent = sum(v.sent for v in them)

    def messages():
        return [l for f in portero.folder.glob("mail.log*")
                for l in f.read_text().splitlines() if " ev=message " in l]
    wait_until(lambda: len(messages()) == sent, 5, "all lines")
    queued = [harness.parse_line(l)["reply"] for l in messages()]
    assert len(set(queued)) == sent, "each once, and whole"
    assert all(l.startswith("ts=") for f in portero.folder.glob("mail.log*")
               for l in f.read_text().splitlines())


class Syslog:
    """What /dev/log is elsewhere."""

    def __init__(self, folder):
        self.path = folder / "log"
        self.socket = None
        self.up()

    def up(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        self.socket.setblocking(False)

    def down(self):
        self.socket.close()
        self.path.unlink()

    def lines(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                yield self.socket.recv(65536).decode()


@pytest.fixture
def dev(monkeypatch):
    """A /dev of porterod's own, for its /dev/log, in a mount namespace."""
    if not harness.IS_ROOT or subprocess.run(
            ["unshare", "--mount", "true"], check=False,
            capture_output=True).returncode != 0:
        pytest.skip("needs root and mount namespaces: /dev/log is fixed")
    folder = harness.temporary_folder()
    dev = folder / "dev"
    dev.mkdir()
    script = folder / "porterod"
    real = harness.program("PORTEROD", "porterod")
    script.write_text(f"""#!/bin/sh
exec unshare --mount sh -c '
for f in null zero random urandom; do
  touch "{dev}/$f" && mount --bind "/dev/$f" "{dev}/$f" || exit 1
done
mount --rbind "{dev}" /dev && exec "{real}" "$@"' porterod "$@"
""")
    script.chmod(0o755)
    monkeypatch.setenv("PORTEROD", str(script))
    yield dev
    shutil.rmtree(folder, ignore_errors=True)


def test_syslog_and_its_restart(dev, start, sink):
    """From inside the chroot, and again once it is back."""
    syslog = Syslog(dev)
    portero = start()
    reload(portero, log={"to": "syslog"})
    wait_until(lambda: only_current(portero), 10, "old workers to go")
    got = []

    def has(*words):
        got.extend(syslog.lines())
        return any(all(w in line for w in words) for line in got)
    with portero.login() as client:
        assert client.send_message().code == 250
        sid = client.greeting.sid
        wait_until(lambda: has(f" s={sid} ", "ev=message"), 5, "the line")
        assert has("<22>portero-session[", "]: level=info ev=auth ", sid)
        wait_until(lambda: has("portero-master[", "ev=ready"), 5, "master")
        syslog.down()
        assert client.send_message().code == 250
        time.sleep(0.5)
        syslog.up()
        wait_until(lambda: has("t=2", f" s={sid} ", "ev=message"), 10,
                   "the line from meanwhile")
        assert client.send_message().code == 250
        wait_until(lambda: has("t=3", f" s={sid} ", "ev=message"), 5,
                   "the next")
    assert all(re.match(r"<2[0-3]>portero-(master|session|auth|policy|control)"
                        r"\[\d+\]: level=\w+ ev=", line) for line in got), got
