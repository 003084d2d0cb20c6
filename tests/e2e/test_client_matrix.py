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

import pytest

import harness
import mailers
import postfix
import sink as upstream
from harness import LONG, certificates, wait_until
from mailers import PASSWORD, RECIPIENT, SENDER, run

pytestmark = pytest.mark.skipif(not LONG, reason="with PORTERO_LONG=1")

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
UNKNOWN = "nobody@example.net"
FOREIGN = "bøb@exämple.net"
TEXT = "Señor Müller:\n\n.\n..\nFrom here: all is well – 東京.\n" * 30
ATTACHMENT = random.Random(7).randbytes(1_000_000)


class Job(mailers.Job):
    """Made for the test, with files for those who read them."""

    def __init__(self, portero, listener, folder, to=(RECIPIENT,),
                 attached=False):
        super().__init__(portero, listener, folder,
                         f"token-{random.randrange(1 << 60):x}")
        self.to = list(to)
        self.text = TEXT.encode()
        self.attachment = ATTACHMENT if attached else None
        self.text_file = self.file(self.text, "text")
        self.attachment_file = self.file(ATTACHMENT, "attachment.bin")
        made = self.message()
        self.message_file = self.file(made, "message.eml")
        self.content = made.replace(b"\r\n", b"\n")

    def message(self):
        made = email.message.EmailMessage(policy=email.policy.SMTP)
        made["From"], made["To"] = SENDER, RECIPIENT
        made["Subject"] = self.token
        made["Date"] = "Tue, 24 Nov 2026 12:00:00 +0000"
        made["Message-ID"] = f"<{self.token}@example.org>"
        made.set_content(TEXT, cte="quoted-printable")
        if self.attachment:
            made.add_attachment(ATTACHMENT, maintype="application",
                                subtype="octet-stream", filename="a.bin")
        return made.as_bytes()

    def json(self):
        return json.dumps({
            "port": self.port, "implicit": self.implicit, "user": "ana",
            "password": PASSWORD, "ca": str(certificates().ca), "from": SENDER,
            "to": self.to, "token": self.token, "text": str(self.text_file),
            "message": str(self.message_file), "attachment":
            str(self.attachment_file) if self.attachment else None,
        }).encode()


# ---- more clients: the exit code and what they said ----

def by_mutt(job):
    settings = [f"set from={SENDER}", f"set smtp_pass={PASSWORD}",
                f"set smtp_url={job.smtp}://ana"
                f"@localhost:{job.port}/", "set ssl_force_tls=yes",
                "set ssl_usesystemcerts=no", "set smtp_authenticators=plain",
                f"set certificate_file={certificates().ca}",
                f"set ssl_ca_certificates_file={certificates().ca}",
                "set copy=no", "set charset=utf-8", "set send_charset=utf-8",
                "set use_envelope_from=yes", f"set envelope_from_address={SENDER}"]
    rc = job.folder / "muttrc"
    rc.write_text("\n".join(settings) + "\n")
    more = ["-a", str(job.attachment_file), "--"] if job.attachment else ["--"]
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
               "--smtp-user=ana", f"--smtp-pass={PASSWORD}", "--smtp-auth=PLAIN",
               "--no-validate", str(patch), cwd=job.folder,
               env={**os.environ, "HOME": str(job.folder),
                    "GIT_COMMITTER_NAME": "Ana", "GIT_AUTHOR_NAME": "Ana",
                    "GIT_COMMITTER_EMAIL": SENDER, "GIT_AUTHOR_EMAIL": SENDER})


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
               job.smtp, str(job.port), "ana",
               PASSWORD, SENDER, str(job.message_file), *job.to)


CLIENTS = {
    **mailers.CLIENTS, "mutt": by_mutt, "git": by_git,
    "perl": by_script("perl", "send.pl"), "ruby": by_script("ruby", "send.rb"),
    "node": by_script("node", "send.js", NODE_PATH="/usr/share/nodejs"),
    "php": by_script("php", "send.php"), "java": by_javamail,
}
TEXT_ONLY = {"git"}
SPEAK_UTF8 = {"curl", "smtplib", "node"}


# ---- what arrives ----

@pytest.fixture(scope="module")
def route():
    with upstream.checked_sink(extra=["SMTPUTF8"]) as sink:
        sink.on("rcpt", upstream.reply("550 5.1.1 User unknown"),
                match=UNKNOWN)
        with harness.running(sink, session_workers=1,
                             tls=mailers.tls_for_clients()) as portero:
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
    if job.attachment:
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
