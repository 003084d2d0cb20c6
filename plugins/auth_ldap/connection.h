/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One connection to one directory server. We connect the socket and libldap
 * gets it non-blocking, because that is how its time-outs hold within a
 * message that comes in drips.
 *
 * What must hold: nothing is sent without time left, no call takes longer than
 * its time-out, and while a call lasts the descriptor is under the host's
 * guard. After any doubt the caller closes the connection.
 */
#ifndef AUTH_LDAP_CONNECTION_H
#define AUTH_LDAP_CONNECTION_H

#include <ldap.h>
#include <stdbool.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "tls.h"

struct connection_settings {
	const struct portero_host *host; /* borrowed */
	bool starttls;
	bool verify;
	char *ca_file;     /* NULL: the system's authorities */
	char *certificate; /* NULL: none */
	char *key;
	struct tls *tls; /* owned; NULL until it is needed */
	int connect_timeout_ms; /* until TLS stands */
	int timeout_ms;         /* of each answer */
};

/* What came of an operation. */
struct answer {
	int code;     /* of LDAP; negative: libldap's own */
	int policy;   /* bind: LDAPPasswordPolicyError */
	bool at_once; /* LDAP_SERVER_DOWN before the server can have thought */
	bool is_open; /* its rest is still to come: close the connection */
	bool in_haste; /* failed with too little time to say who is to blame */
	char text[256]; /* of the server, or the reason */
};

struct connection;

/* NULL: the reason is in *a. */
struct connection *connection_open(struct connection_settings *s,
    const char *uri, struct answer *a);
void connection_close(struct connection **c);

/* mechanism: LDAP_SASL_SIMPLE or "EXTERNAL". */
void connection_bind(struct connection *c, const char *dn,
    const char *mechanism, struct portero_str password, struct answer *a);

struct query {
	const char *base;
	int scope;
	const char *filter;
	char **attributes; /* NULL-terminated */
	int max_entries;   /* the server says so when there are more */
};

/* What a search found. */
struct found {
	LDAPMessage *entry; /* the first one; owned; NULL: none */
	size_t nentries;
	size_t nreferences; /* to other servers */
};

/* *f is the caller's to clear, whatever came of it. */
void connection_search(struct connection *c, const struct query *q,
    struct found *f, struct answer *a);
void found_clear(struct found *f);

/* For reading results; borrowed. */
LDAP *connection_handle(const struct connection *c);

#endif
