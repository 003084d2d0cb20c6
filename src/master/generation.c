/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The life of a generation. Its processes come up in an order in which each
 * finds what it needs, and go in the other. Which of them is replaced when it
 * dies is told by may_start() alone.
 */
#include "master/generation.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/claim.h"
#include "master/launch.h"
#include "master/master_private.h"
#include "master/watch.h"

#define RESOLVE_MS 5000 /* how long control may look for the upstream */
#define START_MS 30000  /* and how long all may take to come up */
#define GRACE_MS 2000   /* from an order to SIGKILL */
#define EARLY_ENDS_MAX 5
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 1000
#define LIVED_WELL_MS 10000

struct child *
generation_control(struct generation *g)
{
	return &g->children[0];
}

struct child *
generation_session(struct generation *g, unsigned slot)
{
	return &g->children[1 + slot];
}

struct board_score *
generation_score(struct generation *g, const struct child *c)
{
	if (c->role == ROLE_AUTH)
		return &g->board.auth[c->slot];
	if (c->role == ROLE_POLICY)
		return &g->board.policy[c->slot];
	return NULL;
}

static bool
is_pool(const struct child *c)
{
	return c->role == ROLE_AUTH || c->role == ROLE_POLICY;
}

/* ---- making -------------------------------------------------------------- */

static void
add_children(struct generation *g, enum role role, unsigned n)
{
	struct child *c;
	unsigned slot;

	for (slot = 0; slot < n; slot++) {
		c = &g->children[g->nchildren++];
		c->role = role;
		c->slot = slot;
		c->generation = g;
		c->lifeline = -1;
	}
}

static int
prepare(struct generation *g, struct error *err)
{
	const struct plan *p = &g->plan;
	struct master *m = g->master;

	g->board_fd = board_create(&g->board, p->nsession, p->nauth,
	    p->npolicy, err);
	if (g->board_fd == -1 ||
	    (m->root && claim_chroot(p->chroot_dir, err) == -1) ||
	    channels_open(&g->channels, &m->queues, p->nsession + 1, err) ==
		-1 ||
	    log_target_open(&g->log, p, err) == -1 ||
	    shares_use(&m->shares, p, g->share_fds, err) == -1)
		return -1;
	g->nshares = p->nmodules;
	if (listeners_use(&m->listeners, p, g->listeners, &g->width, err) == -1)
		return -1;
	g->nlisteners = p->nlisteners;
	return 0;
}

struct generation *
generation_new(struct master *m, const struct plan *plan, int config_fd,
    struct error *err)
{
	struct generation *g = xcalloc(1, sizeof(*g));

	g->master = m;
	g->number = ++m->last_generation;
	g->plan = *plan;
	g->config_fd = config_fd;
	g->board_fd = -1;
	g->log.fd = -1;
	memset(&g->channels.queue, -1, sizeof(g->channels.queue));
	g->children = xcalloc(1 + plan->nsession + plan->nauth + plan->npolicy,
	    sizeof(*g->children));
	add_children(g, ROLE_CONTROL, 1);
	add_children(g, ROLE_SESSION, plan->nsession);
	add_children(g, ROLE_AUTH, plan->nauth);
	add_children(g, ROLE_POLICY, plan->npolicy);
	if (prepare(g, err) == -1) {
		generation_free(&g);
		return NULL;
	}
	g->state = GENERATION_STARTS_CONTROL;
	g->limit_ms = clock_mono_ms() + START_MS;
	generation_control(g)->start_at_ms = clock_mono_ms();
	return g;
}

void
generation_free(struct generation **gp)
{
	struct generation *g = *gp;
	struct master *m;

	if (g == NULL)
		return;
	m = g->master;
	listeners_release(&m->listeners, g->listeners, g->nlisteners);
	shares_release(&m->shares, &g->plan, g->nshares);
	channels_close(&g->channels, &m->queues);
	board_unmap(&g->board);
	log_target_close(&g->log);
	if (g->board_fd != -1)
		close(g->board_fd);
	close(g->config_fd);
	free(g->children);
	free(g);
	*gp = NULL;
}

