/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encoder and decoder of each record, side by side: the put_ and get_ of one
 * struct list the same fields in the same order. A record starts with its
 * header; open_record() writes it and close_record() fills in the length.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "ipc/question.h"
#include "ipc/wire.h"

#define ASKER_AT 2
#define LENGTH_AT 4
#define ID_AT 8
#define DEADLINE_AT 16
#define GENERATION_AT 24

#define ALL_STAGES \
	(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA | PORTERO_HEADER | \
	    PORTERO_END | PORTERO_OUTCOME | PORTERO_HELLO)

struct record_scratch {
	struct settle settles[SETTLES_MAX];
	struct judge_mailbox mailboxes[MAILBOXES_MAX];
	struct str *recipients;
	size_t nrecipients; /* room for so many */
	struct store_row *rows;
	size_t nrows;
	struct store_line *lines;
	size_t nlines;
};

struct record_scratch *
record_scratch_new(void)
{
	return xcalloc(1, sizeof(struct record_scratch));
}

void
record_scratch_free(struct record_scratch **s)
{
	if (*s == NULL)
		return;
	free((*s)->recipients);
	free((*s)->rows);
	free((*s)->lines);
	free(*s);
	*s = NULL;
}

/* ---- header ------------------------------------------------------------- */

static struct wire_out
open_record(uint8_t *to, size_t size, const struct record_header *h,
    enum record_type type)
{
	struct wire_out w = { .data = to,
		.cap = size < RECORD_MAX ? size : RECORD_MAX };

	wire_put_u8(&w, RECORD_VERSION);
	wire_put_u8(&w, (uint8_t)type);
	wire_put_u16(&w, h->asker);
	wire_put_u32(&w, 0);
	wire_put_u64(&w, h->id);
	wire_put_i64(&w, h->deadline_ns);
	wire_put_u32(&w, h->generation);
	wire_put_u32(&w, h->incarnation);
	wire_put_u64(&w, h->reserved);
	return w;
}

/* The record's length, or 0: it does not fit. */
static size_t
close_record(struct wire_out *w)
{
	struct wire_out length = { .data = w->data + LENGTH_AT, .cap = 4 };

	if (w->bad)
		return 0;
	wire_put_u32(&length, (uint32_t)w->len);
	return w->len;
}

static bool
is_type(uint8_t type)
{
	return (type >= RECORD_LOGIN && type <= RECORD_FORGET) ||
	    (type >= RECORD_LOGIN_ANSWER && type <= RECORD_FORGET_ANSWER);
}

int
record_head_decode(const uint8_t head[RECORD_HEADER_LEN],
    struct record_header *h)
{
	struct wire_in w = { .data = head, .len = RECORD_HEADER_LEN };

	h->version = wire_get_u8(&w);
	h->type = wire_get_u8(&w);
	h->asker = wire_get_u16(&w);
	h->length = wire_get_u32(&w);
	h->id = wire_get_u64(&w);
	h->deadline_ns = wire_get_i64(&w);
	h->generation = wire_get_u32(&w);
	h->incarnation = wire_get_u32(&w);
	h->reserved = wire_get_u64(&w);
	return h->version == RECORD_VERSION && is_type(h->type) ? 0 : -1;
}

int
record_header_decode(const uint8_t *data, size_t len, struct record_header *h)
{
	if (len < RECORD_HEADER_LEN || len > RECORD_MAX ||
	    record_head_decode(data, h) == -1 || h->length != len)
		return -1;
	return 0;
}

/* A cursor behind the header of a record of that type; else a bad one. */
static struct wire_in
enter_record(const uint8_t *data, size_t len, enum record_type type)
{
	struct wire_in w = { .data = data,
		.len = len,
		.at = RECORD_HEADER_LEN };
	struct record_header h;

	if (record_header_decode(data, len, &h) == -1 || h.type != type) {
		w.at = len;
		w.bad = true;
	}
	return w;
}

static int
leave_record(const struct wire_in *w)
{
	return wire_done(w) ? 0 : -1;
}

