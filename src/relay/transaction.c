/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One transaction: steps in, answers out in the same order, on one connection
 * or, when that is lost before the answer to DATA, on a second one to which
 * what was accepted is said again, at another host if there is one. Lost
 * between two steps, the second one is sought at the next step: an upstream
 * that restarts needs its time.
 *
 * It owns the steps (until 354; steps.c keeps and says them) and borrows the
 * connection from the pool. What always holds:
 *  - An answer counts only if its question was written before it came.
 *  - Nothing of a message is sent twice: after 354 there is no second try.
 *  - Once a write that carries the whole dot was tried the only failure is
 *    RELAY_UNKNOWN.
 *  - The owner is called last: it may have closed the transaction then.
 */
#include "relay/relay_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define TO(state) (1u << (state))

static void
enter(struct relay *r, enum relay_state to)
{
	static const unsigned may[] = {
		[TXN_ADJOURNED] = TO(TXN_SEEKING),
		[TXN_SEEKING] = TO(TXN_STEPS) | TO(TXN_FAILED),
		[TXN_STEPS] = TO(TXN_ADJOURNED) | TO(TXN_BODY) | TO(TXN_DONE) |
		              TO(TXN_FAILED),
		[TXN_BODY] = TO(TXN_DOT) | TO(TXN_REFUSED) | TO(TXN_FAILED),
		[TXN_DOT] = TO(TXN_DONE) | TO(TXN_FAILED),
		[TXN_REFUSED] = TO(TXN_DONE),
		[TXN_DONE] = 0,
		[TXN_FAILED] = 0,
	};

	assert((may[r->state] & TO(to)) != 0);
	r->state = to;
}

static void
count_active(const struct relay *r, uint32_t n)
{
	if (r->host != NULL)
		atomic_fetch_add_explicit(&relay_host_cell(r->host)->active, n,
		    memory_order_relaxed);
}

void
relay_set_host(struct relay *r, struct relay_host *h)
{
	count_active(r, (uint32_t)-1);
	r->host = h;
	count_active(r, 1);
}

/* ---- failure ---- */

void
relay_fail(struct relay *r, enum relay_failure why, const char *detail)
{
	char *copy = xstrdup(detail);

	free(r->detail);
	r->detail = copy;
	r->why = why;
	relay_conn_close(&r->conn);
	enter(r, TXN_FAILED);
	event_active(&r->later, EV_TIMEOUT, 1);
}

static void
seek_anew(struct relay *r)
{
	enter(r, TXN_SEEKING);
	relay_dial_start(r);
}

/* Says what was accepted, and what nobody answered, to another connection, at
 * another host if that is where it failed and there is one. */
static void
replay(struct relay *r, bool elsewhere)
{
	bool is_awaited = r->nanswered < r->nitems;
	uint64_t here = (uint64_t)1 << r->host->index;

	if (elsewhere &&
	    relay_route_pick(r->pool, r->ticket.class_name, r->ticket.needs,
		r->excluded | here) != NULL) {
		r->excluded |= here;
		relay_set_host(r, NULL);
	}
	relay_steps_rewind(r);
	event_del(&r->later); /* the leave for chunks was of the lost one */
	r->replayed = true;
	enter(r, TXN_ADJOURNED);
	if (is_awaited)
		seek_anew(r);
}

static enum relay_failure
explain(const struct relay *r, enum conn_fault fault, uint64_t tried)
{
	if (r->state == TXN_DOT && tried >= r->dot_end)
		return RELAY_UNKNOWN;
	if (fault == CONN_BROKEN)
		return RELAY_BROKEN;
	return r->state == TXN_STEPS ? RELAY_AWAY : RELAY_LOST;
}

