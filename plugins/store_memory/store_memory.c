/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store: counters and reservations in memory that all policy
 * workers share and that outlives them.
 *
 * What must always hold: an operation is one transaction of the table, so a
 * worker may die anywhere in it; a table full of records that must live is a
 * failure of the store, nothing is thrown out to make room.
 *
 * PEEK and a refused TAKE change no sum. But when they find that the window
 * has changed or the clock went back they keep the new layout: else what was
 * carried over would look new at every look, and never pass.
 */
#include <portero/plugin.h>

#include <stdlib.h>
#include <string.h>

#include "../common/op.h"
#include "books.h"
#include "report.h"

#define COMPLAIN_EVERY_S 60

struct store {
	const struct portero_host *host; /* borrowed */
	struct books books;              /* no table in the check role */
	uint32_t entries;
	const char *complaint;           /* the last one logged */
	int64_t complained_at;

	/* scratch of the operation in hand */
	struct portero_key txid_key;
	struct reservation reservation;
	struct portero_key keys[MAX_CHARGES];
	struct record counters[MAX_CHARGES];
	struct counter_place places[MAX_CHARGES];
	bool counts[MAX_CHARGES];
	bool laid_anew[MAX_CHARGES];
	struct report report;
};

/* Says why the store fails, but not with every message. Returns -1. */
static int
fail(struct store *s, const char *complaint)
{
	int64_t now_s = s->host->now_us(s->host) / 1000000;
	int64_t since = now_s - s->complained_at;

	if (complaint != s->complaint || since < 0 ||
	    since >= COMPLAIN_EVERY_S) {
		s->host->log(s->host, PORTERO_LOG_ERROR,
		    "store_memory: %s; limits cannot be checked until this "
		    "passes", complaint);
		s->complaint = complaint;
		s->complained_at = now_s;
	}
	return -1;
}

/* The same, giving up the transaction. */
static int
fail_locked(struct store *s, const char *complaint)
{
	books_abort(&s->books);
	return fail(s, complaint);
}

static int
fail_full(struct store *s)
{
	return fail_locked(s, "no room for another record: `entries` records "
	    "are in use");
}

static int64_t
clamped(int64_t amount)
{
	if (amount < 0)
		return 0;
	return amount < COUNTER_AMOUNT_MAX ? amount : COUNTER_AMOUNT_MAX;
}

/* ---- charges ----------------------------------------------------------- */

/* What does not fit ends in dots. */
static void
name_copy(char to[OWNER_NAME_LEN], struct portero_str key)
{
	bool fits = key.len < OWNER_NAME_LEN;

	snprintf(to, OWNER_NAME_LEN, "%.*s%s",
	    fits ? (int)key.len : OWNER_NAME_LEN - 4,
	    key.len == 0 ? "" : key.ptr, fits ? "" : "...");
}

/* Loads or makes the private copy of the counter of charge i. A new counter
 * has the epoch `stamp`, which no other take has, so that nothing is given
 * back to it that was charged to one forgotten since. */
static struct counter_record *
counter_of(struct store *s, const struct portero_op *op, size_t i,
    uint32_t stamp)
{
	const struct portero_charge *c = &op->charges[i];
	struct record *r = &s->counters[i];

	s->keys[i] = books_counter_key(&s->books, c);
	if (books_load_counter(&s->books, &s->keys[i], r)) {
		s->laid_anew[i] = counter_advance(&r->counter.counter,
		    c->window_s, s->books.now_us);
		return &r->counter;
	}
	s->laid_anew[i] = false;
	memset(r, 0, sizeof *r);
	r->kind = RECORD_COUNTER;
	r->counter.owner = s->books.owner;
	r->counter.unit = c->unit;
	r->counter.scope = op->scope;
	name_copy(r->counter.name, op->key);
	memcpy(r->counter.limit, c->limit, strlen(c->limit));
	counter_start(&r->counter.counter, c->window_s, stamp,
	    s->books.now_us);
	return &r->counter;
}

/* Fills the charges and adds them to the private copies of their counters.
 * false: an enforced one does not fit. */
