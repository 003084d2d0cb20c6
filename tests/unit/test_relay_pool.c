/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which connections are used again, and which are not.
 */
#include "relay_rig.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "relay/relay_private.h"

#define HELLO "220 mx", "< EHLO", "250-mx", "250 PIPELINING"
#define STEPS "< MAIL", "< RCPT", "< DATA"
#define OK "250 ok"
#define MESSAGE STEPS, OK, OK, "354 go", "body", OK
#define SENT "MAIL 250 RCPT 250 DATA 354 DOT 250"

static void
test_idle_connection_is_used_again(void **state)
{
	static const char *const both[] = { HELLO, MESSAGE, MESSAGE, NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	bool yes = true;

	fake_script(&r->fake, 0, both);
	rig_start(r);
	o.body = "hello\r\n";
	owner_begin(&o, r, 1, true);
	while (!o.is_over)
		rig_turn(r);
	rig_expect(r, &o, SENT);
	assert_int_equal(relay_pool_idle(r->pool), 1);
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS), 1);
	owner_begin(&o, r, 1, true);
	assert_int_equal(relay_pool_idle(r->pool), 0);
	assert_string_equal(relay_peer(o.relay), "mx.example.net:25");
	while (!o.is_over)
		rig_turn(r);
	rig_expect(r, &o, SENT);
	rig_run(r, &yes);
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_most_connections_at_rest_are_limited(void **state)
{
	static const char *const kept[] = { HELLO, MESSAGE, NULL };
	static const char *const dropped[] = { HELLO, MESSAGE, "< QUIT", "end",
		NULL };
	struct rig *r = *state;
	struct owner owners[3] = { 0 };
	size_t i;

	r->config.idle_connections = 2;
	fake_script(&r->fake, 0, dropped); /* the first to rest */
	fake_script(&r->fake, 0, kept);
	fake_script(&r->fake, 0, kept);
	rig_start(r);
	for (i = 0; i < 3; i++) {
		owners[i].body = "x\r\n";
		owner_begin(&owners[i], r, 1, true);
	}
	for (i = 0; i < 3; i++)
		rig_run(r, &owners[i].is_over);
	assert_int_equal(relay_pool_idle(r->pool), 2);
	assert_string_equal(r->fake.error, "");
}

static void
test_last_used_connection_is_taken_first(void **state)
{
	static const char *const once[] = { HELLO, MESSAGE, NULL };
	static const char *const twice[] = { HELLO, MESSAGE, MESSAGE, NULL };
	struct rig *r = *state;
	struct owner a = { .body = "x\r\n" }, b = a;

	fake_script(&r->fake, 0, once);
	fake_script(&r->fake, 0, twice);
	rig_start(r);
	owner_begin(&a, r, 1, true);
	owner_begin(&b, r, 1, true);
	while (!a.is_over || !b.is_over)
		rig_turn(r);
	assert_int_equal(relay_pool_idle(r->pool), 2);
	rig_send(r, &a, 1);
	rig_expect(r, &a, SENT);
	assert_int_equal(fake_accepted(&r->fake), 2);
}

static void
test_refused_sender_of_a_group_leaves_the_connection(void **state)
{
	static const char *const script[] = { HELLO, STEPS, "550 no", "pause",
		"503 no", "503 no", "< RSET", OK, MESSAGE, NULL };
	struct rig *r = *state;
	struct owner o = { .body = "x\r\n" };

	fake_script(&r->fake, 0, script);
	rig_start(r);
	owner_begin(&o, r, 1, true);
	while (relay_pool_idle(r->pool) == 0)
		rig_turn(r);
	rig_expect(r, &o, "MAIL 550");
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_data_accepted_behind_a_refused_sender_is_cut_off(void **state)
{
	static const char *const script[] = { HELLO, STEPS, "550 no", "pause",
		OK, "354 go", NULL };
	struct rig *r = *state;
	struct owner o = { .body = "x\r\n" };

	fake_script(&r->fake, 0, script);
	rig_start(r);
	owner_begin(&o, r, 1, true);
	while (!o.is_over)
		rig_turn(r);
	rig_expect(r, &o, "MAIL 550");
	while (rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS) > 0)
		rig_turn(r);
	assert_int_equal(r->fake.ndots, 0);
}

static void
begin_and_abort(struct rig *r, struct owner *o)
{
	owner_begin(o, r, 0, false);
	while (strcmp(o->said, "MAIL 250") != 0)
		rig_turn(r);
	relay_close(&o->relay);
	assert_int_equal(relay_pool_idle(r->pool), 0);
}

