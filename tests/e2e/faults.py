# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Sections with plugins that do wrong (tests/plugins), and good ones that
stand beside them."""
import contextlib
import shutil

import harness
from harness import Section

STORE = {"plugin": "store_memory"}
QUOTA = Section("quota", plugin="policy_rate",
                limit=[Section("hourly", messages=1000000, per="1h")])


def policy(kind, stage="mail", **more):
    """Does wrong at a stage, for senders with the name of the section."""
    name = f"{kind}-{stage}"
    return Section(name, plugin="fault_policy", fault=kind, stage=stage,
                   when=name, **more)


def auth(kind):
    """Does wrong for a login with the name of the section."""
    return Section(f"{kind}-auth", plugin="fault_auth", fault=kind,
                   when=f"{kind}-auth")


@contextlib.contextmanager
def people(users):
    """A section of auth_file; its file belongs to the auth role alone, so
    that root itself may not read it."""
    folder = harness.temporary_folder()
    path = folder / "users"
    path.write_text("".join(f"{user}:{harness.password_hash(password)}\n"
                            for user, password in users.items()))
    path.chmod(0o600)
    if harness.IS_ROOT:
        shutil.chown(path, harness.user_options()["user_auth"])
    yield Section("people", plugin="auth_file", file=str(path))
    shutil.rmtree(folder)
