/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Parameters of MAIL and RCPT: what is read, what is refused, and how they are
 * written for the upstream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/command.h"
#include "smtp/ehlo.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALL (~0u)
#define X10 "0123456789"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

struct param_case {
	const char *in;
	uint32_t offered;
	int code;         /* 0: taken */
	const char *out;  /* to an upstream that has all; NULL: as in */
	uint32_t needs;
};

static const struct param_case mail_cases[] = {
	{ "", ALL, 0, "", 0 },
	{ "SIZE=5 BODY=8BITMIME", ALL, 0, NULL, SMTP_EXT_8BITMIME },
	{ "body=7bit size=005", ALL, 0, "SIZE=5 BODY=7BIT", 0 },
	{ "SMTPUTF8", ALL, 0, NULL, SMTP_EXT_SMTPUTF8 },
	{ "smtputf8  ret=hdrs", ALL, 0, "SMTPUTF8 RET=HDRS",
	    SMTP_EXT_SMTPUTF8 | SMTP_EXT_DSN },
	{ "RET=FULL ENVID=QQ+2B314159", ALL, 0, NULL, SMTP_EXT_DSN },
	{ "ENVID=" X100, ALL, 0, NULL, SMTP_EXT_DSN },
	{ "AUTH=<>", ALL, 0, NULL, 0 },
	{ "AUTH=e+3Dmc2@example.com", ALL, 0, NULL, 0 },
	{ "REQUIRETLS", ALL, 0, NULL, SMTP_EXT_REQUIRETLS },
	/* not offered */
	{ "SIZE=5", ALL & ~SMTP_EXT_SIZE, 555, NULL, 0 },
	{ "BODY=7BIT", ALL & ~SMTP_EXT_8BITMIME, 555, NULL, 0 },
	{ "SMTPUTF8", ALL & ~SMTP_EXT_SMTPUTF8, 555, NULL, 0 },
	{ "RET=FULL", ALL & ~SMTP_EXT_DSN, 555, NULL, 0 },
	{ "ENVID=a", ALL & ~SMTP_EXT_DSN, 555, NULL, 0 },
	{ "AUTH=<>", ALL & ~SMTP_EXT_AUTH, 555, NULL, 0 },
	{ "REQUIRETLS", ALL & ~SMTP_EXT_REQUIRETLS, 555, NULL, 0 },
	{ "X=1", ALL, 555, NULL, 0 },
	{ "NOTIFY=NEVER", ALL, 555, NULL, 0 },
	{ "HOLDFOR=5", ALL, 555, NULL, 0 },
	/* malformed or doubled */
	{ "SMTPUTF8=1", ALL, 501, NULL, 0 },
	{ "SMTPUTF8 SMTPUTF8", ALL, 501, NULL, 0 },
	{ "REQUIRETLS=YES", ALL, 501, NULL, 0 },
	{ "RET", ALL, 501, NULL, 0 },
	{ "RET=NONE", ALL, 501, NULL, 0 },
	{ "RET=FULL RET=FULL", ALL, 501, NULL, 0 },
	{ "ENVID", ALL, 501, NULL, 0 },
	{ "ENVID=a+2b", ALL, 501, NULL, 0 },
	{ "ENVID=a+", ALL, 501, NULL, 0 },
	{ "ENVID=a+0D+0Ab", ALL, 501, NULL, 0 },
	{ "ENVID=+00", ALL, 501, NULL, 0 },
	{ "ENVID=+C3+B1", ALL, 501, NULL, 0 },
	{ "ENVID=" X100 "a", ALL, 501, NULL, 0 },
	{ "AUTH=" X100 X100 X100 X100 X100 "a", ALL, 501, NULL, 0 },
	{ "BODY=BINARYMIME", ALL, 501, NULL, 0 },
};

static const struct param_case rcpt_cases[] = {
	{ "", ALL, 0, "", 0 },
	{ "NOTIFY=NEVER", ALL, 0, NULL, SMTP_EXT_DSN },
	{ "notify=delay,success", ALL, 0, "NOTIFY=SUCCESS,DELAY",
	    SMTP_EXT_DSN },
	{ "NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;bob+2Bx@example.net", ALL,
	    0, NULL, SMTP_EXT_DSN },
	{ "ORCPT=utf-8;\\x{F1}@example.net", ALL, 0, NULL, SMTP_EXT_DSN },
	{ "NOTIFY=NEVER", ALL & ~SMTP_EXT_DSN, 555, NULL, 0 },
	{ "ORCPT=rfc822;a@b", ALL & ~SMTP_EXT_DSN, 555, NULL, 0 },
	{ "RET=FULL", ALL, 555, NULL, 0 },
	{ "RRVS=x", ALL, 555, NULL, 0 },
	{ "NOTIFY", ALL, 501, NULL, 0 },
	{ "NOTIFY=NEVER,DELAY", ALL, 501, NULL, 0 },
	{ "NOTIFY=DELAY,DELAY", ALL, 501, NULL, 0 },
	{ "NOTIFY=DELAY,", ALL, 501, NULL, 0 },
	{ "NOTIFY=,DELAY", ALL, 501, NULL, 0 },
	{ "NOTIFY=ALWAYS", ALL, 501, NULL, 0 },
	{ "NOTIFY=NEVER NOTIFY=NEVER", ALL, 501, NULL, 0 },
	{ "ORCPT=a@b", ALL, 501, NULL, 0 },
	{ "ORCPT=;a@b", ALL, 501, NULL, 0 },
	{ "ORCPT=rfc822;", ALL, 501, NULL, 0 },
	{ "ORCPT=rfc_822;a@b", ALL, 501, NULL, 0 },
	{ "ORCPT=rfc822;a+0Ab", ALL, 501, NULL, 0 },
	{ "ORCPT=rfc822;" X100 X100 X100 X100 X100, ALL, 501, NULL, 0 },
};

