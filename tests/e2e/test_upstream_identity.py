# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Who is behind a message: what a real Postfix writes in its log about it, and
that nothing of one person's transaction reaches another's."""
import re

import pytest

import harness
import postfix
import sink as upstream
from harness import Section, free_port, wait_until

needs_postfix = pytest.mark.skipif(postfix.why_not() is not None,
                                   reason=str(postfix.why_not()))
FROM_AFAR = b"PROXY TCP4 198.51.100.7 127.0.0.1 40000 465\r\n"
TRUST = """
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_authorized_xclient_hosts = 127.0.0.0/8
"""


def towards(server):
    return {"hosts": [f"127.0.0.1:{server.port}"], "tls": "none"}


def send(portero, user="ana", count=1, **options):
    """Sends so many messages; their queue ids."""
    replies = []
    with portero.login(user, harness.USERS[user], **options) as client:
        for _ in range(count):
            replies.append(client.send_message(sender=f"{user}@example.org"))
            assert replies[-1].code == 250, replies[-1]
    return [re.search(r"queued as (\w+)", str(r)).group(1) for r in replies]


def logged(server, queue_id):
    """What Postfix's smtpd says of the client of that message."""
    pattern = re.compile(rf"smtpd\[\d+\]: {queue_id}: client=(.*)")
    return wait_until(lambda: pattern.search(server.says()), 10,
                      f"{queue_id} in the log").group(1)


@pytest.fixture
def balanced(start):
    """Clients come from elsewhere, as a load balancer says."""
    def begin(server, **options):
        return start(upstream={**towards(server), **options},
                     session_workers=1, listen=[
            Section("submissions", address=["127.0.0.1"], port=free_port(),
                    tls="implicit", proxy="required",
                    proxy_from=["127.0.0.0/8"])])
    return begin


@needs_postfix
def test_postfix_logs_client_and_login(balanced):
    with postfix.running(TRUST) as server:
        portero = balanced(server)
        for user in ("ana", "luis", "ana"):
            for queue_id in send(portero, user, 2, first=FROM_AFAR):
                line = logged(server, queue_id)
                assert f"sasl_username={user}" in line, line
                assert "orig_client=unknown[198.51.100.7]" in line, line


@needs_postfix
def test_postfix_believes_to_talk_to_the_client(balanced):
    networks = "mynetworks = 127.0.0.0/8 198.51.100.7\n"
    with postfix.running(TRUST + networks) as server:
        portero = balanced(server, xclient="address")
        for queue_id in send(portero, count=2, first=FROM_AFAR):
            line = logged(server, queue_id)
            assert line.startswith("unknown[198.51.100.7]"), line
            assert "sasl_username=ana" in line, line
        # no connection is used for two messages
        alone = re.compile(r"smtpd.*: disconnect from .* mail=1 ")
        wait_until(lambda: len(alone.findall(server.says())) == 2, 10,
                   "two connections with a message each")


@needs_postfix
def test_postfix_that_does_not_trust_us_gets_the_mail(start):
    with postfix.running() as server:
        portero = start(upstream=towards(server))
        queue_id, = send(portero)
        assert "sasl_username" not in logged(server, queue_id)


# ---- one person's transaction and the next person's ----

@pytest.mark.parametrize("step", ["rcpt", "data", "dot"])
def test_refused_transaction_leaves_nothing_to_the_next(start, sink, step):
    """One connection, two people; the first one's message is refused."""
    portero = start(session_workers=1)
    sink.on(step, upstream.reply("550 5.7.1 No"), 1)
    with portero.login("ana") as ana, \
            portero.login("luis", harness.USERS["luis"]) as luis:
        assert ana.send_message(sender="ana@example.org",
                                to=["secret@example.net"],
                                body=b"for one only\r\n").code // 100 == 5
        assert luis.send_message(sender="luis@example.org",
                                 to=["bob@example.net"],
                                 body=b"for another\r\n").code == 250
    message, = sink.messages
    assert message.sender == "luis@example.org"
    assert message.recipients == ["bob@example.net"]
    assert b"for one only" not in message.wire


def test_answers_that_come_late_are_nobody_elses(start, sink):
    """An upstream that answers the dot twice: the second answer is not that
    to the next person's MAIL."""
    portero = start(session_workers=1)
    sink.on("dot", upstream.usual_and(b"550 5.7.1 And another\r\n"), 1)
    with portero.login("ana") as ana, \
            portero.login("luis", harness.USERS["luis"]) as luis:
        assert ana.send_message(sender="ana@example.org").code == 250
        assert luis.send_message(sender="luis@example.org").code == 250
    assert [m.sender for m in sink.messages] == ["ana@example.org",
                                                 "luis@example.org"]
