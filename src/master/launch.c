/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which descriptors and arguments each role is given: the one place where a
 * process gets what it may reach.
 */
#include "master/launch.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "master/child.h"
#include "master/generation.h"
#include "master/master_private.h"

static void
give_listeners(const struct generation *g, struct role_args *a, int *to)
{
	unsigned rounds, round, i, n = 0;

	rounds = listeners_rounds(g->width, g->plan.nsession, a->slot);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < g->nlisteners; i++)
			to[n++] = listener_socket(g->listeners[i],
			    a->slot + round * g->plan.nsession);
	a->nlisteners = n;
}

/* The answer ends of a pool, and behind them its modules' shares. */
static void
give_pool(const struct generation *g, struct role_args *a, enum pool pool,
    int *to)
{
	unsigned i, module = 0;

	for (i = 0; i < g->channels.naskers; i++)
		to[i] = g->channels.answers[pool][i][WRITE_END];
	a->naskers = i;
	for (i = 0; i < g->plan.nmodules; i++) {
		if (g->plan.modules[i].role != a->role)
			continue;
		if (g->share_fds[i] != -1) {
			a->share_mask |= UINT32_C(1) << module;
			to[a->naskers + a->nshares++] = g->share_fds[i];
		}
		module++;
	}
}

static void
give_asker(const struct generation *g, enum pool pool, unsigned asker,
    int *from)
{
	const enum role_fd queue =
	    pool == POOL_AUTH ? ROLE_FD_AUTH_QUEUE : ROLE_FD_POLICY_QUEUE;
	const enum role_fd answers =
	    pool == POOL_AUTH ? ROLE_FD_AUTH_ANSWERS : ROLE_FD_POLICY_ANSWERS;

	from[queue] = g->channels.queue[pool][WRITE_END];
	from[answers] = g->channels.answers[pool][asker][READ_END];
}

/* Returns how many descriptors stand from ROLE_FD_FIRST on. */
static unsigned
give(const struct generation *g, struct role_args *a, int *from)
{
	const struct master *m = g->master;

	from[ROLE_FD_CONFIG] = g->config_fd;
	from[ROLE_FD_LOG] = g->log.fd;
	from[ROLE_FD_SHARED] = m->shared_fd;
	from[ROLE_FD_BOARD] = g->board_fd;
	switch (a->role) {
	case ROLE_SESSION:
		give_asker(g, POOL_AUTH, a->slot, from);
		give_asker(g, POOL_POLICY, a->slot, from);
		give_listeners(g, a, from + ROLE_FD_FIRST);
		break;
	case ROLE_AUTH:
		from[ROLE_FD_AUTH_QUEUE] =
		    g->channels.queue[POOL_AUTH][READ_END];
		from[ROLE_FD_LOGIN_CACHE] = m->login_cache_fd;
		give_pool(g, a, POOL_AUTH, from + ROLE_FD_FIRST);
		break;
	case ROLE_POLICY:
		from[ROLE_FD_POLICY_QUEUE] =
		    g->channels.queue[POOL_POLICY][READ_END];
		give_pool(g, a, POOL_POLICY, from + ROLE_FD_FIRST);
		break;
	case ROLE_CONTROL:
		give_asker(g, POOL_AUTH, g->plan.nsession, from);
		give_asker(g, POOL_POLICY, g->plan.nsession, from);
		from[ROLE_FD_CONTROL] = m->control_fd;
		a->config_path = m->config_path;
		break;
	case ROLE_MASTER:
	case ROLE_CHECK:
		abort(); /* no part of a generation */
	}
	return a->nlisteners + a->naskers + a->nshares;
}

/* What the predecessor wrote on the board is no longer true. */
static void
clean_slot(struct generation *g, const struct child *c)
{
	struct board_score *score = generation_score(g, c);

	if (score != NULL) {
		memset(score->question, 0, sizeof(score->question));
		atomic_store(&score->busy, 0);
		score->pid = 0;
	} else if (c->role == ROLE_SESSION) {
		atomic_store(&g->board.beats[c->slot].beat_ns, 0);
		atomic_store(&g->board.beats[c->slot].pid, 0);
	}
}

int
launch(struct generation *g, struct child *c, struct error *err)
{
	struct master *m = g->master;
	struct role_args args = { .role = c->role,
		.slot = c->slot,
		.row = rows_take(&m->rows),
		.generation = g->number };
	const size_t room = ROLE_FD_FIRST +
	    (size_t)g->nlisteners * (g->width + 1) + MAX_ASKERS + MAX_MODULES;
	struct child_fds fds;
	int pair[2] = { -1, -1 };
	size_t i;

	if (++m->last_incarnation == 0)
		m->last_incarnation = 1;
	args.incarnation = m->last_incarnation;
	fds.from = xcalloc(room, sizeof(*fds.from));
	for (i = 0; i < room; i++)
		fds.from[i] = -1;
	clean_slot(g, c);
	c->pid = -1;
	if (child_lifeline(pair, err) == 0) {
		fds.count = ROLE_FD_FIRST + give(g, &args, fds.from);
		fds.from[ROLE_FD_LIFELINE] = pair[1];
		c->pid = child_exec(&args, &fds, err);
		close(pair[1]);
	}
	free(fds.from);
	if (c->pid == -1) {
		if (pair[0] != -1)
			close(pair[0]);
		c->pid = 0;
		rows_give(&m->rows, args.row, m->shared);
		return -1;
	}
	c->lifeline = pair[0];
	c->row = args.row;
	c->incarnation = args.incarnation;
	return 0;
}
