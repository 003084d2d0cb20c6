/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Command lines: verbs, paths, parameters, names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/command.h"
#include "smtp/ehlo.h"

#define OFFERED (SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_AUTH)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define L63 "a23456789012345678901234567890123456789012345678901234567890123"
#define L64 L63 "4"

static void
assert_str(struct str got, const char *want)
{
	if (!str_eq(got, str_of(want)))
		fail_msg(
		    "got \"%.*s\", want \"%s\"", (int)got.len, got.ptr, want);
}

static void
test_command_verbs_in_any_case_with_trimmed_arguments(void **state)
{
	static const struct {
		const char *line;
		enum smtp_verb verb;
		const char *args;
	} table[] = {
		{ "EHLO client.example", SMTP_EHLO, "client.example" },
		{ "ehlo client.example ", SMTP_EHLO, "client.example" },
		{ "HeLo x", SMTP_HELO, "x" },
		{ "STARTTLS", SMTP_STARTTLS, "" },
		{ "AUTH PLAIN AGFuYQBh", SMTP_AUTH, "PLAIN AGFuYQBh" },
		{ "MAIL FROM:<a@b.example>", SMTP_MAIL, "FROM:<a@b.example>" },
		{ "RCPT\tTO:<a@b.example>\t ", SMTP_RCPT, "TO:<a@b.example>" },
		{ "DATA", SMTP_DATA, "" },
		{ "  RSET  ", SMTP_RSET, "" },
		{ "NOOP  two words", SMTP_NOOP, "two words" },
		{ "VRFY \xc3\xb1", SMTP_VRFY, "\xc3\xb1" },
		{ "HELP", SMTP_HELP, "" },
		{ "QUIT", SMTP_QUIT, "" },
		{ "EXPN list", SMTP_UNSUPPORTED, "list" },
		{ "BDAT 10 LAST", SMTP_BDAT, "10 LAST" },
		{ "GET / HTTP/1.1", SMTP_FOREIGN, "/ HTTP/1.1" },
		{ "CONNECT mx:25 HTTP/1.0", SMTP_FOREIGN, "mx:25 HTTP/1.0" },
		{ "POST /", SMTP_FOREIGN, "/" },
		{ "", SMTP_UNKNOWN, "" },
		{ "   ", SMTP_UNKNOWN, "" },
		{ "EHLOX", SMTP_UNKNOWN, "" },
		{ "EHL", SMTP_UNKNOWN, "" },
		{ "MAIL\x01 FROM:<>", SMTP_UNKNOWN, "" },
		{ "MAIL FROM:<\x7f>", SMTP_UNKNOWN, "" },
		{ "MA\xcc\x81IL FROM:<>", SMTP_UNKNOWN, "" },
		{ "QUIT\r", SMTP_UNKNOWN, "" },
	};
	struct str args;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_int_equal(
		    smtp_command_parse(str_of(table[i].line), &args),
		    table[i].verb);
		assert_str(args, table[i].args);
	}
	assert_int_equal(
	    smtp_command_parse(STR("NOOP \0x"), &args), SMTP_UNKNOWN);
}

static void
test_command_bdat(void **state)
{
	static const struct {
		const char *args;
		int64_t size; /* -1: refused */
		bool is_last;
	} table[] = {
		{ "0", 0, false },
		{ "0 LAST", 0, true },
		{ "10 last", 10, true },
		{ "0086", 86, false },
		{ "99999999999999999999", INT64_MAX, false },
		{ "", -1, false },
		{ "LAST", -1, false },
		{ "-1", -1, false },
		{ "+1", -1, false },
		{ "1x", -1, false },
		{ "0x10", -1, false },
		{ "1 FIRST", -1, false },
		{ "1 LAST LAST", -1, false },
		{ "999999999999999999999", -1, false },
	};
	struct smtp_fault fault;
	struct smtp_bdat bdat;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		int ret = smtp_bdat_parse(str_of(table[i].args), &bdat, &fault);

		assert_int_equal(ret, table[i].size == -1 ? -1 : 0);
		if (ret == -1) {
			assert_int_equal(fault.code, 501);
			continue;
		}
		assert_int_equal(bdat.size, table[i].size);
		assert_int_equal(bdat.is_last, table[i].is_last);
	}
}

