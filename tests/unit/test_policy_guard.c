/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whom policy_guard holds up, and whom not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_host.h"

#define OFFICE "192.0.2.0/24"
#define HOTEL "198.51.100.0/24"
#define NOW_US (INT64_C(1795400000) * 1000000)
#define HOUR_US (INT64_C(3600) * 1000000)

struct fixture {
	struct portero_conf *conf;
	void *ctx, *share;
	struct portero_facts facts;
	struct portero_answer answer;
};

static struct portero_str
str(const char *text)
{
	return (struct portero_str){ text, strlen(text) };
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	char err[256] = "";
	size_t size;

	if (f == NULL)
		return -1;
	fake_host_set_now(NOW_US);
	f->conf = fake_conf_new(portero_plugin.options, "guard");
	fake_conf_set(f->conf, "network_failures", "6");
	fake_conf_set(f->conf, "person_failures", "4");
	fake_conf_set(f->conf, "per", "3600");
	fake_conf_set(f->conf, "remember", "2592000");
	fake_conf_set(f->conf, "entries", "1024");
	size = portero_plugin.share_size(&fake_host, f->conf);
	if (posix_memalign(&f->share, 64, size) != 0)
		return -1;
	memset(f->share, 0, size);
	if (portero_plugin.open(&fake_host, f->conf, f->share, size,
		PORTERO_SHARE_NEW, &f->ctx, err) == -1) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	f->facts = (struct portero_facts){ .size = sizeof f->facts,
		.stage = PORTERO_LOGIN,
		.client_address = str("192.0.2.7") };
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	portero_plugin.close(f->ctx);
	fake_conf_free(&f->conf);
	free(f->share);
	free(f);
	return 0;
}

static enum portero_verdict
judge(struct fixture *f, enum portero_attempt attempt, const char *login,
    const char *network, uint16_t tag)
{
	f->facts.attempt = attempt;
	f->facts.login = str(login);
	f->facts.client_network = str(network);
	f->facts.password_tag = tag;
	memset(&f->answer, 0, sizeof f->answer);
	f->answer.size = sizeof f->answer;
	return portero_plugin.policy->judge(f->ctx, &f->facts, &f->answer);
}

static void
fail_with(struct fixture *f, const char *login, const char *network,
    uint16_t tag)
{
	assert_int_equal(judge(f, PORTERO_ATTEMPT_WRONG, login, network, tag),
	    PORTERO_NEXT);
}

static void
succeed(struct fixture *f, const char *login, const char *network)
{
	assert_int_equal(judge(f, PORTERO_ATTEMPT_RIGHT, login, network, 0),
	    PORTERO_NEXT);
}

static void
assert_may_try(struct fixture *f, const char *login, const char *network)
{
	assert_int_equal(judge(f, PORTERO_ATTEMPT_BEGINS, login, network, 0),
	    PORTERO_NEXT);
}

static void
assert_waits(struct fixture *f, const char *login, const char *network,
    const char *reason)
{
	assert_int_equal(judge(f, PORTERO_ATTEMPT_BEGINS, login, network, 0),
	    PORTERO_DENY);
	assert_int_equal(f->answer.reply.code, 454);
	assert_string_equal(f->answer.reply.enhanced, "4.7.0");
	assert_string_equal(f->answer.reply.reason, reason);
}

static void
test_one_wrong_password_repeated_is_one_failure(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 100; i++) {
		assert_may_try(f, "ana", OFFICE);
		fail_with(f, "ana", OFFICE, 7);
	}
	assert_may_try(f, "ana", OFFICE);
	assert_may_try(f, "eva", OFFICE);
}

static void
test_many_wrong_passwords_of_a_name_are_stopped(void **state)
{
	struct fixture *f = *state;

	for (uint16_t tag = 0; tag < 4; tag++) {
		assert_may_try(f, "ana", OFFICE);
		fail_with(f, "ana", OFFICE, tag);
	}
	assert_waits(f, "ana", OFFICE, "guesses");
	assert_non_null(strstr(f->answer.reply.text, "in 60 minutes"));
	assert_may_try(f, "eva", OFFICE);
	fake_host_set_now(NOW_US + HOUR_US);
	assert_may_try(f, "ana", OFFICE);
}

