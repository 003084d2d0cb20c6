# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A store for tests: the real redis-server, which can be paused, killed and
started again empty or as it was; and Sentinels that watch it.

    with running_redis() as redis:
        with running(sink, store={"plugin": "store_redis", "uri": redis.uris})
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess

import harness

SERVER = shutil.which("redis-server") or ""
START_TIMEOUT = 15


class Error(Exception):
    """What Redis answers with a minus sign."""


class Connection:
    """Speaks RESP2: bytes, integers, None and lists come back."""

    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def ask(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        reply = self.read()
        if isinstance(reply, Error):
            raise reply
        return reply

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis is gone")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return Error(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size == -1:
            return None
        if kind == b"*":
            return [self.read() for _ in range(size)]
        return self.file.read(size + 2)[:-2]


class Redis:
    """A server on a port of its own; options as in redis.conf."""

    def __init__(self, folder, port=None, sentinel=False, **options):
        self.folder = folder
        self.port = port or harness.free_port()
        self.sentinel = sentinel
        self.password = options.get("requirepass")
        self.process = None
        self.config = folder / f"redis-{self.port}.conf"
        options = {"bind": "127.0.0.1", "port": self.port, "dir": folder,
                   "save": '""', "appendonly": "no", "daemonize": "no",
                   "logfile": f"redis-{self.port}.log", **options}
        self.config.write_text("".join(
            f"{name.replace('_', '-')} {value}\n"
            for name, values in options.items()
            for value in (values if isinstance(values, list) else [values])))

    @property
    def uri(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [SERVER, str(self.config)] +
            (["--sentinel"] if self.sentinel else []),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        harness.wait_until(self.is_up, START_TIMEOUT, "redis-server")

    def is_up(self):
        assert self.process.poll() is None, \
            f"redis-server ended with {self.process.returncode}"
        try:
            self.ask("PING")
        except Error as e:
            return "NOAUTH" in str(e)
        except OSError:
            return False
        return True

    def ask(self, *words):
        """One command on a connection of its own."""
        connection = Connection(self.port)
        try:
            if self.password:
                connection.ask("AUTH", self.password)
            return connection.ask(*words)
        finally:
            connection.close()

    def signal(self, number):
        self.process.send_signal(number)

    @contextlib.contextmanager
    def paused(self):
        """It is silent meanwhile."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def info(self, section):
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


@contextlib.contextmanager
def running_redis(**options):
    """A server that ends with the block."""
    folder = harness.temporary_folder()
    redis = Redis(folder, **options)
    try:
        redis.start()
        yield redis
    finally:
        redis.kill()
        shutil.rmtree(folder, ignore_errors=True)