static void
test_command_mail_accepts(void **state)
{
	static const struct {
		const char *args, *path;
		int64_t size;
		enum smtp_body body;
	} table[] = {
		{ "FROM:<>", "", -1, 0 },
		{ "from:<ana@example.org>", "ana@example.org", -1, 0 },
		{ "FROM: <ana@example.org>", "ana@example.org", -1, 0 },
		{ "FROM:\t <a@b>", "a@b", -1, 0 },
		{ "FROM:<a.b+c=d/e@x-y.example>", "a.b+c=d/e@x-y.example", -1,
		    0 },
		{ "FROM:<!#$%&'*+-/=?^_`{|}~@b>", "!#$%&'*+-/=?^_`{|}~@b", -1,
		    0 },
		{ "FROM:<\"a b>\\\"@c\"@d>", "\"a b>\\\"@c\"@d", -1, 0 },
		{ "FROM:<\"\"@d>", "\"\"@d", -1, 0 },
		{ "FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]", -1, 0 },
		{ "FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", -1,
		    0 },
		{ "FROM:<a@[ipv6:::ffff:192.0.2.1]>",
		    "a@[ipv6:::ffff:192.0.2.1]", -1, 0 },
		{ "FROM:<a@" L63 ".org>", "a@" L63 ".org", -1, 0 },
		{ "FROM:<> SIZE=0", "", 0, 0 },
		{ "FROM:<>  size=1234 body=8bitmime", "", 1234,
		    SMTP_BODY_8BITMIME },
		{ "FROM:<> BODY=7BIT SIZE=5", "", 5, SMTP_BODY_7BIT },
		{ "FROM:<> SIZE=9223372036854775807", "", INT64_MAX, 0 },
		{ "FROM:<> SIZE=9223372036854775808", "", INT64_MAX, 0 },
		{ "FROM:<> SIZE=99999999999999999999", "", INT64_MAX, 0 },
		{ "FROM:<> AUTH=<>", "", -1, 0 },
		{ "FROM:<> AUTH=e+3Dmc2@example.com SIZE=1", "", 1, 0 },
	};
	struct smtp_fault fault;
	struct smtp_mail mail;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		if (smtp_mail_parse(
			str_of(table[i].args), OFFERED, &mail, &fault) == -1)
			fail_msg("%s: %s", table[i].args, fault.text);
		assert_str(mail.path, table[i].path);
		assert_int_equal(mail.size, table[i].size);
		assert_int_equal(mail.body, table[i].body);
	}
}

struct refusal {
	const char *args;
	int code;
	const char *enhanced;
};

