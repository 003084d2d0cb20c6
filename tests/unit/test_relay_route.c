/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which host a transaction goes to, and where it goes when that one fails.
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

static const char *const good[] = { HELLO, MESSAGE, NULL };

/* Three hosts: two of the first section, one of the second. */
static void
use_three(struct rig *r, int priority, char *class_name)
{
	static struct config_host hosts[] = { { "a.test", 25 },
		{ "b.test", 25 }, { "c.test", 25 } };
	static struct config_upstream upstreams[2];
	static char *classes[2];
	size_t i;

	upstreams[0] = upstreams[1] = r->config;
	upstreams[0].hosts = hosts;
	upstreams[0].nhosts = 2;
	upstreams[1].hosts = hosts + 2;
	upstreams[1].first = 2;
	upstreams[1].priority = priority;
	classes[0] = class_name;
	if (class_name != NULL)
		upstreams[1].classes = classes;
	r->whole.upstreams = upstreams;
	r->whole.nupstreams = 2;
	r->whole.nhosts = 3;
	for (i = 0; i < 3; i++)
		rig_publish_host(r, (unsigned)i, &i, 1);
	rig_start(r);
}

static const char *
picked(struct rig *r, const char *class_name, uint32_t needs, uint64_t excluded)
{
	struct relay_host *h =
	    relay_route_pick(r->pool, class_name, needs, excluded);

	return h == NULL ? "" : h->peer;
}

/* As another worker would: its cell is in the first row. */
static void
set_cell(struct rig *r, unsigned host, uint32_t active, int64_t failed_ms)
{
	atomic_store(&r->board.cells[host].active, active);
	atomic_store(&r->board.cells[host].failed_ms, failed_ms);
}

static void
publish(struct rig *r, unsigned host, int64_t up_since_ms, uint32_t extensions,
    int64_t size)
{
	struct upstream_slot *slot = &r->shared->upstreams[host];
	struct upstream_state s;

	shared_upstream_read(slot, &s, NULL);
	s.up_since_ms = up_since_ms;
	s.probed_at = 1;
	s.offer = (struct smtp_offer){
			.extensions = extensions, .size = size };
	shared_upstream_write(slot, &s);
}

static void
test_host_with_the_fewest_messages_is_taken(void **state)
{
	struct rig *r = *state;
	unsigned i;

	use_three(r, 2, NULL);
	set_cell(r, 0, 5, 0);
	set_cell(r, 1, 4, 0);
	for (i = 0; i < 4; i++)
		assert_string_equal(picked(r, "", 0, 0), "b.test:25");
	set_cell(r, 1, 6, 0);
	for (i = 0; i < 4; i++)
		assert_string_equal(picked(r, "", 0, 0), "a.test:25");
}

static void
test_equals_take_turns(void **state)
{
	struct rig *r = *state;
	unsigned i, n[2] = { 0, 0 };

	use_three(r, 2, NULL);
	for (i = 0; i < 10; i++)
		n[picked(r, "", 0, 0)[0] == 'b']++;
	assert_int_equal(n[0], 5);
	assert_int_equal(n[1], 5);
}

static void
test_next_priority_stands_in_for_hosts_that_are_not_up(void **state)
{
	struct rig *r = *state;

	use_three(r, 2, NULL);
	set_cell(r, 0, 0, 2);
	assert_string_equal(picked(r, "", 0, 0), "b.test:25");
	publish(r, 1, 0, 0, 0);
	assert_string_equal(picked(r, "", 0, 0), "c.test:25");
	/* nobody is up: better the first than none */
	publish(r, 2, 0, 0, 0);
	assert_int_not_equal(picked(r, "", 0, 0)[0], 'c');
	/* a good probe since then */
	publish(r, 0, 3, 0, 0);
	assert_string_equal(picked(r, "", 0, 0), "a.test:25");
}

static void
test_host_that_comes_back_gets_less_at_first(void **state)
{
	struct rig *r = *state;
	int64_t now = clock_mono_ms();

	use_three(r, 2, NULL);
	set_cell(r, 0, 3, 0);
	publish(r, 1, now - 1000, 0, 0);
	assert_string_equal(picked(r, "", 0, 0), "a.test:25");
	set_cell(r, 0, 6, 0);
	assert_string_equal(picked(r, "", 0, 0), "b.test:25");
	set_cell(r, 0, 3, 0);
	publish(r, 1, now - RELAY_RETURN_MS, 0, 0);
	assert_string_equal(picked(r, "", 0, 0), "b.test:25");
}

