/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The body: every byte in order whatever the sizes of the runs, no more in
 * memory than a run however slow the upstream, and answers that come
 * before the end. Each over a plain connection and over TLS where it differs.
 */
#include "relay_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "relay/relay_private.h"

#define HELLO "220 mx", "< EHLO", "250-mx", "250 PIPELINING"
#define BEGIN HELLO, "< MAIL", "< RCPT", "< DATA"
#define OK "250 ok"
#define GO BEGIN, OK, OK, "354 go"
#define ACCEPTED "MAIL 250 RCPT 250 DATA 354"
#define BIG ((size_t)10 << 20)

static const bool yes = true;

/* A transaction that has its 354; the body is the test's. */
static void
begin(struct rig *r, struct owner *o, const char *const *script)
{
	if (script != NULL)
		fake_script(&r->fake, 0, script);
	if (r->pool == NULL)
		rig_start(r);
	owner_begin(o, r, 1, true);
	while (strcmp(o->said, ACCEPTED) != 0) {
		assert_false(o->is_over);
		rig_turn(r);
	}
}

static void
use_tls(struct rig *r)
{
	r->config.tls = CONFIG_UPSTREAM_IMPLICIT;
	r->config.verify = false;
	r->fake.tls = fake_tls_new("mx.example.net", NULL);
}

/* Lines of letters that differ, so that no part can stand for another. */
static char *
make_body(size_t len)
{
	char *body = xmalloc(len);
	uint32_t x = 1;
	size_t i;

	for (i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		body[i] = "abcdefghijklmnop"[x >> 28];
		if (i % 70 >= 68)
			body[i] = i % 70 == 68 ? '\r' : '\n';
	}
	return body;
}

/* Sends with runs of the given sizes, over and over, a few in each turn. */
static void
send_body(struct rig *r, struct owner *o, const char *body, size_t len,
    const size_t *runs, size_t nruns)
{
	size_t done = 0, i, n;

	for (i = 0; done < len; i++) {
		n = runs[i % nruns] < len - done ? runs[i % nruns] : len - done;
		relay_body(o->relay, body + done, n);
		done += n;
		assert_in_range(
		    buf_len(&o->relay->conn->out), 0, RELAY_GATHER + 16384);
		while (!relay_has_room(o->relay) || i % 4 == 3) {
			rig_turn(r);
			if (relay_has_room(o->relay))
				break;
		}
	}
	relay_dot(o->relay);
}

static void
check_runs(struct rig *r, const char *const *script)
{
	static const size_t sizes[][4] = {
		{ 16384, 16384, 16384, 16384 },
		{ 4, 16380, 4, 16380 },
		{ 16384, 1, 8191, 8192 },
		{ 100, 200, 300, 12000 },
	};
	const size_t len = 700000;
	char *body = make_body(len);
	struct owner o = { 0 };
	size_t i;

	for (i = 0; i < 4; i++) {
		buf_free(&r->fake.body);
		begin(r, &o, script);
		send_body(r, &o, body, len, sizes[i], 4);
		rig_run(r, &o.is_over);
		rig_expect(r, &o, ACCEPTED " DOT 250");
		assert_int_equal(buf_len(&r->fake.body), len + 3);
		assert_memory_equal(buf_data(&r->fake.body), body, len);
		assert_memory_equal(buf_data(&r->fake.body) + len, ".\r\n", 3);
		fake_hang_up(&r->fake, NULL);
		while (relay_pool_idle(r->pool) > 0)
			rig_turn(r);
	}
	free(body);
}

static void
test_runs_of_any_size_stay_in_order(void **state)
{
	static const char *const script[] = { GO, "bytes 700003", OK, NULL };

	check_runs(*state, script);
}

static void
test_runs_of_any_size_stay_in_order_over_tls(void **state)
{
	static const char *const script[] = { "tls", GO, "bytes 700003", OK,
		NULL };

	use_tls(*state);
	check_runs(*state, script);
}

/* Fills what the kernel takes and our queue; returns the bytes given. */
static size_t
fill(struct rig *r, struct owner *o, const char *body, size_t len)
{
	size_t done = 0;
	int i;

	while (done + 16384 <= len && relay_has_room(o->relay)) {
		for (i = 0; i < 3 && relay_has_room(o->relay); i++) {
			relay_body(o->relay, body + done, 16384);
			done += 16384;
		}
		event_base_loop(r->base, EVLOOP_NONBLOCK);
		relay_pool_flush(r->pool);
	}
	assert_false(relay_has_room(o->relay));
	return done;
}

