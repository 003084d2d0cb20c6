/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Dates as text, and clocks that tests can move.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static void
test_clock_formats_utc(void **state)
{
	static const struct {
		int64_t wall_s;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ 1795443600, "2026-11-23T14:20:00Z" },
		{ 951782399, "2000-02-28T23:59:59Z" },
		{ 4102444799, "2099-12-31T23:59:59Z" },
		{ -1, "1969-12-31T23:59:59Z" },
		{ 253402300799, "9999-12-31T23:59:59Z" },
		{ 253402300800, "0000-01-01T00:00:00Z" },
		{ INT64_MAX, "0000-01-01T00:00:00Z" },
		{ INT64_MIN, "0000-01-01T00:00:00Z" },
	};
	char text[21];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		clock_format(text, sizeof text, cases[i].wall_s);
		assert_string_equal(text, cases[i].text);
	}
}

static void
test_clock_formats_mail_dates_in_local_time(void **state)
{
	static const struct {
		const char *zone;
		int64_t wall_s;
		const char *text;
	} cases[] = {
		{ "UTC0", 1795443600, "Mon, 23 Nov 2026 14:20:00 +0000" },
		{ "XXX-1", 1795443600, "Mon, 23 Nov 2026 15:20:00 +0100" },
		{ "XXX5", 1795443600, "Mon, 23 Nov 2026 09:20:00 -0500" },
		{ "XXX3:30", 1795443600, "Mon, 23 Nov 2026 10:50:00 -0330" },
		{ "XXX-5:45", 1795443600, "Mon, 23 Nov 2026 20:05:00 +0545" },
		{ "UTC0", 1772323199, "Sat, 28 Feb 2026 23:59:59 +0000" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		setenv("TZ", cases[i].zone, 1);
		tzset();
		clock_format_rfc5322(text, sizeof text, cases[i].wall_s);
		assert_string_equal(text, cases[i].text);
	}
}

static void
test_clock_moves_when_shifted(void **state)
{
	int64_t mono = clock_mono_ns(), wall = clock_wall_s();

	(void)state;
	clock_shift(3600 * INT64_C(1000000000), -86400 * INT64_C(1000000));
	assert_in_range(clock_mono_ns() - mono, 3600 * INT64_C(1000000000),
	    3660 * INT64_C(1000000000));
	assert_in_range(clock_wall_s() + 86400 - wall, 0, 60);
	clock_shift(0, 0);
	assert_true(clock_mono_ns() - mono < 60 * INT64_C(1000000000));
	assert_true(clock_mono_ns() >= mono);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_formats_utc),
		cmocka_unit_test(test_clock_formats_mail_dates_in_local_time),
		cmocka_unit_test(test_clock_moves_when_shifted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
