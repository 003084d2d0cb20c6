# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""porteroctl and the control socket behind it."""
import json
import os
import socket
import stat

import pytest

from harness import IS_ROOT, STOP_TIMEOUT, Section, free_port, wait_until

QUOTA = {
    "store": {"plugin": "store_memory"},
    "policy": [Section("quota", plugin="policy_rate",
                       limit=[Section("hourly", messages=3, per="1h")])],
}


def ctl_json(portero, *arguments, code=0):
    """The answer as an object; the exit status must be `code`."""
    done = portero.ctl("--json", *arguments)
    assert done.returncode == code, done
    return json.loads(done.stdout)


def send_one(portero, user="ana", password="s3cret"):
    with portero.login(user, password) as client:
        client.send_message()


# ---- status ----

def test_status_tells_processes_upstream_and_counters(portero, sink):
    send_one(portero)
    status = portero.status()
    roles = [p["role"] for p in status["processes"]]
    assert {r: roles.count(r) for r in roles} == {
        "master": 1, "control": 1, "session": 2, "auth": 2, "policy": 2}
    assert all(p["state"] in ("ok", "idle", "busy")
               for p in status["processes"])
    assert status["processes"][0]["pid"] == portero.process.pid
    assert status["generation"] == 1
    assert status["config"] == str(portero.config)
    assert status["root"] == IS_ROOT
    assert status["upstreams"][0]["state"] == "up"
    assert status["upstreams"][0]["addresses"] == [f"127.0.0.1:{sink.port}"]
    counters = status["counters"]
    assert counters["login_ok"] == 1
    assert counters["messages_accepted"] == 1
    assert counters["messages_refused"] == 0


def test_status_for_people_is_aligned_and_has_no_blanks_at_ends(
        shared_portero):
    done = shared_portero.ctl("status")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("portero ")
    assert all(line == line.rstrip() for line in lines)
    table = lines[lines.index("") + 1:]
    head = next(line for line in table if line.startswith("PROCESS"))
    master = next(line for line in table if line.startswith("master "))
    assert master[head.index("STATE"):].startswith("ok")


def test_session_workers_are_confined(shared_portero):
    for process in shared_portero.status()["processes"]:
        if process["role"] == "session":
            assert {"no_new_privs"} <= set(process["sandbox"])
            assert ("chroot" in process["sandbox"]) == IS_ROOT


def test_a_dead_worker_is_replaced_and_status_shows_it(start):
    portero = start()
    portero.kill_role("auth")
    wait_until(lambda: portero.status()["counters"]["worker_crashed"] == 2,
               what="two crashes counted")
    wait_until(lambda: all(p["state"] != "down"
                           for p in portero.status()["processes"]),
               what="workers back")


# ---- the upstream ----

def test_a_name_of_the_hosts_file_is_resolved(start, sink):
    portero = start(upstream={"hosts": [f"localhost:{sink.port}"]})
    upstream = portero.status()["upstreams"][0]
    assert f"127.0.0.1:{sink.port}" in upstream["addresses"]
    send_one(portero)


def test_an_upstream_that_refuses_is_down_with_the_reason(start):
    port = free_port()
    portero = start(upstream={"hosts": [f"127.0.0.1:{port}"]})
    upstream = wait_until(
        lambda: (u := portero.status()["upstreams"][0])["state"] == "down" and u)
    assert "refused" in upstream["error"]
    assert portero.events("upstream", state="down")


def test_a_name_that_does_not_resolve_is_told_once(start):
    portero = start(upstream={"hosts": ["upstream.invalid:25"]})
    assert portero.status()["upstreams"][0]["state"] == "unresolved"
    assert portero.status()["upstreams"][0]["addresses"] == []
    assert len(portero.events("upstream", state="unresolved")) == 1


def test_a_reload_to_a_name_that_does_not_resolve_forgets_the_old_one(start):
    portero = start()
    portero.options["upstream"]["hosts"] = ["upstream.invalid:25"]
    portero.write_config()
    assert portero.ctl("reload").returncode == 0
    assert portero.status()["upstreams"][0]["addresses"] == []


def test_a_reload_keeps_what_an_upstream_offered_that_is_away_now(
        portero, sink):
    before = portero.status()["upstreams"][0]["offer"]
    assert "8BITMIME" in before["extensions"]
    sink.down()
    assert portero.ctl("reload").returncode == 0
    wait_until(lambda: portero.status()["upstreams"][0]["state"] == "down")
    assert portero.status()["upstreams"][0]["offer"] == before
    with portero.secure() as client:
        assert "8BITMIME" in client.ehlo()