static void
check_slow(struct rig *r, const char *const *script)
{
	char *body = make_body(BIG);
	struct owner o = { 0 };
	size_t done;

	begin(r, &o, script);
	done = fill(r, &o, body, BIG);
	assert_in_range(buf_len(&o.relay->conn->out), 1, 16384);
	assert_in_range(o.relay->conn->out.cap, 1, 16384);
	rig_wait(r, 5);
	assert_string_equal(o.said, ACCEPTED);
	fake_resume(&r->fake);
	while (strcmp(o.said, ACCEPTED " room") != 0)
		rig_turn(r);
	assert_true(relay_has_room(o.relay));
	assert_int_equal(buf_len(&o.relay->conn->out), 0);
	send_body(r, &o, body + done, BIG - done, &(size_t){ 16384 }, 1);
	rig_run(r, &o.is_over);
	assert_string_equal(r->fake.error, "");
	assert_non_null(strstr(o.said, "DOT 250"));
	assert_int_equal(buf_len(&r->fake.body), BIG + 3);
	assert_memory_equal(buf_data(&r->fake.body), body, BIG);
	free(body);
}

static void
test_slow_upstream_fills_no_memory(void **state)
{
	static const char *const script[] = { GO, "stall", "bytes 10485763", OK,
		NULL };

	check_slow(*state, script);
}

static void
test_slow_upstream_fills_no_memory_over_tls(void **state)
{
	static const char *const script[] = { "tls", GO, "stall",
		"bytes 10485763", OK, NULL };

	use_tls(*state);
	check_slow(*state, script);
}

/* It stands still in the body: nothing of the dot was tried. */
static void
check_stuck(struct rig *r, const char *const *script, bool dot)
{
	char *body = make_body(BIG);
	struct owner o = { 0 };

	r->config.reply_timeout_ms = 60;
	begin(r, &o, script);
	fill(r, &o, body, BIG);
	if (dot)
		relay_dot(o.relay);
	rig_run(r, &o.is_over);
	rig_expect(r, &o, ACCEPTED " lost");
	assert_non_null(strstr(o.detail, "takes no more bytes"));
	free(body);
}

static void
test_upstream_that_takes_no_more_is_lost(void **state)
{
	static const char *const script[] = { GO, "stall", NULL };

	check_stuck(*state, script, false);
}

static void
test_dot_that_was_never_tried_is_lost(void **state)
{
	static const char *const script[] = { GO, "stall", NULL };

	check_stuck(*state, script, true);
}

static void
test_dot_that_was_never_tried_is_lost_over_tls(void **state)
{
	static const char *const script[] = { "tls", GO, "stall", NULL };

	use_tls(*state);
	check_stuck(*state, script, true);
}

struct early {
	const char *reply, *said;
};

static const struct early earlies[] = {
	{ "552 5.3.4 too large", ACCEPTED " room DOT 552" },
	{ "451 4.3.0 disk full", ACCEPTED " room DOT 451" },
	{ "421 4.3.2 going down", ACCEPTED " room DOT 451!" },
	{ "250 2.0.0 so soon", ACCEPTED " broken" },
	{ "354 go on", ACCEPTED " broken" },
};

