# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Limits are exact: N means N, whoever asks at once, and what the upstream
refused costs nothing."""
import json
import re
import time
from datetime import datetime, timedelta, timezone

import pytest

import client as smtp
import sink as upstream
from harness import IS_ROOT, LONG, running, wait_until
from ledger import (BODY, LIMIT_TEXT, STORE, background, in_parallel,
                    kill_all, limit, limits, quota, sockets_of, start_again,
                    used, wait_settled, wait_used)
from sink import checked_sink

MAIL = "MAIL FROM:<ana@example.org>"
PLAYERS = [smtp.lockstep, smtp.pipelined]
PORTS = ["submissions", "submission"]


def letter(*to, body=BODY, parameters=""):
    """A dialogue of one message."""
    return [MAIL + parameters, *(f"RCPT TO:<{r}@example.net>" for r in to),
            "DATA", body + b".\r\n"]


def last(replies):
    """What became of the message: the first refusal, or the last reply."""
    return next((r for r in replies if r.code >= 400), replies[-1])


def until(reply):
    """The time in a refusal."""
    found = re.search(r"at (\d{4}-\d\d-\d\d \d\d:\d\d) UTC", reply.text)
    assert found, reply
    return datetime.strptime(found.group(1), "%Y-%m-%d %H:%M").replace(
        tzinfo=timezone.utc)


def assert_refused(reply, name, code=None, **values):
    """Refused by that limit, in a text that says what, how much and when."""
    found = LIMIT_TEXT.match(reply.text.split(" ", 1)[1])
    assert found and reply.sid, reply
    assert found["limit"] == name, reply
    assert code is None or reply.status == code, reply
    for key, value in values.items():
        assert found[key] == str(value), reply
    assert until(reply) > datetime.now(timezone.utc) - timedelta(seconds=1)


# ---- one limit, many connections ----

def crowd(portero, count, messages, user="ana", password="s3cret"):
    """Connections over both ports, logged in; then each sends its messages as
    fast as it can, every second one pipelining. All last replies."""
    clients = in_parallel(count, lambda i: portero.login(
        user, password, PORTS[i % 2], timeout=60))
    if IS_ROOT:  # nobody else may look into a worker
        workers = [sockets_of(pid) for pid in portero.pids("session")]
        assert min(workers) > 5 + count // 10, \
            f"the connections are not spread over the workers: {workers}"

    def work(i):
        with clients[i] as client:
            return [last(PLAYERS[i // 2 % 2](client, letter("bob")))
                    for _ in range(messages)]
    return [reply for replies in in_parallel(count, work) for reply in replies]


@pytest.mark.parametrize("user_limit", [7, 60, 151])
def test_n_means_n_for_fifty_connections(start, sink, user_limit):
    portero = start(session_workers=3, policy_workers=3,
                    **quota(limit("burst", "30m", messages=user_limit)))
    rounds = 20 if LONG else 3
    for i in range(rounds):
        before = len(sink.messages)
        replies = crowd(portero, 50, 3)
        accepted = [r for r in replies if r.code == 250]
        refused = [r for r in replies if r.code != 250]
        wanted = min(user_limit, 150)
        assert len(accepted) == len(sink.messages) - before == wanted
        for reply in refused:
            assert_refused(reply, "burst", "450 4.7.1", used=user_limit,
                           max=user_limit)
        wait_used(portero, wanted, "burst")
        assert len(portero.events("refusal", limit="burst")) == \
            (i + 1) * (150 - wanted)
        assert portero.ctl("limits", "reset", "ana").returncode == 0
    counters = portero.status()["counters"]
    assert counters["messages_accepted"] == len(sink.messages)
    assert counters["limit_refused"] == rounds * (150 - wanted)


def test_persons_do_not_share_a_limit(start, sink):
    users = {f"p{i}": f"secret-{i}" for i in range(10)}
    portero = start(users=users, session_workers=3,
                    **quota(limit("burst", "30m", messages=3)))

    def work(i):
        with portero.login(f"p{i % 10}", f"secret-{i % 10}",
                           PORTS[i % 2]) as client:
            return [last(smtp.pipelined(client, letter("bob"))).code
                    for _ in range(2)]
    codes = [code for some in in_parallel(30, work) for code in some]
    assert codes.count(250) == len(sink.messages) == 30
    for user in users:
        wait_used(portero, 3, "burst", person=user)


def test_a_shared_counter_is_exact_too(start, sink):
    users = {f"p{i}": (f"secret-{i}", "class=crew") for i in range(10)}
    portero = start(users=users, session_workers=3, policy_workers=3, **quota(
        limit("crew", "30m", messages=17, scope="class"),
        limit("own", "30m", messages=3)))

    def work(i):
        with portero.login(f"p{i % 10}", f"secret-{i % 10}",
                           PORTS[i % 2]) as client:
            return [last(smtp.pipelined(client, letter("bob")))
                    for _ in range(2)]
    replies = [reply for some in in_parallel(30, work) for reply in some]
    assert sum(r.code == 250 for r in replies) == len(sink.messages) == 17
    own = sum(used(portero, "own", person=user) for user in users)
    assert own == 17, "a refusal by the class's limit gives the person's back"


# ---- what the upstream refused ----

SHARED_USERS = {}


def person(name, *limits_given, **keys):
    """A user of the shared Portero."""
    text = ",".join([f"{k}={v}" for k, v in keys.items()] +
                    [f"limit={l}" for l in limits_given])
    SHARED_USERS[name] = ("s3cret", text)
    return name


@pytest.fixture(scope="module")
def site_sink():
    with checked_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def site(site_sink):
    """One Portero for many persons, each of whom has limits of a test's own.
    A class is a test."""
    options = quota(
        limit("one", "30m", messages=1, classes=["one"]),
        limit("rcpts", "30m", recipients=5, classes=["rcpts"]),
        limit("volume", "30m", bytes="10000", classes=["volume"]),
        limit("minute", "1m", messages=3, classes=["several"]),
        limit("day", "1d", messages=5, recipients=8, bytes="1M",
              classes=["several"]),
        limit("graded", "30m", messages=2, classes=["graded", "vip", "free",
                                                    "none"],
              class_={"vip": {"messages": 4},
                      "free": {"messages": "unlimited"},
                      "none": {"messages": 0}}),
        limit("roll", "2s", messages=2, classes=["roll"]),
        limit("daily", "1d", messages=1, classes=["replies", "mta"]),
        limit("hard", "1m", messages=1, classes=["hard"], reply="permanent"),
        limit("soft", "31d", messages=1, classes=["soft"], reply="temporary"),
        limit("watched", "1h", messages=1, classes=["watched"], monitor=True),
        queueing_classes=["mta"])
    with running(site_sink, users=SHARED_USERS, **options) as portero:
        yield portero


class Person:
    def __init__(self, portero, sink, name):
        self.portero = portero
        self.sink = sink
        self.name = name

    def login(self, listener="submissions"):
        return self.portero.login(self.name, "s3cret", listener)

    def limits(self):
        return limits(self.portero, self.name)

    def wait_used(self, wanted, name, unit="messages"):
        wait_used(self.portero, wanted, name, unit, self.name)

    def send(self, *to, player=smtp.pipelined, **options):
        """A connection and a message: what became of it."""
        with self.login() as client:
            return last(player(client, letter(*(to or ["bob"]), **options)))


@pytest.fixture
def one(site, site_sink, request):
    """The person whose name is the test's parameter."""
    site_sink.reset()
    name = request.param if hasattr(request, "param") else \
        request.node.callspec.params["name"]
    return Person(site, site_sink, name)