static bool
charges_try(struct store *s, const struct portero_op *op, uint32_t stamp)
{
	int64_t at_us = s->books.now_us;
	bool all_fit = true;

	if (op->kind == PORTERO_OP_CHARGE)
		at_us -= op->age_us;
	for (size_t i = 0; i < op->ncharges; i++) {
		struct portero_charge *c = &op->charges[i];
		struct counter_record *r = counter_of(s, op, i, stamp);

		c->used = counter_used(&r->counter);
		c->fits = c->max == PORTERO_UNLIMITED ||
		    c->amount <= c->max - c->used;
		if (c->fits)
			c->fits_at = s->books.now_s;
		else if (c->amount > c->max)
			c->fits_at = 0;
		else
			c->fits_at = counter_fits_at(&r->counter, c->amount,
			    c->max);
		if (!c->fits && !c->monitor)
			all_fit = false;
		s->counts[i] = counter_add(&r->counter, clamped(c->amount),
		    at_us, &s->places[i]);
		r->max = c->max;
	}
	return all_fit;
}

/* A take that is repeated: `used` is what is used without it. */
static void
charges_leave_out(struct portero_op *op)
{
	for (size_t i = 0; i < op->ncharges; i++) {
		struct portero_charge *c = &op->charges[i];

		c->used = c->used > c->amount ? c->used - c->amount : 0;
	}
}

/* Charges nothing, but keeps what had to be laid out anew. */
static void
charges_drop(struct store *s, const struct portero_op *op)
{
	for (size_t i = 0; i < op->ncharges; i++) {
		struct record *r = &s->counters[i];

		if (!s->laid_anew[i] ||
		    !books_load_counter(&s->books, &s->keys[i], r))
			continue;
		counter_advance(&r->counter.counter, op->charges[i].window_s,
		    s->books.now_us);
		/* It has its place already: this does not fail. */
		books_save_counter(&s->books, &s->keys[i], r, 0);
	}
	books_commit(&s->books);
}

static int
peek(struct store *s, struct portero_op *op, enum portero_op_result result)
{
	charges_try(s, op, 0);
	charges_drop(s, op);
	op->result = result;
	return 0;
}

/* ---- take -------------------------------------------------------------- */

/* Notes a charge; those that went to one bucket in turn are one. */
static int
reservation_add(struct reservation *r, const struct portero_key *key,
    struct counter_place place, int64_t amount)
{
	struct entry e = { .amount = amount,
		.epoch = place.epoch,
		.bucket = place.bucket,
	};
	struct entry *last = NULL;

	memcpy(&e.tail, key->byte + 8, sizeof e.tail);
	for (uint32_t i = 0; i < r->nentries; i++)
		if (r->entries[i].tail == e.tail)
			last = &r->entries[i];
	if (last != NULL && last->epoch == e.epoch &&
	    last->bucket == e.bucket) {
		last->amount += amount;
		return 0;
	}
	e.first = last == NULL;
	if (r->nentries == MAX_ENTRIES)
		return -1;
	r->entries[r->nentries++] = e;
	return 0;
}

static int
take_save(struct store *s, struct portero_op *op)
{
	struct reservation *r = &s->reservation;
	int64_t until = s->books.now_s + 1 + op->lifetime_s;

	if (r->expires_at < until)
		r->expires_at = until;
	r->taken |= UINT64_C(1) << op->sequence;
	for (size_t i = 0; i < op->ncharges; i++) {
		if (s->counts[i] &&
		    reservation_add(r, &s->keys[i], s->places[i],
			clamped(op->charges[i].amount)) == -1)
			return fail_locked(s, "a message has more charges than "
			    "a reservation holds");
		if (books_save_counter(&s->books, &s->keys[i], &s->counters[i],
			r->expires_at) == -1)
			return fail_full(s);
	}
	if (books_save_reservation(&s->books, &s->txid_key, r) == -1)
		return fail_full(s);
	books_commit(&s->books);
	op->result = PORTERO_OP_DONE;
	return 0;
}

