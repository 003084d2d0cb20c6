/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Arrays that only grow, searched from end to end.
 */
#include "limit_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SECOND 1000000
#define AMOUNT_MAX (INT64_C(1) << 53)

struct charge {
	uint64_t id;
	int64_t bucket, amount;
};

struct counter {
	enum portero_scope scope;
	char key[64];
	char limit[32];
	enum portero_unit unit;
	int64_t max;
	uint32_t window_s;
	int64_t now;          /* number of the bucket of its last change */
	uint64_t returnable;  /* charges before this id cannot be given back */
	struct charge *charges;
	size_t ncharges;
};

/* One charge of a reservation. */
struct entry {
	char limit[32];
	enum portero_unit unit;
	uint64_t id;
	int64_t amount;
};

struct reservation {
	enum portero_scope scope;
	char key[64];
	uint8_t txid[16];
	uint64_t taken; /* bit n: sequence n */
	bool settled;
	struct entry *entries;
	size_t nentries;
};

struct limit_model {
	int64_t now_us;
	uint64_t next_id;
	struct counter *counters;
	size_t ncounters;
	struct reservation *reservations;
	size_t nreservations;
};

struct limit_model *
limit_model_new(void)
{
	struct limit_model *m = xcalloc(1, sizeof *m);

	m->next_id = 1;
	return m;
}

void
limit_model_free(struct limit_model **m)
{
	if (*m == NULL)
		return;
	for (size_t i = 0; i < (*m)->ncounters; i++)
		free((*m)->counters[i].charges);
	for (size_t i = 0; i < (*m)->nreservations; i++)
		free((*m)->reservations[i].entries);
	free((*m)->counters);
	free((*m)->reservations);
	free(*m);
	*m = NULL;
}

void
limit_model_set_now(struct limit_model *m, int64_t now_us)
{
	m->now_us = now_us;
}

/* ---- counters ---------------------------------------------------------- */

static int64_t
width_of(uint32_t window_s)
{
	return ((int64_t)window_s * SECOND + 59) / 60;
}

/* The first second at which a charge in this bucket counts no more. */
static int64_t
passes_at(int64_t bucket, uint32_t window_s)
{
	return ((bucket + 61) * width_of(window_s) + SECOND - 1) / SECOND;
}

static bool
is_key(const char *have, struct portero_str key)
{
	return strlen(have) == key.len && memcmp(have, key.ptr, key.len) == 0;
}

static struct counter *
counter_find(struct limit_model *m, const struct portero_op *op,
    const char *limit, enum portero_unit unit)
{
	for (size_t i = 0; i < m->ncounters; i++) {
		struct counter *c = &m->counters[i];

		if (c->scope == op->scope && is_key(c->key, op->key) &&
		    strcmp(c->limit, limit) == 0 && c->unit == unit)
			return c;
	}
	return NULL;
}

/* Forgets what counts no more at bucket `now` of the counter's own window. */
static void
forget_old(struct counter *c, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < c->ncharges; i++)
		if (c->charges[i].bucket >= now - 60)
			c->charges[n++] = c->charges[i];
	c->ncharges = n;
}

/* Brings a counter to now. true: its charges had to be moved. */
static bool
counter_look(struct limit_model *m, struct counter *c, uint32_t window_s)
{
	int64_t old_width = width_of(c->window_s), width = width_of(window_s);
	int64_t now = m->now_us / width;
	bool moves = window_s != c->window_s || now < c->now;

	forget_old(c, m->now_us / old_width);
	for (size_t i = 0; i < c->ncharges && moves; i++) {
		int64_t *bucket = &c->charges[i].bucket;

		*bucket = ((*bucket + 1) * old_width - 1) / width;
		if (*bucket > now)
			*bucket = now;
		if (*bucket < now - 60)
			*bucket = now - 60;
	}
	if (moves)
		c->returnable = m->next_id;
	c->window_s = window_s;
	c->now = now;
	return moves;
}

static int64_t
counter_used(const struct counter *c)
{
	int64_t used = 0;

	for (size_t i = 0; i < c->ncharges; i++)
		used += c->charges[i].amount;
	return used;
}

/* Tries the passing of each charge, in any order. */
static int64_t
counter_fits_at(const struct counter *c, int64_t room)
{
	int64_t best = INT64_MAX;

	for (size_t i = 0; i < c->ncharges; i++) {
		int64_t bucket = c->charges[i].bucket, left = 0;

		for (size_t k = 0; k < c->ncharges; k++)
			if (c->charges[k].bucket > bucket)
				left += c->charges[k].amount;
		if (left <= room && bucket < best)
			best = bucket;
	}
	return passes_at(best, c->window_s);
}

static uint64_t
counter_add(struct limit_model *m, struct counter *c, int64_t bucket,
    int64_t amount)
{
	if (amount > AMOUNT_MAX)
		amount = AMOUNT_MAX;
	c->charges = xrealloc(c->charges,
	    (c->ncharges + 1) * sizeof *c->charges);
	c->charges[c->ncharges++] =
	    (struct charge){ m->next_id, bucket, amount };
	return m->next_id++;
}