static void
check(const struct param_case *c, bool is_mail)
{
	struct str rest = str_of(c->in);
	struct smtp_mail mail = { .size = -1 };
	struct smtp_rcpt rcpt = { .notify = 0 };
	struct smtp_fault fault = { 0 };
	struct buf out = { 0 };
	const char *want = c->out != NULL ? c->out : c->in;
	int ret = is_mail
	    ? smtp_mail_params_parse(rest, c->offered, &mail, &fault)
	    : smtp_rcpt_params_parse(rest, c->offered, &rcpt, &fault);

	if ((ret == 0) != (c->code == 0) || fault.code != c->code)
		fail_msg("\"%s\": %d, not %d", c->in, fault.code, c->code);
	if (c->code != 0) {
		assert_string_equal(fault.enhanced, "5.5.4");
		return;
	}
	if (is_mail)
		smtp_mail_params(&out, &mail, ALL);
	else
		smtp_rcpt_params(&out, &rcpt, ALL);
	assert_int_equal(
	    is_mail ? smtp_mail_needs(&mail) : smtp_rcpt_needs(&rcpt),
	    c->needs);
	if (*want == '\0') {
		assert_int_equal(buf_len(&out), 0);
	} else {
		assert_int_equal(buf_len(&out), strlen(want) + 1);
		assert_memory_equal(
		    buf_data(&out) + 1, want, strlen(want));
	}
	buf_free(&out);
}

static void
test_parameters_of_mail(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(mail_cases); i++)
		check(&mail_cases[i], true);
}

static void
test_parameters_of_rcpt(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rcpt_cases); i++)
		check(&rcpt_cases[i], false);
}

static void
test_what_the_upstream_lacks_is_not_said(void **state)
{
	const struct smtp_mail mail = { .size = 5,
		.body = SMTP_BODY_7BIT,
		.auth = STR("<>") };
	struct buf out = { 0 };

	(void)state;
	smtp_mail_params(&out, &mail, 0);
	assert_int_equal(buf_len(&out), 0);
	smtp_mail_params(&out, &mail, SMTP_EXT_AUTH);
	assert_int_equal(buf_len(&out), strlen(" AUTH=<>"));
	buf_free(&out);
}

static void
test_paths_beyond_ascii_need_smtputf8(void **state)
{
	static const struct {
		const char *args;
		int code;
	} table[] = {
		{ "FROM:<\xc3\xb1@example.org>", 553 },
		{ "FROM:<a@\xc3\xb1.example>", 553 },
		{ "FROM:<\xc3\xb1@\xc3\xb1.example> SMTPUTF8", 0 },
		{ "FROM:<\"\xc3\xb1 x\"@example.org> SMTPUTF8", 0 },
		{ "FROM:<\xe4\xbd\xa0.\xe5\xa5\xbd@example.org> SMTPUTF8", 0 },
		/* not UTF-8, or a control character */
		{ "FROM:<\xf1@example.org> SMTPUTF8", 501 },
		{ "FROM:<\xc0\xaf@example.org> SMTPUTF8", 501 },
		{ "FROM:<\xed\xa0\x80@example.org> SMTPUTF8", 501 },
		{ "FROM:<\xc2\x85@example.org> SMTPUTF8", 501 },
		{ "FROM:<a@[\xc3\xb1]> SMTPUTF8", 501 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct smtp_fault fault = { 0 };
		struct smtp_mail mail;

		smtp_mail_parse(str_of(table[i].args), ALL, &mail, &fault);
		if (fault.code != table[i].code)
			fail_msg("%s: %d", table[i].args, fault.code);
	}
}

static void
test_rcpt_tells_of_paths_beyond_ascii(void **state)
{
	struct smtp_fault fault = { 0 };
	struct smtp_rcpt rcpt;

	(void)state;
	assert_int_equal(smtp_rcpt_parse(STR("TO:<\xc3\xb1@example.net>"), ALL,
			     &rcpt, &fault),
	    0);
	assert_true(rcpt.is_utf8);
	assert_int_equal(
	    smtp_rcpt_parse(STR("TO:<n@example.net>"), ALL, &rcpt, &fault), 0);
	assert_false(rcpt.is_utf8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parameters_of_mail),
		cmocka_unit_test(test_parameters_of_rcpt),
		cmocka_unit_test(test_what_the_upstream_lacks_is_not_said),
		cmocka_unit_test(test_paths_beyond_ascii_need_smtputf8),
		cmocka_unit_test(test_rcpt_tells_of_paths_beyond_ascii),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
