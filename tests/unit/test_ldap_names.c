/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Names, and what becomes of them in filters and DNs. Whether a hostile name
 * changes a filter or a DN is asked of libldap's own parsers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ldap.h>

#include "../../plugins/auth_ldap/names.h"

#define RANDOM_NAMES 20000
#define LONG_NAME 10240
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* libldap's filter parser; it is exported, but in no public header. */
int ldap_pvt_put_filter(BerElement *ber, const char *text);

static struct portero_str
str(const char *text)
{
	return (struct portero_str){ text, strlen(text) };
}

/* ---- typed names --------------------------------------------------------- */

static void
test_typed_names_are_normalized(void **state)
{
	static const struct {
		bool lower;
		const char *domain, *typed, *name; /* NULL: refused */
	} table[] = {
		{ true, NULL, "ana", "ana" },
		{ true, NULL, "  Ana  ", "ana" },
		{ true, NULL, "Ana   Maria", "ana maria" },
		{ false, NULL, "Ana", "Ana" },
		{ true, NULL, "@[AZ`{az", "@[az`{az" },
		{ true, NULL, "\303\211VA", "\303\251va" },
		{ false, NULL, "\303\211va", "\303\211va" },
		/* typed as a letter and its accent */
		{ true, NULL, "E\314\201va", "\303\251va" },
		{ false, NULL, "E\314\201va", "\303\211va" },
		/* Kelvin's sign is a K; a ligature stays one */
		{ true, NULL, "\342\204\252", "k" },
		{ true, NULL, "\357\254\201n", "\357\254\201n" },
		/* accents in any order: below, then above */
		{ true, NULL, "q\314\207\314\243", "q\314\243\314\207" },
		/* what is one in its long form and several in the short */
		{ true, NULL, "\340\245\230", "\340\244\225\340\244\274" },
		{ true, NULL, "\302\240ana", "\302\240ana" },
		{ true, "example.org", "Ana", "ana@example.org" },
		{ true, "example.org", "ana@Example.Net", "ana@example.net" },
		{ true, "example.org", "", NULL },
		{ true, NULL, "", NULL },
		{ true, NULL, "   ", NULL },
		{ true, NULL, "an\na", NULL },
		{ true, NULL, "an\ta", NULL },
		{ true, NULL, "ana\177", NULL },
		/* not UTF-8: alone, cut off, too long a form, a surrogate,
		 * beyond the last */
		{ true, NULL, "\351va", NULL },
		{ true, NULL, "ana\303", NULL },
		{ true, NULL, "\300\252", NULL },
		{ true, NULL, "\340\200\257", NULL },
		{ true, NULL, "\355\240\200", NULL },
		{ true, NULL, "\364\220\200\200", NULL },
		{ false, NULL, "\351va", NULL },
	};
	char name[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		const struct name_rules rules = { table[i].lower,
			table[i].domain };
		bool good = name_normalize(&rules, str(table[i].typed), name);

		assert_int_equal(good, table[i].name != NULL);
		if (good)
			assert_string_equal(name, table[i].name);
	}
}

static void
test_a_name_with_nul_is_refused(void **state)
{
	const struct name_rules rules = { .lower = true };
	char name[NAME_SIZE];

	(void)state;
	assert_false(name_normalize(&rules,
	    (struct portero_str){ "ana\0x", 5 }, name));
}

static void
test_a_name_has_at_most_255_octets(void **state)
{
	struct name_rules rules = { .lower = true };
	char typed[300], name[NAME_SIZE];

	(void)state;
	memset(typed, 'a', sizeof typed);
	assert_true(name_normalize(&rules,
	    (struct portero_str){ typed, 255 }, name));
	assert_int_equal(strlen(name), 255);
	assert_false(name_normalize(&rules,
	    (struct portero_str){ typed, 256 }, name));
	rules.default_domain = "b.c";
	assert_true(name_normalize(&rules,
	    (struct portero_str){ typed, 251 }, name));
	assert_false(name_normalize(&rules,
	    (struct portero_str){ typed, 252 }, name));
}

