/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whom a header claims to be from, with all the tricks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "smtp/header.h"

/* "a@x b@y S:c@z", or "! flaw". */
static const char *
claims(const char *text, size_t len)
{
	static char to[1024];
	struct smtp_header h;
	size_t n = 0;

	smtp_header_scan((struct str){ text, len }, &h);
	to[0] = '\0';
	if (h.flaw != NULL) {
		snprintf(to, sizeof to, "! %s", h.flaw);
		return to;
	}
	for (size_t i = 0; i < h.nmailboxes; i++)
		n += (size_t)snprintf(to + n, sizeof to - n, "%s%s%.*s",
		    i > 0 ? " " : "", h.mailboxes[i].is_sender ? "S:" : "",
		    (int)h.mailboxes[i].address.len,
		    h.mailboxes[i].address.ptr);
	return to;
}

static void
test_authors_are_found_and_doubt_is_a_flaw(void **state)
{
#define NO_FROM "! a From that cannot be read"
#define NO_SENDER "! a Sender that cannot be read"
#define NO_FIELD "! a line that is no field"
#define NO_NAME "! a field whose name is none"
#define CONTROL "! a control character"
	/* clang-format off */
	static const struct { const char *text, *claims; } cases[] = {
		/* everyday */
		{ "From: a@x\r\n",                           "a@x" },
		{ "from:a@x\r\n\r\nFrom: b@y\r\n",           "a@x" },
		{ "FROM: Ana <a@x>\r\n",                     "a@x" },
		{ "From: \"Ana, of \\\"x\\\"\" <a@x>\r\n",   "a@x" },
		{ "From: Ana M. P\xc3\xa9rez <a@x>\r\n",     "a@x" },
		{ "From: =?utf-8?q?Ana?= =?utf-8?b?eA==?= <a@x>\r\n", "a@x" },
		{ "From: a@x (Ana)\r\n",                     "a@x" },
		{ "From: (hi) a@x (Ana (of \\) x)) \r\n",    "a@x" },
		{ "From: Ana\r\n <a@x>\r\nTo: b@y\r\n",      "a@x" },
		{ "From:\r\n\tAna\r\n\t<a@x>\r\n",           "a@x" },
		{ "From: <a@x>,\r\n b@y\r\n",                "a@x b@y" },
		{ "From: a@x, Bob <b@y> , , c@z,\r\n",       "a@x b@y c@z" },
		{ "From: us: a@x, Bob <b@y>;\r\n",           "a@x b@y" },
		{ "From: us: a@x;, c@z\r\n",                 "a@x c@z" },
		{ "From: a@[192.0.2.1]\r\n",                 "a@[192.0.2.1]" },
		{ "From: \"a b\"@x\r\n",                     "\"a b\"@x" },
		{ "From: < a@x >\r\n",                       "a@x" },
		{ "From: a.b+c@x.y\r\nSender: s@x\r\n",      "a.b+c@x.y S:s@x" },
		{ "Subject: From: b@y\r\nFrom: a@x\r\n",     "a@x" },
		{ "Subject: x\r\n From: b@y\r\nFrom: a@x\r\n", "a@x" },
		{ "X-From: b@y\r\nFrom: a@x\r\n",            "a@x" },
		{ "From: \xc3\xb1@x\r\n",                    "\xc3\xb1@x" },
		{ "From: us:;\r\n",                          "" },
		{ "From:\r\n",                               "" },
		{ "To: b@y\r\n",                             "" },
		{ "",                                        "" },
		{ "\r\nFrom: b@y\r\n",                       "" },
		{ "From: a@x\r\nFrom: b@y\r\n",              "a@x b@y" },
		/* one reader sees this, another one that */
		{ "From: b@y <a@x>\r\n",                     NO_FROM },
		{ "From: a@x <b@y>\r\n",                     NO_FROM },
		{ "From: \"Ana\" b@y\r\n",                   NO_FROM },
		{ "From: <a@x> <b@y>\r\n",                   NO_FROM },
		{ "From: <a@x> b@y\r\n",                     NO_FROM },
		{ "From: <a@x>; b@y\r\n",                    NO_FROM },
		{ "From: a@x; b@y\r\n",                      NO_FROM },
		{ "From: a@x b@y\r\n",                       NO_FROM },
		{ "From: <b@y:a@x>\r\n",                     NO_FROM },
		{ "From: <@b.y:a@x>\r\n",                    NO_FROM },
		{ "From: <@b.y,@c.z:a@x>\r\n",               NO_FROM },
		{ "From: b@y@x\r\n",                         NO_FROM },
		{ "From: b(@y)@x\r\n",                       NO_FROM },
		{ "From: a@x(@y).z\r\n",                     NO_FROM },
		{ "From: a @x\r\n",                          NO_FROM },
		{ "From: a@ x\r\n",                          NO_FROM },
		{ "From: a@x .y\r\n",                        NO_FROM },
		{ "From: a . b@x\r\n",                       NO_FROM },
		{ "From: a..b@x\r\n",                        NO_FROM },
		{ "From: .a@x\r\n",                          NO_FROM },
		{ "From: a@x.\r\n",                          NO_FROM },
		{ "From: \"a\".b@x\r\n",                     NO_FROM },
		{ "From: \"b@y\r\n <a@x>\r\n",               NO_FROM },
		{ "From: (b@y <a@x>\r\n",                    NO_FROM },
		{ "From: <a@x\r\n",                          NO_FROM },
		{ "From: a@x>\r\n",                          NO_FROM },
		{ "From: <>\r\n",                            NO_FROM },
		{ "From: Ana\r\n",                           NO_FROM },
		{ "From: Ana <a>\r\n",                       NO_FROM },
		{ "From: us: them: a@x;;\r\n",               NO_FROM },
		{ "From: us: a@x\r\n",                       NO_FROM },
		{ "From: a@x\\\r\n",                         NO_FROM },
		{ "From: a@[x\r\n",                          NO_FROM },
		{ "From: a@[x@y]\r\n",                       NO_FROM },
		{ "From: <a@x(c)>\r\n",                      NO_FROM },
		{ "From: \"a\r\n b\"@x\r\n",                 NO_FROM },
		{ "Sender: a@x, b@y\r\n",                    NO_SENDER },
		{ "Sender:\r\n",                             NO_SENDER },
		{ "Sender: us: a@x, b@y;\r\n",               NO_SENDER },
		{ "Hello\r\nFrom: a@x\r\n",                  NO_FIELD },
		{ ": x\r\nFrom: a@x\r\n",                    NO_FIELD },
		{ " From: b@y\r\nFrom: a@x\r\n",             NO_NAME },
		{ "From : a@x\r\n",                          NO_NAME },
		{ "From\t: a@x\r\n",                         NO_NAME },
		{ "From b@y Mon: x\r\nFrom: a@x\r\n",        NO_NAME },
		{ "Fr\xd0\xbem: b@y\r\nFrom: a@x\r\n",       NO_NAME },
		{ ".From: b@y\r\nFrom: a@x\r\n",            NO_NAME },
		{ "From: a@x\r\n.Sender: b@y\r\n",          NO_NAME },
		{ "..From: b@y\r\nFrom: a@x\r\n",           NO_NAME },
		{ "X: x\x0b" "From: b@y\r\nFrom: a@x\r\n",   CONTROL },
		{ "X: x\x1e" "From: b@y\r\nFrom: a@x\r\n",   CONTROL },
		{ "From: a@x\x7f\r\n",                       CONTROL },
		{ "From: a@x\r\n \r\nFrom: b@y\r\n",
		    "! an empty line that is no end" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		/* of its own size, so that a byte too far is seen */
		size_t len = strlen(cases[i].text);
		char *text = malloc(len + 1);
		const char *got;

		memcpy(text, cases[i].text, len);
		text = realloc(text, len > 0 ? len : 1);
		got = claims(text, len);
		if (strcmp(got, cases[i].claims) != 0)
			fail_msg("%s: \"%s\"", cases[i].text, got);
		free(text);
	}
}

static void
test_fields_that_a_submission_server_looks_for(void **state)
{
	const char *text = "Received: x\r\n y\r\nreceived: z\r\n"
			   "MESSAGE-id: <x@y>\r\ndate: now\r\n"
			   "DKIM-Signature: v=1;\r\n d=x\r\nFrom: a@x\r\n"
			   "From: a@x\r\nSender: s@x\r\n\r\nReceived: w\r\n";
	struct smtp_header h;

	(void)state;
	smtp_header_scan(str_of(text), &h);
	assert_null(h.flaw);
	assert_int_equal(h.nreceived, 2);
	assert_int_equal(h.nfrom, 2);
	assert_int_equal(h.nsender, 1);
	assert_true(h.has_date && h.has_message_id && h.is_signed);
	smtp_header_scan(STR("Subject: Date: now\r\n"), &h);
	assert_false(h.has_date || h.has_message_id || h.is_signed);
}

static void
test_the_header_ends_at_its_empty_line(void **state)
{
	const char *text = "From: a@x\r\n\r\nbody\r\n\r\n";

	(void)state;
	for (size_t from = 0; from < 13; from++) {
		struct str part = { text, from };

		assert_int_equal(smtp_header_length(part, 0),
		    from < 13 ? 0 : 13);
		assert_int_equal(smtp_header_length(str_of(text), from), 13);
	}
	assert_int_equal(smtp_header_length(STR("\r\nbody\r\n"), 0), 2);
	assert_int_equal(smtp_header_length(STR("\r"), 0), 0);
	assert_int_equal(smtp_header_length(STR("a: b\r\n.\r\n"), 0), 0);
}

static void
test_too_many_and_too_long_addresses_are_flaws(void **state)
{
	char text[1024] = "From: a@x";

	(void)state;
	for (int i = 1; i < SMTP_MAILBOXES_MAX; i++)
		memcpy(text + strlen(text), ",a@x", 5);
	assert_true(claims(text, strlen(text))[0] == 'a');
	memcpy(text + strlen(text), ",b@x", 5);
	assert_string_equal(claims(text, strlen(text)),
	    "! too many addresses in From");
	memset(text, 'a', 300);
	memcpy(text, "From: ", 6);
	memcpy(text + 300, "@x\r\n", 5);
	assert_string_equal(claims(text, strlen(text)),
	    "! an address that is too long");
}

/* Each unit repeated to the largest header: linear, so far below a second. */
static void
test_the_worst_header_takes_no_time(void **state)
{
	static const char *const units[] = { "(", "((\\)", "\"", "<", "a.", "a,",
		"us:", "a@x,", "\\", "\r\n ", "\r\nFrom: ", "\r\nSender: <",
		"\r\n:", "x\r\n" };
	char *text = malloc(SMTP_HEADER_MAX);
	clock_t start = clock();

	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t len = strlen(units[i]);

		memcpy(text, "From: ", 6);
		for (size_t at = 6; at + len <= SMTP_HEADER_MAX; at += len)
			memcpy(text + at, units[i], len);
		claims(text, SMTP_HEADER_MAX - 16);
	}
	assert_true(clock() - start < CLOCKS_PER_SEC);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_authors_are_found_and_doubt_is_a_flaw),
		cmocka_unit_test(test_fields_that_a_submission_server_looks_for),
		cmocka_unit_test(test_the_header_ends_at_its_empty_line),
		cmocka_unit_test(test_too_many_and_too_long_addresses_are_flaws),
		cmocka_unit_test(test_the_worst_header_takes_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
