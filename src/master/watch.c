/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The board is written by others, some of them dead: every number is copied
 * first and bounded before it is used.
 */
#include "master/watch.h"

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "master/generation.h"
#include "master/master_private.h"

#define OVERTIME_MS 250  /* after a question's deadline */
#define QUESTION_MAX_MS 10000 /* whatever its deadline says */
#define HUNG_MS 5000     /* a session worker's loop without a turn */
#define START_MS 30000   /* a worker that does not become ready */
#define ABORT_MS 1000    /* from SIGABRT to SIGKILL */
#define LOOK_MIN_MS 250
#define LOOK_MAX_MS 1000

static void
put_down(struct child *c, int64_t now_ms, const char *cause)
{
	c->cause = cause;
	child_kill_at(c, now_ms);
}

static int64_t
pool_deadline_ms(const struct generation *g, const struct child *c)
{
	return c->role == ROLE_AUTH ? g->plan.auth_deadline_ms
				    : g->plan.policy_deadline_ms;
}

/* When the worker must have answered the question it is at; 0: it is idle.
 * The header is read before and after: if it has not changed, what was read
 * in between belongs together. */
static int64_t
overtime_at(const struct generation *g, const struct child *c,
    const struct board_score *score)
{
	int64_t longest_ms = pool_deadline_ms(g, c), deadline_ms, started_ms;
	uint8_t head[RECORD_HEADER_LEN], again[RECORD_HEADER_LEN];
	struct record_header h;
	uint32_t busy;

	if (longest_ms < QUESTION_MAX_MS)
		longest_ms = QUESTION_MAX_MS;
	memcpy(head, score->question, sizeof(head));
	atomic_thread_fence(memory_order_seq_cst);
	started_ms = score->started_ns / CLOCK_NS_PER_MS;
	busy = atomic_load(&score->busy);
	atomic_thread_fence(memory_order_seq_cst);
	memcpy(again, score->question, sizeof(again));
	if (busy == 0 || memcmp(head, again, sizeof(head)) != 0 ||
	    record_head_decode(head, &h) == -1)
		return 0;
	deadline_ms = h.deadline_ns / CLOCK_NS_PER_MS;
	if (deadline_ms > started_ms + longest_ms)
		deadline_ms = started_ms + longest_ms;
	return deadline_ms + OVERTIME_MS;
}

/* How long a question may go unnoticed: less than the shortest deadline. */
static int64_t
look_ms(const struct generation *g)
{
	int64_t ms = g->plan.policy_deadline_ms < g->plan.auth_deadline_ms
	    ? g->plan.policy_deadline_ms
	    : g->plan.auth_deadline_ms;

	return ms < LOOK_MIN_MS ? LOOK_MIN_MS
	    : ms > LOOK_MAX_MS ? LOOK_MAX_MS
			       : ms;
}

static void
watch_pool_worker(struct generation *g, struct child *c, int64_t now_ms,
    int64_t *next_ms)
{
	int64_t at = overtime_at(g, c, generation_score(g, c));

	if (at != 0 && at <= now_ms)
		put_down(c, now_ms, "timeout");
	due(next_ms, at == 0 ? now_ms + look_ms(g) : at);
}

static void
watch_session_worker(struct generation *g, struct child *c, int64_t now_ms,
    int64_t *next_ms)
{
	int64_t beat_ms =
	    atomic_load(&g->board.beats[c->slot].beat_ns) / CLOCK_NS_PER_MS;
	int64_t at = (beat_ms > c->started_ms ? beat_ms : c->started_ms) +
	    HUNG_MS;

	if (at > now_ms) {
		due(next_ms, at);
		return;
	}
	/* We may have slept as well, with the whole machine. */
	if (!g->master->was_late) {
		c->cause = "hung";
		kill(c->pid, SIGABRT);
		child_kill_at(c, now_ms + ABORT_MS);
	}
	due(next_ms, now_ms + ABORT_MS);
}

void
watch(struct generation *g, int64_t now_ms, int64_t *next_ms)
{
	struct child *c;
	unsigned i;

	for (i = 0; i < g->nchildren; i++) {
		c = &g->children[i];
		if (c->pid == 0 || c->kill_at_ms != 0 ||
		    c->role == ROLE_CONTROL)
			continue;
		if (!c->ready && now_ms - c->started_ms >= START_MS)
			put_down(c, now_ms, "start");
		else if (!c->ready)
			due(next_ms, c->started_ms + START_MS);
		else if (c->role == ROLE_SESSION)
			watch_session_worker(g, c, now_ms, next_ms);
		else
			watch_pool_worker(g, c, now_ms, next_ms);
	}
}

bool
watch_answer(struct generation *g, const struct child *c)
{
	struct board_score *score = generation_score(g, c);
	uint8_t head[RECORD_HEADER_LEN], record[1024];
	struct record_header h;
	size_t len;

	memcpy(head, score->question, sizeof(head));
	memset(score->question, 0, sizeof(score->question));
	atomic_store(&score->busy, 0);
	if (record_head_decode(head, &h) == -1)
		return false; /* it had none */
	len = record_defer_encode(record, sizeof(record), &h,
	    c->cause == NULL ? "crash" : c->cause);
	return len > 0 &&
	    channels_answer(&g->channels,
		c->role == ROLE_AUTH ? POOL_AUTH : POOL_POLICY, h.asker,
		record, len);
}
