/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The options of auth_ldap: their table, and what was read of them. All
 * strings are copies.
 */
#ifndef AUTH_LDAP_SETTINGS_H
#define AUTH_LDAP_SETTINGS_H

#include "entry.h"
#include "names.h"
#include "server.h"

#define MAX_OWNS_FILTERS 8
#define MAX_DN_TEMPLATES 8

/* Members of the group are of the class. */
struct group_class {
	char *name;
	char *group; /* normalized DN */
};

struct settings {
	char *uris[MAX_SERVERS];
	size_t nuris;
	struct servers_settings servers;
	struct connection_settings connection;
	char *bind_dn;
	char *password; /* wiped when freed */
	char *base;
	int scope;
	char *filter;      /* with %u %n %d */
	char *dn_templates[MAX_DN_TEMPLATES];
	size_t ndn_templates; /* 0: search, then bind */
	char *default_domain;
	struct name_rules names; /* borrows default_domain */
	struct entry_attributes attributes;
	char *group_filter;    /* NULL: the entry names its groups */
	char *required_group;  /* normalized DN; NULL: none */
	struct group_class classes[MAX_CLASSES];
	size_t nclasses;
	char *owns_base;
	char *owns_filters[MAX_OWNS_FILTERS + 1]; /* with %a %n %d %i %D */
	size_t nowns_filters;
	bool owns_by_dn; /* one of them has %D */
	bool addresses_complete; /* nobody needs to ask for others */
};

extern const struct portero_option settings_options[];

/* NULL: the reason is in err. What it points to never moves. */
struct settings *settings_new(const struct portero_host *host,
    const struct portero_conf *conf, char err[256]);
void settings_free(struct settings **s);

#endif
