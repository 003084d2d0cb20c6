# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""The schema in conf/, in both its forms, and the attributes it defines."""
import re

import pytest

import directory
from directory import SOURCE, SUFFIX
from harness import Section
from logins import NEEDS_SLAPD

pytestmark = NEEDS_SLAPD

ATTRIBUTES = {"class_attribute": "porteroClass",
              "limit_attribute": "porteroLimit",
              "size_attribute": "porteroMaxSize",
              "address_attributes": ["mail", "porteroAddress"],
              "owns_filter": ["(&(|(mail=%a)(porteroAddress=%a))"
                              "(porteroSender=%i))"],
              "owns_base": SUFFIX}


def people():
    return "\n".join([
        directory.person(
            "sofia", "s3cret", "porteroAccount", mail="sofia@example.org",
            porteroAddress=["s.lima@example.org"], porteroClass="staff",
            porteroLimit=["hourly=2/1h"], porteroMaxSize="2k"),
        directory.person(
            "info", "x", "porteroAccount", mail="info@example.org",
            porteroAddress="hello@example.org",
            porteroSender=["sofia", "ana"]),
    ])


def definitions(text):
    """OIDs and all behind them, in one form, without comments."""
    text = re.sub(r"#.*", "", text).replace("\n", " ")
    return [re.sub(r"\s+", " ", d)
            for d in re.findall(r"\(\s2\.25\..*?\)(?=\s+(?:attribute|object|olc)"
                                r"|\s*$)", text)]


def test_both_forms_say_the_same():
    schema = definitions((SOURCE / "conf/portero.schema").read_text())
    ldif = definitions((SOURCE / "conf/portero.ldif").read_text())
    assert len(schema) == 6 and schema == ldif


@pytest.mark.parametrize("form", ["slapd.conf", "cn=config"])
def test_a_real_slapd_loads_it(start, form):
    with directory.running_directory(schema=form) as slapd:
        if form == "cn=config":
            slapd.modify(["-a", "-Q", "-Y", "EXTERNAL", "-H", slapd.ldapi,
                          "-f", str(SOURCE / "conf/portero.ldif")])
        slapd.change(people(), "-a")
        portero = start(
            auth=[Section("directory", **slapd.options(**ATTRIBUTES))],
            store={"plugin": "store_memory"},
            policy=[Section("sender", plugin="policy_sender", header="off"),
                    Section("size", plugin="policy_size", max="1M"),
                    Section("quota", plugin="policy_rate", limit=Section(
                        "hourly", messages=1, per="1h"))])
        with portero.login("sofia") as client:
            assert client.mail("sofia@example.org", " SIZE=3000").code == 552
            for sender in ("s.lima", "info", "hello"):
                assert client.mail(f"{sender}@example.org").code == 250
                client.expect(250, "RSET")
            assert client.mail("ana@example.org").code // 100 == 5
            for _ in range(2):
                assert client.send_message(
                    sender="sofia@example.org").code == 250
            assert client.send_message(
                sender="sofia@example.org").code // 100 in (4, 5)
