/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Asking the policy pool about a transaction. A question that may take opens
 * its entry in the ledger first; settles that are owed ride along.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session/session_private.h"
#include "session/transaction.h"

#define TAKES (PORTERO_DATA | PORTERO_END)

static uint8_t outgoing[RECORD_MAX]; /* the question that is being sent */

struct judging {
	struct session_worker *worker;
	struct session *session;
	judge_answered *answered;
	bool begins; /* a take, that is: it goes on with none */
};

static int64_t
bytes_asked(const struct transaction *tx)
{
	return tx->declared_size > 0 ? tx->declared_size : 0;
}

/* The entry of a take that begins; false: there is no room for one. */
static bool
take_open(struct session *s, size_t nmore)
{
	struct transaction *tx = s->tx;
	struct settle settle = {
		.id = str_of(s->user),
		.class_name = str_of(s->class_name),
		.domain = str_of(s->domain),
		.actual = {
			[PORTERO_MESSAGES] = 1,
			[PORTERO_RECIPIENTS] = (int64_t)(tx->naccepted + nmore),
			[PORTERO_BYTES] = bytes_asked(tx),
		},
	};

	memcpy(settle.txid, tx->txid, sizeof settle.txid);
	tx->take = ledger_open(s->worker->ledger, &settle);
	return tx->take != NULL;
}

/* Nothing of this take stands, or we cannot know: then it is given back. */
static void
take_undo(struct session *s, bool surely_not_done)
{
	static const int64_t none[PORTERO_NUNITS];
	struct transaction *tx = s->tx;

	if (surely_not_done)
		ledger_drop(&tx->take);
	else
		ledger_settle(s->worker->ledger, &tx->take, PORTERO_LOST, none);
	/* The id is spent: a settle stands behind it. */
	id_random(tx->txid, sizeof tx->txid);
}

static void
on_judge_answer(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	struct judging *j = owner;
	struct session *s = j->session;
	struct judge_answer a = { 0 };
	bool good = record != NULL && judge_answer_decode(record, len, &a) == 0;

	ledger_answered(j->worker->ledger, id, good ? a.nsettled : 0);
	if (s != NULL) {
		s->question_id = 0;
		s->judging = NULL;
		s->wait = WAIT_NOBODY;
		if (!good || a.verdict != PORTERO_NEXT)
			worker_count(j->worker, COUNTER_POLICY_DEFERRED,
			    !good || a.verdict != PORTERO_DENY);
		if (j->begins && (!good || a.verdict != PORTERO_NEXT))
			take_undo(s, good && !a.taken);
		else if (j->begins && !a.taken)
			ledger_drop(&s->tx->take);
		j->answered(s, good ? &a : NULL);
	}
	free(j);
}

/* The session goes away; the answer, if it comes, still tells of settles. */
void
judge_forget(struct session *s)
{
	if (s->judging != NULL)
		s->judging->session = NULL;
	s->judging = NULL;
	s->question_id = 0;
}

_Static_assert(SMTP_MAILBOXES_MAX <= MAILBOXES_MAX,
    "a header has more than a question");

static void
describe_header(struct judge_question *q, const struct held_header *held,
    struct judge_mailbox mailboxes[MAILBOXES_MAX])
{
	const struct smtp_header *h = &held->fields;

	q->nfrom = h->nfrom;
	q->nsender = h->nsender;
	q->nreceived = h->nreceived;
	q->header_flaw = str_of(h->flaw);
	q->mailboxes_asked = held->is_asked;
	q->nmailboxes = (uint32_t)h->nmailboxes;
	q->mailboxes = mailboxes;
	for (size_t i = 0; i < h->nmailboxes; i++)
		mailboxes[i] = (struct judge_mailbox){
			.address = h->mailboxes[i].address,
			.owned = held->owned[i],
			.is_sender = h->mailboxes[i].is_sender
		};
}

static size_t
encode(struct session *s, const struct record_header *h, uint32_t stages,
    bool begins, const struct str *more, size_t nmore)
{
	struct transaction *tx = s->tx;
	struct settle settles[SETTLES_MAX];
	struct judge_mailbox mailboxes[MAILBOXES_MAX];
	size_t n = tx->naccepted + nmore, len;
	struct str *recipients = xcalloc(n + 1, sizeof *recipients);
	struct judge_question q = {
		.stages = stages,
		.sequence = begins ? 0 : 1,
		.identity = { s->identity, s->identity_len },
		.session_id = str_of(s->sid),
		.listener = str_of(s->listen->title),
		.client_address = str_of(s->peer),
		.reverse_path = str_of(tx->reverse_path),
		.declared_size = tx->declared_size,
		.message_size = stages & PORTERO_END ? (int64_t)tx->dots.size
						     : -1,
		.sender_owned = tx->sender_owned,
		.owned_asked = tx->owned_asked,
		.naccepted = (uint32_t)tx->naccepted,
		.first_new = (uint32_t)tx->naccepted,
		.nrecipients = (uint32_t)n,
		.recipients = recipients,
		.nsettles = ledger_ride(s->worker->ledger, settles),
		.settles = settles,
	};

	memcpy(q.txid, tx->txid, sizeof q.txid);
	for (size_t i = 0; i < tx->naccepted; i++)
		recipients[i] = str_of(tx->recipients[i]);
	for (size_t i = 0; i < nmore; i++)
		recipients[tx->naccepted + i] = more[i];
	if (stages == PORTERO_HEADER)
		describe_header(&q, tx->held, mailboxes);
	len = judge_question_encode(outgoing, sizeof outgoing, h, &q);
	free(recipients);
	return len;
}

