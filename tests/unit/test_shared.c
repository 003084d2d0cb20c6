/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counters and the upstream's state in memory that outlives the workers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <unistd.h>

#include "ipc/shared.h"

static struct shared *shared;
static int fd;

static int
setup(void **state)
{
	struct error err;

	(void)state;
	fd = shared_create(&shared, &err);
	return fd == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	void *p = shared;

	(void)state;
	shm_unmap(&p, sizeof(struct shared));
	return close(fd);
}

static void
test_counters_are_summed_over_all_rows_and_maps(void **state)
{
	struct error err;
	struct shared *other = shared_map(fd, &err);
	void *p = other;

	(void)state;
	assert_non_null(other);
	shared_add(shared, 1, COUNTER_CONNECTIONS, 2);
	shared_add(other, 511, COUNTER_CONNECTIONS, 40);
	assert_true(shared_sum(shared, COUNTER_CONNECTIONS) == 42);
	assert_memory_equal(shared->key, other->key, sizeof(shared->key));
	shm_unmap(&p, sizeof(struct shared));
}

static void
test_a_retired_row_keeps_its_totals_and_loses_its_gauges(void **state)
{
	(void)state;
	shared_add(shared, 3, COUNTER_SESSIONS, 5);
	shared_add(shared, 3, COUNTER_LOGIN_OK, 7);
	shared_add(shared, 4, COUNTER_SESSIONS, 1);
	shared_retire(shared, 3);
	assert_true(shared_sum(shared, COUNTER_SESSIONS) == 1);
	assert_true(shared_sum(shared, COUNTER_LOGIN_OK) == 7);
	shared_retire(shared, 3);
	assert_true(shared_sum(shared, COUNTER_LOGIN_OK) == 7);
}

static void
test_every_counter_has_a_name_of_its_own(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < COUNTER_NCOUNTERS; i++) {
		assert_non_null(counter_name((enum counter)i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(counter_name((enum counter)i),
			    counter_name((enum counter)j));
	}
}

static void
test_the_upstreams_state_is_read_as_written(void **state)
{
	struct upstream_state in = { .naddresses = 2, .probe_ok = 1 };
	struct upstream_state out = { 0 };
	uint32_t before = 0, after = 0;

	(void)state;
	shared_upstream_read(shared, &out, &before);
	assert_int_equal(out.naddresses, 0);
	assert_int_equal(before, shared_upstream_version(shared));
	shared_upstream_write(shared, &in);
	shared_upstream_read(shared, &out, &after);
	assert_int_not_equal(before, after);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void
test_a_writer_that_was_killed_stops_neither_readers_nor_the_next(void **state)
{
	struct upstream_state in = { .naddresses = 1 };
	struct upstream_state out = { .naddresses = 9 };
	uint32_t version = 1234;

	(void)state;
	atomic_fetch_add(&shared->upstream_seq, 1);
	shared_upstream_read(shared, &out, &version);
	assert_int_equal(out.naddresses, 9);
	assert_int_equal(version, 1234);
	shared_upstream_write(shared, &in);
	shared_upstream_read(shared, &out, &version);
	assert_int_equal(out.naddresses, 1);
	assert_int_equal(version % 2, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_counters_are_summed_over_all_rows_and_maps),
		T(test_a_retired_row_keeps_its_totals_and_loses_its_gauges),
		T(test_every_counter_has_a_name_of_its_own),
		T(test_the_upstreams_state_is_read_as_written),
		T(test_a_writer_that_was_killed_stops_neither_readers_nor_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
