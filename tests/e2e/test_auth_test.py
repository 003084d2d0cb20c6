# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""porteroctl auth test: a login, step by step."""
import json
import os
import pty
import re

import pytest

import directory
from directory import SUFFIX, door
from harness import Section, program
from logins import NEEDS_SLAPD, PEOPLE


@pytest.fixture(scope="module")
def slapd():
    with directory.running_directory() as slapd:
        yield slapd


def login(portero, name, password="s3cret", *options):
    return portero.ctl(*options, "auth", "test", "--config",
                       str(portero.config), name, input=password + "\n")


def steps(portero, name, password="s3cret"):
    answer = json.loads(login(portero, name, password, "--json").stdout)
    return answer, [step["text"] for step in answer["steps"]]


def find(lines, *patterns):
    """The lines come in this order, maybe with others between."""
    rest = iter(lines)
    for pattern in patterns:
        assert any(re.search(pattern, line) for line in rest), (pattern, lines)


@NEEDS_SLAPD
def test_each_step_of_a_login_in_a_directory(slapd, start):
    portero = start(auth=[Section("directory", **slapd.options(
        uri=[slapd.ldaps], ca_file=str(directory.harness.certificates().ca),
        class_attribute="employeeType",
        required_group=f"cn=mailers,ou=groups,{SUFFIX}",
        group_filter="(member=%D)"))])
    answer, texts = steps(portero, "Ana")
    assert answer["ok"] and answer["section"] == "directory"
    assert answer["identity"]["id"] == "ana"
    assert "ana@example.org" in answer["identity"]["addresses"]
    find(texts, f"^connected to {slapd.ldaps}", "^TLS stands.* valid",
         r"^bind: Success.*cn=portero",
         r"^search: Success.*, found 1 \(\(uid=ana\) below ",
         "^connected to", f"^bind: Success.*uid=ana,{PEOPLE}",
         r"^search: Success.*, found 1 \(\(member=",
         "^the login is right")
    assert all(step["ms"] >= 0 for step in answer["steps"])
    answer, texts = steps(portero, "ana", "wrong")
    assert not answer["ok"] and answer["cause"] == "bad_password"
    find(texts, "^bind: Invalid credentials", "^the login is wrong")
    answer, texts = steps(portero, "nobody")
    assert answer["cause"] == "no_user" and "identity" not in answer
    find(texts, r"found 0 \(\(uid=nobody\)", "^knows nobody of this name")
    answer, texts = steps(portero, "eva", "0ther-s3cret")
    assert answer["cause"] == "not_in_group"
    # nobody saw it, and it stands nowhere
    assert portero.events("auth") == []
    assert "s3cret" not in portero.log_text() + str(answer)


@NEEDS_SLAPD
def test_a_directory_that_is_away_is_shown(start):
    with door() as silent:
        portero = start(auth=[Section(
            "directory", plugin="auth_ldap", uri=[silent.uri],
            base=SUFFIX, timeout="1s", connect_timeout="1s")])
        done = login(portero, "ana")
    assert done.returncode == 1
    assert "nobody is there who could be asked" in done.stdout
    assert "no answer within" in done.stdout
    assert "login is put off: ldap_timeout" in done.stderr


def test_sections_are_asked_in_their_order(start):
    portero = start()
    portero.options["auth"].insert(0, Section(
        "stranger", plugin="fault_auth", fault="crash", when="xyzzy"))
    portero.write_config()  # it need not serve yet
    done = login(portero, "ana")
    assert done.returncode == 0, done
    assert re.search(r"stranger +knows nobody of this name\n.*people +the "
                     r"login is right", done.stdout, re.S)
    assert "login ok by section people in " in done.stdout
    assert re.search(r"^  id +ana$", done.stdout, re.M)
    done = login(portero, "ana", "wrong")
    assert done.returncode == 1 and "refused: bad_password" in done.stderr
    assert login(portero, "ana", "").returncode == 1
    portero.write_config("nonsense {")
    done = login(portero, "ana")
    assert done.returncode == 1 and "nonsense" in done.stderr


def test_the_password_is_asked_for_without_echo(portero):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(program("PORTEROCTL", "porteroctl"), [
            "porteroctl", "auth", "test", "-C", str(portero.config), "ana"])
    seen = b""
    try:
        while b"Password: " not in seen:
            seen += os.read(fd, 1000)
        os.write(fd, b"s3cret\n")
        while chunk := os.read(fd, 1000):
            seen += chunk
    except OSError:  # how a terminal ends
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"login ok by section" in seen and b"s3cret" not in seen