static void
test_command_mail_refuses(void **state)
{
	static const struct refusal table[] = {
		{ "", 501, "5.5.4" },
		{ "FROM", 501, "5.5.4" },
		{ "FROM:", 501, "5.5.4" },
		{ "FROM:  ", 501, "5.5.4" },
		{ "TO:<a@b>", 501, "5.5.4" },
		{ "FROM <a@b>", 501, "5.5.4" },
		{ "FROM:a@b", 501, "5.1.7" },
		{ "FROM:<a@b", 501, "5.1.7" },
		{ "FROM:<", 501, "5.1.7" },
		{ "FROM:<\"a@b>", 501, "5.1.7" },
		{ "FROM:<a@b>SIZE=1", 501, "5.1.7" },
		{ "FROM:<a@b>>", 501, "5.1.7" },
		{ "FROM:<a>", 501, "5.1.7" },
		{ "FROM:<@b>", 501, "5.1.7" },
		{ "FROM:<a@>", 501, "5.1.7" },
		{ "FROM:<a@b@c>", 501, "5.1.7" },
		{ "FROM:<.a@b>", 501, "5.1.7" },
		{ "FROM:<a.@b>", 501, "5.1.7" },
		{ "FROM:<a..b@c>", 501, "5.1.7" },
		{ "FROM:<a b@c>", 501, "5.1.7" },
		{ "FROM:< a@b>", 501, "5.1.7" },
		{ "FROM:<a@b >", 501, "5.1.7" },
		{ "FROM:<a@b..c>", 501, "5.1.7" },
		{ "FROM:<a@.b>", 501, "5.1.7" },
		{ "FROM:<a@b.>", 501, "5.1.7" },
		{ "FROM:<a@-b>", 501, "5.1.7" },
		{ "FROM:<a@b->", 501, "5.1.7" },
		{ "FROM:<a@b-.c>", 501, "5.1.7" },
		{ "FROM:<a@b_c>", 501, "5.1.7" },
		{ "FROM:<a@" L64 ">", 501, "5.1.7" },
		{ "FROM:<a@[192.0.2.256]>", 501, "5.1.7" },
		{ "FROM:<a@[192.0.2]>", 501, "5.1.7" },
		{ "FROM:<a@[IPv6:192.0.2.1]>", 501, "5.1.7" },
		{ "FROM:<a@[2001:db8::1]>", 501, "5.1.7" },
		{ "FROM:<a@[]>", 501, "5.1.7" },
		{ "FROM:<a@[>", 501, "5.1.7" },
		{ "FROM:<a@[tag:x]>", 501, "5.1.7" },
		{ "FROM:<a\\b@c>", 501, "5.1.7" },
		{ "FROM:<\"a\"b@c>", 501, "5.1.7" },
		{ "FROM:<a\"b\"@c>", 501, "5.1.7" },
		{ "FROM:<a,b@c>", 501, "5.1.7" },
		{ "FROM:<a@b>,<c@d>", 501, "5.1.7" },
		{ "FROM:<@a,@b:c@d>", 501, "5.1.7" },
		{ "FROM:<" L63 "." L63 "@" L63 "." L63 ">", 501, "5.1.7" },
		{ "FROM:<\xc3\xb1@b>", 553, "5.6.7" },
		{ "FROM:<a@\xc3\xb1.example>", 553, "5.6.7" },
		{ "FROM:<> SMTPUTF8", 555, "5.5.4" },
		{ "FROM:<> RET=HDRS", 555, "5.5.4" },
		{ "FROM:<> SIZE", 501, "5.5.4" },
		{ "FROM:<> SIZE=", 501, "5.5.4" },
		{ "FROM:<> SIZE=-1", 501, "5.5.4" },
		{ "FROM:<> SIZE=1k", 501, "5.5.4" },
		{ "FROM:<> SIZE=999999999999999999999", 501, "5.5.4" },
		{ "FROM:<> SIZE=1 SIZE=1", 501, "5.5.4" },
		{ "FROM:<> BODY=BINARYMIME", 501, "5.5.4" },
		{ "FROM:<> BODY=7BIT BODY=7BIT", 501, "5.5.4" },
		{ "FROM:<> BODY", 501, "5.5.4" },
		{ "FROM:<> AUTH=", 501, "5.5.4" },
		{ "FROM:<> AUTH", 501, "5.5.4" },
		{ "FROM:<> AUTH=a+", 501, "5.5.4" },
		{ "FROM:<> AUTH=a+3", 501, "5.5.4" },
		{ "FROM:<> AUTH=a+3d", 501, "5.5.4" },
		{ "FROM:<> AUTH=<> AUTH=<>", 501, "5.5.4" },
		{ "FROM:<> =1", 501, "5.5.4" },
		{ "FROM:<> -X=1", 501, "5.5.4" },
		{ "FROM:<> X=1=2", 501, "5.5.4" },
		{ "FROM:<> X=\xc3\xb1", 501, "5.5.4" },
	};
	struct smtp_fault fault;
	struct smtp_mail mail;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		if (smtp_mail_parse(
			str_of(table[i].args), OFFERED, &mail, &fault) == 0)
			fail_msg("accepted: %s", table[i].args);
		if (fault.code != table[i].code ||
		    strcmp(fault.enhanced, table[i].enhanced) != 0)
			fail_msg("%s: %d %s", table[i].args, fault.code,
			    fault.enhanced);
	}
}