# ---- limits ----

def test_limits_are_shown_and_reset(start):
    portero = start(**QUOTA)
    send_one(portero)
    send_one(portero)
    row, = wait_until(lambda: (
        rows := ctl_json(portero, "limits", "show", "ana")["limits"])
        and rows[0]["open"] == 0 and rows)
    assert row["free_at"].endswith("Z")
    del row["free_at"]
    assert row == {"limit": "hourly", "unit": "messages", "used": 2, "max": 3,
                   "window_s": 3600, "open": 0}
    done = portero.ctl("limits", "show", "ana")
    head, line = done.stdout.splitlines()
    assert head.split()[:4] == ["LIMIT", "USED", "MAX", "UNIT"]
    assert line.split()[:4] == ["hourly", "2", "3", "messages"]
    assert portero.ctl("limits", "reset", "ana").returncode == 0
    done = portero.ctl("limits", "show", "ana")
    assert done.returncode == 4
    assert done.stderr == "porteroctl: no counters for ana\n"
    for _ in range(3):
        send_one(portero)


def test_limits_of_somebody_unknown_are_not_found(start):
    portero = start(**QUOTA)
    assert ctl_json(portero, "limits", "show", "nobody",
                    code=4)["reason"] == "not_found"


# ---- reload, stop, log ----

def test_reload_waits_for_the_verdict(start):
    portero = start()
    assert portero.ctl("reload").stdout == "reloaded: generation 2 serves\n"
    assert portero.status()["generation"] == 2
    line = portero.wait_event("control", verb="reload")
    assert line["uid"] == str(os.geteuid())
    send_one(portero)


def test_a_bad_configuration_is_refused_with_its_line(start):
    portero = start()
    good = portero.config.read_text()
    portero.write_config(good + "\nmax_recipient = 5")
    line = good.count("\n") + 2
    done = portero.ctl("reload")
    assert done.returncode == 1
    assert done.stderr.startswith(f"porteroctl: {portero.config}:{line}: error: ")
    assert "max_recipients" in done.stderr
    answer = ctl_json(portero, "reload", code=1)
    assert answer["reason"] == "refused"
    assert portero.status()["generation"] == 1
    send_one(portero)


def test_log_reopen_leaves_a_renamed_file_alone(start):
    portero = start()
    log = portero.folder / "mail.log"
    portero.options["log"] = {"to": "file", "file": str(log)}
    portero.write_config()
    assert portero.ctl("reload").returncode == 0
    send_one(portero)
    wait_until(lambda: "ev=message" in log.read_text())
    old = log.rename(portero.folder / "mail.log.1")
    assert portero.ctl("log", "reopen").returncode == 0
    wait_until(log.exists, what="a new log file")
    send_one(portero)
    wait_until(lambda: "ev=message" in log.read_text())
    assert old.read_text().count("ev=message") == 1


def test_stop_ends_the_server(start):
    portero = start()
    assert portero.ctl("stop").returncode == 0
    assert portero.process.wait(STOP_TIMEOUT) == 0
    assert portero.ctl("ping").returncode == 3


# ---- configuration ----

def test_the_running_configuration_is_shown_with_its_lines(shared_portero):
    text = shared_portero.ctl("config", "show").stdout
    assert f"# {shared_portero.config}:1" in text
    assert "# default" not in text
    everything = shared_portero.ctl("config", "show", "--all").stdout
    assert "# default" in everything
    assert len(everything) > len(text)


def test_help_on_an_option_needs_no_daemon(shared_portero):
    done = shared_portero.ctl("--socket", "/nonexistent", "config", "help",
                              "max_recipients")
    assert done.returncode == 0
    assert "max_recipients" in done.stdout


@pytest.mark.parametrize("name, code, text", [
    ("policy_rate", 0, "policy_rate.limit.per = duration"),
    ("policy_rate.limit.per", 0, "policy_rate.limit.per = duration"),
    ("policy_rate.limit.pre", 4, "has no such option"),
    ("policy_none", 4, "No such file"),
    ("../policy_rate", 4, "a bare name"),
])
def test_help_on_a_plugin(shared_portero, name, code, text):
    done = shared_portero.ctl("config", "help", "--plugins",
                              shared_portero.options["plugin_dir"], name)
    assert done.returncode == code
    assert text in (done.stderr if code else done.stdout)


