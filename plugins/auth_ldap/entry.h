/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The identity of a person from the entry in the directory.
 */
#ifndef AUTH_LDAP_ENTRY_H
#define AUTH_LDAP_ENTRY_H

#include <ldap.h>
#include <stdbool.h>
#include <stddef.h>

#include <portero/plugin.h>

#define MAX_ADDRESS_ATTRIBUTES 8
#define MAX_CLASSES 16

/* Names of attributes; NULL: not read. All owned. */
struct entry_attributes {
	char *id;
	char *addresses[MAX_ADDRESS_ATTRIBUTES + 1]; /* NULL-terminated */
	char *class_name;
	char *limit;
	char *size;
	char *language;
	char *group; /* where the entry names its groups */
};

/* The names in a list that ends with NULL, for a search; borrowed. */
#define MAX_ATTRIBUTES (MAX_ADDRESS_ATTRIBUTES + 8)
void entry_attribute_list(const struct entry_attributes *a,
    char *list[MAX_ATTRIBUTES]);

/*
 * Fills the identity. `complete`: addresses that are not in the entry are
 * nobody's. Values that cannot be understood are left out and logged. false:
 * there is no single id; logged as an error.
 */
bool entry_identity(const struct portero_host *host, LDAP *ld,
    LDAPMessage *entry, const struct entry_attributes *a, bool complete,
    struct portero_identity *i);

/* A DN in the one form in which DNs are compared, without regard to case; the
 * caller's, free: ldap_memfree(). NULL: it is none. */
char *dn_normalize(const char *dn);
/* Is the group, normalized, among the values of that attribute? */
bool entry_is_in(LDAP *ld, LDAPMessage *entry, const char *attribute,
    const char *group);

#endif