def persons(name, *limits_given, **keys):
    """Decorates a test with persons of its own, one each for a client that
    pipelines and one that does not."""
    table = []
    for i, player in enumerate(PLAYERS):
        who = person(f"{name}-{i}", *limits_given, **keys)
        table.append(pytest.param(who, player, id=player.__name__))
    return pytest.mark.parametrize("one,player", table, indirect=["one"])


REFUSALS = {
    "mail": upstream.reply("550 5.7.1 Not from you"),
    "rcpt": upstream.reply("550 5.1.1 No such user"),
    "data": upstream.reply("554 5.5.1 No"),
    "dot": upstream.reply("550 5.6.0 Refused"),
    "later": upstream.reply("451 4.3.0 Later"),
    "alert": upstream.reply("421 4.3.2 Closing"),
    "cut": upstream.close(),
}


@pytest.mark.parametrize("case", [
    "mail", "rcpt", "data", "dot", "dot later", "dot alert", "mail cut",
    "rcpt cut", "data cut"])
@persons("refused", **{"class": "one"})
def test_a_message_that_the_upstream_refuses_costs_nothing(one, player, case):
    step, _, what = case.partition(" ")
    one.portero.ctl("limits", "reset", one.name)
    with one.login() as client:
        for _ in range(3):
            one.sink.reset()
            one.sink.on(step, REFUSALS[what or step])
            reply = last(player(client, letter("bob")))
            assert reply.code >= 400 and "Limit" not in reply.text, reply
            client.expect(250, "RSET")
            assert not one.sink.messages
        one.wait_used(0, "one")
        one.sink.reset()
        assert last(player(client, letter("bob"))).code == 250
        assert_refused(last(player(client, letter("bob"))), "one", "450 4.7.1")
    assert len(one.sink.messages) == 1
    one.wait_used(1, "one")


