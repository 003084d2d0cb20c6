/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Owns the pending questions. Deadlines of one pool are all equally long, so
 * a list in order of asking is a list in order of expiry.
 */
#include "session/questions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/idmap.h"
#include "base/log.h"
#include "base/mem.h"

/* After the pool's deadline the master still may answer for a killed worker. */
#define GRACE_MS 500
#define ANSWERS_PER_TURN 256
/* A question that takes longer is no reason for others to wait. */
#define CALL_MS 2

struct pending {
	TAILQ_ENTRY(pending) entry;
	struct pool *pool;
	uint64_t id;
	uint8_t type;
	int64_t expires_ms;
	question_answer *answer;
	void *owner; /* borrowed */
};

TAILQ_HEAD(pending_list, pending);

struct pool {
	int queue_fd, answers_fd;
	int64_t deadline_ms;
	struct pending_list pending;
	struct event *readable, *timer;
	struct event *call; /* of the policy pool; else NULL */
	struct questions *questions;
};

struct questions {
	struct session_worker *w;
	struct idmap *map;
	uint64_t next_id;
	struct pool pools[2];
	uint8_t buffer[RECORD_MAX];
};

/* Arms the pool's timer for the oldest question. */
static void
timer_arm(struct pool *p)
{
	struct pending *first = TAILQ_FIRST(&p->pending);
	struct timeval tv;
	int64_t ms;

	if (first == NULL || evtimer_pending(p->timer, NULL))
		return;
	ms = first->expires_ms - clock_mono_ms();
	if (ms < 1)
		ms = 1;
	tv.tv_sec = ms / 1000;
	tv.tv_usec = (ms % 1000) * 1000;
	evtimer_add(p->timer, &tv);
}

static void
pending_end(struct pool *p, struct pending *q, const uint8_t *record, size_t len)
{
	TAILQ_REMOVE(&p->pending, q, entry);
	if (p->call != NULL && TAILQ_EMPTY(&p->pending))
		evtimer_del(p->call);
	q->answer(q->owner, q->id, record, len);
	free(q);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;
	int64_t now = clock_mono_ms();
	struct pending *q;

	(void)fd;
	(void)what;
	while ((q = TAILQ_FIRST(&p->pending)) != NULL && q->expires_ms <= now) {
		idmap_take(p->questions->map, q->id);
		pending_end(p, q, NULL, 0);
	}
	timer_arm(p);
}

static void
call_arm(struct pool *p)
{
	const struct timeval tv = { .tv_usec = CALL_MS * 1000 };

	if (p->call != NULL && board_hears_calls(&p->questions->w->board) &&
	    !evtimer_pending(p->call, NULL))
		evtimer_add(p->call, &tv);
}

/* Whoever has the oldest question in hand is slow: others may be behind it. */
static void
on_call(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;
	struct pending *first = TAILQ_FIRST(&p->pending);

	(void)fd;
	(void)what;
	if (first == NULL)
		return;
	if (clock_mono_ms() + p->deadline_ms + GRACE_MS >=
	    first->expires_ms + CALL_MS)
		board_call(p->questions->w->board.calls);
	call_arm(p);
}

static void
answer_take(struct pool *p, const uint8_t *record, size_t len)
{
	struct record_header h;
	struct pending *q;

	if (record_header_decode(record, len, &h) == -1) {
		log_say(LOG_LEVEL_ERROR, "ipc", "a broken record was dropped");
		return;
	}
	q = idmap_get(p->questions->map, h.id);
	if (q == NULL || h.type != q->type + 100)
		return; /* asked by a predecessor, forgotten, or too late */
	idmap_take(p->questions->map, h.id);
	pending_end(p, q, record, len);
}

