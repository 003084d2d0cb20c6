/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A new connection has shown that it leads to a primary. A replica that was
 * one answers READONLY; its connection is dropped then, and the next one goes
 * where the primary is now.
 */
#include "servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/dial.h"

struct servers {
	const struct portero_host *host; /* borrowed */
	const struct settings *settings; /* borrowed */
	struct connection *connection;   /* owned; NULL: none */
	char where[80];                  /* whereto it leads */
	size_t first;                    /* server to try first */
};

/* ---- one server ---------------------------------------------------------- */

static struct portero_str
word(const char *text)
{
	return (struct portero_str){ text, strlen(text) };
}

static void
add_login(struct connection *c, const struct login *l)
{
	struct portero_str words[3] = { word("AUTH") };
	size_t n = 1;

	if (l->password == NULL)
		return;
	if (l->user != NULL)
		words[n++] = word(l->user);
	words[n++] = word(l->password);
	connection_add(c, command_of(words, n));
}

/* The next reply is a status, or why says what else. */
static bool
is_ok(struct connection *c, const char *what, int64_t until_ms,
    char why[WHY_LEN])
{
	redisReply *r = connection_reply(c, until_ms);
	bool good = r != NULL && r->type == REDIS_REPLY_STATUS;

	if (r == NULL)
		snprintf(why, WHY_LEN, "%s: %.150s", what, connection_why(c));
	else if (!good)
		snprintf(why, WHY_LEN, "%s: %.150s", what,
		    r->type == REDIS_REPLY_ERROR ? r->str : "nonsense");
	freeReplyObject(r);
	return good;
}

/* Does the reply to INFO allow that? Who may not ask is told by the first
 * write. */
static bool
may_be_primary(const redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		return strncmp(r->str, "NOPERM ", 7) == 0;
	return r->type == REDIS_REPLY_STRING &&
	    strstr(r->str, "role:master") != NULL;
}

static bool
is_primary(struct connection *c, int64_t until_ms, char why[WHY_LEN])
{
	redisReply *r = connection_reply(c, until_ms);
	bool good = r != NULL && may_be_primary(r);

	if (r == NULL)
		snprintf(why, WHY_LEN, "%s", connection_why(c));
	else if (!good)
		snprintf(why, WHY_LEN, "%.190s", r->type == REDIS_REPLY_ERROR ?
			r->str : "it is not a primary");
	freeReplyObject(r);
	return good;
}

/* Logs in and looks whom it has. */
static bool
greet(const struct servers *s, struct connection *c, int64_t until_ms,
    char why[WHY_LEN])
{
	const struct portero_str role[] = { word("INFO"), word("replication") };
	const struct login *l = &s->settings->login;
	char number[16];
	struct portero_str database[] = { word("SELECT"), { number, 0 } };

	snprintf(number, sizeof number, "%d", s->settings->database);
	database[1].len = strlen(number);
	add_login(c, l);
	if (s->settings->database != 0)
		connection_add(c, command_of(database, 2));
	connection_add(c, command_of(role, 2));
	return (l->password == NULL || is_ok(c, "AUTH", until_ms, why)) &&
	       (s->settings->database == 0 ||
		   is_ok(c, "SELECT", until_ms, why)) &&
	       is_primary(c, until_ms, why);
}

static struct connection *
open_primary(struct servers *s, const struct address *a, int64_t until_ms,
    char why[WHY_LEN])
{
	struct connection *c = connection_open(s->host, a,
	    s->settings->tls, until_ms, why);

	if (c != NULL && !greet(s, c, until_ms, why))
		connection_close(&c);
	if (c != NULL)
		snprintf(s->where, sizeof s->where, "%s", a->text);
	return c;
}

/* ---- Sentinel ------------------------------------------------------------ */