/* A letter of three octets that becomes six: what is made may not fit. */
static void
test_a_name_that_grows_beyond_255_octets_is_refused(void **state)
{
	static const char grows[] = "\357\254\254"; /* shin, dagesh, shin dot */
	char typed[NAME_SIZE], name[NAME_SIZE];
	const struct name_rules keep = { .lower = false };
	const struct name_rules low = { .lower = true };
	size_t len = 0;

	(void)state;
	for (; len + 3 < NAME_SIZE; len += 3) {
		bool fits = 2 * (len + 3) < NAME_SIZE;
		const struct portero_str s = { typed, len + 3 };

		memcpy(typed + len, grows, 3);
		assert_int_equal(name_normalize(&keep, s, name), fits);
		assert_int_equal(name_normalize(&low, s, name), fits);
		if (fits)
			assert_int_equal(strlen(name), 2 * s.len);
	}
}

/* A hundred accents on one letter are sorted, and none is lost. */
static void
test_a_pile_of_accents_is_one_name(void **state)
{
	const struct name_rules rules = { .lower = true };
	char typed[NAME_SIZE], name[NAME_SIZE], other[NAME_SIZE];
	size_t n = 0;

	(void)state;
	typed[n++] = 'q';
	for (int i = 0; i < 127; i++) {
		typed[n++] = '\314';
		typed[n++] = i % 2 == 0 ? '\207' : '\243';
	}
	assert_int_equal(n, 255);
	assert_true(name_normalize(&rules, (struct portero_str){ typed, n },
	    name));
	assert_int_equal(strlen(name), 255);
	assert_true(name_normalize(&rules, str(name), other));
	assert_string_equal(name, other);
}

static void
test_octets_of_all_kinds_are_no_harm(void **state)
{
	uint64_t seed = 7;
	char typed[NAME_SIZE], name[NAME_SIZE], again[NAME_SIZE];

	(void)state;
	for (int i = 0; i < RANDOM_NAMES; i++) {
		const struct name_rules rules = { i % 2 == 0, NULL };
		size_t len = 1 + (size_t)i % 40;

		for (size_t n = 0; n < len; n++) {
			seed = seed * 6364136223846793005u +
			    1442695040888963407u;
			/* mostly accents and what begins a character */
			typed[n] = "\314\315\200\207\243\303\340\244 aK"
			    [(seed >> 33) % 11];
		}
		if (!name_normalize(&rules, (struct portero_str){ typed, len },
			name))
			continue;
		assert_true(name_normalize(&rules, str(name), again));
		assert_string_equal(name, again);
	}
}

/* ---- templates ----------------------------------------------------------- */

static void
test_templates_take_the_name_and_its_parts(void **state)
{
	static const struct {
		const char *template, *name, *filter; /* NULL: refused */
	} table[] = {
		{ "(uid=%u)", "ana", "(uid=ana)" },
		{ "(uid=%n)", "ana@example.org", "(uid=ana)" },
		{ "(&(uid=%n)(dc=%d))", "a@b@c.d", "(&(uid=a@b)(dc=c.d))" },
		{ "(&(uid=%n)(dc=%d))", "ana", "(&(uid=ana)(dc=))" },
		{ "(x=100%%)", "ana", "(x=100%)" },
		{ "(uid=%u)", "a*b", "(uid=a\\2ab)" },
		{ "(uid=%u)", "a)(b\\", "(uid=a\\29\\28b\\5c)" },
		{ "(uid=%u)", "%u", "(uid=\\25u)" },
		{ "(uid=%x)", "ana", NULL },
		{ "(uid=%", "ana", NULL },
	};
	struct name_value values[NAME_VALUES];
	char to[FILTER_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		bool good;

		name_values(table[i].name, values);
		good = name_expand(table[i].template, values, NAME_VALUES,
		    filter_escape, to, sizeof to);
		assert_int_equal(good, table[i].filter != NULL);
		if (good)
			assert_string_equal(to, table[i].filter);
	}
}

static void
test_what_does_not_fit_is_refused(void **state)
{
	struct name_value values[NAME_VALUES];
	char to[16];

	(void)state;
	name_values("abc", values);
	for (size_t size = 1; size <= sizeof to; size++) {
		bool good = name_expand("(uid=%u)", values, NAME_VALUES,
		    filter_escape, to, size);

		assert_true(!good || strcmp(to, "(uid=abc)") == 0);
		if (size < sizeof "(uid=abc)")
			assert_false(good);
	}
	assert_string_equal(to, "(uid=abc)");
}

