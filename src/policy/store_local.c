/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The host alone: what is left of each limit is judged by the mirror and the
 * journal, and what is let through is noted in the journal, before it is.
 *
 * A take whose fate is unknown is in the journal under the same txid: its
 * charge does nothing if the take came through, and its settle follows.
 */
#include "policy/store_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

#define SEQUENCES 64

static struct portero_key
owner_of(const struct store *s, const struct portero_op *op)
{
	uint8_t name[JOURNAL_KEY_MAX + 1];
	struct portero_key key = { .byte = { 0 } };
	size_t len = op->key.len;

	if (len > JOURNAL_KEY_MAX)
		len = JOURNAL_KEY_MAX;
	name[0] = (uint8_t)op->scope;
	if (len > 0)
		memcpy(name + 1, op->key.ptr, len);
	hash_sip128(s->plugin->host.key, name, len + 1, key.byte);
	return key;
}

static int64_t
bounded(int64_t n)
{
	return n < 0 ? 0 : n < STORE_AMOUNT_MAX ? n : STORE_AMOUNT_MAX;
}

/* When a charge that does not fit the host's part will; a guess, for the
 * store may be back before. */
static int64_t
part_fits_at(const struct store *s, const struct portero_charge *c, size_t i)
{
	int64_t wanted = bounded(s->sent[i]) + bounded(c->amount);

	if (wanted <= c->max / s->hosts)
		return mirror_fits_at(s->mirror, i, wanted * s->hosts, c->max);
	return clock_wall_s() + c->window_s + c->window_s / 60 + 1;
}

/* Fills one charge from the mirror and the journal. */
static void
judge_charge(const struct store *s, struct portero_charge *c, size_t i)
{
	int64_t used = bounded(s->known[i]) + bounded(s->sent[i]);
	int64_t left;

	c->used = used;
	c->fits = true;
	c->fits_at = clock_wall_s();
	if (c->max == PORTERO_UNLIMITED || s->mode == STORE_ALLOW)
		return;
	left = c->max > s->known[i] ? (c->max - s->known[i]) / s->hosts : 0;
	left = left > s->sent[i] ? left - s->sent[i] : 0;
	c->used = c->max - left;
	c->fits = c->amount <= left;
	if (c->fits)
		return;
	c->fits_at = c->amount > c->max ? 0 : part_fits_at(s, c, i);
	/* Perhaps only the hosts' parts are in the way. */
	if (bounded(c->amount) + used <= c->max)
		c->reply = PORTERO_REPLY_TEMPORARY;
}

/* Fills all charges. *fit: all that are not in monitor mode do. -1: what is
 * left cannot be told. The journal is locked. */
static int
judge_charges(struct store *s, const struct portero_key *owner,
    struct portero_op *op, bool *fit)
{
	int known;

	*fit = true;
	if (op->ncharges > MIRROR_CHARGES)
		return -1;
	journal_look(s->journal, owner, op->charges, op->ncharges, s->sent);
	known = mirror_look(s->mirror, owner, op->charges, op->ncharges,
	    s->known);
	if (s->mode != STORE_ALLOW &&
	    (known == -1 ||
		((size_t)known < op->ncharges &&
		    clock_wall_s() <
			atomic_load(&s->state->unknown_until_s))))
		return -1;
	for (size_t i = 0; i < op->ncharges; i++) {
		struct portero_charge *c = &op->charges[i];

		judge_charge(s, c, i);
		if (!c->fits && !c->monitor)
			*fit = false;
	}
	return 0;
}

static void
entry_start(struct journal_entry *e, const struct portero_key *owner,
    const struct portero_op *op)
{
	memset(e, 0, sizeof *e);
	e->owner = *owner;
	memcpy(e->txid, op->txid, sizeof e->txid);
	e->at_us = clock_wall_us();
	if (op->kind == PORTERO_OP_CHARGE)
		e->at_us -= op->age_us;
	e->scope = op->scope;
	e->nmessages = 1;
	e->key_len = (uint32_t)op->key.len;
	if (op->key.len > 0)
		memcpy(e->key, op->key.ptr, op->key.len);
}

