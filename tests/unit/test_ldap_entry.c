/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Values of an entry, and what answers of a directory mean.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../plugins/auth_ldap/entry.h"
#include "../../plugins/auth_ldap/result.h"
#include "../../plugins/common/value.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct portero_str
str(const char *text)
{
	return (struct portero_str){ text, strlen(text) };
}

static void
test_limits_are_name_value_and_window(void **state)
{
	static const struct {
		const char *text, *name; /* NULL: refused */
		int64_t max;
		uint32_t window_s;
	} table[] = {
		{ "hourly=500", "hourly", 500, 0 },
		{ "hourly=500/1h", "hourly", 500, 3600 },
		{ "hourly.recipients=0/31d", "hourly.recipients", 0, 2678400 },
		{ "hourly=unlimited", "hourly", PORTERO_UNLIMITED, 0 },
		{ "hourly=unlimited/30m", "hourly", PORTERO_UNLIMITED, 1800 },
		{ "h=9223372036854775807", "h", INT64_MAX, 0 },
		{ "h=9223372036854775808", NULL, 0, 0 },
		{ "hourly", NULL, 0, 0 },
		{ "hourly=", NULL, 0, 0 },
		{ "=500", NULL, 0, 0 },
		{ "hourly=-1", NULL, 0, 0 },
		{ "hourly=5x", NULL, 0, 0 },
		{ "hourly=500/", NULL, 0, 0 },
		{ "hourly=500/0s", NULL, 0, 0 },
		{ "hourly=500/32d", NULL, 0, 0 },
		{ "hourly=500/1w", NULL, 0, 0 },
		{ "a-name-that-is-too-long-for-a-limit=1", NULL, 0, 0 },
		{ "", NULL, 0, 0 },
	};
	struct portero_limit l;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		bool good = value_limit(str(table[i].text), &l);

		assert_int_equal(good, table[i].name != NULL);
		if (!good)
			continue;
		assert_string_equal(l.name, table[i].name);
		assert_int_equal(l.max, table[i].max);
		assert_int_equal(l.window_s, table[i].window_s);
	}
	assert_false(value_limit((struct portero_str){ "a=1\0", 4 }, &l));
}

static void
test_sizes_have_a_unit_or_none(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} table[] = { { "1000", 1000 }, { "25M", 25 << 20 }, { "2k", 2048 },
		{ "1G", 1 << 30 }, { "0", 0 }, { "M", -1 }, { "25MB", -1 },
		{ "-1", -1 }, { "9999999999999G", -1 }, { "", -1 } };
	int64_t bytes;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		bool good = value_size(str(table[i].text), &bytes);

		assert_int_equal(good, table[i].bytes >= 0);
		if (good)
			assert_int_equal(bytes, table[i].bytes);
	}
}

static void
test_dns_are_compared_in_one_form(void **state)
{
	char *a = dn_normalize("cn=staff, ou=groups,  dc=x");
	char *b = dn_normalize("cn=staff,ou=groups,dc=x");

	(void)state;
	assert_string_equal(a, b);
	assert_null(dn_normalize("staff"));
	ldap_memfree(a);
	ldap_memfree(b);
}

