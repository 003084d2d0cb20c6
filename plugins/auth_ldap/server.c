/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/dial.h"

#define MARK_KEEP_S 3600 /* a mark is forgotten when nobody asks so long */
#define US_PER_S 1000000

/* In shared memory. */
struct mark {
	int64_t until_us; /* down until then; afterwards it may be tried */
};

struct server {
	char *uri;
	struct portero_key key;
	struct mark mark; /* without shared memory */
};

struct kept {
	struct connection *connection;
	size_t server;
	int64_t used_at_ms;
};

struct servers {
	struct servers_settings settings;
	const struct portero_host *host;
	struct portero_table *marks; /* NULL: not shared */
	struct server list[MAX_SERVERS];
	size_t n;
	size_t first; /* where this worker begins */
	struct kept kept[NPURPOSES];
};

bool
server_is_down(const struct answer *a)
{
	switch (a->code) {
	case LDAP_SERVER_DOWN:
	case LDAP_TIMEOUT:
	case LDAP_CONNECT_ERROR:
	case LDAP_DECODING_ERROR:
	case LDAP_LOCAL_ERROR:
	case LDAP_BUSY:
	case LDAP_UNAVAILABLE:
		return true;
	default:
		return false;
	}
}

/* ---- marks --------------------------------------------------------------- */

static struct portero_table_spec
mark_spec(void)
{
	return (struct portero_table_spec){
		.size = sizeof(struct portero_table_spec),
		.layout = 1,
		.record_size = sizeof(struct mark),
		.nrecords = 4 * MAX_SERVERS, /* also those of old settings */
		.nshards = 1,
		.max_saves = 1,
	};
}

size_t
servers_share_size(const struct portero_host *host)
{
	struct portero_table_spec spec = mark_spec();

	return host->table_size(&spec);
}

static int64_t
now_us(const struct servers *s)
{
	return s->host->now_us(s->host);
}

/* The mark of a server as all know it; zeroes: it is up. true: locked, and
 * mark_put() must follow. */
static bool
mark_get(struct servers *s, struct server *server, struct mark *m)
{
	const struct mark *found;

	*m = server->mark;
	if (s->marks == NULL)
		return true;
	if (s->host->table_lock(s->marks, &server->key) == -1)
		return false;
	found = s->host->table_find(s->marks, &server->key);
	m->until_us = found == NULL ? 0 : found->until_us;
	return true;
}

/* m: NULL: as it was. */
static void
mark_put(struct servers *s, struct server *server, const struct mark *m)
{
	if (m != NULL)
		server->mark = *m;
	if (s->marks == NULL)
		return;
	if (m == NULL) {
		s->host->table_abort(s->marks);
		return;
	}
	if (m->until_us == 0)
		s->host->table_remove(s->marks, &server->key);
	else
		s->host->table_save(s->marks, &server->key, m,
		    m->until_us / US_PER_S + MARK_KEEP_S);
	s->host->table_commit(s->marks);
}

static struct mark
mark_from_now(const struct servers *s)
{
	return (struct mark){ now_us(s) +
		(int64_t)s->settings.retry_after_s * US_PER_S };
}

static void
mark_down(struct servers *s, struct server *server, const char *why)
{
	struct mark old, new = mark_from_now(s);

	if (mark_get(s, server, &old))
		mark_put(s, server, &new);
	s->host->log(s->host,
	    old.until_us == 0 ? PORTERO_LOG_WARNING : PORTERO_LOG_DEBUG,
	    "%s is down: %s; not asked for %d s if others are up",
	    server->uri, why, s->settings.retry_after_s);
}

static void
mark_up(struct servers *s, struct server *server)
{
	const struct mark none = { 0 };
	struct mark old;
	bool was_down;

	if (!mark_get(s, server, &old))
		return;
	was_down = old.until_us != 0;
	mark_put(s, server, was_down ? &none : NULL);
	if (was_down)
		s->host->log(s->host, PORTERO_LOG_INFO, "%s is up again",
		    server->uri);
}

/* May it be asked? When it is time to try it again, the first who looks does
 * and sets the mark anew for all others. *until_us: while it is down. */
static bool
may_ask(struct servers *s, struct server *server, int64_t *until_us)
{
	struct mark m, again = mark_from_now(s);
	bool due;

	*until_us = 0;
	if (!mark_get(s, server, &m))
		return true;
	/* a clock that was set back is no reason to wait longer */
	due = m.until_us <= now_us(s) || m.until_us > again.until_us;
	mark_put(s, server, due && m.until_us != 0 ? &again : NULL);
	*until_us = m.until_us;
	return due;
}

static size_t
pick(struct servers *s)
{
	int64_t earliest = INT64_MAX, until;
	size_t best = s->first;

	for (size_t i = 0; i < s->n; i++) {
		size_t at = (s->first + i) % s->n;

		if (may_ask(s, &s->list[at], &until))
			return at;
		if (until < earliest) {
			earliest = until;
			best = at;
		}
	}
	return best;
}

/* ---- connections --------------------------------------------------------- */

/* The service's own login. A wrong password of its own makes a server as
 * useless as one that is away. */
