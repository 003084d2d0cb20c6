/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What must hold: an answer that is not in these tables is "later". A person
 * is told "wrong" only where the directory said something about the person.
 */
#include "result.h"

#include <stdlib.h>
#include <string.h>

static const char no_user[] = "no_user";
static const char bad_password[] = "bad_password";

/* ---- a person who may not log in ----------------------------------------- */

/* Active Directory tells why in its text: "..., data 775, v3839". */
static const char *
cause_of_subcode(const char *text)
{
	/* clang-format off */
	static const struct { const char *code, *cause; } table[] = {
		{ "525", no_user },           { "52e", bad_password },
		{ "530", "not_now" },         { "531", "not_here" },
		{ "532", "expired" },         { "533", "disabled" },
		{ "701", "account_expired" }, { "773", "must_change" },
		{ "775", "locked" },
	};
	/* clang-format on */
	const char *at = strstr(text, ", data ");

	if (at == NULL)
		return NULL;
	at += strlen(", data ");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strncmp(at, table[i].code, 3) == 0)
			return table[i].cause;
	return NULL;
}

/* Of the password policy control. */
static const char *
cause_of_policy(int policy)
{
	switch (policy) {
	case PP_passwordExpired:
		return "expired";
	case PP_accountLocked:
		return "locked";
	case PP_changeAfterReset:
		return "must_change";
	default:
		return NULL;
	}
}

/* 389 Directory Server and FreeIPA are "unwilling to perform" a bind, and tell
 * in their text when that is because of the person. */
static const char *
cause_of_unwillingness(const char *text)
{
	/* clang-format off */
	static const struct { const char *words, *cause; } table[] = {
		{ "Account inactivated",                     "disabled" },
		{ "Too many failed logins",                  "locked" },
		{ "Entry permanently locked",                "locked" },
		{ "Account (Kerberos principal) is expired", "account_expired" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strstr(text, table[i].words) != NULL)
			return table[i].cause;
	return NULL;
}

static struct result
deny(const struct answer *a, const char *otherwise)
{
	const char *cause = cause_of_policy(a->policy);

	if (cause == NULL)
		cause = cause_of_subcode(a->text);
	if (cause != NULL && strcmp(cause, no_user) == 0)
		return (struct result){ PORTERO_UNKNOWN, no_user };
	return (struct result){ PORTERO_DENY,
		cause != NULL ? cause : otherwise };
}

/* ---- the tables ---------------------------------------------------------- */

static struct result
later(const struct answer *a)
{
	/* clang-format off */
	static const struct { int code; const char *cause; } table[] = {
		{ LDAP_TIMEOUT,               "ldap_timeout" },
		{ LDAP_SERVER_DOWN,           "ldap_down" },
		{ LDAP_CONNECT_ERROR,         "ldap_down" },
		{ LDAP_BUSY,                  "ldap_busy" },
		{ LDAP_UNAVAILABLE,           "ldap_busy" },
		{ LDAP_UNWILLING_TO_PERFORM,  "ldap_unwilling" },
		{ LDAP_REFERRAL,              "ldap_referral" },
		{ LDAP_SIZELIMIT_EXCEEDED,    "ambiguous" },
		{ LDAP_TIMELIMIT_EXCEEDED,    "ldap_timeout" },
		{ LDAP_ADMINLIMIT_EXCEEDED,   "ldap_limit" },
		{ LDAP_INSUFFICIENT_ACCESS,   "ldap_access" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].code == a->code)
			return (struct result){ PORTERO_DEFER,
				table[i].cause };
	return (struct result){ PORTERO_DEFER, "ldap_error" };
}

struct result
result_of_search(const struct answer *a)
{
	return later(a);
}

struct result
result_of_bind(const struct answer *a)
{
	switch (a->code) {
	case LDAP_SUCCESS:
		if (cause_of_policy(a->policy) != NULL)
			return deny(a, "expired");
		return (struct result){ PORTERO_NEXT, "ok" };
	case LDAP_INVALID_CREDENTIALS:
		return deny(a, bad_password);
	case LDAP_INAPPROPRIATE_AUTH: /* an entry without a password */
		return deny(a, "no_password");
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_INVALID_DN_SYNTAX: /* not even a possible name */
		return (struct result){ PORTERO_UNKNOWN, no_user };
	case LDAP_CONSTRAINT_VIOLATION: /* 389 DS: too many tries */
		return deny(a, "locked");
	case LDAP_UNWILLING_TO_PERFORM:
		if (cause_of_unwillingness(a->text) != NULL)
			return deny(a, cause_of_unwillingness(a->text));
		return later(a);
	default:
		return later(a);
	}
}

bool
result_may_be_unknown(const struct result *r)
{
	return r->verdict == PORTERO_UNKNOWN ||
	    (r->verdict == PORTERO_DENY && strcmp(r->cause, bad_password) == 0);
}
