# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Plugins that crash, hang, talk nonsense or must not be loaded: the right
answer in its time, nobody else harmed, counted and logged."""
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import faults
import harness
from harness import LONG, Section, plugin_dir, room, wait_until
from sink import checked_sink

# policy_timeout and auth_timeout here. A plugin that hangs may cost half a
# second more, and the reply some ms; a crash costs nothing but these.
TIMEOUT = "500ms"
HANG_S = room(1.1)
AT_ONCE_S = room(0.3)
BODY = b"Subject: test\r\n\r\ntext\r\n"
QUOTA = {"store": faults.STORE, "policy": [faults.QUOTA]}


def processes(portero, role):
    return [p for p in portero.status()["processes"] if p["role"] == role]


def are_well(portero):
    """All processes are there and none is at a question."""
    return all(p["state"] in ("ok", "idle")
               for p in portero.status()["processes"])


class Growth:
    """Of the server's counters, from now on."""

    def __init__(self, portero):
        self.portero = portero
        self.before = portero.status()["counters"]

    def of(self, name):
        return self.portero.status()["counters"][name] - self.before[name]

    def wait(self, name, count=1):
        wait_until(lambda: self.of(name) >= count, 5, name)
        assert self.of(name) == count, name


def step_by_step(client, sender):
    """A message: the stage where it ends, the reply there, its seconds."""
    def body():
        client.send(BODY + b".\r\n")
        return client.reply()

    for stage, good, step in (
            ("mail", 250, lambda: client.mail(sender)),
            ("rcpt", 250, lambda: client.rcpt("bob@example.net")),
            ("data", 354, lambda: client.command("DATA")),
            ("end", 250, body)):
        reply, seconds = client.timed(step)
        if reply.code != good:
            break
    client.expect(250, "RSET")
    return stage, reply, seconds


def in_one_go(client, sender):
    """The same as one pipelined group."""
    commands = f"MAIL FROM:<{sender}>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
    started = time.monotonic()
    client.send(commands.encode())
    replies = [client.reply() for _ in range(3)]
    if replies[2].code == 354:
        client.send(BODY + b".\r\n")
        replies.append(client.reply())
    seconds = time.monotonic() - started
    client.expect(250, "RSET")
    bad = [(stage, reply) for stage, reply in
           zip(("mail", "rcpt", "data", "end"), replies)
           if reply.code not in (250, 354)]
    return *(bad[0] if bad else ("end", replies[-1])), seconds


# ---- policies ----

# What goes wrong, how long it may take, what counts it, and the log's line.
KINDS = {
    "crash": (AT_ONCE_S, "worker_crashed",
              {"ev": "worker", "role": "policy", "result": "crashed"}),
    "sleep": (HANG_S, "worker_killed",
              {"ev": "worker", "role": "policy", "result": "killed",
               "cause": "timeout"}),
    "spin": (HANG_S, "worker_killed",
             {"ev": "worker", "role": "policy", "result": "killed",
              "cause": "timeout"}),
    "wait": (HANG_S, "plugin_failed",
             {"ev": "plugin_failed", "module": "fault_policy",
              "cause": "deadline"}),
    "nonsense": (AT_ONCE_S, "plugin_failed",
                 {"ev": "plugin_failed", "module": "fault_policy",
                  "cause": "a reply code that does not go with the verdict"}),
    "none": (AT_ONCE_S, "plugin_failed",
             {"ev": "plugin_failed", "module": "fault_policy",
              "cause": "no verdict"}),
}
CASES = [("crash", "mail"), ("crash", "rcpt"), ("crash", "data"),
         ("crash", "end"), ("sleep", "mail"), ("sleep", "end"),
         ("spin", "data"), ("wait", "rcpt"), ("nonsense", "mail"),
         ("nonsense", "end"), ("none", "rcpt"), ("none", "data")]
SPOILT = [faults.policy(kind, stage) for kind, stage in CASES] + \
    [faults.policy("crash", "outcome"), faults.policy("sleep", "outcome")]


@pytest.fixture(scope="module")
def faulty_sink():
    with checked_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def faulty(faulty_sink):
    """With a policy for every fault, behind one that counts."""
    with harness.running(
            faulty_sink, policy_workers=4, policy_timeout=TIMEOUT,
            store=faults.STORE, policy=[faults.QUOTA] + SPOILT) as portero:
        portero.may_crash = True
        yield portero


