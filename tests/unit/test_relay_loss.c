/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Upstreams that go away or fall silent, at every point of a transaction: what
 * is said again, what never is, and what the owner is told.
 */
#include "relay_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"

#define HELLO "220 mx", "< EHLO"
#define PIPELINES "250-mx", "250-PIPELINING", "250 SIZE"
#define BEGIN                                                                  \
	HELLO, PIPELINES, "< MAIL", "< RCPT TO:<a", "< RCPT TO:<b", "< DATA"
#define OK "250 ok"
#define WHOLE                                                                  \
	{                                                                      \
		BEGIN, OK, OK, OK, "354 go", "body", OK, NULL                  \
	}
#define LIST(...)                                                              \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}

struct loss {
	const char *name;
	const char *scripts[3][24];
	const char *said;
};

/* clang-format off */
static const struct loss losses[] = {
	{ "after the steps", { LIST(BEGIN, "close"), WHOLE },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250" },
	{ "after MAIL is accepted", { LIST(BEGIN, OK, "close"), WHOLE },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250" },
	{ "by reset", { LIST(BEGIN, OK, OK, "reset"), WHOLE },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250" },
	{ "within a reply", { LIST(BEGIN, OK, OK, "> 250-b", "close"), WHOLE },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250" },
	{ "a refused recipient is not said again",
	  { LIST(BEGIN, OK, "550 no", "close"),
	    LIST(HELLO, PIPELINES, "< MAIL", "< RCPT TO:<b", "< DATA", OK, OK,
	      "354 go", "body", OK) },
	  "MAIL 250 RCPT 550 RCPT 250 DATA 354 DOT 250" },
	{ "another answer than before",
	  { LIST(BEGIN, OK, OK, "close"), LIST(BEGIN, OK, "550 no", "end") },
	  "MAIL 250 RCPT 250 away" },
	{ "MAIL is refused the second time",
	  { LIST(BEGIN, OK, "close"), LIST(BEGIN, "451 no", "end") },
	  "MAIL 250 away" },
	{ "twice", { LIST(BEGIN, OK, "close"), LIST(BEGIN, OK, OK, "close") },
	  "MAIL 250 RCPT 250 away" },
	{ "then no connection is to be had",
	  { LIST(BEGIN, OK, "close"), LIST("554 no", "end") }, "MAIL 250 away" },
	{ "after MAIL is refused", { LIST(BEGIN, "550 no", "close") },
	  "MAIL 550" },
	{ "in the body", { LIST(BEGIN, OK, OK, OK, "354 go", "close") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 unknown" },
	{ "after the dot", { LIST(BEGIN, OK, OK, OK, "354 go", "body", "close") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 unknown" },
	{ "after the dot, by reset",
	  { LIST(BEGIN, OK, OK, OK, "354 go", "body", "reset") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 unknown" },
	{ "within the final reply",
	  { LIST(BEGIN, OK, OK, OK, "354 go", "body", "> 250 queu", "close") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 unknown" },
	{ "after the first line of the final reply",
	  { LIST(BEGIN, OK, OK, OK, "354 go", "body", "250-queued", "close") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 unknown" },
};

static const struct loss silences[] = {
	{ "no greeting", { LIST("pause") }, "away" },
	{ "no answer to EHLO", { LIST(HELLO) }, "away" },
	{ "half a greeting", { LIST("> 220 m") }, "away" },
	{ "no answer to MAIL", { LIST(BEGIN) }, "away" },
	{ "no answer to RCPT", { LIST(BEGIN, OK) }, "MAIL 250 away" },
	{ "no answer to DATA", { LIST(BEGIN, OK, OK, OK) },
	  "MAIL 250 RCPT 250 RCPT 250 away" },
	{ "no final answer", { LIST(BEGIN, OK, OK, OK, "354 go", "body") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 unknown" },
	{ "half a final answer",
	  { LIST(BEGIN, OK, OK, OK, "354 go", "body", "> 250") },
	  "MAIL 250 RCPT 250 RCPT 250 DATA 354 unknown" },
};
/* clang-format on */

/* Whether all was as it should be; is_last: else the test fails. */
static bool
play(const struct loss *l, int64_t timeout_ms, bool is_last)
{
	struct rig rig, *r = &rig;
	struct owner o = { 0 };
	bool is_right;
	size_t i;

	rig_open(r);
	r->config.connect_timeout_ms = timeout_ms;
	r->config.reply_timeout_ms = timeout_ms;
	r->config.dot_timeout_ms = timeout_ms;
	for (i = 0; i < 3 && l->scripts[i][0] != NULL; i++)
		fake_script(&r->fake, 0, l->scripts[i]);
	rig_start(r);
	rig_send(r, &o, 2);
	is_right = r->fake.error[0] == '\0' && strcmp(o.said, l->said) == 0;
	if (!is_right && is_last)
		fail_msg("%s: said \"%s\" (%s), upstream: %s", l->name, o.said,
		    o.detail, r->fake.error);
	rig_close(r);
	return is_right;
}

static void
test_loss_before_354_is_repaired_once_and_later_told(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		play(&losses[i], 4000, true);
}

static void
test_silence_ends_at_its_time(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(silences) / sizeof(silences[0]); i++)
		/* a busy machine may stand still for longer than that */
		if (!play(&silences[i], 30, false))
			play(&silences[i], 1000, true);
}

/* The dot waits for a verdict of ours when the upstream goes. */
static void
test_loss_before_the_dot_is_lost_not_unknown(void **state)
{
	static const char *const script[] = { BEGIN, OK, OK, OK, "354 go",
		"bytes 7", "close", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	fake_script(&r->fake, 0, script);
	rig_start(r);
	owner_begin(&o, r, 2, true);
	while (strstr(o.said, "354") == NULL)
		rig_turn(r);
	relay_body(o.relay, "hello\r\n", 7);
	rig_run(r, &o.is_over);
	rig_expect(r, &o, "MAIL 250 RCPT 250 RCPT 250 DATA 354 lost");
	assert_string_equal(
	    strstr(o.detail, ": ") + 2, "closed by the upstream");
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_FAILED), 1);
}

/* Steps that come while the connection is already lost, and one by one. */
static void
test_loss_between_steps_is_repaired_before_the_next(void **state)
{
	static const char *const first[] = { HELLO, PIPELINES, "< MAIL", OK,
		"421 4.4.2 time is over", "close", NULL };
	static const char *const second[] = { HELLO, PIPELINES, "< MAIL", OK,
		"< RCPT", OK, "< DATA", "354 go", "body", OK, NULL };
	const struct smtp_rcpt rcpt = { .path = STR("a@x.test") };
	struct rig *r = *state;
	struct owner o = { .body = "hello\r\n" };

	fake_script(&r->fake, 0, first);
	fake_script(&r->fake, 0, second);
	rig_start(r);
	owner_begin(&o, r, 0, false);
	rig_wait(r, 20);
	assert_string_equal(o.said, "MAIL 250");
	/* not before it is needed: the upstream may be restarting */
	assert_int_equal(fake_accepted(&r->fake), 1);
	relay_rcpt(o.relay, &rcpt);
	while (strstr(o.said, "RCPT") == NULL)
		rig_turn(r);
	relay_data(o.relay);
	rig_run(r, &o.is_over);
	rig_expect(r, &o, "MAIL 250 RCPT 250 DATA 354 DOT 250");
}

static void
test_addresses_are_tried_in_order_and_the_good_one_kept(void **state)
{
	static const char *const bad[] = { "421 not now", "end", NULL };
	static const char *const good[] = WHOLE;
	static const size_t ports[] = { 1, 0, 2 };
	struct rig *r = *state;
	struct owner o = { 0 };

	r->config.idle_connections = 0;
	rig_publish(r, ports, 3);
	fake_script(&r->fake, 1, bad);
	fake_script(&r->fake, 0, good);
	rig_start(r);
	rig_send(r, &o, 2);
	rig_expect(r, &o, "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250");
	assert_int_equal(r->fake.ports[1].naccepted, 1);
	fake_script(&r->fake, 0, good);
	rig_send(r, &o, 2);
	rig_expect(r, &o, "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250");
	assert_int_equal(r->fake.ports[1].naccepted, 1);
	assert_int_equal(r->fake.ports[2].naccepted, 0);
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_FAILED), 1);
}

static void
test_silent_address_costs_its_own_time_only(void **state)
{
	static const char *const silent[] = { "pause", NULL };
	static const char *const good[] = WHOLE;
	static const size_t ports[] = { 1, 0 };
	struct rig *r = *state;
	struct owner o = { 0 };

	r->config.connect_timeout_ms = 300;
	rig_publish(r, ports, 2);
	fake_script(&r->fake, 1, silent);
	fake_script(&r->fake, 0, good);
	rig_start(r);
	rig_send(r, &o, 2);
	rig_expect(r, &o, "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250");
}

/* However many addresses there are: 15 seconds, which the clock takes at once.
 */
static void
test_search_ends_in_time(void **state)
{
	static const char *const refusing[] = { "421 not now", "end", NULL };
	static const size_t ports[] = { 1, 0 };
	struct rig *r = *state;
	struct owner o = { 0 };

	rig_publish(r, ports, 2);
	fake_script(&r->fake, 1, refusing);
	rig_start(r);
	owner_begin(&o, r, 2, true);
	clock_shift(15000 * CLOCK_NS_PER_MS, 0);
	rig_run(r, &o.is_over);
	clock_shift(0, 0);
	rig_expect(r, &o, "away");
	assert_int_equal(r->fake.ports[0].naccepted, 0);
}

static void
refuse(struct rig *r, size_t port)
{
	event_del(r->fake.ports[port].event);
	shutdown(r->fake.ports[port].fd, SHUT_RDWR);
}

/* One line when it goes and one when it comes back, however often it fails. */
static void
test_away_and_back_are_logged_once(void **state)
{
	static const char *const good[] = WHOLE;
	static const size_t refused[] = { 1 }, accepted[] = { 0 };
	struct rig *r = *state;
	struct owner o = { 0 };
	const char *log, *away;

	refuse(r, 1);
	rig_publish(r, refused, 1);
	rig_start(r);
	rig_send(r, &o, 2);
	rig_expect(r, &o, "away");
	assert_non_null(strstr(o.detail, "Connection refused"));
	rig_send(r, &o, 2);
	rig_publish(r, accepted, 1);
	fake_script(&r->fake, 0, good);
	rig_send(r, &o, 2);
	log = rig_log(r);
	away = strstr(log, "result=away");
	assert_non_null(away);
	assert_non_null(strstr(log, "Connection refused"));
	assert_null(strstr(away + 1, "result=away"));
	assert_non_null(strstr(away, "ev=upstream upstream=mx.example.net:25 "
				     "result=back"));
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_FAILED), 2);
}

static void
on_publish(evutil_socket_t fd, short what, void *arg)
{
	static const size_t port = 0;

	(void)fd;
	(void)what;
	rig_publish(arg, &port, 1);
}

static void
test_addresses_that_come_late_are_awaited(void **state)
{
	static const char *const good[] = WHOLE;
	const struct timeval soon = { 0, 10000 };
	struct rig *r = *state;
	struct owner o = { 0 };

	rig_publish(r, NULL, 0);
	fake_script(&r->fake, 0, good);
	rig_start(r);
	event_base_once(r->base, -1, EV_TIMEOUT, on_publish, r, &soon);
	rig_send(r, &o, 2);
	rig_expect(r, &o, "MAIL 250 RCPT 250 RCPT 250 DATA 354 DOT 250");
}

static void
test_addresses_that_never_come_are_away(void **state)
{
	struct rig *r = *state;
	struct owner o = { 0 };

	r->config.connect_timeout_ms = 20;
	rig_publish(r, NULL, 0);
	rig_start(r);
	rig_send(r, &o, 2);
	rig_expect(r, &o, "away");
	assert_string_equal(o.detail, "no address is known");
}

/* A script of a few lines that fit and a few that do not. */
static void
make_script(const char **lines, size_t n)
{
	static const char *const fits[] = { BEGIN, OK, OK, OK, "354 go", "body",
		OK };
	static const char *const others[] = { OK, "550 no", "421 bye", "354 go",
		"> 250 o", "> 250-a\r\n", "pause", "503 what", "close", "reset",
		"> \r\n", "body", "451 later", "> 2" };
	size_t i, at = 0;

	for (i = 0; i < n - 2; i++) {
		if (rand() % 8 != 0 && at < sizeof(fits) / sizeof(*fits))
			lines[i] = fits[at++];
		else
			lines[i] = others[(size_t)rand() %
					  (sizeof(others) / sizeof(*others))];
	}
	lines[i++] = "close";
	lines[i] = NULL;
}

/*
 * Whatever an upstream does: no message goes out twice, 250 is said only when
 * the whole message went out, and lost, away and tls only when it did not.
 */
static void
test_random_upstreams_get_no_message_twice(void **state)
{
	const char *scripts[3][20];
	struct rig rig, *r = &rig;
	struct owner o;
	int round;
	size_t i;

	(void)state;
	srand(4711);
	for (round = 0; round < 150; round++) {
		memset(&o, 0, sizeof(o));
		rig_open(r);
		for (i = 0; i < 3; i++) {
			make_script(scripts[i], 20);
			fake_script(&r->fake, 0, scripts[i]);
		}
		r->config.connect_timeout_ms = 8;
		r->config.reply_timeout_ms = 8;
		r->config.dot_timeout_ms = 8;
		rig_start(r);
		o.body = "Subject: x\r\n\r\nhello\r\n";
		owner_begin(&o, r, 2, true);
		while (!o.is_over)
			rig_turn(r);
		rig_wait(r, 1);
		assert_in_range(r->fake.ndots, 0, 1);
		if (strstr(o.said, "DOT 250") != NULL)
			assert_int_equal(r->fake.ndots, 1);
		if (strstr(o.said, "lost") != NULL ||
		    strstr(o.said, "away") != NULL)
			assert_int_equal(r->fake.ndots, 0);
		rig_close(r);
	}
}

/* Whatever it waits for. */
static void
test_close_at_any_point_leaves_nothing_behind(void **state)
{
	static const char *const script[] = WHOLE;
	struct rig *r = *state;
	struct owner o = { .keeps_open = true, .body = "hello\r\n" };
	int turns, most = 1, i;

	r->config.idle_connections = 0;
	rig_start(r);
	for (turns = 0; turns < most; turns++) {
		fake_close(&r->fake);
		fake_open(&r->fake, r->base);
		rig_publish(r, &(size_t){ 0 }, 1);
		fake_script(&r->fake, 0, script);
		owner_begin(&o, r, 2, true);
		for (i = 0; i < turns && !o.is_over; i++)
			rig_turn(r);
		relay_close(&o.relay);
		if (!o.is_over)
			most++;
		assert_int_equal(
		    rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS), 0);
	}
	assert_true(most > 8);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_loss_before_354_is_repaired_once_and_later_told),
		cmocka_unit_test(test_silence_ends_at_its_time),
		TEST(test_loss_before_the_dot_is_lost_not_unknown),
		TEST(test_loss_between_steps_is_repaired_before_the_next),
		TEST(test_addresses_are_tried_in_order_and_the_good_one_kept),
		TEST(test_silent_address_costs_its_own_time_only),
		TEST(test_search_ends_in_time),
		TEST(test_away_and_back_are_logged_once),
		TEST(test_addresses_that_come_late_are_awaited),
		TEST(test_addresses_that_never_come_are_away),
		cmocka_unit_test(test_random_upstreams_get_no_message_twice),
		TEST(test_close_at_any_point_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