/* ---- starting and replacing processes ------------------------------------ */

static bool
may_start(const struct generation *g, const struct child *c)
{
	if (is_pool(c))
		return g->state < GENERATION_CLOSES;
	return g->state < GENERATION_DRAINS;
}

static void
start_all(struct generation *g, bool (*which)(const struct child *),
    int64_t now_ms)
{
	unsigned i;

	for (i = 0; i < g->nchildren; i++)
		if (which(&g->children[i]))
			g->children[i].start_at_ms = now_ms;
}

/* After a good life at once, and after a death at a question: as often as it
 * is asked, and no more. Else later each time, but never by much. */
static void
plan_restart(struct child *c, bool at_question, int64_t now_ms)
{
	if (at_question || now_ms - c->started_ms >= LIVED_WELL_MS)
		c->backoff_ms = 0;
	c->start_at_ms = now_ms + c->backoff_ms;
	c->backoff_ms = c->backoff_ms == 0 ? BACKOFF_FIRST_MS
					   : c->backoff_ms * 2;
	if (c->backoff_ms > BACKOFF_MAX_MS)
		c->backoff_ms = BACKOFF_MAX_MS;
}

static bool
cannot_start(const struct child *c)
{
	return is_pool(c) && c->pid == 0 && c->early_ends >= EARLY_ENDS_MAX;
}

/* A pool whose workers all fail tries with one at a time: each says why in the
 * log. */
static void
wait_for_turn(struct child *c)
{
	struct generation *g = c->generation;
	unsigned i;

	if (!cannot_start(c))
		return;
	for (i = 0; i < g->nchildren; i++) {
		const struct child *other = &g->children[i];
		int64_t after_ms = other->start_at_ms + BACKOFF_MAX_MS;

		if (other != c && other->role == c->role &&
		    cannot_start(other) && after_ms > c->start_at_ms)
			c->start_at_ms = after_ms;
	}
}

/* What kept it has gone, for the others as well. */
void
generation_on_start(struct generation *g, struct child *c)
{
	unsigned i;

	c->ready = true;
	for (i = 0; i < g->nchildren; i++) {
		struct child *other = &g->children[i];

		if (other->role == c->role && cannot_start(other) &&
		    other->start_at_ms != 0)
			other->start_at_ms = clock_mono_ms();
	}
}

static void
start_child(struct generation *g, struct child *c, int64_t now_ms)
{
	struct error err;

	c->start_at_ms = 0;
	c->started_ms = now_ms;
	if (launch(g, c, &err) == 0)
		return;
	log_say(LOG_LEVEL_ERROR, "worker", "cannot start a %s process: %s",
	    role_name(c->role), err.text);
	plan_restart(c, false, now_ms);
	c->early_ends++;
	wait_for_turn(c);
}

static void
tick_child(struct generation *g, struct child *c, int64_t now_ms,
    int64_t *next_ms)
{
	if (c->pid == 0 && c->start_at_ms != 0 && c->start_at_ms <= now_ms)
		start_child(g, c, now_ms);
	if (c->pid != 0 && c->kill_at_ms != 0 && c->kill_at_ms <= now_ms) {
		kill(c->pid, SIGKILL);
		c->kill_at_ms = now_ms + GRACE_MS;
	}
	due(next_ms, c->start_at_ms);
	due(next_ms, c->kill_at_ms);
}

/* ---- coming up ----------------------------------------------------------- */

static void
fail(struct generation *g, const char *why)
{
	generation_stop(g);
	listeners_abandon(&g->master->listeners);
	master_on_failed(g->master, g, why);
}

static bool
are_ready(const struct generation *g, bool (*which)(const struct child *))
{
	unsigned i;

	for (i = 0; i < g->nchildren; i++)
		if (which(&g->children[i]) && !g->children[i].ready)
			return false;
	return true;
}

static bool
is_session(const struct child *c)
{
	return c->role == ROLE_SESSION;
}

