/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What policy_rate declares to be counted, for whom and when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_host.h"

#define UNLIMITED PORTERO_UNLIMITED

/* A configuration, the plugin opened with it, and who asks. */
struct fixture {
	struct portero_conf *conf;
	void *ctx;
	char err[256];
	struct portero_identity who;
	struct portero_facts facts;
	struct portero_answer answer;
};

static void
set_class(struct fixture *f, const char *name)
{
	snprintf(f->who.class_name, sizeof f->who.class_name, "%s", name);
}

/* The person's i-th own number. */
static void
set_own(struct fixture *f, int i, const char *limit, int64_t max,
    uint32_t window_s)
{
	struct portero_limit *own = &f->who.limits[i];

	snprintf(own->name, sizeof own->name, "%s", limit);
	own->max = max;
	own->window_s = window_s;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (f == NULL)
		return -1;
	f->conf = fake_conf_new(portero_plugin.options, "quota");
	f->who.size = sizeof f->who;
	memcpy(f->who.id, "ana", 4);
	set_class(f, "student");
	f->facts = (struct portero_facts){ .size = sizeof f->facts,
		.identity = &f->who,
		.declared_size = -1,
		.message_size = -1 };
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f->ctx != NULL)
		portero_plugin.close(f->ctx);
	fake_conf_free(&f->conf);
	free(f);
	return 0;
}

static int
open_plugin(struct fixture *f)
{
	return portero_plugin.open(&fake_host, f->conf, NULL, 0,
	    PORTERO_SHARE_NONE, &f->ctx, f->err);
}

/* Adds a limit per hour. NULL: unit not given. */
static struct portero_conf *
add_limit(struct fixture *f, const char *name, const char *messages,
    const char *recipients, const char *bytes)
{
	struct portero_conf *c = fake_conf_section(f->conf, "limit", name);

	fake_conf_set(c, "per", "3600");
	if (messages != NULL)
		fake_conf_set(c, "messages", messages);
	if (recipients != NULL)
		fake_conf_set(c, "recipients", recipients);
	if (bytes != NULL)
		fake_conf_set(c, "bytes", bytes);
	return c;
}

static void
judge(struct fixture *f, enum portero_stage stage)
{
	if (f->ctx == NULL)
		assert_int_equal(open_plugin(f), 0);
	f->facts.stage = stage;
	memset(&f->answer, 0, sizeof f->answer);
	f->answer.size = sizeof f->answer;
	assert_int_equal(portero_plugin.policy->judge(f->ctx, &f->facts,
	    &f->answer), PORTERO_NEXT);
}

/* The charge of that limit and unit; NULL: none was declared. */
static const struct portero_charge *
find(const struct fixture *f, const char *limit, enum portero_unit unit)
{
	const struct portero_charge *found = NULL;

	for (size_t i = 0; i < f->answer.ncharges; i++) {
		const struct portero_charge *c = &f->answer.charges[i];

		assert_int_equal(c->size, sizeof *c);
		if (strcmp(c->limit, limit) != 0 || c->unit != unit)
			continue;
		assert_null(found);
		found = c;
	}
	return found;
}

/* The amount declared; -1: no charge. */
static int64_t
amount(struct fixture *f, enum portero_stage stage, enum portero_unit unit)
{
	const struct portero_charge *c;

	judge(f, stage);
	c = find(f, "hourly", unit);
	return c == NULL ? -1 : c->amount;
}

static void
test_each_stage_declares_what_it_knows(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum portero_stage stage;
		int64_t declared, size;
		int64_t messages, recipients, bytes; /* -1: no charge */
	} cases[] = {
		{ PORTERO_MAIL, -1, -1, 1, 0, 0 },
		{ PORTERO_MAIL, 5000, -1, 1, 0, 5000 },
		{ PORTERO_DATA, -1, -1, 1, 3, 0 },
		{ PORTERO_DATA, 5000, -1, 1, 3, 5000 },
		{ PORTERO_END, 5000, 7000, -1, -1, 2000 },
		{ PORTERO_END, -1, 7000, -1, -1, 7000 },
		{ PORTERO_END, 0, 1, -1, -1, 1 },
		{ PORTERO_END, 5000, 5000, -1, -1, -1 },
		{ PORTERO_END, 5000, 4000, -1, -1, -1 },
	};

	add_limit(f, "hourly", "100", "500", "1M");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		f->facts.declared_size = cases[i].declared;
		f->facts.message_size = cases[i].size;
		f->facts.nrecipients = cases[i].stage == PORTERO_MAIL ? 0 : 3;
		assert_int_equal(amount(f, cases[i].stage, PORTERO_MESSAGES),
		    cases[i].messages);
		assert_int_equal(amount(f, cases[i].stage, PORTERO_RECIPIENTS),
		    cases[i].recipients);
		assert_int_equal(amount(f, cases[i].stage, PORTERO_BYTES),
		    cases[i].bytes);
	}
}