/* Nobody will ever know more of what became of this message. */
static void
fail_unknown(struct relay *r, const char *detail, const char *partial)
{
	char text[RELAY_DETAIL_MAX + 400];

	snprintf(text, sizeof(text), "%s%s%s%s%s", detail,
	    r->go_ahead[0] == '\0' ? "" : "; DATA: ", r->go_ahead,
	    partial[0] == '\0' ? "" : "; the message, cut off: ", partial);
	relay_fail(r, RELAY_UNKNOWN, text);
}

static void
on_down(void *arg, enum conn_fault fault, const char *detail)
{
	struct relay *r = arg;
	struct relay_pool *p = r->pool;
	char partial[200];
	bool is_late = fault == CONN_LATE;
	enum relay_failure why = explain(r, fault, r->conn->tried);
	/* It was of no use already when it was taken from the pool. */
	bool stale = !is_late && r->reused && !r->heard;

	smtp_reply_partial(partial, sizeof(partial), &r->conn->parser);
	relay_conn_close(&r->conn);
	if (r->state == TXN_DONE)
		return;
	if (!stale)
		shared_add(
		    p->setup.shared, p->setup.row, COUNTER_UPSTREAM_FAILED, 1);
	if (is_late)
		relay_host_failed(r->host, detail);
	else if (!stale)
		relay_host_lost(r->host, detail);
	if (r->state == TXN_STEPS && (fault == CONN_LOST || stale) &&
	    !r->replayed && !r->refused)
		replay(r, !stale);
	else if (why == RELAY_UNKNOWN)
		fail_unknown(r, detail, partial);
	else
		relay_fail(r, why, detail);
}

/* ---- answers ---- */

static void
warn(struct relay *r, const char *step, const struct smtp_reply *reply)
{
	char text[256];
	struct log_line l;

	smtp_reply_summary(text, sizeof(text), reply);
	log_begin(&l, LOG_LEVEL_WARNING, "upstream");
	log_adds(&l, "s", r->ticket.sid);
	log_adds(&l, "upstream", relay_peer(r));
	log_adds(&l, "result", "alert");
	log_adds(&l, "step", step);
	log_adds(&l, "reply", text);
	log_end(&l);
}

/* Tells the owner. r may be gone afterwards. */
static void
answer(struct relay *r, enum relay_step step, const struct smtp_reply *reply,
    enum relay_mapped mapped)
{
	struct smtp_reply ours = { .code = 451, .nlines = 1 };

	if (mapped == MAP_PASS) {
		r->cb->on_reply(r->owner, step, reply,
		    relay_map_accepts(step, reply->code), false);
		return;
	}
	warn(r, relay_step_name(step), reply);
	buf_append_str(&ours.text, STR("4.3.0 Mail server trouble"));
	r->cb->on_reply(r->owner, step, &ours, false, true);
	smtp_reply_free(&ours);
}

/* The oldest unanswered step has its time from now on. */
static void
await_answer(struct relay *r)
{
	bool any = r->introducing || r->nanswered < r->nsent;

	relay_conn_expect(
	    r->conn, any ? r->host->config->reply_timeout_ms : 0);
}

/* Says what may be said now: all, or one step at a time. */
static void
say_steps(struct relay *r)
{
	bool all = (r->conn->offer.extensions & SMTP_EXT_PIPELINING) != 0;

	if (!r->introduced && r->nitems > 0) {
		r->introduced = true;
		relay_introduce(r);
		await_answer(r);
	}
	if (r->introducing && !all)
		return;
	while (r->nsent < r->nitems && (all || r->nsent == r->nanswered)) {
		if ((r->items[r->nsent].needs & ~r->conn->offer.extensions) !=
		    0) {
			relay_fail(r, RELAY_AWAY,
			    "the upstream no longer offers what was promised");
			return;
		}
		if (r->items[r->nsent].step == RELAY_DATA &&
		    relay_chunks_fit(r)) {
			/* nothing to say, but leave to go on */
			if (r->nsent == r->nanswered)
				event_active(&r->later, EV_TIMEOUT, 1);
			return;
		}
		relay_steps_say(r);
		if (r->nsent == r->nanswered + 1 && !r->introducing)
			await_answer(r);
	}
}

