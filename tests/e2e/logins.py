# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with a directory, and single logins."""
import pytest

import directory
from directory import SUFFIX
from harness import Section, room, wait_until

NEEDS_SLAPD = pytest.mark.skipif(
    not directory.IS_THERE, reason="slapd or ldap-utils is not installed")
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
LATE = room(5.5)  # seconds: auth_timeout and a little
CROWD = 2000


@pytest.fixture(scope="module")
def slapd():
    with directory.running_directory(directory.crowd(CROWD)) as slapd:
        yield slapd


@pytest.fixture
def with_ldap(slapd, start):
    """with_ldap(option=...): a Portero that asks the directory."""
    def start_it(options=None, auth=(), **others):
        options = slapd.options(**(options or {}))
        return start(auth=[Section("directory", **options), *auth], **others)
    return start_it


def attempt(portero, user, password="s3cret"):
    """The reply to a login, and the seconds it took."""
    before = len(portero.events("auth"))
    with portero.secure() as client:
        result = client.timed(client.auth_plain, user, password)
    wait_until(lambda: len(portero.events("auth")) > before, what="log")
    return result


def code(portero, user, password="s3cret"):
    return attempt(portero, user, password)[0].code


def last_cause(portero):
    return portero.events("auth")[-1]["cause"]