static void
test_a_letter_behind_two_percent_signs_is_none(void **state)
{
	static const struct {
		const char *template;
		bool has_name;
	} table[] = { { "(uid=%u)", true }, { "(a=%d)(b=%n)", true },
		{ "(uid=%%u)", false }, { "(uid=%%%u)", true },
		{ "(uid=%d)", false }, { "(uid=u)", false }, { "%", false },
		{ "%%", false }, { "", false } };

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++)
		assert_int_equal(name_is_in(table[i].template, "un"),
		    table[i].has_name);
}

/* ---- hostile names: libldap's own parsers -------------------------------- */

static const char *const hostile[] = {
	"*", "**", "(", ")", "()", "\\", "\\2a", "\\5c", "*)(uid=*", "a)(b",
	")(|(uid=*", "*)(objectClass=*))(&(uid=*", "ana)(!(uid=x", "&", "|",
	"!", "=", "ana=b", "~=", ">=", "<=", ":=", ":dn:=x", "a,b",
	"ana,ou=admins", "a+b", "cn=x+uid=y", " ana", "#616e61", "# ", "\"",
	"\"ana\"", "<ana>", ";", "ana;x", "/", "''", "%", "%u", "%%", "%n%d",
	"\303\251", "\377\376", "\300\200", "\001", "\177", "ana\\", "\\\\",
	"\\,", "\\00",
};

static void
expect_equality(BerElement *ber, const char *attribute,
    struct portero_str value)
{
	struct berval type = { 0 }, assertion = { 0 };

	assert_true(ber_scanf(ber, "{mm}", &type, &assertion) != LBER_ERROR);
	assert_int_equal(type.bv_len, strlen(attribute));
	assert_memory_equal(type.bv_val, attribute, type.bv_len);
	assert_int_equal(assertion.bv_len, value.len);
	assert_memory_equal(assertion.bv_val, value.ptr, value.len);
}

/* "(&(uid=NAME)(mail=*))" must be an AND of one equality with just this
 * value and one presence, and nothing else. */
static void
check_filter(struct portero_str name)
{
	const struct name_value value = { 'u', name };
	char filter[4 * LONG_NAME], *last;
	BerElement *ber = ber_alloc_t(LBER_USE_DER), *parsed;
	struct berval *encoded, presence;
	ber_len_t len;

	assert_true(name_expand("(&(uid=%u)(mail=*))", &value, 1,
	    filter_escape, filter, sizeof filter));
	assert_int_equal(ldap_pvt_put_filter(ber, filter), 0);
	assert_int_equal(ber_flatten(ber, &encoded), 0);
	parsed = ber_init(encoded);
	assert_int_equal(ber_first_element(parsed, &len, &last),
	    LDAP_FILTER_EQUALITY);
	expect_equality(parsed, "uid", name);
	assert_int_equal(ber_next_element(parsed, &len, last),
	    LDAP_FILTER_PRESENT);
	assert_true(ber_scanf(parsed, "m", &presence) != LBER_ERROR);
	assert_int_equal(presence.bv_len, 4);
	assert_memory_equal(presence.bv_val, "mail", 4);
	assert_int_equal(ber_next_element(parsed, &len, last), LBER_DEFAULT);
	ber_free(parsed, 1);
	ber_bvfree(encoded);
	ber_free(ber, 1);
}

