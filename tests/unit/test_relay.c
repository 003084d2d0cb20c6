/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Transactions as dialogues: what the upstream hears and says, and what the
 * owner is told.
 */
#include "relay_rig.h"

#include <stdio.h>
#include <string.h>

#define HELLO "220 mx", "< EHLO portero.example.org"
#define PIPELINES "250-mx", "250-PIPELINING", "250-SIZE 5000", "250 8BITMIME"
#define LOCK_STEP "250 mx"
#define BEGIN HELLO, PIPELINES, "< MAIL", "< RCPT", "< DATA"
#define OK "250 ok"
#define LIST(...)                                                              \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}

struct dialogue {
	const char *name;
	unsigned recipients;
	const char *scripts[3][24]; /* one for each connection */
	const char *said;
};

/* The scripts of one dialogue, all steps at once, timeouts far away. */
static void
play(void **state, const struct dialogue *d)
{
	struct rig *r = *state;
	struct owner o = { 0 };
	size_t i;

	for (i = 0; i < 3 && d->scripts[i][0] != NULL; i++)
		fake_script(&r->fake, 0, d->scripts[i]);
	rig_start(r);
	rig_send(r, &o, d->recipients);
	if (r->fake.error[0] != '\0' || strcmp(o.said, d->said) != 0)
		fail_msg("%s: said \"%s\" (%s), upstream: %s", d->name, o.said,
		    o.detail, r->fake.error);
}

static void
play_all(const struct dialogue *d, size_t n)
{
	void *state;
	size_t i;

	for (i = 0; i < n; i++) {
		rig_setup(&state);
		play(&state, &d[i]);
		rig_teardown(&state);
	}
}

#define PLAY_ALL(table) play_all(table, sizeof(table) / sizeof(table[0]))

