# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Who has which rights and descriptors, as src/ipc/role.h has it."""
import os
import pwd
import re
import stat
from pathlib import Path

import pytest

import harness
from harness import IS_ROOT
from ledger import limit, quota

pytestmark = pytest.mark.skipif(
    not IS_ROOT, reason="without root all processes are one user's")

MASTER_RIGHTS = {5, 6, 7, 10, 18}  # KILL SETGID SETUID NET_BIND_SERVICE CHROOT
SOCKET, CONFIG, LOG = r"socket:.*", r"/memfd:portero-config.*", r"/.*|pipe:.*"
SHARED, BOARD = r"/memfd:portero-shared.*", r"/memfd:portero-board.*"
COMMON = {3: SOCKET, 4: CONFIG, 5: LOG, 6: SHARED, 7: BOARD}
EVENT_LOOP = r"anon_inode:\[event(poll|fd)\]|pipe:.*|socket:.*"

# What is fixed for each role, and what else may be open.
ROLES = {
    "session": ({**COMMON, 8: SOCKET, 9: SOCKET, 10: SOCKET, 11: SOCKET},
                SOCKET + "|" + EVENT_LOOP),
    "auth": ({**COMMON, 8: SOCKET, 13: r"/memfd:portero-logins \(deleted\)"},
             SOCKET + r"|/.*/auth_file\.so"),
    "policy": ({**COMMON, 9: SOCKET},
               SOCKET + r"|/.*/(store|policy)_\w+\.so|/.*/store\.shm"),
    "control": ({**COMMON, 8: SOCKET, 9: SOCKET, 10: SOCKET, 11: SOCKET,
                 12: SOCKET}, EVENT_LOOP),
}


def field(pid, name):
    text = Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{name}:[ \t]*(.*)$", text, re.M).group(1).strip()


def rights(pid, name):
    bits = int(field(pid, name), 16)
    return {bit for bit in range(64) if bits >> bit & 1}


def descriptors(pid):
    """All but standard input, output and error."""
    folder = Path(f"/proc/{pid}/fd")
    return {int(fd.name): os.readlink(fd) for fd in folder.iterdir()
            if int(fd.name) > 2}


def by_role(portero, role):
    found = [p["pid"] for p in portero.status()["processes"]
             if p["role"] == role]
    assert found
    return found


def test_the_master_has_five_rights(shared_portero):
    pid = shared_portero.process.pid
    assert rights(pid, "CapEff") == MASTER_RIGHTS
    assert rights(pid, "CapPrm") == MASTER_RIGHTS
    assert rights(pid, "CapBnd") == MASTER_RIGHTS
    assert field(pid, "Uid").split() == ["0"] * 4


@pytest.mark.parametrize("role, option", [
    ("session", "user"), ("auth", "user_auth"), ("policy", "user_policy"),
    ("control", "user_policy")])
def test_workers_are_users_without_rights(shared_portero, role, option):
    user = pwd.getpwnam(shared_portero.options[option])
    for pid in by_role(shared_portero, role):
        assert field(pid, "Uid").split() == [str(user.pw_uid)] * 4
        assert field(pid, "Gid").split() == [str(user.pw_gid)] * 4
        assert field(pid, "Groups") == ""
        assert field(pid, "NoNewPrivs") == "1"
        for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert rights(pid, kind) == set()


def test_session_workers_are_locked_in(shared_portero):
    for pid in by_role(shared_portero, "session"):
        assert field(pid, "Seccomp") == "2"
        assert os.readlink(f"/proc/{pid}/root") == \
            shared_portero.options["chroot_dir"]
        assert os.readlink(f"/proc/{pid}/cwd") == \
            shared_portero.options["chroot_dir"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_its_descriptors_and_no_others(shared_portero, role):
    fixed, others = ROLES[role]
    for pid in by_role(shared_portero, role):
        found = descriptors(pid)
        for fd, pattern in fixed.items():
            assert re.fullmatch(pattern, found.pop(fd)), (role, fd)
        assert not [(fd, name) for fd, name in found.items()
                    if not re.fullmatch(others, name)], role


def test_what_is_kept_is_the_masters_alone(start):
    portero = start(**quota(limit("daily", "1d", messages=10)))
    state = Path(portero.options["state_dir"])
    assert stat.S_IMODE(state.stat().st_mode) & 0o022 == 0
    files = list(state.iterdir())
    assert [f.name for f in files] == ["store.shm"]
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.stat().st_uid == 0


def test_the_control_socket_is_for_root_and_its_group(shared_portero):
    found = os.stat(shared_portero.options["control_socket"])
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_uid == 0
    assert found.st_gid != 0


def test_what_was_open_at_the_start_is_passed_to_nobody(start):
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    name = os.readlink(f"/proc/self/fd/{writing}")
    harness_popen = harness.subprocess.Popen

    def popen(*arguments, **options):
        return harness_popen(*arguments, **options, pass_fds=[writing])

    harness.subprocess.Popen = popen
    try:
        portero = start()
    finally:
        harness.subprocess.Popen = harness_popen
        os.close(writing)
        os.close(reading)
    for pid in harness.children(portero.process.pid):
        assert name not in descriptors(pid).values()
