# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy is told of a transaction's end, also of one that never came to
DATA: a rule can count who only asks which addresses there are."""
import pytest

import sink as upstream
from client import lockstep, pipelined
from harness import Section, running, wait_until
from sink import checked_sink

M = "MAIL FROM:<ana@example.org>"
GOOD = "RCPT TO:<bob@example.net>"
BAD = "RCPT TO:<unknown@example.net>"
BODY = b"Subject: test\r\n\r\ntext\r\n.\r\n"

ACCEPTED, REFUSED, LOST = 1, 2, 3


@pytest.fixture(scope="module")
def world():
    with checked_sink() as sink, running(sink, policy=[
            Section("told", plugin="outcome_policy")]) as portero:
        sink.on("rcpt", upstream.reply("550 5.1.1 No such user"),
                match="unknown")
        yield sink, portero


def told(portero, sid):
    """What the policy logged of this session."""
    return [line for line in portero.log_text().splitlines()
            if sid in line and "refused" in line and "abandoned" in line]


CASES = {
    "RSET": ([M, BAD, BAD, "RSET"], LOST, 0, 2, True),
    "QUIT": ([M, GOOD, BAD, "QUIT"], LOST, 1, 1, True),
    "EHLO": ([M, BAD, "EHLO client.example.test"], LOST, 0, 1, True),
    "no word": ([M, BAD], LOST, 0, 1, True),
    "DATA without a good one": ([M, BAD, "DATA"], LOST, 0, 1, False),
    "a message all the same": ([M, GOOD, BAD, "DATA", BODY], ACCEPTED, 1, 1,
                               False),
}


@pytest.mark.parametrize("steps, outcome, accepted, refused, abandoned",
                         CASES.values(), ids=CASES)
@pytest.mark.parametrize("pipelines", [False, True])
def test_probing_is_told(world, pipelines, steps, outcome, accepted, refused,
                         abandoned):
    _, portero = world
    with portero.login() as client:
        sid = client.greeting.text[-9:-1]
        (pipelined if pipelines else lockstep)(client, steps)
    want = f"outcome {outcome} accepted {accepted} refused {refused} " \
        f"abandoned {int(abandoned)}"
    wait_until(lambda: any(want in line for line in told(portero, sid)),
               what=want)


def test_who_meets_no_refusal_is_not_reported(world):
    _, portero = world
    with portero.login() as client:
        sid = client.greeting.text[-9:-1]
        for line in (M, GOOD, "RSET", "QUIT"):
            client.command(line)
    portero.wait_event("session", s=sid)
    assert not told(portero, sid)