static void
start_sessions(struct generation *g, int64_t now_ms)
{
	struct error err;

	if (listeners_listen(g->listeners, &g->plan, &err) == -1) {
		fail(g, err.text);
		return;
	}
	g->state = GENERATION_STARTS_SESSIONS;
	start_all(g, is_session, now_ms);
}

static void
come_up(struct generation *g, int64_t now_ms, int64_t *next_ms)
{
	const int64_t resolved_by = g->limit_ms - START_MS + RESOLVE_MS;

	if (g->state == GENERATION_STARTS_CONTROL) {
		if (generation_control(g)->ready || now_ms >= resolved_by) {
			g->state = GENERATION_STARTS_POOLS;
			start_all(g, is_pool, now_ms);
		} else {
			due(next_ms, resolved_by);
		}
	}
	if (g->state == GENERATION_STARTS_POOLS && are_ready(g, is_pool))
		start_sessions(g, now_ms);
	if (g->state == GENERATION_STARTS_SESSIONS &&
	    are_ready(g, is_session)) {
		g->state = GENERATION_READY;
		g->limit_ms = 0;
		listeners_commit(&g->master->listeners, g->listeners,
		    g->nlisteners, g->width);
		master_on_ready(g->master, g);
	}
	if (g->state < GENERATION_READY && now_ms >= g->limit_ms)
		fail(g, "not all workers came up within 30 s; see the log");
}

/* ---- going --------------------------------------------------------------- */

static void
tell(struct child *c, enum lifeline_type order, int64_t value)
{
	c->start_at_ms = 0;
	if (c->pid == 0)
		return;
	c->told_to_go = true;
	child_send(c, order, value, -1);
}

void
generation_drain(struct generation *g, int64_t limit_ms)
{
	int64_t at = clock_mono_ms() + limit_ms;
	unsigned i;

	if (g->state < GENERATION_READY) {
		generation_stop(g);
		return;
	}
	if (g->state == GENERATION_CLOSES ||
	    (g->state == GENERATION_DRAINS && g->limit_ms <= at))
		return;
	g->state = GENERATION_DRAINS;
	g->limit_ms = at;
	generation_control(g)->start_at_ms = 0;
	/* There is another one that answers operators from now on. */
	if (!g->master->stopping)
		tell(generation_control(g), ORDER_DRAIN, limit_ms);
	for (i = 0; i < g->plan.nsession; i++)
		tell(generation_session(g, i), ORDER_DRAIN, limit_ms);
}

/* The rest has nobody left to serve. */
static void
close_down(struct generation *g, int64_t now_ms)
{
	unsigned i;

	g->state = GENERATION_CLOSES;
	g->limit_ms = 0;
	for (i = 0; i < g->nchildren; i++) {
		tell(&g->children[i], ORDER_DRAIN, GRACE_MS);
		child_kill_at(&g->children[i], now_ms + 2 * GRACE_MS);
	}
}

void
generation_stop(struct generation *g)
{
	int64_t now_ms = clock_mono_ms();
	unsigned i;

	g->state = GENERATION_CLOSES;
	g->limit_ms = 0;
	for (i = 0; i < g->nchildren; i++) {
		tell(&g->children[i], ORDER_STOP, 0);
		child_kill_at(&g->children[i], now_ms + GRACE_MS);
	}
}

/*
 * Somebody still wants its control process to pass a verdict on; or everything
 * ends, and the last generation's pools settle what others leave behind.
 */
static bool
is_needed(const struct generation *g)
{
	const struct master *m = g->master;
	const struct generation *other;

	if (reload_is_awaited(&m->reload, g->number))
		return true;
	if (g != master_current(m))
		return false;
	for (other = g->older; other != NULL; other = other->older)
		if (other->state < GENERATION_CLOSES)
			return true;
	return m->owed.count > 0;
}

