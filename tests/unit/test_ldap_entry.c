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

#define COUNT(a) (sizeof(a) / sizeof *(a))

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
		cmocka_unit_test(test_dns_are_compared_in_one_form),
		cmocka_unit_test(test_answers_to_a_bind_become_verdicts),
		cmocka_unit_test(
		    test_only_what_says_nothing_of_a_person_may_be_of_none),
		cmocka_unit_test(test_no_answer_to_a_search_says_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