/* An answer that no question preceded. A refusal is a farewell. */
static void
stray(struct relay *r, const struct smtp_reply *reply)
{
	char text[200];

	smtp_reply_summary(text, sizeof(text), reply);
	relay_conn_down(r->conn, reply->code >= 400 ? CONN_LOST : CONN_BROKEN,
	    "unexpected \"%s\"", text);
}

/* Notes what the answer to a step means for the transaction. */
static void
note_step(struct relay *r, struct relay_item *item,
    const struct smtp_reply *reply, bool accepted)
{
	item->accepted = accepted;
	switch (item->step) {
	case RELAY_MAIL:
		r->mailed = accepted;
		r->refused = !accepted;
		break;
	case RELAY_RCPT:
		r->recipient = r->recipient || accepted;
		break;
	case RELAY_DATA:
		smtp_reply_summary(r->go_ahead, sizeof(r->go_ahead), reply);
		relay_steps_forget(r);
		enter(r, accepted ? TXN_BODY : TXN_DONE);
		break;
	case RELAY_DOT:
		break;
	}
}

/* RFC 3463 3.4: X.3.X speaks of the mail system itself, such as a full disk. */
static bool
is_hosts_trouble(const struct smtp_reply *reply)
{
	struct str text = { buf_data(&reply->text), buf_len(&reply->text) };

	return reply->code == 421 ||
	       (reply->code / 100 == 4 && text.len >= 4 &&
		   memcmp(text.ptr, "4.3.", 4) == 0);
}

/* MAIL was refused for a reason that another host may not have. */
static bool
goes_elsewhere(struct relay *r, const struct smtp_reply *reply)
{
	if (r->replayed || r->items[r->nanswered].step != RELAY_MAIL ||
	    !is_hosts_trouble(reply) ||
	    relay_route_pick(r->pool, r->ticket.class_name, r->ticket.needs,
		r->excluded | (uint64_t)1 << r->host->index) == NULL)
		return false;
	warn(r, relay_step_name(RELAY_MAIL), reply);
	relay_host_failed(r->host, "it is in trouble");
	relay_conn_close(&r->conn);
	replay(r, true);
	return true;
}

static void
note_code(struct relay *r, int code)
{
	r->heard = true;
	relay_host_works(r->host);
	if (code >= 400)
		r->conn->errors++;
	if (code == 421)
		r->conn->retire = true;
}

/* The upstream may know who is behind the message, or may not wish to. */
static void
on_introduced(struct relay *r, const struct smtp_reply *reply)
{
	struct relay_conn *c = r->conn;

	if (c->sent < r->introduction_end || reply->code == 421) {
		stray(r, reply);
		return;
	}
	r->introducing = false;
	r->heard = true;
	if (reply->code / 100 != 2) {
		warn(r, "XFORWARD", reply);
		c->offer.xforward = 0;
	}
	await_answer(r);
	say_steps(r);
}

static void
on_step_reply(struct relay *r, struct smtp_reply *reply)
{
	struct relay_conn *c = r->conn;
	struct relay_item *item = &r->items[r->nanswered];
	enum relay_step step;
	enum relay_mapped mapped;
	bool known;

	if (r->nanswered == r->nsent || c->sent < item->end ||
	    (reply->code == 421 && r->reused && !r->heard)) {
		stray(r, reply);
		return;
	}
	step = item->step;
	mapped = relay_map(step, reply->code,
	    r->refused || (step == RELAY_DATA && !r->recipient));
	if (mapped == MAP_BROKEN) {
		stray(r, reply);
		return;
	}
	if (goes_elsewhere(r, reply))
		return;
	note_code(r, reply->code);
	r->nanswered++;
	await_answer(r);
	known = item->accepted;
	note_step(r, item, reply,
	    mapped == MAP_PASS && relay_map_accepts(step, reply->code));
	if (reply->code == 421)
		relay_conn_hang_up(c); /* rather than wait until it closes */
	else if (r->state == TXN_STEPS)
		say_steps(r);
	if (!known)
		answer(r, step, reply, mapped);
	else if (!relay_map_accepts(step, reply->code))
		relay_fail(r, RELAY_AWAY,
		    "a new connection gave another answer than the lost one");
}

