# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A store for tests: the real redis-server, which can be paused, killed and
started again empty or as it was, or be full; and Sentinels that watch it.

    with running_redis() as redis:
        with running(sink, store={"plugin": "store_redis", "uri": redis.uris})
"""
import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import harness

PLUGIN = Path(harness.plugin_dir(), "store_redis.so")
# Without it, or the plugin (--without-redis), there is nothing to test.
SERVER = PLUGIN.exists() and shutil.which("redis-server") or ""
START_TIMEOUT = 15


class Error(Exception):
    """What Redis answers with a minus sign."""


class Connection:
    """Speaks RESP2: bytes, integers, None and lists come back."""

    def __init__(self, port, context=None, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        if context:
            self.socket = context.wrap_socket(self.socket)
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
    """A server on a port of its own, or a Sentinel; options as in
    redis.conf, those with several lines as lists."""

    def __init__(self, folder, port=None, is_sentinel=False, **options):
        self.folder = folder
        self.port = port or harness.free_port()
        self.context = None
        if "tls_port" in options:  # then on that port only
            self.port = options["tls_port"]
            self.context = harness.certificates().client_context(
                check_hostname=False)
        self.is_sentinel = is_sentinel
        self.password = options.get("requirepass")
        self.process = None
        self.lost = []
        self.config = folder / f"redis-{self.port}.conf"
        kept = {} if is_sentinel else {"save": '""', "appendonly": "no"}
        options = {"bind": "127.0.0.1", "port": 0 if self.context else self.port, "dir": folder,
                   "logfile": f"redis-{self.port}.log", **kept, **options}
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
            (["--sentinel"] if self.is_sentinel else []),
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
        connection = Connection(self.port, self.context)
        try:
            if self.password:
                connection.ask("AUTH", self.password)
            return connection.ask(*words)
        finally:
            connection.close()

    def signal(self, number):
        self.process.send_signal(number)

    # ---- what can befall it, for as long as the block lasts ----

    @contextlib.contextmanager
    def paused(self):
        """It is silent meanwhile."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def killed(self):
        """It comes back with what it has on disk."""
        self.kill()
        yield
        self.start()

    @contextlib.contextmanager
    def emptied(self):
        """It comes back with nothing; `lost` has what was forgotten."""
        self.kill()
        self.lost.append(self.copy())
        for path in self.folder.glob("appendonly*"):
            shutil.rmtree(path)
        yield
        self.start()

    @contextlib.contextmanager
    def full(self):
        """It takes nothing any more."""
        self.ask("CONFIG", "SET", "maxmemory", "1")
        yield
        self.ask("CONFIG", "SET", "maxmemory", "0")

    # ---- what it knows ----

    def copy(self):
        """Another one, not started, with what this one has on disk: all that
        it ever answered, if it is append-only."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        for path in self.folder.glob("appendonly*"):
            shutil.copytree(path, folder / path.name)
        return Redis(folder, appendonly="yes")

    def transactions(self):
        """All that it knows: key -> value."""
        keys = self.ask("KEYS", "*:t:*")
        return dict(zip(keys, self.ask("MGET", *keys) if keys else []))

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


class Watched:
    """A primary and a replica, watched by three Sentinels."""

    NAME = "quotas"

    def __init__(self, folder, stack, **options):
        def start(**options):
            server = Redis(Path(tempfile.mkdtemp(dir=folder)), **options)
            stack.callback(server.kill)
            server.start()
            return server
        options = {"repl_diskless_sync_delay": 0, **options}
        self.unheard = []  # keys of transactions that a fail-over forgot
        self.servers = [start(**options)]
        self.servers.append(start(
            replicaof=f"127.0.0.1 {self.servers[0].port}", **options))
        harness.wait_until(self.is_replicated, START_TIMEOUT, "replica")
        self.sentinels = [start(is_sentinel=True, sentinel=[
            f"monitor {self.NAME} 127.0.0.1 {self.servers[0].port} 2",
            f"down-after-milliseconds {self.NAME} 500",
            f"failover-timeout {self.NAME} 2000"]) for _ in range(3)]
        harness.wait_until(self.is_watched, START_TIMEOUT, "Sentinels")

    def is_replicated(self):
        return any(s.info("replication").get("master_link_status") == "up"
                   for s in self.servers)

    def is_watched(self):
        """All know each other and the replica, and that both are there."""
        for sentinel in self.sentinels:
            words = sentinel.ask("SENTINEL", "master", self.NAME)
            state = dict(zip(words[::2], words[1::2]))
            words = sentinel.ask("SENTINEL", "replicas", self.NAME)
            replicas = [dict(zip(w[::2], w[1::2])) for w in words]
            if (state[b"num-other-sentinels"], state[b"flags"]) != \
                    (b"2", b"master") or \
                    [r[b"flags"] for r in replicas] != [b"slave"]:
                return False
        return True

    @property
    def uris(self):
        return [sentinel.uri for sentinel in self.sentinels]

    def primary(self):
        """As two of three Sentinels say."""
        ports = [int(s.ask("SENTINEL", "get-master-addr-by-name",
                           self.NAME)[1]) for s in self.sentinels]
        return next((s for s in self.servers if ports.count(s.port) >= 2),
                    None)

    def replica(self):
        primary = self.primary()
        return next(s for s in self.servers if s is not primary)

    @contextlib.contextmanager
    def failed_over(self, behind_s=0):
        """The primary dies, the replica takes its place, and the dead one
        comes back as a replica. What the new one had not heard of, for as
        long as it was behind or by the way it happened, is in `unheard`."""
        old, new = self.primary(), self.replica()
        if behind_s > 0:
            with new.paused():
                old.ask("CLIENT", "KILL", "TYPE", "replica")
                time.sleep(behind_s)
                old.kill()
        else:
            old.kill()
        # then it has read all that was said to it
        harness.wait_until(lambda: new.info("replication").get(
            "master_link_status") != "up", START_TIMEOUT, "its loss")
        heard, copy = new.transactions(), old.copy()
        copy.start()
        said = copy.transactions()
        copy.kill()
        self.unheard += [key for key in said if heard.get(key) != said[key]]
        yield
        harness.wait_until(lambda: self.primary() is new, START_TIMEOUT,
                           "fail-over")
        old.start()
        old.ask("REPLICAOF", "127.0.0.1", new.port)
        harness.wait_until(self.is_watched, START_TIMEOUT, "a replica again")


@contextlib.contextmanager
def watched_redis(**options):
    folder = harness.temporary_folder()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Watched(folder, stack, **options)
