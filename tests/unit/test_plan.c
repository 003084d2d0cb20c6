/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The plan's way to the master.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <netinet/in.h>

#include "ipc/plan.h"

static uint8_t buf[65536];

static void
fill(struct plan *p)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(465) };
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(587) };

	*p = (struct plan){ .nsession = 2, .nauth = 8, .npolicy = 4 };
	p->nlisteners = 2;
	memcpy(&p->listeners[0].address, &in6, sizeof(in6));
	p->listeners[0].address_len = sizeof(in6);
	p->listeners[0].backlog = 511;
	p->listeners[0].dual_stack = true;
	memcpy(&p->listeners[1].address, &in, sizeof(in));
	p->listeners[1].address_len = sizeof(in);
	p->listeners[1].backlog = 5;
	p->nmodules = 2;
	p->modules[0].role = ROLE_AUTH;
	strncpy(p->modules[0].name, "auth people", 63);
	p->modules[1].role = ROLE_POLICY;
	strncpy(p->modules[1].name, "store", 63);
	p->session_uid = 1, p->auth_uid = 2, p->policy_uid = 3;
	p->session_gid = 4, p->auth_gid = 5, p->policy_gid = 6;
	p->control_gid = 7;
	strncpy(p->chroot_dir, "/run/portero/empty", 255);
	strncpy(p->control_socket, "/run/portero/control", 107);
	strncpy(p->state_dir, "/var/lib/portero", 255);
	p->log_kind = 1;
	p->log_level = 2;
	strncpy(p->log_path, "/var/log/portero.log", 255);
	p->drain_timeout_ms = 620000;
	p->stop_timeout_ms = 30000;
	p->auth_deadline_ms = 5000;
	p->policy_deadline_ms = 1000;
}

static void
test_a_plan_comes_back_as_it_was(void **state)
{
	struct plan a, b;
	size_t len;

	(void)state;
	fill(&a);
	len = plan_encode(buf, sizeof(buf), &a);
	assert_true(len > 0);
	assert_int_equal(plan_decode(buf, len, &b), 0);
	/* Both began as zeroes, padding included. */
	assert_memory_equal(&a, &b, sizeof(a));
}

static void
test_every_other_length_is_refused(void **state)
{
	struct plan a, b;
	size_t i, len;

	(void)state;
	fill(&a);
	len = plan_encode(buf, sizeof(buf), &a);
	buf[len] = 0;
	for (i = 0; i <= len + 1; i++)
		if (i != len)
			assert_int_equal(plan_decode(buf, i, &b), -1);
	for (i = 0; i < len; i++)
		assert_int_equal(plan_encode(buf, i, &a), 0);
}

static void
test_the_largest_plan_fits_a_lifeline_record(void **state)
{
	struct plan a, b;
	unsigned i;
	size_t len;

	(void)state;
	fill(&a);
	a.nlisteners = MAX_LISTENERS;
	for (i = 1; i < MAX_LISTENERS; i++)
		a.listeners[i] = a.listeners[0];
	a.nmodules = MAX_MODULES;
	for (i = 0; i < MAX_MODULES; i++) {
		a.modules[i] = a.modules[0];
		memset(a.modules[i].name, 'n', 63);
	}
	len = plan_encode(buf, 61440, &a);
	assert_true(len > 0);
	assert_int_equal(plan_decode(buf, len, &b), 0);
}

static void
set_family(struct plan *p)
{
	p->listeners[0].address.ss_family = AF_UNIX;
}
static void
set_length(struct plan *p)
{
	p->listeners[0].address_len = sizeof(struct sockaddr_in);
}
static void
set_backlog(struct plan *p)
{
	p->listeners[0].backlog = 0;
}
static void
set_nsession(struct plan *p)
{
	p->nsession = MAX_SESSION_WORKERS + 1;
}
static void
set_nauth(struct plan *p)
{
	p->nauth = 0;
}
static void
set_role(struct plan *p)
{
	p->modules[1].role = ROLE_SESSION;
}
static void
set_timeout(struct plan *p)
{
	p->drain_timeout_ms = -1;
}
static void
set_log_kind(struct plan *p)
{
	p->log_kind = 3;
}
static void
set_log_level(struct plan *p)
{
	p->log_level = 4;
}
static void
set_no_listener(struct plan *p)
{
	p->nlisteners = 0;
}

static void
test_values_out_of_range_are_refused(void **state)
{
	static void (*const break_it[])(struct plan *) = { set_family,
		set_length, set_backlog, set_nsession, set_nauth, set_role,
		set_timeout, set_log_kind, set_log_level, set_no_listener };
	struct plan a, b;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(break_it) / sizeof(break_it[0]); i++) {
		fill(&a);
		break_it[i](&a);
		len = plan_encode(buf, sizeof(buf), &a);
		assert_true(len > 0);
		if (plan_decode(buf, len, &b) != -1)
			fail_msg("case %zu was taken", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_plan_comes_back_as_it_was),
		cmocka_unit_test(test_every_other_length_is_refused),
		cmocka_unit_test(test_the_largest_plan_fits_a_lifeline_record),
		cmocka_unit_test(test_values_out_of_range_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
