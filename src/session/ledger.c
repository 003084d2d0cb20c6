/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Owns the entries from take to acknowledged settle. `ready` are waiting to
 * be sent, `sent` are with a question. Which of the two records in shared
 * memory counts is told by the reservation's state alone, so the other one
 * may be rewritten at any time.
 */
#include "session/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "session/questions.h"

/* How long a settle that gives nothing back waits for a ride. */
#define RIDE_MS 20
#define RETRY_MS 500

struct ledger_entry {
	TAILQ_ENTRY(ledger_entry) entry;
	struct ledger *ledger;          /* borrowed */
	struct reservation *reservation; /* in shared memory, ours until freed */
	uint64_t question_id;           /* while sent */
	int64_t taken[PORTERO_NUNITS];
};

TAILQ_HEAD(entry_list, ledger_entry);

struct ledger {
	struct session_worker *w;
	struct entry_list ready, sent;
	size_t owed;
	unsigned hint;
	struct event *timer;
	int64_t timer_at_ms; /* 0: not armed */
	struct record_scratch *scratch[SETTLES_MAX];
	uint8_t buffer[RECORD_MAX];
};

static void
record_write(struct ledger_entry *e, int which, const struct settle *s)
{
	struct reservation *r = e->reservation;
	const struct record_header h = { 0 };
	const struct settle_question q = { .nsettles = 1, .settles = s };
	size_t len = settle_question_encode(r->record[which],
	    sizeof r->record[which], &h, &q);

	/* id, class and domain are bounded where they enter. */
	assert(len > 0);
	r->len[which] = (uint16_t)len;
}

static int
current_record(const struct ledger_entry *e)
{
	return atomic_load(&e->reservation->state) == RESERVATION_PAST_DOT;
}

/* The settle as it stands in shared memory. */
static void
record_read(const struct ledger_entry *e, int which, struct settle *to,
    struct record_scratch *scratch)
{
	struct settle_question q;
	int ret = settle_question_decode(e->reservation->record[which],
	    e->reservation->len[which], &q, scratch);

	assert(ret == 0 && q.nsettles == 1);
	(void)ret;
	*to = q.settles[0];
}

static void
timer_arm(struct ledger *l, int64_t ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };
	int64_t at = clock_mono_ms() + ms;

	if (l->timer_at_ms != 0 && l->timer_at_ms <= at)
		return;
	l->timer_at_ms = at;
	evtimer_add(l->timer, &tv);
}

static void
entry_done(struct ledger *l, struct ledger_entry *e)
{
	atomic_store(&e->reservation->state, RESERVATION_FREE);
	free(e);
	l->owed--;
}

static void
on_settle_answer(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	struct settle_answer a = { 0 };

	if (record != NULL && settle_answer_decode(record, len, &a) == -1)
		a.nsettled = 0;
	ledger_answered(owner, id, a.nsettled);
}