/* Chunks need no leave: the upstream's 354 is ours. */
static void
begin_chunks(struct relay *r)
{
	struct smtp_reply go = { .code = 354, .nlines = 1 };

	buf_append_str(&go.text, STR("Go on"));
	relay_steps_forget(r);
	if (r->recipient) {
		enter(r, TXN_BODY);
		r->chunked = true;
	}
	r->cb->on_reply(r->owner, RELAY_DATA, &go, true, false);
	smtp_reply_free(&go);
}

/* The whole message has not been written yet. */
static void
on_early_reply(struct relay *r, struct smtp_reply *reply)
{
	if (reply->code < 400) {
		stray(r, reply);
		return;
	}
	r->early = *reply;
	memset(reply, 0, sizeof(*reply));
	relay_conn_close(&r->conn);
	if (r->state == TXN_DOT) {
		enter(r, TXN_DONE);
		answer(r, RELAY_DOT, &r->early,
		    relay_map(RELAY_DOT, r->early.code, false));
		return;
	}
	enter(r, TXN_REFUSED);
	r->cb->on_room(r->owner);
}

static void
on_final_reply(struct relay *r, struct smtp_reply *reply)
{
	enum relay_mapped mapped = relay_map(RELAY_DOT, reply->code, false);

	if (mapped == MAP_BROKEN) {
		stray(r, reply);
		return;
	}
	note_code(r, reply->code);
	r->conn->messages++;
	relay_conn_expect(r->conn, 0);
	r->mailed = false;
	enter(r, TXN_DONE);
	answer(r, RELAY_DOT, reply, mapped);
}

static void
on_reply(void *arg, struct smtp_reply *reply)
{
	struct relay *r = arg;

	switch (r->state) {
	case TXN_STEPS:
		if (r->introducing)
			on_introduced(r, reply);
		else
			on_step_reply(r, reply);
		break;
	case TXN_BODY:
		if (!relay_chunks_reply(r, reply))
			on_early_reply(r, reply);
		break;
	case TXN_DOT:
		if (relay_chunks_reply(r, reply))
			break;
		if (r->conn->sent < r->dot_end || r->nchunks > 0)
			on_early_reply(r, reply);
		else
			on_final_reply(r, reply);
		break;
	default:
		r->conn->retire = true; /* one too many */
	}
}

static void
on_written(void *arg)
{
	struct relay *r = arg;

	if (r->state == TXN_BODY && !r->conn->blocked)
		r->cb->on_room(r->owner);
}

static const struct conn_user transaction = {
	.on_reply = on_reply,
	.on_written = on_written,
	.on_down = on_down,
};

/* What could not be told from within a call. */
static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	struct relay *r = arg;
	char *detail;

	(void)fd;
	(void)what;
	switch (r->state) {
	case TXN_SEEKING:
		relay_dial_next(r);
		break;
	case TXN_STEPS:
		begin_chunks(r);
		break;
	case TXN_REFUSED:
		enter(r, TXN_DONE);
		answer(r, RELAY_DOT, &r->early,
		    relay_map(RELAY_DOT, r->early.code, false));
		break;
	case TXN_FAILED:
		detail = r->detail;
		r->detail = NULL;
		r->cb->on_failure(r->owner, r->why, detail);
		free(detail);
		break;
	default:
		break;
	}
}

/* ---- what the session asks for ---- */

void
relay_found(struct relay *r)
{
	if (relay_present(r)) {
		relay_dial_await(r);
		return;
	}
	relay_conn_use(r->conn, &transaction, r);
	r->peer = r->host;
	r->heard = false;
	r->introduced = r->introducing = false;
	enter(r, TXN_STEPS);
	say_steps(r);
}