static void
test_a_network_that_guesses_is_stopped_but_not_those_at_home(void **state)
{
	struct fixture *f = *state;
	char name[16];

	succeed(f, "ana", OFFICE);
	for (uint16_t i = 0; i < 6; i++) {
		snprintf(name, sizeof name, "user%d", i);
		assert_may_try(f, name, OFFICE);
		fail_with(f, name, OFFICE, i);
	}
	assert_waits(f, "eva", OFFICE, "guesses_network");
	assert_may_try(f, "eva", HOTEL);
	assert_may_try(f, "ana", OFFICE);
	/* she may mistype, but not as often as else */
	for (uint16_t tag = 0; tag < 3; tag++) {
		assert_may_try(f, "ana", OFFICE);
		fail_with(f, "ana", OFFICE, tag);
	}
	assert_waits(f, "ana", OFFICE, "guesses_network");
	fake_host_set_now(NOW_US + HOUR_US);
	assert_may_try(f, "eva", OFFICE);
}

static void
test_strangers_lock_nobody_out(void **state)
{
	struct fixture *f = *state;
	char network[32];

	succeed(f, "ana", OFFICE);
	for (uint16_t i = 0; i < 30; i++) {
		snprintf(network, sizeof network, "203.0.%d.0/24", i);
		assert_may_try(f, "ana", network);
		fail_with(f, "ana", network, i);
		/* four in all; then one from each network */
		if (i >= 3)
			assert_waits(f, "ana", network, "guesses_person");
	}
	assert_may_try(f, "ana", OFFICE);
	assert_may_try(f, "ana", HOTEL);
	/* ten times as many, and only her own networks are left to her */
	for (uint16_t i = 30; i < 40; i++) {
		snprintf(network, sizeof network, "203.0.%d.0/24", i);
		assert_may_try(f, "ana", network);
		fail_with(f, "ana", network, i);
	}
	assert_waits(f, "ana", HOTEL, "guesses_person");
	assert_may_try(f, "ana", OFFICE);
	succeed(f, "ana", HOTEL);
	fail_with(f, "ana", HOTEL, 1);
	assert_may_try(f, "ana", HOTEL);
}

static void
test_a_right_password_clears_what_was_mistyped(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 3; round++) {
		fail_with(f, "ana", OFFICE, (uint16_t)(round * 2));
		fail_with(f, "ana", OFFICE, (uint16_t)(round * 2 + 1));
		assert_may_try(f, "ana", OFFICE);
		succeed(f, "ana", OFFICE);
	}
	assert_may_try(f, "ana", OFFICE);
}

static void
test_who_is_let_off_begins_anew_and_nobody_else(void **state)
{
	struct fixture *f = *state;
	char network[32];

	for (uint16_t tag = 0; tag < 4; tag++) {
		fail_with(f, "ana", OFFICE, tag);
		fail_with(f, "eva", HOTEL, tag);
	}
	for (uint16_t i = 0; i < 40; i++) {
		snprintf(network, sizeof network, "203.0.%d.0/24", i);
		fail_with(f, "ana", network, i);
	}
	assert_waits(f, "ana", OFFICE, "guesses");
	assert_waits(f, "ana", "10.0.0.0/24", "guesses_person");
	fake_host_set_now(NOW_US + HOUR_US / 2);
	assert_int_equal(portero_plugin.policy->forget(f->ctx, str("ana")), 0);
	assert_may_try(f, "ana", OFFICE);
	assert_may_try(f, "ana", "10.0.0.0/24");
	assert_waits(f, "eva", HOTEL, "guesses");
	/* it is no leave to guess on */
	fake_host_set_now(NOW_US + HOUR_US / 2 + 1000000);
	for (uint16_t tag = 0; tag < 4; tag++) {
		assert_may_try(f, "ana", "10.0.0.0/24");
		fail_with(f, "ana", "10.0.0.0/24", tag);
	}
	assert_waits(f, "ana", "10.0.0.0/24", "guesses");
}

