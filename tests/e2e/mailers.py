# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Ordinary mail clients, told by their command lines to send a message."""
import os
import smtplib
import subprocess

from harness import Section, certificates

SENDER, RECIPIENT = "ana@example.org", "bob@example.net"
PASSWORD = "s3cret"
NAME = "client.example.test"
CERTIFICATE = "localhost"  # every client verifies it


def tls_for_clients():
    """The option of a Portero that they connect to."""
    certs = certificates()
    if not os.path.exists(certs.certificate(CERTIFICATE)):
        certs.issue(CERTIFICATE, "localhost", "smtp.example.test")
    return [Section(certificate=[certs.certificate(CERTIFICATE)],
                    key=[certs.key(CERTIFICATE)])]


class Job:
    """What is sent, by which port. `content` is a whole message, for clients
    that take one; lines end with LF. Others make one of the text, and of the
    attachment if there is one."""

    def __init__(self, portero, listener, folder, token, mechanism="plain"):
        self.port = portero.ports[listener]
        self.implicit = listener == "submissions"
        self.smtp = "smtps" if self.implicit else "smtp"
        self.folder = folder
        self.token = token  # the subject
        self.mechanism = mechanism
        self.to = [RECIPIENT]
        self.content = self.text = b""
        self.attachment = None

    def file(self, content, name="message"):
        path = self.folder / name
        path.write_bytes(content)
        return path


def run(*command, **options):
    """Its exit code, and what it said."""
    done = subprocess.run(command, capture_output=True, timeout=120,
                          check=False, **options)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def by_swaks(job):
    path = job.file(job.content.removesuffix(b"\n"))  # it adds one
    return run("swaks", "--server", "localhost", "--port", str(job.port),
               "--tls-on-connect" if job.implicit else "--tls",
               "--tls-verify", "--tls-ca-path", str(certificates().ca),
               "--auth", job.mechanism, "--auth-user", "ana",
               "--auth-password", PASSWORD, "--ehlo", NAME,
               "--from", SENDER, "--to", ",".join(job.to),
               "--data", f"@{path}", "--silent", "2")


def by_curl(job):
    # it sends the file as it is, so its lines must be whole
    path = job.file(job.content.replace(b"\n", b"\r\n"))
    recipients = [word for to in job.to for word in ("--mail-rcpt", to)]
    return run("curl", "--silent", "--show-error", "--ssl-reqd", "--cacert",
               str(certificates().ca), "--user", f"ana:{PASSWORD}",
               "--login-options", f"AUTH={job.mechanism.upper()}",
               "--mail-from", SENDER, *recipients, "--upload-file", str(path),
               f"{job.smtp}://localhost:{job.port}/{NAME}")


def by_msmtp(job):
    return run("msmtp", "--file=/dev/null", "--host=localhost",
               f"--port={job.port}", "--tls=on",
               f"--tls-starttls={'off' if job.implicit else 'on'}",
               f"--tls-trust-file={certificates().ca}",
               f"--auth={job.mechanism}", "--user=ana",
               f"--passwordeval=echo {PASSWORD}", f"--domain={NAME}",
               f"--from={SENDER}", "--set-from-header=off",
               "--set-date-header=off", *job.to, input=job.content)


def by_smtplib(job):
    context = certificates().client_context()
    if job.implicit:
        client = smtplib.SMTP_SSL("localhost", job.port, context=context)
    else:
        client = smtplib.SMTP("localhost", job.port)
        client.starttls(context=context)
    options = [] if job.content.isascii() else ["BODY=8BITMIME"]
    options += [] if "".join(job.to).isascii() else ["SMTPUTF8"]
    with client:
        client.login("ana", PASSWORD)
        refused = client.sendmail(SENDER, job.to,
                                  job.content.replace(b"\n", b"\r\n"), options)
    return (3 if refused else 0), str(refused)


def by_s_nail(job, mta=None):
    """With a fixed clock it writes the same header each time."""
    settings = {"v15-compat": "yes", "from": SENDER, "ttycharset": "utf-8",
                "sendcharsets": "utf-8", "mime-encoding": "8bit",
                "sendwait": "yes", "smtp-auth": job.mechanism,
                "hostname": NAME, "tls-verify": "strict",
                "tls-ca-file": certificates().ca, "tls-ca-no-defaults": "yes",
                "mta": mta or
                f"{job.smtp}://ana:{PASSWORD}@localhost:{job.port}"}
    if not job.implicit:
        settings["smtp-use-starttls"] = "yes"
    words = [word for name, value in settings.items()
             for word in ("-S", f"{name}={value}")]
    if job.attachment:
        words += ["-a", str(job.file(job.attachment, "attachment.bin"))]
    return run("s-nail", "-:/", *words, "-s", job.token, *job.to,
               input=job.text, env=dict(
                   os.environ, SOURCE_DATE_EPOCH="1000000", LC_ALL="C.UTF-8",
                   HOME=str(job.folder)))


CLIENTS = {"swaks": by_swaks, "curl": by_curl, "msmtp": by_msmtp,
           "smtplib": by_smtplib, "s-nail": by_s_nail}
