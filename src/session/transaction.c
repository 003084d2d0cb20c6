/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Beginning and end of a transaction. Every end goes through
 * transaction_finish(): one settle, one line, one set of counters.
 */
#include "session/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "session/session_private.h"

static struct crowd_name
person_name(const struct session *s)
{
	struct crowd_name n;

	crowd_name(&n, s->worker->shared->key, 'p', s->user, strlen(s->user));
	return n;
}

bool
transaction_is_one_too_many(const struct session *s)
{
	int64_t max = s->worker->config->max_transactions;
	struct crowd_name person;

	if (max == PORTERO_UNLIMITED)
		return false;
	person = person_name(s);
	return crowd_here(&s->worker->shared->crowd, &person) >= max;
}

struct transaction *
transaction_new(struct session *s)
{
	struct transaction *tx = xcalloc(1, sizeof *tx);

	tx->session = s;
	tx->worker = s->worker;
	tx->number = ++s->ntransactions;
	memcpy(tx->sid, s->sid, sizeof tx->sid);
	memcpy(tx->peer, s->peer, sizeof tx->peer);
	tx->listener = s->listen->title;
	tx->user = xstrdup(s->user);
	tx->class_name = xstrdup(s->class_name);
	tx->started_ms = worker_now_ms(s->worker);
	tx->rcpt_left = RCPT_LEFT_UNLIMITED;
	tx->declared_size = -1;
	tx->reserved_bytes = INT64_MAX;
	id_random(tx->txid, sizeof tx->txid);
	worker_count(s->worker, COUNTER_TRANSACTIONS, 1);
	tx->person = person_name(s);
	if (s->worker->sheet != NULL)
		crowd_enter(s->worker->sheet, &tx->person,
		    tx->started_ms / 1000);
	s->tx = tx;
	return tx;
}

static void
transaction_free(struct transaction *tx)
{
	relay_close(&tx->relay);
	header_drop(tx);
	worker_uncount(tx->worker, COUNTER_TRANSACTIONS);
	if (tx->worker->sheet != NULL)
		crowd_leave(tx->worker->sheet, &tx->person);
	for (size_t i = 0; i < tx->naccepted; i++)
		free(tx->recipients[i]);
	free(tx->recipients);
	free(tx->reverse_path);
	free(tx->identity);
	free(tx->user);
	free(tx->class_name);
	free(tx->failure);
	free(tx);
}

void
transaction_add_recipient(struct transaction *tx, const char *path)
{
	if (tx->naccepted == tx->capacity) {
		tx->capacity = tx->capacity == 0 ? 4 : tx->capacity * 2;
		tx->recipients = xrealloc(tx->recipients,
		    tx->capacity * sizeof *tx->recipients);
	}
	tx->recipients[tx->naccepted++] = xstrdup(path);
}

void
kept_reply_set(struct kept_reply *k, const struct answer_reply *r)
{
	k->code = r->code;
	str_copy(k->enhanced, sizeof k->enhanced, r->enhanced);
	str_copy(k->reason, sizeof k->reason, r->reason);
	str_copy(k->text, sizeof k->text, r->text);
}

void
reply_kept(struct session *s, const struct kept_reply *k)
{
	const struct answer_reply r = {
		.code = (uint16_t)k->code,
		.enhanced = str_of(k->enhanced),
		.text = str_of(k->text),
		.reason = str_of(k->reason),
	};

	reply_answer(s, &r);
}

static const char *const outcome_names[] = {
	[PORTERO_PENDING] = "pending",
	[PORTERO_ACCEPTED] = "accepted",
	[PORTERO_REFUSED] = "refused",
	[PORTERO_LOST] = "lost",
	[PORTERO_OUTCOME_UNKNOWN] = "unknown",
};

static void
log_message(const struct transaction *tx, enum portero_outcome outcome,
    const char *reply)
{
	struct session_worker *w = tx->worker;
	int64_t now = worker_now_ms(w);
	struct log_line l;

	log_begin(&l, outcome == PORTERO_OUTCOME_UNKNOWN ? LOG_LEVEL_WARNING
							 : LOG_LEVEL_INFO,
	    "message");
	log_adds(&l, "s", tx->sid);
	log_addn(&l, "t", tx->number);
	log_adds(&l, "user", tx->user);
	log_adds(&l, "ip", tx->peer);
	log_adds(&l, "listener", tx->listener);
	log_adds(&l, "from", tx->reverse_path);
	log_addn(&l, "nrcpt", (int64_t)tx->naccepted);
	if (tx->naccepted > 0)
		log_adds(&l, "rcpt", tx->recipients[0]);
	log_addn(&l, "size", (int64_t)tx->dots.size);
	log_adds(&l, "outcome", outcome_names[outcome]);
	log_adds(&l, "reply", reply);
	if (tx->relay != NULL)
		log_adds(&l, "upstream", relay_peer(tx->relay));
	else if (tx->upstream != NULL)
		log_adds(&l, "upstream", tx->upstream);
	if (tx->failure != NULL)
		log_adds(&l, "error", tx->failure);
	if (tx->dot_sent)
		log_addn(&l, "ms_up", now - tx->dot_ms);
	log_addn(&l, "ms", now - tx->started_ms);
	if (tx->session == NULL)
		log_adds(&l, "client", "gone");
	log_end(&l);
}

