/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counting who is here, over workers that come and go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ipc/crowd.h"

static const uint8_t key[HASH_KEY_LEN] = "0123456789abcde";
static struct crowd *crowd;

static int
set_up(void **state)
{
	(void)state;
	crowd = xcalloc(1, sizeof *crowd);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	free(crowd);
	return 0;
}

static struct crowd_name
name(const char *text)
{
	struct crowd_name n;

	crowd_name(&n, key, 'h', text, strlen(text));
	return n;
}

static void
test_workers_add_up(void **state)
{
	struct crowd_sheet *a = crowd_claim(crowd, 7), *b = crowd_claim(crowd, 8);
	const struct crowd_name ana = name("ana"), eva = name("eva");

	(void)state;
	crowd_enter(a, &ana, 1000);
	crowd_enter(a, &ana, 1000);
	crowd_enter(b, &ana, 1000);
	assert_int_equal(crowd_here(crowd, &ana), 3);
	assert_int_equal(crowd_here(crowd, &eva), 0);
	crowd_leave(b, &ana);
	crowd_leave(a, &ana);
	assert_int_equal(crowd_here(crowd, &ana), 1);
	assert_int_equal(crowd_came(crowd, &ana, 1000), 3);
}

static void
test_kinds_are_kept_apart(void **state)
{
	struct crowd_sheet *s = crowd_claim(crowd, 7);
	struct crowd_name host, person;

	(void)state;
	crowd_name(&host, key, 'h', "x", 1);
	crowd_name(&person, key, 'p', "x", 1);
	crowd_enter(s, &host, 1000);
	assert_int_equal(crowd_here(crowd, &person), 0);
}

static void
test_a_dead_worker_gives_back_all(void **state)
{
	struct crowd_sheet *a = crowd_claim(crowd, 7), *b = crowd_claim(crowd, 8);
	const struct crowd_name ana = name("ana");

	(void)state;
	crowd_enter(a, &ana, 1000);
	crowd_enter(b, &ana, 1000);
	crowd_retire(crowd, 7);
	assert_int_equal(crowd_here(crowd, &ana), 1);
	assert_int_equal(crowd_came(crowd, &ana, 1000), 1);
	crowd_retire(crowd, 7); /* once is enough */
	assert_int_equal(crowd_here(crowd, &ana), 1);
	assert_ptr_equal(crowd_claim(crowd, 9), a);
}

static void
test_sheets_are_enough_for_all_workers(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= CROWD_SHEETS; i++)
		assert_non_null(crowd_claim(crowd, i));
	assert_null(crowd_claim(crowd, CROWD_SHEETS + 1));
}

static void
test_who_came_is_forgotten_within_two_minutes(void **state)
{
	static const struct {
		int64_t at;
		uint32_t came;
	} table[] = { { 1199, 60 }, { 1200, 60 }, { 1230, 30 }, { 1259, 1 },
		{ 1260, 0 }, { 1320, 0 } };
	struct crowd_sheet *s = crowd_claim(crowd, 7);
	const struct crowd_name ana = name("ana");

	(void)state;
	for (int i = 0; i < 60; i++)
		crowd_enter(s, &ana, 1140 + i);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(crowd_came(crowd, &ana, table[i].at),
		    table[i].came);
	/* who is here stays */
	assert_int_equal(crowd_here(crowd, &ana), 60);
}

static void
test_a_count_holds_at_its_end(void **state)
{
	struct crowd_sheet *s = crowd_claim(crowd, 7);
	const struct crowd_name ana = name("ana");

	(void)state;
	for (int i = 0; i < 70000; i++)
		crowd_enter(s, &ana, 1200);
	assert_int_equal(crowd_came(crowd, &ana, 1200), 65535);
	assert_int_equal(crowd_here(crowd, &ana), 70000);
}

static void
test_strangers_rarely_look_like_a_crowd(void **state)
{
	struct crowd_sheet *s = crowd_claim(crowd, 7);
	const struct crowd_name flood = name("flood");
	unsigned hit = 0;
	char text[32];

	(void)state;
	for (int i = 0; i < 2000; i++)
		crowd_enter(s, &flood, 1200);
	for (int i = 0; i < 5000; i++) {
		struct crowd_name n;

		snprintf(text, sizeof text, "stranger %d", i);
		n = name(text);
		crowd_enter(s, &n, 1200);
		/* itself, and few that it meets */
		hit += crowd_here(crowd, &n) > 10;
	}
	assert_int_equal(hit, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_workers_add_up, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(test_kinds_are_kept_apart,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_a_dead_worker_gives_back_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_sheets_are_enough_for_all_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_who_came_is_forgotten_within_two_minutes, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(test_a_count_holds_at_its_end,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_strangers_rarely_look_like_a_crowd, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