/* "uid=NAME,ou=people,dc=x" must be three parts with one value each. */
static void
check_dn(struct portero_str name)
{
	static const char *const types[] = { "uid", "ou", "dc" };
	const struct name_value value = { 'u', name };
	char text[4 * LONG_NAME];
	LDAPDN dn = NULL;

	assert_true(name_expand("uid=%u,ou=people,dc=x", &value, 1, dn_escape,
	    text, sizeof text));
	assert_int_equal(ldap_str2dn(text, &dn, LDAP_DN_FORMAT_LDAPV3),
	    LDAP_SUCCESS);
	for (size_t i = 0; i < COUNT(types); i++) {
		assert_non_null(dn[i]);
		assert_non_null(dn[i][0]);
		assert_null(dn[i][1]);
		assert_int_equal(dn[i][0]->la_attr.bv_len, strlen(types[i]));
		assert_memory_equal(dn[i][0]->la_attr.bv_val, types[i],
		    strlen(types[i]));
		assert_int_equal(dn[i][0]->la_flags & LDAP_AVA_BINARY, 0);
	}
	assert_null(dn[COUNT(types)]);
	assert_int_equal(dn[0][0]->la_value.bv_len, name.len);
	assert_memory_equal(dn[0][0]->la_value.bv_val, name.ptr, name.len);
	ldap_dnfree(dn);
}

static void
test_hostile_names_change_no_tree(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(hostile); i++) {
		check_filter(str(hostile[i]));
		check_dn(str(hostile[i]));
	}
	check_filter((struct portero_str){ "a\0b", 3 });
	check_dn((struct portero_str){ "a\0b", 3 });
}

static void
test_random_names_change_no_tree(void **state)
{
	static const char special[] = "*()\\,+\"<>;=# \0&|!~:%/'ax\n\303\377";
	uint64_t seed = 20261123;
	char name[NAME_SIZE];

	(void)state;
	for (int i = 0; i < RANDOM_NAMES; i++) {
		struct portero_str s = { name, 0 };
		size_t len;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		len = 1 + (seed >> 33) % (i % 100 == 0 ? 255 : 12);
		for (; s.len < len; s.len++) {
			seed = seed * 6364136223846793005u +
			    1442695040888963407u;
			name[s.len] = seed >> 63 == 0 ?
			    special[(seed >> 33) % (sizeof special - 1)] :
			    (char)(seed >> 40);
		}
		check_filter(s);
		check_dn(s);
	}
}

/* They are refused where names are typed; the escaping bears them. */
static void
test_long_names_change_no_tree(void **state)
{
	static char name[LONG_NAME];
	const struct portero_str s = { name, sizeof name };
	const struct name_rules rules = { .lower = true };
	const struct name_value value = { 'u', s };
	char to[FILTER_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(hostile); i++) {
		for (size_t n = 0; n < sizeof name; n++)
			name[n] = hostile[i][n % strlen(hostile[i])];
		check_filter(s);
		check_dn(s);
		assert_false(name_normalize(&rules, s, to));
		assert_false(name_expand("(uid=%u)", &value, 1, filter_escape,
		    to, sizeof to));
	}
}

/* The tests above would see it: without escaping the tree does change. */
static bool
copy_only(const char *value, size_t len, char *to, size_t size)
{
	if (len >= size)
		return false;
	memcpy(to, value, len);
	to[len] = '\0';
	return true;
}

static void
test_without_escaping_the_tree_changes(void **state)
{
	const struct name_value value = { 'u', str("a,ou=admins") };
	char text[FILTER_SIZE];
	LDAPDN dn = NULL;

	(void)state;
	assert_true(name_expand("uid=%u,ou=people,dc=x", &value, 1, copy_only,
	    text, sizeof text));
	assert_int_equal(ldap_str2dn(text, &dn, LDAP_DN_FORMAT_LDAPV3),
	    LDAP_SUCCESS);
	assert_non_null(dn[3]);
	ldap_dnfree(dn);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typed_names_are_normalized),
		cmocka_unit_test(test_a_name_with_nul_is_refused),
		cmocka_unit_test(test_a_name_has_at_most_255_octets),
		cmocka_unit_test(
		    test_a_name_that_grows_beyond_255_octets_is_refused),
		cmocka_unit_test(test_a_pile_of_accents_is_one_name),
		cmocka_unit_test(test_octets_of_all_kinds_are_no_harm),
		cmocka_unit_test(test_templates_take_the_name_and_its_parts),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(
		    test_a_letter_behind_two_percent_signs_is_none),
		cmocka_unit_test(test_hostile_names_change_no_tree),
		cmocka_unit_test(test_random_names_change_no_tree),
		cmocka_unit_test(test_long_names_change_no_tree),
		cmocka_unit_test(test_without_escaping_the_tree_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
