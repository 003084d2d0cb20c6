# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Mail programs and the libraries that others are made of, through both ports:
text, an attachment, an address in UTF-8 where the client can, and several
recipients of which one is unknown. Runs with the long tests."""
import email
import email.policy
import json
import os
import random
import smtplib
import subprocess

import pytest

import harness
import postfix
import sink as upstream
from harness import LONG, Section, certificates, wait_until

pytestmark = pytest.mark.skipif(not LONG, reason="with PORTERO_LONG=1")

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
SENDER, RECIPIENT = "ana@example.org", "bob@example.net"
UNKNOWN = "nobody@example.net"
FOREIGN = "bøb@exämple.net"
TEXT = "Señor Müller:\n\n.\n..\nFrom here: all is well – 東京.\n" * 30
ATTACHMENT = random.Random(7).randbytes(1_000_000)


class Job:
    """A message to be sent, and with what."""

    def __init__(self, portero, listener, folder, to=(RECIPIENT,),
                 attached=False):
        self.port = portero.ports[listener]
        self.implicit = listener == "submissions"
        self.folder = folder
        self.to = list(to)
        self.attached = attached
        self.token = f"token-{random.randrange(1 << 60):x}"
        self.text_file = folder / "text"
        self.text_file.write_text(TEXT)
        self.attachment_file = folder / "attachment.bin"
        self.attachment_file.write_bytes(ATTACHMENT)
        self.message_file = folder / "message"
        self.message_file.write_bytes(self.message())

    def message(self):
        made = email.message.EmailMessage(policy=email.policy.SMTP)
        made["From"], made["To"] = SENDER, RECIPIENT
        made["Subject"] = self.token
        made["Date"] = "Tue, 24 Nov 2026 12:00:00 +0000"
        made["Message-ID"] = f"<{self.token}@example.org>"
        made.set_content(TEXT, cte="quoted-printable")
        if self.attached:
            made.add_attachment(ATTACHMENT, maintype="application",
                                subtype="octet-stream", filename="a.bin")
        return made.as_bytes()

    def json(self):
        return json.dumps({
            "port": self.port, "implicit": self.implicit, "user": "ana",
            "password": "s3cret", "ca": str(certificates().ca), "from": SENDER,
            "to": self.to, "token": self.token, "text": str(self.text_file),
            "message": str(self.message_file),
            "attachment": str(self.attachment_file) if self.attached else None,
        }).encode()


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, timeout=40,
                          check=False, **options)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


# ---- the clients: the exit code and what they said ----

def by_swaks(job):
    return run("swaks", "--server", "localhost", "--port", str(job.port),
               "--tls-on-connect" if job.implicit else "--tls",
               "--tls-verify", "--tls-ca-path", str(certificates().ca),
               "--auth", "PLAIN", "--auth-user", "ana", "--auth-password",
               "s3cret", "--from", SENDER, "--to", ",".join(job.to),
               "--data", f"@{job.message_file}", "--silent", "2")


def by_curl(job):
    recipients = [w for to in job.to for w in ("--mail-rcpt", to)]
    return run("curl", "--silent", "--show-error", "--ssl-reqd", "--cacert",
               str(certificates().ca), "--user", "ana:s3cret",
               "--mail-from", SENDER, *recipients, "--upload-file",
               str(job.message_file),
               f"smtp{'s' if job.implicit else ''}://localhost:{job.port}"
               "/client.example.test")


def by_msmtp(job):
    return run("msmtp", "--file=/dev/null", "--host=localhost",
               f"--port={job.port}", "--tls=on",
               f"--tls-starttls={'off' if job.implicit else 'on'}",
               f"--tls-trust-file={certificates().ca}", "--auth=plain",
               "--user=ana", "--passwordeval=echo s3cret",
               f"--from={SENDER}", *job.to,
               input=job.message_file.read_bytes().replace(b"\r\n", b"\n"))


def by_s_nail(job):
    settings = {"v15-compat": "yes", "from": SENDER, "ttycharset": "utf-8",
                "sendcharsets": "utf-8", "sendwait": "yes",
                "smtp-auth": "plain", "tls-verify": "strict",
                "tls-ca-file": certificates().ca, "tls-ca-no-defaults": "yes",
                "mta": f"smtp{'s' if job.implicit else ''}://ana:s3cret"
                       f"@localhost:{job.port}"}
    if not job.implicit:
        settings["smtp-use-starttls"] = "yes"
    words = [w for k, v in settings.items() for w in ("-S", f"{k}={v}")]
    more = ["-a", str(job.attachment_file)] if job.attached else []
    return run("s-nail", "-:/", *words, "-s", job.token, *more, *job.to,
               input=TEXT.encode(), env={**os.environ, "LC_ALL": "C.UTF-8",
                                         "HOME": str(job.folder)})


def by_mutt(job):
    settings = [f"set from={SENDER}", "set smtp_pass=s3cret",
                f"set smtp_url=smtp{'s' if job.implicit else ''}://ana"
                f"@localhost:{job.port}/", "set ssl_force_tls=yes",
                "set ssl_usesystemcerts=no", "set smtp_authenticators=plain",
                f"set certificate_file={certificates().ca}",
                f"set ssl_ca_certificates_file={certificates().ca}",
                "set copy=no", "set charset=utf-8", "set send_charset=utf-8",
                "set use_envelope_from=yes", f"set envelope_from_address={SENDER}"]
    rc = job.folder / "muttrc"
    rc.write_text("\n".join(settings) + "\n")
    more = ["-a", str(job.attachment_file), "--"] if job.attached else ["--"]
    return run("mutt", "-n", "-F", str(rc), "-s", job.token, *more, *job.to,
               input=TEXT.encode(), env={**os.environ, "LC_ALL": "C.UTF-8",
                                         "HOME": str(job.folder)})


def by_git(job):
    patch = job.folder / "0001-x.patch"
    patch.write_text("From 0123456789012345678901234567890123456789 Mon Sep 17 "
                     f"00:00:00 2001\nFrom: {SENDER}\nDate: Tue, 24 Nov "
                     f"2026 12:00:00 +0000\nSubject: {job.token}\n"
                     "MIME-Version: 1.0\nContent-Type: text/plain; "
                     f"charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n{TEXT}")
    to = [f"--to={to}" for to in job.to]
    return run("git", "send-email", "--quiet", "--confirm=never",
               "--suppress-cc=all", f"--from={SENDER}", *to,
               "--smtp-server=localhost", f"--smtp-server-port={job.port}",
               f"--smtp-encryption={'ssl' if job.implicit else 'tls'}",
               f"--smtp-ssl-cert-path={certificates().ca}",
               "--smtp-user=ana", "--smtp-pass=s3cret", "--smtp-auth=PLAIN",
               "--no-validate", str(patch), cwd=job.folder,
               env={**os.environ, "HOME": str(job.folder),
                    "GIT_COMMITTER_NAME": "Ana", "GIT_AUTHOR_NAME": "Ana",
                    "GIT_COMMITTER_EMAIL": SENDER, "GIT_AUTHOR_EMAIL": SENDER})


def by_smtplib(job):
    context = certificates().client_context()
    if job.implicit:
        client = smtplib.SMTP_SSL("localhost", job.port, context=context)
    else:
        client = smtplib.SMTP("localhost", job.port)
        client.starttls(context=context)
    with client:
        client.login("ana", "s3cret")
        options = [] if all(to.isascii() for to in job.to) else ["SMTPUTF8"]
        refused = client.sendmail(SENDER, job.to,
                                  job.message_file.read_bytes(), options)
    return (3 if refused else 0), str(refused)


def by_script(program, script, **environment):
    def send(job):
        return run(program, os.path.join(HERE, script), input=job.json(),
                   env={**os.environ, **environment})
    return send


def by_javamail(job):
    store = job.folder / "trust.p12"
    code, said = run("keytool", "-importcert", "-noprompt", "-alias", "ca",
                     "-storetype", "PKCS12", "-storepass", "changeit",
                     "-keystore", str(store), "-file", str(certificates().ca))
    assert code == 0, said
    return run("java", "-cp", "/usr/share/java/javax.mail.jar",
               f"-Djavax.net.ssl.trustStore={store}",
               "-Djavax.net.ssl.trustStorePassword=changeit",
               os.path.join(HERE, "Send.java"),
               "smtps" if job.implicit else "smtp", str(job.port), "ana",
               "s3cret", SENDER, str(job.message_file), *job.to)


CLIENTS = {
    "swaks": by_swaks, "curl": by_curl, "msmtp": by_msmtp, "s-nail": by_s_nail,
    "mutt": by_mutt, "git": by_git, "smtplib": by_smtplib,
    "perl": by_script("perl", "send.pl"), "ruby": by_script("ruby", "send.rb"),
    "node": by_script("node", "send.js", NODE_PATH="/usr/share/nodejs"),
    "php": by_script("php", "send.php"), "java": by_javamail,
}
TEXT_ONLY = {"git"}
SPEAK_UTF8 = {"curl", "smtplib", "node"}


# ---- what arrives ----

@pytest.fixture(scope="module")
def route():
    certs = certificates()
    if not os.path.exists(certs.certificate("localhost")):
        certs.issue("localhost", "localhost", "smtp.example.test")
    with upstream.checked_sink(extra=["SMTPUTF8"]) as sink:
        sink.on("rcpt", upstream.reply("550 5.1.1 User unknown"),
                match=UNKNOWN)
        with harness.running(sink, session_workers=1, tls=[
                Section(certificate=[certs.certificate("localhost")],
                        key=[certs.key("localhost")])]) as portero:
            yield sink, portero


def arrived(sink, token):
    def find():
        return [m for m in sink.messages
                if token.encode() in m.content.split(b"\r\n\r\n")[0]]
    message, = wait_until(find, 15, token)
    return message


def lines(text):
    return text.replace("\r\n", "\n").rstrip("\n")


def check_content(message, job):
    """Octet by octet, after what the client's own encoding is undone."""
    parsed = email.message_from_bytes(message.body,
                                      policy=email.policy.SMTP)
    text = parsed.get_body(("plain",)).get_content()
    if not lines(text).startswith(lines(TEXT)):
        # a mailer may take care of lines that begin with "From "
        assert lines(text).replace(">From", "From").startswith(lines(TEXT))
    if job.attached:
        attachment, = list(parsed.iter_attachments())
        assert attachment.get_content() == ATTACHMENT


