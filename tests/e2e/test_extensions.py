# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""What EHLO offers, and the parameters that come with it, before an upstream
that has them all and before one that has none; each dialogue is played by a
client that waits for every reply and by one that does not."""
import pytest

from client import bdat, lockstep, pipelined
from harness import Section, certificates, free_port, running
from sink import checked_sink

M = "MAIL FROM:<ana@example.org>"
R = "RCPT TO:<bob@example.net>"
BODY = b"Subject: test\r\n\r\ntext\r\n.\r\n"
ALL = ("SMTPUTF8", "DSN", "AUTH PLAIN")


@pytest.fixture(scope="module")
def full():
    with checked_sink(extra=ALL, chunking=True) as sink, \
            running(sink) as portero:
        yield sink, portero


@pytest.fixture(scope="module")
def bare():
    with checked_sink(pipelining=False, size=None, eightbit=False,
                      enhanced=False) as sink, running(sink) as portero:
        yield sink, portero


def play(world, steps, want):
    """The messages of both clients; the replies must be the wanted ones."""
    sink, portero = world
    played = []
    for runner in (lockstep, pipelined):
        sink.reset()
        with portero.login() as client:
            replies = runner(client, steps)
        got = [r.code if isinstance(w, int) else r.status
               for r, w in zip(replies, want)]
        assert got == want, "\n".join(map(str, replies))
        played.append(([r.plain() for r in replies], list(sink.messages)))
    assert played[0][0] == played[1][0]
    assert [(m.sender, m.recipients, m.body) for m in played[0][1]] == \
        [(m.sender, m.recipients, m.body) for m in played[1][1]]
    return played[0][1]


def send(world, mail="", rcpt="", sender=M, recipient=R):
    """What went up of one message with these parameters."""
    message, = play(world, [sender + mail, recipient + rcpt, "DATA", BODY],
                    [250, 250, 354, 250])
    return message


# ---- EHLO ----

def test_ehlo_offers_what_the_upstream_has(full):
    _, portero = full
    with portero.login() as client:
        offers = client.ehlo()
    assert set(offers) == {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN",
                           "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES", "HELP"}
    assert offers["LIMITS"] == "RCPTMAX=1000"


def test_ehlo_offers_no_more_than_the_upstream_has(bare):
    _, portero = bare
    with portero.login() as client:
        offers = client.ehlo()
    assert set(offers) == {"PIPELINING", "SIZE", "CHUNKING", "LIMITS",
                           "ENHANCEDSTATUSCODES", "HELP"}


def test_ehlo_before_tls_offers_no_login(full):
    _, portero = full
    with portero.connect("submission") as client:
        offers = client.ehlo()
        assert "STARTTLS" in offers and "AUTH" not in offers
        assert "REQUIRETLS" not in offers
    with portero.secure() as client:
        offers = client.ehlo()
        assert offers["AUTH"] == "PLAIN LOGIN" and "STARTTLS" not in offers


def test_a_listener_hides_what_its_clients_cannot_do():
    hidden = ["CHUNKING", "dsn", "PIPELINING", "8BITMIME", "LIMITS"]
    with checked_sink(extra=ALL) as sink, running(
            sink, listen=[Section("submissions", address=["127.0.0.1"],
                                  port=free_port(), tls="implicit",
                                  hide=hidden)]) as portero:
        with portero.login() as client:
            offers = client.ehlo()
            assert set(offers) == {"SIZE", "ENHANCEDSTATUSCODES", "HELP"}
            client.expect("555 5.5.4", M + " RET=FULL")
            client.expect("555 5.5.4", M + " BODY=8BITMIME")
            client.expect(250, M)
            client.expect("555 5.5.4", R + " NOTIFY=NEVER")
            client.expect("502 5.5.1", "BDAT 5")
            client.expect(250, "RSET")
            client.send(b"BDAT 6 LAST\r\nQUIT\r\n")
            assert client.reply().status == "502 5.5.1"
            assert client.is_closed()


def test_after_helo_there_are_no_parameters(full):
    _, portero = full
    with portero.login() as client:
        client.expect(250, "HELO client.example.test")
        client.expect("555 5.5.4", M + " SIZE=5")
        client.expect("502 5.5.1", "BDAT 5")
        assert client.send_message().code == 250


# ---- DSN (RFC 3461) ----

def test_dsn_is_passed(full):
    message = send(full, " ret=hdrs ENVID=Q+2B7",
                   " NOTIFY=delay,SUCCESS ORCPT=rfc822;bob+2Bx@example.net")
    assert "RET=HDRS ENVID=Q+2B7" in message.parameters
    assert message.rcpt_parameters == [
        "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@example.net"]


def test_dsn_is_read_strictly(full):
    play(full, [M + " RET=ALL", M + " ENVID=a+0Ab", M + " RET=FULL RET=FULL",
                M, R + " NOTIFY=NEVER,DELAY", R + " ORCPT=bob@example.net",
                R + " ORCPT=rfc822;a+0D+0AQUIT", "RSET"],
         ["501 5.5.4"] * 3 + [250] + ["501 5.5.4"] * 3 + [250])


def test_dsn_is_unknown_where_the_upstream_lacks_it(bare):
    play(bare, [M + " RET=FULL", M + " ENVID=a", M, R + " NOTIFY=NEVER",
                R + " ORCPT=rfc822;a@b", "RSET"],
         ["555 5.5.4"] * 2 + [250] + ["555 5.5.4"] * 2 + [250])


# ---- SMTPUTF8 (RFC 6531) ----

def test_smtputf8_is_passed(full):
    message = send(full, " SMTPUTF8", sender="MAIL FROM:<añá@ejemplo.example>",
                   recipient="RCPT TO:<ñandú@correo.example>")
    assert message.sender == "añá@ejemplo.example"
    assert message.recipients == ["ñandú@correo.example"]
    assert "SMTPUTF8" in message.parameters.split()
    assert "with UTF8SMTPSA" in message.trace


def test_internationalized_addresses_need_smtputf8(full):
    play(full, ["MAIL FROM:<añ@example.org>", M, "RCPT TO:<ñ@example.net>", R,
                "DATA", BODY],
         ["553 5.6.7", 250, "553 5.6.7", 250, 354, 250])


def test_a_refused_smtputf8_transaction_leaves_nothing(full):
    sink, _ = full
    play(full, ["MAIL FROM:<añ@example.org> SMTPUTF8 X=1",
                "RCPT TO:<ñ@example.net>", M + " SMTPUTF8=1", "RSET"],
         ["555 5.5.4", "503 5.5.1", "501 5.5.4", 250])


def test_smtputf8_is_unknown_where_the_upstream_lacks_it(bare):
    play(bare, ["MAIL FROM:<añ@example.org> SMTPUTF8", M + " SMTPUTF8"],
         ["555 5.5.4"] * 2)


# ---- 8BITMIME, SIZE, AUTH= ----

def test_8bitmime_and_size_are_passed(full):
    assert send(full, " BODY=8BITMIME SIZE=1000").parameters.split()[:2] == \
        ["SIZE=2280", "BODY=8BITMIME"]


def test_size_beyond_what_is_offered_is_refused_at_mail(full):
    _, portero = full
    with portero.login() as client:
        offered = int(client.ehlo()["SIZE"])
    play(full, [f"{M} SIZE={offered + 1}", f"{M} SIZE=99999999999999999999",
                f"{M} SIZE={offered}"], ["552 5.3.4", "552 5.3.4", 250])


def test_8bitmime_is_unknown_where_the_upstream_lacks_it(bare):
    play(bare, [M + " BODY=8BITMIME"], ["555 5.5.4"])


def test_binarymime_is_not_offered(full):
    play(full, [M + " BODY=BINARYMIME", "NOOP"], ["501 5.5.4", 250])


@pytest.mark.parametrize("said, up", [
    ("", []), (" AUTH=ana", ["AUTH=ana"]), (" AUTH=+61na", ["AUTH=+61na"]),
    (" AUTH=<>", ["AUTH=<>"]), (" AUTH=boss@example.org", ["AUTH=<>"])])
def test_auth_goes_up_for_the_own_identity_only(full, said, up):
    parameters = send(full, said).parameters.split()
    assert [p for p in parameters if p.startswith("AUTH=")] == up


def test_auth_is_not_said_to_an_upstream_without_login(bare):
    assert "AUTH" not in send(bare, " AUTH=ana").parameters


def test_auth_must_be_xtext(full):
    play(full, [M + " AUTH=a+3d", M + " AUTH=", M + " AUTH=<> AUTH=<>"],
         ["501 5.5.4"] * 3)


# ---- LIMITS (RFC 9422) ----

def test_the_upstreams_limits_are_ours():
    with checked_sink(extra=["LIMITS RCPTMAX=2 MAILMAX=3"]) as sink, \
            running(sink, session_workers=1) as portero:
        with portero.login() as client:
            assert client.ehlo()["LIMITS"] == "RCPTMAX=2"
        play((sink, portero), [M, R, R, R, "DATA", BODY],
             [250, 250, 250, "452 4.5.3", 354, 250])
        with portero.login() as client:
            for _ in range(10):
                assert client.send_message().code == 250
        for connection in sink.connections:
            mails = [c for c in connection.commands if c.startswith("MAIL")]
            assert len(mails) <= 3


# ---- REQUIRETLS (RFC 8689) ----

@pytest.mark.parametrize("verified", [True, False])
def test_requiretls_over_verified_tls_only(verified):
    certs = certificates()
    with checked_sink(extra=["REQUIRETLS"],
                      tls=certs.server_context("mx")) as sink, \
            running(sink, upstream={
                "tls": "starttls", "verify": verified,
                "ca_file": str(certs.ca),
                "tls_name": "mx.example.test"}) as portero:
        with portero.login() as client:
            assert ("REQUIRETLS" in client.ehlo()) == verified
        if verified:
            message = send((sink, portero), " REQUIRETLS")
            assert message.tls and "REQUIRETLS" in message.parameters
        else:
            play((sink, portero), [M + " REQUIRETLS"], ["555 5.5.4"])


def test_requiretls_is_not_offered_without_tls():
    with checked_sink(extra=["REQUIRETLS"]) as sink, running(sink) as portero:
        with portero.login() as client:
            assert "REQUIRETLS" not in client.ehlo()
            client.expect("555 5.5.4", M + " REQUIRETLS")


# ---- an upstream that forgets what it offered ----

@pytest.fixture
def forgetful():
    """An upstream that has all, with a session open and told so."""
    certs = certificates()
    with checked_sink(extra=("SMTPUTF8", "DSN", "REQUIRETLS"), chunking=True,
                      tls=certs.server_context("mx")) as sink, \
            running(sink, upstream={
                "tls": "starttls", "ca_file": str(certs.ca),
                "tls_name": "mx.example.test"}) as portero:
        with portero.login() as client:
            assert {"8BITMIME", "CHUNKING", "DSN", "REQUIRETLS",
                    "SMTPUTF8"} <= set(client.ehlo())
            sink.extra = []
            sink.eightbit = sink.chunking = False
            yield sink, client


@pytest.mark.parametrize("runner", [lockstep, pipelined])
@pytest.mark.parametrize("mail, rcpt, refused", [
    (" RET=FULL", "", 0), (" ENVID=a", "", 0), (" SMTPUTF8", "", 0),
    (" REQUIRETLS", "", 0), (" BODY=8BITMIME", "", 0),
    ("", " NOTIFY=NEVER", 2), ("", " ORCPT=rfc822;bob@example.net", 2)])
def test_what_the_upstream_no_longer_offers_is_not_left_out(
        forgetful, runner, mail, rcpt, refused):
    """A recipient's parameters count from MAIL on for a client that pipelines,
    and where they are said for one that does not."""
    sink, client = forgetful
    if runner == pipelined:
        refused = 0
    replies = runner(client, [M + mail, R, R + rcpt, "DATA", BODY])
    assert [reply.code for reply in replies[:refused]] == [250] * refused
    assert replies[refused].status == "451 4.4.1"
    assert {reply.status for reply in replies[refused + 1:]} == {"503 5.5.1"}
    assert client.send_message().code == 250
    assert len(sink.messages) == 1


def test_a_recipient_in_a_later_group_cannot_have_it_either(forgetful):
    sink, client = forgetful
    replies = pipelined(client, [M, R, "NOOP", R + " NOTIFY=NEVER", "DATA"])
    assert [reply.code for reply in replies] == [250, 250, 250, 451, 503]
    assert client.send_message().code == 250
    assert len(sink.messages) == 1


@pytest.mark.parametrize("runner", [lockstep, pipelined])
def test_chunks_go_to_an_upstream_that_no_longer_takes_them(forgetful, runner):
    sink, client = forgetful
    text = b"Subject: test\r\n\r\n.text\r\n"
    assert [reply.code for reply in runner(client, [
        M, R, bdat(text[:9]), bdat(text[9:], last=True)])] == [250] * 4
    assert sink.messages[0].body.endswith(text[9:])


# ---- what every session has ----

@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\rQUIT\r\n", b"NO\nOP\r\n"])
def test_a_command_with_a_bare_newline_is_the_last(full, line):
    _, portero = full
    with portero.login() as client:
        client.send(line + b"MAIL FROM:<ana@example.org>\r\n")
        assert client.reply().code == 500
        if line.count(b"\n") > line.count(b"\r\n"):
            assert client.is_closed()
        else:  # a CR inside a line is only a wrong character
            assert client.reply().code == 250


def test_quit_is_the_last_word(full):
    _, portero = full
    with portero.login() as client:
        client.expect("221 2.0.0", "QUIT")
        assert client.is_closed()


# ---- SIZE of a person ----

def test_size_after_the_login_is_the_persons_own():
    with checked_sink() as sink, running(sink, policy=[
            Section("size", plugin="policy_size", max="1M")]) as portero:
        with portero.secure() as client:
            everybodys = int(client.ehlo()["SIZE"])
            assert everybodys > 1 << 20
            assert client.auth_plain("ana", "s3cret").code == 235
            assert int(client.ehlo()["SIZE"]) == 1 << 20
            client.expect("250 2.1.0", M + f" SIZE={1 << 20}")
            # what follows is heard after the answer, whatever it waits for
            client.send(b"EHLO client.example.test\r\nNOOP\r\n")
            assert "SIZE 1048576" in client.reply().lines
            assert client.reply().status == "250 2.0.0"
            client.expect("552 5.3.4", M + f" SIZE={(1 << 20) + 1}")