static struct counter
counter_copy(const struct counter *c)
{
	struct counter copy = *c;

	copy.charges = xcalloc(c->ncharges + 1, sizeof *c->charges);
	for (size_t i = 0; i < c->ncharges; i++)
		copy.charges[i] = c->charges[i];
	return copy;
}

static struct counter *
counter_new(struct limit_model *m, const struct portero_op *op,
    const struct portero_charge *charge)
{
	struct counter *c;

	m->counters = xrealloc(m->counters,
	    (m->ncounters + 1) * sizeof *m->counters);
	c = &m->counters[m->ncounters++];
	*c = (struct counter){ .scope = op->scope,
		.unit = charge->unit,
		.window_s = charge->window_s,
		.now = m->now_us / width_of(charge->window_s) };
	memcpy(c->key, op->key.ptr, op->key.len);
	memcpy(c->limit, charge->limit, sizeof c->limit);
	return c;
}

/* ---- charges ----------------------------------------------------------- */

/* Fills one charge; lasting moves are kept. */
static void
look(struct limit_model *m, const struct portero_op *op,
    struct portero_charge *charge)
{
	struct counter *c = counter_find(m, op, charge->limit, charge->unit);
	struct counter copy = { 0 };

	charge->used = 0;
	if (c != NULL) {
		copy = counter_copy(c);
		if (counter_look(m, &copy, charge->window_s))
			counter_look(m, c, charge->window_s);
		charge->used = counter_used(&copy);
	}
	charge->fits = charge->max == PORTERO_UNLIMITED ||
	    charge->amount <= charge->max - charge->used;
	if (charge->fits)
		charge->fits_at = m->now_us / SECOND;
	else if (charge->amount > charge->max)
		charge->fits_at = 0;
	else
		charge->fits_at = counter_fits_at(&copy,
		    charge->max - charge->amount);
	free(copy.charges);
}

static bool
look_all(struct limit_model *m, struct portero_op *op)
{
	bool fit = true;

	for (size_t i = 0; i < op->ncharges; i++) {
		look(m, op, &op->charges[i]);
		if (!op->charges[i].fits && !op->charges[i].monitor)
			fit = false;
	}
	return fit;
}

static struct reservation *
reservation_of(struct limit_model *m, const struct portero_op *op)
{
	struct reservation *r;

	for (size_t i = 0; i < m->nreservations; i++) {
		r = &m->reservations[i];
		if (r->scope == op->scope && is_key(r->key, op->key) &&
		    memcmp(r->txid, op->txid, sizeof r->txid) == 0)
			return r;
	}
	m->reservations = xrealloc(m->reservations,
	    (m->nreservations + 1) * sizeof *m->reservations);
	r = &m->reservations[m->nreservations++];
	*r = (struct reservation){ .scope = op->scope };
	memcpy(r->key, op->key.ptr, op->key.len);
	memcpy(r->txid, op->txid, sizeof r->txid);
	return r;
}

static void
take_one(struct limit_model *m, const struct portero_op *op,
    struct reservation *r, const struct portero_charge *charge)
{
	struct counter *c = counter_find(m, op, charge->limit, charge->unit);
	struct entry *e;
	int64_t bucket;

	if (c == NULL)
		c = counter_new(m, op, charge);
	counter_look(m, c, charge->window_s);
	c->max = charge->max;
	bucket = c->now;
	if (op->kind == PORTERO_OP_CHARGE)
		bucket = (m->now_us - op->age_us) / width_of(c->window_s);
	if (bucket < c->now - 60)
		return;
	r->entries = xrealloc(r->entries,
	    (r->nentries + 1) * sizeof *r->entries);
	e = &r->entries[r->nentries++];
	*e = (struct entry){ .unit = charge->unit,
		.id = counter_add(m, c, bucket, charge->amount),
		.amount = charge->amount };
	memcpy(e->limit, charge->limit, sizeof e->limit);
}

static enum portero_op_result
take(struct limit_model *m, struct portero_op *op)
{
	struct reservation *r = reservation_of(m, op);
	bool fit = look_all(m, op);

	if (r->settled)
		return PORTERO_OP_SETTLED;
	if (r->taken >> op->sequence & 1) {
		for (size_t i = 0; i < op->ncharges; i++) {
			int64_t *used = &op->charges[i].used;

			*used -= op->charges[i].amount;
			*used = *used < 0 ? 0 : *used;
		}
		return PORTERO_OP_DONE;
	}
	if (!fit && op->kind == PORTERO_OP_TAKE)
		return PORTERO_OP_REFUSED;
	r->taken |= UINT64_C(1) << op->sequence;
	for (size_t i = 0; i < op->ncharges; i++)
		take_one(m, op, r, &op->charges[i]);
	return PORTERO_OP_DONE;
}