@persons("lost", **{"class": "one"})
def test_a_message_lost_on_the_way_costs_nothing(one, player):
    with one.login() as client:
        one.sink.on("body", upstream.close())
        assert player(client, letter("bob")[:-1])[-1].code == 354
        client.send(BODY)
        way = one.sink.connections[one.sink.attempts[-1].connection]
        wait_until(lambda: way.over, 10, "the cut")
        client.send(b"and more\r\n.\r\n")
        assert client.reply().status == "451 4.4.2"
        one.wait_used(0, "one")
        one.sink.as_usual()
        assert last(player(client, letter("bob"))).code == 250
    one.wait_used(1, "one")


@persons("unknown", **{"class": "one"})
def test_a_message_of_unknown_outcome_stays_charged(one, player):
    one.sink.on("dot", upstream.close())
    reply = one.send(player=player)
    assert reply.status == "451 4.4.2", reply
    one.wait_used(1, "one")
    one.sink.as_usual()
    assert_refused(one.send(player=player), "one")


@persons("vanished", **{"class": "one"})
def test_a_client_that_gives_up_costs_nothing(one, player):
    """RSET, QUIT, EHLO, a lost connection: before DATA and in it."""
    for word in ("RSET", "EHLO x", "QUIT", None):
        with one.login() as client:
            replies = player(client, letter("bob")[:-2])
            assert all(r.code == 250 for r in replies)
            if word:
                client.command(word)
    for how in (lambda c: c.close(), lambda c: c.abort()):
        with one.login() as client:
            assert player(client, letter("bob")[:-1])[-1].code == 354
            client.send(b"Subject: never\r\n\r\n")
            how(client)
        one.wait_used(0, "one")
    assert not one.sink.messages
    assert one.send(player=player).code == 250


# ---- recipients ----

