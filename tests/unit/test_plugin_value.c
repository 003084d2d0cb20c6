/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../plugins/common/value.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct portero_str
str(const char *text)
{
	return (struct portero_str){ text, strlen(text) };
}

static void
test_limits_are_name_value_and_window(void **state)
{
	static const struct {
		const char *text, *name; /* NULL: refused */
		int64_t max;
		uint32_t window_s;
	} table[] = {
		{ "hourly=500", "hourly", 500, 0 },
		{ "hourly=500/1h", "hourly", 500, 3600 },
		{ "hourly.recipients=0/31d", "hourly.recipients", 0, 2678400 },
		{ "hourly=unlimited", "hourly", PORTERO_UNLIMITED, 0 },
		{ "hourly=unlimited/30m", "hourly", PORTERO_UNLIMITED, 1800 },
		{ "h=9223372036854775807", "h", INT64_MAX, 0 },
		{ "h=9223372036854775808", NULL, 0, 0 },
		{ "hourly", NULL, 0, 0 },
		{ "hourly=", NULL, 0, 0 },
		{ "=500", NULL, 0, 0 },
		{ "hourly=-1", NULL, 0, 0 },
		{ "hourly=5x", NULL, 0, 0 },
		{ "hourly=500/", NULL, 0, 0 },
		{ "hourly=500/0s", NULL, 0, 0 },
		{ "hourly=500/32d", NULL, 0, 0 },
		{ "hourly=500/1w", NULL, 0, 0 },
		{ "a-name-that-is-too-long-for-a-limit=1", NULL, 0, 0 },
		{ "", NULL, 0, 0 },
	};
	struct portero_limit l;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		bool good = value_limit(str(table[i].text), &l);

		assert_int_equal(good, table[i].name != NULL);
		if (!good)
			continue;
		assert_string_equal(l.name, table[i].name);
		assert_int_equal(l.max, table[i].max);
		assert_int_equal(l.window_s, table[i].window_s);
	}
	assert_false(value_limit((struct portero_str){ "a=1\0", 4 }, &l));
}

static void
test_sizes_have_a_unit_or_none(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} table[] = { { "1000", 1000 }, { "25M", 25 << 20 }, { "2k", 2048 },
		{ "1G", 1 << 30 }, { "0", 0 }, { "M", -1 }, { "25MB", -1 },
		{ "-1", -1 }, { "9999999999999G", -1 }, { "", -1 } };
	int64_t bytes;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		bool good = value_size(str(table[i].text), &bytes);

		assert_int_equal(good, table[i].bytes >= 0);
		if (good)
			assert_int_equal(bytes, table[i].bytes);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits_are_name_value_and_window),
		cmocka_unit_test(test_sizes_have_a_unit_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