static int
take(struct store *s, struct portero_op *op)
{
	uint32_t stamp;

	s->txid_key = books_txid_key(&s->books, op->txid);
	memcpy(&stamp, s->txid_key.byte + 4, sizeof stamp);
	if (books_is_settled(&s->books, &s->txid_key))
		return peek(s, op, PORTERO_OP_SETTLED);
	books_load_reservation(&s->books, &s->txid_key, &s->reservation);
	if ((s->reservation.taken >> op->sequence & 1) != 0) {
		peek(s, op, PORTERO_OP_DONE);
		charges_leave_out(op);
		return 0;
	}
	if (charges_try(s, op, stamp + op->sequence) ||
	    op->kind == PORTERO_OP_CHARGE)
		return take_save(s, op);
	charges_drop(s, op);
	op->result = PORTERO_OP_REFUSED;
	return 0;
}

/* ---- settle ------------------------------------------------------------ */

/* Gives `amount` back, the newest charges of this counter first. */
static void
give_back(const struct reservation *r, uint64_t tail, struct counter *c,
    int64_t amount)
{
	for (uint32_t i = r->nentries; i-- > 0 && amount > 0;) {
		const struct entry *e = &r->entries[i];
		int64_t part = e->amount < amount ? e->amount : amount;

		if (e->tail != tail)
			continue;
		counter_give_back(c,
		    (struct counter_place){ e->epoch, e->bucket }, part);
		amount -= part;
	}
}

/* Corrects one counter to what was really used. -1: no room. */
static int
settle_counter(struct store *s, const struct portero_op *op,
    const struct entry *first)
{
	const struct reservation *r = &s->reservation;
	struct portero_key key = books_entry_key(&s->books, first);
	struct record *record = &s->counters[0];
	struct counter *c = &record->counter.counter;
	struct counter_place place;
	int64_t taken = 0, actual;

	if (!books_load_counter(&s->books, &key, record))
		return 0; /* it was reset */
	for (uint32_t i = 0; i < r->nentries; i++)
		if (r->entries[i].tail == first->tail)
			taken += r->entries[i].amount;
	actual = clamped(op->actual[record->counter.unit]);
	if (actual == taken)
		return 0;
	counter_advance(c, c->window_s, s->books.now_us);
	if (actual > taken)
		counter_add(c, actual - taken, s->books.now_us, &place);
	else
		give_back(r, first->tail, c, taken - actual);
	return books_save_counter(&s->books, &key, record, 0);
}

/* Corrects all counters of the reservation and buries it. -1: no room. */
static int
settle_save(struct store *s, const struct portero_op *op)
{
	const struct reservation *r = &s->reservation;
	int64_t until = s->books.now_s + 1 + op->lifetime_s;

	if (!books_load_reservation(&s->books, &s->txid_key, &s->reservation))
		return books_bury(&s->books, &s->txid_key, NULL, until);
	for (uint32_t i = 0; i < r->nentries; i++)
		if (r->entries[i].first &&
		    settle_counter(s, op, &r->entries[i]) == -1)
			return -1;
	return books_bury(&s->books, &s->txid_key, r, until);
}

static int
settle(struct store *s, struct portero_op *op)
{
	s->txid_key = books_txid_key(&s->books, op->txid);
	if (!books_is_settled(&s->books, &s->txid_key) &&
	    settle_save(s, op) == -1)
		return fail_full(s);
	books_commit(&s->books);
	op->result = PORTERO_OP_DONE;
	return 0;
}

/* ---- looking and forgetting -------------------------------------------- */

static int
report(struct store *s, struct portero_op *op)
{
	if (report_owner(&s->report, &s->books, op) == -1)
		return fail_locked(s, "out of memory for a report");
	books_abort(&s->books);
	op->result = PORTERO_OP_DONE;
	return 0;
}

static int
reset(struct store *s, struct portero_op *op)
{
	if (books_reset(&s->books) == -1)
		return fail(s, "its memory cannot be locked");
	op->result = PORTERO_OP_DONE;
	return 0;
}

static int
walk(struct store *s, struct portero_op *op)
{
	report_walk(&s->books, op);
	books_abort(&s->books);
	op->result = PORTERO_OP_DONE;
	return 0;
}

static void
count_record(void *arg, const struct portero_key *key, const void *record)
{
	uint32_t *n = arg;

	(void)key;
	(void)record;
	(*n)++;
}

