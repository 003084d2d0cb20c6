# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Limits as a test sees them: the sections that configure them, what the
store says was used, and crowds of clients that use them up.

Two ledgers must agree in the end: the sink's, of messages it accepted, and
the store's, of what was charged for them.
"""
import contextlib
import json
import os
import re
import signal
import threading

from harness import Section, wait_until

STORE = {"plugin": "store_memory"}
BODY = b"Subject: test\r\n\r\ntext\r\n"

# "Limit day: 60 of 60 messages used. You can go on at 2026-11-24 09:10 UTC."
LIMIT_TEXT = re.compile(
    r"Limit (?P<limit>\S+): (?P<used>\S+(?: [kM]?B| bytes)?) of "
    r"(?P<max>\S+?(?: [kM]?B| bytes)?)(?P<unit> messages| recipients|) used"
    r"(?:, \S+(?: [kM]?B| bytes)? more do not fit)?\. "
    r"You can go on at \d{4}-\d\d-\d\d \d\d:\d\d UTC\.")


# ---- configuration ----

def limit(name, per="1d", **numbers):
    """A limit of policy_rate; class_={"staff": {"messages": 5}}."""
    classes = [Section(title, **own)
               for title, own in numbers.pop("class_", {}).items()]
    return Section(name, per=per, **numbers,
                   **({"class": classes} if classes else {}))


def quota(*limits, title="quota", **options):
    """Options of a Portero with these limits and a store."""
    return {"store": STORE, "policy": [Section(
        title, plugin="policy_rate", limit=list(limits), **options)]}


# ---- what the store says ----

def limits(portero, person="ana"):
    """What `porteroctl limits show` tells: (limit, unit) -> its row."""
    done = portero.ctl("limits", "show", person, "--json")
    answer = json.loads(done.stdout)
    if done.returncode == 4:
        return {}
    assert done.returncode == 0, done
    return {(row["limit"], row["unit"]): row for row in answer["limits"]}


def used(portero, name, unit="messages", person="ana"):
    row = limits(portero, person).get((name, unit))
    return row["used"] if row else 0


def wait_settled(portero, person="ana", timeout=10, for_ever=0):
    """The rows, once no reservation of the person is open but so many that
    will be for ever. That much time is given to what was owed by workers that
    died, and to a store that is away for a moment."""
    rows = {}

    def settled():
        with contextlib.suppress(AssertionError):
            rows.update(limits(portero, person))
            return all(row["open"] <= for_ever for row in rows.values())
        return False
    wait_until(settled, timeout, "all settled")
    return rows


def wait_used(portero, wanted, name, unit="messages", person="ana", timeout=5):
    """Nothing is open, and so much is charged. A settle that only makes a
    charge smaller may wait a moment for a ride."""
    row = {}

    def agrees():
        with contextlib.suppress(AssertionError):  # away for a moment
            row.update(limits(portero, person).get(
                (name, unit), {"used": 0, "open": 0}))
            return row["open"] == 0 and row["used"] == wanted
        return False
    try:
        wait_until(agrees, timeout)
    except AssertionError:
        raise AssertionError(f"{name} {unit}: wanted {wanted} used and none "
                             f"open, got {row}") from None


def is_whole(portero):
    """The store is up, and nothing is left to be charged."""
    done = portero.ctl("store", "status", "--json")
    lines = {line["name"]: line["value"]
             for line in json.loads(done.stdout)["store"]}
    return lines["state"].startswith("up") and \
        lines["to be charged"] == "0 messages"


# ---- many at once ----

def in_parallel(count, work, timeout=60):
    """[work(0), work(1), ...], all begun at the same moment."""
    barrier = threading.Barrier(count)
    results = [None] * count
    errors = []

    def run(i):
        try:
            barrier.wait(timeout)
            results[i] = work(i)
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
            barrier.abort()
    threads = [threading.Thread(target=run, args=(i,), daemon=True)
               for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), f"not done after {timeout} s"
    errors.sort(key=lambda e: isinstance(e, threading.BrokenBarrierError))
    if errors:
        raise errors[0]
    return results


@contextlib.contextmanager
def background(work):
    """work(stopping) runs in a thread until the block ends; its failure is
    the block's."""
    stopping = threading.Event()
    errors = []

    def run():
        try:
            work(stopping)
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(60)
    assert not thread.is_alive(), "the thread in the background hangs"
    if errors:
        raise errors[0]


def sockets_of(pid):
    """Sockets that a process has open."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    return count


def start_again(portero):
    """Starts one that ended; its log goes on behind the old one."""
    before = len(portero.events("ready"))
    portero.start()
    wait_until(lambda: len(portero.events("ready")) > before, 30, "start")


def kill_all(portero):
    """The power goes: the master and all workers at once."""
    pids = portero.all_pids()
    for pid in pids:  # none starts another one meanwhile
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    for pid in set(pids + portero.all_pids()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    portero.kill()