@pytest.mark.parametrize("play", [step_by_step, in_one_go])
@pytest.mark.parametrize("kind,stage", CASES)
def test_a_faulty_policy(faulty, faulty_sink, kind, stage, play):
    limit_s, counter, line = KINDS[kind]
    sender = f"{kind}-{stage}@example.org"
    faulty_sink.reset()
    wait_until(lambda: are_well(faulty), 10, "all workers")
    growth = Growth(faulty)
    logged = len(faulty.events(line["ev"], **line))

    with faulty.login() as client:
        where, reply, seconds = play(client, sender)
        assert reply.status == "451 4.7.0"
        assert seconds < limit_s
        # Asked as one group: whoever still answers tells the stage, and is
        # asked once more there; else nobody knows where it was.
        asked_again = play is in_one_go and kind in ("nonsense", "none") and \
            stage in ("rcpt", "data")
        known = play is step_by_step or asked_again or stage == "end"
        assert where == (stage if known else "mail")
        assert not faulty_sink.messages
        # the same client goes on, and nothing was counted for the first
        assert client.send_message().code == 250
    assert len(faulty_sink.messages) == 1
    times = 2 if asked_again else 1
    growth.wait(counter, times)
    growth.wait("policy_deferred", times)
    wait_until(lambda: len(faulty.events(line["ev"], **line)) ==
               logged + times)
    refusals = faulty.events(s=reply.sid, **{"from": sender})
    assert refusals and all("451 4.7.0" in e["reply"] for e in refusals)


def test_what_a_faulty_policy_stopped_costs_nothing(faulty):
    """After all those above: what was taken is what was sent."""
    def used():
        done = faulty.ctl("limits", "show", "ana", "--json")
        return done.stdout

    wait_until(lambda: are_well(faulty), 10, "all workers")
    with faulty.login() as client:
        assert client.send_message().code == 250
    faulty.wait_event("message", s=client.greeting.sid)
    accepted = len(faulty.events("message", outcome="accepted", user="ana"))
    wait_until(lambda: f'"used":{accepted},' in used().replace(" ", ""), 5,
               f"used = {accepted}")


@pytest.mark.parametrize("kind,counter", [("crash", "worker_crashed"),
                                          ("sleep", "worker_killed")])
def test_a_fault_at_the_outcome_concerns_nobody(faulty, faulty_sink, kind,
                                                counter):
    faulty_sink.reset()
    growth = Growth(faulty)
    with faulty.login() as client:
        _, reply, seconds = step_by_step(client, f"{kind}-outcome@example.org")
        assert reply.code == 250
        assert seconds < AT_ONCE_S
        growth.wait(counter)
        assert client.send_message().code == 250
    assert len(faulty_sink.messages) == 2
    assert growth.of("policy_deferred") == 0


