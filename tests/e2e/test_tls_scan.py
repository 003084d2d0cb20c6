# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""testssl.sh finds nothing worse than "low" on either port."""
import json
import shutil
import subprocess

import pytest

import harness
from harness import LONG

TESTSSL = shutil.which("testssl") or shutil.which("testssl.sh")
HARMLESS = ("OK", "INFO", "LOW", "DEBUG", "WARN")  # the last two: of the tool

pytestmark = [
    pytest.mark.skipif(not LONG, reason="with PORTERO_LONG=1"),
    pytest.mark.skipif(not TESTSSL, reason="testssl.sh is not installed")]


@pytest.mark.parametrize("listener, options", [
    ("submissions", []), ("submission", ["-t", "smtp"])])
def test_testssl_finds_nothing(shared_portero, tmp_path, listener, options):
    found = tmp_path / "found.json"
    done = subprocess.run(
        [TESTSSL, "--quiet", "--color", "0", "--warnings", "batch",
         "--ip", "127.0.0.1", "--nodns", "min",
         "--add-ca", str(harness.certificates().ca),
         "--jsonfile", str(found), *options,
         f"smtp.example.test:{shared_portero.ports[listener]}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
        check=False)
    findings = json.loads(found.read_text())
    assert len(findings) > 100, done.stdout[-2000:]
    assert [f for f in findings if f["severity"] not in HARMLESS] == []