/* A connection that rests, of the host whose turn it is. */
static struct relay_conn *
take_idle(struct relay *r)
{
	struct relay_host *h = relay_route_pick(
	    r->pool, r->ticket.class_name, r->ticket.needs, r->excluded);

	if (h == NULL)
		return NULL;
	relay_set_host(r, h);
	return relay_host_take(h, r->ticket.login, r->ticket.needs);
}

struct relay *
relay_open(struct relay_pool *p, const struct relay_callbacks *cb, void *owner,
    const struct relay_ticket *ticket)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->pool = p;
	r->cb = cb;
	r->owner = owner;
	r->ticket = *ticket;
	evtimer_assign(&r->later, p->setup.base, on_later, r);
	p->nrelays++;
	r->state = TXN_SEEKING;
	r->conn = take_idle(r);
	r->reused = r->conn != NULL;
	if (r->reused)
		relay_found(r);
	else
		relay_dial_start(r);
	return r;
}

void
relay_go_on(struct relay *r)
{
	if (r->state == TXN_STEPS)
		say_steps(r);
	else if (r->state == TXN_ADJOURNED)
		seek_anew(r);
}

void
relay_chunks(struct relay *r)
{
	r->may_chunk = true;
	relay_data(r);
}

bool
relay_is_chunked(const struct relay *r)
{
	return r->chunked;
}

void
relay_body(struct relay *r, const char *data, size_t len)
{
	if (r->state != TXN_BODY || len == 0)
		return; /* refused or failed */
	if (!r->chunked)
		relay_conn_stream(r->conn, data, len);
	else if (buf_len(&r->chunk) + len < RELAY_CHUNK ||
		 r->nchunks == RELAY_CHUNKS)
		buf_append(&r->chunk, data, len);
	else
		relay_chunks_send(r, data, len, false);
}

bool
relay_has_room(const struct relay *r)
{
	return r->state != TXN_BODY ||
	       (!r->conn->blocked && r->nchunks < RELAY_CHUNKS);
}

void
relay_dot(struct relay *r)
{
	if (r->state == TXN_BODY) {
		if (r->chunked)
			relay_chunks_send(r, NULL, 0, true);
		else
			relay_conn_write(r->conn, ".\r\n", 3);
		r->dot_end = r->conn->queued;
		enter(r, TXN_DOT);
		relay_conn_expect(
		    r->conn, r->host->config->dot_timeout_ms);
	} else if (r->state == TXN_REFUSED) {
		event_active(&r->later, EV_TIMEOUT, 1);
	}
}

/* Do both sides know where they are? Between two chunks, and behind a refused
 * MAIL, RSET tells, if it need not wait behind them. */
static bool
may_rest(const struct relay *r)
{
	if (r->state == TXN_BODY)
		return r->chunked && r->conn->queued == r->conn->sent;
	return r->state == TXN_DONE ||
	       (r->state == TXN_STEPS && !r->introducing &&
		   (r->nsent == r->nanswered ||
		       (r->refused && r->conn->queued == r->conn->sent)));
}

void
relay_close(struct relay **relay)
{
	struct relay *r = *relay;

	*relay = NULL;
	if (r == NULL)
		return;
	if (r->conn != NULL && may_rest(r)) {
		r->conn->unheard = r->nchunks + (r->nsent - r->nanswered);
		relay_host_give(
		    r->host, &r->conn, r->mailed || r->conn->unheard > 0);
	}
	relay_conn_close(&r->conn);
	relay_set_host(r, NULL);
	event_del(&r->later);
	relay_steps_forget(r);
	buf_free(&r->chunk);
	smtp_reply_free(&r->early);
	free(r->detail);
	r->pool->nrelays--;
	free(r);
}

const char *
relay_peer(const struct relay *r)
{
	return r->peer != NULL ? r->peer->peer : "";
}