void
record_readdress(uint8_t *data, uint16_t asker, uint64_t id,
    int64_t deadline_ns, uint32_t generation)
{
	struct wire_out w = { .data = data, .cap = RECORD_HEADER_LEN };

	w.len = ASKER_AT;
	wire_put_u16(&w, asker);
	w.len = ID_AT;
	wire_put_u64(&w, id);
	w.len = DEADLINE_AT;
	wire_put_i64(&w, deadline_ns);
	w.len = GENERATION_AT;
	wire_put_u32(&w, generation);
}

/* ---- parts -------------------------------------------------------------- */

static bool
get_bool(struct wire_in *w)
{
	uint8_t v = wire_get_u8(w);

	if (v > 1)
		w->bad = true;
	return v == 1;
}

/* A number of an enum whose values run from first to last. */
static int
get_enum(struct wire_in *w, int first, int last)
{
	int v = wire_get_u8(w);

	if (v < first || v > last) {
		w->bad = true;
		return first;
	}
	return v;
}

/* A count of things of at least `least` bytes each: never more than the rest
 * of the record can hold. */
static uint32_t
get_count(struct wire_in *w, size_t least)
{
	uint32_t n = wire_get_u32(w);

	if (w->bad || n > (w->len - w->at) / least) {
		w->bad = true;
		return 0;
	}
	return n;
}

static void
put_reply(struct wire_out *w, const struct answer_reply *r)
{
	wire_put_u16(w, r->code);
	wire_put_str(w, r->enhanced);
	wire_put_str(w, r->text);
	wire_put_str(w, r->reason);
}

static struct answer_reply
get_reply(struct wire_in *w)
{
	struct answer_reply r;

	r.code = wire_get_u16(w);
	r.enhanced = wire_get_str(w);
	r.text = wire_get_str(w);
	r.reason = wire_get_str(w);
	return r;
}

static void
put_settles(struct wire_out *w, const struct settle *s, uint32_t n)
{
	if (n > SETTLES_MAX)
		w->bad = true;
	wire_put_u32(w, n);
	for (; n > 0 && !w->bad; n--, s++) {
		wire_put_raw(w, s->txid, TXID_LEN);
		wire_put_u8(w, (uint8_t)s->outcome);
		for (int unit = 0; unit < PORTERO_NUNITS; unit++)
			wire_put_i64(w, s->actual[unit]);
		wire_put_str(w, s->id);
		wire_put_str(w, s->class_name);
		wire_put_str(w, s->domain);
	}
}

static uint32_t
get_settles(struct wire_in *w, struct settle to[SETTLES_MAX])
{
	uint32_t n = wire_get_u32(w);

	if (n > SETTLES_MAX) {
		w->bad = true;
		return 0;
	}
	for (struct settle *s = to; s < to + n; s++) {
		wire_get_raw(w, s->txid, TXID_LEN);
		s->outcome = get_enum(w, PORTERO_ACCEPTED,
		    PORTERO_OUTCOME_UNKNOWN);
		for (int unit = 0; unit < PORTERO_NUNITS; unit++)
			s->actual[unit] = wire_get_i64(w);
		s->id = wire_get_str(w);
		s->class_name = wire_get_str(w);
		s->domain = wire_get_str(w);
		/* No store would ever settle for a longer name. */
		if (s->id.len > PERSON_ID_MAX ||
		    s->class_name.len > PERSON_CLASS_MAX ||
		    s->domain.len > PERSON_ID_MAX)
			w->bad = true;
	}
	return n;
}

static void
put_mailboxes(struct wire_out *w, const struct judge_mailbox *m, uint32_t n)
{
	if (n > MAILBOXES_MAX)
		w->bad = true;
	wire_put_u32(w, n);
	for (; n > 0 && !w->bad; n--, m++) {
		wire_put_str(w, m->address);
		wire_put_u8(w, (uint8_t)m->owned);
		wire_put_u8(w, m->is_sender);
	}
}

static uint32_t
get_mailboxes(struct wire_in *w, struct judge_mailbox to[MAILBOXES_MAX])
{
	uint32_t n = wire_get_u32(w);

	if (n > MAILBOXES_MAX) {
		w->bad = true;
		return 0;
	}
	for (struct judge_mailbox *m = to; m < to + n; m++) {
		m->address = wire_get_str(w);
		m->owned = get_enum(w, PORTERO_OWNED_UNKNOWN, PORTERO_OWNED_NO);
		m->is_sender = get_bool(w);
	}
	return n;
}

