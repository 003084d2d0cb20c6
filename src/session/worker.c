/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What sessions see of their worker, and the end of a turn. loop.c makes a
 * process of it; a test may turn it by hand.
 */
#include "session/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "session/ledger.h"
#include "session/questions.h"
#include "session/session_private.h"

static void
want_flush(void *arg)
{
	(void)arg; /* the pool is flushed at the end of every turn */
}

void
worker_open(struct session_worker *w, struct relay_access *const *access)
{
	const struct relay_setup setup = {
		.base = w->base,
		.config = w->config,
		.shared = w->shared,
		.row = w->args.row,
		.board = &w->board,
		.slot = w->args.slot,
		.access = access,
		.want_flush = want_flush,
	};

	TAILQ_INIT(&w->sessions);
	TAILQ_INIT(&w->dirty);
	TAILQ_INIT(&w->newcomers);
	TAILQ_INIT(&w->detached);
	w->pool = relay_pool_new(&setup);
	w->questions = questions_new(w);
	w->ledger = ledger_new(w);
}

int64_t
worker_now_ms(struct session_worker *w)
{
	if (w->now_ms == 0)
		w->now_ms = clock_mono_ms();
	return w->now_ms;
}

void
worker_count(struct session_worker *w, enum counter c, uint64_t n)
{
	shared_add(w->shared, w->args.row, c, n);
}

void
worker_uncount(struct session_worker *w, enum counter c)
{
	shared_add(w->shared, w->args.row, c, (uint64_t)-1);
}

void
worker_person_tag(struct session_worker *w, const char *id, char to[17])
{
	uint64_t tag = hash_sip64(w->shared->key, id, strlen(id));

	snprintf(to, 17, "%016llx", (unsigned long long)tag);
}

void
worker_drain(struct session_worker *w)
{
	struct session *s;

	if (!w->draining)
		relay_pool_drain(w->pool);
	w->draining = true;
	TAILQ_FOREACH(s, &w->sessions, entry)
		session_drain(s);
}

/* Replies, upstream output and log lines of the whole turn, once. Ending a
 * turn of one session may touch others, so the list is worked until empty;
 * the relay comes last since sessions give it work. */
void
worker_end_turn(struct session_worker *w)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&w->dirty)) != NULL) {
		TAILQ_REMOVE(&w->dirty, s, dirty_entry);
		session_end_turn(s);
	}
	relay_pool_flush(w->pool);
	log_flush();
}