static void
test_aborted_transaction_is_reset_before_reuse(void **state)
{
	static const char *const script[] = { HELLO, "< MAIL", OK, "< RSET", OK,
		MESSAGE, NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	fake_script(&r->fake, 0, script);
	rig_start(r);
	begin_and_abort(r, &o);
	while (relay_pool_idle(r->pool) == 0)
		rig_turn(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_connection_that_cannot_be_reset_is_left(void **state)
{
	static const char *const script[] = { HELLO, "< MAIL", OK, "< RSET",
		"451 no", "< QUIT", "end", NULL };
	static const char *const fresh[] = { HELLO, MESSAGE, NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	bool yes = true;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	begin_and_abort(r, &o);
	rig_run(r, &yes);
	fake_script(&r->fake, 0, fresh);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
}

static void
test_half_an_answer_keeps_it_from_reuse(void **state)
{
	static const char *const script[] = { HELLO, "< MAIL", "> 250 ok\r\n25",
		"end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	bool yes = true;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	begin_and_abort(r, &o);
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS), 0);
	rig_run(r, &yes);
}

static void
test_unanswered_steps_close_the_connection(void **state)
{
	static const char *const script[] = { HELLO, STEPS, OK, "end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	bool yes = true;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	owner_begin(&o, r, 1, true);
	while (strcmp(o.said, "MAIL 250") != 0)
		rig_turn(r);
	relay_close(&o.relay);
	rig_run(r, &yes);
	assert_string_equal(r->fake.error, "");
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS), 0);
}

static void
test_three_errors_retire_a_connection(void **state)
{
	static const char *const script[] = { HELLO, STEPS, OK, "550 no",
		"554 no", "< RSET", OK, STEPS, OK, "550 no", "354 go", "body",
		OK, "< QUIT", "end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	bool over = true;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	o.body = "x\r\n";
	owner_begin(&o, r, 1, true);
	while (relay_pool_idle(r->pool) == 0)
		rig_turn(r);
	owner_begin(&o, r, 1, true);
	rig_run(r, &over);
	rig_expect(r, &o, "MAIL 250 RCPT 550 DATA 354 DOT 250");
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_hundred_messages_retire_a_connection(void **state)
{
	static const char *const hello[] = { HELLO }, *message[] = { MESSAGE };
	static const char *script[4 + 100 * 8 + 3];
	struct rig *r = *state;
	struct owner o = { .body = "x\r\n" };
	bool yes = true;
	size_t n = 4, i;

	memcpy(script, hello, sizeof(hello));
	for (i = 0; i < 100; i++, n += sizeof(message) / sizeof(*message))
		memcpy(script + n, message, sizeof(message));
	script[n++] = "< QUIT";
	script[n++] = "end";
	fake_script(&r->fake, 0, script);
	rig_start(r);
	for (i = 0; i < 100; i++) {
		assert_int_equal(relay_pool_idle(r->pool), i > 0);
		owner_begin(&o, r, 1, true);
		while (!o.is_over)
			rig_turn(r);
		rig_expect(r, &o, SENT);
	}
	rig_run(r, &yes);
	assert_int_equal(fake_accepted(&r->fake), 1);
}

/* The rest lasts 5 seconds; the test does not wait for them. */
static void
test_rest_ends_in_time(void **state)
{
	static const char *const script[] = { HELLO, MESSAGE, NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	struct relay_conn *c;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	rig_send(r, &o, 1);
	c = TAILQ_FIRST(&r->pool->hosts[0].idle);
	assert_in_range(c->reply_by - clock_mono_ms(), 1, 5000);
	relay_conn_expect(c, 1);
	while (relay_pool_idle(r->pool) > 0)
		rig_turn(r);
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_FAILED), 0);
}

static void
test_message_that_needs_more_does_not_lengthen_the_rest(void **state)
{
	static const char *const less[] = { HELLO, MESSAGE, NULL };
	static const char *const more[] = { "220 mx", "< EHLO", "250-mx",
		"250-SMTPUTF8", "250 PIPELINING", MESSAGE, NULL };
	struct rig *r = *state;
	struct owner plain = { 0 }, needy = { .needs = SMTP_EXT_SMTPUTF8 };
	struct relay_conn *c;
	int64_t until;

	fake_script(&r->fake, 0, less);
	rig_start(r);
	rig_send(r, &plain, 1);
	fake_script(&r->fake, 0, more);
	c = TAILQ_FIRST(&r->pool->hosts[0].idle);
	until = c->reply_by -= 1000;
	rig_send(r, &needy, 1);
	rig_expect(r, &needy, SENT);
	assert_int_equal(relay_pool_idle(r->pool), 2);
	assert_true(c->reply_by == until);
}

static void
test_stray_bytes_end_the_rest(void **state)
{
	static const char *const strays[] = { "> 250 ok\r\n", "> x", "close" };
	static const char *const fresh[] = { HELLO, MESSAGE, NULL };
	const char *script[] = { HELLO, MESSAGE, "pause", NULL, NULL };
	struct rig *r = *state;
	struct owner o = { .body = "x\r\n" };
	size_t i;

	rig_start(r);
	for (i = 0; i < 3; i++) {
		script[13] = strays[i];
		fake_script(&r->fake, 0, script);
		owner_begin(&o, r, 1, true);
		while (!o.is_over)
			rig_turn(r);
		assert_int_equal(relay_pool_idle(r->pool), 1);
		while (relay_pool_idle(r->pool) == 1)
			rig_turn(r);
	}
	fake_script(&r->fake, 0, fresh);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_FAILED), 0);
}

/* Closed by the upstream in the moment it is taken, with or without a word. */
static void
test_dead_connection_is_replaced_unnoticed(void **state)
{
	static const char *const words[] = { NULL,
		"421 4.4.2 time is over\r\n" };
	static const char *const script[] = { HELLO, MESSAGE, NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	size_t i;

	rig_start(r);
	for (i = 0; i < 2; i++) {
		fake_script(&r->fake, 0, script);
		rig_send(r, &o, 1);
		assert_int_equal(relay_pool_idle(r->pool), 1);
		fake_hang_up(&r->fake, words[i]);
		fake_script(&r->fake, 0, script);
		rig_send(r, &o, 1);
		rig_expect(r, &o, SENT);
		fake_hang_up(&r->fake, NULL);
		while (relay_pool_idle(r->pool) > 0)
			rig_turn(r);
	}
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_FAILED), 0);
}