/* -1: more charges than an entry holds. */
static int
entry_add(struct journal_entry *e, const struct portero_charge *c)
{
	struct journal_charge *to = e->charges;
	struct journal_charge *end = e->charges + e->ncharges;

	while (to < end && (to->unit != (uint32_t)c->unit ||
	    strncmp(to->limit, c->limit, sizeof to->limit) != 0))
		to++;
	if (to == end) {
		if (e->ncharges == JOURNAL_CHARGES)
			return -1;
		e->ncharges++;
		memcpy(to->limit, c->limit, sizeof to->limit);
		to->unit = (uint32_t)c->unit;
	}
	to->max = c->max;
	to->window_s = c->window_s;
	to->amount = bounded(to->amount + bounded(c->amount));
	return 0;
}

/* The message takes in the journal. -1: no room. */
static int
entry_take(struct store *s, const struct portero_op *op)
{
	struct journal_entry *e = &s->entry;

	e->sequences |= UINT64_C(1) << op->sequence;
	if (e->lifetime_s < op->lifetime_s)
		e->lifetime_s = op->lifetime_s;
	for (size_t i = 0; i < op->ncharges; i++)
		if (entry_add(e, &op->charges[i]) == -1) {
			journal_unlock(s->journal);
			return -1;
		}
	return journal_save(s->journal, e);
}

/* Nothing is let through; but the store may have the take, so its end must
 * follow. */
static enum portero_op_result
refuse_here(struct store *s, const struct portero_op *op, bool may_stand)
{
	struct journal_entry *e = &s->entry;

	if (!may_stand) {
		journal_unlock(s->journal);
		return PORTERO_OP_REFUSED;
	}
	e->sequences |= UINT64_C(1) << op->sequence;
	e->lifetime_s = op->lifetime_s;
	e->settled = 1;
	return journal_save(s->journal, e) == -1 ? PORTERO_OP_NONE :
						   PORTERO_OP_REFUSED;
}

static enum portero_op_result
take_here(struct store *s, struct portero_op *op, bool may_stand)
{
	enum portero_op_result failed = may_stand ? PORTERO_OP_NONE :
						    PORTERO_OP_FAILED;
	struct portero_key owner = owner_of(s, op);
	const struct journal_entry *old;
	bool fit;

	if (op->key.len > JOURNAL_KEY_MAX || op->sequence >= SEQUENCES ||
	    journal_lock(s->journal, &owner) == -1)
		return failed;
	old = journal_find(s->journal, &owner, op->txid);
	if (old != NULL)
		s->entry = *old;
	else
		entry_start(&s->entry, &owner, op);
	if (judge_charges(s, &owner, op, &fit) == -1) {
		journal_unlock(s->journal);
		return failed;
	}
	if (s->entry.settled || (s->entry.sequences >> op->sequence & 1) != 0) {
		journal_unlock(s->journal);
		return s->entry.settled ? PORTERO_OP_SETTLED : PORTERO_OP_DONE;
	}
	s->entry.may_stand |= may_stand;
	if (!fit && op->kind == PORTERO_OP_TAKE)
		return refuse_here(s, op, may_stand);
	if (entry_take(s, op) == 0) {
		store_count(s, COUNTER_STORE_LOCAL, 1);
		return PORTERO_OP_DONE;
	}
	store_complain(s, "no room to note what is sent while the store is "
	    "away: `local_entries` are in use");
	return s->mode == STORE_ALLOW && !may_stand ? PORTERO_OP_DONE : failed;
}

static enum portero_op_result
peek_here(struct store *s, struct portero_op *op)
{
	struct portero_key owner = owner_of(s, op);
	bool fit;
	int ret;

	if (journal_lock(s->journal, &owner) == -1)
		return PORTERO_OP_NONE;
	ret = judge_charges(s, &owner, op, &fit);
	journal_unlock(s->journal);
	return ret == -1 ? PORTERO_OP_NONE : PORTERO_OP_DONE;
}

