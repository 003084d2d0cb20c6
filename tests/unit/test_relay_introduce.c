/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who is behind a transaction: XFORWARD, XCLIENT, and whose connection it is.
 */
#include "relay_rig.h"

#include <string.h>

#define EHLO "220 mx", "< EHLO portero.example.org"
#define PIPES "250-mx", "250-PIPELINING"
#define OK "250 ok"
#define STEPS "< MAIL", "< RCPT", "< DATA"
#define ANSWERS OK, OK, "354 go", "body", OK
#define SENT "MAIL 250 RCPT 250 DATA 354 DOT 250"
#define BECOMES(who) "< XCLIENT LOGIN=" who, "alone", EHLO

/* Others may follow in the same script. */
static void
send_for(struct rig *r, struct owner *o, const char *said)
{
	o->body = "x\r\n";
	owner_begin(o, r, 1, true);
	while (!o->is_over)
		rig_turn(r);
	rig_expect(r, o, said);
}

static void
send_as(struct rig *r, const char *login)
{
	struct owner o = { .login = login };

	send_for(r, &o, SENT);
}

static void
test_client_is_told_before_every_mail_in_one_write(void **state)
{
	static const char *const script[] = { EHLO, PIPES,
		"250 XFORWARD NAME ADDR PROTO HELO IDENT SOURCE PORT",
		"< XFORWARD ADDR=192.0.2.7 NAME=[UNAVAILABLE] PROTO=ESMTP "
		"HELO=[192.168.1.5] IDENT=7Q3K9F2M SOURCE=REMOTE",
		STEPS, OK, ANSWERS,
		"< XFORWARD ADDR=IPV6:2001:db8::1 NAME=[UNAVAILABLE] "
		"PROTO=ESMTP HELO=a+2Bb+3Dc+C3+A9",
		STEPS, OK, ANSWERS, NULL };
	struct rig *r = *state;
	struct owner other = { .address = "2001:db8::1", .helo = "a+b=c\303\251" };

	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_as(r, "ana");
	send_for(r, &other, SENT);
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_only_what_is_offered_is_told(void **state)
{
	static const char *const script[] = { EHLO, "250-mx",
		"250 XFORWARD ADDR LOGIN", "< XFORWARD ADDR=192.0.2.7", "alone",
		OK, "< MAIL", "alone", OK, "< RCPT", OK, "< DATA", "354 go",
		"body", OK, NULL };
	struct rig *r = *state;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_as(r, "ana");
}

static void
test_name_that_is_too_long_is_not_told(void **state)
{
	static const char *const script[] = { EHLO, PIPES, "250 XFORWARD HELO",
		"< XFORWARD HELO=[UNAVAILABLE]", STEPS, OK, ANSWERS, NULL };
	struct rig *r = *state;
	char helo[256];
	struct owner o = { .helo = helo };

	memset(helo, '+', 255);
	helo[255] = '\0';
	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_for(r, &o, SENT);
}

static void
test_upstream_that_does_not_want_to_know_gets_the_mail(void **state)
{
	static const char *const script[] = { EHLO, PIPES, "250 XFORWARD ADDR",
		"< XFORWARD", STEPS, "550 not from you", ANSWERS, STEPS,
		ANSWERS, NULL };
	struct rig *r = *state;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_as(r, "ana");
	assert_non_null(strstr(rig_log(r), "step=XFORWARD"));
	send_as(r, "ana"); /* and is not asked again */
}

static void
test_answer_to_xforward_before_it_was_asked_is_not_believed(void **state)
{
	static const char *const bad[] = { EHLO, "250-mx", "250 XFORWARD ADDR",
		OK, "end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	fake_script(&r->fake, 0, bad);
	rig_start(r);
	send_for(r, &o, "broken");
}

static void
test_lost_with_xforward_is_said_again(void **state)
{
	static const char *const closing[] = { EHLO, PIPES,
		"250 XFORWARD ADDR", "< XFORWARD", STEPS, "421 bye", "close",
		NULL };
	static const char *const good[] = { EHLO, PIPES, "250 XFORWARD ADDR",
		"< XFORWARD", STEPS, OK, ANSWERS, NULL };
	struct rig *r = *state;

	fake_script(&r->fake, 0, closing);
	fake_script(&r->fake, 0, good);
	rig_start(r);
	send_as(r, "ana");
}

static void
test_connection_becomes_the_persons(void **state)
{
	static const char *const script[] = { EHLO, PIPES,
		"250 XCLIENT NAME ADDR LOGIN", BECOMES("ana"), "250-mx",
		"250-PIPELINING", "250 XCLIENT NAME ADDR LOGIN", STEPS, ANSWERS,
		/* once more: nothing is to be said */
		STEPS, ANSWERS,
		/* somebody else */
		BECOMES("bob+20+3D+2B"), "250-mx", "250-PIPELINING",
		"250 XCLIENT LOGIN", STEPS, ANSWERS, NULL };
	struct rig *r = *state;

	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_as(r, "ana");
	send_as(r, "ana");
	send_as(r, "bob =+");
	assert_int_equal(fake_accepted(&r->fake), 1);
}

static void
test_persons_own_connection_is_taken_first(void **state)
{
	static const char *const anas[] = { EHLO, PIPES, "250 XCLIENT LOGIN",
		BECOMES("ana"), PIPES, "250 XCLIENT LOGIN", STEPS, ANSWERS,
		STEPS, ANSWERS, NULL };
	static const char *const bobs[] = { EHLO, PIPES, "250 XCLIENT LOGIN",
		BECOMES("bob"), PIPES, "250 XCLIENT LOGIN", STEPS, ANSWERS,
		NULL };
	struct rig *r = *state;
	struct owner a = { .body = "x\r\n", .login = "ana" };
	struct owner b = { .body = "x\r\n", .login = "bob" };

	fake_script(&r->fake, 0, anas);
	fake_script(&r->fake, 0, bobs);
	rig_start(r);
	owner_begin(&a, r, 1, true);
	owner_begin(&b, r, 1, true);
	while (!a.is_over || !b.is_over)
		rig_turn(r);
	send_as(r, "ana");
	assert_int_equal(fake_accepted(&r->fake), 2);
}

/* It could not be given another name. */
static void
test_connection_that_stays_the_persons_serves_nobody_else(void **state)
{
	static const char *const anas[] = { EHLO, PIPES, "250 XCLIENT LOGIN",
		BECOMES("ana"), PIPES, "250 SIZE", STEPS, ANSWERS, "< QUIT",
		"end", NULL };
	static const char *const bobs[] = { EHLO, PIPES, "250 XCLIENT LOGIN",
		BECOMES("bob"), PIPES, "250 XCLIENT ADDR", STEPS, ANSWERS,
		"< QUIT", "end", NULL };
	struct rig *r = *state;

	fake_script(&r->fake, 0, anas);
	fake_script(&r->fake, 0, bobs);
	rig_start(r);
	send_as(r, "ana");
	send_as(r, "bob");
	assert_int_equal(relay_pool_idle(r->pool), 0);
}

static void
test_upstream_that_refuses_the_person_gets_no_mail(void **state)
{
	static const char *const script[] = { EHLO, PIPES, "250 XCLIENT LOGIN",
		"< XCLIENT", "550 no", "end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_for(r, &o, "broken");
	assert_non_null(strstr(o.detail, "XCLIENT: 550 no"));
}

static void
test_rested_connection_lost_at_xclient_is_mended_unseen(void **state)
{
	static const char *const first[] = { EHLO, PIPES, "250 XCLIENT LOGIN",
		BECOMES("ana"), PIPES, "250 XCLIENT LOGIN", STEPS, ANSWERS,
		"< XCLIENT", "close", NULL };
	static const char *const second[] = { EHLO, PIPES, "250 XCLIENT LOGIN",
		BECOMES("bob"), PIPES, "250 SIZE", STEPS, ANSWERS, NULL };
	struct rig *r = *state;

	fake_script(&r->fake, 0, first);
	fake_script(&r->fake, 0, second);
	rig_start(r);
	send_as(r, "ana");
	send_as(r, "bob");
}

/* As somebody's connection it offers less. */
static void
test_rested_connection_that_lacks_something_is_not_the_last_word(void **state)
{
	static const char *const first[] = { EHLO, PIPES, "250-SMTPUTF8",
		"250 XCLIENT LOGIN", BECOMES("ana"), PIPES, "250-SMTPUTF8",
		"250 XCLIENT LOGIN", STEPS, ANSWERS, BECOMES("bob"), PIPES,
		"250 XCLIENT LOGIN", NULL };
	static const char *const second[] = { EHLO, PIPES, "250-SMTPUTF8",
		"250 XCLIENT LOGIN", BECOMES("bob"), PIPES, "250-SMTPUTF8",
		"250 XCLIENT LOGIN", STEPS, ANSWERS, NULL };
	static const size_t ports[] = { 1 };
	struct config_host hosts[] = { { "a.test", 25 }, { "b.test", 25 } };
	struct rig *r = *state;
	struct owner b = { .login = "bob", .needs = SMTP_EXT_SMTPUTF8 };

	r->config.hosts = hosts;
	r->config.nhosts = r->whole.nhosts = 2;
	fake_script(&r->fake, 0, first);
	fake_script(&r->fake, 1, second);
	rig_start(r);
	send_as(r, "ana");
	rig_publish_host(r, 1, ports, 1);
	send_for(r, &b, SENT);
}

static void
test_connection_of_a_client_is_never_used_again(void **state)
{
#define CLIENT EHLO, PIPES, "250-XFORWARD ADDR", "250 XCLIENT ADDR HELO LOGIN", \
	"< XCLIENT ADDR=192.0.2.7 HELO=[192.168.1.5] LOGIN=ana", "alone", EHLO, \
	PIPES, "250 SIZE", STEPS, ANSWERS, "< QUIT", "end", NULL
	static const char *const script[] = { CLIENT };
	struct rig *r = *state;

	r->config.xclient = CONFIG_XCLIENT_ADDRESS;
	fake_script(&r->fake, 0, script);
	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_as(r, "ana");
	send_as(r, "ana");
	assert_int_equal(relay_pool_idle(r->pool), 0);
}

static void
test_nothing_is_told_where_it_is_not_wanted(void **state)
{
	static const char *const script[] = { EHLO, PIPES, "250-XFORWARD ADDR",
		"250 XCLIENT LOGIN", STEPS, ANSWERS, NULL };
	struct rig *r = *state;

	r->config.xclient = CONFIG_XCLIENT_NONE;
	r->config.xforward = false;
	fake_script(&r->fake, 0, script);
	rig_start(r);
	send_as(r, "ana");
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_client_is_told_before_every_mail_in_one_write),
		TEST(test_only_what_is_offered_is_told),
		TEST(test_name_that_is_too_long_is_not_told),
		TEST(test_upstream_that_does_not_want_to_know_gets_the_mail),
		TEST(test_answer_to_xforward_before_it_was_asked_is_not_believed),
		TEST(test_lost_with_xforward_is_said_again),
		TEST(test_connection_becomes_the_persons),
		TEST(test_persons_own_connection_is_taken_first),
		TEST(test_connection_that_stays_the_persons_serves_nobody_else),
		TEST(test_upstream_that_refuses_the_person_gets_no_mail),
		TEST(test_rested_connection_lost_at_xclient_is_mended_unseen),
		TEST(test_rested_connection_that_lacks_something_is_not_the_last_word),
		TEST(test_connection_of_a_client_is_never_used_again),
		TEST(test_nothing_is_told_where_it_is_not_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