@persons("three-of-two", **{"class": "rcpts"})
def test_two_recipients_left_and_three_wanted(one, player):
    with one.login() as client:
        assert last(player(client, letter("a", "b", "c"))).code == 250
        replies = player(client, letter("d", "e", "f"))
        codes = [r.code for r in replies]
        assert codes == [250, 250, 250, 450, 354, 250]
        assert_refused(replies[3], "rcpts", "450 4.7.1", used=5, max=5,
                       unit=" recipients")
        told = one.portero.wait_event("refusal", user=one.name)
        assert (told["limit"], told["plugin"], told["used"], told["of"]) == \
            ("rcpts", "quota", "5", "5") and told["until"]
        assert told["rcpt"] == "f@example.net"
        # nothing is left: MAIL is no matter, the recipient is
        replies = player(client, letter("g"))
        assert [r.code for r in replies] == [250, 450, 554]
        assert_refused(replies[1], "rcpts", "450 4.7.1", used=5, max=5)
    got = [m.recipients for m in one.sink.messages]
    assert got == [["a@example.net", "b@example.net", "c@example.net"],
                   ["d@example.net", "e@example.net"]]
    one.wait_used(5, "rcpts", "recipients")


@persons("rcpt-refused", **{"class": "rcpts"})
def test_only_accepted_recipients_are_charged(one, player):
    one.sink.on("rcpt", upstream.reply("550 5.1.1 No such user"), match="nob")
    with one.login() as client:
        replies = player(client, letter("a", "nob1", "b", "nob2"))
        assert [r.code for r in replies] == [250, 250, 550, 250, 550, 354, 250]
    one.wait_used(2, "rcpts", "recipients")
    # those that were refused do not use up what the limit has left
    with one.login() as client:
        replies = player(client, letter("nob3", "c", "d", "e", "f"))
        codes = [r.code for r in replies]
        assert codes[:2] == [250, 550] and codes[-2:] == [354, 250]
        assert codes.count(450) == 1
    one.wait_used(5, "rcpts", "recipients")
    assert sum(len(m.recipients) for m in one.sink.messages) == 5


@persons("more-than-all", **{"class": "rcpts"})
def test_more_recipients_than_the_whole_limit(one, player):
    with one.login() as client:
        replies = player(client, letter(*"abcdefg"))
    assert [r.code for r in replies] == [250] + [250] * 5 + [450] * 2 + \
        [354, 250]
    one.wait_used(5, "rcpts", "recipients")


def test_recipients_are_exact_in_a_crowd(start, sink):
    portero = start(session_workers=2, policy_workers=2,
                    **quota(limit("rcpts", "30m", recipients=50)))

    def work(i):
        with portero.login("ana", "s3cret", PORTS[i % 2]) as client:
            return [PLAYERS[i % 2](client, letter("a", "b", "c"))
                    for _ in range(3)]
    in_parallel(20, work)
    got = sum(len(m.recipients) for m in sink.messages)
    # a message for three may be refused while two would have fitted
    assert 46 <= got <= 50
    wait_used(portero, got, "rcpts", "recipients")
    with portero.login() as client:
        replies = smtp.lockstep(client, letter(*"abcde"))
        assert sum(r.code == 250 for r in replies[1:6]) == 50 - got


# ---- bytes ----

def bulk(size):
    """A body of so many bytes on the wire, without the dot."""
    head = b"Subject: bulk\r\n\r\n"
    lines, rest = divmod(size - len(head) - 2, 72)
    return head + (b"y" * 70 + b"\r\n") * lines + b"z" * rest + b"\r\n"


@persons("size", **{"class": "volume"})
def test_bytes_are_counted(one, player):
    with one.login() as client:
        ok = letter("bob", body=bulk(6000), parameters=" SIZE=6000")
        assert last(player(client, ok)).code == 250
        one.wait_used(6000, "volume", "bytes")
        # told before the message is sent
        replies = player(client, ok)
        assert_refused(replies[0], "volume", "450 4.7.1", used="6000 bytes")
        assert replies[1].code == 503
        # told as soon as it is known
        reply = last(player(client, letter("bob", body=bulk(6000))))
        assert_refused(reply, "volume", "450 4.7.1", used="6000 bytes")
        one.wait_used(6000, "volume", "bytes")
        # exactly what is left fits, with and without a word before
        some = letter("bob", body=bulk(2000))
        assert last(player(client, some)).code == 250
        some = letter("bob", body=bulk(2000), parameters=" SIZE=2000")
        assert last(player(client, some)).code == 250
        one.wait_used(10000, "volume", "bytes")
        reply = last(player(client, letter("bob")))
        assert_refused(reply, "volume", used="10000 bytes")
    assert len(one.sink.messages) == 3
    assert sum(len(m.body) for m in one.sink.messages) == 10000


