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
#include <stdio.h>
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
	struct upstream_state in = { .naddresses = 2, .up_since_ms = 1 };
	struct upstream_state out = { 0 };
	struct upstream_slot *slot = shared->upstreams;
	uint32_t before = 0, after = 0;

	(void)state;
	shared_upstream_read(slot, &out, &before);
	assert_int_equal(out.naddresses, 0);
	assert_int_equal(before, shared_upstream_version(slot));
	shared_upstream_write(slot, &in);
	shared_upstream_read(slot, &out, &after);
	assert_int_not_equal(before, after);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void
test_a_writer_that_was_killed_stops_neither_readers_nor_the_next(void **state)
{
	struct upstream_state in = { .naddresses = 1 };
	struct upstream_state out = { .naddresses = 9 };
	struct upstream_slot *slot = shared->upstreams;
	uint32_t version = 1234;

	(void)state;
	atomic_fetch_add(&slot->seq, 1);
	shared_upstream_read(slot, &out, &version);
	assert_int_equal(out.naddresses, 9);
	assert_int_equal(version, 1234);
	shared_upstream_write(slot, &in);
	shared_upstream_read(slot, &out, &version);
	assert_int_equal(out.naddresses, 1);
	assert_int_equal(version % 2, 0);
}

static void
test_a_hosts_slot_is_found_again_by_the_next_generation(void **state)
{
	struct upstream_state in = { .naddresses = 3 }, out = { 0 };
	struct upstream_slot *a, *b;

	(void)state;
	a = shared_upstream_claim(shared, "/a:25", 1);
	b = shared_upstream_claim(shared, "/b:25", 1);
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	shared_upstream_write(a, &in);
	atomic_store(&a->drained, 1);
	assert_ptr_equal(shared_upstream_claim(shared, "/a:25", 2), a);
	shared_upstream_read(a, &out, NULL);
	assert_int_equal(out.naddresses, 3);
	assert_int_equal(atomic_load(&a->drained), 1);
}

static void
test_slots_of_past_generations_are_used_again_and_empty(void **state)
{
	struct upstream_state in = { .naddresses = 3 }, out = in;
	struct upstream_slot *slot = NULL;
	char name[32];
	uint32_t generation, i;

	(void)state;
	for (generation = 1; generation <= 12; generation++)
		for (i = 0; i < MAX_UPSTREAM_HOSTS; i++) {
			snprintf(name, sizeof(name), "/h%u-%u:25", generation,
			    i);
			slot = shared_upstream_claim(shared, name, generation);
			assert_non_null(slot);
			assert_int_equal(atomic_load(&slot->drained), 0);
			shared_upstream_read(slot, &out, NULL);
			assert_int_equal(out.naddresses, 0);
			shared_upstream_write(slot, &in);
			atomic_store(&slot->drained, 1);
		}
	/* those that may still serve were left alone */
	assert_string_equal(
	    shared_upstream_claim(shared, "/h8-0:25", 12)->name, "/h8-0:25");
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
		T(test_a_hosts_slot_is_found_again_by_the_next_generation),
		T(test_slots_of_past_generations_are_used_again_and_empty),
		T(test_a_writer_that_was_killed_stops_neither_readers_nor_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
