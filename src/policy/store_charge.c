/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the host let through is charged, a batch at a time. The store may be
 * told of an entry as often as need be: a charge and a settle of a txid count
 * once.
 */
#include "policy/store_private.h"

#include <string.h>

#include "base/clock.h"

#define SLICE_MS 100 /* then questions again */
#define RETRY_S 60   /* of an entry that the store will not have */

/* The operations that tell the store of an entry. Returns how many. */
static size_t
entry_ops(const struct journal_entry *e, struct portero_charge *charges,
    struct portero_op *ops)
{
	int64_t age_us = clock_wall_us() - e->at_us;
	size_t n = 0;

	for (uint32_t i = 0; i < e->ncharges; i++) {
		const struct journal_charge *c = &e->charges[i];

		charges[i] = (struct portero_charge){ .size = sizeof *charges,
			.scope = (enum portero_scope)e->scope,
			.unit = (enum portero_unit)c->unit,
			.amount = c->amount,
			.max = c->max,
			.window_s = c->window_s };
		memcpy(charges[i].limit, c->limit, sizeof c->limit);
	}
	if (e->ncharges > 0)
		ops[n++].kind = PORTERO_OP_CHARGE;
	if (e->settled)
		ops[n++].kind = PORTERO_OP_SETTLE;
	for (size_t i = 0; i < n; i++) {
		struct portero_op *op = &ops[i];

		*op = (struct portero_op){ .size = sizeof *op,
			.kind = op->kind,
			.scope = (enum portero_scope)e->scope,
			.key = { e->key, e->key_len },
			.lifetime_s = e->lifetime_s };
		memcpy(op->txid, e->txid, sizeof op->txid);
		if (op->kind == PORTERO_OP_SETTLE) {
			memcpy(op->actual, e->actual, sizeof op->actual);
			continue;
		}
		op->charges = charges;
		op->ncharges = e->ncharges;
		op->age_us = age_us > 0 ? age_us : 0;
		op->sequence = (uint32_t)__builtin_ctzll(e->sequences);
	}
	return n;
}

/* The store has been told of an entry, or would not have it. One that was
 * changed meanwhile stays: what was told once does nothing the next time. */
static void
entry_told(struct store *s, struct journal_entry *e, bool done)
{
	const struct journal_entry *now;

	if (journal_lock(s->journal, &e->owner) == -1)
		return;
	now = journal_find(s->journal, &e->owner, e->txid);
	if (now == NULL || now->version != e->version) {
		journal_unlock(s->journal);
	} else if (done) {
		journal_remove(s->journal, e);
		atomic_fetch_add(&s->state->charged, e->nmessages);
		store_count(s, COUNTER_STORE_CHARGED_LATE, e->nmessages);
	} else {
		e->retry_at_s = clock_wall_s() + RETRY_S;
		journal_save(s->journal, e);
		store_complain(s, "the store does not take what was sent while "
		    "it was away; it is tried again");
	}
}

/* false: the store is away, or has failed with all of it. */
static bool
charge_batch(struct store *s, size_t n)
{
	size_t nops[JOURNAL_BATCH], at = 0, total = 0;
	int64_t asked_us = clock_wall_us();
	int ret;

	for (size_t i = 0; i < n; i++) {
		nops[i] = entry_ops(&s->batch[i], s->charges[i],
		    &s->ops[total]);
		total += nops[i];
	}
	ret = total == 0 ? 0 : store_ask(s, s->ops, total);
	for (size_t i = 0; i < n; i++) {
		bool done = true;

		for (size_t k = 0; k < nops[i]; k++, at++) {
			done = done && store_is_answered(&s->ops[at]);
			if (store_is_answered(&s->ops[at]))
				store_note(s, &s->ops[at], asked_us);
		}
		if (done || ret == 0)
			entry_told(s, &s->batch[i], done);
	}
	return ret == 0;
}

/* Until the slice is over. true: there may be more that is due. */
bool
store_charge_journal(struct store *s)
{
	int64_t end_ns = clock_mono_ns() + SLICE_MS * CLOCK_NS_PER_MS;
	bool empty, all_empty = true;
	size_t n;

	for (unsigned bin = 0; bin < JOURNAL_BINS; bin++) {
		do {
			if (clock_mono_ns() > end_ns)
				return true;
			n = journal_collect(s->journal, bin, s->batch,
			    JOURNAL_BATCH, &empty);
			if (n > 0 && !charge_batch(s, n))
				return false;
		} while (n > 0);
		all_empty = all_empty && empty;
	}
	n = atomic_exchange(&s->state->charged, 0);
	if (all_empty && n > 0)
		store_log_state(s, LOG_LEVEL_INFO, "charged", NULL, -1,
		    (int64_t)n);
	else
		atomic_fetch_add(&s->state->charged, n);
	return false;
}
