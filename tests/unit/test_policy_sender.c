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

static struct portero_answer answer;

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
	v = portero_plugin.policy->judge(fake_ctx, &facts, &answer);
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
	fake_open();
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
	struct portero_conf *relay =
	    fake_conf_section(fake_conf, "class", "relay");

	(void)state;
	fake_conf_set(fake_conf, "allow", "noreply@example.org");
	fake_conf_set(relay, "allow", "@lists.example.org");
	fake_conf_set(relay, "allow", "@*.b.net");
	fake_conf_set(
	    fake_conf_section(fake_conf, "class", "open"), "allow", "any");
	fake_open();
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
	struct portero_conf *mta = fake_conf_section(fake_conf, "class", "mta");

	(void)state;
	fake_conf_set(fake_conf, "null_sender", "no");
	fake_conf_set(mta, "null_sender", "yes");
	fake_conf_set(
	    fake_conf_section(fake_conf, "class", "open"), "allow", "any");
	fake_open();
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
		fake_setup(state);
		fake_conf_set(fake_conf, "allow", wrong[i]);
		if (portero_plugin.open(&fake_host, fake_conf, NULL, 0,
			PORTERO_SHARE_NONE, &fake_ctx, err) != -1)
			fail_msg("%s", wrong[i]);
		assert_non_null(strstr(err, "allow: "));
		fake_conf_free(&fake_conf);
	}
	fake_setup(state);
}

/* ---- the header ---------------------------------------------------------- */

/* "a@x+ b@y- S:c@z?": own, not own, nobody knows; of Sender. */
static size_t
mailboxes(const char *text, struct portero_mailbox to[8])
{
	size_t n = 0;

	for (; *text != '\0'; text += strspn(text, " ")) {
		size_t len = strcspn(text, " ");
		size_t skip = strncmp(text, "S:", 2) == 0 ? 2 : 0;
		char mark = text[len - 1];

		to[n++] = (struct portero_mailbox){
			.address = { text + skip, len - skip - 1 },
			.owned = mark == '+' ? YES : mark == '-' ? NO : DUNNO,
			.is_sender = skip > 0
		};
		text += len;
	}
	return n;
}

/* "" if it may go on, "+ address" if with a Sender, else code and text. */
static const char *
header(const char *class_name, const char *names, size_t nfrom, size_t nsender,
    const char *flaw)
{
	static char said[320];
	struct portero_mailbox list[8];
	struct portero_identity who = { .id = "ana" };
	struct portero_facts facts = { .stage = PORTERO_HEADER,
		.identity = &who,
		.reverse_path = { "ana@x", 5 },
		.sender_owned = YES,
		.mailboxes = list,
		.nmailboxes = mailboxes(names, list),
		.nfrom = nfrom,
		.nsender = nsender,
		.header_flaw = { flaw, strlen(flaw) } };

	snprintf(who.class_name, sizeof who.class_name, "%s", class_name);
	memset(&answer, 0, sizeof answer);
	said[0] = '\0';
	if (portero_plugin.policy->judge(fake_ctx, &facts, &answer) !=
	    PORTERO_NEXT)
		snprintf(said, sizeof said, "%d %s", answer.reply.code,
		    answer.reply.text);
	else if (answer.add_sender[0] != '\0')
		snprintf(said, sizeof said, "+ %.300s", answer.add_sender);
	return said;
}

static void
test_everybody_in_from_and_sender_must_be_ones_own(void **state)
{
	/* clang-format off */
	static const struct {
		const char *names; size_t nfrom, nsender;
		const char *flaw, *reject, *add;
	} cases[] = {
		{ "a@x+",           1, 0, "", "", "" },
		{ "a@x+ b@x+",      1, 0, "", "", "" },
		{ "a@x+ S:b@x+",    1, 1, "", "", "" },
		{ "c@z-",           1, 0, "", "550 You cannot send as c@z (From). Use your own address.", "+ ana@x" },
		{ "a@x+ c@z-",      1, 0, "", "550 You cannot send as c@z (From). Use your own address.", "+ ana@x" },
		{ "c@z- S:a@x+",    1, 1, "", "550 You cannot send as c@z (From). Use your own address.", "" },
		{ "a@x+ S:c@z-",    1, 1, "", "550 You cannot send as c@z (Sender). Use your own address.",
		                              "550 You cannot send as c@z (Sender). Use your own address." },
		{ "c@z?",           1, 0, "", "451 Cannot check right now whether you may send as c@z; try again in a few minutes.",
		                              "451 Cannot check right now whether you may send as c@z; try again in a few minutes." },
		{ "",               0, 0, "", "550 The message has no From field. Put your own address there.",
		                              "550 The message has no From field. Put your own address there." },
		{ "a@x+ a@x+",      2, 0, "", "550 The message has several From fields. Send it with one.",
		                              "550 The message has several From fields. Send it with one." },
		{ "a@x+ S:a@x+ S:a@x+", 1, 2, "", "550 The message has several Sender fields. Send it with one.",
		                              "550 The message has several Sender fields. Send it with one." },
		{ "",               1, 0, "", "550 The message's From field names nobody. Put your own address there.",
		                              "550 The message's From field names nobody. Put your own address there." },
		{ "S:a@x+",         1, 1, "", "550 The message's From field names nobody. Put your own address there.",
		                              "550 The message's From field names nobody. Put your own address there." },
		{ "a@x+",           1, 0, "a line that is no field", "550 The message's header has a line that is no field.",
		                              "550 The message's header has a line that is no field." },
		{ "l@lists.x-",     1, 0, "", "", "" },
	};
	/* clang-format on */
	struct portero_conf *open_class;

	for (int add = 0; add < 2; add++) {
		fake_setup(state);
		fake_conf_set(fake_conf, "allow", "@lists.x");
		open_class = fake_conf_section(fake_conf, "class", "open");
		fake_conf_set(open_class, "allow", "any");
		if (add)
			fake_conf_set(fake_conf, "header", "add_sender");
		fake_open();
		assert_int_equal(portero_plugin.policy->stages_used(fake_ctx),
		    PORTERO_MAIL | PORTERO_HEADER);
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			assert_string_equal(header("", cases[i].names,
						cases[i].nfrom,
						cases[i].nsender,
						cases[i].flaw),
			    add ? cases[i].add : cases[i].reject);
			assert_string_equal(header("open", cases[i].names,
						cases[i].nfrom,
						cases[i].nsender,
						cases[i].flaw),
			    "");
		}
		fake_teardown(state);
	}
	fake_setup(state);
	fake_conf_set(fake_conf, "header", "off");
	fake_open();
	assert_int_equal(
	    portero_plugin.policy->stages_used(fake_ctx), PORTERO_MAIL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_only_own_addresses_pass_and_doubt_is_try_later),
		TEST(test_what_is_allowed_to_all_and_to_a_class),
		TEST(test_the_empty_sender_is_for_those_who_may),
		cmocka_unit_test_teardown(
		    test_everybody_in_from_and_sender_must_be_ones_own,
		    fake_teardown),
		cmocka_unit_test_teardown(
		    test_what_is_no_sender_is_told_at_the_start, fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