/* Reads where the primary is. The address is cleared by the caller. */
static bool
read_primary(const redisReply *r, bool is_tls, struct address *a,
    char why[WHY_LEN])
{
	char uri[300], err[256];

	if (r->type == REDIS_REPLY_NIL) {
		snprintf(why, WHY_LEN, "it knows no such primary");
		return false;
	}
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
	    r->element[0]->type != REDIS_REPLY_STRING ||
	    r->element[1]->type != REDIS_REPLY_STRING ||
	    r->element[0]->len > 255) {
		snprintf(why, WHY_LEN, "%.150s",
		    r->type == REDIS_REPLY_ERROR ? r->str : "nonsense");
		return false;
	}
	snprintf(uri, sizeof uri,
	    strchr(r->element[0]->str, ':') != NULL ? "%s://[%s]" : "%s://%s",
	    is_tls ? "rediss" : "redis", r->element[0]->str);
	if (address_read(a, uri, r->element[1]->str, err))
		return true;
	snprintf(why, WHY_LEN, "%.190s", err);
	return false;
}

/* Asks one Sentinel. */
static bool
find_primary(const struct servers *s, const struct address *sentinel,
    int64_t until_ms, struct address *a, char why[WHY_LEN])
{
	const struct portero_str question[] = { word("SENTINEL"),
		word("get-master-addr-by-name"), word(s->settings->sentinel) };
	const struct login *l = &s->settings->sentinel_login;
	struct connection *c =
	    connection_open(s->host, sentinel,
	    s->settings->tls, until_ms, why);
	redisReply *r = NULL;
	bool good = false;

	if (c == NULL)
		return false;
	add_login(c, l);
	connection_add(c, command_of(question, 3));
	if (l->password == NULL || is_ok(c, "AUTH", until_ms, why)) {
		r = connection_reply(c, until_ms);
		if (r == NULL)
			snprintf(why, WHY_LEN, "%s", connection_why(c));
		else
			good = read_primary(r, sentinel->is_tls, a, why);
	}
	freeReplyObject(r);
	connection_close(&c);
	return good;
}

static struct connection *
open_by_sentinel(struct servers *s, const struct address *sentinel,
    int64_t until_ms, char why[WHY_LEN])
{
	struct address a = { 0 };
	struct connection *c = NULL;
	char reason[WHY_LEN] = "";

	if (find_primary(s, sentinel, until_ms, &a, why)) {
		c = open_primary(s, &a, until_ms, reason);
		if (c == NULL)
			snprintf(why, WHY_LEN, "names %.60s: %.100s", a.text,
			    reason);
	}
	address_clear(&a);
	return c;
}

/* ---- the connection ------------------------------------------------------ */

static void
open_any(struct servers *s, int64_t until_ms, char why[WHY_LEN])
{
	size_t n = s->settings->nservers;
	char reason[WHY_LEN] = "";

	for (size_t i = 0; i < n; i++) {
		const struct address *a = &s->settings->servers[s->first];

		s->connection = s->settings->sentinel == NULL
		                    ? open_primary(s, a, until_ms, reason)
		                    : open_by_sentinel(s, a, until_ms, reason);
		if (s->connection != NULL)
			return;
		snprintf(why, WHY_LEN, "%.60s: %.120s", a->text, reason);
		s->first = (s->first + 1) % n;
		if (dial_now_ms() >= until_ms)
			return; /* the next one is asked next time */
	}
}

struct connection *
servers_take(struct servers *s, int64_t until_ms, bool *is_new,
    char why[WHY_LEN])
{
	int64_t connected_ms =
	    dial_now_ms() + s->settings->connect_timeout_ms;

	if (s->connection != NULL && connection_is_stale(s->connection))
		servers_drop(s);
	*is_new = s->connection == NULL;
	if (*is_new)
		open_any(
		    s, connected_ms < until_ms ? connected_ms : until_ms, why);
	return s->connection;
}

const char *
servers_where(const struct servers *s)
{
	return s->where;
}

void
servers_drop(struct servers *s)
{
	connection_close(&s->connection);
}

/* ---- open and close ------------------------------------------------------ */

struct servers *
servers_new(const struct portero_host *host, const struct settings *settings)
{
	struct servers *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->host = host;
	s->settings = settings;
	return s;
}

void
servers_free(struct servers **s)
{
	if (*s == NULL)
		return;
	servers_drop(*s);
	free(*s);
	*s = NULL;
}
