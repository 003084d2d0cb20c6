/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The servers of a directory: which is asked, and the two connections that a
 * worker keeps, one to search and one to bind persons on, because a bind
 * changes who the connection is.
 *
 * A server that failed is marked down in memory that all workers share. When
 * its time is over one worker tries it again, with a question of its own, and
 * the others wait for what comes of it. Are all down, the one whose time is
 * over first is tried: a directory that is back is found by the next login.
 */
#ifndef AUTH_LDAP_SERVER_H
#define AUTH_LDAP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "connection.h"

#define MAX_SERVERS 16

enum purpose { TO_SEARCH, TO_BIND, NPURPOSES };

/* How the service itself logs in. */
struct service {
	const char *mechanism; /* LDAP_SASL_SIMPLE, "EXTERNAL", "": anonymous */
	const char *dn;        /* borrowed; NULL: none */
	const char *password;  /* borrowed; NULL: none */
};

struct servers_settings {
	bool spread;      /* each worker begins with another one */
	int retry_after_s;
	int idle_timeout_s;
	struct service service;
	struct connection_settings *connection; /* borrowed */
};

struct servers;

size_t servers_share_size(const struct portero_host *host);
/* share: NULL: marks are this worker's own. NULL: the reason is in err. */
struct servers *servers_new(const struct servers_settings *s,
    const char *const *uris, size_t n, void *share, size_t share_bytes,
    enum portero_share_state state, char err[256]);
void servers_free(struct servers **s);

/* A connection, kept or new, borrowed until servers_drop(). NULL: the server
 * that was tried is marked down and *a says why; another call tries the next
 * best. A new one to bind on has shown that somebody answers there. */
struct connection *servers_take(struct servers *s, enum purpose purpose,
    struct answer *a);
/* The connection is of no more use. is_down: so is its server, if it had the
 * time to show that it is not. */
void servers_drop(struct servers *s, enum purpose purpose, bool is_down,
    const struct answer *a);
/* How often a question may go on to another server. */
size_t servers_count(const struct servers *s);

/*
 * A search, on one server after the other until one answers. *c_r: whose
 * handle reads what was found; borrowed, until the next call; NULL: nobody
 * answered. *f is the caller's to clear, whatever came of it.
 */
void servers_search(struct servers *s, const struct query *q,
    struct connection **c_r, struct found *f, struct answer *a);

/* Nothing came back, or nothing that says anything of the question. */
bool server_is_down(const struct answer *a);

#endif
