/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The end of data under every splitting, against a plain model of the rules.
 * Built once for each way in which smtp_dots looks at a block.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dots_model.h"
#include "smtp/dots.h"

#define INPUT_MAX 4096

static const char *const newline_names[] = { "normalize", "reject" };

/* Collects what goes on. */
struct sink {
	size_t len;
	char data[2 * INPUT_MAX];
};

static void
collect(void *arg, const char *data, size_t len)
{
	struct sink *sink = arg;

	assert_true(len > 0 && sink->len + len <= sizeof sink->data);
	memcpy(sink->data + sink->len, data, len);
	sink->len += len;
}

/* Feeds data in blocks: cuts[] are their ends, the last one is len. Every
 * block is a copy of its own size, so that a sanitizer sees each step past
 * its end. */
static struct dots_result
feed(const char *data, const size_t *cuts, size_t ncuts,
    enum smtp_bare_newline newline, struct sink *sink)
{
	struct dots_result r = { .out = sink->data };
	enum smtp_dots_result result = SMTP_DOTS_MORE;
	struct smtp_dots d;
	size_t at = 0;

	sink->len = 0;
	smtp_dots_start(&d, newline);
	for (size_t i = 0; i < ncuts && result == SMTP_DOTS_MORE; i++) {
		size_t len = cuts[i] - at, used;
		char *block = malloc(len > 0 ? len : 1);

		assert_non_null(block);
		memcpy(block, data + at, len);
		result = smtp_dots_feed(&d, block, len, &used, collect, sink);
		free(block);
		assert_true(used == len || result == SMTP_DOTS_END);
		r.used += used;
		at = cuts[i];
	}
	r.has_end = result == SMTP_DOTS_END;
	r.size = d.size;
	r.fault = d.fault;
	r.len = sink->len;
	return r;
}

/* Bytes that a person can read in a failure. */
static const char *
shown(const char *data, size_t len)
{
	static char text[8 * INPUT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 8 < sizeof text; i++) {
		unsigned char c = (unsigned char)data[i];

		n += (size_t)snprintf(text + n, sizeof text - n,
		    c > 32 && c < 127 ? "%c" : "<%02x>", c);
	}
	text[n] = '\0';
	return text;
}

static void
compare(const char *data, const size_t *cuts, size_t ncuts,
    enum smtp_bare_newline newline)
{
	static struct sink sink;
	static char out[2 * INPUT_MAX];
	size_t len = cuts[ncuts - 1];
	struct dots_result want = dots_model(data, len, newline, out);
	struct dots_result got = feed(data, cuts, ncuts, newline, &sink);

	if (got.has_end == want.has_end && got.used == want.used &&
	    got.size == want.size && got.fault == want.fault &&
	    got.len == want.len && memcmp(got.out, want.out, got.len) == 0)
		return;
	print_error("%s: %s\n", newline_names[newline], shown(data, len));
	for (size_t i = 0; i < ncuts; i++)
		print_error(" cut at %zu", cuts[i]);
	print_error("\nend %d %d used %zu %zu size %ju %ju fault %d %d\n",
	    got.has_end, want.has_end, got.used, want.used, (uintmax_t)got.size,
	    (uintmax_t)want.size, got.fault, want.fault);
	print_error("got  %s\n", shown(got.out, got.len));
	fail_msg("want %s", shown(want.out, want.len));
}

static void
compare_modes(const char *data, const size_t *cuts, size_t ncuts)
{
	compare(data, cuts, ncuts, SMTP_NEWLINE_NORMALIZE);
	compare(data, cuts, ncuts, SMTP_NEWLINE_REJECT);
}

/* Whole, in two at every place, in three at every two, and byte by byte. */
static void
compare_every_split(const char *data, size_t len)
{
	size_t cuts[INPUT_MAX];

	cuts[0] = len;
	compare_modes(data, cuts, 1);
	for (size_t a = 0; a <= len; a++) {
		for (size_t b = a; b <= len; b++) {
			cuts[0] = a;
			cuts[1] = b;
			cuts[2] = len;
			compare_modes(data, cuts, 3);
		}
	}
	for (size_t i = 0; i < len; i++)
		cuts[i] = i + 1;
	if (len > 0)
		compare_modes(data, cuts, len);
}

#define BYTES(s) s, sizeof s - 1

