/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Names that people type, and the filters and DNs that are made of them.
 * What must hold: whatever the name is, the filter or DN that comes out has
 * the same tree as the template, with one value more.
 */
#ifndef AUTH_LDAP_NAMES_H
#define AUTH_LDAP_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <portero/plugin.h>

#define NAME_SIZE 256     /* a name of at most 255 octets, and its end */
#define FILTER_SIZE 4096  /* a filter or DN with the names in it */

struct name_rules {
	bool lower;                 /* capitals become small letters */
	const char *default_domain; /* added to a name without "@"; or NULL */
};

/* Letters with marks become one character (NFC), spaces at both ends go, runs
 * of them become one, and the rules are applied. false: empty, too long, not
 * UTF-8, or with control characters. */
bool name_normalize(const struct name_rules *rules, struct portero_str typed,
    char to[NAME_SIZE]);

/* The value as it stands in a filter (RFC 4515). false: it does not fit. */
bool filter_escape(const char *value, size_t len, char *to, size_t size);
/* The value as it stands in a DN (RFC 4514). false: it does not fit. */
bool dn_escape(const char *value, size_t len, char *to, size_t size);

/* What stands for a letter behind "%". */
struct name_value {
	char letter;
	struct portero_str value;
};

/* Values for %u (all of the name), %n (before the last "@") and %d (behind
 * it, or empty). Borrows the name. */
#define NAME_VALUES 3
void name_values(const char *name, struct name_value to[NAME_VALUES]);

/* Does one of these letters stand behind a "%" in it? */
bool name_is_in(const char *template, const char *letters);

typedef bool name_escape(const char *value, size_t len, char *to, size_t size);

/* The template with escaped values in it; "%%" is a "%". false: a letter that
 * nobody knows, or it does not fit. */
bool name_expand(const char *template, const struct name_value *values,
    size_t n, name_escape *escape, char *to, size_t size);

#endif