static void
test_a_charge_carries_what_the_section_says(void **state)
{
	struct fixture *f = *state;
	struct portero_conf *c = add_limit(f, "daily", NULL, "20", NULL);
	const struct portero_charge *charge;

	fake_conf_set(c, "scope", "domain");
	fake_conf_set(c, "reply", "permanent");
	fake_conf_set(c, "monitor", "yes");
	add_limit(f, "hourly", "unlimited", NULL, NULL);
	judge(f, PORTERO_MAIL);
	assert_int_equal(f->answer.ncharges, 2);
	charge = find(f, "daily", PORTERO_RECIPIENTS);
	assert_int_equal(charge->scope, PORTERO_DOMAIN);
	assert_int_equal(charge->reply, PORTERO_REPLY_PERMANENT);
	assert_int_equal(charge->max, 20);
	assert_int_equal(charge->window_s, 3600);
	assert_true(charge->monitor);
	charge = find(f, "hourly", PORTERO_MESSAGES);
	assert_int_equal(charge->scope, PORTERO_PERSON);
	assert_int_equal(charge->reply, PORTERO_REPLY_AUTO);
	assert_int_equal(charge->max, UNLIMITED);
	assert_false(charge->monitor);
}

static void
test_the_persons_number_comes_first_then_the_classs(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *class_name;
		const char *own_name; /* "": no entry */
		int64_t own_max;
		uint32_t own_window_s;
		int64_t messages, recipients; /* expected */
		uint32_t window_s;            /* of messages */
	} cases[] = {
		{ "student", "", 0, 0, 100, 200, 3600 },
		{ "staff", "", 0, 0, 1000, 200, 3600 },
		{ "guest", "", 0, 0, 0, UNLIMITED, 3600 },
		{ "staff", "hourly", 7, 0, 7, 200, 3600 },
		{ "staff", "hourly", 7, 60, 7, 200, 60 },
		{ "staff", "hourly.messages", 7, 60, 7, 200, 60 },
		{ "staff", "hourly.recipients", 7, 60, 1000, 7, 3600 },
		{ "guest", "hourly", UNLIMITED, 0, UNLIMITED, UNLIMITED,
		    3600 },
		{ "student", "hourly", 0, 0, 0, 200, 3600 },
		/* not ours, or broken */
		{ "student", "hourl", 7, 60, 100, 200, 3600 },
		{ "student", "hourly2", 7, 60, 100, 200, 3600 },
		{ "student", "hourly.", 7, 60, 100, 200, 3600 },
		{ "student", "hourly.message", 7, 60, 100, 200, 3600 },
		{ "student", "hourly", -2, 60, 100, 200, 3600 },
		{ "student", "hourly", 7, 31 * 86400 + 1, 7, 200, 3600 },
	};
	struct portero_conf *c = add_limit(f, "hourly", "100", "200", NULL);
	struct portero_conf *staff = fake_conf_section(c, "class", "staff");
	struct portero_conf *guest = fake_conf_section(c, "class", "guest");

	fake_conf_set(staff, "messages", "1000");
	fake_conf_set(guest, "messages", "0");
	fake_conf_set(guest, "recipients", "unlimited");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		set_class(f, cases[i].class_name);
		set_own(f, 0, cases[i].own_name, cases[i].own_max,
		    cases[i].own_window_s);
		f->who.nlimits = cases[i].own_name[0] != '\0';
		judge(f, PORTERO_MAIL);
		assert_int_equal(find(f, "hourly", PORTERO_MESSAGES)->max,
		    cases[i].messages);
		assert_int_equal(find(f, "hourly", PORTERO_MESSAGES)->window_s,
		    cases[i].window_s);
		assert_int_equal(find(f, "hourly", PORTERO_RECIPIENTS)->max,
		    cases[i].recipients);
	}
	/* The exact name comes before the short one, in any order. */
	f->who.nlimits = 2;
	for (int order = 0; order < 2; order++) {
		set_own(f, order, "hourly", 1, 0);
		set_own(f, 1 - order, "hourly.messages", 2, 0);
		judge(f, PORTERO_MAIL);
		assert_int_equal(find(f, "hourly", PORTERO_MESSAGES)->max, 2);
	}
}

