/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Directories hold what people once typed: a value that is wrong costs itself
 * and a line in the log, and never the login, but for the id.
 */
#include "entry.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../common/value.h"

#define MAX_COMPLAINTS 3 /* of an attribute: many people write their own */

void
entry_attribute_list(const struct entry_attributes *a,
    char *list[MAX_ATTRIBUTES])
{
	char *const single[] = { a->id, a->class_name, a->limit, a->size,
		a->language, a->group };
	size_t n = 0;

	for (size_t i = 0; i < sizeof single / sizeof *single; i++)
		if (single[i] != NULL)
			list[n++] = single[i];
	for (size_t i = 0; a->addresses[i] != NULL; i++)
		list[n++] = a->addresses[i];
	list[n] = NULL;
}

/* ---- attributes ---------------------------------------------------------- */

struct reading {
	const struct portero_host *host;
	LDAP *ld;
	LDAPMessage *entry;
	struct portero_identity *identity;
};

static void
complain(const struct reading *r, const char *attribute,
    const struct berval *value, const char *what)
{
	r->host->log(r->host, PORTERO_LOG_WARNING, "%s: %s \"%.*s\" %s",
	    r->identity->id, attribute,
	    value->bv_len > 64 ? 64 : (int)value->bv_len, value->bv_val, what);
}

enum taking { TAKEN = 1, NOT_UNDERSTOOD, NO_ROOM, TOO_MANY };
typedef enum taking take_value(struct portero_identity *i,
    struct portero_str value);

static enum taking
take_class(struct portero_identity *i, struct portero_str value)
{
	return value_copy(i->class_name, sizeof i->class_name, value) ?
	    TAKEN : NOT_UNDERSTOOD;
}

static enum taking
take_language(struct portero_identity *i, struct portero_str value)
{
	return value_copy(i->language, sizeof i->language, value) ?
	    TAKEN : NOT_UNDERSTOOD;
}

static enum taking
take_size(struct portero_identity *i, struct portero_str value)
{
	int64_t bytes;

	if (!value_size(value, &bytes) || bytes == 0)
		return NOT_UNDERSTOOD;
	i->max_size = bytes;
	return TAKEN;
}

static enum taking
take_limit(struct portero_identity *i, struct portero_str value)
{
	struct portero_limit limit;

	if (!value_limit(value, &limit))
		return NOT_UNDERSTOOD;
	if (i->nlimits == PORTERO_MAX_LIMITS)
		return NO_ROOM;
	i->limits[i->nlimits++] = limit;
	return TAKEN;
}

static enum taking
take_address(struct portero_identity *i, struct portero_str value)
{
	if (value_copy(i->addresses + i->addresses_len,
		sizeof i->addresses - i->addresses_len, value)) {
		i->addresses_len += (uint32_t)value.len + 1;
		return TAKEN;
	}
	i->addresses_complete = false;
	return value_is_text(value) ? NO_ROOM : NOT_UNDERSTOOD;
}

/* At most `max` of the attribute's values; those beyond are complained of. */
static void
take_values(const struct reading *r, const char *attribute, size_t max,
    take_value *take)
{
	static const char *const faults[] = {
		[NOT_UNDERSTOOD] = "is not understood; left out",
		[TOO_MANY] = "is one value too many; the first holds",
	};
	struct berval **values;
	size_t nleft = 0, nwrong = 0;

	if (attribute == NULL)
		return;
	values = ldap_get_values_len(r->ld, r->entry, attribute);
	for (size_t i = 0; values != NULL && values[i] != NULL; i++) {
		const struct portero_str value = { values[i]->bv_val,
			values[i]->bv_len };
		enum taking taking =
		    i < max ? take(r->identity, value) : TOO_MANY;

		nleft += taking == NO_ROOM;
		if (faults[taking] != NULL && ++nwrong <= MAX_COMPLAINTS)
			complain(r, attribute, values[i], faults[taking]);
	}
	if (nwrong > MAX_COMPLAINTS)
		r->host->log(r->host, PORTERO_LOG_WARNING,
		    "%s: %zu more values of %s are left out",
		    r->identity->id, nwrong - MAX_COMPLAINTS, attribute);
	if (nleft > 0)
		r->host->log(r->host, PORTERO_LOG_WARNING,
		    "%s: no room for %zu values of %s; left out",
		    r->identity->id, nleft, attribute);
	ldap_value_free_len(values);
}

static bool
take_id(const struct reading *r, const char *attribute)
{
	struct berval **values =
	    ldap_get_values_len(r->ld, r->entry, attribute);
	int n = ldap_count_values_len(values);
	bool good = n == 1 &&
	    value_copy(r->identity->id, sizeof r->identity->id,
		(struct portero_str){ values[0]->bv_val, values[0]->bv_len });

	if (!good) {
		char *dn = ldap_get_dn(r->ld, r->entry);

		r->host->log(r->host, PORTERO_LOG_ERROR,
		    "%s: %s is to name the person, but has %d values%s",
		    dn, attribute, n,
		    n == 1 ? ", and that one is of no use" : "");
		ldap_memfree(dn);
	}
	ldap_value_free_len(values);
	return good;
}

bool
entry_identity(const struct portero_host *host, LDAP *ld, LDAPMessage *entry,
    const struct entry_attributes *a, bool complete,
    struct portero_identity *i)
{
	const struct reading r = { host, ld, entry, i };

	i->addresses_complete = complete;
	if (!take_id(&r, a->id))
		return false;
	take_values(&r, a->class_name, 1, take_class);
	take_values(&r, a->size, 1, take_size);
	take_values(&r, a->language, 1, take_language);
	take_values(&r, a->limit, SIZE_MAX, take_limit);
	for (size_t n = 0; a->addresses[n] != NULL; n++)
		take_values(&r, a->addresses[n], SIZE_MAX, take_address);
	return true;
}

/* ---- groups -------------------------------------------------------------- */

char *
dn_normalize(const char *dn)
{
	char *to = NULL;

	if (ldap_dn_normalize(dn, LDAP_DN_FORMAT_LDAPV3, &to,
		LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS)
		return to;
	ldap_memfree(to);
	return NULL;
}

static bool
is_group(const struct berval *value, const char *group)
{
	char *text = strndup(value->bv_val, value->bv_len);
	char *dn = text == NULL ? NULL : dn_normalize(text);
	bool same = dn != NULL && strcasecmp(dn, group) == 0;

	ldap_memfree(dn);
	free(text);
	return same;
}

bool
entry_is_in(LDAP *ld, LDAPMessage *entry, const char *attribute,
    const char *group)
{
	struct berval **values = ldap_get_values_len(ld, entry, attribute);
	bool found = false;

	for (size_t i = 0; values != NULL && values[i] != NULL && !found; i++)
		found = is_group(values[i], group);
	ldap_value_free_len(values);
	return found;
}
