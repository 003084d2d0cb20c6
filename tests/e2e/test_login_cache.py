# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Logins are remembered for a while, and longer while the directory is away."""
import json
import os
import time
from pathlib import Path

import pytest

import directory
from directory import door
from harness import Section, room
from ledger import start_again
from logins import NEEDS_SLAPD, PEOPLE, attempt, code, last_cause

pytestmark = NEEDS_SLAPD


@pytest.fixture(scope="module")
def slapd():
    with directory.running_directory() as slapd:
        yield slapd


@pytest.fixture
def cached(slapd, start):
    """cached(option=...): a Portero that remembers logins."""
    def start_it(auth=(), **options):
        options = {"cache_time": "1m", "cache_away_time": "10m",
                   "timeout": "1s", "connect_timeout": "1s", **options}
        return start(auth=[Section("directory", **slapd.options(**options)),
                           *auth])
    return start_it


@pytest.fixture
def people(slapd):
    """people(uid, password): sets it, until the test is over."""
    before = {"ana": "s3cret", "luis": "pa55word"}

    def set_password(uid, password):
        slapd.change(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\n"
                     f"replace: userPassword\n"
                     f"userPassword: {directory.ssha(password)}\n")
    yield set_password
    for uid, password in before.items():
        set_password(uid, password)


def counters(portero):
    return {name: value for name, value in
            portero.status()["counters"].items() if "login_cache" in name}


def test_a_login_is_remembered_by_all_workers(slapd, cached):
    with door(slapd) as d:
        portero = cached(uri=[d.uri])
        assert code(portero, "ana") == 235
        assert last_cause(portero) == "ok"
        seen = len(d.seen)
        for _ in range(5):
            assert code(portero, "ana") == 235
            event = portero.events("auth")[-1]
            assert event["cause"] == "cached" and event["user"] == "ana"
            assert event["plugin"] == "directory"
        assert len(d.seen) == seen
        assert counters(portero) == {"login_cache_hit": 5,
                                     "login_cache_miss": 1,
                                     "login_cache_away": 0}
        assert code(portero, "ANA") == 235  # another spelling is asked for
        assert last_cause(portero) == "ok"


def test_a_wrong_password_asks_and_is_remembered_for_moments(slapd, cached):
    with door(slapd) as d:
        portero = cached(uri=[d.uri])
        assert code(portero, "ana") == 235
        seen = len(d.seen)
        reply, seconds = attempt(portero, "ana", "wrong")
        assert reply.status == "535 5.7.8" and seconds > 0.9
        assert len(d.seen) > seen
        seen = len(d.seen)
        reply, seconds = attempt(portero, "ana", "wrong")
        assert reply.status == "535 5.7.8" and seconds > 0.9
        assert last_cause(portero) == "bad_password"
        assert len(d.seen) == seen
        assert code(portero, "ana", "wronger") == 535
        assert len(d.seen) > seen
        assert code(portero, "ana") == 235
        assert last_cause(portero) == "cached"


def test_a_new_password_works_at_once_and_the_old_one_for_its_time(
        cached, people):
    portero = cached(cache_time="4s")
    started = time.monotonic()
    assert code(portero, "ana") == 235
    people("ana", "n3w")
    assert code(portero, "ana") == 235
    assert last_cause(portero) == "cached"
    time.sleep(max(0, started + 4.2 - time.monotonic()))
    assert code(portero, "ana") == 535
    assert code(portero, "ana", "n3w") == 235
    people("luis", "n3w")
    # the old one ends with the first use of the new one
    portero = cached()
    people("luis", "pa55word")
    assert code(portero, "luis", "pa55word") == 235
    people("luis", "n3w")
    assert code(portero, "luis", "n3w") == 235
    assert code(portero, "luis", "pa55word") == 535


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_known_people_go_on_while_the_directory_is_away(cached, slapd, how):
    portero = cached(cache_time="1s", cache_away_time="1h")
    assert code(portero, "ana") == 235
    (slapd.stop if how == "stopped" else slapd.pause)()
    try:
        time.sleep(1.1)
        reply, seconds = attempt(portero, "ana")  # somebody must find out
        assert reply.code == 235 and seconds < room(4.5)
        assert last_cause(portero) == "cached_away"
        tries = [attempt(portero, "ana") for _ in range(3)]
        assert {reply.code for reply, _ in tries} == {235}
        assert min(seconds for _, seconds in tries) < 0.5
        assert code(portero, "ana", "wrong") == 454
        assert code(portero, "luis", "pa55word") == 454
        assert counters(portero)["login_cache_away"] == 4
        assert portero.login("ana").send_message().code == 250
    finally:
        (slapd.start if how == "stopped" else slapd.resume)()
    time.sleep(1.1)  # the mark of the server
    assert code(portero, "luis", "pa55word") == 235
    assert code(portero, "ana") == 235
    assert last_cause(portero) == "ok"


