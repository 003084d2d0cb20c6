/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The body of a message, streamed: what arrives goes up in the same turn (but
 * the header only once it is whole: header.c), and the client is read no faster
 * than the upstream takes it. Whatever is found wrong on the way closes the
 * upstream connection without the final dot; the rest of the body is then
 * swallowed, bounded, and answered at its end.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "session/session_private.h"
#include "session/transaction.h"
#include "smtp/chunks.h"

void
body_start(struct transaction *tx)
{
	smtp_dots_start(&tx->dots, tx->worker->config->bare_newline);
	tx->has_data = true;
	header_start(tx);
	tx->data_ms = worker_now_ms(tx->worker);
}

void
body_refuse(struct transaction *tx, enum reply_name name)
{
	relay_close(&tx->relay);
	header_drop(tx);
	tx->is_refused = true;
	tx->refusal = name;
}

/* "552 5.3.4" and the like, for the message's line in the log. */
static void
refusal_text(const struct transaction *tx, char *to, size_t size)
{
	char code[16];

	if (tx->refusal_kept.code != 0) {
		snprintf(to, size, "%d %s %s", tx->refusal_kept.code,
		    tx->refusal_kept.enhanced, tx->refusal_kept.text);
	} else if (tx->refused_for_size) {
		snprintf(to, size, "552 5.3.4");
	} else {
		reply_code_text(tx->refusal, code);
		snprintf(to, size, "%s", code);
	}
}

enum portero_outcome
refusal_outcome(const struct transaction *tx)
{
	return tx->refusal == REPLY_UPSTREAM_LOST ||
		tx->refusal == REPLY_UPSTREAM_BROKEN
	    ? PORTERO_LOST
	    : PORTERO_REFUSED;
}

/* The refused body's end, or as much of it as we swallow. */
static void
refusal_answer(struct session *s)
{
	struct transaction *tx = s->tx;
	char said[320];

	refusal_text(tx, said, sizeof said);
	if (tx->refusal_kept.code != 0)
		reply_kept(s, &tx->refusal_kept);
	else if (tx->refused_for_size)
		reply_too_large(s, (int64_t)tx->dots.size, tx->max_size);
	else
		reply(s, tx->refusal);
	transaction_finish(tx, refusal_outcome(tx), said);
	session_enter(s, s->state == SMTP_IN_CHUNK && !s->chunk.is_last
		? SMTP_CHUNKS : SMTP_READY);
}

static void
dot_send(struct session *s)
{
	struct transaction *tx = s->tx;
	const int64_t actual[PORTERO_NUNITS] = {
		[PORTERO_MESSAGES] = 1,
		[PORTERO_RECIPIENTS] = (int64_t)tx->naccepted,
		[PORTERO_BYTES] = (int64_t)tx->dots.size,
	};

	if (tx->take != NULL)
		ledger_past_dot(tx->take, actual);
	tx->dot_sent = true;
	tx->dot_ms = worker_now_ms(s->worker);
	relay_dot(tx->relay);
	s->wait = WAIT_UPSTREAM;
}

void
body_deny(struct session *s, const char *stage, const struct judge_answer *a)
{
	struct kept_reply *kept = &s->tx->refusal_kept;
	char said[32];
	const struct refusal r = { .stage = stage, .answer = a, .reply = said };

	body_refuse(s->tx, REPLY_POLICY_LATER);
	if (a != NULL && a->reply.code != 0) {
		kept_reply_set(kept, &a->reply);
		snprintf(said, sizeof said, "%d %s", kept->code,
		    kept->enhanced);
	} else {
		reply_code_text(REPLY_POLICY_LATER, said);
	}
	transaction_log_refusal(s, &r);
}

static void
on_end_judged(struct session *s, const struct judge_answer *a)
{
	struct transaction *tx = s->tx;

	if (tx->is_refused) {
		/* the upstream was lost meanwhile */
	} else if (a == NULL || a->verdict != PORTERO_NEXT) {
		body_deny(s, "end", a);
	} else {
		dot_send(s);
		return;
	}
	refusal_answer(s);
	session_resume(s);
}

/* Its end goes up unless more must be asked. */
void
body_end(struct session *s)
{
	struct transaction *tx = s->tx;

	if (tx->is_refused) {
		refusal_answer(s);
		return;
	}
	if ((tx->wants & PORTERO_END) ||
	    (int64_t)tx->dots.size > tx->reserved_bytes) {
		if (judge_ask(s, PORTERO_END, NULL, 0, on_end_judged) == 0)
			return;
		body_refuse(tx, REPLY_POLICY_LATER);
		refusal_answer(s);
		return;
	}
	dot_send(s);
}