@pytest.mark.parametrize("listener", ["submissions", "submission"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("attached", [False, True], ids=["text", "attachment"])
def test_content_arrives(route, client, listener, attached, tmp_path):
    if attached and client in TEXT_ONLY:
        pytest.skip("sends text only")
    sink, portero = route
    job = Job(portero, listener, tmp_path, attached=attached)
    code, said = CLIENTS[client](job)
    assert code == 0, said
    message = arrived(sink, job.token)
    assert (message.sender, message.recipients) == (SENDER, [RECIPIENT])
    check_content(message, job)


@pytest.mark.parametrize("listener", ["submissions", "submission"])
@pytest.mark.parametrize("client", CLIENTS)
def test_one_recipient_of_three_is_unknown(route, client, listener, tmp_path):
    """The client says so, whatever it does with the other two: they get the
    whole message or none of it."""
    sink, portero = route
    others = [RECIPIENT, "eva@example.net"]
    job = Job(portero, listener, tmp_path, to=[others[0], UNKNOWN, others[1]])
    before = len(sink.messages)
    code, said = CLIENTS[client](job)
    assert code != 0 or UNKNOWN in said or "unknown" in said.lower(), said
    for message in sink.messages[before:]:
        assert message.recipients == others
        check_content(message, job)
    assert len(sink.messages) <= before + 1


@pytest.mark.parametrize("listener", ["submissions", "submission"])
@pytest.mark.parametrize("client", sorted(SPEAK_UTF8))
def test_address_in_utf8(route, client, listener, tmp_path):
    sink, portero = route
    job = Job(portero, listener, tmp_path, to=[FOREIGN])
    code, said = CLIENTS[client](job)
    assert code == 0, said
    message = arrived(sink, job.token)
    assert "SMTPUTF8" in message.parameters
    local, domain = message.recipients[0].split("@")
    assert local == "bøb"
    assert domain in ("exämple.net", "xn--exmple-cua.net")


# ---- a mail server as the client ----

RELAY = """
relayhost = [localhost]:{port}
smtp_host_lookup = native
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:ana:s3cret
smtp_sasl_security_options = noanonymous
smtp_tls_security_level = secure
smtp_tls_wrappermode = {wrapper}
smtp_tls_CAfile = {ca}
smtp_tls_secure_cert_match = hostname
virtual_mailbox_domains =
mydestination =
"""


@pytest.mark.skipif(postfix.why_not() is not None, reason=str(postfix.why_not()))
@pytest.mark.parametrize("listener", ["submissions", "submission"])
def test_postfix_relays_through_us(route, listener, tmp_path):
    sink, portero = route
    more = RELAY.format(port=portero.ports[listener], ca=certificates().ca,
                        wrapper="yes" if listener == "submissions" else "no")
    job = Job(portero, listener, tmp_path, attached=True)
    with postfix.running(more) as server:
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.sendmail(SENDER, job.to, job.message_file.read_bytes())
        try:
            message = arrived(sink, job.token)
        except AssertionError:
            pytest.fail(server.says()[-3000:])
    assert (message.sender, message.recipients) == (SENDER, [RECIPIENT])
    check_content(message, job)
