/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A host of an upstream, as one session worker knows it: the connections that
 * rest between two transactions, and whether it can be used.
 *
 * A connection rests only in a state that it has proved: its last transaction
 * was finally answered, or RSET was. Whatever else it says closes it.
 *
 * A host is up from its last good probe (control publishes when) until a
 * worker finds that it fails; all workers see that on the board, and control
 * probes it before it is used again.
 */
#include "relay/relay_private.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

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
rest(struct relay_host *h, struct relay_conn *c)
{
	struct relay_conn *oldest;

	c->phase = CONN_IDLE;
	relay_conn_use(c, &idle_user, c);
	relay_conn_expect(c, RELAY_IDLE_MS);
	TAILQ_INSERT_HEAD(&h->idle, c, rest_link);
	c->rests = true;
	h->nidle++;
	if (h->nidle > (size_t)h->config->idle_connections) {
		oldest = TAILQ_LAST(&h->idle, relay_conns);
		relay_conn_quit(&oldest);
	}
}

static void
on_reset_reply(void *arg, struct smtp_reply *reply)
{
	struct relay_conn *c = arg;
	struct relay_host *h = c->host;

	if (c->unheard > 0 && reply->code / 100 != 3) {
		c->unheard--;
		return;
	}
	if (reply->code != 250 || c->queued > c->sent || h->pool->draining) {
		relay_conn_quit(&c);
		return;
	}
	TAILQ_REMOVE(&h->resetting, c, rest_link);
	rest(h, c);
}

static const struct conn_user reset_user = {
	.on_reply = on_reset_reply,
	.on_down = on_rest_down,
};

/* XCLIENT made it somebody's, and can make it nobody else's. */
static bool
stays_a_persons(const struct relay_conn *c)
{
	return c->login != NULL && (c->offer.xclient & SMTP_CLIENT_LOGIN) == 0;
}

void
relay_host_give(struct relay_host *h, struct relay_conn **conn, bool reset)
{
	struct relay_conn *c = *conn;

	*conn = NULL;
	if (c->gone || c->mute || c->half) {
		relay_conn_close(&c);
	} else if (h->pool->draining || c->retire || stays_a_persons(c) ||
		   c->errors >= RELAY_MAX_ERRORS ||
		   c->messages >= RELAY_MAX_MESSAGES ||
		   (c->offer.mailmax != 0 &&
		       c->mails >= (unsigned)c->offer.mailmax) ||
		   h->config->idle_connections == 0) {
		relay_conn_quit(&c);
	} else if (reset) {
		relay_conn_use(c, &reset_user, c);
		relay_conn_expect(c, RELAY_IDLE_MS);
		relay_conn_write(c, "RSET\r\n", 6);
		TAILQ_INSERT_HEAD(&h->resetting, c, rest_link);
		c->rests = true;
	} else {
		rest(h, c);
	}
}

/* It needs no XCLIENT, or its first. */
static bool
is_for(const struct relay_conn *c, const char *login)
{
	return c->login == NULL || strcmp(c->login, login) == 0;
}

struct relay_conn *
relay_host_take(struct relay_host *h, const char *login, uint32_t needs)
{
	struct relay_conn *c = NULL, *at;

	TAILQ_FOREACH(at, &h->idle, rest_link)
		if ((at->offer.extensions & needs) == needs &&
		    (c == NULL || is_for(at, login))) {
			c = at;
			if (is_for(c, login))
				break;
		}
	if (c == NULL)
		return NULL;
	TAILQ_REMOVE(&h->idle, c, rest_link);
	c->rests = false;
	h->nidle--;
	c->phase = CONN_READY;
	relay_conn_expect(c, 0);
	return c;
}

void
relay_host_forget(struct relay_host *h, struct relay_conn *c)
{
	if (c->dirty)
		TAILQ_REMOVE(&h->pool->dirty, c, dirty_link);
	c->dirty = false;
	if (!c->rests)
		return;
	c->rests = false;
	if (c->phase == CONN_IDLE) {
		TAILQ_REMOVE(&h->idle, c, rest_link);
		h->nidle--;
	} else {
		TAILQ_REMOVE(&h->resetting, c, rest_link);
	}
}