/* ---- settle, report, reset --------------------------------------------- */

static bool
is_of(const struct entry *e, const struct counter *c)
{
	return e->unit == c->unit && strcmp(e->limit, c->limit) == 0;
}

static void
give_back(struct counter *c, const struct entry *e, int64_t amount)
{
	for (size_t i = 0; i < c->ncharges; i++)
		if (c->charges[i].id == e->id && e->id >= c->returnable)
			c->charges[i].amount -= amount;
}

static void
settle_counter(struct limit_model *m, const struct reservation *r,
    struct counter *c, int64_t actual)
{
	int64_t taken = 0, surplus;

	for (size_t i = 0; i < r->nentries; i++)
		if (is_of(&r->entries[i], c))
			taken += r->entries[i].amount;
	if (actual == taken)
		return;
	counter_look(m, c, c->window_s);
	if (actual > taken)
		counter_add(m, c, c->now, actual - taken);
	surplus = taken - actual;
	for (size_t i = r->nentries; i-- > 0 && surplus > 0;) {
		const struct entry *e = &r->entries[i];
		int64_t part = e->amount < surplus ? e->amount : surplus;

		if (!is_of(e, c))
			continue;
		give_back(c, e, part);
		surplus -= part;
	}
}

static enum portero_op_result
settle(struct limit_model *m, const struct portero_op *op)
{
	struct reservation *r = reservation_of(m, op);

	for (size_t i = 0; i < r->nentries && !r->settled; i++) {
		const struct entry *e = &r->entries[i];
		struct counter *c = counter_find(m, op, e->limit, e->unit);
		bool seen = false;

		for (size_t k = 0; k < i && c != NULL; k++)
			seen = seen || is_of(&r->entries[k], c);
		if (c != NULL && !seen)
			settle_counter(m, r, c, op->actual[c->unit]);
	}
	r->settled = true;
	return PORTERO_OP_DONE;
}

static uint32_t
count_open(const struct limit_model *m, const struct counter *c)
{
	uint32_t open = 0;

	for (size_t i = 0; i < m->nreservations; i++) {
		const struct reservation *r = &m->reservations[i];
		bool touches = false;

		if (r->scope != c->scope || strcmp(r->key, c->key) != 0)
			continue;
		for (size_t k = 0; k < r->nentries; k++)
			touches = touches || is_of(&r->entries[k], c);
		open += touches && !r->settled;
	}
	return open;
}

static void
report_counter(struct limit_model *m, const struct portero_op *op,
    const struct counter *counter)
{
	struct counter c = counter_copy(counter);
	struct portero_row row = { .size = sizeof row };

	counter_look(m, &c, c.window_s);
	memcpy(row.limit, c.limit, sizeof row.limit);
	row.key = (struct portero_str){ c.key, strlen(c.key) };
	row.unit = c.unit;
	row.max = c.max;
	row.used = counter_used(&c);
	row.window_s = c.window_s;
	for (size_t i = 0; i < c.ncharges; i++) {
		int64_t at = passes_at(c.charges[i].bucket, c.window_s);

		if (c.charges[i].amount > 0 && at > row.resets_at)
			row.resets_at = at;
	}
	row.open = count_open(m, &c);
	op->row(op->row_arg, &row);
	free(c.charges);
}

/* All in one step. */
static void
walk(struct limit_model *m, struct portero_op *op)
{
	for (size_t i = 0; i < m->ncounters; i++)
		if (m->counters[i].scope == op->scope)
			report_counter(m, op, &m->counters[i]);
	op->cursor = 0;
}

static void
report_or_reset(struct limit_model *m, const struct portero_op *op)
{
	for (size_t i = m->ncounters; i-- > 0;) {
		struct counter *c = &m->counters[i];

		if (c->scope != op->scope || !is_key(c->key, op->key))
			continue;
		if (op->kind == PORTERO_OP_REPORT) {
			report_counter(m, op, c);
		} else {
			free(c->charges);
			*c = m->counters[--m->ncounters];
		}
	}
}

int
limit_model_apply(void *ctx, struct portero_op *ops, size_t n)
{
	struct limit_model *m = ctx;

	for (struct portero_op *op = ops; op < ops + n; op++) {
		op->result = PORTERO_OP_DONE;
		switch (op->kind) {
		case PORTERO_OP_PEEK:
			look_all(m, op);
			break;
		case PORTERO_OP_TAKE:
		case PORTERO_OP_CHARGE:
			op->result = take(m, op);
			break;
		case PORTERO_OP_SETTLE:
			op->result = settle(m, op);
			break;
		case PORTERO_OP_REPORT:
		case PORTERO_OP_RESET:
			report_or_reset(m, op);
			break;
		case PORTERO_OP_WALK:
			walk(m, op);
			break;
		}
	}
	return 0;
}