# ---- exit statuses ----

@pytest.mark.parametrize("arguments, code", [
    (["ping"], 0),
    (["--json", "ping"], 0),
    ([], 2),
    (["nonsense"], 2),
    (["limits"], 2),
    (["limits", "show"], 2),
    (["limits", "show", "a", "b"], 2),
    (["limits", "show", "a\nb"], 2),
    (["status", "--all"], 2),
    (["ping", "--nonsense"], 2),
    (["passwd", "-d", "-l", "ana"], 2),
    (["passwd", "-d", "-f", "/nonexistent/users", "ana"], 1),
    (["--socket", "/nonexistent/socket", "ping"], 3),
    (["config", "help", "max_recipient"], 4),
])
def test_exit_status(shared_portero, arguments, code):
    done = shared_portero.ctl(*arguments)
    assert done.returncode == code, done
    assert (code == 0) == (done.stderr == "")


# ---- passwords ----

def test_passwd_adds_locks_and_deletes_a_person(start):
    portero = start()
    users = ["--file", str(portero.users_file)]
    portero.users_file.chmod(0o640)
    before = portero.users_file.read_text()

    def change(*arguments, **options):
        done = portero.ctl("passwd", *users, *arguments, **options)
        assert done.returncode == 0, done
        assert portero.ctl("reload").returncode == 0

    change("--class", "staff", "rosa", input="n3w pass\n")
    after = portero.users_file.read_text()
    assert after.startswith(before + "rosa:$y$")
    assert after.endswith(":class=staff\n")
    assert stat.S_IMODE(portero.users_file.stat().st_mode) == 0o640
    portero.login("rosa", "n3w pass").close()

    change("--lock", "rosa")
    with portero.secure() as client:
        assert client.auth_plain("rosa", "n3w pass").status == "525 5.7.13"

    change("--delete", "rosa")
    assert portero.users_file.read_text() == before
    assert portero.ctl("passwd", *users, "-d", "rosa").returncode == 4
    assert os.listdir(portero.folder).count("users") == 1
    assert not [n for n in os.listdir(portero.folder) if n.startswith("users.")]


# ---- the socket itself ----

def talk(path, data, half_close=True):
    """All that is answered to these bytes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(path)
        try:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        answer = b""
        try:
            while block := s.recv(65536):
                answer += block
        except ConnectionResetError:
            pass
    return [json.loads(line) for line in answer.splitlines()]


def test_the_socket_is_for_its_group(shared_portero):
    mode = os.stat(shared_portero.options["control_socket"]).st_mode
    assert stat.S_IMODE(mode) == 0o660


def test_requests_are_answered_in_order_after_a_half_close(shared_portero):
    path = shared_portero.options["control_socket"]
    answers = talk(path, b'{"verb":"ping"}\n[]\n{"verb":"config show"}\n'
                         b'{"verb":"ping"}\n{"verb":"pi')
    assert [a["ok"] for a in answers] == [True, False, True, True]
    assert answers[1]["reason"] == "usage"


def test_a_request_without_end_is_refused(shared_portero):
    path = shared_portero.options["control_socket"]
    answer, = talk(path, b"x" * 100_000, half_close=False)
    assert not answer["ok"]
    assert shared_portero.ctl("ping").returncode == 0


def test_a_client_too_many_waits_for_another_to_leave(shared_portero):
    path = shared_portero.options["control_socket"]
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for s in idle:
        s.connect(path)
    for s in idle[:32]:
        s.close()
    assert shared_portero.ctl("ping").returncode == 0
    for s in idle:
        s.close()


@pytest.mark.skipif(not IS_ROOT, reason="needs another user")
def test_a_stranger_may_ask_how_it_is_and_nothing_else(start):
    portero = start()
    path = portero.options["control_socket"]
    os.chmod(path, 0o666)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(54321)
            os.setuid(54321)
            answers = talk(path, b'{"verb":"ping"}\n{"verb":"stop"}\n'
                           b'{"verb":"limits show","person":"ana"}\n')
            os.write(writable, json.dumps(answers).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        answers = json.load(pipe)
    os.waitpid(child, 0)
    assert [a["ok"] for a in answers] == [True, False, False]
    assert {a["reason"] for a in answers[1:]} == {"refused"}
    assert portero.events("control", verb="stop", uid=54321, result="refused")
    assert portero.ctl("ping").returncode == 0
