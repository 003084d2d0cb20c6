# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Several upstream hosts: who gets what, what happens when one fails, and what
the operator can do about it."""
import json
import os
import signal
import time

import pytest

import client as smtp
import harness
import sink as upstream
from harness import LONG, Section, wait_until
from ledger import BODY, in_parallel, limit, quota
from sink import checked_sink

MAIL = "MAIL FROM:<ana@example.org>"
RCPT = "RCPT TO:<bob@example.net>"


@pytest.fixture
def other():
    with checked_sink() as other:
        yield other


def address(sink):
    return f"127.0.0.1:{sink.port}"


def section(title, *sinks, **options):
    return Section(title, **{
        "hosts": [address(s) for s in sinks], "tls": "none",
        "connect_timeout": "2s", **options})


def send(client, play=smtp.pipelined):
    """One message; the reply that ended it."""
    replies = play(client, [MAIL, RCPT, "DATA", BODY + b".\r\n"])
    return next((r for r in replies if r.code >= 400), replies[-1])


def send_one(portero, user="ana", password="s3cret"):
    with portero.login(user, password) as client:
        return send(client)


def hosts(portero):
    """port -> what `upstream list` says of the host."""
    done = portero.ctl("upstream", "list", "--json")
    assert done.returncode == 0, done
    return {row["port"]: row for row in json.loads(done.stdout)["upstreams"]}


def wait_state(portero, sink, state, timeout=20):
    return wait_until(
        lambda: (row := hosts(portero)[sink.port])["state"] == state and row,
        timeout, f"{sink.port} {state}")


# ---- who gets what ----

def test_hosts_of_a_section_share_the_mail(start, sink, other):
    portero = start(upstream=section(None, sink, other))

    def work(_):
        with portero.login() as client:
            for _ in range(5):
                assert send(client).code == 250
    in_parallel(4, work)
    assert len(sink.messages) + len(other.messages) == 20
    assert min(len(sink.messages), len(other.messages)) >= 5


def test_a_host_that_hangs_on_to_messages_gets_fewer(start, sink, other):
    sink.on("dot", upstream.delay(1))
    portero = start(session_workers=2, upstream=section(None, sink, other))

    def work(_):
        with portero.login() as client:
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                assert send(client).code == 250
    in_parallel(4, work)
    assert len(other.messages) > 2 * len(sink.messages)


def test_classes_have_hosts_of_their_own(start, sink, other):
    portero = start(
        users={"ana": "s3cret", "news": ("pa55word", "class=newsletter")},
        upstream=[section(None, sink),
                  section("news", other, classes=["newsletter", "list"])])
    assert send_one(portero).code == 250
    assert send_one(portero, "news", "pa55word").code == 250
    assert len(sink.messages) == len(other.messages) == 1
    # and nobody stands in for them
    other.down()
    reply = send_one(portero, "news", "pa55word")
    assert reply.status == "451 4.4.1"
    assert send_one(portero).code == 250


def test_ehlo_offers_what_all_hosts_have(start, sink):
    with upstream.checked_sink(eightbit=False, size=2_000_000) as plain:
        portero = start(upstream=[section(None, sink), section(
            "spare", plain, priority=2)])
        wait_state(portero, plain, "up")
        with portero.secure() as client:
            assert "8BITMIME" in client.ehlo()
        portero.ctl("upstream", "drain", address(sink))
        with portero.secure() as client:
            offer = client.ehlo()
            assert "8BITMIME" not in offer
            assert int(offer["SIZE"]) < 2_000_000


def test_what_was_offered_is_not_lost_at_a_host_that_lacks_it(start, sink):
    """Mail that uses it waits for a host that has it; other mail does not."""
    with upstream.checked_sink(eightbit=False) as plain:
        portero = start(upstream=[section(None, sink), section(
            "spare", plain, priority=2)])
        wait_state(portero, plain, "up")
        with portero.login() as client:
            assert "8BITMIME" in client.ehlo()
            portero.ctl("upstream", "drain", address(sink))
            reply = client.mail("ana@example.org", " BODY=8BITMIME")
            assert reply.status == "451 4.4.1"
            assert send(client).code == 250
            portero.ctl("upstream", "up", address(sink))
            reply = client.mail("ana@example.org", " BODY=8BITMIME")
            assert reply.code == 250
        assert "lack" in portero.events("refusal")[0]["error"]
        assert len(plain.messages) == 1


# ---- when one fails ----

def test_a_stand_in_takes_over_and_gives_back(start, sink, other):
    portero = start(upstream=[section(None, sink),
                              section("spare", other, priority=2)])
    assert send_one(portero).code == 250
    assert len(sink.messages) == 1
    sink.down()
    with portero.login() as client:
        for _ in range(3):
            assert send(client).code == 250
    assert len(other.messages) == 3
    assert hosts(portero)[sink.port]["state"] == "down"
    sink.up()
    wait_state(portero, sink, "up")
    assert send_one(portero).code == 250
    assert len(sink.messages) == 2
    assert portero.events("upstream", state="down", port=sink.port)
    assert portero.events("upstream", state="up", port=sink.port)


@pytest.mark.parametrize("play", [smtp.lockstep, smtp.pipelined])
@pytest.mark.parametrize("step, action", [
    ("connect", upstream.close()),
    ("connect", upstream.reply("554 5.3.2 No")),
    ("ehlo", upstream.close(reset=True)),
    ("mail", upstream.close()),
    ("mail", upstream.reply("421 4.3.2 Going down")),
    ("mail", upstream.reply("452 4.3.1 Insufficient system storage")),
    ("rcpt", upstream.close()),
    ("data", upstream.close()),
], ids=lambda v: v if isinstance(v, str) else "")
def test_clients_notice_nothing_of_a_failure_before_the_body(
        start, sink, other, step, action, play):
    portero = start(upstream=section(None, sink, other))
    sink.on(step, action)
    with portero.login() as client:
        for _ in range(4):
            assert send(client, play).code == 250
    assert len(other.messages) == 4


def test_a_host_that_does_not_answer_is_left_out_by_all(start, sink, other):
    """One message waits for the host that is silent, the others do not."""
    portero = start(session_workers=3, upstream=section(
        None, sink, other, connect_timeout="5s"))
    sink.on("connect", upstream.silent())
    with portero.login() as client:
        wait_until(lambda: send(client).code == 250 and
                   hosts(portero)[sink.port]["state"] == "down", 20)

    def work(_):
        started = time.monotonic()
        assert send_one(portero).code == 250
        return time.monotonic() - started
    assert max(in_parallel(6, work)) < 4.5


def test_a_host_that_fails_again_and_again_rests(start, sink, other):
    """Its probes are good, its mail is not: it is tried less and less."""
    portero = start(upstream=section(None, sink, other))
    sink.on("mail", upstream.reply("452 4.3.1 Insufficient system storage"))
    until = time.monotonic() + 6

    def work(_):
        with portero.login() as client:
            while time.monotonic() < until:
                assert send(client).code == 250
    in_parallel(3, work)
    assert len(other.messages) > 30
    assert 2 <= len(sink.attempts) <= 12
    downs = [e["ts"] for e in portero.events("upstream", state="down")]
    assert 2 <= len(downs) <= 4


def test_an_address_that_is_lost_stays_known_over_a_reload(
        start, sink, monkeypatch):
    """The name servers are away, and a reload changes nothing."""
    if not harness.IS_ROOT:
        pytest.skip("a file of hosts of one's own needs root")
    folder = harness.temporary_folder()
    names = folder / "hosts"
    names.write_text("127.0.0.1 mail.example.test\n")
    resolv = folder / "resolv"
    resolv.write_text("nameserver 127.0.0.1\n")
    script = folder / "porterod"
    script.write_text(
        "#!/bin/sh\n"
        "exec unshare -m --propagation private sh -c '"
        f"mount --bind {names} /etc/hosts && "
        f"mount --bind {resolv} /etc/resolv.conf && "
        f"exec {harness.program('PORTEROD', 'porterod')} \"$@\"' porterod \"$@\"\n")
    script.chmod(0o755)
    if os.system(f"unshare -m mount --bind {names} /etc/hosts") != 0:
        pytest.skip("no mounts of one's own here")
    monkeypatch.setenv("PORTEROD", str(script))
    portero = start(upstream={"hosts": [f"mail.example.test:{sink.port}"]})
    assert send_one(portero).code == 250
    names.write_text("# nothing\n")
    assert portero.ctl("reload").returncode == 0
    wait_until(lambda: portero.status()["generation"] == 2)
    portero.wait_event("upstream", state="unresolved")
    assert send_one(portero).code == 250
    assert hosts(portero)[sink.port]["addresses"] == [address(sink)]


# ---- the operator ----

def test_a_drained_host_gets_nothing_new_until_it_is_up(start, sink, other):
    portero = start(upstream=section(None, sink, other))
    with portero.login() as client:
        client.command(MAIL)
        taker = next(s for s in (sink, other)
                     if hosts(portero)[s.port]["transactions"])
        rest = other if taker is sink else sink
        done = portero.ctl("upstream", "drain", address(taker))
        assert (done.returncode, done.stdout) == (0, "drained\n")
        # what is under way is finished
        client.command(RCPT)
        assert client.data(BODY + b".\r\n").code == 250
    assert len(taker.messages) == 1
    for _ in range(4):
        assert send_one(portero).code == 250
    assert portero.ctl("reload").returncode == 0
    for _ in range(4):
        assert send_one(portero).code == 250
    assert (len(taker.messages), len(rest.messages)) == (1, 8)
    assert hosts(portero)[taker.port]["state"] == "drained"
    assert "drained" in portero.ctl("upstream", "list").stdout
    assert portero.ctl("upstream", "drain", address(rest)).returncode == 0
    assert send_one(portero).status == "451 4.4.1"
    assert portero.ctl("upstream", "up", "127.0.0.1").returncode == 0
    assert portero.events("control", verb="upstream drain",
                          host=address(taker))
    for _ in range(4):
        assert send_one(portero).code == 250
    assert min(len(taker.messages), len(rest.messages)) > 1


def test_a_host_that_nobody_has_is_not_found(shared_portero):
    for verb in ("drain", "up"):
        done = shared_portero.ctl("upstream", verb, "192.0.2.77")
        assert done.returncode == 4
        assert "192.0.2.77" in done.stderr


# ---- unknown outcomes ----

@pytest.mark.parametrize("last_words, heard", [
    (upstream.close(), None),
    (upstream.raw(b"250 2.0.0 Ok: queued as 4F1A2"), "queued as 4F1A2"),
], ids=["silence", "half"])
def test_an_unknown_outcome_is_told_with_all_that_is_known(
        start, sink, last_words, heard):
    portero = start(upstream={"dot_timeout": "1s"})
    sink.on("data", upstream.reply("354 Go ahead 5b1f17b1"))
    sink.on("dot", last_words)
    reply = send_one(portero)
    assert reply.status == "451 4.4.2"
    event = portero.wait_event("message", outcome="unknown")
    assert event["user"] == "ana"
    assert event["upstream"] == address(sink)
    assert int(event["size"]) == len(BODY)
    assert "5b1f17b1" in event["error"]
    if heard:
        assert heard in event["error"]
    assert portero.status()["counters"]["messages_unknown"] == 1
    assert "messages_unknown" in portero.ctl("status").stdout


# ---- patience ----

def test_a_slow_answer_to_the_end_of_a_message_is_waited_for(start, sink):
    """Longer than for anything a client does."""
    seconds = 150 if LONG else 3
    portero = start(data_timeout="1s", idle_timeout="1s", login_timeout="1s")
    sink.on("dot", upstream.delay(seconds))
    with portero.login(timeout=seconds + 20) as client:
        reply, taken = client.timed(client.send_message, BODY)
        assert reply.code == 250 and taken >= seconds


# ---- check --online ----

def check(portero, *options):
    """(exit status, kind -> its rows)"""
    done = portero.ctl("check", "--online", *options, "--json")
    rows = {}
    for row in json.loads(done.stdout).get("checks", []):
        rows.setdefault(row["check"], []).append(row)
    return done.returncode, rows


def test_a_check_finds_all_well(start, sink, other):
    portero = start(upstream=section(None, sink, other),
                    **quota(limit("day", "1d", messages=10)))
    status, rows = check(portero)
    assert status == 0, rows
    assert {kind: len(found) for kind, found in rows.items()} == {
        "upstream": 2, "listen": 2, "login": 1, "store": 1}
    assert all("valid for" in row["detail"] for row in rows["listen"])
    assert not sink.messages and not other.messages
    text = portero.ctl("check", "--online")
    assert text.returncode == 0
    assert text.stdout.startswith("CHECK ")
    assert "a name that nobody has is refused" in text.stdout


def test_a_check_says_mail_that_is_never_sent(start, sink):
    portero = start()
    status, rows = check(portero, "--from", "ana@example.org",
                         "--to", "bob@example.net")
    assert status == 0
    assert rows["upstream"][0]["detail"].count("250") == 3
    sink.on("rcpt", upstream.reply("550 5.1.1 No such user"))
    status, rows = check(portero, "--from", "ana@example.org",
                         "--to", "bob@example.net")
    assert status == 1
    assert "550 5.1.1 No such user" in rows["upstream"][0]["detail"]
    assert not sink.messages


def test_a_check_names_what_is_wrong(start, sink, other):
    portero = start(upstream=section(None, sink, other),
                    auth_timeout="500ms")
    other.down()
    portero.kill_role("auth", signal.SIGSTOP)
    done = portero.ctl("check", "--online")
    assert done.returncode == 1
    assert "2 of 5 checks failed" in done.stderr
    failed = [line for line in done.stdout.splitlines() if "failed" in line]
    assert len(failed) == 2
    assert address(other) in failed[0] and "refused" in failed[0]
    assert "454 4.7.0" in failed[1]


@pytest.mark.parametrize("arguments", [
    ["check"], ["check", "--online", "--from", "ana@example.org"],
    ["check", "--online", "--from", "a b", "--to", "c"],
    ["status", "--online"]], ids=" ".join)
def test_a_check_that_is_asked_wrongly_is_refused(shared_portero, arguments):
    assert shared_portero.ctl(*arguments).returncode == 2


def test_only_trusted_people_may_let_check(shared_portero):
    """It logs in and talks to others: it is no verb for everybody."""
    assert shared_portero.events("control", verb="check") == []
    assert shared_portero.ctl("check", "--online").returncode == 0
    assert shared_portero.events("control", verb="check")