static void
test_command_rcpt(void **state)
{
	static const char *const good[] = { "ana@example.org", "Postmaster",
		"postmaster@example.org", "\"odd one\"@example.org",
		"a@[192.0.2.1]" };
	static const struct refusal bad[] = {
		{ "TO:", 501, "5.5.4" },
		{ "FROM:<a@b>", 501, "5.5.4" },
		{ "TO:<>", 501, "5.1.3" },
		{ "TO:<ana>", 501, "5.1.3" },
		{ "TO:<postmaster@>", 501, "5.1.3" },
		{ "TO:a@b", 501, "5.1.3" },
		{ "TO:<@a:c@d>", 553, "5.1.3" },
		{ "TO:<a@b> NOTIFY=NEVER", 555, "5.5.4" },
		{ "TO:<a@b> NOTIFY==", 501, "5.5.4" },
	};
	struct smtp_fault fault;
	struct smtp_rcpt rcpt;
	char args[64];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(args, sizeof args, "TO:<%s>", good[i]);
		assert_int_equal(
		    smtp_rcpt_parse(str_of(args), OFFERED, &rcpt, &fault), 0);
		assert_str(rcpt.path, good[i]);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(
		    smtp_rcpt_parse(str_of(bad[i].args), OFFERED, &rcpt, &fault), -1);
		assert_int_equal(fault.code, bad[i].code);
		assert_string_equal(fault.enhanced, bad[i].enhanced);
	}
}

static void
test_command_path_of_the_longest_length_is_taken(void **state)
{
	char args[SMTP_PATH_MAX + 16];
	struct smtp_fault fault;
	struct smtp_rcpt rcpt;

	(void)state;
	for (int over = 0; over <= 1; over++) {
		int local = SMTP_PATH_MAX - (int)strlen("@example.org") + over;
		int n = snprintf(
		    args, sizeof args, "TO:<%0*d@example.org>", local, 0);
		struct str line = { args, (size_t)n };

		assert_int_equal(smtp_rcpt_parse(line, OFFERED, &rcpt, &fault), -over);
	}
}

static void
test_command_helo_and_domain_names(void **state)
{
	static const struct {
		const char *name;
		bool is_helo, is_domain;
	} table[] = {
		{ "client.example", true, true },
		{ "x", true, true },
		{ "a-b.c1.2d", true, true },
		{ L63, true, true },
		{ L64, true, false },
		{ "[192.0.2.1]", true, false },
		{ "under_score", true, false },
		{ "-a", true, false },
		{ "a-", true, false },
		{ "a..b", true, false },
		{ ".a", true, false },
		{ "a.", true, false },
		{ "", false, false },
		{ "two words", false, false },
		{ "caf\xc3\xa9", false, false },
		{ L63 "." L63 "." L63 "." L63, true, true },
		{ L63 "." L63 "." L63 "." L63 ".", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_int_equal(smtp_helo_is_valid(str_of(table[i].name)),
		    table[i].is_helo);
		assert_int_equal(smtp_domain_is_valid(str_of(table[i].name)),
		    table[i].is_domain);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_command_verbs_in_any_case_with_trimmed_arguments),
		cmocka_unit_test(test_command_bdat),
		cmocka_unit_test(test_command_mail_accepts),
		cmocka_unit_test(test_command_mail_refuses),
		cmocka_unit_test(test_command_rcpt),
		cmocka_unit_test(
		    test_command_path_of_the_longest_length_is_taken),
		cmocka_unit_test(test_command_helo_and_domain_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
