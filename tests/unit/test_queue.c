/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A pool worker's one blocking call: questions and orders both end it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/board.h"
#include "policy/queue.h"

enum { READ_END, WRITE_END };

static int questions[2], lifeline[2];
static uint8_t buf[16], head[4];
static size_t len;

static int
setup(void **state)
{
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
	struct error err;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, type, 0, questions), 0);
	assert_int_equal(socketpair(AF_UNIX, type, 0, lifeline), 0);
	assert_int_equal(queue_open(questions[READ_END], lifeline[READ_END],
			     head, sizeof head, &err),
	    0);
	/* there may be an order from before */
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_ORDER);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		close(questions[i]);
		close(lifeline[i]);
	}
	queue_close();
	return 0;
}

static void
say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void
test_questions_come_in_order_and_whole(void **state)
{
	(void)state;
	say(questions[WRITE_END], "one");
	say(questions[WRITE_END], "a question of 24 bytes..");
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_RECORD);
	assert_int_equal(len, 3);
	assert_memory_equal(buf, "one", 3);
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_RECORD);
	assert_int_equal(len, 24); /* more than there is room for: cut */
	assert_memory_equal(buf, "a question of 24", 16);
	assert_memory_equal(head, "a qu", 4); /* it stands there first */
	assert_int_equal(queue_next(buf, sizeof buf, false, &len), QUEUE_EMPTY);
}

static void
test_an_order_comes_before_the_next_question(void **state)
{
	(void)state;
	say(questions[WRITE_END], "one");
	say(lifeline[WRITE_END], "order");
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_ORDER);
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_RECORD);
	assert_memory_equal(buf, "one", 3);
}

static void
test_a_lost_master_is_an_order_too(void **state)
{
	(void)state;
	shutdown(lifeline[WRITE_END], SHUT_RDWR);
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_ORDER);
	/* and those who drain are still served */
	say(questions[WRITE_END], "one");
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_RECORD);
}

static void
test_a_queue_without_askers_is_closed(void **state)
{
	(void)state;
	say(questions[WRITE_END], "last");
	shutdown(questions[WRITE_END], SHUT_RDWR);
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_RECORD);
	assert_int_equal(queue_next(buf, sizeof buf, true, &len), QUEUE_CLOSED);
}

/* ---- workers that rest -------------------------------------------------- */

static _Atomic uint32_t *calls;

/* A child that rests; tells of each question by a byte. */
static pid_t
fork_reserve(int back)
{
	pid_t pid = fork();
	struct error err;

	if (pid != 0)
		return pid;
	alarm(20); /* a lost call is a failure, not a hang */
	queue_close();
	if (queue_open(questions[READ_END], lifeline[READ_END], NULL, 0,
		&err) == -1)
		_exit(1);
	queue_rest(calls);
	for (;;) {
		switch (queue_next(buf, sizeof buf, true, &len)) {
		case QUEUE_RECORD:
			if (write(back, "", 1) != 1)
				_exit(2);
			break;
		case QUEUE_ORDER:
			if (recv(lifeline[READ_END], buf, sizeof buf,
				MSG_DONTWAIT) > 0)
				_exit(0);
			break;
		default:
			_exit(3);
		}
	}
}

/* Called at any instant, it takes all there is. */
static void
test_who_rests_comes_when_called(void **state)
{
	int back[2], status;
	pid_t pid;
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, back), 0);
	pid = fork_reserve(back[1]);
	for (int i = 0; i < 2000; i++) {
		say(questions[WRITE_END], "one");
		say(questions[WRITE_END], "two");
		board_call(calls);
		assert_int_equal(read(back[0], &byte, 1), 1);
		assert_int_equal(read(back[0], &byte, 1), 1);
	}
	say(lifeline[WRITE_END], "order");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(back[0]);
	close(back[1]);
}

static void
test_who_rests_leaves_questions_to_others(void **state)
{
	int back[2], status, own = 0;
	pid_t pid;
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, back), 0);
	pid = fork_reserve(back[1]);
	say(questions[WRITE_END], "one");
	assert_int_equal(read(back[0], &byte, 1), 1);
	for (int i = 0; i < 100; i++) {
		say(questions[WRITE_END], "one");
		if (queue_next(buf, sizeof buf, false, &len) == QUEUE_RECORD)
			own++;
	}
	/* it may look just then, once a second */
	assert_in_range(own, 90, 100);
	/* but they do not wait for ever, should nobody call */
	say(questions[WRITE_END], "one");
	for (; own <= 100; own++)
		assert_int_equal(read(back[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(back[0]);
	close(back[1]);
}

/* ---- orders -------------------------------------------------------------- */

/* A child waits in the call; the parent's order must end the wait, at any
 * instant: again and again, without a pause between. */
static void
order_again_and_again(bool rests)
{
	int back[2], status;
	pid_t pid;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, back), 0);
	pid = fork();
	if (pid == 0) {
		struct error err;

		alarm(20); /* a lost order is a failure, not a hang */
		queue_close();
		if (queue_open(questions[READ_END], lifeline[READ_END], NULL,
			0, &err) == -1)
			_exit(1);
		if (rests)
			queue_rest(calls);
		for (int orders = 0; orders < 3000;) {
			if (queue_next(buf, sizeof buf, true, &len) !=
			    QUEUE_ORDER)
				_exit(2);
			while (recv(lifeline[READ_END], buf, sizeof buf,
				   MSG_DONTWAIT) > 0) {
				orders++;
				if (write(back[1], "", 1) != 1)
					_exit(3);
			}
		}
		_exit(0);
	}
	for (int i = 0; i < 3000; i++) {
		say(lifeline[WRITE_END], "order");
		if (read(back[0], &byte, 1) != 1)
			break;
	}
	close(back[0]);
	close(back[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_an_order_ends_a_wait_whenever_it_comes(void **state)
{
	(void)state;
	order_again_and_again(false);
}

static void
test_an_order_ends_a_rest_whenever_it_comes(void **state)
{
	(void)state;
	order_again_and_again(true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_questions_come_in_order_and_whole),
		TEST(test_an_order_comes_before_the_next_question),
		TEST(test_a_lost_master_is_an_order_too),
		TEST(test_a_queue_without_askers_is_closed),
		TEST(test_who_rests_comes_when_called),
		TEST(test_who_rests_leaves_questions_to_others),
		TEST(test_an_order_ends_a_wait_whenever_it_comes),
		TEST(test_an_order_ends_a_rest_whenever_it_comes),
	};

	calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (calls == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
