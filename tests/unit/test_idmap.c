/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The id map: what was put is found, until it is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/idmap.h"

#define N 5000

static char thing[N];

/* Ids as they come: counters, random ones, all alike in their low bits. */
static uint64_t
id_of(int kind, uint64_t i)
{
	switch (kind) {
	case 0:
		return i + 1;
	case 1:
		return (i + 1) * 0x2545f4914f6cdd1du;
	case 2:
		return (i + 1) << 32;
	default:
		return UINT64_MAX - i;
	}
}

static void
test_idmap_finds_what_was_put_until_it_is_taken(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct idmap *m = idmap_new();

		for (uint64_t i = 0; i < N; i++)
			idmap_put(m, id_of(kind, i), &thing[i]);
		assert_int_equal(idmap_count(m), N);
		for (uint64_t i = 0; i < N; i += 2)
			assert_ptr_equal(idmap_take(m, id_of(kind, i)),
			    &thing[i]);
		assert_int_equal(idmap_count(m), N / 2);
		for (uint64_t i = 0; i < N; i++)
			assert_ptr_equal(idmap_get(m, id_of(kind, i)),
			    i % 2 == 0 ? NULL : &thing[i]);
		for (uint64_t i = 1; i < N; i += 2)
			assert_ptr_equal(idmap_take(m, id_of(kind, i)),
			    &thing[i]);
		assert_int_equal(idmap_count(m), 0);
		idmap_free(&m);
		assert_null(m);
	}
}

/* A window that moves over the ids: the usual life of questions. */
static void
test_idmap_questions_come_and_go(void **state)
{
	struct idmap *m = idmap_new();

	(void)state;
	for (uint64_t i = 0; i < 20 * N; i++) {
		idmap_put(m, id_of(0, i), &thing[i % N]);
		if (i >= 37)
			assert_ptr_equal(idmap_take(m, id_of(0, i - 37)),
			    &thing[(i - 37) % N]);
		assert_null(idmap_get(m, id_of(0, i + 1)));
	}
	assert_int_equal(idmap_count(m), 37);
	idmap_free(&m);
}

static void
test_idmap_unknown_ids_and_zero_are_absent(void **state)
{
	struct idmap *m = idmap_new();

	(void)state;
	assert_null(idmap_get(m, 0));
	assert_null(idmap_take(m, 0));
	assert_null(idmap_take(m, 5));
	idmap_put(m, 5, thing);
	assert_ptr_equal(idmap_take(m, 5), thing);
	assert_null(idmap_take(m, 5));
	idmap_free(&m);
	idmap_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_idmap_finds_what_was_put_until_it_is_taken),
		cmocka_unit_test(test_idmap_questions_come_and_go),
		cmocka_unit_test(test_idmap_unknown_ids_and_zero_are_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