static void
test_answers_to_a_bind_become_verdicts(void **state)
{
	static const struct {
		int code, policy;
		const char *text;
		enum portero_verdict verdict;
		const char *cause;
	} table[] = {
		{ LDAP_SUCCESS, PP_noError, "", PORTERO_NEXT, "ok" },
		{ LDAP_SUCCESS, PP_passwordExpired, "", PORTERO_DENY,
		    "expired" },
		{ LDAP_SUCCESS, PP_changeAfterReset, "", PORTERO_DENY,
		    "must_change" },
		{ LDAP_INVALID_CREDENTIALS, PP_noError, "", PORTERO_DENY,
		    "bad_password" },
		{ LDAP_INVALID_CREDENTIALS, PP_accountLocked, "",
		    PORTERO_DENY, "locked" },
		{ LDAP_INVALID_CREDENTIALS, PP_noError,
		    "80090308: LdapErr: DSID-0C09042A, comment: "
		    "AcceptSecurityContext error, data 533, v3839",
		    PORTERO_DENY, "disabled" },
		{ LDAP_INVALID_CREDENTIALS, PP_noError, "x, data 775, v1",
		    PORTERO_DENY, "locked" },
		{ LDAP_INVALID_CREDENTIALS, PP_noError, "x, data 525, v1",
		    PORTERO_UNKNOWN, "no_user" },
		{ LDAP_INVALID_CREDENTIALS, PP_noError, "x, data 999, v1",
		    PORTERO_DENY, "bad_password" },
		{ LDAP_INAPPROPRIATE_AUTH, PP_noError, "", PORTERO_DENY,
		    "no_password" },
		{ LDAP_NO_SUCH_OBJECT, PP_noError, "", PORTERO_UNKNOWN,
		    "no_user" },
		{ LDAP_INVALID_DN_SYNTAX, PP_noError, "", PORTERO_UNKNOWN,
		    "no_user" },
		{ LDAP_CONSTRAINT_VIOLATION, PP_noError,
		    "Exceed password retry limit", PORTERO_DENY, "locked" },
		{ LDAP_UNWILLING_TO_PERFORM, PP_noError, "", PORTERO_DEFER,
		    "ldap_unwilling" },
		{ LDAP_UNWILLING_TO_PERFORM, PP_noError,
		    "Account inactivated. Contact system administrator.",
		    PORTERO_DENY, "disabled" },
		{ LDAP_UNWILLING_TO_PERFORM, PP_noError,
		    "Too many failed logins.\n", PORTERO_DENY, "locked" },
		{ LDAP_UNWILLING_TO_PERFORM, PP_noError,
		    "Entry permanently locked.\n", PORTERO_DENY, "locked" },
		{ LDAP_UNWILLING_TO_PERFORM, PP_noError,
		    "Account (Kerberos principal) is expired", PORTERO_DENY,
		    "account_expired" },
		{ LDAP_BUSY, PP_noError, "", PORTERO_DEFER, "ldap_busy" },
		{ LDAP_UNAVAILABLE, PP_noError, "", PORTERO_DEFER,
		    "ldap_busy" },
		{ LDAP_REFERRAL, PP_noError, "", PORTERO_DEFER,
		    "ldap_referral" },
		{ LDAP_TIMEOUT, PP_noError, "", PORTERO_DEFER,
		    "ldap_timeout" },
		{ LDAP_SERVER_DOWN, PP_noError, "", PORTERO_DEFER,
		    "ldap_down" },
		{ LDAP_CONFIDENTIALITY_REQUIRED, PP_noError, "",
		    PORTERO_DEFER, "ldap_error" },
		{ LDAP_OTHER, PP_noError, "", PORTERO_DEFER, "ldap_error" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct answer a = { .code = table[i].code,
			.policy = table[i].policy };
		struct result r;

		snprintf(a.text, sizeof a.text, "%s", table[i].text);
		r = result_of_bind(&a);
		assert_int_equal(r.verdict, table[i].verdict);
		assert_string_equal(r.cause, table[i].cause);
	}
}

static void
test_only_what_says_nothing_of_a_person_may_be_of_none(void **state)
{
	static const struct {
		int code, policy;
		bool may_be_unknown;
	} table[] = {
		{ LDAP_INVALID_CREDENTIALS, PP_noError, true },
		{ LDAP_NO_SUCH_OBJECT, PP_noError, true },
		{ LDAP_INVALID_DN_SYNTAX, PP_noError, true },
		{ LDAP_INVALID_CREDENTIALS, PP_accountLocked, false },
		{ LDAP_SUCCESS, PP_noError, false },
		{ LDAP_SUCCESS, PP_passwordExpired, false },
		{ LDAP_INAPPROPRIATE_AUTH, PP_noError, false },
		{ LDAP_BUSY, PP_noError, false },
		{ LDAP_TIMEOUT, PP_noError, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		const struct answer a = { .code = table[i].code,
			.policy = table[i].policy };
		const struct result r = result_of_bind(&a);

		assert_int_equal(result_may_be_unknown(&r),
		    table[i].may_be_unknown);
	}
}

static void
test_no_answer_to_a_search_says_wrong(void **state)
{
	(void)state;
	for (int code = -20; code < 128; code++) {
		const struct answer a = { .code = code,
			.policy = PP_accountLocked };

		assert_int_equal(result_of_search(&a).verdict, PORTERO_DEFER);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits_are_name_value_and_window),
		cmocka_unit_test(test_sizes_have_a_unit_or_none),
		cmocka_unit_test(test_dns_are_compared_in_one_form),
		cmocka_unit_test(test_answers_to_a_bind_become_verdicts),
		cmocka_unit_test(
		    test_only_what_says_nothing_of_a_person_may_be_of_none),
		cmocka_unit_test(test_no_answer_to_a_search_says_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