static void
test_drained_host_gets_nothing_even_when_it_is_the_last(void **state)
{
	struct rig *r = *state;
	unsigned i;

	use_three(r, 2, NULL);
	for (i = 0; i < 3; i++)
		atomic_store(&r->shared->upstreams[i].drained, i != 1);
	assert_string_equal(picked(r, "", 0, 0), "b.test:25");
	assert_string_equal(picked(r, "", 0, 2), "");
	atomic_store(&r->shared->upstreams[1].drained, 1);
	assert_string_equal(picked(r, "", 0, 0), "");
}

static void
test_class_has_its_own_hosts_and_no_others(void **state)
{
	struct rig *r = *state;

	use_three(r, 1, (char *)(uintptr_t) "news");
	assert_string_equal(picked(r, "news", 0, 0), "c.test:25");
	assert_string_equal(picked(r, "news", 0, 4), "");
	assert_int_not_equal(picked(r, "", 0, 0)[0], 'c');
	assert_string_equal(picked(r, "staff", 0, 3), "");
}

static void
test_offer_is_what_all_hosts_in_use_have(void **state)
{
	const uint32_t both = SMTP_EXT_PIPELINING | SMTP_EXT_8BITMIME;
	struct rig *r = *state;
	struct smtp_offer offer;

	use_three(r, 2, NULL);
	publish(r, 0, 1, both | SMTP_EXT_SIZE, 1000);
	publish(r, 1, 1, SMTP_EXT_8BITMIME | SMTP_EXT_SIZE, 800);
	publish(r, 2, 1, 0, 0);
	relay_pool_offer(r->pool, "", &offer);
	assert_int_equal(offer.extensions, SMTP_EXT_8BITMIME | SMTP_EXT_SIZE);
	assert_int_equal(offer.size, 800);
	set_cell(r, 1, 0, 2);
	relay_pool_offer(r->pool, "", &offer);
	assert_int_equal(offer.extensions, both | SMTP_EXT_SIZE);
	assert_int_equal(offer.size, 1000);
	publish(r, 1, 3, 0, 0);
	relay_pool_offer(r->pool, "", &offer);
	assert_int_equal(offer.extensions, SMTP_EXT_SIZE);
	assert_int_equal(offer.size, 1000);
	publish(r, 0, 0, both, 0);
	publish(r, 1, 0, both, 0);
	relay_pool_offer(r->pool, "", &offer);
	assert_int_equal(offer.extensions, 0);
}

static void
test_before_the_login_the_offer_is_what_all_classes_have(void **state)
{
	struct rig *r = *state;
	struct smtp_offer offer;

	use_three(r, 1, (char *)(uintptr_t) "news");
	publish(r, 0, 1, SMTP_EXT_8BITMIME, 0);
	publish(r, 1, 1, SMTP_EXT_8BITMIME, 0);
	publish(r, 2, 1, SMTP_EXT_SIZE, 500);
	relay_pool_offer(r->pool, NULL, &offer);
	assert_int_equal(offer.extensions, SMTP_EXT_SIZE);
	assert_int_equal(offer.size, 500);
	relay_pool_offer(r->pool, "staff", &offer);
	assert_int_equal(offer.extensions, SMTP_EXT_8BITMIME);
	relay_pool_offer(r->pool, "news", &offer);
	assert_int_equal(offer.extensions, SMTP_EXT_SIZE);
}

/* ---- failing over ---- */

/* Which of a and b is asked first is a matter of turns: b is busier. */
static void
prefer_first(struct rig *r)
{
	set_cell(r, 1, 1, 0);
}

/* One message; what the host says that is asked first, and the next one. */
static void
send_by_two(struct rig *r, struct owner *o, const char *const *first,
    const char *const *second)
{
	use_three(r, 2, NULL);
	prefer_first(r);
	fake_script(&r->fake, 0, first);
	if (second != NULL)
		fake_script(&r->fake, 1, second);
	rig_send(r, o, 1);
}

