/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines of plugins: a call that waits on a guarded descriptor ends when
 * the time is over, whatever alarms were set for questions before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/host.h"

#define BUSY_MS 2000 /* of a machine that does other things */
#define LONG_MS 60000

static struct host host;
static int guarded, peer;

static int
setup(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	guarded = pair[0];
	peer = pair[1];
	assert_int_equal(host.api.guard(&host.api, guarded), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	host.api.unguard(&host.api, guarded);
	host_end();
	close(guarded);
	close(peer);
	return 0;
}

static void
begin(int64_t ms)
{
	host_begin(clock_mono_ns() + ms * CLOCK_NS_PER_MS, STR("s1"));
}

/* As a plugin does whose library has no timeout. How long it took. */
static int64_t
wait_for_ever(void)
{
	int64_t from_ns = clock_mono_ns();
	char byte;

	while (recv(guarded, &byte, 1, 0) == -1)
		continue;
	return (clock_mono_ns() - from_ns) / CLOCK_NS_PER_MS;
}

static void
test_a_call_that_waits_ends_a_little_before_the_deadline(void **state)
{
	int64_t waited_ms;

	(void)state;
	begin(40);
	assert_in_range(host.api.time_left_ms(&host.api), 0, 36);
	waited_ms = wait_for_ever();
	assert_in_range(waited_ms, 30, 36 + BUSY_MS);
	assert_true(host_is_late());
	assert_int_equal(host.api.time_left_ms(&host.api), 0);
}

static void
test_the_alarm_of_the_last_question_is_good_for_the_next(void **state)
{
	int64_t waited_ms;

	(void)state;
	begin(50);
	host_end();
	begin(51); /* both are near enough */
	waited_ms = wait_for_ever();
	assert_in_range(waited_ms, 35, 46 + BUSY_MS);
	assert_true(host_is_late());
}

static void
test_an_earlier_alarm_does_not_end_a_longer_question(void **state)
{
	struct pollfd p;

	(void)state;
	begin(20);
	host_end();
	begin(LONG_MS);
	p = (struct pollfd){ .fd = guarded, .events = POLLIN };
	assert_int_not_equal(poll(&p, 1, 40), 1);
	assert_false(host_is_late());
	assert_true(host.api.time_left_ms(&host.api) > LONG_MS / 2);
}

static void
test_who_is_hurried_has_less_time(void **state)
{
	(void)state;
	begin(LONG_MS);
	assert_true(host_hurry(40));
	assert_in_range(host.api.time_left_ms(&host.api), 0, 40);
	assert_in_range(wait_for_ever(), 30, 40 + BUSY_MS);
	assert_true(host_is_late());
	host_hurry_over();
	assert_false(host_is_late());
	assert_true(host.api.time_left_ms(&host.api) > LONG_MS / 2);
}

static void
test_a_second_hurry_ends_as_well(void **state)
{
	(void)state;
	begin(LONG_MS);
	host_hurry(50);
	host_hurry_over();
	host_hurry(50);
	assert_in_range(wait_for_ever(), 35, 50 + BUSY_MS);
	assert_true(host_is_late());
	host_hurry_over();
}

static void
test_a_hurry_that_is_over_ends_nothing(void **state)
{
	struct pollfd p;

	(void)state;
	begin(LONG_MS);
	host_hurry(20);
	host_hurry_over();
	p = (struct pollfd){ .fd = guarded, .events = POLLIN };
	assert_int_not_equal(poll(&p, 1, 60), 1); /* it may be interrupted */
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_false(host_is_late());
}

static void
test_nobody_is_hurried_who_has_less_time_anyway(void **state)
{
	(void)state;
	begin(40);
	assert_false(host_hurry(LONG_MS));
	assert_in_range(wait_for_ever(), 30, 36 + BUSY_MS);
	host_hurry_over();
	assert_true(host_is_late());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_call_that_waits_ends_a_little_before_the_deadline),
		TEST(test_the_alarm_of_the_last_question_is_good_for_the_next),
		TEST(test_an_earlier_alarm_does_not_end_a_longer_question),
		TEST(test_who_is_hurried_has_less_time),
		TEST(test_a_second_hurry_ends_as_well),
		TEST(test_a_hurry_that_is_over_ends_nothing),
		TEST(test_nobody_is_hurried_who_has_less_time_anyway),
	};
	const uint8_t key[HASH_KEY_LEN] = { 1 };
	struct error err;

	host_init(&host, "store", key);
	if (host_start(&err) == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