@persons("size-lies", **{"class": "volume"})
def test_a_declared_size_is_not_believed(one, player):
    with one.login() as client:
        # too low: the rest is taken at the end, if it is there
        low = letter("bob", body=bulk(4000), parameters=" SIZE=10")
        assert last(player(client, low)).code == 250
        one.wait_used(4000, "volume", "bytes")
        low = letter("bob", body=bulk(7000), parameters=" SIZE=10")
        assert_refused(last(player(client, low)), "volume")
        one.wait_used(4000, "volume", "bytes")
        # too high: what was not sent is given back
        high = letter("bob", body=bulk(1000), parameters=" SIZE=6000")
        assert last(player(client, high)).code == 250
        one.wait_used(5000, "volume", "bytes")
        # more than there ever is
        huge = letter("bob", parameters=" SIZE=10001")
        reply = player(client, huge)[0]
        assert reply.status == "550 5.7.1" and "too big for it" in reply.text
        assert "10001 bytes of at most 10000 bytes" in reply.text
    assert len(one.sink.messages) == 2


def test_bytes_are_exact_in_a_crowd(start, sink):
    portero = start(session_workers=2, policy_workers=2,
                    **quota(limit("volume", "30m", bytes="100000")))

    def work(i):
        size = 1000 + 37 * i
        told = ["", f" SIZE={size}", " SIZE=1"][i % 3]
        with portero.login("ana", "s3cret", PORTS[i % 2]) as client:
            return [last(PLAYERS[i % 2](client, letter(
                "bob", body=bulk(size), parameters=told))).code
                for _ in range(4)]
    codes = [code for some in in_parallel(30, work) for code in some]
    assert codes.count(250) == len(sink.messages)
    got = sum(len(m.body) for m in sink.messages)
    assert got <= 100000
    wait_used(portero, got, "volume", "bytes")
    with portero.login() as client:
        rest = letter("bob", body=bulk(100000 - got)) \
            if got < 99900 else letter("bob", body=b"")
        assert last(smtp.lockstep(client, rest)).code == 250


# ---- several limits ----

@persons("several", **{"class": "several"})
def test_several_windows_and_units_at_once(one, player):
    def row(name, unit):
        return one.limits()[name, unit]["used"]
    with one.login() as client:
        for to in ("abc", "d", "ef"):
            assert last(player(client, letter(*to))).code == 250
        # the minute's three are used; the day has charged nothing for this
        assert_refused(last(player(client, letter("g"))), "minute",
                       "450 4.7.1", used=3, max=3)
        wait_settled(one.portero, one.name)
        assert row("minute", "messages") == row("day", "messages") == 3
        assert row("day", "recipients") == 6
        assert row("day", "bytes") == 3 * len(BODY)
        # of the day's recipients 2 are left
        assert one.portero.ctl("limits", "reset", one.name).returncode == 0
        assert last(player(client, letter(*"abcdefgh"))).code == 250
        replies = player(client, letter("i"))
        assert_refused(replies[1], "day", "550 5.7.1", used=8, max=8,
                       unit=" recipients")
        one.wait_used(1, "minute")
        reply = last(player(client, letter("j", parameters=" SIZE=1048577")))
        assert "too big for it: 1048577 bytes of at most 1048576 bytes" in \
            reply.text
    assert len(one.sink.messages) == 4


# ---- whose number ----

GRADES = [
    ("graded", (), 2), ("vip", (), 4), ("free", (), 9), ("none", (), 0),
    ("graded", ("graded=3",), 3), ("vip", ("graded=1",), 1),
    ("graded", ("graded=unlimited",), 9), ("free", ("graded=2",), 2),
    ("vip", ("graded=0",), 0), ("graded", ("graded.messages=1",), 1),
    ("graded", ("graded=1", "graded.messages=3"), 3),
    ("graded", ("other=1",), 2), ("nobody-in-particular", (), 9)]