/* ---- login -------------------------------------------------------------- */

size_t
login_question_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct login_question *q)
{
	struct wire_out w = open_record(to, size, h, RECORD_LOGIN);

	wire_put_str(&w, q->login);
	wire_put_str(&w, q->password);
	wire_put_str(&w, q->mechanism);
	wire_put_str(&w, q->client_address);
	wire_put_str(&w, q->listener);
	wire_put_str(&w, q->session_id);
	return close_record(&w);
}

int
login_question_decode(const uint8_t *data, size_t len, struct login_question *q)
{
	struct wire_in w = enter_record(data, len, RECORD_LOGIN);

	q->login = wire_get_str(&w);
	q->password = wire_get_str(&w);
	q->mechanism = wire_get_str(&w);
	q->client_address = wire_get_str(&w);
	q->listener = wire_get_str(&w);
	q->session_id = wire_get_str(&w);
	return leave_record(&w);
}

size_t
login_answer_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct login_answer *a)
{
	struct wire_out w = open_record(to, size, h, RECORD_LOGIN_ANSWER);

	if (a->identity.len > IDENTITY_MAX)
		w.bad = true;
	wire_put_u8(&w, (uint8_t)a->verdict);
	wire_put_u8(&w, a->suspended);
	put_reply(&w, &a->reply);
	wire_put_str(&w, a->plugin);
	wire_put_str(&w, a->cause);
	wire_put_str(&w, a->id);
	wire_put_str(&w, a->class_name);
	wire_put_str(&w, a->domain);
	wire_put_str(&w, a->identity);
	wire_put_u8(&w, a->nobody);
	wire_put_u16(&w, a->tag);
	return close_record(&w);
}

int
login_answer_decode(const uint8_t *data, size_t len, struct login_answer *a)
{
	struct wire_in w = enter_record(data, len, RECORD_LOGIN_ANSWER);

	a->verdict = get_enum(&w, PORTERO_NEXT, PORTERO_DEFER);
	a->suspended = get_bool(&w);
	a->reply = get_reply(&w);
	a->plugin = wire_get_str(&w);
	a->cause = wire_get_str(&w);
	a->id = wire_get_str(&w);
	a->class_name = wire_get_str(&w);
	a->domain = wire_get_str(&w);
	a->identity = wire_get_str(&w);
	a->nobody = get_bool(&w);
	a->tag = wire_get_u16(&w);
	/* What the ledger's records hold of a person is bounded here. */
	if (a->identity.len > IDENTITY_MAX || a->id.len > PERSON_ID_MAX ||
	    a->class_name.len > PERSON_CLASS_MAX ||
	    a->domain.len > PERSON_ID_MAX)
		return -1;
	return leave_record(&w);
}

/* ---- attempt ------------------------------------------------------------ */

size_t
attempt_question_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct attempt_question *q)
{
	struct wire_out w = open_record(to, size, h, RECORD_ATTEMPT);

	wire_put_u8(&w, (uint8_t)q->attempt);
	wire_put_u16(&w, q->tag);
	wire_put_u8(&w, q->exempt);
	wire_put_str(&w, q->login);
	wire_put_str(&w, q->client_address);
	wire_put_str(&w, q->client_network);
	wire_put_str(&w, q->listener);
	wire_put_str(&w, q->session_id);
	return close_record(&w);
}

int
attempt_question_decode(const uint8_t *data, size_t len,
    struct attempt_question *q)
{
	struct wire_in w = enter_record(data, len, RECORD_ATTEMPT);

	q->attempt = get_enum(&w, PORTERO_ATTEMPT_BEGINS,
	    PORTERO_ATTEMPT_NOBODY);
	q->tag = wire_get_u16(&w);
	q->exempt = get_bool(&w);
	q->login = wire_get_str(&w);
	q->client_address = wire_get_str(&w);
	q->client_network = wire_get_str(&w);
	q->listener = wire_get_str(&w);
	q->session_id = wire_get_str(&w);
	return leave_record(&w);
}