static enum counter
outcome_counter(const struct transaction *tx, enum portero_outcome outcome)
{
	switch (outcome) {
	case PORTERO_ACCEPTED:
		return COUNTER_MESSAGES_ACCEPTED;
	case PORTERO_OUTCOME_UNKNOWN:
		return COUNTER_MESSAGES_UNKNOWN;
	case PORTERO_LOST:
		return COUNTER_MESSAGES_LOST;
	default:
		return tx->is_refused ? COUNTER_MESSAGES_REFUSED
				      : COUNTER_MESSAGES_UPSTREAM_REFUSED;
	}
}

void
transaction_finish(struct transaction *tx, enum portero_outcome outcome,
    const char *reply)
{
	struct session_worker *w = tx->worker;
	const int64_t actual[PORTERO_NUNITS] = {
		[PORTERO_MESSAGES] = 1,
		[PORTERO_RECIPIENTS] = (int64_t)tx->naccepted,
		[PORTERO_BYTES] = (int64_t)tx->dots.size,
	};

	ledger_settle(w->ledger, &tx->take, outcome, actual);
	/* Before DATA the refusals have their own lines. */
	if ((tx->wants & PORTERO_OUTCOME) && (tx->has_data || tx->nrefused > 0))
		judge_tell(tx, outcome);
	if (tx->has_data) {
		log_message(tx, outcome, reply);
		worker_count(w, outcome_counter(tx, outcome), 1);
	}
	if (outcome == PORTERO_ACCEPTED) {
		worker_count(w, COUNTER_BYTES_ACCEPTED, tx->dots.size);
		worker_count(w, COUNTER_RECIPIENTS_ACCEPTED, tx->naccepted);
	}
	if (tx->session != NULL) {
		tx->session->tx = NULL;
		if (tx->has_data)
			tx->session->nidle = 0;
		if (outcome == PORTERO_ACCEPTED)
			tx->session->nmessages++;
	} else {
		TAILQ_REMOVE(&w->detached, tx, entry);
	}
	transaction_free(tx);
}

static void
identity_keep(struct transaction *tx)
{
	const struct session *s = tx->session;

	tx->identity = xmalloc(s->identity_len);
	memcpy(tx->identity, s->identity, s->identity_len);
	tx->identity_len = s->identity_len;
}

void
transaction_leave(struct transaction **txp)
{
	struct transaction *tx = *txp;

	if (tx == NULL)
		return;
	*txp = NULL;
	if (tx->dot_sent) {
		if (tx->wants & PORTERO_OUTCOME)
			identity_keep(tx);
		tx->session = NULL;
		TAILQ_INSERT_TAIL(&tx->worker->detached, tx, entry);
		return;
	}
	transaction_finish(tx,
	    tx->is_refused ? refusal_outcome(tx) : PORTERO_LOST, "aborted");
}

void
transaction_log_refusal(struct session *s, const struct refusal *r)
{
	const struct transaction *tx = s->tx;
	const struct judge_answer *a = r->answer;
	struct log_line l;
	char until[32];

	session_log(s, &l, LOG_LEVEL_INFO, "refusal");
	log_adds(&l, "stage", r->stage);
	log_adds(&l, "user", s->user);
	log_adds(&l, "ip", s->peer);
	if (tx != NULL && tx->reverse_path != NULL)
		log_adds(&l, "from", tx->reverse_path);
	if (r->rcpt != NULL)
		log_adds(&l, "rcpt", r->rcpt);
	if (a != NULL) {
		log_add(&l, "plugin",
		    a->plugin.len > 0 ? a->plugin : STR("-"));
		log_add(&l, "reason", a->reply.reason);
		if (a->limit.len > 0) {
			log_add(&l, "limit", a->limit);
			log_addn(&l, "used", a->used);
			log_addn(&l, "of", a->max);
		}
		if (a->until_s > 0) {
			clock_format(until, sizeof until, a->until_s);
			log_adds(&l, "until", until);
		}
		if (a->limit.len > 0)
			worker_count(s->worker, COUNTER_LIMIT_REFUSED, 1);
	} else {
		log_adds(&l, "plugin", "-");
	}
	log_adds(&l, "reply", r->reply);
	if (tx != NULL && tx->failure != NULL)
		log_adds(&l, "error", tx->failure);
	log_end(&l);
}
