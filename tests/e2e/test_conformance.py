# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Each row of doc/conformance.md names tests that exist."""
import os
import re
from pathlib import Path

from test_dialogues import CASES

SOURCE = Path(os.environ.get("PORTERO_SOURCE")
              or Path(__file__).parent.parent.parent)
NAMES = {case.name for case in CASES}


def exists(test):
    """`file[dialogue]`, `file.py::function` or `file.c::function`."""
    found = re.fullmatch(r"test_dialogues\.py\[(.+)\]", test)
    if found:
        return found.group(1) in NAMES
    file, _, name = test.partition("::")
    path = SOURCE / "tests" / ("unit" if file.endswith(".c") else "e2e") / file
    start = r"^" if file.endswith(".c") else r"^def "
    return path.is_file() and re.search(
        rf"{start}{re.escape(name)}\(", path.read_text(), re.M) is not None


def test_every_row_names_tests_that_exist():
    text = (SOURCE / "doc" / "conformance.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()
            if re.match(r"\| (\d|PROXY)", line)]
    assert len(rows) > 60
    for row in rows:
        assert len(row) == 4, row
        tests = re.findall(r"`([^`]+)`", row[3])
        assert tests, row
        for test in tests:
            assert exists(test), f"{test}: no such test"


def test_a_name_that_is_none_is_found_out():
    assert not exists("test_dialogues.py[no such dialogue]")
    assert not exists("test_login.py::test_no_such_test")
    assert not exists("test_no_such_file.c::test_x")