static void
on_answers(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;
	uint8_t *buffer = p->questions->buffer;
	ssize_t n;

	(void)what;
	for (int i = 0; i < ANSWERS_PER_TURN; i++) {
		n = recv(fd, buffer, RECORD_MAX, MSG_DONTWAIT);
		if (n == 0) /* master and pool have gone, and so shall we */
			event_del(p->readable);
		if (n <= 0)
			return;
		answer_take(p, buffer, (size_t)n);
	}
}

static void
pool_open(struct questions *q, enum question_pool which, int queue_fd,
    int answers_fd, int64_t deadline_ms)
{
	struct pool *p = &q->pools[which];

	p->questions = q;
	p->queue_fd = queue_fd;
	p->answers_fd = answers_fd;
	p->deadline_ms = deadline_ms;
	TAILQ_INIT(&p->pending);
	p->timer = evtimer_new(q->w->base, on_timer, p);
	p->readable = event_new(q->w->base, answers_fd, EV_READ | EV_PERSIST,
	    on_answers, p);
	if (which == POOL_POLICY)
		p->call = evtimer_new(q->w->base, on_call, p);
	assert(p->timer != NULL && p->readable != NULL &&
	    (which != POOL_POLICY || p->call != NULL));
	event_add(p->readable, NULL);
}

struct questions *
questions_new(struct session_worker *w)
{
	struct questions *q = xcalloc(1, sizeof *q);

	q->w = w;
	q->map = idmap_new();
	/* Ids of a successor in this slot must not meet old answers. */
	id_random(&q->next_id, sizeof q->next_id);
	pool_open(q, POOL_AUTH, ROLE_FD_AUTH_QUEUE, ROLE_FD_AUTH_ANSWERS,
	    w->config->auth_deadline_ms);
	pool_open(q, POOL_POLICY, ROLE_FD_POLICY_QUEUE, ROLE_FD_POLICY_ANSWERS,
	    w->config->policy_deadline_ms);
	return q;
}

void
questions_free(struct questions **qp)
{
	struct questions *q = *qp;
	struct pending *p;

	if (q == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		event_free(q->pools[i].readable);
		event_free(q->pools[i].timer);
		if (q->pools[i].call != NULL)
			event_free(q->pools[i].call);
		while ((p = TAILQ_FIRST(&q->pools[i].pending)) != NULL) {
			TAILQ_REMOVE(&q->pools[i].pending, p, entry);
			free(p);
		}
	}
	idmap_free(&q->map);
	free(q);
	*qp = NULL;
}

struct record_header
questions_header(struct questions *q, enum question_pool pool)
{
	struct record_header h = { 0 };

	if (++q->next_id == 0)
		q->next_id = 1;
	h.asker = (uint16_t)q->w->args.slot;
	h.id = q->next_id;
	h.deadline_ns = clock_mono_ns() +
	    q->pools[pool].deadline_ms * CLOCK_NS_PER_MS;
	h.generation = q->w->args.generation;
	h.incarnation = q->w->args.incarnation;
	return h;
}

uint64_t
questions_send(struct questions *q, enum question_pool pool,
    const uint8_t *record, size_t len, question_answer *answer, void *owner)
{
	struct pool *p = &q->pools[pool];
	struct record_header h;
	struct pending *pending;

	if (len == 0 || record_header_decode(record, len, &h) == -1 ||
	    send(p->queue_fd, record, len, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		return 0;
	pending = xcalloc(1, sizeof *pending);
	pending->pool = p;
	pending->id = h.id;
	pending->type = h.type;
	pending->expires_ms = h.deadline_ns / CLOCK_NS_PER_MS + GRACE_MS;
	pending->answer = answer;
	pending->owner = owner;
	TAILQ_INSERT_TAIL(&p->pending, pending, entry);
	idmap_put(q->map, h.id, pending);
	timer_arm(p);
	call_arm(p);
	return h.id;
}

void
questions_forget(struct questions *q, uint64_t id)
{
	struct pending *p = idmap_take(q->map, id);

	if (p == NULL)
		return;
	TAILQ_REMOVE(&p->pool->pending, p, entry);
	free(p);
}
