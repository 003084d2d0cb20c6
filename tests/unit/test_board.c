/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A generation's board and its open reservations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <unistd.h>

#include "base/shm.h"
#include "ipc/board.h"

static struct board board;
static int fd;

static int
setup(void **state)
{
	struct error err;

	(void)state;
	fd = board_create(&board, 2, 8, 4, &err);
	return fd == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	board_unmap(&board);
	return close(fd);
}

static struct reservation *
take(unsigned slot, uint32_t incarnation, unsigned *hint)
{
	struct reservation *r =
	    reservation_take(&board, slot, incarnation, hint);

	if (r != NULL)
		atomic_store(&r->state, RESERVATION_OPEN);
	return r;
}

static void
test_two_maps_show_the_same_board(void **state)
{
	struct board other;
	struct error err;
	unsigned hint = 0;

	(void)state;
	assert_int_equal(board_map(&other, fd, &err), 0);
	assert_int_equal(other.nsession, 2);
	assert_int_equal(other.nauth, 8);
	assert_int_equal(other.npolicy, 4);
	atomic_store(&other.policy[3].busy, 7);
	atomic_store(&other.beats[1].beat_ns, 77);
	assert_int_equal(atomic_load(&board.policy[3].busy), 7);
	assert_int_equal(atomic_load(&board.beats[1].beat_ns), 77);
	assert_non_null(take(1, 5, &hint));
	assert_int_equal(other.reservations[RESERVATIONS_PER_SLOT].incarnation,
	    5);
	board_unmap(&other);
	assert_null(other.header);
}

static void
test_arrays_do_not_overlap(void **state)
{
	char *end = (char *)board.header + board.size;

	(void)state;
	assert_true((char *)(board.auth + 8) <= (char *)board.policy);
	assert_true((char *)(board.policy + 4) <= (char *)board.beats);
	assert_true((char *)(board.beats + 2) <= (char *)board.reservations);
	assert_true((char *)(board.reservations + 2 * RESERVATIONS_PER_SLOT) <=
	    end);
}

static void
test_numbers_that_do_not_fit_the_size_are_refused(void **state)
{
	static const uint32_t wrong[][3] = { { 3, 8, 4 }, { 2, 7, 4 },
		{ 2, 8, 40 }, { 4000000000, 8, 4 }, { 0, 0, 0 } };
	const off_t at = sizeof(struct shm_header);
	struct board other;
	struct error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(pwrite(fd, wrong[i], 12, at), 12);
		assert_int_equal(board_map(&other, fd, &err), -1);
	}
}

static void
test_a_slot_gives_each_of_its_entries_once(void **state)
{
	struct reservation *first = board.reservations;
	unsigned hint = 0, i;
	struct reservation *r;

	(void)state;
	for (i = 0; i < RESERVATIONS_PER_SLOT; i++) {
		r = take(0, 9, &hint);
		assert_non_null(r);
		assert_true(r >= first && r < first + RESERVATIONS_PER_SLOT);
		assert_int_equal(r->incarnation, 9);
	}
	assert_null(take(0, 9, &hint));
	atomic_store(&first[1234].state, RESERVATION_FREE);
	assert_ptr_equal(take(0, 9, &hint), &first[1234]);
	assert_null(take(0, 9, &hint));
	hint = 0;
	assert_non_null(take(1, 9, &hint));
}

static void
test_few_open_reservations_touch_few_entries(void **state)
{
	struct reservation *held[10] = { 0 };
	unsigned hint = 0;
	int i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		if (held[i % 10] != NULL)
			atomic_store(&held[i % 10]->state, RESERVATION_FREE);
		held[i % 10] = take(0, 9, &hint);
		assert_non_null(held[i % 10]);
	}
	assert_int_equal(board.reservations[32].incarnation, 0);
}

/* The master stops its search at the first entry that was never used. */
static void
test_entries_come_into_use_in_order_even_behind_a_dead_process(void **state)
{
	unsigned hint = 0, i;

	(void)state;
	for (i = 0; i < 700; i++)
		assert_non_null(take(0, 1, &hint));
	for (i = 0; i < 700; i += 3)
		atomic_store(&board.reservations[i].state, RESERVATION_FREE);
	hint = 0; /* another process in the same slot */
	for (i = 0; i < 900; i++)
		assert_non_null(take(0, 2, &hint));
	for (i = RESERVATIONS_PER_SLOT; i > 0; i--)
		if (board.reservations[i - 1].incarnation != 0)
			break;
	while (i > 0)
		assert_int_not_equal(board.reservations[--i].incarnation, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_two_maps_show_the_same_board),
		T(test_arrays_do_not_overlap),
		T(test_numbers_that_do_not_fit_the_size_are_refused),
		T(test_a_slot_gives_each_of_its_entries_once),
		T(test_few_open_reservations_touch_few_entries),
		T(test_entries_come_into_use_in_order_even_behind_a_dead_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