static void
test_refused_connection_goes_to_another_host(void **state)
{
	static const char *const closed[] = { "close", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	send_by_two(r, &o, closed, good);
	rig_expect(r, &o, SENT);
	assert_non_null(strstr(rig_log(r), "upstream=a.test:25 result=away"));
	/* everybody knows now */
	assert_string_equal(picked(r, "", 0, 0), "b.test:25");
	assert_int_equal(r->board.cells[MAX_UPSTREAM_HOSTS].active, 0);
	assert_int_equal(r->board.cells[MAX_UPSTREAM_HOSTS + 1].active, 0);
}

static void
test_all_hosts_in_vain_are_told_as_away(void **state)
{
	static const char *const closed[] = { "close", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };
	size_t i;

	use_three(r, 2, NULL);
	for (i = 0; i < 3; i++)
		fake_script(&r->fake, i, closed);
	rig_send(r, &o, 1);
	rig_expect(r, &o, "away");
	assert_int_equal(fake_accepted(&r->fake), 3);
}

static void
test_host_in_trouble_at_mail_is_left_for_another(void **state)
{
	static const char *const full[] = { HELLO, STEPS, "452 4.3.1 disk full",
		"end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	send_by_two(r, &o, full, good);
	rig_expect(r, &o, SENT);
	assert_string_equal(picked(r, "", 0, 0), "b.test:25");
}

static void
test_last_hosts_trouble_is_the_clients(void **state)
{
	static const char *const full[] = { HELLO, STEPS, "452 4.3.1 disk full",
		NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	fake_script(&r->fake, 0, full);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, "MAIL 452");
}

static void
test_refused_sender_is_asked_nowhere_else(void **state)
{
	static const char *const refuses[] = { HELLO, STEPS, "450 4.1.8 no",
		NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	send_by_two(r, &o, refuses, NULL);
	rig_expect(r, &o, "MAIL 450");
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_lost_before_data_is_said_again_to_another_host(void **state)
{
	static const char *const dies[] = { HELLO, STEPS, OK, "close", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	send_by_two(r, &o, dies, good);
	rig_expect(r, &o, SENT);
}

/* The other host has been tried, and c is drained: it is the same one again. */
static void
test_lost_at_the_last_host_is_said_again_to_it(void **state)
{
	static const char *const closed[] = { "close", NULL };
	static const char *const dies[] = { HELLO, STEPS, OK, "close", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	atomic_store(&r->shared->upstreams[2].drained, 1);
	fake_script(&r->fake, 1, dies);
	send_by_two(r, &o, closed, good);
	rig_expect(r, &o, SENT);
}

static void
test_nothing_moves_after_the_first_byte_of_a_body(void **state)
{
	static const char *const dies[] = { HELLO, STEPS, OK, OK, "354 go",
		"bytes 10", "close", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	send_by_two(r, &o, dies, NULL);
	assert_null(strstr(o.said, "DOT 250"));
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_host_without_what_is_needed_is_passed_over(void **state)
{
	static const char *const has[] = { "220 mx", "< EHLO", "250-mx",
		"250-8BITMIME", "250 PIPELINING", MESSAGE, NULL };
	static const char *const lacks[] = { HELLO, NULL }; /* nobody knew */
	struct rig *r = *state;
	struct owner o = { .needs = SMTP_EXT_8BITMIME };

	send_by_two(r, &o, lacks, has);
	rig_expect(r, &o, SENT);
	publish(r, 0, 1, 0, 0);
	publish(r, 1, 1, 0, 0);
	publish(r, 2, 1, 0, 0);
	assert_string_equal(picked(r, "", SMTP_EXT_8BITMIME, 0), "");
	rig_send(r, &o, 1);
	rig_expect(r, &o, "away");
}

static void
test_three_losses_in_a_row_give_a_host_up(void **state)
{
	struct rig *r = *state;
	struct relay_host *h;

	rig_start(r);
	h = &r->pool->hosts[0];
	relay_host_lost(h, "gone");
	relay_host_lost(h, "gone");
	relay_host_works(h);
	relay_host_lost(h, "gone");
	relay_host_lost(h, "gone");
	assert_true(relay_host_is_up(h));
	relay_host_lost(h, "gone");
	assert_false(relay_host_is_up(h));
	publish(r, 0, clock_mono_ms() + 1, 0, 0);
	assert_true(relay_host_is_up(h));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_host_with_the_fewest_messages_is_taken),
		TEST(test_equals_take_turns),
		TEST(test_next_priority_stands_in_for_hosts_that_are_not_up),
		TEST(test_host_that_comes_back_gets_less_at_first),
		TEST(test_drained_host_gets_nothing_even_when_it_is_the_last),
		TEST(test_class_has_its_own_hosts_and_no_others),
		TEST(test_offer_is_what_all_hosts_in_use_have),
		TEST(test_before_the_login_the_offer_is_what_all_classes_have),
		TEST(test_refused_connection_goes_to_another_host),
		TEST(test_all_hosts_in_vain_are_told_as_away),
		TEST(test_host_in_trouble_at_mail_is_left_for_another),
		TEST(test_last_hosts_trouble_is_the_clients),
		TEST(test_refused_sender_is_asked_nowhere_else),
		TEST(test_lost_before_data_is_said_again_to_another_host),
		TEST(test_lost_at_the_last_host_is_said_again_to_it),
		TEST(test_nothing_moves_after_the_first_byte_of_a_body),
		TEST(test_host_without_what_is_needed_is_passed_over),
		TEST(test_three_losses_in_a_row_give_a_host_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
