/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * policy_size: whose maximum holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "fake_host.h"

static struct portero_answer answer;

static enum portero_verdict
judge(enum portero_stage stage, const char *class_name, int64_t own,
    size_t recipient)
{
	struct portero_identity who = { .max_size = own };
	struct portero_facts facts = { .stage = stage,
		.identity = &who,
		.recipient = recipient };

	snprintf(who.class_name, sizeof who.class_name, "%s", class_name);
	memset(&answer, 0, sizeof answer);
	return portero_plugin.policy->judge(fake_ctx, &facts, &answer);
}

static void
test_the_persons_size_comes_before_the_classs_and_the_general(void **state)
{
	struct portero_conf *staff;

	(void)state;
	fake_conf_set(fake_conf, "max", "1000");
	staff = fake_conf_section(fake_conf, "class", "staff");
	fake_conf_set(staff, "max", "5000");
	fake_conf_section(fake_conf, "class", "guests");
	fake_open();
	judge(PORTERO_MAIL, "", 0, 0);
	assert_int_equal(answer.max_size, 1000);
	judge(PORTERO_MAIL, "staff", 0, 0);
	assert_int_equal(answer.max_size, 5000);
	judge(PORTERO_MAIL, "guests", 0, 0);
	assert_int_equal(answer.max_size, 1000);
	judge(PORTERO_MAIL, "staff", 300, 0);
	assert_int_equal(answer.max_size, 300);
	/* nobody counts recipients: nobody need ask about them */
	assert_int_equal(portero_plugin.policy->stages_used(fake_ctx),
	    PORTERO_HELLO | PORTERO_MAIL);
}

static void
test_recipients_beyond_the_maximum_are_refused(void **state)
{
	struct portero_conf *staff;

	(void)state;
	fake_conf_set(fake_conf, "max_recipients", "2");
	staff = fake_conf_section(fake_conf, "class", "staff");
	fake_conf_set(staff, "max_recipients", "3");
	fake_open();
	assert_true(
	    (portero_plugin.policy->stages_used(fake_ctx) & PORTERO_RCPT) != 0);
	judge(PORTERO_MAIL, "", 0, 0);
	assert_int_equal(answer.max_size, 0);
	assert_int_equal(judge(PORTERO_RCPT, "", 0, 1), PORTERO_NEXT);
	assert_int_equal(judge(PORTERO_RCPT, "", 0, 2), PORTERO_DENY);
	assert_int_equal(answer.reply.code, 452);
	assert_string_equal(answer.reply.enhanced, "4.5.3");
	assert_string_equal(answer.reply.reason, "recipients");
	assert_int_equal(judge(PORTERO_RCPT, "staff", 0, 2), PORTERO_NEXT);
	assert_int_equal(judge(PORTERO_RCPT, "staff", 0, 3), PORTERO_DENY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_the_persons_size_comes_before_the_classs_and_the_general,
		    fake_setup, fake_teardown),
		cmocka_unit_test_setup_teardown(
		    test_recipients_beyond_the_maximum_are_refused, fake_setup,
		    fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