int
judge_ask(struct session *s, uint32_t stages, const struct str *more,
    size_t nmore, judge_answered *answered)
{
	struct session_worker *w = s->worker;
	struct record_header h = questions_header(w->questions, POOL_POLICY);
	bool begins = (stages & TAKES) != 0 && s->tx->take == NULL;
	struct judging *j;
	size_t len;

	if (begins && !take_open(s, nmore))
		return -1;
	j = xcalloc(1, sizeof *j);
	j->worker = w;
	j->session = s;
	j->answered = answered;
	j->begins = begins;
	len = encode(s, &h, stages, begins, more, nmore);
	s->question_id = questions_send(w->questions, POOL_POLICY, outgoing, len,
	    on_judge_answer, j);
	ledger_rode(w->ledger, s->question_id);
	if (s->question_id == 0) {
		free(j);
		worker_count(w, COUNTER_POLICY_DEFERRED, 1);
		if (begins)
			take_undo(s, true);
		return -1;
	}
	s->judging = j;
	s->wait = WAIT_POLICY;
	return 0;
}

static void
on_outcome_told(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	(void)owner;
	(void)id;
	(void)record;
	(void)len;
}

void
judge_tell(struct transaction *tx, enum portero_outcome outcome)
{
	struct session_worker *w = tx->worker;
	struct record_header h = questions_header(w->questions, POOL_POLICY);
	struct str *recipients = xcalloc(tx->naccepted + 1, sizeof *recipients);
	const struct judge_question q = {
		.stages = PORTERO_OUTCOME,
		.identity = tx->session != NULL
		    ? (struct str){ tx->session->identity,
			  tx->session->identity_len }
		    : (struct str){ tx->identity, tx->identity_len },
		.session_id = str_of(tx->sid),
		.listener = str_of(tx->listener),
		.client_address = str_of(tx->peer),
		.reverse_path = str_of(tx->reverse_path),
		.declared_size = tx->declared_size,
		.message_size = tx->has_data ? (int64_t)tx->dots.size : -1,
		.sender_owned = tx->sender_owned,
		.owned_asked = tx->owned_asked,
		.outcome = outcome,
		.abandoned = !tx->has_tried_data && !tx->has_data,
		.nrefused = (uint32_t)tx->nrefused,
		.naccepted = (uint32_t)tx->naccepted,
		.first_new = (uint32_t)tx->naccepted,
		.nrecipients = (uint32_t)tx->naccepted,
		.recipients = recipients,
	};
	size_t len;

	for (size_t i = 0; i < tx->naccepted; i++)
		recipients[i] = str_of(tx->recipients[i]);
	len = judge_question_encode(outgoing, sizeof outgoing, &h, &q);
	free(recipients);
	questions_send(w->questions, POOL_POLICY, outgoing, len,
	    on_outcome_told, NULL);
}

static void
on_owns_answer(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	struct session *s = owner;
	struct owns_answer a = { 0 };

	(void)id;
	s->question_id = 0;
	s->wait = WAIT_NOBODY;
	if (record == NULL || owns_answer_decode(record, len, &a) == -1)
		a.owned = PORTERO_OWNED_UNKNOWN;
	s->owns_asked(s, a.owned);
}

int
owns_ask(struct session *s, struct str address,
    void (*asked)(struct session *s, enum portero_owned owned))
{
	struct questions *q = s->worker->questions;
	struct record_header h = questions_header(q, POOL_AUTH);
	uint8_t record[IDENTITY_MAX + 1024];
	const struct owns_question ask = {
		.identity = { s->identity, s->identity_len },
		.address = address,
		.session_id = str_of(s->sid),
	};
	size_t len = owns_question_encode(record, sizeof record, &h, &ask);

	s->owns_asked = asked;
	s->question_id = questions_send(q, POOL_AUTH, record, len,
	    on_owns_answer, s);
	if (s->question_id == 0)
		return -1;
	s->wait = WAIT_POLICY;
	return 0;
}

static void
on_hello_answer(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	struct session *s = owner;
	struct judge_answer a = { 0 };

	(void)id;
	s->question_id = 0;
	s->max_size = record != NULL && judge_answer_decode(record, len, &a) == 0
	    ? a.max_size : 0;
	s->hello_answered(s);
}

int
judge_hello(struct session *s, void (*answered)(struct session *s))
{
	struct questions *q = s->worker->questions;
	struct record_header h = questions_header(q, POOL_POLICY);
	uint8_t record[IDENTITY_MAX + 1024];
	const struct judge_question ask = {
		.stages = PORTERO_HELLO,
		.identity = { s->identity, s->identity_len },
		.session_id = str_of(s->sid),
		.listener = str_of(s->listen->title),
		.client_address = str_of(s->peer),
		.declared_size = -1,
		.message_size = -1,
	};
	size_t len = judge_question_encode(record, sizeof record, &h, &ask);

	s->hello_answered = answered;
	s->question_id = questions_send(q, POOL_POLICY, record, len,
	    on_hello_answer, s);
	if (s->question_id == 0)
		return -1;
	s->wait = WAIT_POLICY;
	return 0;
}
