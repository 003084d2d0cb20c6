/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/top.h"

static struct top top;
static struct store_row rows[TOP_ROWS];

static void
offer(const char *key, const char *limit, int64_t used, int64_t max)
{
	const struct store_row row = { .key = str_of(key),
		.limit = str_of(limit),
		.used = used,
		.max = max };

	top_offer(&top, &row);
}

static void
test_nearest_to_the_maximum_comes_first(void **state)
{
	(void)state;
	top_start(&top);
	offer("free", "day", 5000, PORTERO_UNLIMITED);
	offer("busy", "day", 900, 1000);
	offer("near", "day", 9, 10);
	offer("over", "day", 11, 10);
	offer("none", "day", 0, 10);
	offer("freer", "day", 6000, PORTERO_UNLIMITED);
	assert_int_equal(top_rows(&top, rows), 5);
	assert_string_equal(rows[0].key.ptr, "over");
	assert_string_equal(rows[1].key.ptr, "busy");
	assert_string_equal(rows[2].key.ptr, "near");
	assert_string_equal(rows[3].key.ptr, "freer");
	assert_string_equal(rows[4].key.ptr, "free");
}

static void
test_of_many_the_first_are_kept_each_once(void **state)
{
	char key[300];

	(void)state;
	top_start(&top);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "%d", i * 7 % 1000);
		offer(key, "day", i * 7 % 1000, 1000);
		offer(key, "day", i * 7 % 1000, 1000);
	}
	assert_int_equal(top_rows(&top, rows), TOP_ROWS);
	for (int i = 0; i < TOP_ROWS; i++) {
		snprintf(key, sizeof key, "%d", 999 - i);
		assert_string_equal(rows[i].key.ptr, key);
		assert_int_equal(rows[i].used, 999 - i);
	}
	/* Names are cut, not spilt. */
	memset(key, 'x', sizeof key - 1);
	key[sizeof key - 1] = '\0';
	offer(key, key, 2000, 1000);
	assert_int_equal(top_rows(&top, rows), TOP_ROWS);
	assert_int_equal(rows[0].key.len, PERSON_ID_MAX);
	assert_int_equal(rows[0].limit.len, 31);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nearest_to_the_maximum_comes_first),
		cmocka_unit_test(test_of_many_the_first_are_kept_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
