/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What people type for a name, and what a directory says of them. A name that
 * is taken is text, bounded, and has one form; in a filter or DN it is one
 * value and changes nothing else, as libldap's own parsers read it. A limit or
 * a size that is taken is bounded and the same when written anew.
 *
 * Input: rules for names, then a name or value.
 */
#include <assert.h>
#include <ldap.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uninorm.h>
#include <unistr.h>

#include "plugins/auth_ldap/names.h"
#include "plugins/common/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* libldap's filter parser; it is exported, but in no public header. */
int ldap_pvt_put_filter(BerElement *ber, const char *text);

/* ---- names --------------------------------------------------------------- */

static void
assert_one_form(const struct name_rules *rules, const char *name)
{
	const size_t len = strlen(name);
	uint8_t nfc[NAME_SIZE];
	size_t n = sizeof nfc;
	char again[NAME_SIZE];

	assert(len > 0 && len < NAME_SIZE);
	assert(u8_check((const uint8_t *)name, len) == NULL);
	assert(name[0] != ' ' && name[len - 1] != ' ');
	assert(strstr(name, "  ") == NULL);
	for (size_t i = 0; i < len; i++) {
		assert((unsigned char)name[i] >= ' ' && name[i] != 0x7f);
		assert(!rules->lower || name[i] < 'A' || name[i] > 'Z');
	}
	assert(rules->default_domain == NULL || strchr(name, '@') != NULL);
	assert(u8_normalize(UNINORM_NFC, (const uint8_t *)name, len, nfc,
		   &n) == nfc);
	assert(n == len && memcmp(nfc, name, n) == 0);
	assert(name_normalize(rules, (struct portero_str){ name, len },
	    again));
	assert(strcmp(again, name) == 0);
}

/* Its parts are the whole. */
static void
assert_parts(const char *name)
{
	struct name_value parts[NAME_VALUES];
	const struct portero_str *n = &parts[1].value, *d = &parts[2].value;

	name_values(name, parts);
	assert(n->len + d->len + (strchr(name, '@') != NULL) == strlen(name));
	assert(memcmp(n->ptr, name, n->len) == 0);
	assert(memchr(d->ptr, '@', d->len) == NULL);
}

static void
try_name(uint8_t choice, struct portero_str typed)
{
	const struct name_rules rules = { .lower = choice & 1,
		.default_domain = choice & 2 ? "example.org" : NULL };
	char name[NAME_SIZE];

	if (!name_normalize(&rules, typed, name))
		return;
	assert_one_form(&rules, name);
	assert_parts(name);
}

/* ---- names in filters and DNs -------------------------------------------- */

static void
check_filter(struct portero_str name)
{
	const struct name_value value = { 'u', name };
	BerElement *ber = ber_alloc_t(LBER_USE_DER), *parsed;
	struct berval *encoded, type, given, presence;
	char filter[FILTER_SIZE], *last;
	ber_len_t len;

	assert(name_expand("(&(uid=%u)(mail=*))", &value, 1, filter_escape,
	    filter, sizeof filter));
	assert(ldap_pvt_put_filter(ber, filter) == 0);
	assert(ber_flatten(ber, &encoded) == 0);
	parsed = ber_init(encoded);
	assert(ber_first_element(parsed, &len, &last) ==
	    LDAP_FILTER_EQUALITY);
	assert(ber_scanf(parsed, "{mm}", &type, &given) != LBER_ERROR);
	assert(type.bv_len == 3 && memcmp(type.bv_val, "uid", 3) == 0);
	assert(given.bv_len == name.len);
	assert(memcmp(given.bv_val, name.ptr, name.len) == 0);
	assert(ber_next_element(parsed, &len, last) == LDAP_FILTER_PRESENT);
	assert(ber_scanf(parsed, "m", &presence) != LBER_ERROR);
	assert(presence.bv_len == 4 && memcmp(presence.bv_val, "mail", 4) == 0);
	assert(ber_next_element(parsed, &len, last) == LBER_DEFAULT);
	ber_free(parsed, 1);
	ber_bvfree(encoded);
	ber_free(ber, 1);
}

static void
check_dn(struct portero_str name)
{
	const struct name_value value = { 'u', name };
	char text[FILTER_SIZE];
	LDAPDN dn = NULL;

	assert(name_expand("uid=%u,dc=x", &value, 1, dn_escape, text,
	    sizeof text));
	assert(ldap_str2dn(text, &dn, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS);
	assert(dn[0] != NULL && dn[0][0] != NULL && dn[0][1] == NULL);
	assert(dn[1] != NULL && dn[1][0] != NULL && dn[1][1] == NULL);
	assert(dn[2] == NULL);
	assert(strncmp(dn[0][0]->la_attr.bv_val, "uid", 3) == 0);
	assert((dn[0][0]->la_flags & LDAP_AVA_BINARY) == 0);
	assert(dn[0][0]->la_value.bv_len == name.len);
	assert(memcmp(dn[0][0]->la_value.bv_val, name.ptr, name.len) == 0);
	ldap_dnfree(dn);
}

/* ---- what a directory says ----------------------------------------------- */

static void
try_limit(struct portero_str value)
{
	struct portero_limit l, again;
	struct portero_str written;
	char text[128], max[32] = "unlimited", window[16] = "";

	if (!value_limit(value, &l))
		return;
	assert(l.name[0] != '\0' && memchr(l.name, '\0', sizeof l.name));
	assert(l.max >= 0 || l.max == PORTERO_UNLIMITED);
	assert(l.window_s <= 31 * 86400);
	if (l.max != PORTERO_UNLIMITED)
		snprintf(max, sizeof max, "%lld", (long long)l.max);
	if (l.window_s != 0)
		snprintf(window, sizeof window, "/%u", l.window_s);
	written.len = (size_t)snprintf(text, sizeof text, "%s=%s%s", l.name,
	    max, window);
	written.ptr = text;
	assert(value_limit(written, &again));
	assert(strcmp(again.name, l.name) == 0 && again.max == l.max &&
	    again.window_s == l.window_s);
}

static void
try_size(struct portero_str value)
{
	int64_t bytes, again;
	char text[32];
	int len;

	if (!value_size(value, &bytes))
		return;
	assert(bytes >= 0);
	len = snprintf(text, sizeof text, "%lld", (long long)bytes);
	assert(value_size((struct portero_str){ text, (size_t)len },
	    &again));
	assert(again == bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct portero_str s = { (const char *)data + 1, len - 1 };

	if (len < 1)
		return 0;
	try_name(data[0], s);
	if (s.len < NAME_SIZE) {
		check_filter(s);
		check_dn(s);
	}
	try_limit(s);
	try_size(s);
	return 0;
}
