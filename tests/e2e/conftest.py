# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a sink as upstream, and the real porterod before it."""
import contextlib
import shutil

import pytest

import harness
from sink import checked_sink


@pytest.fixture
def sink():
    """An upstream that takes everything; what it saw must have been clean."""
    with checked_sink() as sink:
        yield sink


@pytest.fixture
def start(sink):
    """start(**options): a Portero before `sink` that ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            harness.running(sink, **options))


@pytest.fixture
def portero(start):
    """A Portero with nothing but the defaults of the harness."""
    return start()


@pytest.fixture(scope="module")
def shared_sink():
    """The same for tests of a module that leave no trace in it."""
    with checked_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def shared_portero(shared_sink):
    with harness.running(shared_sink) as portero:
        yield portero


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the end of the log with a failed test."""
    report = (yield).get_result()
    if report.failed:
        for portero in harness.living:
            report.sections.append(("log of porterod", portero.log_tail()))


def pytest_sessionfinish():
    if harness.run_folder.cache_info().currsize:
        shutil.rmtree(harness.run_folder(), ignore_errors=True)
