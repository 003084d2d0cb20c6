/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replies: ours as they are written, the upstream's under any splitting and
 * past every bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/reply.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
assert_buf(const struct buf *b, const char *want)
{
	struct str got = { buf_len(b) > 0 ? buf_data(b) : "", buf_len(b) };

	if (!str_eq(got, str_of(want)))
		fail_msg(
		    "got \"%.*s\", want \"%s\"", (int)got.len, got.ptr, want);
}

static void
test_reply_make(void **state)
{
	static const struct {
		int code;
		const char *enhanced, *text, *link, *sid, *want;
	} table[] = {
		{ 220, NULL, "smtp.example.org ESMTP", NULL, "7Q3K9F2M",
		    "220 smtp.example.org ESMTP\r\n" },
		{ 250, "2.1.0", "Ok", "https://x/e", "7Q3K9F2M",
		    "250 2.1.0 Ok\r\n" },
		{ 535, "5.7.8", "Wrong user name or password", "https://h/auth",
		    "7Q3K9F2M",
		    "535 5.7.8 Wrong user name or password https://h/auth "
		    "[7Q3K9F2M]\r\n" },
		{ 451, "4.7.0", "Try later", "", "7Q3K9F2M",
		    "451 4.7.0 Try later [7Q3K9F2M]\r\n" },
		{ 450, "4.7.1", "Used up", "https://h/q", NULL,
		    "450 4.7.1 Used up https://h/q\r\n" },
		{ 550, "5.7.1", "no\r\n250 caf\xc3\xa9", NULL, NULL,
		    "550 5.7.1 no??250 caf??\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct buf out = { 0 };

		smtp_reply_make(&out, table[i].code, table[i].enhanced,
		    str_of(table[i].text), table[i].link, table[i].sid);
		assert_buf(&out, table[i].want);
		buf_free(&out);
	}
}

static void
test_reply_make_cuts_the_text_and_keeps_link_and_id(void **state)
{
	static const char tail[] =
	    " https://help.example.org/quota [7Q3K9F2M]\r\n";
	static char text[1000];
	struct buf out = { 0 };

	(void)state;
	memset(text, 'x', sizeof text);
	smtp_reply_make(&out, 550, "5.7.1", (struct str){ text, sizeof text },
	    "https://help.example.org/quota", "7Q3K9F2M");
	assert_int_equal(buf_len(&out), SMTP_OUR_REPLY_MAX + 2);
	assert_memory_equal(buf_data(&out), "550 5.7.1 xxx", 13);
	assert_memory_equal(
	    buf_data(&out) + buf_len(&out) - strlen(tail), tail, strlen(tail));
	buf_free(&out);

	/* a link without end leaves room for the words */
	text[sizeof text - 1] = '\0';
	smtp_reply_make(&out, 550, "5.7.1", STR("Words"), text, "7Q3K9F2M");
	assert_buf(&out, "550 5.7.1 Words [7Q3K9F2M]\r\n");
	buf_free(&out);
}

/* Parses in blocks of at most `step` bytes; used_r gets what was taken. */
static enum smtp_reply_result
feed(struct smtp_reply_parser *p, const char *data, size_t len, size_t step,
    size_t *used_r)
{
	enum smtp_reply_result result = SMTP_REPLY_MORE;
	size_t used;

	*used_r = 0;
	while (*used_r < len && result == SMTP_REPLY_MORE) {
		size_t n = len - *used_r < step ? len - *used_r : step;

		result = smtp_reply_feed(p, data + *used_r, n, &used);
		assert_true(used == n || result != SMTP_REPLY_MORE);
		*used_r += used;
	}
	return result;
}

static void
test_reply_parses_under_any_splitting(void **state)
{
	static const struct {
		const char *in;
		enum smtp_reply_result result;
		size_t left; /* bytes of the next reply */
		int code;
		size_t nlines;
		const char *text, *summary;
	} table[] = {
		{ "250 2.0.0 Ok: queued as X\r\n", SMTP_REPLY_DONE, 0, 250, 1,
		    "2.0.0 Ok: queued as X", "250 2.0.0 Ok: queued as X" },
		{ "250-mx\r\n250-SIZE 10\r\n250 HELP\r\n354 go\r\n",
		    SMTP_REPLY_DONE, 8, 250, 3, "mx\nSIZE 10\nHELP", "250 mx" },
		{ "250\r\n", SMTP_REPLY_DONE, 0, 250, 1, "", "250" },
		{ "250 \r\n", SMTP_REPLY_DONE, 0, 250, 1, "", "250" },
		{ "250-\r\n250\r\n", SMTP_REPLY_DONE, 0, 250, 2, "\n", "250" },
		{ "250 bare\n", SMTP_REPLY_DONE, 0, 250, 1, "bare",
		    "250 bare" },
		{ "550 a\tb\x01\xc3\xb1\x7f\r\r\n", SMTP_REPLY_DONE, 0, 550, 1,
		    "a?b?????", "550 a?b?????" },
		{ "200 lowest\r\n", SMTP_REPLY_DONE, 0, 200, 1, "lowest",
		    "200 lowest" },
		{ "599 highest\r\n", SMTP_REPLY_DONE, 0, 599, 1, "highest",
		    "599 highest" },
		{ "250 not yet", SMTP_REPLY_MORE, 0, 0, 0, NULL, NULL },
		{ "250-not yet\r\n", SMTP_REPLY_MORE, 0, 0, 0, NULL, NULL },
		{ "", SMTP_REPLY_MORE, 0, 0, 0, NULL, NULL },
		{ "\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL, NULL },
		{ "25\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL, NULL },
		{ "2500 x\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL, NULL },
		{ "250x\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL, NULL },
		{ "199 low\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL, NULL },
		{ "600 high\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL, NULL },
		{ "2x0 odd\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL, NULL },
		{ "HTTP/1.1 400 Bad\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL,
		    NULL },
		{ "250-a\r\n251 b\r\n", SMTP_REPLY_BROKEN, 0, 0, 0, NULL,
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		size_t len = strlen(table[i].in), used;

		for (size_t step = 1; step <= len + 1; step++) {
			struct smtp_reply_parser p = { 0 };
			struct smtp_reply r;
			char summary[64];

			assert_int_equal(
			    feed(&p, table[i].in, len, step, &used),
			    table[i].result);
			if (table[i].result == SMTP_REPLY_DONE) {
				r = smtp_reply_parser_take(&p);
				assert_int_equal(used, len - table[i].left);
				assert_int_equal(r.code, table[i].code);
				assert_int_equal(r.nlines, table[i].nlines);
				assert_buf(&r.text, table[i].text);
				smtp_reply_summary(summary, sizeof summary, &r);
				assert_string_equal(summary, table[i].summary);
				smtp_reply_free(&r);
			}
			smtp_reply_parser_free(&p);
		}
	}
}

static void
test_reply_parser_reads_one_reply_after_the_other(void **state)
{
	static const char in[] =
	    "250 one\r\n250-two\r\n250 more\r\n354 three\r\n";
	static const int codes[] = { 250, 250, 354 };
	struct smtp_reply_parser p = { 0 };
	size_t at = 0, used;

	(void)state;
	for (size_t i = 0; i < COUNT(codes); i++) {
		struct smtp_reply r;

		assert_int_equal(
		    smtp_reply_feed(&p, in + at, strlen(in) - at, &used),
		    SMTP_REPLY_DONE);
		at += used;
		r = smtp_reply_parser_take(&p);
		assert_int_equal(r.code, codes[i]);
		smtp_reply_free(&r);
	}
	assert_int_equal(at, strlen(in));
	smtp_reply_parser_free(&p);
}

/* A reply of so many lines of so many characters behind the code. */
static enum smtp_reply_result
feed_lines(size_t nlines, size_t width, size_t step)
{
	struct smtp_reply_parser p = { 0 };
	enum smtp_reply_result result;
	struct buf in = { 0 };
	size_t used;

	for (size_t i = 1; i <= nlines; i++) {
		buf_appendf(&in, "250%c", i == nlines ? ' ' : '-');
		for (size_t k = 4; k < width; k++)
			buf_append_str(&in, STR("x"));
		buf_append_str(&in, STR("\r\n"));
	}
	result = feed(&p, buf_data(&in), buf_len(&in), step, &used);
	buf_free(&in);
	smtp_reply_parser_free(&p);
	return result;
}

static void
test_reply_parser_keeps_its_bounds(void **state)
{
	static const size_t steps[] = { 1, 7, 4096, 1000000 };

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		size_t step = steps[i];

		assert_int_equal(feed_lines(100, 50, step), SMTP_REPLY_DONE);
		assert_int_equal(feed_lines(101, 50, step), SMTP_REPLY_BROKEN);
		assert_int_equal(
		    feed_lines(1, SMTP_REPLY_MAX_LINE, step), SMTP_REPLY_DONE);
		assert_int_equal(feed_lines(1, SMTP_REPLY_MAX_LINE + 1, step),
		    SMTP_REPLY_BROKEN);
		/* 64 lines of 1024 with their ends are 65,536 bytes */
		assert_int_equal(feed_lines(64, 1022, step), SMTP_REPLY_DONE);
		assert_int_equal(feed_lines(64, 1023, step), SMTP_REPLY_BROKEN);
	}
}

static void
test_reply_line_without_end_is_broken_off(void **state)
{
	struct smtp_reply_parser p = { 0 };
	size_t fed = 0, used;

	(void)state;
	while (smtp_reply_feed(&p, "xxxxxxxxxxxxxxxx", 16, &used) ==
	       SMTP_REPLY_MORE) {
		fed += used;
		assert_true(fed <= SMTP_REPLY_MAX_LINE + 2);
	}
	smtp_reply_parser_free(&p);
}

static void
test_reply_enhanced_length(void **state)
{
	static const struct {
		const char *text;
		int code;
		size_t length;
	} table[] = {
		{ "2.0.0 Ok", 250, 5 },
		{ "5.1.1", 550, 5 },
		{ "4.123.456 x", 450, 9 },
		{ "5.1.1x", 550, 0 },
		{ "5.1.1: x", 550, 0 },
		{ "5.1234.1 x", 550, 0 },
		{ "5.1.1234 x", 550, 0 },
		{ "5..1 x", 550, 0 },
		{ "5.1. x", 550, 0 },
		{ "5.1", 550, 0 },
		{ "5.123", 550, 0 },
		{ "4.1.1 x", 550, 0 },
		{ "3.0.0 x", 354, 0 },
		{ "", 250, 0 },
		{ "Ok", 250, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++)
		assert_int_equal(
		    smtp_enhanced_length(str_of(table[i].text), table[i].code),
		    table[i].length);
}

static void
test_reply_pass_keeps_every_line(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "250 2.0.0 Ok: queued\r\n", "250 2.0.0 Ok: queued\r\n" },
		{ "250 Ok\r\n", "250 2.0.0 Ok\r\n" },
		{ "250\r\n", "250 2.0.0 \r\n" },
		{ "550-5.1.1 No such\r\n550 5.1.1 user\r\n",
		    "550-5.1.1 No such\r\n550 5.1.1 user\r\n" },
		{ "550-No such\r\n550 user\r\n",
		    "550-5.0.0 No such\r\n550 5.0.0 user\r\n" },
		{ "550-\r\n550-\r\n550 x\r\n",
		    "550-5.0.0 \r\n550-5.0.0 \r\n550 5.0.0 x\r\n" },
		{ "550 4.1.1 mixed up\r\n", "550 5.0.0 4.1.1 mixed up\r\n" },
		{ "354 go on\n", "354 go on\r\n" },
		{ "450 a\rb\r\n", "450 4.0.0 a?b\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct smtp_reply_parser p = { 0 };
		struct buf out = { 0 };
		struct smtp_reply r;
		size_t used;

		assert_int_equal(smtp_reply_feed(&p, table[i].in,
				     strlen(table[i].in), &used),
		    SMTP_REPLY_DONE);
		r = smtp_reply_parser_take(&p);
		smtp_reply_pass(&out, &r);
		assert_buf(&out, table[i].out);
		buf_free(&out);
		smtp_reply_free(&r);
	}
}

static void
test_reply_summary_is_cut(void **state)
{
	struct smtp_reply_parser p = { 0 };
	char summary[8];
	size_t used;

	(void)state;
	smtp_reply_feed(&p, "250 123456789\r\n", 15, &used);
	smtp_reply_summary(summary, sizeof summary, &p.reply);
	assert_string_equal(summary, "250 123");
	smtp_reply_parser_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_make),
		cmocka_unit_test(
		    test_reply_make_cuts_the_text_and_keeps_link_and_id),
		cmocka_unit_test(test_reply_parses_under_any_splitting),
		cmocka_unit_test(
		    test_reply_parser_reads_one_reply_after_the_other),
		cmocka_unit_test(test_reply_parser_keeps_its_bounds),
		cmocka_unit_test(test_reply_line_without_end_is_broken_off),
		cmocka_unit_test(test_reply_enhanced_length),
		cmocka_unit_test(test_reply_pass_keeps_every_line),
		cmocka_unit_test(test_reply_summary_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