static void
go_down(struct generation *g, int64_t now_ms, int64_t *next_ms)
{
	bool any = false, late = now_ms >= g->limit_ms;
	unsigned i;

	for (i = 0; i < g->plan.nsession; i++) {
		struct child *c = generation_session(g, i);

		if (c->pid == 0)
			continue;
		any = true;
		if (late && c->kill_at_ms == 0) {
			child_send(c, ORDER_STOP, 0, -1);
			child_kill_at(c, now_ms + GRACE_MS);
		}
	}
	if (!any && (late || !is_needed(g))) {
		close_down(g, now_ms);
		*next_ms = now_ms; /* a reload may wait for this */
	} else if (!late) {
		due(next_ms, g->limit_ms);
	}
}

void
generation_tick(struct generation *g, int64_t now_ms, int64_t *next_ms)
{
	unsigned i;

	if (g->state < GENERATION_READY)
		come_up(g, now_ms, next_ms);
	if (g->state == GENERATION_DRAINS)
		go_down(g, now_ms, next_ms);
	if (g->state < GENERATION_READY)
		due(next_ms, g->limit_ms);
	watch(g, now_ms, next_ms);
	for (i = 0; i < g->nchildren; i++)
		tick_child(g, &g->children[i], now_ms, next_ms);
}

bool
generation_is_over(const struct generation *g)
{
	unsigned i;

	for (i = 0; i < g->nchildren; i++)
		if (g->children[i].pid != 0)
			return false;
	return g->state == GENERATION_CLOSES;
}

/* ---- events -------------------------------------------------------------- */

static void
log_end_of(const struct generation *g, const struct child *c, int status,
    bool answered)
{
	struct log_line l;

	log_begin(&l, c->told_to_go ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
	    "worker");
	log_adds(&l, "role", role_name(c->role));
	log_addn(&l, "slot", c->slot);
	log_addn(&l, "generation", g->number);
	log_addn(&l, "pid", c->pid);
	if (c->cause != NULL) {
		log_adds(&l, "result", "killed");
		log_adds(&l, "cause", c->cause);
	} else if (WIFSIGNALED(status)) {
		log_adds(&l, "result", "crashed");
		log_addn(&l, "signal", WTERMSIG(status));
	} else {
		log_adds(&l, "result", "ended");
		log_addn(&l, "status", WEXITSTATUS(status));
	}
	if (answered)
		log_adds(&l, "question", "deferred");
	log_end(&l);
}

static void
note_end(struct generation *g, struct child *c, int status, bool answered)
{
	bool is_clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (c->told_to_go && is_clean)
		return;
	if (c->cause != NULL)
		shared_add(g->master->shared, 0, COUNTER_WORKER_KILLED, 1);
	else if (!c->told_to_go)
		shared_add(g->master->shared, 0, COUNTER_WORKER_CRASHED, 1);
	log_end_of(g, c, status, answered);
}

void
generation_on_exit(struct generation *g, struct child *c, int status)
{
	bool was_ready = c->ready, answered = false;
	char why[128];

	if (is_pool(c))
		answered = watch_answer(g, c);
	if (is_session(c)) {
		owed_collect(&g->master->owed, &g->board, c->slot, 0);
		crowd_retire(&g->master->shared->crowd, c->incarnation);
	}
	rows_give(&g->master->rows, c->row, g->master->shared);
	note_end(g, c, status, answered);
	child_clear(c);
	if (!may_start(g, c))
		return;
	c->early_ends = was_ready ? 0 : c->early_ends + 1;
	plan_restart(c, answered, clock_mono_ms());
	wait_for_turn(c);
	if (g->state >= GENERATION_READY || c->early_ends < EARLY_ENDS_MAX)
		return;
	snprintf(why, sizeof(why),
	    "the %s process ended %d times before it was ready; see the log",
	    role_name(c->role), EARLY_ENDS_MAX);
	fail(g, why);
}

void
generation_reopen_log(struct generation *g)
{
	struct error err;
	unsigned i;
	int fd = log_target_again(&g->log, &err);

	if (fd == -1)
		return; /* the master says why, and tries again if that helps */
	log_target_close(&g->log);
	g->log.fd = fd;
	for (i = 0; i < g->nchildren; i++)
		child_send(&g->children[i], ORDER_LOG, 0, fd);
}