/* clang-format off */
static const struct dialogue normal[] = {
	{ "pipelined", 2,
	  { LIST(HELLO, PIPELINES,
	      "< MAIL FROM:<ana@example.org> SIZE=1200 BODY=8BITMIME",
	      "< RCPT TO:<a@x.test>", "< RCPT TO:<b@x.test>", "< DATA",
	      OK, OK, OK, "354 go", "body", "250 queued as 1") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250" },
	{ "one step at a time where it does not pipeline", 2,
	  { LIST(HELLO, LOCK_STEP, "< MAIL FROM:<ana@example.org>", "alone", OK,
	      "< RCPT TO:<a@x.test>", "alone", OK, "< RCPT", "alone", "251 fwd",
	      "< DATA", "alone", "354 go", "body", OK) },
	  "MAIL 250 RCPT 250 RCPT 251 DATA 354 DOT 250" },
	{ "HELO where EHLO is not known", 1,
	  { LIST("220 old", "< EHLO", "502 what?", "< HELO portero.example.org",
	      "250 old", "< MAIL FROM:<ana@example.org>", "alone", OK, "< RCPT",
	      OK, "< DATA", "354 go", "body", OK) },
	  "MAIL 250 RCPT 250 DATA 354 DOT 250" },
	{ "replies of several lines, in pieces", 1,
	  { LIST("220-one", "220-two", "220 three", "< EHLO", PIPELINES,
	      "< MAIL", "< RCPT", "< DATA", "> 250-o", "pause", "> k\r", "pause",
	      "> \n250 ok\r\n25", "pause", "> 0 ok\r\n354", "pause", "> \r\n",
	      "body", "250-queued", "250 as 1") },
	  "MAIL 250 RCPT 250 DATA 354 DOT 250" },
	{ "MAIL is refused, and what follows from it", 1,
	  { LIST(BEGIN, "550 5.7.1 no", "503 5.5.1 MAIL first", "503 no") },
	  "MAIL 550" },
	{ "one recipient is refused", 2,
	  { LIST(HELLO, PIPELINES, "< MAIL", "< RCPT", "< RCPT", "< DATA", OK,
	      "550 5.1.1 unknown", OK, "354 go", "body", OK) },
	  "MAIL 250 RCPT 550 RCPT 250 DATA 354 DOT 250" },
	{ "no recipient is left", 1,
	  { LIST(BEGIN, OK, "550 no", "503 5.5.1 no valid recipients") },
	  "MAIL 250 RCPT 550 DATA 503" },
	{ "DATA is refused", 1,
	  { LIST(BEGIN, OK, OK, "451 4.3.0 later", "< RSET", OK) },
	  "MAIL 250 RCPT 250 DATA 451" },
	{ "the message is refused", 1,
	  { LIST(BEGIN, OK, OK, "354 go", "body", "554 5.7.1 spam") },
	  "MAIL 250 RCPT 250 DATA 354 DOT 554" },
};

static const struct dialogue addressed_to_us[] = {
	{ "530 at MAIL", 1, { LIST(BEGIN, "530 5.7.0 STARTTLS first", "530 x",
	      "530 x") }, "MAIL 451!" },
	{ "500 at RCPT", 1, { LIST(BEGIN, OK, "500 what?", "354 go", "body", OK) },
	  "MAIL 250 RCPT 451! DATA 354 DOT 250" },
	{ "504 at DATA", 1, { LIST(BEGIN, OK, OK, "504 no", "< RSET", OK) },
	  "MAIL 250 RCPT 250 DATA 451!" },
	{ "503 at RCPT though MAIL was accepted", 1,
	  { LIST(BEGIN, OK, "503 no", "503 no", "< RSET", OK) },
	  "MAIL 250 RCPT 451! DATA 503" },
	{ "538 after the dot", 1, { LIST(BEGIN, OK, OK, "354 go", "body",
	      "538 login") }, "MAIL 250 RCPT 250 DATA 354 DOT 451!" },
	{ "555 at MAIL", 1, { LIST(BEGIN, "555 SIZE?", "503 x", "503 x") },
	  "MAIL 451!" },
	{ "350 at MAIL", 1, { LIST(BEGIN, "350 more?", "503 x", "503 x") },
	  "MAIL 451!" },
	{ "334 at RCPT", 1, { LIST(BEGIN, OK, "334 what", "554 no", "< RSET", OK) },
	  "MAIL 250 RCPT 451! DATA 554" },
	{ "421 at MAIL", 1, { LIST(BEGIN, "421 busy", "close") }, "MAIL 451!" },
	{ "421 after the dot", 1, { LIST(BEGIN, OK, OK, "354 go", "body",
	      "421 4.3.2 going down", "< QUIT", "end") },
	  "MAIL 250 RCPT 250 DATA 354 DOT 451!" },
	{ "421 at a recipient: the rest on a second connection", 2,
	  { LIST(HELLO, PIPELINES, "< MAIL", "< RCPT", "< RCPT", "< DATA", OK,
	      "421 enough", "421 enough", "end"),
	    LIST(HELLO, PIPELINES, "< MAIL", "< RCPT TO:<b@x.test>", "< DATA",
	      OK, OK, "354 go", "body", OK) },
	  "MAIL 250 RCPT 451! RCPT 250 DATA 354 DOT 250" },
};

static const struct dialogue hostile[] = {
	{ "2xx to DATA", 1, { LIST(BEGIN, OK, OK, "250 go") },
	  "MAIL 250 RCPT 250 broken" },
	{ "334 to DATA", 1, { LIST(BEGIN, OK, OK, "334 go") },
	  "MAIL 250 RCPT 250 broken" },
	{ "3xx after the dot", 1, { LIST(BEGIN, OK, OK, "354 go", "body",
	      "354 go on", "end") }, "MAIL 250 RCPT 250 DATA 354 unknown" },
	{ "not SMTP after the dot", 1, { LIST(BEGIN, OK, OK, "354 go", "body",
	      "> HTTP/1.1 200 OK\r\n", "end") },
	  "MAIL 250 RCPT 250 DATA 354 unknown" },
	{ "not SMTP at MAIL", 1, { LIST(BEGIN, "> hello there\r\n", "end") },
	  "broken" },
	{ "one reply with two codes", 1, { LIST(BEGIN, "250-ok", "550 no", "end") },
	  "broken" },
	{ "an endless line", 1, { LIST(BEGIN, "flood", "end") }, "broken" },
	{ "8-bit text is cleaned", 1, { LIST(BEGIN, "> 550 n\xc3\xb6 \x1b[2J\r\n",
	      "503 x", "503 x") }, "MAIL 550" },
	{ "an answer more than questions", 0,
	  { LIST(HELLO, LOCK_STEP, "< MAIL", "> 250 ok\r\n250 ok\r\n", "end") },
	  "MAIL 250 broken" },
	{ "a reply before EHLO is written", 0,
	  { LIST("> 220 mx\r\n250-mx\r\n250 PIPELINING\r\n", "end") }, "broken" },
	{ "garbage for a greeting", 0, { LIST("> \x15\x03\x01\x02\x02\r\n", "end") },
	  "broken" },
	{ "a greeting that goes on", 0, { LIST("350 mx", "end") }, "broken" },
	{ "no greeting but a farewell", 0, { LIST("554 no service", "end") },
	  "away" },
	{ "closed at once", 0, { LIST("close") }, "away" },
	{ "closed after the greeting", 0, { LIST("220 mx", "close") }, "away" },
	{ "EHLO is refused for now", 0, { LIST(HELLO, "451 later", "end") },
	  "away" },
	{ "EHLO and HELO are refused", 0,
	  { LIST(HELLO, "500 no", "< HELO", "550 no", "end") }, "away" },
};
/* clang-format on */

static void
test_normal_dialogues(void **state)
{
	(void)state;
	PLAY_ALL(normal);
}

static void
test_replies_to_us_are_hidden_from_the_client(void **state)
{
	(void)state;
	PLAY_ALL(addressed_to_us);
}

static void
test_hostile_upstreams_end_in_a_failure(void **state)
{
	(void)state;
	PLAY_ALL(hostile);
}

/* Line after line, until it has too many of them or too many bytes. */
static void
test_reply_without_end_is_cut(void **state)
{
	static char many[2 + 101 * 7 + 1], large[2 + 70 * 1000 + 1];
	static const char *const scripts[][12] = {
		LIST(BEGIN, many, "end"),
		LIST(BEGIN, large, "end"),
	};
	struct rig *r = *state;
	struct owner o = { 0 };
	size_t i;

	memcpy(many, "> ", 3);
	for (i = 0; i < 101; i++)
		memcpy(many + 2 + 7 * i, "250-x\r\n", 8);
	memset(large, 'x', sizeof(large) - 1);
	memcpy(large, "> ", 2);
	for (i = 0; i < 70; i++) {
		memcpy(large + 2 + 1000 * i, "250-", 4);
		memcpy(large + 1000 * (i + 1), "\r\n", 2);
	}
	rig_start(r);
	for (i = 0; i < 2; i++) {
		fake_script(&r->fake, 0, scripts[i]);
		rig_send(r, &o, 1);
		rig_expect(r, &o, "broken");
	}
}

static void
test_alert_is_logged_with_the_original_reply(void **state)
{
	static const char *const script[] = { BEGIN,
		"530 5.7.0 Must issue \"STARTTLS\" first", "503 x", "503 x",
		NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	const char *log;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	rig_send(r, &o, 1);
	log = rig_log(r);
	assert_non_null(strstr(log, "level=warning ev=upstream s=7Q3K9F2M"));
	assert_non_null(strstr(log, "step=MAIL"));
	assert_non_null(strstr(log, "530 5.7.0 Must issue"));
	assert_null(strstr(o.reply, "STARTTLS"));
}

static void
test_body_goes_through_as_it_came(void **state)
{
	static const char *const script[] = { BEGIN, OK, OK, "354 go", "body",
		OK, NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	fake_script(&r->fake, 0, script);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, "MAIL 250 RCPT 250 DATA 354 DOT 250");
	assert_int_equal(buf_len(&r->fake.body), 20);
	assert_memory_equal(
	    buf_data(&r->fake.body), "Subject: x\n\nhello\n.\n", 20);
}

static void
test_peer_is_known_once_connected(void **state)
{
	static const char *const script[] = { HELLO, PIPELINES, "< MAIL", OK,
		"< RSET", OK, NULL };
	struct rig *r = *state;
	struct owner o = { .keeps_open = true };
	bool yes = true;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	owner_begin(&o, r, 0, false);
	assert_string_equal(relay_peer(o.relay), "");
	while (strcmp(o.said, "MAIL 250") != 0)
		rig_turn(r);
	assert_string_equal(relay_peer(o.relay), "mx.example.net:25");
	relay_close(&o.relay);
	rig_run(r, &yes);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normal_dialogues),
		cmocka_unit_test(test_replies_to_us_are_hidden_from_the_client),
		cmocka_unit_test(test_hostile_upstreams_end_in_a_failure),
		TEST(test_reply_without_end_is_cut),
		TEST(test_alert_is_logged_with_the_original_reply),
		TEST(test_body_goes_through_as_it_came),
		TEST(test_peer_is_known_once_connected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