static void
test_a_persons_own_number_does_not_move_a_shared_counter(void **state)
{
	struct fixture *f = *state;
	struct portero_conf *c = add_limit(f, "hourly", "100", NULL, NULL);

	fake_conf_set(c, "scope", "class");
	f->who.nlimits = 1;
	set_own(f, 0, "hourly", UNLIMITED, 60);
	judge(f, PORTERO_MAIL);
	assert_int_equal(find(f, "hourly", PORTERO_MESSAGES)->max, 100);
	assert_int_equal(find(f, "hourly", PORTERO_MESSAGES)->window_s, 3600);
}

static void
test_a_counter_without_a_number_is_not_declared(void **state)
{
	struct fixture *f = *state;
	struct portero_conf *c = add_limit(f, "hourly", "100", NULL, NULL);

	fake_conf_set(fake_conf_section(c, "class", "guest"), "bytes", "10M");
	judge(f, PORTERO_MAIL);
	assert_int_equal(f->answer.ncharges, 1);
	assert_null(find(f, "hourly", PORTERO_BYTES));
	set_class(f, "guest");
	judge(f, PORTERO_MAIL);
	assert_int_equal(f->answer.ncharges, 2);
	assert_int_equal(find(f, "hourly", PORTERO_BYTES)->max, 10 << 20);
	/* But the person's own entry can give one. */
	set_class(f, "student");
	set_own(f, 0, "hourly.bytes", 5, 0);
	f->who.nlimits = 1;
	judge(f, PORTERO_MAIL);
	assert_int_equal(find(f, "hourly", PORTERO_BYTES)->max, 5);
}

static void
test_a_limit_is_only_for_the_classes_it_names(void **state)
{
	struct fixture *f = *state;
	struct portero_conf *c = add_limit(f, "hourly", "100", NULL, NULL);
	static const struct {
		const char *class_name;
		size_t ncharges;
	} cases[] = { { "guest", 1 }, { "mta", 1 }, { "student", 0 },
		{ "gues", 0 }, { "", 0 } };

	fake_conf_set(c, "classes", "guest");
	fake_conf_set(c, "classes", "mta");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		set_class(f, cases[i].class_name);
		judge(f, PORTERO_DATA);
		assert_int_equal(f->answer.ncharges, cases[i].ncharges);
	}
}

static void
test_clients_that_queue_get_temporary_replies(void **state)
{
	struct fixture *f = *state;
	static const char *const kinds[] = { "auto", "temporary", "permanent" };
	static const enum portero_reply_kind expected[2][3] = {
		{ PORTERO_REPLY_AUTO, PORTERO_REPLY_TEMPORARY,
		    PORTERO_REPLY_PERMANENT },
		{ PORTERO_REPLY_TEMPORARY, PORTERO_REPLY_TEMPORARY,
		    PORTERO_REPLY_PERMANENT },
	};

	fake_conf_set(f->conf, "queueing_classes", "mta");
	for (int i = 0; i < 3; i++)
		fake_conf_set(add_limit(f, kinds[i], "9", NULL, NULL), "reply",
		    kinds[i]);
	for (int queues = 0; queues < 2; queues++) {
		set_class(f, queues ? "mta" : "student");
		judge(f, PORTERO_MAIL);
		for (int i = 0; i < 3; i++)
			assert_int_equal(find(f, kinds[i], PORTERO_MESSAGES)
					     ->reply, expected[queues][i]);
	}
}

static void
test_scopes_and_stages_are_those_in_use(void **state)
{
	struct fixture *f = *state;
	const struct portero_policy *policy = portero_plugin.policy;

	add_limit(f, "a", "9", "9", NULL);
	fake_conf_set(add_limit(f, "b", "9", NULL, NULL), "scope", "host");
	assert_int_equal(open_plugin(f), 0);
	assert_int_equal(policy->scopes(f->ctx),
	    1u << PORTERO_PERSON | 1u << PORTERO_HOST);
	assert_int_equal(policy->stages_used(f->ctx),
	    PORTERO_MAIL | PORTERO_DATA);
	portero_plugin.close(f->ctx);

	fake_conf_set(fake_conf_section(add_limit(f, "c", "9", NULL, NULL),
	    "class", "guest"), "bytes", "1M");
	assert_int_equal(open_plugin(f), 0);
	assert_int_equal(policy->stages_used(f->ctx),
	    PORTERO_MAIL | PORTERO_DATA | PORTERO_END);
}

