/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lifeline records, over a socket pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/lifeline.h"

static int pair[2];
static uint8_t buf[LIFELINE_MAX + 32];

static int
setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int
teardown(void **state)
{
	(void)state;
	close(pair[0]);
	if (pair[1] != -1)
		close(pair[1]);
	return 0;
}

static void
test_a_record_arrives_as_it_was_sent(void **state)
{
	struct lifeline_record in,
	    out = { .type = ORDER_VERDICT, .id = UINT64_MAX - 1, .value = -5,
		    .text = STR("two\nlines"), .fd = -1 };

	(void)state;
	assert_int_equal(lifeline_send(pair[0], &out), 1);
	assert_int_equal(lifeline_receive(pair[1], &in, buf, sizeof(buf)), 1);
	assert_int_equal(in.type, ORDER_VERDICT);
	assert_true(in.id == UINT64_MAX - 1);
	assert_int_equal(in.value, -5);
	assert_true(str_eq(in.text, STR("two\nlines")));
	assert_int_equal(in.fd, -1);
	assert_int_equal(lifeline_receive(pair[1], &in, buf, sizeof(buf)), 0);
}

static void
test_the_longest_text_fits_the_receive_buffer(void **state)
{
	static char text[LIFELINE_MAX];
	struct lifeline_record in, out = { .type = REPORT_CHECKED, .fd = -1 };

	(void)state;
	memset(text, 'x', sizeof(text));
	out.text = (struct str){ text, sizeof(text) };
	assert_int_equal(lifeline_send(pair[0], &out), 1);
	assert_int_equal(lifeline_receive(pair[1], &in, buf, sizeof(buf)), 1);
	assert_true(str_eq(in.text, out.text));
}

static void
test_a_descriptor_travels_and_closes_on_exec(void **state)
{
	struct lifeline_record in, out = { .type = ORDER_LOG };
	int pipes[2];
	char c = 0;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	out.fd = pipes[1];
	assert_int_equal(lifeline_send(pair[0], &out), 1);
	assert_int_equal(lifeline_receive(pair[1], &in, buf, sizeof(buf)), 1);
	assert_int_not_equal(in.fd, -1);
	assert_true((fcntl(in.fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(write(in.fd, "!", 1), 1);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	assert_int_equal(c, '!');
	close(in.fd);
	close(pipes[0]);
	close(pipes[1]);
}

static void
test_the_other_end_gone_is_told_on_both_ways(void **state)
{
	struct lifeline_record in, out = { .type = ORDER_STOP, .fd = -1 };

	(void)state;
	close(pair[1]);
	pair[1] = -1;
	assert_int_equal(lifeline_send(pair[0], &out), -1);
	assert_int_equal(lifeline_receive(pair[0], &in, buf, sizeof(buf)), -1);
}

static void
test_a_full_socket_does_not_block(void **state)
{
	struct lifeline_record out = { .type = REPORT_READY, .fd = -1 };
	int i, ret = 1;

	(void)state;
	for (i = 0; i < 100000 && ret == 1; i++)
		ret = lifeline_send(pair[0], &out);
	assert_int_equal(ret, 0);
}

static void
test_broken_records_are_refused(void **state)
{
	static const size_t lengths[] = { 1, 8, 23, 25, 40 };
	struct lifeline_record in;
	uint8_t junk[64] = { 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(
		    send(pair[0], junk, lengths[i], 0), (ssize_t)lengths[i]);
		assert_int_equal(
		    lifeline_receive(pair[1], &in, buf, sizeof(buf)), -1);
	}
}

static void
test_a_record_longer_than_the_buffer_is_refused(void **state)
{
	struct lifeline_record in,
	    out = { .type = 1, .text = STR("longer than that"), .fd = -1 };

	(void)state;
	assert_int_equal(lifeline_send(pair[0], &out), 1);
	assert_int_equal(lifeline_receive(pair[1], &in, buf, 32), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_a_record_arrives_as_it_was_sent),
		T(test_the_longest_text_fits_the_receive_buffer),
		T(test_a_descriptor_travels_and_closes_on_exec),
		T(test_the_other_end_gone_is_told_on_both_ways),
		T(test_a_full_socket_does_not_block),
		T(test_broken_records_are_refused),
		T(test_a_record_longer_than_the_buffer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