/* The answer is kept until the body ends, and the rest of it dropped. */
static void
test_early_refusal_is_the_answer(void **state)
{
	const char *script[] = { GO, "bytes 7", NULL, "end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	size_t i;

	for (i = 0; i < sizeof(earlies) / sizeof(earlies[0]); i++) {
		script[11] = earlies[i].reply;
		assert_string_equal(script[12], "end");
		begin(r, &o, script);
		relay_body(o.relay, "hello\r\n", 7);
		rig_run(r, &yes);
		if (!o.is_over) {
			assert_string_equal(o.said, ACCEPTED " room");
			relay_body(o.relay, "more\r\n", 6);
			assert_true(relay_has_room(o.relay));
			relay_dot(o.relay);
		}
		rig_run(r, &o.is_over);
		rig_expect(r, &o, earlies[i].said);
		assert_int_equal(relay_pool_idle(r->pool), 0);
	}
}

/* While the session waits for room it must be told to go on. */
static void
test_early_refusal_of_a_full_queue_makes_room(void **state)
{
	static const char *const script[] = { GO, "stall", NULL };
	char *body = make_body(BIG);
	struct rig *r = *state;
	struct owner o = { 0 };

	begin(r, &o, script);
	fill(r, &o, body, BIG);
	free(body);
	fake_say(&r->fake, "552 too large\r\n");
	while (strcmp(o.said, ACCEPTED " room") != 0)
		rig_turn(r);
	relay_dot(o.relay);
	rig_run(r, &o.is_over);
	rig_expect(r, &o, ACCEPTED " room DOT 552");
}

/* The same when the refusal and the end of the connection come at once: the
 * write fails before the last words are read. */
static void
test_last_words_to_a_full_queue_make_room(void **state)
{
	static const char *const script[] = { GO, "stall", NULL };
	char *body = make_body(BIG);
	struct rig *r = *state;
	struct owner o = { 0 };

	begin(r, &o, script);
	fill(r, &o, body, BIG);
	free(body);
	fake_hang_up(&r->fake, "552 too large\r\n");
	rig_wait(r, 20);
	assert_string_equal(o.said, ACCEPTED " room");
	relay_dot(o.relay);
	rig_run(r, &o.is_over);
	rig_expect(r, &o, ACCEPTED " room DOT 552");
}

/* The dot waits behind the body and is never written. */
static void
check_dot_waits(struct rig *r, const char *reply, const char *said)
{
	static const char *const script[] = { GO, "stall", NULL };
	char *body = make_body(BIG);
	struct owner o = { 0 };

	begin(r, &o, script);
	fill(r, &o, body, BIG);
	free(body);
	relay_dot(o.relay);
	fake_say(&r->fake, reply);
	rig_run(r, &o.is_over);
	rig_expect(r, &o, said);
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS), 0);
}

static void
test_refusal_while_the_dot_waits_is_the_answer(void **state)
{
	check_dot_waits(*state, "552 too large\r\n", ACCEPTED " DOT 552");
}

static void
test_yes_while_the_dot_waits_is_not_believed(void **state)
{
	check_dot_waits(*state, "250 queued\r\n", ACCEPTED " broken");
}

/* The write of the dot fails at once: it was tried all the same. */
static void
test_dot_whose_write_fails_is_unknown(void **state)
{
	static const char *const script[] = { GO, "bytes 7", "reset", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	begin(r, &o, script);
	relay_body(o.relay, "hello\r\n", 7);
	relay_pool_flush(r->pool);
	while (!fake_is_done(&r->fake))
		event_base_loop(r->base, EVLOOP_ONCE);
	relay_dot(o.relay);
	relay_pool_flush(r->pool);
	rig_run(r, &o.is_over);
	rig_expect(r, &o, ACCEPTED " unknown");
}

static void
test_loss_after_the_dot_is_unknown_over_tls(void **state)
{
	static const char *const script[] = { "tls", GO, "body", "close",
		NULL };
	struct rig *r = *state;
	struct owner o = { .body = "hello\r\n" };

	use_tls(r);
	fake_script(&r->fake, 0, script);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, ACCEPTED " unknown");
	assert_int_equal(r->fake.ndots, 1);
}

static void
test_close_in_the_body_sends_no_dot(void **state)
{
	static const char *const script[] = { GO, "bytes 7", "end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	begin(r, &o, script);
	relay_body(o.relay, "hello\r\n", 7);
	rig_wait(r, 2);
	relay_body(o.relay, "more\r\n", 6);
	relay_close(&o.relay);
	rig_run(r, &yes);
	assert_string_equal(r->fake.error, "");
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS), 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_runs_of_any_size_stay_in_order),
		TEST(test_runs_of_any_size_stay_in_order_over_tls),
		TEST(test_slow_upstream_fills_no_memory),
		TEST(test_slow_upstream_fills_no_memory_over_tls),
		TEST(test_upstream_that_takes_no_more_is_lost),
		TEST(test_dot_that_was_never_tried_is_lost),
		TEST(test_dot_that_was_never_tried_is_lost_over_tls),
		TEST(test_early_refusal_is_the_answer),
		TEST(test_early_refusal_of_a_full_queue_makes_room),
		TEST(test_last_words_to_a_full_queue_make_room),
		TEST(test_refusal_while_the_dot_waits_is_the_answer),
		TEST(test_yes_while_the_dot_waits_is_not_believed),
		TEST(test_dot_whose_write_fails_is_unknown),
		TEST(test_loss_after_the_dot_is_unknown_over_tls),
		TEST(test_close_in_the_body_sends_no_dot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