static void
test_dots_known_inputs(void **state)
{
	/* clang-format off */
	static const struct {
		const char *in; size_t in_len;
		const char *out; size_t out_len;
		bool has_end;
		size_t used;
		uint64_t size;
		enum smtp_dots_fault fault;
		enum smtp_bare_newline newline;
	} table[] = {
		/* the plain cases */
		{ BYTES(".\r\n"), BYTES(""), true, 3, 0, 0, 0 },
		{ BYTES("\r\n.\r\n"), BYTES("\r\n"), true, 5, 2, 0, 0 },
		{ BYTES("a\r\n.\r\n"), BYTES("a\r\n"), true, 6, 3, 0, 0 },
		{ BYTES("a\r\n.\r\nQUIT\r\n"), BYTES("a\r\n"), true, 6, 3, 0, 0 },
		/* stuffed in, stuffed out; the size is the message's */
		{ BYTES("..\r\n.\r\n"), BYTES("..\r\n"), true, 7, 3, 0, 0 },
		{ BYTES("..a\r\n..\r\n.\r\n"), BYTES("..a\r\n..\r\n"), true, 12, 7, 0, 0 },
		{ BYTES("a.\r\n.\r\n"), BYTES("a.\r\n"), true, 7, 4, 0, 0 },
		/* a dot that was not stuffed is not ours to mend */
		{ BYTES(".a\r\n.\r\n"), BYTES(".a\r\n"), true, 7, 3, 0, 0 },
		/* bare LF is a line end, and never the end */
		{ BYTES("a\nb\r\n.\r\n"), BYTES("a\r\nb\r\n"), true, 8, 6, 0, 0 },
		{ BYTES("a\n.\nb\r\n.\r\n"), BYTES("a\r\n..\r\nb\r\n"), true, 10, 9, 0, 0 },
		{ BYTES("a\n.\r\nb\r\n.\r\n"), BYTES("a\r\n..\r\nb\r\n"), true, 11, 9, 0, 0 },
		{ BYTES("a\r\n.\nb\r\n.\r\n"), BYTES("a\r\n..\r\nb\r\n"), true, 11, 9, 0, 0 },
		{ BYTES("\n.\r\n.\r\n"), BYTES("\r\n..\r\n"), true, 7, 5, 0, 0 },
		{ BYTES(".\n.\n.\r\n\r\n.\r\n"), BYTES("..\r\n..\r\n..\r\n\r\n"), true, 12, 11, 0, 0 },
		{ BYTES("a\n..b\r\n.\r\n"), BYTES("a\r\n...b\r\n"), true, 10, 8, 0, 0 },
		{ BYTES("a\nb\r\n.\r\n"), BYTES("a"), true, 8, 7,
		  SMTP_DOTS_BARE_LF, SMTP_NEWLINE_REJECT },
		{ BYTES("a\r\n.\n\r\n.\r\n"), BYTES("a\r\n"), true, 10, 8,
		  SMTP_DOTS_BARE_LF, SMTP_NEWLINE_REJECT },
		/* bare CR and NUL; the end is found all the same, and
		 * every byte after the fault counts */
		{ BYTES("a\rb\r\n.\r\n"), BYTES("a"), true, 8, 6, SMTP_DOTS_BARE_CR, 0 },
		{ BYTES("a\r\n.\rM\r\n.\r\nX"), BYTES("a\r\n"), true, 11, 8, SMTP_DOTS_BARE_CR, 0 },
		{ BYTES("a\r.\r\n.\r\n"), BYTES("a"), true, 8, 6, SMTP_DOTS_BARE_CR, 0 },
		{ BYTES("a\r\r\n.\r\n"), BYTES("a"), true, 7, 5, SMTP_DOTS_BARE_CR, 0 },
		{ BYTES("\r\n.\r\r\n.\r\n"), BYTES("\r\n"), true, 9, 6, SMTP_DOTS_BARE_CR, 0 },
		{ BYTES("a\0b\r\n.\r\n"), BYTES("a"), true, 8, 7, SMTP_DOTS_NUL, 0 },
		{ BYTES("a\r\n.\0\r\n.\r\n"), BYTES("a\r\n."), true, 10, 8, SMTP_DOTS_NUL, 0 },
		{ BYTES("a\r\0\n.\r\n"), BYTES("a"), false, 7, 5, SMTP_DOTS_BARE_CR, 0 },
		{ BYTES("a\0\n.\r\nb"), BYTES("a"), false, 7, 6, SMTP_DOTS_NUL, 0 },
		/* not yet */
		{ BYTES(""), BYTES(""), false, 0, 0, 0, 0 },
		{ BYTES("a"), BYTES("a"), false, 1, 1, 0, 0 },
		{ BYTES("a\r"), BYTES("a"), false, 2, 1, 0, 0 },
		{ BYTES("a\r\n."), BYTES("a\r\n"), false, 4, 3, 0, 0 },
		{ BYTES("a\r\n.\r"), BYTES("a\r\n"), false, 5, 3, 0, 0 },
	};
	/* clang-format on */
	static struct sink sink;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct dots_result got = feed(
		    table[i].in, &table[i].in_len, 1, table[i].newline, &sink);

		assert_int_equal(got.has_end, table[i].has_end);
		assert_int_equal(got.used, table[i].used);
		assert_int_equal(got.size, table[i].size);
		assert_int_equal(got.fault, table[i].fault);
		assert_int_equal(got.len, table[i].out_len);
		assert_memory_equal(got.out, table[i].out, got.len);
		compare_every_split(table[i].in, table[i].in_len);
	}
}

