/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which sockets there are and who gets them. They are bound to the loopback
 * interface, port 0; nothing connects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/listener.h"

static struct listeners listeners;
static struct listener *used[4][MAX_LISTENERS];

static int
teardown(void **state)
{
	(void)state;
	listeners_close(&listeners);
	listeners = (struct listeners){ 0 };
	return 0;
}

/* Listens on 127.0.0.(1 to n) with so many session workers. */
static struct plan
plan_of(unsigned nsession, unsigned n)
{
	struct plan p = { .nsession = nsession, .nlisteners = n };
	unsigned i;

	for (i = 0; i < n; i++) {
		struct sockaddr_in in = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i) };

		memcpy(&p.listeners[i].address, &in, sizeof(in));
		p.listeners[i].address_len = sizeof(in);
		p.listeners[i].backlog = 5;
	}
	return p;
}

static unsigned
use(unsigned which, const struct plan *p)
{
	struct error err = { .text = "" };
	unsigned width = 0;

	if (listeners_use(&listeners, p, used[which], &width, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(listeners_listen(used[which], p, &err), 0);
	return width;
}

static void
commit(unsigned which, const struct plan *p)
{
	listeners_commit(&listeners, used[which], p->nlisteners,
	    use(which, p));
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
test_every_slot_has_a_socket_of_its_own(void **state)
{
	struct plan p = plan_of(3, 2);
	unsigned i, j;

	(void)state;
	assert_int_equal(use(0, &p), 3);
	for (i = 0; i < 3; i++)
		for (j = 0; j < i; j++)
			assert_int_not_equal(listener_socket(used[0][0], i),
			    listener_socket(used[0][0], j));
	assert_ptr_not_equal(used[0][0], used[0][1]);
}

static void
test_the_next_generation_has_the_same_sockets(void **state)
{
	struct plan p = plan_of(2, 1);
	int fd;

	(void)state;
	commit(0, &p);
	fd = listener_socket(used[0][0], 1);
	assert_int_equal(use(1, &p), 2);
	assert_int_equal(listener_socket(used[1][0], 1), fd);
	listeners_release(&listeners, used[0], 1);
	assert_true(is_open(fd));
	listeners_release(&listeners, used[1], 1);
	assert_false(is_open(fd));
}

static void
test_an_address_left_out_is_closed_at_once(void **state)
{
	struct plan two = plan_of(2, 2), one = plan_of(2, 1);
	int kept, left_out;

	(void)state;
	commit(0, &two);
	kept = listener_socket(used[0][0], 0);
	left_out = listener_socket(used[0][1], 0);
	commit(1, &one);
	assert_true(is_open(kept));
	assert_false(is_open(left_out));
	/* and it comes back while the first generation still drains */
	commit(2, &two);
	assert_ptr_equal(used[2][1], used[0][1]);
	assert_true(is_open(listener_socket(used[2][1], 1)));
	listeners_shut(&listeners);
	assert_false(is_open(kept));
}

static void
test_fewer_slots_take_all_sockets_between_them(void **state)
{
	static const unsigned slots[] = { 1, 2, 3, 4, 5, 7 };
	unsigned i, slot, round, rounds, covered;
	struct plan p = plan_of(7, 1);

	(void)state;
	commit(0, &p);
	for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		p = plan_of(slots[i], 1);
		assert_int_equal(use(1, &p), 7);
		covered = 0;
		for (slot = 0; slot < slots[i]; slot++) {
			rounds = listeners_rounds(7, slots[i], slot);
			for (round = 0; round < rounds; round++)
				covered |= 1u << (slot + round * slots[i]);
		}
		assert_int_equal(covered, 0x7f);
		listeners_release(&listeners, used[1], 1);
	}
}

static void
test_a_generation_that_failed_leaves_no_socket_behind(void **state)
{
	struct plan two = plan_of(2, 1), five = plan_of(5, 2);
	int kept, extra, other;

	(void)state;
	commit(0, &two);
	assert_int_equal(use(1, &five), 5);
	kept = listener_socket(used[0][0], 1);
	extra = listener_socket(used[0][0], 4);
	other = listener_socket(used[1][1], 0);
	listeners_abandon(&listeners);
	assert_true(is_open(kept));
	assert_false(is_open(extra));
	listeners_release(&listeners, used[1], 2);
	assert_false(is_open(other));
	assert_int_equal(use(2, &two), 2);
	assert_int_equal(listener_socket(used[2][0], 1), kept);
}

static void
test_an_address_of_others_is_refused_and_nothing_stays(void **state)
{
	struct plan p = plan_of(2, 2);
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	socklen_t len = sizeof(in);
	const int on = 1;
	struct error err;
	unsigned width;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	memcpy(&p.listeners[1].address, &in, sizeof(in));
	assert_int_equal(
	    listeners_use(&listeners, &p, used[0], &width, &err), -1);
	assert_non_null(strstr(err.text, "127.0.0.2:"));
	assert_null(listeners.first);
	close(fd);
}

static void
test_sockets_that_were_given_are_shared_by_all_slots(void **state)
{
	struct plan p = plan_of(3, 1);
	struct listener *l = calloc(1, sizeof(*l));
	int given = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	l->at = p.listeners[0];
	l->given = true;
	l->fds = calloc(1, sizeof(*l->fds));
	l->fds[0] = given;
	l->nfds = 1;
	listeners.first = l;
	assert_int_equal(use(0, &p), 3);
	assert_ptr_equal(used[0][0], l);
	assert_int_equal(listener_socket(l, 0), given);
	assert_int_equal(listener_socket(l, 2), given);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, teardown)
		T(test_every_slot_has_a_socket_of_its_own),
		T(test_the_next_generation_has_the_same_sockets),
		T(test_an_address_left_out_is_closed_at_once),
		T(test_fewer_slots_take_all_sockets_between_them),
		T(test_a_generation_that_failed_leaves_no_socket_behind),
		T(test_an_address_of_others_is_refused_and_nothing_stays),
		T(test_sockets_that_were_given_are_shared_by_all_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
