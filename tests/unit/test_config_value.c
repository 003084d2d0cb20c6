/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Types of options, from text to number and back; and nearest words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/hint.h"
#include "config/value.h"

#define WRONG INT64_MIN

/* clang-format off */
static const struct {
	enum portero_option_type type;
	const char *text;
	int64_t number;
	const char *written;
} cases[] = {
	{ PORTERO_OPT_SIZE, "0", 0, "0" },
	{ PORTERO_OPT_SIZE, "1", 1, "1" },
	{ PORTERO_OPT_SIZE, "25M", 25 << 20, "25M" },
	{ PORTERO_OPT_SIZE, "25m", 25 << 20, "25M" },
	{ PORTERO_OPT_SIZE, "1024K", 1 << 20, "1M" },
	{ PORTERO_OPT_SIZE, "1536K", 1536 << 10, "1536K" },
	{ PORTERO_OPT_SIZE, "2G", INT64_C(2) << 30, "2G" },
	{ PORTERO_OPT_SIZE, "8589934591G", INT64_C(8589934591) << 30,
	  "8589934591G" },
	{ PORTERO_OPT_SIZE, "8589934592G", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "1T", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "M", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "1 M", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "01M", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "0x10", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "-1", WRONG, NULL },
	{ PORTERO_OPT_SIZE, "unlimited", WRONG, NULL },
	{ PORTERO_OPT_DURATION, "90s", 90, "90s" },
	{ PORTERO_OPT_DURATION, "60s", 60, "1m" },
	{ PORTERO_OPT_DURATION, "1h", 3600, "1h" },
	{ PORTERO_OPT_DURATION, "31d", 31 * 86400, "31d" },
	{ PORTERO_OPT_DURATION, "0s", 0, "0s" },
	{ PORTERO_OPT_DURATION, "5", WRONG, NULL },
	{ PORTERO_OPT_DURATION, "5ms", WRONG, NULL },
	{ PORTERO_OPT_DURATION, "1M", WRONG, NULL },
	{ VALUE_MILLISECONDS, "5ms", 5, "5ms" },
	{ VALUE_MILLISECONDS, "5s", 5000, "5s" },
	{ VALUE_MILLISECONDS, "2m", 120000, "2m" },
	{ VALUE_MILLISECONDS, "620s", 620000, "620s" },
	{ VALUE_MILLISECONDS, "5", WRONG, NULL },
	{ PORTERO_OPT_INT, "0", 0, "0" },
	{ PORTERO_OPT_INT, "9223372036854775807", INT64_MAX,
	  "9223372036854775807" },
	{ PORTERO_OPT_INT, "9223372036854775808", WRONG, NULL },
	{ PORTERO_OPT_INT, "010", WRONG, NULL },
	{ PORTERO_OPT_INT, "5x", WRONG, NULL },
	{ PORTERO_OPT_COUNT, "unlimited", PORTERO_UNLIMITED, "unlimited" },
	{ PORTERO_OPT_COUNT, "0", 0, "0" },
	{ PORTERO_OPT_COUNT, "500", 500, "500" },
	{ PORTERO_OPT_COUNT, "-1", WRONG, NULL },
	{ PORTERO_OPT_BOOL, "yes", 1, "yes" },
	{ PORTERO_OPT_BOOL, "no", 0, "no" },
	{ PORTERO_OPT_BOOL, "true", WRONG, NULL },
	{ PORTERO_OPT_BOOL, "Yes", WRONG, NULL },
	{ PORTERO_OPT_ENUM, "red", 0, "red" },
	{ PORTERO_OPT_ENUM, "blue", 1, "blue" },
	{ PORTERO_OPT_ENUM, "", WRONG, NULL },
};
/* clang-format on */

static void
test_values_are_read_and_written(void **state)
{
	static const char *const colours[] = { "red", "blue", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct portero_option o = {
			.name = "x", .type = cases[i].type, .choices = colours
		};
		struct buf written = { 0 };
		const char *why;
		int64_t number;
		int ret = value_read(&o, cases[i].text, &number, &why);

		assert_int_equal(ret, cases[i].number == WRONG ? -1 : 0);
		if (ret == -1) {
			assert_non_null(why);
			continue;
		}
		assert_true(number == cases[i].number);
		value_write(&o, number, &written);
		buf_append(&written, "", 1);
		assert_string_equal(buf_data(&written), cases[i].written);
		buf_free(&written);
	}
}

static void
test_a_range_includes_its_ends_and_not_unlimited(void **state)
{
	const struct portero_option o = {
		.type = PORTERO_OPT_COUNT, .min = 2, .max = 5
	};
	const char *why;
	int64_t number;

	(void)state;
	assert_int_equal(value_read(&o, "1", &number, &why), -1);
	assert_string_equal(why, "is not in the range 2 to 5");
	assert_int_equal(value_read(&o, "2", &number, &why), 0);
	assert_int_equal(value_read(&o, "5", &number, &why), 0);
	assert_int_equal(value_read(&o, "6", &number, &why), -1);
	assert_int_equal(value_read(&o, "unlimited", &number, &why), 0);
}

static void
test_distance_counts_edits_and_swaps(void **state)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} pairs[] = { { "port", "port", 0 }, { "port", "prot", 1 },
		{ "listn", "listen", 1 }, { "", "ab", 2 },
		{ "kitten", "sitting", 3 }, { "ab", "ba", 1 },
		{ "plugin", "plugin_dir", 4 } };

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		assert_int_equal(
		    hint_distance(str_of(pairs[i].a), str_of(pairs[i].b)),
		    pairs[i].distance);
		assert_int_equal(
		    hint_distance(str_of(pairs[i].b), str_of(pairs[i].a)),
		    pairs[i].distance);
	}
}

static const char *
nearest(const char *wanted)
{
	struct hint h;

	hint_start(&h, str_of(wanted));
	hint_try(&h, "to");
	hint_try(&h, "file");
	hint_try(&h, "level");
	return h.best == NULL ? "" : h.best;
}

static void
test_a_hint_is_given_only_for_what_is_near(void **state)
{
	char longest[HINT_WORD_MAX + 2];

	(void)state;
	assert_string_equal(nearest("flie"), "file");
	assert_string_equal(nearest("levels"), "level");
	assert_string_equal(nearest("ot"), "to");
	assert_string_equal(nearest("ab"), "");
	assert_string_equal(nearest("x"), "");
	assert_string_equal(nearest("path"), "");
	memset(longest, 'a', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	assert_string_equal(nearest(longest), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_read_and_written),
		cmocka_unit_test(
		    test_a_range_includes_its_ends_and_not_unlimited),
		cmocka_unit_test(test_distance_counts_edits_and_swaps),
		cmocka_unit_test(test_a_hint_is_given_only_for_what_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