static void
test_bytes_are_sizes_or_unlimited(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -2: refused */
	} cases[] = {
		{ "0", 0 },
		{ "1000", 1000 },
		{ "25K", 25 << 10 },
		{ "25M", 25 << 20 },
		{ "2G", INT64_C(2) << 30 },
		{ "2g", INT64_C(2) << 30 },
		{ "unlimited", UNLIMITED },
		{ "", -2 },
		{ "M", -2 },
		{ "-1", -2 },
		{ "25MB", -2 },
		{ "25 M", -2 },
		{ "25T", -2 },
		{ "Unlimited", -2 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", -2 },
		{ "9007199254740993K", -2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		void *one;
		struct fixture *f;

		assert_int_equal(setup(&one), 0);
		f = one;
		add_limit(f, "hourly", NULL, NULL, cases[i].text);
		assert_int_equal(open_plugin(f), cases[i].bytes == -2 ? -1 : 0);
		if (cases[i].bytes == -2) {
			assert_non_null(strstr(f->err, "limit \"hourly\""));
		} else {
			judge(f, PORTERO_MAIL);
			assert_int_equal(find(f, "hourly", PORTERO_BYTES)->max,
			    cases[i].bytes);
		}
		teardown(&one);
	}
}

static void
assert_refused(struct fixture *f, const char *because)
{
	assert_int_equal(open_plugin(f), -1);
	if (strstr(f->err, because) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", because, f->err);
}

static void
test_a_limit_that_limits_nothing_is_refused(void **state)
{
	struct fixture *f = *state;

	add_limit(f, "hourly", NULL, NULL, NULL);
	assert_refused(f, "limits nothing");
}

static void
test_no_limit_at_all_is_refused(void **state)
{
	assert_refused(*state, "0 counters");
}

static void
test_two_limits_of_one_name_are_refused(void **state)
{
	struct fixture *f = *state;

	add_limit(f, "hourly", "1", NULL, NULL);
	add_limit(f, "hourly", NULL, "1", NULL);
	assert_refused(f, "two limits \"hourly\"");
}

static void
test_a_name_that_is_no_counter_is_refused(void **state)
{
	static const char *const names[] = { "", "two words", "naïve", "a:b",
		"a name that is longer than it may be",
		"12345678901234567890123456789012" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		void *one;

		assert_int_equal(setup(&one), 0);
		add_limit(one, names[i], "1", NULL, NULL);
		assert_refused(one, "a name has");
		teardown(&one);
	}
}

static void
test_more_counters_than_an_answer_holds_are_refused(void **state)
{
	struct fixture *f = *state;
	char name[] = "a";

	for (; name[0] < 'a' + PORTERO_MAX_CHARGES / 3; name[0]++)
		add_limit(f, name, "1", "1", "1");
	add_limit(f, name, "1", NULL, NULL);
	judge(f, PORTERO_DATA);
	assert_int_equal(f->answer.ncharges, PORTERO_MAX_CHARGES);
	portero_plugin.close(f->ctx);
	f->ctx = NULL;
	name[0]++;
	add_limit(f, name, "1", NULL, NULL);
	assert_refused(f, "17 counters");
}

static void
assert_options_complete(const struct portero_option *options)
{
	for (const struct portero_option *o = options; o->name != NULL; o++) {
		assert_non_null(o->help);
		assert_int_equal(o->type == PORTERO_OPT_SECTION,
		    o->section != NULL);
		assert_int_equal(o->type == PORTERO_OPT_ENUM,
		    o->choices != NULL);
		if (o->section != NULL)
			assert_options_complete(o->section);
	}
}

static void
test_every_option_is_explained(void **state)
{
	(void)state;
	assert_options_complete(portero_plugin.options);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		TEST(test_each_stage_declares_what_it_knows),
		TEST(test_a_charge_carries_what_the_section_says),
		TEST(test_the_persons_number_comes_first_then_the_classs),
		TEST(test_a_persons_own_number_does_not_move_a_shared_counter),
		TEST(test_a_counter_without_a_number_is_not_declared),
		TEST(test_a_limit_is_only_for_the_classes_it_names),
		TEST(test_clients_that_queue_get_temporary_replies),
		TEST(test_scopes_and_stages_are_those_in_use),
		TEST(test_bytes_are_sizes_or_unlimited),
		TEST(test_a_limit_that_limits_nothing_is_refused),
		TEST(test_no_limit_at_all_is_refused),
		TEST(test_two_limits_of_one_name_are_refused),
		TEST(test_a_name_that_is_no_counter_is_refused),
		TEST(test_more_counters_than_an_answer_holds_are_refused),
		TEST(test_every_option_is_explained),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