static void
test_who_cannot_be_let_off_is_told(void **state)
{
	struct fixture *f = *state;
	char name[16];

	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof name, "user%d", i);
		succeed(f, name, OFFICE);
	}
	assert_int_equal(portero_plugin.policy->forget(f->ctx, str("ana")),
	    -1);
}

static void
test_a_home_is_forgotten_in_time(void **state)
{
	struct fixture *f = *state;
	char name[16];

	succeed(f, "ana", OFFICE);
	fake_host_set_now(NOW_US + 31 * 24 * HOUR_US);
	for (uint16_t i = 0; i < 6; i++) {
		snprintf(name, sizeof name, "user%d", i);
		fail_with(f, name, OFFICE, i);
	}
	assert_waits(f, "ana", OFFICE, "guesses_network");
}

static void
test_exempt_clients_are_not_counted_together(void **state)
{
	struct fixture *f = *state;
	char name[16];

	f->facts.client_exempt = true;
	for (uint16_t i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "user%d", i);
		fail_with(f, name, OFFICE, i);
	}
	assert_may_try(f, "ana", OFFICE);
	for (uint16_t tag = 0; tag < 4; tag++)
		fail_with(f, "ana", OFFICE, tag);
	assert_waits(f, "ana", OFFICE, "guesses");
	f->facts.client_address = str("192.0.2.8");
	assert_may_try(f, "ana", OFFICE);
}

static void
test_a_full_memory_lets_in_those_at_home(void **state)
{
	struct fixture *f = *state;
	char name[16], network[32];

	succeed(f, "ana", OFFICE);
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof name, "user%d", i);
		snprintf(network, sizeof network, "10.%d.%d.0/24", i / 256,
		    i % 256);
		fail_with(f, name, network, 1);
	}
	assert_waits(f, "eva", HOTEL, "guesses_network");
	assert_may_try(f, "ana", OFFICE);
	fake_host_set_now(NOW_US + HOUR_US);
	assert_may_try(f, "eva", HOTEL);
}

static void
test_only_a_store_that_others_share_is_asked(void **state)
{
	struct fixture *f = *state;

	fail_with(f, "ana", OFFICE, 1);
	assert_int_equal(f->answer.ncharges, 0);
	f->facts.store_is_remote = true;
	fail_with(f, "ana", OFFICE, 2);
	assert_int_equal(f->answer.ncharges, 2);
	assert_int_equal(f->answer.charges[0].scope, PORTERO_PERSON);
	assert_string_equal(f->answer.charges[0].limit, "guard.person");
	assert_int_equal(f->answer.charges[0].max, 4);
	assert_int_equal(f->answer.charges[1].scope, PORTERO_NETWORK);
	assert_int_equal(f->answer.charges[1].window_s, 3600);
	assert_may_try(f, "ana", OFFICE);
	assert_int_equal(f->answer.ncharges, 2);
	assert_int_equal(f->answer.charges[0].max, 4);
	/* no failures here yet: what others count for the name matters less */
	assert_may_try(f, "ana", HOTEL);
	assert_int_equal(f->answer.ncharges, 2);
	assert_int_equal(f->answer.charges[0].max, 40);
	/* names that do not exist leave nothing */
	judge(f, PORTERO_ATTEMPT_NOBODY, "nobody", OFFICE, 1);
	assert_int_equal(f->answer.ncharges, 1);
	assert_int_equal(f->answer.charges[0].scope, PORTERO_NETWORK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_wrong_password_repeated_is_one_failure),
		TEST(test_many_wrong_passwords_of_a_name_are_stopped),
		TEST(test_a_network_that_guesses_is_stopped_but_not_those_at_home),
		TEST(test_strangers_lock_nobody_out),
		TEST(test_a_right_password_clears_what_was_mistyped),
		TEST(test_who_is_let_off_begins_anew_and_nobody_else),
		TEST(test_who_cannot_be_let_off_is_told),
		TEST(test_a_home_is_forgotten_in_time),
		TEST(test_exempt_clients_are_not_counted_together),
		TEST(test_a_full_memory_lets_in_those_at_home),
		TEST(test_only_a_store_that_others_share_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
