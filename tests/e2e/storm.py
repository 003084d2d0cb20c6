# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Crowds that send on whatever happens, what makes it happen, and the books
that must balance afterwards.

There are three of them: what clients were told (Letters), what the upstream
accepted (the sink), and what the store charged (ledger.limits).
"""
import bisect
import contextlib
import itertools
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass

import client as smtp
import sink as upstream

PORTS = ["submissions", "submission"]
UNITS = ["messages", "recipients", "bytes"]


# ---- what makes things happen ----

def kill(pid, how=signal.SIGKILL):
    """Not if it has just died by another hand."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def killer(portero, roles, pause_s):
    """Kills one of the roles' processes at a time."""
    def run(stopping):
        while not stopping.is_set():
            pids = [pid for role in roles for pid in portero.pids(role)]
            if pids:
                kill(random.choice(pids))
            stopping.wait(random.uniform(0, 2 * pause_s))
    return run


def now_and_then(hows, spans, gap_s=(0.3, 1.2), long_s=(0.3, 0.7)):
    """Enters one of these contexts after the other, again and again; spans
    gets which it was, and from when to when it lasted."""
    def run(stopping):
        for how in itertools.cycle(hows):
            if stopping.wait(random.uniform(*gap_s)):
                return
            since = time.monotonic()
            with how():
                stopping.wait(random.uniform(*long_s))
                until = time.monotonic()
            spans.append((how, since, until))
    return run


def sometimes(share, action):
    """The action in that share of all cases."""
    def act(connection):
        if random.random() < share:
            return action(connection)
        return upstream.NORMAL
    return act


# ---- the load ----

@dataclass(frozen=True)
class Kind:
    """Who sends, and what."""
    user: str = "ana"
    recipients: int = 1
    lines: int = 20

    def body(self, number):
        return f"Subject: {number:06}\r\n\r\n".encode() + \
            b"text\r\n" * self.lines

    def amounts(self):
        """Of one message, at most."""
        return {"messages": 1, "recipients": self.recipients,
                "bytes": len(self.body(0))}


@dataclass
class Letter:
    kind: Kind
    begun_at: float
    reply: smtp.Reply = None  # the one that ended it
    ended_at: float = 0.0
    is_unknown: bool = False  # to its sender
    accepted: dict = None     # what of it, by the upstream


def canary(portero, letters):
    """How long the same takes on a host without limits, all the time: what
    the machine, the upstream and these tests need for it."""
    def run(stopping):
        while not stopping.is_set():
            with contextlib.suppress(OSError, smtp.Closed, AssertionError), \
                    portero.login() as client:
                for _ in range(30):
                    if stopping.wait(0.01):
                        return
                    smtp.pipelined(Stopwatch(client, letters.noises), [
                        "MAIL FROM:<ana@example.org>",
                        "RCPT TO:<r0@example.net>", "RSET"])
    return run


class Stopwatch:
    """A client, and from when to when it waited for each of its replies."""

    def __init__(self, client, waits):
        self.client = client
        self.waits = waits
        self.since = 0.0
        self.has_said_all = False

    def send(self, data):
        self.has_said_all = data.endswith(b"\r\n.\r\n")
        self.since = time.monotonic()
        self.client.send(data)

    def reply(self):
        reply = self.client.reply()
        self.waits.append((self.since, time.monotonic()))
        return reply


class Letters(dict):
    """Messages by their numbers, what their senders were told, and how long
    they waited for that."""

    def __init__(self):
        super().__init__()
        self.numbers = itertools.count(1)
        self.waits = []
        self.noises = []  # waits of canaries

    def send(self, client, play, kind=Kind()):
        """One message; the reply that ended it."""
        number = next(self.numbers)
        letter = self[number] = Letter(kind, time.monotonic())
        steps = [f"MAIL FROM:<{kind.user}@example.org>",
                 *[f"RCPT TO:<r{i}@example.net>"
                   for i in range(kind.recipients)],
                 "DATA", kind.body(number) + b".\r\n"]
        watched = Stopwatch(client, self.waits)
        try:
            replies = play(watched, steps)
        finally:
            letter.ended_at = time.monotonic()
            letter.is_unknown = watched.has_said_all
        letter.is_unknown = replies[-1].status == "451 4.4.2"
        letter.reply = replies[-1] if len(replies) == len(steps) else next(
            r for r in replies if r.code >= 400)
        return letter.reply

    def longest_wait_s(self, since, until):
        """Of those that touch this time: beyond what canaries needed
        meanwhile, who are few and so do not meet the worst of it."""
        noises = sorted((c, d) for c, d in self.noises
                        if c < until + 10 and d > since - 10)
        longest = max((d - c for c, d in noises), default=0)

        def beyond(a, b):
            first = bisect.bisect(noises, (a - longest,))
            last = bisect.bisect(noises, (b,))
            return b - a - 3 * max((d - c for c, d in noises[first:last]
                                    if d > a), default=0)
        return max((beyond(a, b) for a, b in self.waits
                    if a < until and b > since), default=0)

    def most_within(self, window_s, unit, kind):
        """What was accepted of letters of a kind that began and ended in the
        same window, whichever that was."""
        letters = [l for l in self.values()
                   if l.kind is kind and l.accepted and l.ended_at]
        if letters[-1].begun_at - letters[0].begun_at < window_s:
            return total(letters, unit)
        return max((sum(l.accepted[unit]
                        for l in itertools.takewhile(
                            lambda l: l.begun_at <= first.begun_at + window_s,
                            letters[i:])
                        if l.ended_at <= first.begun_at + window_s)
                    for i, first in enumerate(letters)))

    def of(self, test):
        return {number for number, letter in self.items() if test(letter)}


def send_on(portero, letters, i, may_go_on, kind=Kind(), pause_s=0):
    """Sends, and comes back after each loss. A refused connection is a
    failure: the sockets outlive the workers."""
    play = [smtp.lockstep, smtp.pipelined][i // 2 % 2]
    while may_go_on():
        try:
            with portero.login(kind.user, "s3cret", PORTS[i % 2]) as client:
                while may_go_on():
                    # not all in step
                    time.sleep(random.uniform(0, 2 * pause_s))
                    if letters.send(client, play, kind).code != 250:
                        time.sleep(0.01)
                        client.command("RSET")
        except ConnectionRefusedError:
            raise
        except (OSError, smtp.Closed, AssertionError):
            time.sleep(0.01)  # cut off, or told at login to come later


# ---- the books ----

def number_of(message):
    return int(message.body.split(b"\r\n")[0].split()[1])


def amounts_of(message):
    return {"messages": 1, "bytes": len(message.body),
            "recipients": len(message.recipients)}


def check_letters(letters, messages):
    """What was said is what happened. Returns the letters that may be charged
    without having been sent: nobody knows what became of them."""
    sent = Counter(map(number_of, messages))
    assert not [n for n, times in sent.items() if times > 1], "sent twice"
    sent = set(sent)
    accepted = letters.of(lambda l: l.reply and l.reply.code == 250)
    unknown = letters.of(lambda l: l.is_unknown)
    assert accepted <= sent, "said yes and did not send"
    assert sent <= accepted | unknown, "said no and sent"
    for message in messages:
        number = number_of(message)
        letter = letters[number]
        assert message.body == letter.kind.body(number), "sent half"
        letter.accepted = amounts_of(message)
    return [letters[number] for number in unknown - sent]


def total(letters, unit):
    """Of those that were accepted."""
    return sum(l.accepted[unit] for l in letters if l.accepted)
