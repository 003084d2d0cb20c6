/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The master's loop: one poll(2) over signals and lifelines; everything else
 * is a matter of time, and done by the ticks. Nothing is freed but at the end
 * of a tick.
 */
#include "master/master_private.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/generation.h"
#include "master/trial.h"

#define RECORDS_A_TURN 32 /* of one child */
#define LATE_MS 2000
#define LOG_RETRY_MS 1000

struct generation *
master_current(const struct master *m)
{
	struct generation *g = m->newest;

	while (g != NULL && g->state != GENERATION_READY &&
	    g->state != GENERATION_DRAINS)
		g = g->older;
	return g;
}

/* ---- what the parts tell ------------------------------------------------- */

static void
log_ready(const struct generation *g)
{
	struct log_line l;

	log_begin(&l, LOG_LEVEL_INFO, "ready");
	log_adds(&l, "version", PACKAGE_VERSION);
	log_addn(&l, "generation", g->number);
	log_addn(&l, "listeners", g->nlisteners);
	log_addn(&l, "session_workers", g->plan.nsession);
	log_addn(&l, "auth_workers", g->plan.nauth);
	log_addn(&l, "policy_workers", g->plan.npolicy);
	log_end(&l);
}

/* The master writes to where its newest generation does. */
static void
follow_log(struct master *m, const struct generation *g)
{
	int fd = fcntl(g->log.fd, F_DUPFD_CLOEXEC, 3), old = m->log.fd;

	if (fd == -1)
		return;
	m->log = g->log;
	m->log.fd = fd;
	log_open(fd, log_target_kind(&g->log),
	    (enum log_level)g->plan.log_level, "portero-master");
	if (old != -1)
		close(old);
}

unsigned
master_serving(const struct master *m, struct generation **oldest_r)
{
	struct generation *g;
	unsigned n = 0;

	for (g = m->newest; g != NULL; g = g->older)
		if (g->state < GENERATION_CLOSES) {
			*oldest_r = g;
			n++;
		}
	return n;
}

static void
stop_oldest(struct master *m)
{
	struct generation *oldest;

	if (master_serving(m, &oldest) <= MAX_GENERATIONS)
		return;
	log_say(LOG_LEVEL_WARNING, "reload",
	    "generation %u is ended before its time: no more than %d drain at "
	    "once", oldest->number, MAX_GENERATIONS - 1);
	generation_stop(oldest);
}

void
master_on_ready(struct master *m, struct generation *g)
{
	struct generation *old;

	follow_log(m, g);
	log_ready(g);
	/* Then the verdict: who hears it may count on the new one. */
	for (old = g->older; old != NULL; old = old->older)
		generation_drain(old, old->plan.drain_timeout_ms);
	stop_oldest(m);
	if (m->reload.next == g)
		reload_on_generation(m, NULL);
	else
		reload_resume(m);
}

void
master_on_failed(struct master *m, struct generation *g, const char *why)
{
	if (m->reload.next == g) {
		reload_on_generation(m, why);
		return;
	}
	log_say(LOG_LEVEL_ERROR, "start", "%s", why);
	m->failed = true;
	master_stop(m);
}

static void
stop_at_once(struct master *m)
{
	struct generation *g;

	for (g = m->newest; g != NULL; g = g->older)
		generation_stop(g);
}

/* Told twice, it does not wait. */
void
master_stop(struct master *m)
{
	struct generation *g;

	if (m->stopping) {
		stop_at_once(m);
		return;
	}
	m->stopping = true;
	reload_cancel(m);
	log_say(LOG_LEVEL_INFO, "stop", "finishing what is under way");
	listeners_shut(&m->listeners);
	for (g = m->newest; g != NULL; g = g->older)
		generation_drain(g, g->plan.stop_timeout_ms);
}

/* While syslog is away it is tried again each second. */
void
master_reopen_log(struct master *m)
{
	struct generation *g;
	struct error err;
	int fd = log_target_again(&m->log, &err);

	m->log_retry_ms = 0;
	m->log_opened_ms = clock_mono_ms();
	if (fd != -1)
		log_replace(fd);
	else if (log_target_kind(&m->log) == LOG_SYSLOG)
		m->log_retry_ms = m->log_opened_ms + LOG_RETRY_MS;
	else
		log_say(LOG_LEVEL_ERROR, "log", "%s", err.text);
	for (g = m->newest; g != NULL; g = g->older)
		generation_reopen_log(g);
}

/* Once a second at most, whoever asks. */
static void
on_log_lost(struct master *m)
{
	if (m->log_retry_ms == 0)
		m->log_retry_ms = m->log_opened_ms + LOG_RETRY_MS;
}

/* The master's own losses; each child counts its own. */
static void
look_after_log(struct master *m, int64_t now_ms)
{
	shared_add(m->shared, 0, COUNTER_LOG_DROPPED, log_take_dropped());
	if (log_take_lost())
		on_log_lost(m);
	if (m->log_retry_ms != 0 && m->log_retry_ms <= now_ms)
		master_reopen_log(m);
}

/* ---- children ------------------------------------------------------------ */

static void
on_settled(struct master *m, const struct child *c, uint64_t id)
{
	if (c->role == ROLE_POLICY)
		shared_add(m->shared, 0, COUNTER_SETTLED_BY_MASTER,
		    owed_settled(&m->owed, id));
}