TABLE = [(person(f"grade-{i}", *own, **{"class": cls}), count)
         for i, (cls, own, count) in enumerate(GRADES)]


@pytest.mark.parametrize("one,count", TABLE, indirect=["one"],
                         ids=[f"{c}-{'-'.join(o)}" for c, o, _ in GRADES])
def test_the_person_before_the_class_before_the_limit(one, count):
    with one.login() as client:
        replies = [last(smtp.pipelined(client, letter("bob")))
                   for _ in range(6)]
    assert [r.code for r in replies] == \
        ([250] * count + [450 if count else 550] * 6)[:6]
    if count == 0:
        assert "you may not send mail" in replies[0].text
        assert replies[0].status == "550 5.7.1"
    elif count < 6:
        assert_refused(replies[-1], "graded", used=count, max=count)
    assert len(one.sink.messages) == min(count, 6)


def test_unlimited_is_counted_all_the_same(site, site_sink):
    name = TABLE[2][0]
    site_sink.reset()
    site.ctl("limits", "reset", name)
    Person(site, site_sink, name).send()
    wait_settled(site, name)
    row = limits(site, name)["graded", "messages"]
    assert row["used"] == 1 and row["max"] is None
    assert "unlimited" in site.ctl("limits", "show", name).stdout


# ---- time ----

@persons("roll", **{"class": "roll"})
def test_a_window_slides(one, player):
    """Never more than two in two seconds; and soon after, two again."""
    sent = []  # before a message and after its reply
    deadline = time.monotonic() + (30 if LONG else 4.5)
    with one.login() as client:
        while time.monotonic() < deadline:
            before = time.monotonic()
            reply = last(player(client, letter("bob")))
            if reply.code == 250:
                sent.append((before, time.monotonic()))
            else:
                assert_refused(reply, "roll", "450 4.7.1")
                time.sleep(0.01)
    assert len(sent) == len(one.sink.messages)
    for earlier, later in zip(sent, sent[2:]):
        assert later[1] - earlier[0] >= 2
        assert later[0] - earlier[1] < 3.5, "the window does not move on"


KINDS = [("daily", "replies", "550 5.7.1", timedelta(days=1)),
         ("daily", "mta", "450 4.7.1", timedelta(days=1)),
         ("hard", "hard", "550 5.7.1", timedelta(minutes=1)),
         ("soft", "soft", "450 4.7.1", timedelta(days=31))]


@pytest.mark.parametrize(
    "one,name,status,window",
    [(person(f"kind-{c}", **{"class": c}), n, s, w) for n, c, s, w in KINDS],
    indirect=["one"], ids=[c for _, c, _, _ in KINDS])
def test_the_reply_says_whether_and_when_to_come_again(one, name, status,
                                                      window):
    start_at = datetime.now(timezone.utc)
    assert one.send().code == 250
    reply = one.send()
    assert_refused(reply, name, status, used=1, max=1, unit=" messages")
    # the oldest part of a window counts whole; told to the minute
    assert window <= until(reply) - start_at <= \
        window * 61 / 60 + timedelta(seconds=70)


# ---- the operator ----