/* The next transaction begins before the rest of the read is looked at. */
static void
test_surplus_answer_is_not_taken_for_the_next_transaction(void **state)
{
	static const char *const script[] = { HELLO, STEPS, OK, OK, "354 go",
		"body", OK, "250 surplus", NULL };
	static const char *const fresh[] = { HELLO, STEPS, "550 no", "503 no",
		"503 no", NULL };
	struct rig *r = *state;
	struct owner b = { .body = "x\r\n" };
	struct owner a = { .body = "x\r\n", .next = &b };

	fake_script(&r->fake, 0, script);
	fake_script(&r->fake, 0, fresh);
	rig_start(r);
	owner_begin(&a, r, 1, true);
	rig_run(r, &b.is_over);
	rig_expect(r, &a, SENT);
	rig_expect(r, &b, "MAIL 550");
}

static void
test_surplus_bytes_of_a_transaction_keep_it_from_reuse(void **state)
{
	static const char *const scripts[][16] = {
		{ HELLO, STEPS, OK, OK, "354 go", "body", OK, "250 surplus",
		    NULL },
		{ HELLO, STEPS, OK, OK, "354 go", "body", "> 250 ok\r\n25",
		    NULL },
	};
	struct rig *r = *state;
	struct owner o = { 0 };
	size_t i;

	rig_start(r);
	for (i = 0; i < 2; i++) {
		fake_script(&r->fake, 0, scripts[i]);
		rig_send(r, &o, 1);
		rig_expect(r, &o, SENT);
		assert_int_equal(relay_pool_idle(r->pool), 0);
	}
}

static void
test_draining_pool_keeps_nothing(void **state)
{
	static const char *const first[] = { HELLO, MESSAGE, "< QUIT", "end",
		NULL };
	struct rig *r = *state;
	struct owner a = { .body = "x\r\n" };
	bool yes = true;

	fake_script(&r->fake, 0, first);
	rig_start(r);
	owner_begin(&a, r, 1, true);
	while (!a.is_over)
		rig_turn(r);
	assert_int_equal(relay_pool_idle(r->pool), 1);
	relay_pool_drain(r->pool);
	assert_int_equal(relay_pool_idle(r->pool), 0);
	rig_run(r, &yes);
	fake_script(&r->fake, 0, first);
	rig_send(r, &a, 1);
	rig_expect(r, &a, SENT);
	assert_int_equal(relay_pool_idle(r->pool), 0);
}

static void
test_pool_takes_its_leave(void **state)
{
	static const char *const script[] = { HELLO, MESSAGE, "< QUIT", "end",
		NULL };
	struct rig *r = *state;
	struct owner o = { .body = "x\r\n" };
	bool yes = true;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	owner_begin(&o, r, 1, true);
	while (!o.is_over)
		rig_turn(r);
	relay_pool_free(&r->pool);
	r->wants_flush = false;
	rig_run(r, &yes);
	assert_string_equal(r->fake.error, "");
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_idle_connection_is_used_again),
		TEST(test_most_connections_at_rest_are_limited),
		TEST(test_last_used_connection_is_taken_first),
		TEST(test_aborted_transaction_is_reset_before_reuse),
		TEST(test_connection_that_cannot_be_reset_is_left),
		TEST(test_half_an_answer_keeps_it_from_reuse),
		TEST(test_unanswered_steps_close_the_connection),
		TEST(test_refused_sender_of_a_group_leaves_the_connection),
		TEST(test_data_accepted_behind_a_refused_sender_is_cut_off),
		TEST(test_three_errors_retire_a_connection),
		TEST(test_hundred_messages_retire_a_connection),
		TEST(test_rest_ends_in_time),
		TEST(test_message_that_needs_more_does_not_lengthen_the_rest),
		TEST(test_stray_bytes_end_the_rest),
		TEST(test_dead_connection_is_replaced_unnoticed),
		TEST(test_surplus_answer_is_not_taken_for_the_next_transaction),
		TEST(test_surplus_bytes_of_a_transaction_keep_it_from_reuse),
		TEST(test_draining_pool_keeps_nothing),
		TEST(test_pool_takes_its_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
