/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Queues and answer pairs of a generation.
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

static struct queue_stock stock;
static const uint8_t record[512] = { 1 };

static int
setup(void **state)
{
	struct error err;

	(void)state;
	stock = (struct queue_stock){ 0 };
	return queue_stock_fill(&stock, &err);
}

static int
teardown(void **state)
{
	(void)state;
	queue_stock_close(&stock);
	return 0;
}

static bool
has_record(int fd)
{
	uint8_t to[sizeof(record)];

	return recv(fd, to, sizeof(to), MSG_DONTWAIT) == sizeof(record);
}

static void
test_answers_reach_their_asker_alone(void **state)
{
	struct channels c;
	struct error err;

	(void)state;
	assert_int_equal(channels_open(&c, &stock, 3, &err), 0);
	assert_true(
	    channels_answer(&c, POOL_AUTH, 1, record, sizeof(record)));
	assert_false(has_record(c.answers[POOL_AUTH][0][READ_END]));
	assert_false(has_record(c.answers[POOL_POLICY][1][READ_END]));
	assert_true(has_record(c.answers[POOL_AUTH][1][READ_END]));
	channels_close(&c, &stock);
}

static void
test_there_is_no_answer_for_askers_that_are_not(void **state)
{
	struct channels c;
	struct error err;

	(void)state;
	assert_int_equal(channels_open(&c, &stock, 3, &err), 0);
	assert_false(
	    channels_answer(&c, POOL_AUTH, 3, record, sizeof(record)));
	assert_false(
	    channels_answer(&c, POOL_AUTH, 0xffff, record, sizeof(record)));
	channels_close(&c, &stock);
}

static void
test_a_full_queue_says_so_at_once(void **state)
{
	struct channels c;
	struct error err;
	int i;

	(void)state;
	assert_int_equal(channels_open(&c, &stock, 1, &err), 0);
	for (i = 0; i < 100000; i++)
		if (!channels_ask(&c, POOL_AUTH, record, sizeof(record)))
			break;
	assert_in_range(i, 100, 99999);
	channels_close(&c, &stock);
}

static void
test_a_queue_is_empty_when_it_is_used_again(void **state)
{
	struct channels c;
	struct error err;
	int i, fd, times;

	(void)state;
	assert_int_equal(channels_open(&c, &stock, 1, &err), 0);
	fd = c.queue[POOL_POLICY][READ_END];
	for (i = 0; i < 100; i++)
		channels_ask(&c, POOL_POLICY, record, sizeof(record));
	channels_close(&c, &stock);
	for (times = 0; times < 2; times++) {
		assert_int_equal(channels_open(&c, &stock, 1, &err), 0);
		assert_int_equal(c.queue[POOL_POLICY][READ_END], fd);
		assert_false(has_record(fd));
		channels_close(&c, &stock);
	}
}

static void
test_more_generations_than_the_stock_serves_still_start(void **state)
{
	struct channels c[QUEUE_STOCK / NPOOLS + 2];
	struct error err;
	size_t i, n = sizeof(c) / sizeof(c[0]);

	(void)state;
	for (i = 0; i < n; i++)
		assert_int_equal(channels_open(&c[i], &stock, 1, &err), 0);
	assert_true(
	    channels_ask(&c[n - 1], POOL_AUTH, record, sizeof(record)));
	assert_true(has_record(c[n - 1].queue[POOL_AUTH][READ_END]));
	for (i = 0; i < n; i++)
		channels_close(&c[i], &stock);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_answers_reach_their_asker_alone),
		T(test_there_is_no_answer_for_askers_that_are_not),
		T(test_a_full_queue_says_so_at_once),
		T(test_a_queue_is_empty_when_it_is_used_again),
		T(test_more_generations_than_the_stock_serves_still_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
