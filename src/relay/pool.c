/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The pool of a session worker: the connections that rest between two
 * transactions, and the list of those that have something to write at the end
 * of the loop turn. It also notes, once for each change, that the upstream
 * went away or came back.
 *
 * A connection rests only in a state that it has proved: its last transaction
 * was finally answered, or RSET was. Whatever else it says closes it.
 */
#include "relay/relay_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* ---- resting connections ---- */

static void
on_rest_down(void *arg, enum conn_fault fault, const char *detail)
{
	struct relay_conn *c = arg;

	(void)fault;
	(void)detail;
	relay_conn_close(&c);
}

static void
on_idle_reply(void *arg, struct smtp_reply *reply)
{
	struct relay_conn *c = arg;

	(void)reply;
	relay_conn_close(&c);
}

static const struct conn_user idle_user = {
	.on_reply = on_idle_reply,
	.on_down = on_rest_down,
};

static void
rest(struct relay_pool *p, struct relay_conn *c)
{
	struct relay_conn *oldest;

	c->phase = CONN_IDLE;
	relay_conn_use(c, &idle_user, c);
	relay_conn_expect(c, RELAY_IDLE_MS);
	TAILQ_INSERT_HEAD(&p->idle, c, rest_link);
	c->rests = true;
	p->nidle++;
	if (p->nidle > (size_t)p->setup.config->idle_connections) {
		oldest = TAILQ_LAST(&p->idle, relay_conns);
		relay_conn_quit(&oldest);
	}
}

static void
on_reset_reply(void *arg, struct smtp_reply *reply)
{
	struct relay_conn *c = arg;
	struct relay_pool *p = c->pool;

	if (c->unheard > 0) {
		c->unheard--;
		return;
	}
	if (reply->code != 250 || c->queued > c->sent || p->draining) {
		relay_conn_quit(&c);
		return;
	}
	TAILQ_REMOVE(&p->resetting, c, rest_link);
	rest(p, c);
}

static const struct conn_user reset_user = {
	.on_reply = on_reset_reply,
	.on_down = on_rest_down,
};

void
relay_pool_give(struct relay_pool *p, struct relay_conn **conn, bool reset)
{
	struct relay_conn *c = *conn;

	*conn = NULL;
	if (c->gone || c->mute || c->half) {
		relay_conn_close(&c);
	} else if (p->draining || c->retire || c->errors >= RELAY_MAX_ERRORS ||
		   c->messages >= RELAY_MAX_MESSAGES ||
		   p->setup.config->idle_connections == 0) {
		relay_conn_quit(&c);
	} else if (reset) {
		relay_conn_use(c, &reset_user, c);
		relay_conn_expect(c, RELAY_IDLE_MS);
		relay_conn_write(c, "RSET\r\n", 6);
		TAILQ_INSERT_HEAD(&p->resetting, c, rest_link);
		c->rests = true;
	} else {
		rest(p, c);
	}
}

struct relay_conn *
relay_pool_take(struct relay_pool *p)
{
	struct relay_conn *c = TAILQ_FIRST(&p->idle);

	if (c == NULL)
		return NULL;
	TAILQ_REMOVE(&p->idle, c, rest_link);
	c->rests = false;
	p->nidle--;
	c->phase = CONN_READY;
	relay_conn_expect(c, 0);
	return c;
}

/* ---- what is to be written ---- */

void
relay_pool_mark(struct relay_pool *p, struct relay_conn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	if (TAILQ_EMPTY(&p->dirty))
		p->setup.want_flush(p->setup.want_flush_arg);
	TAILQ_INSERT_TAIL(&p->dirty, c, dirty_link);
}

void
relay_pool_flush(struct relay_pool *p)
{
	struct relay_conn *c;

	while ((c = TAILQ_FIRST(&p->dirty)) != NULL) {
		TAILQ_REMOVE(&p->dirty, c, dirty_link);
		c->dirty = false;
		relay_conn_flush(c);
	}
}

void
relay_pool_forget(struct relay_pool *p, struct relay_conn *c)
{
	if (c->dirty)
		TAILQ_REMOVE(&p->dirty, c, dirty_link);
	c->dirty = false;
	if (!c->rests)
		return;
	c->rests = false;
	if (c->phase == CONN_IDLE) {
		TAILQ_REMOVE(&p->idle, c, rest_link);
		p->nidle--;
	} else {
		TAILQ_REMOVE(&p->resetting, c, rest_link);
	}
}

/* ---- the upstream as a whole ---- */

static void
tell(struct relay_pool *p, enum log_level level, const char *result,
    const char *detail)
{
	struct log_line l;

	log_begin(&l, level, "upstream");
	log_adds(&l, "upstream", p->peer);
	log_adds(&l, "result", result);
	if (detail != NULL)
		log_adds(&l, "error", detail);
	log_end(&l);
}

void
relay_pool_went_away(struct relay_pool *p, const char *detail)
{
	if (!p->away)
		tell(p, LOG_LEVEL_ERROR, "away", detail);
	p->away = true;
}

void
relay_pool_came_back(struct relay_pool *p)
{
	if (p->away)
		tell(p, LOG_LEVEL_INFO, "back", NULL);
	p->away = false;
}

/* ---- the pool ---- */

struct relay_pool *
relay_pool_new(const struct relay_setup *setup)
{
	struct relay_pool *p = xcalloc(1, sizeof(*p));
	const char *host = setup->config->host;

	p->setup = *setup;
	TAILQ_INIT(&p->idle);
	TAILQ_INIT(&p->resetting);
	TAILQ_INIT(&p->dirty);
	snprintf(p->peer, sizeof(p->peer),
	    strchr(host, ':') == NULL ? "%s:%d" : "[%s]:%d", host,
	    setup->config->port);
	return p;
}

static void
quit_all(struct relay_conns *list)
{
	struct relay_conn *c;

	while ((c = TAILQ_FIRST(list)) != NULL)
		relay_conn_quit(&c);
}

void
relay_pool_drain(struct relay_pool *p)
{
	p->draining = true;
	quit_all(&p->idle);
}

void
relay_pool_free(struct relay_pool **pool)
{
	struct relay_pool *p = *pool;

	*pool = NULL;
	if (p == NULL)
		return;
	assert(p->nrelays == 0);
	quit_all(&p->idle);
	quit_all(&p->resetting);
	free(p);
}

size_t
relay_pool_idle(const struct relay_pool *p)
{
	return p->nidle;
}
