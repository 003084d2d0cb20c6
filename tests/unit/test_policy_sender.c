/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * policy_sender: who may send as whom.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "fake_host.h"

#define YES PORTERO_OWNED_YES
#define NO PORTERO_OWNED_NO
#define DUNNO PORTERO_OWNED_UNKNOWN

static struct portero_conf *conf;
static void *ctx;
static struct portero_answer answer;

static void
open_plugin(void)
{
	char err[256] = "";

	assert_int_equal(portero_plugin.open(&fake_host, conf, NULL, 0,
			     PORTERO_SHARE_NEW, &ctx, err),
	    0);
}

static int
setup(void **state)
{
	(void)state;
	conf = fake_conf_new(portero_plugin.options, "sender");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (ctx != NULL)
		portero_plugin.close(ctx);
	ctx = NULL;
	fake_conf_free(&conf);
	return 0;
}

static int
mail(const char *class_name, const char *from, enum portero_owned owned)
{
	struct portero_identity who = { .id = "ana" };
	struct portero_facts facts = { .stage = PORTERO_MAIL,
		.identity = &who,
		.reverse_path = { from, strlen(from) },
		.sender_owned = owned };
	enum portero_verdict v;

	snprintf(who.class_name, sizeof who.class_name, "%s", class_name);
	memset(&answer, 0, sizeof answer);
	v = portero_plugin.policy->judge(ctx, &facts, &answer);
	assert_int_equal(v,
	    answer.reply.code == 0 ?
		PORTERO_NEXT :
		answer.reply.code / 100 == 4 ? PORTERO_DEFER : PORTERO_DENY);
	return answer.reply.code;
}

static void
test_only_own_addresses_pass_and_doubt_is_try_later(void **state)
{
	(void)state;
	open_plugin();
	assert_int_equal(mail("", "ana@example.org", YES), 0);
	assert_int_equal(mail("", "boss@example.org", NO), 553);
	assert_string_equal(answer.reply.enhanced, "5.7.1");
	assert_string_equal(answer.reply.reason, "sender");
	assert_string_equal(answer.reply.text,
	    "You cannot send as boss@example.org. Use your own address.");
	assert_int_equal(mail("", "ana@example.org", DUNNO), 451);
	assert_string_equal(answer.reply.enhanced, "4.7.0");
	assert_int_equal(mail("", "", DUNNO), 0);
	assert_int_equal(mail("", "\xc3\xb1\"%s\"@example.org", NO), 553);
	assert_string_equal(answer.reply.text,
	    "You cannot send as \?\?\"%s\"@example.org. Use your own address.");
}

static void
test_what_is_allowed_to_all_and_to_a_class(void **state)
{
	/* clang-format off */
	static const struct {
		const char *class_name, *from;
		int code;
	} cases[] = {
		{ "",      "noreply@example.org",       0 },
		{ "",      "NoReply@Example.ORG",       0 },
		{ "",      "xnoreply@example.org",      553 },
		{ "",      "noreply@example.org.net",   553 },
		{ "",      "x@lists.example.org",       553 },
		{ "relay", "noreply@example.org",       0 },
		{ "relay", "x@lists.example.org",       0 },
		{ "relay", "x@LISTS.example.org",       0 },
		{ "relay", "x@y.lists.example.org",     553 },
		{ "relay", "x@example.org",             553 },
		{ "relay", "x@a.b.net",                 0 },
		{ "relay", "x@b.net",                   553 },
		{ "relay", "x@ab.net",                  553 },
		{ "relay", "x@.b.net",                  553 },
		{ "relay", "\"@lists.example.org\"@evil.net", 553 },
		{ "relay", "x@a.b.net@evil.net",        553 },
		{ "relay", "postmaster",                553 },
		{ "open",  "x@anything.net",            0 },
		{ "Relay", "x@lists.example.org",       553 },
	};
	/* clang-format on */
	struct portero_conf *relay = fake_conf_section(conf, "class", "relay");

	(void)state;
	fake_conf_set(conf, "allow", "noreply@example.org");
	fake_conf_set(relay, "allow", "@lists.example.org");
	fake_conf_set(relay, "allow", "@*.b.net");
	fake_conf_set(fake_conf_section(conf, "class", "open"), "allow", "any");
	open_plugin();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (mail(cases[i].class_name, cases[i].from, NO) !=
		    cases[i].code)
			fail_msg("%s as %s", cases[i].class_name,
			    cases[i].from);
	/* allowed ones need no directory */
	assert_int_equal(mail("open", "x@anything.net", DUNNO), 0);
	assert_int_equal(mail("relay", "x@example.org", DUNNO), 451);
}

static void
test_the_empty_sender_is_for_those_who_may(void **state)
{
	struct portero_conf *mta = fake_conf_section(conf, "class", "mta");

	(void)state;
	fake_conf_set(conf, "null_sender", "no");
	fake_conf_set(mta, "null_sender", "yes");
	fake_conf_set(fake_conf_section(conf, "class", "open"), "allow", "any");
	open_plugin();
	assert_int_equal(mail("", "", DUNNO), 553);
	assert_string_equal(answer.reply.text,
	    "You cannot send with an empty sender. Use your own address.");
	assert_int_equal(mail("open", "", DUNNO), 553);
	assert_int_equal(mail("mta", "", DUNNO), 0);
}

static void
test_what_is_no_sender_is_told_at_the_start(void **state)
{
	static const char *const wrong[] = { "example.org", "", "@", "@*.",
		"@*example.org", "x@*.example.org", "*@example.org", "ANY",
		"<x@example.org>" };
	char err[256];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		err[0] = '\0';
		setup(state);
		fake_conf_set(conf, "allow", wrong[i]);
		if (portero_plugin.open(&fake_host, conf, NULL, 0,
			PORTERO_SHARE_NONE, &ctx, err) != -1)
			fail_msg("%s", wrong[i]);
		assert_non_null(strstr(err, "allow: "));
		fake_conf_free(&conf);
	}
	setup(state);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_only_own_addresses_pass_and_doubt_is_try_later),
		TEST(test_what_is_allowed_to_all_and_to_a_class),
		TEST(test_the_empty_sender_is_for_those_who_may),
		cmocka_unit_test_teardown(
		    test_what_is_no_sender_is_told_at_the_start, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