/* Is nothing of it left that the store would have to hear? */
static bool
is_void(const struct journal_entry *e)
{
	for (int unit = 0; unit < PORTERO_NUNITS; unit++)
		if (e->actual[unit] > 0)
			return false;
	return !e->told && !e->may_stand && (e->sequences & 1) != 0;
}

/* false: the journal has no entry of that txid. NONE: it may have one, the
 * settle is asked again. */
bool
store_settle_here(struct store *s, struct portero_op *op)
{
	struct portero_key owner = owner_of(s, op);
	const struct journal_entry *old;
	struct journal_entry *e = &s->entry;

	op->result = PORTERO_OP_NONE;
	if (!journal_any(s->journal))
		return false;
	if (journal_lock(s->journal, &owner) == -1)
		return true;
	old = journal_find(s->journal, &owner, op->txid);
	if (old == NULL || old->settled) {
		journal_unlock(s->journal);
		if (old != NULL)
			op->result = PORTERO_OP_DONE;
		return old != NULL;
	}
	*e = *old;
	e->settled = 1;
	for (int unit = 0; unit < PORTERO_NUNITS; unit++)
		e->actual[unit] = bounded(op->actual[unit]);
	for (uint32_t i = 0; i < e->ncharges; i++)
		if (e->charges[i].amount > e->actual[e->charges[i].unit])
			e->charges[i].amount = e->actual[e->charges[i].unit];
	if (is_void(e))
		journal_remove(s->journal, e);
	else if (!journal_join(s->journal, e))
		journal_save(s->journal, e); /* it has its place already */
	op->result = PORTERO_OP_DONE;
	return true;
}

/* may_stand: the store was asked and may have done it. */
void
store_answer_here(struct store *s, struct portero_op *op, bool may_stand)
{
	op->result = PORTERO_OP_NONE;
	if (op->kind == PORTERO_OP_SETTLE) {
		/* what the store has taken it must settle: asked again */
		(void)store_settle_here(s, op);
	} else if (store_is_take(op)) {
		if (s->mode != STORE_DEFER)
			op->result = take_here(s, op, may_stand);
		else if (!may_stand)
			op->result = PORTERO_OP_FAILED;
	} else if (op->kind == PORTERO_OP_PEEK && s->mode != STORE_DEFER) {
		op->result = peek_here(s, op);
	}
}

bool
store_has_entries(struct store *s, const struct portero_op *op)
{
	struct portero_key owner = owner_of(s, op);
	unsigned n;

	if (journal_lock(s->journal, &owner) == -1)
		return true; /* nobody knows */
	n = journal_look(s->journal, &owner, NULL, 0, NULL);
	journal_unlock(s->journal);
	return n > 0;
}

/* What the store's answer tells. */
void
store_note(struct store *s, const struct portero_op *op, int64_t asked_us)
{
	bool taken = store_is_take(op) && op->result == PORTERO_OP_DONE;
	struct portero_key owner = owner_of(s, op);
	int64_t until_s = 0;

	if (op->kind == PORTERO_OP_RESET)
		mirror_forget(s->mirror, &owner);
	if (op->ncharges == 0 || op->ncharges > MIRROR_CHARGES ||
	    s->mode == STORE_DEFER ||
	    mirror_note(s->mirror, &owner, op->charges, op->ncharges, taken,
		asked_us) == 0)
		return;
	for (size_t i = 0; i < op->ncharges; i++)
		if (op->charges[i].window_s > until_s)
			until_s = op->charges[i].window_s;
	until_s += until_s / 60 + 1 + clock_wall_s();
	if (atomic_load(&s->state->unknown_until_s) < until_s)
		atomic_store(&s->state->unknown_until_s, until_s);
	store_complain(s, "no room to know what is used should the store be "
	    "away: `local_entries` are in use");
}