@persons("shown", **{"class": "several"})
def test_limits_show_and_reset(one, player):
    portero = one.portero
    assert one.limits() == {}
    assert portero.ctl("limits", "show", one.name).returncode == 4
    with one.login() as client:
        assert player(client, letter(*"ab")[:-1])[-1].code == 354
        # on its way: charged and open
        rows = one.limits()
        assert {(k, r["used"], r["open"], r["max"], r["window_s"])
                for k, r in rows.items()} == {
            (("minute", "messages"), 1, 1, 3, 60),
            (("day", "messages"), 1, 1, 5, 86400),
            (("day", "recipients"), 2, 1, 8, 86400),
            (("day", "bytes"), 0, 1, 1048576, 86400)}
        client.send(BODY + b".\r\n")
        assert client.reply().code == 250
        rows = wait_settled(portero, one.name)
        one.wait_used(len(BODY), "day", "bytes")
        free_at = datetime.fromisoformat(
            rows["minute", "messages"]["free_at"].replace("Z", "+00:00"))
        wait = free_at - datetime.now(timezone.utc)
        assert timedelta(seconds=30) < wait < timedelta(seconds=75)
        text = portero.ctl("limits", "show", one.name).stdout.splitlines()
        assert text[0].split() == ["LIMIT", "USED", "MAX", "UNIT", "WINDOW",
                                   "ALL", "FREE", "AT"]
        assert sorted(l.split()[:4] for l in text[1:]) == sorted([
            ["day", "1", "5", "messages"], ["day", "2", "8", "recipients"],
            ["day", str(len(BODY)), "1048576", "bytes"],
            ["minute", "1", "3", "messages"]])
        # a reset forgets what was used, and what is on its way is settled
        # without harm
        assert player(client, letter("c")[:-1])[-1].code == 354
        done = portero.ctl("limits", "reset", one.name)
        assert (done.returncode, done.stdout) == (0, "reset\n")
        client.send(BODY + b".\r\n")
        assert client.reply().code == 250
        wait_settled(portero, one.name)
        assert used(portero, "minute", person=one.name) in (0, 1)
        assert last(player(client, letter("d"))).code == 250
    assert portero.events("control", verb="limits reset"), "a reset is logged"


def test_an_unknown_person_is_told_apart(site):
    done = site.ctl("limits", "show", "nobody-here")
    assert done.returncode == 4 and "nobody-here" in done.stderr
    assert site.ctl("limits", "reset", "nobody-here").returncode in (0, 4)


def test_who_is_nearest_to_a_limit_is_shown_and_warned_of(start):
    users = {name: "s3cret" for name in ("ana", "bob", "eve")}
    portero = start(users=users, **quota(limit("day", "1d", messages=5)))
    for name, count in (("ana", 3), ("bob", 5), ("eve", 1)):
        with portero.login(name) as client:
            for _ in range(count):
                assert client.send_message().code == 250
        wait_used(portero, count, "day", person=name)
    done = portero.ctl("limits", "top", "--json")
    assert [(row["person"], row["used"], row["max"])
            for row in json.loads(done.stdout)["limits"]] == [
                ("bob", 5, 5), ("ana", 3, 5), ("eve", 1, 5)]
    assert portero.ctl("limits", "top").stdout.split("\n")[1].split()[:4] == [
        "bob", "day", "5", "5"]
    assert [(e["user"], e["percent"], e["used"], e["of"])
            for e in portero.events("limit")] == [
                ("bob", "80", "4", "5"), ("bob", "100", "5", "5")]
    assert "entries" in portero.ctl("store", "status").stdout


def test_what_does_nothing_with_this_store_is_named(start):
    portero = start(store={**STORE, "hosts": 2}, policy=quota(
        limit("day", "1d", messages=5))["policy"])
    assert "hosts does nothing with store_memory" in portero.log_text()


# ---- memory that stays ----

def test_counters_survive_a_restart(start, sink):
    portero = start(**quota(limit("day", "1d", messages=5),
                            limit("hour", "1h", recipients=20)))
    with portero.login() as client:
        for _ in range(3):
            assert last(smtp.pipelined(client, letter(*"ab"))).code == 250
    rows = wait_settled(portero)
    portero.stop()
    start_again(portero)
    assert limits(portero) == rows
    with portero.login() as client:
        for _ in range(2):
            assert last(smtp.pipelined(client, letter(*"ab"))).code == 250
        assert_refused(last(smtp.pipelined(client, letter("a"))), "day",
                       used=5, max=5)
    assert len(sink.messages) == 5