static int
store_status(void *ctx,
    void (*row)(void *arg, const char *name, const char *value), void *arg)
{
	struct portero_str nobody = { "", 0 };
	struct store *s = ctx;
	uint32_t n = 0, at = 0;
	char value[64];

	do {
		if (books_lock(&s->books, PORTERO_PERSON, nobody) == -1)
			return fail(s, "its memory cannot be locked");
		at = s->host->table_some(s->books.table, at, BOOKS_STEP,
		    count_record, &n);
		books_abort(&s->books);
	} while (at != 0);
	snprintf(value, sizeof value, "%u of %u", n, s->entries);
	row(arg, "entries", value);
	if (n > s->entries - s->entries / 5)
		row(arg, "warning", "more than 80 % of `entries` are in use; "
				    "when all are, no mail is accepted");
	return 0;
}

/* ---- operations -------------------------------------------------------- */

static int
apply_one(struct store *s, struct portero_op *op)
{
	const char *fault = op_fault(op);

	if (fault != NULL)
		return fail(s, fault);
	if (books_lock(&s->books, op->scope, op->key) == -1)
		return fail(s, "its memory cannot be locked");
	switch (op->kind) {
	case PORTERO_OP_PEEK:
		return peek(s, op, PORTERO_OP_DONE);
	case PORTERO_OP_TAKE:
	case PORTERO_OP_CHARGE:
		return take(s, op);
	case PORTERO_OP_SETTLE:
		return settle(s, op);
	case PORTERO_OP_REPORT:
		return report(s, op);
	case PORTERO_OP_RESET:
		return reset(s, op);
	case PORTERO_OP_WALK:
		return walk(s, op);
	}
	return fail_locked(s, "an operation is not known");
}

static int
store_apply(void *ctx, struct portero_op *ops, size_t n)
{
	struct store *s = ctx;

	for (size_t i = 0; i < n; i++)
		ops[i].result = PORTERO_OP_NONE;
	for (size_t i = 0; i < n; i++) {
		if (apply_one(s, &ops[i]) == 0)
			continue;
		if (ops[i].kind == PORTERO_OP_TAKE ||
		    ops[i].kind == PORTERO_OP_CHARGE)
			ops[i].result = PORTERO_OP_FAILED; /* all was undone */
		return -1;
	}
	return 0;
}

/* ---- the plugin -------------------------------------------------------- */

static const struct portero_option options[] = {
	{ .name = "entries",
	    .type = PORTERO_OPT_INT,
	    .preset = "65536",
	    .min = 1024,
	    .max = 1 << 24,
	    .help = "Records the memory has room for, of about 700 bytes. "
		    "Each limit of a person in use takes one, each message on "
		    "its way one, messages of the last minutes a fraction. "
		    "When all are in use no mail is accepted. Another number "
		    "makes all counters begin anew." },
	{ 0 },
};

static uint32_t
entries_of(const struct portero_host *host, const struct portero_conf *conf)
{
	return (uint32_t)host->get_int(conf, "entries");
}

static size_t
store_share_size(const struct portero_host *host,
    const struct portero_conf *conf)
{
	return books_size(host, entries_of(host, conf));
}

static void
store_close(void *ctx)
{
	struct store *s = ctx;

	if (s->books.table != NULL)
		books_close(&s->books);
	report_clear(&s->report);
	free(s);
}

static int
store_open(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state,
    void **ctx, char err[256])
{
	struct store *s = calloc(1, sizeof *s);

	if (s == NULL) {
		snprintf(err, 256, "out of memory");
		return -1;
	}
	s->host = host;
	s->entries = entries_of(host, conf);
	if (state != PORTERO_SHARE_NONE &&
	    books_open(&s->books, host, s->entries, share,
		share_bytes, state, err) == -1) {
		store_close(s);
		return -1;
	}
	*ctx = s;
	return 0;
}

static const struct portero_store store = {
	.size = sizeof(struct portero_store),
	.apply = store_apply,
	.status = store_status,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof(struct portero_plugin),
	.name = "store_memory",
	.version = "1",
	.options = options,
	.share_size = store_share_size,
	.open = store_open,
	.close = store_close,
	.store = &store,
};
