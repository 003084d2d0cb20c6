/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Settles that the master takes over from dead session workers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

#include "master/channels.h"
#include "master/owed.h"

static struct board board;
static struct owed owed;
static struct queue_stock stock;
static struct channels channels;
static unsigned hints[2];
static int fd;

static int
setup(void **state)
{
	struct error err;

	(void)state;
	owed = (struct owed){ 0 };
	hints[0] = hints[1] = 0;
	stock = (struct queue_stock){ 0 };
	fd = board_create(&board, 2, 1, 1, &err);
	if (fd == -1 || queue_stock_fill(&stock, &err) == -1)
		return -1;
	return channels_open(&channels, &stock, 3, &err);
}

static int
teardown(void **state)
{
	(void)state;
	channels_close(&channels, &stock);
	queue_stock_close(&stock);
	owed_free(&owed);
	board_unmap(&board);
	return close(fd);
}

/* A reservation as a session worker leaves it; the outcomes tell apart which
 * of its two records was sent. */
static struct reservation *
leave(unsigned slot, uint32_t incarnation, enum reservation_state state)
{
	struct reservation *r =
	    reservation_take(&board, slot, incarnation, &hints[slot]);
	const struct record_header h = { .asker = (uint16_t)slot };
	struct settle s = { .outcome = PORTERO_LOST, .id = STR("ana") };
	const struct settle_question q = { .nsettles = 1, .settles = &s };

	assert_non_null(r);
	r->len[0] = (uint16_t)settle_question_encode(r->record[0],
	    SETTLE_RECORD_MAX, &h, &q);
	s.outcome = PORTERO_OUTCOME_UNKNOWN;
	r->len[1] = (uint16_t)settle_question_encode(r->record[1],
	    SETTLE_RECORD_MAX, &h, &q);
	atomic_store(&r->state, state);
	return r;
}

/* The next question in the policy queue; its outcome, or -1: none. */
static int
next_sent(struct record_header *h)
{
	static uint8_t record[RECORD_MAX];
	struct record_scratch *scratch = record_scratch_new();
	struct settle_question q;
	int outcome;
	ssize_t n;

	n = recv(channels.queue[POOL_POLICY][READ_END], record, sizeof(record),
	    MSG_DONTWAIT);
	if (n == -1) {
		record_scratch_free(&scratch);
		return -1;
	}
	assert_int_equal(record_header_decode(record, (size_t)n, h), 0);
	assert_int_equal(
	    settle_question_decode(record, (size_t)n, &q, scratch), 0);
	outcome = (int)q.settles[0].outcome;
	record_scratch_free(&scratch);
	return outcome;
}

static void
test_only_what_the_dead_left_is_taken(void **state)
{
	struct reservation *dead, *living, *other;

	(void)state;
	dead = leave(0, 7, RESERVATION_OPEN);
	living = leave(0, 8, RESERVATION_OPEN);
	other = leave(1, 7, RESERVATION_OPEN);
	leave(0, 7, RESERVATION_FREE);
	assert_int_equal(owed_collect(&owed, &board, 0, 8), 1);
	assert_int_equal(atomic_load(&dead->state), RESERVATION_FREE);
	assert_int_equal(atomic_load(&living->state), RESERVATION_OPEN);
	assert_int_equal(atomic_load(&other->state), RESERVATION_OPEN);
	assert_int_equal(owed_collect(&owed, &board, 0, 8), 0);
}

static void
test_before_the_dot_gives_back_and_after_it_keeps(void **state)
{
	struct record_header h;

	(void)state;
	leave(0, 7, RESERVATION_OPEN);
	leave(0, 7, RESERVATION_PAST_DOT);
	assert_int_equal(owed_collect(&owed, &board, 0, 0), 2);
	owed_send(&owed, &channels, 5, 1000, 100);
	assert_int_equal(next_sent(&h), PORTERO_LOST);
	assert_int_equal(h.asker, ASKER_MASTER);
	assert_int_equal(h.generation, 5);
	assert_int_equal(h.deadline_ns, 1100 * INT64_C(1000000));
	assert_int_equal(next_sent(&h), PORTERO_OUTCOME_UNKNOWN);
	assert_int_equal(next_sent(&h), -1);
}

static void
test_each_second_again_until_it_is_settled(void **state)
{
	struct record_header first, again;

	(void)state;
	leave(0, 7, RESERVATION_OPEN);
	owed_collect(&owed, &board, 0, 0);
	assert_int_equal(owed_send(&owed, &channels, 1, 1000, 100), 1100);
	assert_int_equal(next_sent(&first), PORTERO_LOST);
	assert_int_equal(owed_send(&owed, &channels, 1, 1000, 1099), 1100);
	assert_int_equal(next_sent(&again), -1);
	assert_int_equal(owed_send(&owed, &channels, 2, 1000, 1100), 2100);
	assert_int_equal(next_sent(&again), PORTERO_LOST);
	assert_true(first.id == again.id);
	assert_int_equal(owed_settled(&owed, first.id + 1), 0);
	assert_int_equal(owed_settled(&owed, first.id), 1);
	assert_int_equal(owed_settled(&owed, first.id), 0);
	assert_int_equal(owed_send(&owed, &channels, 2, 1000, 5000), 0);
}

static void
test_many_are_sent_in_portions_and_all_are_settled(void **state)
{
	struct record_header h;
	int i, now = 0;
	unsigned done = 0;

	(void)state;
	for (i = 0; i < 1000; i++)
		leave(0, 7, RESERVATION_OPEN);
	assert_int_equal(owed_collect(&owed, &board, 0, 0), 1000);
	while (owed_send(&owed, &channels, 1, 1000, now++) != 0) {
		for (i = 0; next_sent(&h) != -1; i++)
			done += owed_settled(&owed, h.id);
		assert_in_range(i, 1, 64);
	}
	assert_int_equal(done, 1000);
}

static void
test_nonsense_on_the_board_is_dropped(void **state)
{
	struct reservation *r;

	(void)state;
	leave(0, 7, RESERVATION_OPEN)->len[0] = SETTLE_RECORD_MAX + 1;
	leave(0, 7, RESERVATION_OPEN)->len[0] = 3;
	r = leave(0, 7, RESERVATION_OPEN);
	r->record[0][1] = RECORD_JUDGE;
	leave(0, 7, (enum reservation_state)99);
	assert_int_equal(owed_collect(&owed, &board, 0, 0), 1);
	assert_int_equal(atomic_load(&r->state), RESERVATION_FREE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_only_what_the_dead_left_is_taken),
		T(test_before_the_dot_gives_back_and_after_it_keeps),
		T(test_each_second_again_until_it_is_settled),
		T(test_many_are_sent_in_portions_and_all_are_settled),
		T(test_nonsense_on_the_board_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