def test_counters_survive_the_death_of_everything(start, sink):
    """Also in the midst of takes and settles; what was open stays charged."""
    portero = start(**quota(limit("day", "1d", messages=1000)))
    portero.may_crash = True

    def load(stopping):
        while not stopping.is_set():
            try:
                with portero.login() as client:
                    while not stopping.is_set():
                        smtp.pipelined(client, letter("a"))
            except (OSError, smtp.Closed, AssertionError):
                time.sleep(0.05)  # it is away
    for i in range(1, 7 if LONG else 3):
        with background(load), background(load), background(load):
            have = len(sink.messages)
            sink.wait_messages(have + 20)
            kill_all(portero)
        wait_until(lambda: not sink.open_connections(), 10, "end of upstream")
        start_again(portero)
        row = limits(portero)["day", "messages"]
        # at each death each client had at most one message on its way
        assert 0 <= row["used"] - len(sink.messages) <= min(3 * i, row["open"])
    # those that nobody can settle any more are only charged
    portero.ctl("limits", "reset", "ana")
    with portero.login() as client:
        assert last(smtp.pipelined(client, letter("a"))).code == 250
    wait_until(lambda: used(portero, "day") == 1)


# ---- only looking ----

@persons("watched", **{"class": "watched"})
def test_a_limit_that_only_watches(one, player):
    before = one.portero.status()["counters"]["monitor_denied"]
    for _ in range(3):
        assert one.send(player=player).code == 250
    one.wait_used(3, "watched")
    lines = one.portero.events("monitor", limit="watched", user=one.name)
    assert len(lines) == 2
    assert lines[0]["verdict"] == "deny" and lines[0]["of"] == "1"
    counters = one.portero.status()["counters"]
    assert counters["monitor_denied"] == before + 2


def test_a_policy_that_only_watches(start, sink):
    """Its limits refuse nothing, and do not get in the way of real ones. It
    counts after the answer: with several workers the end of a message may
    come before its beginning, and the trial then misses it."""
    real = quota(limit("day", "1d", messages=3))
    watching = quota(limit("day", "1d", messages=1, recipients=2),
                     title="trial", mode="monitor")
    portero = start(store=real["store"], policy_workers=1,
                    policy=real["policy"] + watching["policy"])
    for player in PLAYERS:
        sink.reset()
        for name in "ana", "ana (monitor)":
            assert portero.ctl("limits", "reset", name).returncode == 0
        with portero.login() as client:
            codes = [last(player(client, letter("bob"))).code
                     for _ in range(4)]
        assert codes == [250] * 3 + [550]
        wait_used(portero, 3, "day")
        rows = limits(portero, "ana (monitor)")
        assert rows["day", "messages"]["used"] == 3
        assert rows["day", "messages"]["max"] == 1
    lines = portero.events("monitor", plugin="trial")
    assert [l["limit"] for l in lines] == ["day"] * 4
    assert portero.status()["counters"]["monitor_denied"] == 4


# ---- a failing store ----

def test_a_full_store_lets_nothing_pass(start, sink):
    """Its memory full of live counters is a failure, never a way around."""
    users = {f"p{i:04}": ("s3cret", "class=crowd") for i in range(300)}
    names = [f"l{i:02}" for i in range(8)]
    portero = start(users=users, store={"plugin": "store_memory",
                                        "entries": 1024},
                    policy=quota(*(limit(n, "31d", messages=5)
                                   for n in names))["policy"])

    def work(i):
        codes = []
        for user in list(users)[i::10]:
            with portero.login(user) as client:
                reply = last(smtp.pipelined(client, letter("bob")))
                codes.append(reply.status)
        return codes
    got = [status for some in in_parallel(10, work) for status in some]
    accepted = [s for s in got if s.startswith("250")]
    assert len(accepted) == len(sink.messages) > 50
    refused = [s for s in got if not s.startswith("250")]
    assert len(refused) > 50 and set(refused) == {"451 4.7.0"}
    assert "no room for another record" in portero.log_text()
