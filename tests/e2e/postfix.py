# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A real Postfix on a free port, with a configuration and a queue of its own.

Every recipient of example.net is filed in one Maildir, without a change to
the message but the trace fields on top.
"""
import contextlib
import os
import pwd
import shutil
import socket
import subprocess

import harness

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
local_header_rewrite_clients =
alias_maps =
virtual_mailbox_domains = example.net
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = 52428800
in_flow_delay = 0
"""

# service type private unpriv chroot wakeup maxproc command
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
retry unix - - n - - error
error unix - - n - - error
virtual unix - n n - - virtual
smtp unix - - n - - smtp
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def why_not():
    """The reason why Postfix cannot be run here, or None."""
    if not harness.IS_ROOT:
        return "Postfix needs root"
    if shutil.which("postfix") is None:
        return "Postfix is not installed"
    return None


class Postfix:
    def __init__(self, folder, more=""):
        self.folder = folder
        self.more = more
        self.port = harness.free_port()
        self.process = None
        self.daemons = None

    def prepare(self):
        nobody = pwd.getpwnam("nobody")
        self.daemons = subprocess.run(
            ["postconf", "-hx", "daemon_directory"], capture_output=True,
            text=True, check=True).stdout.strip()
        for name, owner in (("etc", "root"), ("queue", "root"),
                            ("data", "postfix"), ("mail", "nobody")):
            (self.folder / name).mkdir(mode=0o755)
            shutil.chown(self.folder / name, owner)
        values = {"folder": self.folder, "port": self.port,
                  "daemons": self.daemons, "uid": nobody.pw_uid,
                  "gid": nobody.pw_gid}
        etc = self.folder / "etc"
        (etc / "main.cf").write_text(MAIN.format(**values) + self.more)
        (etc / "master.cf").write_text(MASTER.format(**values))
        # makes the folders of the queue
        self.run("postfix", "check")

    def run(self, program, *arguments):
        with open(self.folder / "output", "ab") as output:
            subprocess.run([program, "-c", str(self.folder / "etc"),
                            *arguments], check=True, timeout=60,
                           stdin=subprocess.DEVNULL, stdout=output,
                           stderr=output)

    def start(self):
        """Also again, after it was stopped or killed."""
        if self.daemons is None:
            self.prepare()
        with open(self.folder / "output", "ab") as output:
            # a session of its own: it signals its whole group
            self.process = subprocess.Popen(
                [f"{self.daemons}/master", "-c", str(self.folder / "etc"),
                 "-d"], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True)
        harness.wait_until(self.answers, 20, "Postfix")

    def signal(self, number):
        """To all its processes."""
        os.killpg(self.process.pid, number)

    def answers(self):
        assert self.process.poll() is None, self.says()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                return s.recv(100).startswith(b"220 ")
        except OSError:
            return False

    def says(self):
        return "".join(path.read_text("utf-8", "replace")
                       for path in (self.folder / "output", self.folder / "log")
                       if path.exists())

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def mail(self):
        """The files of all messages that were delivered."""
        new = self.folder / "mail" / "all" / "new"
        return list(new.iterdir()) if new.exists() else []

    def queue(self):
        """The files of those that were not yet."""
        return [path for name in ("incoming", "active", "deferred")
                for path in (self.folder / "queue" / name).rglob("*")
                if path.is_file() and path.stat().st_mode & 0o100]

    def find(self, token):
        """The message with this text in its header, or None."""
        for path in self.mail():
            content = path.read_bytes()
            if token in content.split(b"\n\n", 1)[0]:
                path.unlink()  # the next search is shorter
                return content
        return None


@contextlib.contextmanager
def running(more=""):
    """more: lines of main.cf."""
    folder = harness.temporary_folder()
    postfix = Postfix(folder, more)
    try:
        postfix.start()
        yield postfix
    finally:
        postfix.stop()
        shutil.rmtree(folder, ignore_errors=True)
