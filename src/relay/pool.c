/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The pool of a session worker: the hosts of all upstreams with their
 * connections, and the list of those that have something to write at the end
 * of the loop turn.
 */
#include "relay/relay_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

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

/* ---- the pool ---- */

static int
by_priority(const void *a, const void *b)
{
	const struct config_upstream *const *x = a, *const *y = b;

	return (*x)->priority - (*y)->priority;
}

static void
add_upstream(struct relay_pool *p, const struct config_upstream *u)
{
	size_t i;

	p->order[p->norder++] = u;
	for (i = 0; i < u->nhosts; i++) {
		struct relay_host *h = &p->hosts[p->nhosts];

		relay_host_init(h, &p->setup, (unsigned)p->nhosts++);
		h->pool = p;
		/* what a process before us left behind */
		atomic_store(&relay_host_cell(h)->active, 0);
		atomic_store(&relay_host_cell(h)->failures, 0);
	}
}

struct relay_pool *
relay_pool_new(const struct relay_setup *setup)
{
	const struct config *config = setup->config;
	struct relay_pool *p = xcalloc(1, sizeof(*p));
	size_t i;

	p->setup = *setup;
	TAILQ_INIT(&p->dirty);
	p->hosts = xcalloc(config->nhosts, sizeof(*p->hosts));
	p->order = xcalloc(config->nupstreams, sizeof(*p->order));
	for (i = 0; i < config->nupstreams; i++)
		add_upstream(p, &config->upstreams[i]);
	qsort(p->order, p->norder, sizeof(*p->order), by_priority);
	return p;
}

void
relay_pool_drain(struct relay_pool *p)
{
	size_t i;

	p->draining = true;
	for (i = 0; i < p->nhosts; i++)
		relay_host_drain(&p->hosts[i]);
}

void
relay_pool_free(struct relay_pool **pool)
{
	struct relay_pool *p = *pool;
	size_t i;

	*pool = NULL;
	if (p == NULL)
		return;
	assert(p->nrelays == 0);
	for (i = 0; i < p->nhosts; i++)
		relay_host_close(&p->hosts[i]);
	free(p->hosts);
	free(p->order);
	free(p);
}

size_t
relay_pool_idle(const struct relay_pool *p)
{
	size_t n = 0, i;

	for (i = 0; i < p->nhosts; i++)
		n += p->hosts[i].nidle;
	return n;
}