size_t
attempt_answer_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct attempt_answer *a)
{
	struct wire_out w = open_record(to, size, h, RECORD_ATTEMPT_ANSWER);

	wire_put_u8(&w, (uint8_t)a->verdict);
	put_reply(&w, &a->reply);
	wire_put_str(&w, a->plugin);
	wire_put_str(&w, a->limit);
	wire_put_i64(&w, a->used);
	wire_put_i64(&w, a->max);
	wire_put_i64(&w, a->until_s);
	return close_record(&w);
}

int
attempt_answer_decode(const uint8_t *data, size_t len, struct attempt_answer *a)
{
	struct wire_in w = enter_record(data, len, RECORD_ATTEMPT_ANSWER);

	a->verdict = get_enum(&w, PORTERO_NEXT, PORTERO_DEFER);
	a->reply = get_reply(&w);
	a->plugin = wire_get_str(&w);
	a->limit = wire_get_str(&w);
	a->used = wire_get_i64(&w);
	a->max = wire_get_i64(&w);
	a->until_s = wire_get_i64(&w);
	return leave_record(&w);
}

/* ---- forget ------------------------------------------------------------- */

size_t
forget_question_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct forget_question *q)
{
	struct wire_out w = open_record(to, size, h, RECORD_FORGET);

	wire_put_str(&w, q->person);
	return close_record(&w);
}

int
forget_question_decode(const uint8_t *data, size_t len,
    struct forget_question *q)
{
	struct wire_in w = enter_record(data, len, RECORD_FORGET);

	q->person = wire_get_str(&w);
	return leave_record(&w);
}

size_t
forget_answer_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct forget_answer *a)
{
	struct wire_out w = open_record(to, size, h, RECORD_FORGET_ANSWER);

	wire_put_u8(&w, a->failed);
	wire_put_u32(&w, a->nlogins);
	return close_record(&w);
}

int
forget_answer_decode(const uint8_t *data, size_t len, struct forget_answer *a)
{
	struct wire_in w = enter_record(data, len, RECORD_FORGET_ANSWER);

	a->failed = get_bool(&w);
	a->nlogins = wire_get_u32(&w);
	return leave_record(&w);
}

/* ---- owns --------------------------------------------------------------- */

size_t
owns_question_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct owns_question *q)
{
	struct wire_out w = open_record(to, size, h, RECORD_OWNS);

	wire_put_str(&w, q->identity);
	wire_put_str(&w, q->address);
	wire_put_str(&w, q->session_id);
	return close_record(&w);
}

int
owns_question_decode(const uint8_t *data, size_t len, struct owns_question *q)
{
	struct wire_in w = enter_record(data, len, RECORD_OWNS);

	q->identity = wire_get_str(&w);
	q->address = wire_get_str(&w);
	q->session_id = wire_get_str(&w);
	return leave_record(&w);
}

size_t
owns_answer_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct owns_answer *a)
{
	struct wire_out w = open_record(to, size, h, RECORD_OWNS_ANSWER);

	wire_put_u8(&w, (uint8_t)a->owned);
	return close_record(&w);
}

int
owns_answer_decode(const uint8_t *data, size_t len, struct owns_answer *a)
{
	struct wire_in w = enter_record(data, len, RECORD_OWNS_ANSWER);

	a->owned = get_enum(&w, PORTERO_OWNED_UNKNOWN, PORTERO_OWNED_NO);
	return leave_record(&w);
}

/* ---- judge -------------------------------------------------------------- */

size_t
judge_question_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct judge_question *q)
{
	struct wire_out w = open_record(to, size, h, RECORD_JUDGE);

	wire_put_u32(&w, q->stages);
	wire_put_raw(&w, q->txid, TXID_LEN);
	wire_put_u32(&w, q->sequence);
	wire_put_str(&w, q->identity);
	wire_put_str(&w, q->session_id);
	wire_put_str(&w, q->listener);
	wire_put_str(&w, q->client_address);
	wire_put_str(&w, q->reverse_path);
	wire_put_i64(&w, q->declared_size);
	wire_put_i64(&w, q->message_size);
	wire_put_u8(&w, (uint8_t)q->sender_owned);
	wire_put_u8(&w, q->owned_asked);
	wire_put_u8(&w, (uint8_t)q->outcome);
	wire_put_u8(&w, q->abandoned);
	wire_put_u32(&w, q->nrefused);
	wire_put_u32(&w, q->naccepted);
	wire_put_u32(&w, q->first_new);
	wire_put_u32(&w, q->nrecipients);
	for (uint32_t i = 0; i < q->nrecipients && !w.bad; i++)
		wire_put_str(&w, q->recipients[i]);
	put_settles(&w, q->settles, q->nsettles);
	wire_put_u32(&w, q->nfrom);
	wire_put_u32(&w, q->nsender);
	wire_put_u32(&w, q->nreceived);
	wire_put_str(&w, q->header_flaw);
	wire_put_u8(&w, q->mailboxes_asked);
	put_mailboxes(&w, q->mailboxes, q->nmailboxes);
	return close_record(&w);
}

