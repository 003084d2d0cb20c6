# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""What portero.conf(5) and README.md show is true: each configuration passes
porterod -t, and the one for OpenLDAP works with the rights it names."""
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import directory
import harness
from directory import SOURCE, SUFFIX, entry
from harness import certificates, config_text, default_options
from logins import NEEDS_SLAPD, PEOPLE, attempt

PAGE = (SOURCE / "doc/portero.conf.5.in").read_text()
SERVICE = f"cn=portero,ou=services,{SUFFIX}"


def blocks(begin):
    """The literal parts of the page that have a line like this."""
    parts = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", PAGE, re.M | re.S)
    return [p for p in parts if re.search(begin, p, re.M)]


OPTION = r"^(hostname|tls|listen|auth|store|policy|upstream)\b.*[{=]"
DIRECTORIES = blocks(r'^auth "directory" {')
EXAMPLES = blocks(OPTION) + [
    re.sub(r"^    ", "", part, flags=re.M)
    for part in re.findall(r"(?<=\n\n)(?:    .*\n)+",
                           (SOURCE / "README.md").read_text())
    if re.search(OPTION, part.lstrip(), re.M)]


def config_with(text, options, folder):
    """Options that it has are no others', and files that it names are
    there."""
    certs = certificates()
    if not Path(certs.key("manual")).exists():
        certs.issue("manual", "smtp.example.org")
    contents = {"tls.crt": certs.certificate("manual"),
                "tls.key": certs.key("manual"), "users": "/dev/null"}

    def exists(match):
        path = folder / match[1].replace("/", "-")
        path.write_bytes(Path(contents.get(
            Path(match[1]).name, certs.ca)).read_bytes())
        path.chmod(0o644 if path.suffix in (".pem", ".crt") else 0o600)
        return f'"{path}"'
    own = dict.fromkeys(re.findall(r"^(\w+)\b.*[{=]", text, re.M))
    return config_text(
        {"store": {"plugin": "store_memory"}, **options, **own}) + "\n" + \
        re.sub(r'"/etc/([^"]*)"', exists, text)


def test_the_page_has_all_directories():
    heads = re.findall(r"^\.Ss (.*)", PAGE, re.M)
    assert {"OpenLDAP", "389 Directory Server", "Active Directory",
            "FreeIPA"} <= set(heads)
    assert len(DIRECTORIES) == 5  # and one without a schema of ours
    assert len(EXAMPLES) > 12


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_good(example):
    folder = harness.temporary_folder()
    options = default_options(folder, SimpleNamespace(port=25))
    harness.Portero(options, {}, folder)
    config = folder / "portero.conf"
    config.write_text(config_with(example, options, folder) + "\n")
    done = subprocess.run(
        [harness.program("PORTEROD", "porterod"), "-t", "-c", str(config)],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning:" not in done.stdout + done.stderr
    harness.shutil.rmtree(folder)


def more():
    groups = f"ou=groups,{SUFFIX}"
    return "\n".join([
        entry(f"ou=services,{SUFFIX}", "organizationalUnit", ou="services"),
        entry(SERVICE, "organizationalRole", "simpleSecurityObject",
              cn="portero",
              userPassword=directory.ssha(directory.SERVICE_PASSWORD)),
        directory.person("vera", "s3cret", "porteroAccount",
                         mail="vera@example.org", memberOf=[
                             f"cn=mail,{groups}", f"cn=staff,{groups}"],
                         porteroLimit="hourly=2/1h", porteroMaxSize="2k"),
        directory.person("otto", "s3cret", mail="otto@example.org"),
        directory.person("desk", "x", "porteroAccount",
                         mail="desk@example.org", porteroSender="vera"),
    ])


@NEEDS_SLAPD
def test_the_section_for_openldap_works_with_its_rights(start):
    rights, = blocks(r"^access to dn\.subtree")
    rights = rights[rights.index("access to attrs=userPassword"):]
    with directory.running_directory(more(), rights=rights) as slapd:
        section = DIRECTORIES[0]
        section = re.sub(r"uri = .*", f'uri = "{slapd.ldaps}"', section)
        portero = start(policy=[
            harness.Section("sender", plugin="policy_sender", header="off"),
            harness.Section("size", plugin="policy_size", max="1M")])
        text = config_with(section, portero.options, portero.folder)
        # made by config_with(), like the authority's
        secret = portero.folder / "portero-ldap-password"
        secret.write_text(directory.SERVICE_PASSWORD + "\n")
        portero.write_config(text + "\n")
        done = portero.ctl("reload")
        assert done.returncode == 0, done.stdout + done.stderr
        assert attempt(portero, "otto")[0].code == 535
        assert portero.events("auth")[-1]["cause"] == "not_in_group"
        with portero.login("vera@example.org", "s3cret") as client:
            for sender in ("vera", "desk"):
                assert client.mail(f"{sender}@example.org").code == 250
                client.expect(250, "RSET")
            assert client.mail("otto@example.org").code // 100 == 5
            assert client.mail("vera@example.org", " SIZE=3000").code == 552
        # and the service reads no more than that
        read = subprocess.run(
            ["ldapsearch", "-x", "-LLL", "-H", slapd.uri, "-D", SERVICE, "-w",
             directory.SERVICE_PASSWORD, "-b", PEOPLE, "(uid=vera)", "*"],
            capture_output=True, text=True, check=True).stdout
        assert "mail: vera" in read
        assert "userPassword" not in read and "sn: " not in read