static void
on_request(struct master *m, const struct child *c,
    const struct lifeline_record *r)
{
	if (c->role != ROLE_CONTROL)
		return;
	if (r->type == REPORT_RELOAD)
		reload_ask(m, c->generation, r->id);
	else if (r->type == REPORT_STOP_ALL)
		master_stop(m);
	else
		master_reopen_log(m);
}

static void
on_report(struct master *m, struct child *c, const struct lifeline_record *r)
{
	switch (r->type) {
	case REPORT_READY:
		generation_on_start(c->generation, c);
		break;
	case REPORT_LOG_LOST:
		on_log_lost(m);
		break;
	case REPORT_SETTLED:
		on_settled(m, c, r->id);
		break;
	case REPORT_RELOAD:
	case REPORT_STOP_ALL:
	case REPORT_REOPEN:
		on_request(m, c, r);
		break;
	}
}

/* Reads a bounded number of records; at the end of the lifeline the process
 * is about to end, or else made to. */
static void
read_lifeline(struct master *m, struct child *c, int limit)
{
	static uint8_t buf[LIFELINE_MAX + 32];
	struct lifeline_record r;
	int got = 1;

	while (limit-- > 0 && c->lifeline != -1 && got == 1) {
		got = lifeline_receive(c->lifeline, &r, buf, sizeof(buf));
		if (got != 1)
			break;
		if (r.fd != -1)
			close(r.fd);
		on_report(m, c, &r);
	}
	if (got != -1 || c->lifeline == -1)
		return;
	close(c->lifeline);
	c->lifeline = -1;
	if (c->pid != 0)
		child_kill_at(c, clock_mono_ms() + LATE_MS);
}

static struct child *
find_child(struct master *m, pid_t pid)
{
	struct generation *g;
	unsigned i;

	for (g = m->newest; g != NULL; g = g->older)
		for (i = 0; i < g->nchildren; i++)
			if (g->children[i].pid == pid)
				return &g->children[i];
	return NULL;
}

static void
reap(struct master *m)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (m->reload.trial != NULL && m->reload.trial->pid == pid)
			m->reload.trial->pid = 0;
		c = find_child(m, pid);
		if (c == NULL)
			continue;
		read_lifeline(m, c, INT_MAX); /* what it said last */
		generation_on_exit(c->generation, c, status);
	}
}

/* ---- the loop ------------------------------------------------------------ */

static void
read_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(m);
			break;
		case SIGHUP:
			reload_ask(m, NULL, 0);
			break;
		case SIGUSR1:
			master_reopen_log(m);
			break;
		default:
			master_stop(m);
			break;
		}
	}
}

static void
free_gone(struct master *m)
{
	struct generation **at = &m->newest, *g;

	while ((g = *at) != NULL) {
		if (!generation_is_over(g)) {
			at = &g->older;
			continue;
		}
		*at = g->older;
		generation_free(&g);
	}
}

/* All that is a matter of time. Returns when to come back. */
static int64_t
tick(struct master *m, int64_t now_ms)
{
	struct generation *g = master_current(m);
	int64_t next_ms = INT64_MAX;

	m->was_late = now_ms - m->due_ms > LATE_MS;
	if (g != NULL)
		due(&next_ms,
		    owed_send(&m->owed, &g->channels, g->number,
			g->plan.policy_deadline_ms, now_ms));
	reload_tick(m, now_ms, &next_ms);
	for (g = m->newest; g != NULL; g = g->older)
		generation_tick(g, now_ms, &next_ms);
	look_after_log(m, now_ms);
	due(&next_ms, m->log_retry_ms);
	free_gone(m);
	return next_ms;
}

/* The descriptors to wait for: signals, the trial, then each lifeline. */
static nfds_t
collect(struct master *m)
{
	struct generation *g;
	nfds_t n = 0;
	unsigned i;

	for (g = m->newest; g != NULL; g = g->older)
		n += g->nchildren;
	m->polled = xrealloc(m->polled, (n + 2) * sizeof(*m->polled));
	m->polled_child = xrealloc(m->polled_child,
	    (n + 2) * sizeof(*m->polled_child));
	m->polled[0] = (struct pollfd){ m->signal_fd, POLLIN, 0 };
	m->polled[1] = (struct pollfd){
		m->reload.trial == NULL || m->reload.trial->is_over
		    ? -1
		    : m->reload.trial->lifeline,
		POLLIN, 0 };
	n = 2;
	for (g = m->newest; g != NULL; g = g->older)
		for (i = 0; i < g->nchildren; i++)
			if (g->children[i].lifeline != -1) {
				m->polled[n] = (struct pollfd){
					g->children[i].lifeline, POLLIN, 0 };
				m->polled_child[n++] = &g->children[i];
			}
	return n;
}

static void
turn(struct master *m, int64_t next_ms)
{
	nfds_t i, n = collect(m);
	int64_t wait_ms = next_ms - clock_mono_ms();

	m->due_ms = next_ms;
	if (wait_ms < 0)
		wait_ms = 0;
	if (poll(m->polled, n, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms) <= 0)
		return;
	for (i = 2; i < n; i++)
		if (m->polled[i].revents != 0)
			read_lifeline(m, m->polled_child[i], RECORDS_A_TURN);
	if (m->polled[0].revents != 0)
		read_signals(m);
}

void
master_loop(struct master *m)
{
	int64_t next_ms = tick(m, clock_mono_ms());

	while (m->newest != NULL) {
		turn(m, next_ms);
		next_ms = tick(m, clock_mono_ms());
	}
}