static const struct str *
get_recipients(struct wire_in *w, uint32_t n, struct record_scratch *s)
{
	if (n > s->nrecipients) {
		s->recipients = xrealloc(s->recipients,
		    n * sizeof *s->recipients);
		s->nrecipients = n;
	}
	for (uint32_t i = 0; i < n; i++)
		s->recipients[i] = wire_get_str(w);
	return s->recipients;
}

/* MAIL, RCPT and DATA in any mix, or one of the others alone. */
static bool
are_stages(uint32_t stages)
{
	const uint32_t group = PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA;

	return stages == PORTERO_HEADER || stages == PORTERO_END ||
	    stages == PORTERO_OUTCOME || stages == PORTERO_HELLO ||
	    (stages != 0 && (stages & ~group) == 0);
}

int
judge_question_decode(const uint8_t *data, size_t len, struct judge_question *q,
    struct record_scratch *s)
{
	struct wire_in w = enter_record(data, len, RECORD_JUDGE);

	q->stages = wire_get_u32(&w);
	wire_get_raw(&w, q->txid, TXID_LEN);
	q->sequence = wire_get_u32(&w);
	q->identity = wire_get_str(&w);
	q->session_id = wire_get_str(&w);
	q->listener = wire_get_str(&w);
	q->client_address = wire_get_str(&w);
	q->reverse_path = wire_get_str(&w);
	q->declared_size = wire_get_i64(&w);
	q->message_size = wire_get_i64(&w);
	q->sender_owned = get_enum(&w, PORTERO_OWNED_UNKNOWN, PORTERO_OWNED_NO);
	q->owned_asked = get_bool(&w);
	q->outcome = get_enum(&w, PORTERO_PENDING, PORTERO_OUTCOME_UNKNOWN);
	q->abandoned = get_bool(&w);
	q->nrefused = wire_get_u32(&w);
	q->naccepted = wire_get_u32(&w);
	q->first_new = wire_get_u32(&w);
	q->nrecipients = get_count(&w, 4);
	q->recipients = get_recipients(&w, q->nrecipients, s);
	q->nsettles = get_settles(&w, s->settles);
	q->settles = s->settles;
	q->nfrom = wire_get_u32(&w);
	q->nsender = wire_get_u32(&w);
	q->nreceived = wire_get_u32(&w);
	q->header_flaw = wire_get_str(&w);
	q->mailboxes_asked = get_bool(&w);
	q->nmailboxes = get_mailboxes(&w, s->mailboxes);
	q->mailboxes = s->mailboxes;
	if (!are_stages(q->stages) || q->first_new > q->nrecipients ||
	    q->declared_size < -1 || q->message_size < -1)
		return -1;
	return leave_record(&w);
}

size_t
judge_answer_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct judge_answer *a)
{
	struct wire_out w = open_record(to, size, h, RECORD_JUDGE_ANSWER);

	wire_put_u8(&w, (uint8_t)a->verdict);
	wire_put_u32(&w, a->stage);
	wire_put_u32(&w, a->recipient);
	wire_put_u8(&w, a->taken);
	wire_put_u8(&w, a->needs_owned);
	wire_put_u32(&w, a->wants);
	put_reply(&w, &a->reply);
	wire_put_str(&w, a->plugin);
	wire_put_str(&w, a->limit);
	wire_put_i64(&w, a->used);
	wire_put_i64(&w, a->max);
	wire_put_i64(&w, a->until_s);
	wire_put_i64(&w, a->max_size);
	wire_put_u32(&w, a->rcpt_left);
	put_reply(&w, &a->rcpt_reply);
	wire_put_i64(&w, a->reserved_bytes);
	wire_put_u32(&w, a->nsettled);
	wire_put_str(&w, a->add_sender);
	return close_record(&w);
}