static bool
log_in(struct servers *s, struct connection *c, struct answer *a)
{
	const struct service *service = &s->settings.service;
	struct portero_str password = { service->password,
		service->password == NULL ? 0 : strlen(service->password) };

	if (service->mechanism != NULL && *service->mechanism == '\0')
		return true; /* anonymous */
	connection_bind(c, service->dn, service->mechanism, password, a);
	if (a->code == LDAP_INVALID_CREDENTIALS)
		s->host->log(s->host, PORTERO_LOG_ERROR,
		    "the directory refuses bind_dn and its password: %s",
		    a->text);
	return a->code == LDAP_SUCCESS;
}

/* A bind that goes unanswered is not repeated, so that nobody is locked out
 * by our doubt. Hence first a question that anybody may ask: any answer will
 * do. */
static bool
is_anybody_there(struct connection *c, struct answer *a)
{
	char none[] = LDAP_NO_ATTRS;
	char *attributes[] = { none, NULL };
	const struct query root = { .base = "",
		.scope = LDAP_SCOPE_BASE,
		.filter = "(objectClass=*)",
		.attributes = attributes };
	struct found found;

	connection_search(c, &root, &found, a);
	found_clear(&found);
	return !server_is_down(a) && !a->is_open;
}

static void
close_kept(struct servers *s, enum purpose purpose)
{
	connection_close(&s->kept[purpose].connection);
}

static struct connection *
open_new(struct servers *s, enum purpose purpose, size_t at, struct answer *a)
{
	struct kept *k = &s->kept[purpose];
	struct connection *c =
	    connection_open(s->settings.connection, s->list[at].uri, a);
	bool good = c != NULL;

	if (good && purpose == TO_SEARCH)
		good = log_in(s, c, a);
	else if (good)
		good = is_anybody_there(c, a);
	if (!good) {
		if (!a->in_haste)
			mark_down(s, &s->list[at], a->text);
		connection_close(&c);
		return NULL;
	}
	mark_up(s, &s->list[at]);
	*k = (struct kept){ c, at, dial_now_ms() };
	return c;
}

static bool
is_too_old(const struct servers *s, const struct kept *k)
{
	return dial_now_ms() - k->used_at_ms >
	    (int64_t)s->settings.idle_timeout_s * 1000;
}

struct connection *
servers_take(struct servers *s, enum purpose purpose, struct answer *a)
{
	struct kept *k = &s->kept[purpose];
	size_t best = pick(s);

	if (k->connection != NULL && (k->server != best || is_too_old(s, k)))
		close_kept(s, purpose);
	if (k->connection == NULL)
		return open_new(s, purpose, best, a);
	k->used_at_ms = dial_now_ms();
	return k->connection;
}

void
servers_drop(struct servers *s, enum purpose purpose, bool is_down,
    const struct answer *a)
{
	struct kept *k = &s->kept[purpose];

	if (is_down && !a->in_haste)
		mark_down(s, &s->list[k->server], a->text);
	close_kept(s, purpose);
}

size_t
servers_count(const struct servers *s)
{
	return s->n;
}

void
servers_search(struct servers *s, const struct query *q,
    struct connection **c_r, struct found *f, struct answer *a)
{
	bool was_stale = false;

	*f = (struct found){ .entry = NULL };
	for (size_t tries = 0; tries <= s->n; tries++) {
		*c_r = servers_take(s, TO_SEARCH, a);
		if (*c_r == NULL)
			continue;
		connection_search(*c_r, q, f, a);
		if (!server_is_down(a) && !a->is_open)
			return;
		found_clear(f);
		/* the server may have closed it long ago */
		servers_drop(s, TO_SEARCH,
		    !a->is_open && (was_stale || !a->at_once), a);
		if (a->is_open)
			break;
		was_stale = true;
	}
	*c_r = NULL;
}

/* ---- open and close ------------------------------------------------------ */

struct servers *
servers_new(const struct servers_settings *settings, const char *const *uris,
    size_t n, void *share, size_t share_bytes, enum portero_share_state state,
    char err[256])
{
	const struct portero_host *host = settings->connection->host;
	struct portero_table_spec spec = mark_spec();
	struct servers *s = calloc(1, sizeof *s);

	snprintf(err, 256, "out of memory");
	if (s == NULL)
		return NULL;
	s->settings = *settings;
	s->host = host;
	for (; s->n < n && s->n < MAX_SERVERS; s->n++) {
		struct server *server = &s->list[s->n];

		server->uri = strdup(uris[s->n]);
		if (server->uri == NULL)
			goto failed;
		host->hash(host, uris[s->n], strlen(uris[s->n]), &server->key);
	}
	s->first = settings->spread ? (size_t)getpid() % s->n : 0;
	if (share == NULL)
		return s;
	s->marks = host->table_open(share, share_bytes, &spec, state, err);
	if (s->marks != NULL)
		return s;
failed:
	servers_free(&s);
	return NULL;
}

void
servers_free(struct servers **s)
{
	if (*s == NULL)
		return;
	for (int i = 0; i < NPURPOSES; i++)
		close_kept(*s, (enum purpose)i);
	for (size_t i = 0; i < (*s)->n; i++)
		free((*s)->list[i].uri);
	if ((*s)->marks != NULL)
		(*s)->host->table_close((*s)->marks);
	free(*s);
	*s = NULL;
}