def test_without_cache_away_time_nobody_goes_on(cached, slapd):
    portero = cached(cache_time="1s", cache_away_time="0s")
    assert code(portero, "ana") == 235
    slapd.pause()
    try:
        time.sleep(1.1)
        assert code(portero, "ana") == 454
    finally:
        slapd.resume()


def test_without_cache_time_it_is_asked_each_time_but_for_an_outage(
        cached, slapd):
    portero = cached(cache_time="0s")
    for _ in range(2):
        assert code(portero, "ana") == 235
        assert last_cause(portero) == "ok"
    slapd.pause()
    try:
        assert code(portero, "ana") == 235
        assert last_cause(portero) == "cached_away"
    finally:
        slapd.resume()


def test_a_restart_forgets_and_no_file_ever_had_it(cached, slapd):
    portero = cached()
    assert code(portero, "ana") == 235
    kept = [p.name for p in Path(portero.options["state_dir"]).iterdir()]
    assert kept == ["auth-directory.shm"]  # marks of servers
    portero.stop()
    start_again(portero)
    assert code(portero, "ana") == 235
    assert last_cause(portero) == "ok"


def test_a_reload_of_the_auth_section_forgets(cached, slapd):
    portero = cached()
    assert code(portero, "ana") == 235

    def reload():
        portero.write_config()
        assert portero.ctl("reload").returncode == 0
    portero.options["max_recipients"] = 99
    reload()
    assert code(portero, "ana") == 235
    assert last_cause(portero) == "cached"
    portero.options["auth"][0].options["filter"] = "(|(uid=%u)(mail=%u))"
    reload()
    assert code(portero, "ana") == 235
    assert last_cause(portero) == "ok"


def test_who_is_gone_is_forgotten(cached, slapd):
    ldif = directory.person("gone", "s3cret", mail="gone@example.org")
    slapd.change(ldif, "-a")
    portero = cached(cache_time="1s", cache_away_time="1h")
    assert code(portero, "gone") == 235
    slapd.change(f"dn: uid=gone,{PEOPLE}\nchangetype: delete\n")
    time.sleep(1.1)
    assert code(portero, "gone") == 535
    slapd.pause()
    try:
        assert code(portero, "gone") == 454
    finally:
        slapd.resume()


def test_a_file_of_people_is_never_cached(portero):
    portero.options["auth"][0].options["cache_time"] = "1m"
    portero.write_config()
    done = portero.ctl("reload")
    assert "cache_time does nothing with auth_file" in done.stdout


def test_a_flush_forgets_a_person_or_all(cached, slapd):
    portero = cached()

    def causes():
        found = []
        for user, password in (("ana", "s3cret"), ("luis", "pa55word")):
            assert code(portero, user, password) == 235
            found.append(last_cause(portero))
        return found
    assert causes() == ["ok", "ok"]
    done = portero.ctl("cache", "flush", "ana")
    assert (done.returncode, done.stdout) == (0, "1 login forgotten\n")
    assert causes() == ["ok", "cached"]
    assert code(portero, "ANA") == 235
    done = portero.ctl("--json", "cache", "flush")
    assert json.loads(done.stdout) == {"ok": True, "logins": 3}
    assert causes() == ["ok", "ok"]
    event = portero.wait_event("control", verb="cache flush", user="ana")
    assert event["uid"] == str(os.getuid())