int
judge_answer_decode(const uint8_t *data, size_t len, struct judge_answer *a)
{
	struct wire_in w = enter_record(data, len, RECORD_JUDGE_ANSWER);
	uint32_t stage;

	a->verdict = get_enum(&w, PORTERO_NEXT, PORTERO_DEFER);
	stage = wire_get_u32(&w);
	a->stage = stage;
	a->recipient = wire_get_u32(&w);
	a->taken = get_bool(&w);
	a->needs_owned = get_bool(&w);
	a->wants = wire_get_u32(&w);
	a->reply = get_reply(&w);
	a->plugin = wire_get_str(&w);
	a->limit = wire_get_str(&w);
	a->used = wire_get_i64(&w);
	a->max = wire_get_i64(&w);
	a->until_s = wire_get_i64(&w);
	a->max_size = wire_get_i64(&w);
	a->rcpt_left = wire_get_u32(&w);
	a->rcpt_reply = get_reply(&w);
	a->reserved_bytes = wire_get_i64(&w);
	a->nsettled = wire_get_u32(&w);
	a->add_sender = wire_get_str(&w);
	if ((stage & ~(uint32_t)ALL_STAGES) != 0 ||
	    (stage & (stage - 1)) != 0 ||
	    (a->wants & ~(uint32_t)ALL_STAGES) != 0 || a->max_size < 0 ||
	    a->reserved_bytes < 0 || a->nsettled > SETTLES_MAX)
		return -1;
	return leave_record(&w);
}

/* ---- settle ------------------------------------------------------------- */

size_t
settle_question_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct settle_question *q)
{
	struct wire_out w = open_record(to, size, h, RECORD_SETTLE);

	put_settles(&w, q->settles, q->nsettles);
	return close_record(&w);
}

int
settle_question_decode(const uint8_t *data, size_t len,
    struct settle_question *q, struct record_scratch *s)
{
	struct wire_in w = enter_record(data, len, RECORD_SETTLE);

	q->nsettles = get_settles(&w, s->settles);
	q->settles = s->settles;
	return leave_record(&w);
}

size_t
settle_answer_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct settle_answer *a)
{
	struct wire_out w = open_record(to, size, h, RECORD_SETTLE_ANSWER);

	wire_put_u32(&w, a->nsettled);
	return close_record(&w);
}

int
settle_answer_decode(const uint8_t *data, size_t len, struct settle_answer *a)
{
	struct wire_in w = enter_record(data, len, RECORD_SETTLE_ANSWER);

	a->nsettled = wire_get_u32(&w);
	if (a->nsettled > SETTLES_MAX)
		return -1;
	return leave_record(&w);
}

/* ---- store -------------------------------------------------------------- */

size_t
store_question_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct store_question *q)
{
	struct wire_out w = open_record(to, size, h, RECORD_STORE);

	wire_put_u8(&w, (uint8_t)q->ask);
	wire_put_u8(&w, (uint8_t)q->scope);
	wire_put_str(&w, q->key);
	wire_put_u64(&w, q->cursor);
	return close_record(&w);
}

int
store_question_decode(const uint8_t *data, size_t len, struct store_question *q)
{
	struct wire_in w = enter_record(data, len, RECORD_STORE);

	q->ask = get_enum(&w, STORE_SHOW, STORE_STATUS);
	q->scope = get_enum(&w, PORTERO_PERSON, PORTERO_NSCOPES - 1);
	q->key = wire_get_str(&w);
	q->cursor = wire_get_u64(&w);
	return leave_record(&w);
}