def test_crashes_are_answered_in_milliseconds(faulty):
    times = []
    with faulty.login() as client:
        for _ in range(10):
            _, reply, seconds = step_by_step(client, "crash-mail@example.org")
            assert reply.status == "451 4.7.0"
            times.append(seconds)
            wait_until(lambda: are_well(faulty), 5, "all workers")
    assert sorted(times)[len(times) // 2 if LONG else 0] < 0.05, times


def test_others_are_served_while_policies_hang(faulty):
    """Two of the four workers hang."""
    wait_until(lambda: are_well(faulty), 10, "all workers")

    def hang(sender):
        with faulty.login() as client:
            return step_by_step(client, sender)

    with ThreadPoolExecutor(2) as threads, faulty.login("luis", "pa55word") \
            as other:
        hung = [threads.submit(hang, "sleep-mail@example.org"),
                threads.submit(hang, "spin-data@example.org")]
        wait_until(lambda: sum(p["state"] == "busy" for p in
                               processes(faulty, "policy")) == 2, 5, "hang")
        times = []
        while not all(h.done() for h in hung):
            reply, seconds = other.timed(other.send_message)
            assert reply.code == 250
            times.append(seconds)
        for h in hung:
            assert h.result()[1].status == "451 4.7.0"
            assert h.result()[2] < HANG_S
    assert len(times) > (10 if LONG else 3)  # nobody waited for the hang
    assert max(times) < AT_ONCE_S


def test_more_hangs_than_workers(start):
    """Questions that wait too long in the queue are answered in time, too."""
    portero = start(policy_workers=2, policy_timeout=TIMEOUT,
                    policy=[faults.policy("sleep")])
    portero.may_crash = True

    def hang():
        with portero.login() as client:
            return step_by_step(client, "sleep-mail@example.org")

    with ThreadPoolExecutor(8) as threads:
        for _, reply, seconds in threads.map(lambda _: hang(), range(8)):
            assert reply.status == "451 4.7.0"
            assert seconds < HANG_S + 0.2
    with portero.login() as client:
        wait_until(lambda: client.send_message().code == 250, 5, "recovery")


# ---- auth ----

@pytest.fixture(scope="module")
def faulty_auth(faulty_sink):
    with faults.people(harness.USERS) as people, harness.running(
            faulty_sink, auth_workers=3, auth_timeout=TIMEOUT,
            auth=[faults.auth(kind) for kind in KINDS] + [people],
            **QUOTA) as portero:
        portero.may_crash = True
        yield portero


@pytest.mark.parametrize("kind", KINDS)
def test_a_faulty_directory(faulty_auth, kind):
    """It is never a wrong password, and the client may go on."""
    limit_s, counter, line = KINDS[kind]
    line = {**line, **({"role": "auth"} if "role" in line else
                       {"module": "fault_auth"})}
    if kind == "nonsense":
        line["cause"] = "an identity without a usable id"
    wait_until(lambda: are_well(faulty_auth), 10, "all workers")
    growth = Growth(faulty_auth)
    logged = len(faulty_auth.events(line["ev"], **line))

    with faulty_auth.secure() as client:
        reply, seconds = client.timed(client.auth_plain, f"{kind}-auth", "x")
        assert reply.status == "454 4.7.0"
        assert seconds < limit_s
        assert client.auth_plain("ana", "s3cret").code == 235
        assert client.send_message().code == 250
    growth.wait(counter)
    growth.wait("login_deferred")
    assert growth.of("login_denied") == 0
    wait_until(lambda: len(faulty_auth.events(line["ev"], **line)) ==
               logged + 1)
    assert faulty_auth.wait_event("auth", s=reply.sid, result="deferred")


def test_limits_are_checked_while_the_directory_hangs(faulty_auth):
    """All auth workers hang: who is logged in goes on undisturbed, who is
    not is told to come again."""
    wait_until(lambda: are_well(faulty_auth), 10, "all workers")

    def attempt(login):
        with faulty_auth.secure() as client:
            return client.timed(client.auth_plain, login, "s3cret")

    with ThreadPoolExecutor(4) as threads, faulty_auth.login() as other:
        hung = [threads.submit(attempt, "sleep-auth") for _ in range(3)]
        wait_until(lambda: all(p["state"] == "busy" for p in
                               processes(faulty_auth, "auth")), 5, "hang")
        late = threads.submit(attempt, "ana")
        times = []
        while not all(h.done() for h in hung):
            reply, seconds = other.timed(other.send_message)
            assert reply.code == 250
            times.append(seconds)
        for h in hung:
            reply, seconds = h.result()
            assert reply.status == "454 4.7.0"
            assert seconds < HANG_S
        reply, seconds = late.result()
        assert reply.code in (235, 454)
        assert seconds < HANG_S + 0.2
    assert len(times) > (10 if LONG else 3)  # nobody waited for the hang
    assert max(times) < AT_ONCE_S
    wait_until(lambda: attempt("ana")[0].code == 235, 5, "recovery")


# ---- mode = monitor ----

def test_monitors_never_stop_a_message(start, sink):
    portero = start(policy_workers=4, policy_timeout=TIMEOUT, policy=[
        faults.policy(kind, stage, mode="monitor") for kind, stage in CASES])
    portero.may_crash = True
    growth = Growth(portero)
    times = {}
    with portero.login() as client:
        for n, (kind, stage) in enumerate(CASES, 1):
            _, reply, seconds = step_by_step(client,
                                             f"{kind}-{stage}@example.org")
            assert reply.code == 250, (kind, stage)
            times.setdefault(kind, []).append(seconds)
            assert len(sink.messages) == n
            wait_until(lambda: are_well(portero), 10, "all workers")
    for seconds in times.values():
        assert (max if LONG else min)(seconds) < 0.3, times
    growth.wait("worker_crashed", 4)
    growth.wait("worker_killed", 3)
    growth.wait("plugin_failed", 5)
    assert growth.of("policy_deferred") == 0
    assert growth.of("monitor_denied") >= 5


def test_a_monitor_that_always_crashes(start, sink):
    """Message after message, faster than workers can be replaced."""
    portero = start(policy_workers=2,
                    policy=[faults.policy("crash", mode="monitor")])
    portero.may_crash = True
    with portero.login() as client:
        for _ in range(20):
            assert step_by_step(client, "crash-mail@example.org")[1].code == 250
    assert len(sink.messages) == 20


# ---- plugins that must not be loaded ----

@pytest.fixture
def own_plugins(tmp_path):
    """A copy of the plugins that a test may spoil."""
    folder = harness.temporary_folder()
    for path in Path(plugin_dir()).glob("*.so"):
        shutil.copy2(path, folder)
    yield folder
    shutil.rmtree(folder)


def open_to_group(path):
    path.chmod(path.stat().st_mode | 0o020)


def spoil_file(folder):
    open_to_group(folder / "sample.so")


def spoil_folder(folder):
    open_to_group(folder)


def spoil_link(folder):
    (folder / "sample.so").rename(folder / "elsewhere.so")
    (folder / "sample.so").symlink_to("elsewhere.so")


def spoil_owner(folder):
    os.chown(folder / "sample.so", 4242, 4242)


def spoil_content(folder):
    (folder / "sample.so").write_bytes(b"\x7fELF, but no more\n" * 100)


def spoil_abi(folder):
    shutil.copy2(folder / "bad_table.so", folder / "sample.so")


SPOILERS = {
    spoil_file: r"sample\.so: others may write to it \(mode 0\d\d\d\)",
    spoil_folder: r"folder .*: others may write to it",
    spoil_link: r"sample\.so: is a symbolic link",
    spoil_owner: r"sample\.so: it belongs to user 4242, not to root",
    spoil_content: r"sample\.so: .*(ELF|too short|invalid)",
    spoil_abi: r"plugin sample: it was built for ABI \d+, this is ABI \d+",
}


@pytest.mark.parametrize("spoil", SPOILERS)
def test_a_module_that_must_not_be_loaded(start, own_plugins, spoil):
    """A reload with it changes nothing, `porterod -t` names its line, and a
    start fails."""
    if spoil is spoil_owner and not harness.IS_ROOT:
        pytest.skip("only root can give a file away")
    portero = start(plugin_dir=str(own_plugins))
    with portero.login() as client:
        spoil(own_plugins)
        portero.options["policy"] = [Section(
            "inside", plugin="sample", domains=["example.net"],
            **{"class": "newcomers"})]
        portero.write_config()
        done = portero.ctl("reload")
        assert done.returncode == 1
        said = f"{done.stdout}{done.stderr}"
        line = 1 + portero.config.read_text().splitlines().index(
            '  plugin = "sample"')
        assert re.search(rf"portero\.conf:{line}: error: .*{SPOILERS[spoil]}",
                         said) or (spoil is spoil_folder and
                                   re.search(SPOILERS[spoil], said)), said
        assert client.send_message().code == 250
        assert portero.status()["generation"] == 1
    for check in ("-t", None):
        done = subprocess.run(
            [harness.program("PORTEROD", "porterod"), "-c",
             str(portero.config), *([check] if check else [])],
            capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode != 0
        assert re.search(SPOILERS[spoil], done.stdout + done.stderr)


@pytest.mark.parametrize("role,plugin,status", [
    ("policy", "policy_size", "451 4.7.0"),
    ("auth", "auth_file", "454 4.7.0")])
def test_a_module_that_is_spoilt_later(start, own_plugins, role, plugin,
                                       status):
    """Its workers do not come back. Nobody is dropped or let through, and
    when it is mended all goes on."""
    portero = start(plugin_dir=str(own_plugins), policy_timeout=TIMEOUT,
                    auth_timeout=TIMEOUT, policy=[
                        Section("size", plugin="policy_size", max="1M")])
    clients = [portero.login(), portero.secure()]
    ask = {
        "policy": lambda: clients[0].mail("ana@example.org"),
        "auth": lambda: clients[1].auth_plain("ana", "s3cret"),
    }[role]
    module = own_plugins / f"{plugin}.so"
    mode = module.stat().st_mode
    open_to_group(module)
    portero.kill_role(role)
    portero.wait_event("start", level="error")
    failed = portero.events("start", level="error")[0]
    assert "others may write to it" in failed["msg"]
    reply, seconds = clients[0].timed(ask)
    assert reply.status == status
    assert seconds < HANG_S
    module.chmod(mode)
    wait_until(lambda: ask().code in (235, 250), 10, "recovery")
    assert all(c.command("NOOP").code == 250 for c in clients)
    for client in clients:
        client.close()


# ---- the sample ----

SAMPLE = {"plugin": "sample", "class": "newcomers",
          "domains": ["example.net", "alumni.example.org"]}
NEWCOMERS = {"ana": "s3cret", "eva": ("0ther", "class=newcomers")}


def test_sample_in_the_chain(start, sink):
    portero = start(users=NEWCOMERS, help_url="https://help.example.org",
                    policy=[Section("size", plugin="policy_size", max="1M"),
                            Section("inside", **SAMPLE)])
    with portero.login() as ana, portero.login("eva", "0ther") as eva:
        assert ana.send_message(to=["x@elsewhere.test"]).code == 250
        assert eva.send_message(to=["x@EXAMPLE.net"]).code == 250
        eva.expect("250 2.1.0", "MAIL FROM:<eva@example.org>")
        eva.expect("250 2.1.5", "RCPT TO:<x@example.net>")
        reply = eva.expect("550 5.7.1", "RCPT TO:<x@elsewhere.test>")
        assert "Your account can only write inside for now." in reply.text
        assert "https://help.example.org/outside" in reply.text
        # the others of the message go on
        assert eva.data(BODY + b".\r\n").code == 250
    assert [m.recipients for m in sink.messages] == [
        ["x@elsewhere.test"], ["x@EXAMPLE.net"], ["x@example.net"]]
    event, = portero.events("refusal")
    assert event["stage"] == "rcpt" and event["plugin"] == "inside"
    assert event["reason"] == "outside" and event["user"] == "eva"
    assert event["rcpt"] == "x@elsewhere.test"


def test_sample_as_monitor(start, sink):
    portero = start(users=NEWCOMERS, policy=[
        Section("inside", mode="monitor", **SAMPLE)])
    growth = Growth(portero)
    with portero.login("eva", "0ther") as eva:
        assert eva.send_message(to=["x@elsewhere.test"]).code == 250
    assert len(sink.messages) == 1
    event = portero.wait_event("monitor")
    assert event["plugin"] == "inside" and event["verdict"] == "deny"
    assert event["reason"] == "outside" and "550 5.7.1" in event["reply"]
    growth.wait("monitor_denied")


def test_sample_refuses_a_wrong_option(start):
    portero = start()
    portero.options["policy"] = [Section("inside", **{
        **SAMPLE, "domains": ["ana@example.net"]})]
    portero.write_config()
    done = portero.ctl("reload")
    assert done.returncode == 1
    assert '"ana@example.net" is an address, not a domain' in \
        done.stdout + done.stderr


def test_sample_built_out_of_tree(start, sink, own_plugins, tmp_path):
    """With nothing but what `make install` leaves for plugins' authors."""
    build = os.environ.get("PORTERO_BUILD")
    source = os.environ.get("PORTERO_SOURCE")
    if not build or not source:
        pytest.skip("PORTERO_BUILD and PORTERO_SOURCE are not set")
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}

    def run(*command, **more):
        done = subprocess.run(command, capture_output=True, text=True,
                              check=False, **more)
        assert done.returncode == 0, done.stdout + done.stderr

    run("make", "-s", "install-pkgincludeHEADERS", "install-pkgconfigDATA",
        f"DESTDIR={tmp_path}/root", cwd=build, env=environment)
    config = next((tmp_path / "root").rglob("portero-plugin.pc"))
    elsewhere = tmp_path / "sample"
    elsewhere.mkdir()
    for name in ("sample.c", "Makefile"):
        shutil.copy(Path(source) / "plugins" / "sample" / name, elsewhere)
    (own_plugins / "sample.so").unlink()
    run("make", "-s", "CFLAGS=-O1 -Werror", "install",
        f"PLUGIN_DIR={own_plugins}", cwd=elsewhere, env={
            **environment, "PKG_CONFIG_PATH": str(config.parent),
            "PKG_CONFIG_SYSROOT_DIR": str(tmp_path / "root")})
    portero = start(users=NEWCOMERS, plugin_dir=str(own_plugins),
                    policy=[Section("inside", **SAMPLE)])
    with portero.login("eva", "0ther") as eva:
        assert eva.send_message(to=["x@elsewhere.test"]).status == "550 5.7.1"
        assert eva.send_message(to=["x@example.net"]).code == 503
        eva.expect(250, "RSET")
        assert eva.send_message(to=["x@example.net"]).code == 250
    assert len(sink.messages) == 1