/* What people tried as an end of data, with commands behind it. */
static void
test_dots_only_crlf_dot_crlf_ends_under_any_splitting(void **state)
{
	static const char *const ends[] = { "\r\n", "\n", "\r", "\r\r\n",
		"\n\r", "\r\n\r\n", "\n\n", "", " ", "\v", "\f", "\r\n " };
	const size_t n = sizeof ends / sizeof *ends;
	char text[128];

	(void)state;
	for (size_t before = 0; before < n; before++) {
		for (size_t after = 0; after < n; after++) {
			int len = snprintf(text, sizeof text,
			    "x%s.%sMAIL FROM:<a>\r\n.\r\nRSET\r\n",
			    ends[before], ends[after]);

			compare_every_split(text, (size_t)len);
		}
	}
}

/* A block border, 16, 32 and 64 bytes in, falls on every byte of each. */
static void
test_dots_ends_anywhere_in_a_block(void **state)
{
	static const char *const tails[] = { "\r\n.\r\n", "\r\n..\r\n.\r\n",
		"\n.\r\n.\r\n", "\r\n.\n\r\n.\r\n", "\r.\r\n.\r\n",
		"\r\n.\rx\r\n.\r\n", "\r\n.x\r\n.\r\n", "\r\r\n.\r\n" };
	size_t cuts[2];
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		for (size_t fill = 0; fill < 140; fill++) {
			int n = snprintf(text, sizeof text, "%.*s%s%s",
			    (int)fill,
			    "................................................"
			    "................................................"
			    "................................................",
			    tails[i], "MAIL FROM:<a>\r\n");

			for (cuts[0] = 0; cuts[0] <= (size_t)n; cuts[0]++) {
				cuts[1] = (size_t)n;
				compare_modes(text, cuts, 2);
			}
		}
	}
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Text that is mostly clean, or mostly not, cut into random blocks. */
static void
test_dots_random_bytes_in_random_blocks(void **state)
{
	static const char *const pieces[] = { "\r\n", "\r\n", "\r\n", ".", ".",
		"x", "some words that fill a line a little, ", "\r\n.", "\n",
		"\r", "\n.", "\r\n.\r", "\r\n.\r\n" };
	uint32_t seed = 20261123;
	size_t cuts[64];
	static char text[INPUT_MAX];

	(void)state;
	for (int round = 0; round < 4000; round++) {
		size_t kinds = round % 2 == 0 ? 7 : 13, len = 0, ncuts = 0;
		size_t want = next_random(&seed) % 600;

		while (len < want) {
			const char *piece = pieces[next_random(&seed) % kinds];

			memcpy(text + len, piece, strlen(piece));
			len += strlen(piece);
		}
		if (round % 16 == 1 && len > 0)
			text[next_random(&seed) % len] = '\0';
		for (size_t at = 0; at < len && ncuts < 63;) {
			at += next_random(&seed) % 90;
			cuts[ncuts++] = at < len ? at : len;
		}
		cuts[ncuts++] = len;
		compare_modes(text, cuts, ncuts);
	}
}

static void
count(void *arg, const char *data, size_t len)
{
	size_t *calls = arg;

	(void)data;
	(void)len;
	++*calls;
}

static void
test_dots_clean_block_is_handed_on_in_one_piece(void **state)
{
	static const char line[] =
	    "..a line of a usual length, quite clean, as most are\r\n";
	static char text[64 * (sizeof line - 1)];
	size_t calls = 0, used;
	struct smtp_dots d;

	(void)state;
	for (size_t at = 0; at < sizeof text; at += sizeof line - 1)
		memcpy(text + at, line, sizeof line - 1);
	smtp_dots_start(&d, SMTP_NEWLINE_NORMALIZE);
	assert_int_equal(
	    smtp_dots_feed(&d, text, sizeof text, &used, count, &calls),
	    SMTP_DOTS_MORE);
	assert_int_equal(used, sizeof text);
	assert_int_equal(calls, 1);
	assert_int_equal(d.size, sizeof text - 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dots_known_inputs),
		cmocka_unit_test(
		    test_dots_only_crlf_dot_crlf_ends_under_any_splitting),
		cmocka_unit_test(test_dots_ends_anywhere_in_a_block),
		cmocka_unit_test(test_dots_random_bytes_in_random_blocks),
		cmocka_unit_test(
		    test_dots_clean_block_is_handed_on_in_one_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