static void
quit_all(struct relay_conns *list)
{
	struct relay_conn *c;

	while ((c = TAILQ_FIRST(list)) != NULL)
		relay_conn_quit(&c);
}

void
relay_host_drain(struct relay_host *h)
{
	quit_all(&h->idle);
}

void
relay_host_close(struct relay_host *h)
{
	quit_all(&h->idle);
	quit_all(&h->resetting);
}

/* ---- how it fares ---- */

struct board_cell *
relay_host_cell(const struct relay_host *h)
{
	const struct relay_setup *setup = h->setup;

	return &setup->board->cells[setup->slot * MAX_UPSTREAM_HOSTS +
				    h->index];
}

const struct upstream_state *
relay_host_state(struct relay_host *h)
{
	if (h->slot == NULL)
		h->slot = board_host_slot(
		    h->setup->board, h->setup->shared, h->index);
	if (h->slot != NULL && h->version != shared_upstream_version(h->slot))
		shared_upstream_read(h->slot, &h->state, &h->version);
	return &h->state;
}

bool
relay_host_is_up(struct relay_host *h)
{
	const struct upstream_state *s = relay_host_state(h);

	return s->up_since_ms != 0 &&
	       board_cell_sum(h->setup->board, h->index).failed_ms <
		   s->up_since_ms;
}

bool
relay_host_is_drained(struct relay_host *h)
{
	relay_host_state(h);
	return h->slot != NULL && atomic_load(&h->slot->drained) != 0;
}

static void
tell(const struct relay_host *h, enum log_level level, const char *result,
    const char *detail)
{
	struct log_line l;

	log_begin(&l, level, "upstream");
	log_adds(&l, "upstream", h->peer);
	log_adds(&l, "result", result);
	if (detail != NULL)
		log_adds(&l, "error", detail);
	log_end(&l);
}

void
relay_host_failed(struct relay_host *h, const char *detail)
{
	struct board_cell *cell = relay_host_cell(h);

	if (!h->away)
		tell(h, LOG_LEVEL_ERROR, "away", detail);
	h->away = true;
	atomic_store(&cell->failures, 0);
	atomic_store(&cell->failed_ms, clock_mono_ms());
}

void
relay_host_lost(struct relay_host *h, const char *detail)
{
	struct board_cell *cell = relay_host_cell(h);
	uint32_t losses = atomic_load(&cell->failures) + 1;

	atomic_store(&cell->failures, losses);
	if (losses >= RELAY_MAX_LOSSES)
		relay_host_failed(h, detail);
}

void
relay_host_works(struct relay_host *h)
{
	struct board_cell *cell = relay_host_cell(h);

	if (atomic_load_explicit(&cell->failures, memory_order_relaxed) != 0)
		atomic_store(&cell->failures, 0);
	if (h->away)
		tell(h, LOG_LEVEL_INFO, "back", NULL);
	h->away = false;
}

/* ---- begin ---- */

void
relay_host_print(const struct config_host *h, char *to, size_t size)
{
	snprintf(to, size, strchr(h->name, ':') == NULL ? "%s:%d" : "[%s]:%d",
	    h->name, h->port);
}

static const struct config_upstream *
section_of(const struct config *c, unsigned index)
{
	const struct config_upstream *u = c->upstreams;

	while (index >= u->first + u->nhosts)
		u++;
	return u;
}

void
relay_host_init(
    struct relay_host *h, const struct relay_setup *setup, unsigned index)
{
	const struct config_upstream *u = section_of(setup->config, index);

	h->setup = setup;
	h->config = u;
	h->name = &u->hosts[index - u->first];
	h->access = setup->access[u - setup->config->upstreams];
	h->index = index;
	h->version = UINT32_MAX; /* odd: no version */
	TAILQ_INIT(&h->idle);
	TAILQ_INIT(&h->resetting);
	relay_host_print(h->name, h->peer, sizeof(h->peer));
}