size_t
store_answer_encode(uint8_t *to, size_t size, const struct record_header *h,
    const struct store_answer *a)
{
	struct wire_out w = open_record(to, size, h, RECORD_STORE_ANSWER);

	wire_put_u8(&w, a->failed);
	wire_put_str(&w, a->error);
	wire_put_u64(&w, a->cursor);
	wire_put_u32(&w, a->nrows);
	for (uint32_t i = 0; i < a->nrows && !w.bad; i++) {
		wire_put_str(&w, a->rows[i].key);
		wire_put_str(&w, a->rows[i].limit);
		wire_put_u8(&w, (uint8_t)a->rows[i].unit);
		wire_put_i64(&w, a->rows[i].max);
		wire_put_i64(&w, a->rows[i].used);
		wire_put_i64(&w, a->rows[i].resets_at);
		wire_put_u32(&w, a->rows[i].window_s);
		wire_put_u32(&w, a->rows[i].open);
	}
	wire_put_u32(&w, a->nlines);
	for (uint32_t i = 0; i < a->nlines && !w.bad; i++) {
		wire_put_str(&w, a->lines[i].name);
		wire_put_str(&w, a->lines[i].value);
	}
	return close_record(&w);
}

static const struct store_row *
get_rows(struct wire_in *w, uint32_t n, struct record_scratch *s)
{
	if (n > s->nrows) {
		s->rows = xrealloc(s->rows, n * sizeof *s->rows);
		s->nrows = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		s->rows[i].key = wire_get_str(w);
		s->rows[i].limit = wire_get_str(w);
		s->rows[i].unit = get_enum(w, PORTERO_MESSAGES,
		    PORTERO_NUNITS - 1);
		s->rows[i].max = wire_get_i64(w);
		s->rows[i].used = wire_get_i64(w);
		s->rows[i].resets_at = wire_get_i64(w);
		s->rows[i].window_s = wire_get_u32(w);
		s->rows[i].open = wire_get_u32(w);
	}
	return s->rows;
}

static const struct store_line *
get_lines(struct wire_in *w, uint32_t n, struct record_scratch *s)
{
	if (n > s->nlines) {
		s->lines = xrealloc(s->lines, n * sizeof *s->lines);
		s->nlines = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		s->lines[i].name = wire_get_str(w);
		s->lines[i].value = wire_get_str(w);
	}
	return s->lines;
}

int
store_answer_decode(const uint8_t *data, size_t len, struct store_answer *a,
    struct record_scratch *s)
{
	struct wire_in w = enter_record(data, len, RECORD_STORE_ANSWER);

	a->failed = get_bool(&w);
	a->error = wire_get_str(&w);
	a->cursor = wire_get_u64(&w);
	a->nrows = get_count(&w, 41);
	a->rows = get_rows(&w, a->nrows, s);
	a->nlines = get_count(&w, 8);
	a->lines = get_lines(&w, a->nlines, s);
	return leave_record(&w);
}

/* ---- in a dead worker's place ------------------------------------------- */

size_t
record_defer_encode(uint8_t *to, size_t size,
    const struct record_header *question, const char *cause)
{
	const struct answer_reply later = { .code = 451,
		.enhanced = STR("4.7.0"),
		.text = STR("This cannot be checked right now; "
			    "try again in a few minutes."),
		.reason = STR("plugin") };
	const struct login_answer login = { .verdict = PORTERO_DEFER,
		.cause = str_of(cause) };
	const struct attempt_answer attempt = { .verdict = PORTERO_DEFER };
	const struct forget_answer forget = { .failed = true };
	const struct owns_answer owns = { .owned = PORTERO_OWNED_UNKNOWN };
	/* It may have died behind the take: a settle is owed. */
	const struct judge_answer judge = { .verdict = PORTERO_DEFER,
		.taken = true,
		.reply = later,
		.rcpt_left = RCPT_LEFT_UNLIMITED };
	const struct settle_answer settle = { .nsettled = 0 };
	const struct store_answer store = { .failed = true,
		.error = str_of(cause) };

	switch ((enum record_type)question->type) {
	case RECORD_LOGIN:
		return login_answer_encode(to, size, question, &login);
	case RECORD_ATTEMPT:
		return attempt_answer_encode(to, size, question, &attempt);
	case RECORD_FORGET:
		return forget_answer_encode(to, size, question, &forget);
	case RECORD_OWNS:
		return owns_answer_encode(to, size, question, &owns);
	case RECORD_JUDGE:
		return judge_answer_encode(to, size, question, &judge);
	case RECORD_SETTLE:
		return settle_answer_encode(to, size, question, &settle);
	case RECORD_STORE:
		return store_answer_encode(to, size, question, &store);
	default:
		return 0; /* not a question */
	}
}