static void
emit(void *arg, const char *data, size_t len)
{
	struct transaction *tx = arg;

	if (tx->held != NULL)
		header_hold(tx, data, len);
	else if (tx->relay != NULL)
		relay_body(tx->relay, data, len);
}

/* Faults and sizes, as they come to light. */
static void
body_check(struct transaction *tx)
{
	if (tx->is_refused)
		return;
	if (tx->dots.fault != SMTP_DOTS_CLEAN) {
		body_refuse(tx, REPLY_BARE_NEWLINE);
	} else if ((int64_t)tx->dots.size > tx->max_size) {
		body_refuse(tx, REPLY_OK);
		tx->refused_for_size = true;
	}
}

/* More of it is to come: is there room for it? */
static void
body_went_on(struct session *s)
{
	struct transaction *tx = s->tx;

	if (tx->is_refused) {
		if ((int64_t)tx->dots.size > tx->max_size + SWALLOW_MORE) {
			refusal_answer(s);
			session_finish(s, "refused body too long");
		}
	} else if (!relay_has_room(tx->relay)) {
		s->wait = WAIT_ROOM;
		session_io_want_read(&s->io, false);
	}
}

size_t
session_body(struct session *s, struct str input)
{
	struct transaction *tx = s->tx;
	enum smtp_dots_result result;
	size_t used;

	result = smtp_dots_feed(&tx->dots, input.ptr, input.len, &used, emit, tx);
	tx->is_whole = result == SMTP_DOTS_END;
	body_check(tx);
	if (!header_step(s))
		return used;
	if (tx->is_whole)
		body_end(s);
	else
		body_went_on(s);
	return used;
}

void
body_expect(struct transaction *tx, int64_t size)
{
	if (tx->is_refused || size <= tx->max_size - (int64_t)tx->dots.size)
		return;
	body_refuse(tx, REPLY_OK);
	tx->refused_for_size = true;
	if (size > tx->max_size + SWALLOW_MORE) /* it will not be read */
		tx->dots.size += (uint64_t)(size < INT64_MAX / 2
			? size : INT64_MAX / 2);
}

bool
body_chunk(struct session *s, struct str octets)
{
	struct transaction *tx = s->tx;
	bool stuff = tx->relay != NULL && !relay_is_chunked(tx->relay);

	tx->is_whole = s->chunk.is_last && s->chunk.size == 0;
	smtp_chunks_feed(&tx->dots, stuff, octets.ptr, octets.len, emit, tx);
	if (tx->is_whole)
		smtp_chunks_end(&tx->dots, stuff, emit, tx);
	body_check(tx);
	if (!header_step(s))
		return false;
	if (!tx->is_whole)
		body_went_on(s);
	return true;
}

void
body_go_on(struct session *s)
{
	if (s->state == SMTP_IN_CHUNK && s->chunk.size == 0)
		chunk_end(s);
	else if (s->tx->is_whole)
		body_end(s);
	else
		body_went_on(s);
	if (s->wait == WAIT_NOBODY)
		session_resume(s);
}

void
body_failed(struct transaction *tx, enum relay_failure why)
{
	struct session *s = tx->session;
	char code[16];

	if (!tx->dot_sent) {
		/* LOST before the dot; the client learns it at its end. */
		body_refuse(tx, why == RELAY_BROKEN ? REPLY_UPSTREAM_BROKEN
						    : REPLY_UPSTREAM_LOST);
		if (s->wait == WAIT_ROOM)
			session_resume(s);
		return;
	}
	reply_code_text(failure_reply(why), code);
	if (s != NULL) {
		reply(s, failure_reply(why));
		session_enter(s, SMTP_READY);
		session_resume(s);
	}
	transaction_finish(tx, why == RELAY_UNKNOWN ? PORTERO_OUTCOME_UNKNOWN
						    : PORTERO_LOST, code);
}

void
body_final_reply(struct transaction *tx, const struct smtp_reply *r,
    bool accepted, bool alert)
{
	struct session *s = tx->session;
	char said[256];

	smtp_reply_summary(said, sizeof said, r);
	if (s != NULL) {
		if (alert)
			reply(s, REPLY_UPSTREAM_BROKEN);
		else
			smtp_reply_pass(&s->io.out, r);
		session_enter(s, SMTP_READY);
		session_resume(s);
	}
	transaction_finish(tx, accepted ? PORTERO_ACCEPTED : PORTERO_REFUSED,
	    said);
}