/* Sends what is ready, in questions of their own. */
static void
send_ready(struct ledger *l)
{
	struct settle settles[SETTLES_MAX];
	struct record_header h;
	struct settle_question q = { .settles = settles };
	uint64_t id;
	size_t len;

	while (!TAILQ_EMPTY(&l->ready)) {
		h = questions_header(l->w->questions, POOL_POLICY);
		q.nsettles = ledger_ride(l, settles);
		len = settle_question_encode(l->buffer, sizeof l->buffer, &h, &q);
		id = questions_send(l->w->questions, POOL_POLICY, l->buffer,
		    len, on_settle_answer, l);
		ledger_rode(l, id);
		if (id == 0) {
			timer_arm(l, RETRY_MS);
			return;
		}
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ledger *l = arg;

	(void)fd;
	(void)what;
	l->timer_at_ms = 0;
	send_ready(l);
}

struct ledger *
ledger_new(struct session_worker *w)
{
	struct ledger *l = xcalloc(1, sizeof *l);

	l->w = w;
	TAILQ_INIT(&l->ready);
	TAILQ_INIT(&l->sent);
	l->timer = evtimer_new(w->base, on_timer, l);
	assert(l->timer != NULL);
	for (int i = 0; i < SETTLES_MAX; i++)
		l->scratch[i] = record_scratch_new();
	return l;
}

static void
list_free(struct entry_list *list)
{
	struct ledger_entry *e;

	while ((e = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, e, entry);
		free(e);
	}
}

/* What is still owed stays in shared memory: the master sends it. */
void
ledger_free(struct ledger **lp)
{
	struct ledger *l = *lp;

	if (l == NULL)
		return;
	list_free(&l->ready);
	list_free(&l->sent);
	event_free(l->timer);
	for (int i = 0; i < SETTLES_MAX; i++)
		record_scratch_free(&l->scratch[i]);
	free(l);
	*lp = NULL;
}

size_t
ledger_owed(const struct ledger *l)
{
	return l->owed;
}

struct ledger_entry *
ledger_open(struct ledger *l, const struct settle *settle)
{
	struct reservation *r = reservation_take(&l->w->board, l->w->args.slot,
	    l->w->args.incarnation, &l->hint);
	struct settle s = *settle;
	struct ledger_entry *e;

	if (r == NULL)
		return NULL;
	e = xcalloc(1, sizeof *e);
	e->ledger = l;
	e->reservation = r;
	memcpy(e->taken, settle->actual, sizeof e->taken);
	memset(s.actual, 0, sizeof s.actual);
	s.outcome = PORTERO_LOST;
	record_write(e, 0, &s);
	atomic_store(&r->state, RESERVATION_OPEN);
	l->owed++;
	return e;
}

void
ledger_past_dot(struct ledger_entry *e, const int64_t actual[PORTERO_NUNITS])
{
	struct settle s;

	record_read(e, 0, &s, e->ledger->scratch[0]);
	s.outcome = PORTERO_OUTCOME_UNKNOWN;
	memcpy(s.actual, actual, sizeof s.actual);
	record_write(e, 1, &s);
	atomic_store(&e->reservation->state, RESERVATION_PAST_DOT);
}

void
ledger_drop(struct ledger_entry **ep)
{
	struct ledger_entry *e = *ep;

	if (e == NULL)
		return;
	*ep = NULL;
	entry_done(e->ledger, e);
}

/* Does the settle give something back that others may be waiting for? Bytes
 * declared a little too high are no reason for a question of its own. */
static bool
gives_back(const struct ledger_entry *e, const struct settle *s)
{
	return s->actual[PORTERO_MESSAGES] < e->taken[PORTERO_MESSAGES] ||
	    s->actual[PORTERO_RECIPIENTS] < e->taken[PORTERO_RECIPIENTS];
}

void
ledger_settle(struct ledger *l, struct ledger_entry **ep,
    enum portero_outcome outcome, const int64_t actual[PORTERO_NUNITS])
{
	struct ledger_entry *e = *ep;
	struct settle s;
	int which;

	if (e == NULL)
		return;
	*ep = NULL;
	which = current_record(e);
	record_read(e, which, &s, l->scratch[0]);
	s.outcome = outcome;
	if (outcome == PORTERO_ACCEPTED || outcome == PORTERO_OUTCOME_UNKNOWN)
		memcpy(s.actual, actual, sizeof s.actual);
	else
		memset(s.actual, 0, sizeof s.actual);
	/* The strings of s stand in the record that counts now; the other one
	 * is written and then made to count. */
	record_write(e, !which, &s);
	atomic_store(&e->reservation->state,
	    which == 0 ? RESERVATION_PAST_DOT : RESERVATION_OPEN);
	TAILQ_INSERT_TAIL(&l->ready, e, entry);
	if (gives_back(e, &s))
		send_ready(l);
	else
		timer_arm(l, RIDE_MS);
}

/* Entries that ride are moved to `sent` with question id 0 until it is known. */
uint32_t
ledger_ride(struct ledger *l, struct settle to[SETTLES_MAX])
{
	struct ledger_entry *e;
	uint32_t n = 0;

	while (n < SETTLES_MAX && (e = TAILQ_FIRST(&l->ready)) != NULL) {
		record_read(e, current_record(e), &to[n], l->scratch[n]);
		TAILQ_REMOVE(&l->ready, e, entry);
		TAILQ_INSERT_TAIL(&l->sent, e, entry);
		e->question_id = 0;
		n++;
	}
	return n;
}

void
ledger_rode(struct ledger *l, uint64_t question_id)
{
	struct ledger_entry *e, *next;

	for (e = TAILQ_LAST(&l->sent, entry_list); e != NULL; e = next) {
		next = TAILQ_PREV(e, entry_list, entry);
		if (e->question_id != 0)
			break;
		e->question_id = question_id;
		if (question_id == 0) {
			TAILQ_REMOVE(&l->sent, e, entry);
			TAILQ_INSERT_HEAD(&l->ready, e, entry);
		}
	}
}

void
ledger_answered(struct ledger *l, uint64_t question_id, uint32_t nsettled)
{
	struct ledger_entry *e, *next;

	for (e = TAILQ_FIRST(&l->sent); e != NULL; e = next) {
		next = TAILQ_NEXT(e, entry);
		if (e->question_id != question_id)
			continue;
		TAILQ_REMOVE(&l->sent, e, entry);
		if (nsettled > 0) {
			nsettled--;
			entry_done(l, e);
		} else {
			TAILQ_INSERT_TAIL(&l->ready, e, entry);
			timer_arm(l, RETRY_MS);
		}
	}
}
