/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every operation is the plugin's or this host's. The host's are those that
 * the plugin failed, all while the store is away, and those of owners whose
 * entries are still in the journal.
 *
 * A take whose fate is unknown is in the journal under the same txid: its
 * charge does nothing if the take came through, and its settle follows.
 */
#include "policy/store.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "policy/host.h"
#include "policy/journal.h"
#include "policy/mirror.h"
#include "policy/plugin.h"
#include "policy/warning.h"

#define AGAIN_MS 1000 /* a store that is away is tried so often */
#define SLICE_MS 100  /* of charging the journal, then questions again */
#define LEASE_MS 2000 /* of whoever tends the store, should it die */
#define RETRY_S 60    /* of an entry that the store will not have */
#define COMPLAIN_EVERY_S 60
#define BATCH JOURNAL_BATCH
#define PROBE_LIFETIME_S 10
#define SEQUENCES 64
#define AMOUNT_MAX (INT64_C(1) << 53)

enum mode { MODE_LOCAL, MODE_DEFER, MODE_ALLOW }; /* as the option's choices */

/* Shared by the workers; of the master's life, but the counts. */
struct store_state {
	_Atomic uint32_t away;
	_Atomic int64_t since_s;      /* wall clock, of `away` */
	_Atomic int64_t tend_at_ns;   /* monotonic */
	_Atomic int64_t unknown_until_s; /* the mirror had no room */
	_Atomic int64_t complained_at_s;
	_Atomic uint64_t charged;     /* messages, since it is back */
};

#define STATE_SIZE 128
_Static_assert(sizeof(struct store_state) <= STATE_SIZE, "the state");

struct store {
	const struct plugin *plugin; /* borrowed */
	struct shared *shared;       /* borrowed; NULL: count nothing */
	unsigned row;
	int64_t patience_ms;
	bool is_remote;
	enum mode mode;
	int64_t hosts;
	struct store_state *state;   /* borrowed, as what the others stand in */
	struct warner *warner;
	struct mirror *mirror;       /* NULL unless remote */
	struct journal *journal;     /* NULL unless remote */

	/* scratch */
	int64_t known[MIRROR_CHARGES], sent[MIRROR_CHARGES];
	struct journal_entry entry;
	struct journal_entry batch[BATCH];
	struct portero_op ops[2 * BATCH];
	struct portero_charge charges[BATCH][JOURNAL_CHARGES];
};

/* ---- opening ------------------------------------------------------------ */

static uint32_t
mirror_entries(const struct portero_conf *options)
{
	return (uint32_t)config_get_int(options, "local_entries");
}

/* A message takes the room of four counters. */
static uint32_t
journal_entries(const struct portero_conf *options)
{
	return mirror_entries(options) / 4;
}

static size_t
page_aligned(size_t n)
{
	return (n + 4095) / 4096 * 4096;
}

size_t
store_size(const struct portero_conf *options, bool is_remote)
{
	size_t size = page_aligned(STATE_SIZE + warner_size());

	if (is_remote)
		size += page_aligned(mirror_size(mirror_entries(options))) +
		    page_aligned(journal_size(journal_entries(options)));
	return size;
}

int
store_check(const struct portero_conf *options, struct error *err)
{
	return warner_check(options, err);
}

static void
state_init(struct store_state *state, enum portero_share_state share)
{
	if (share == PORTERO_SHARE_IN_USE)
		return;
	atomic_store(&state->away, 0);
	atomic_store(&state->tend_at_ns, 0);
	atomic_store(&state->since_s, clock_wall_s());
	atomic_store(&state->complained_at_s, 0);
}

/* The mirror and the journal stand behind the page of the others. */
static int
open_remote(struct store *s, uint8_t *memory, size_t bytes,
    enum portero_share_state state, char why[256])
{
	const struct portero_conf *options = s->plugin->module->options;
	size_t first = page_aligned(STATE_SIZE + warner_size());
	size_t second = first +
	    page_aligned(mirror_size(mirror_entries(options)));

	s->mode = (enum mode)config_get_int(options, "on_store_failure");
	s->hosts = config_get_int(options, "hosts");
	s->mirror = mirror_open(memory + first, second - first,
	    mirror_entries(options), state, s->plugin->host.key, why);
	if (s->mirror == NULL)
		return -1;
	s->journal = journal_open(memory + second, bytes - second,
	    journal_entries(options), state, s->plugin->host.key, why);
	return s->journal == NULL ? -1 : 0;
}

struct store *
store_open(const struct plugin *p, void *memory, size_t bytes,
    enum portero_share_state state, struct error *err)
{
	struct store *s = xcalloc(1, sizeof *s);
	char why[256] = "";

	s->plugin = p;
	s->patience_ms = STORE_PATIENCE_MS;
	s->is_remote = p->table->store->remote;
	s->state = memory;
	state_init(s->state, state);
	s->warner = warner_open(p->module->options,
	    (uint8_t *)memory + STATE_SIZE, warner_size(), state, why);
	if (s->warner == NULL ||
	    (s->is_remote &&
		open_remote(s, memory, bytes, state, why) == -1)) {
		error_set(err, ERROR_PERMANENT, "%s", why);
		store_close(&s);
	}
	return s;
}

void
store_close(struct store **s)
{
	if (*s == NULL)
		return;
	warner_close(&(*s)->warner);
	mirror_close(&(*s)->mirror);
	journal_close(&(*s)->journal);
	free(*s);
	*s = NULL;
}

void
store_start(struct store *s, struct shared *shared, unsigned row,
    int64_t question_ms)
{
	s->shared = shared;
	s->row = row;
	if (question_ms / 2 < s->patience_ms)
		s->patience_ms = question_ms / 2;
}

static void
count(struct store *s, enum counter c, uint64_t n)
{
	if (s->shared != NULL)
		shared_add(s->shared, s->row, c, n);
}

/* Says what keeps limits from working, but not with every message. */
static void
complain(struct store *s, const char *what)
{
	int64_t now_s = clock_wall_s();
	int64_t last = atomic_load(&s->state->complained_at_s);

	if (now_s - last < COMPLAIN_EVERY_S && now_s >= last)
		return;
	if (atomic_compare_exchange_strong(&s->state->complained_at_s, &last,
		now_s))
		log_say(LOG_LEVEL_ERROR, "store", "%s", what);
}

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

/* ---- away and back ------------------------------------------------------ */

static bool
is_away(const struct store *s)
{
	return atomic_load(&s->state->away) != 0;
}

static const char *
trouble(const struct store *s)
{
	const struct portero_store *table = s->plugin->table->store;
	const char *why = NULL;

	if (table->trouble != NULL)
		why = table->trouble(s->plugin->ctx);
	return why == NULL ? "it did not answer" : why;
}

static void
log_state(const struct store *s, enum log_level level, const char *state,
    const char *error, int64_t away_s, int64_t n)
{
	struct log_line l;

	log_begin(&l, level, "store");
	log_adds(&l, "state", state);
	log_adds(&l, "plugin", s->plugin->module->plugin);
	if (error != NULL)
		log_adds(&l, "error", error);
	if (away_s >= 0)
		log_addn(&l, "away_s", away_s);
	if (n >= 0)
		log_addn(&l, "n", n);
	log_end(&l);
}

/* Not always the same, so that hosts do not come at once. */
static int64_t
again_ns(void)
{
	uint8_t byte;

	id_random(&byte, 1);
	return clock_mono_ns() + (AGAIN_MS + byte) * CLOCK_NS_PER_MS;
}

static void
turn_away(struct store *s)
{
	uint32_t up = 0;

	atomic_store(&s->state->tend_at_ns, again_ns());
	if (!atomic_compare_exchange_strong(&s->state->away, &up, 1))
		return; /* another worker has said so */
	atomic_store(&s->state->since_s, clock_wall_s());
	count(s, COUNTER_STORE_OUTAGES, 1);
	log_state(s, LOG_LEVEL_ERROR, "away", trouble(s), -1, -1);
}

static void
turn_up(struct store *s)
{
	int64_t since_s = atomic_load(&s->state->since_s);
	uint32_t away = 1;

	if (!atomic_compare_exchange_strong(&s->state->away, &away, 0))
		return;
	atomic_store(&s->state->since_s, clock_wall_s());
	log_state(s, LOG_LEVEL_WARNING, "up", NULL, clock_wall_s() - since_s,
	    -1);
}

/* ---- asking the plugin -------------------------------------------------- */

static void
forget_results(struct portero_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].result = PORTERO_OP_NONE;
}

/* No longer than the patience; a store that did not even have that long is
 * not thought to be away. */
static int
ask(struct store *s, struct portero_op *ops, size_t n)
{
	bool was_hurried = host_hurry(s->patience_ms);
	int ret;

	forget_results(ops, n);
	ret = s->plugin->table->store->apply(s->plugin->ctx, ops, n);
	host_hurry_over();
	if (ret == -1 && was_hurried)
		turn_away(s);
	return ret;
}

static bool
is_take(const struct portero_op *op)
{
	return op->kind == PORTERO_OP_TAKE || op->kind == PORTERO_OP_CHARGE;
}

/* Done with figures that can be. */
static bool
is_answered(const struct portero_op *op)
{
	for (size_t i = 0; i < op->ncharges; i++)
		if (op->charges[i].used < 0)
			return false;
	switch (op->kind) {
	case PORTERO_OP_TAKE:
		return op->result == PORTERO_OP_DONE ||
		    op->result == PORTERO_OP_REFUSED ||
		    op->result == PORTERO_OP_SETTLED;
	case PORTERO_OP_SETTLE:
	case PORTERO_OP_CHARGE:
		return op->result == PORTERO_OP_DONE ||
		    op->result == PORTERO_OP_SETTLED;
	default:
		return op->result == PORTERO_OP_DONE;
	}
}

/* ---- the host alone ----------------------------------------------------- */

static int64_t
bounded(int64_t n)
{
	return n < 0 ? 0 : n < AMOUNT_MAX ? n : AMOUNT_MAX;
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
	if (c->max == PORTERO_UNLIMITED || s->mode == MODE_ALLOW)
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

/* Fills all charges. -1: what is left cannot be told. The journal is
 * locked. *has_entries: of the owner. */
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
	if (s->mode != MODE_ALLOW &&
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
		count(s, COUNTER_STORE_LOCAL, 1);
		return PORTERO_OP_DONE;
	}
	complain(s, "no room to note what is sent while the store is away: "
	    "`local_entries` are in use");
	return s->mode == MODE_ALLOW && !may_stand ? PORTERO_OP_DONE : failed;
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
static bool
settle_here(struct store *s, struct portero_op *op)
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
static void
answer_here(struct store *s, struct portero_op *op, bool may_stand)
{
	op->result = PORTERO_OP_NONE;
	if (op->kind == PORTERO_OP_SETTLE) {
		/* what the store has taken it must settle: asked again */
		(void)settle_here(s, op);
	} else if (is_take(op)) {
		if (s->mode != MODE_DEFER)
			op->result = take_here(s, op, may_stand);
		else if (!may_stand)
			op->result = PORTERO_OP_FAILED;
	} else if (op->kind == PORTERO_OP_PEEK && s->mode != MODE_DEFER) {
		op->result = peek_here(s, op);
	}
}

/* ---- one question ------------------------------------------------------- */

static bool
has_entries(struct store *s, const struct portero_op *op)
{
	struct portero_key owner = owner_of(s, op);
	unsigned n;

	if (journal_lock(s->journal, &owner) == -1)
		return true; /* nobody knows */
	n = journal_look(s->journal, &owner, NULL, 0, NULL);
	journal_unlock(s->journal);
	return n > 0;
}

/* true: the host must answer it, or did. */
static bool
is_ours(struct store *s, struct portero_op *op)
{
	if (is_away(s))
		return true;
	if (!journal_any(s->journal))
		return false;
	if (op->kind == PORTERO_OP_PEEK || is_take(op))
		return s->mode != MODE_DEFER && has_entries(s, op);
	return op->kind == PORTERO_OP_SETTLE && settle_here(s, op);
}

/* What the store's answer tells. */
static void
note(struct store *s, const struct portero_op *op, int64_t asked_us)
{
	bool taken = is_take(op) && op->result == PORTERO_OP_DONE;
	struct portero_key owner = owner_of(s, op);
	int64_t until_s = 0;

	if (op->kind == PORTERO_OP_RESET)
		mirror_forget(s->mirror, &owner);
	if (op->ncharges == 0 || op->ncharges > MIRROR_CHARGES ||
	    s->mode == MODE_DEFER ||
	    mirror_note(s->mirror, &owner, op->charges, op->ncharges, taken,
		asked_us) == 0)
		return;
	for (size_t i = 0; i < op->ncharges; i++)
		if (op->charges[i].window_s > until_s)
			until_s = op->charges[i].window_s;
	until_s += until_s / 60 + 1 + clock_wall_s();
	if (atomic_load(&s->state->unknown_until_s) < until_s)
		atomic_store(&s->state->unknown_until_s, until_s);
	complain(s, "no room to know what is used should the store be away: "
	    "`local_entries` are in use");
}

static void
ask_remote(struct store *s, struct portero_op *ops, size_t n)
{
	int64_t asked_us = clock_wall_us();

	ask(s, ops, n);
	for (size_t i = 0; i < n; i++) {
		struct portero_op *op = &ops[i];

		if (is_answered(op)) {
			note(s, op, asked_us);
			warner_look(s->warner, op);
		} else {
			answer_here(s, op,
			    is_take(op) && op->result != PORTERO_OP_FAILED);
		}
	}
}

int
store_apply(struct store *s, struct portero_op *ops, size_t n)
{
	size_t end;
	int ret;

	if (!s->is_remote) {
		ret = s->plugin->table->store->apply(s->plugin->ctx, ops, n);
		for (size_t i = 0; i < n; i++)
			warner_look(s->warner, &ops[i]);
		return ret;
	}
	forget_results(ops, n);
	for (size_t i = 0; i < n; i = end) {
		end = i;
		while (end < n && ops[end].result == PORTERO_OP_NONE &&
		    !is_ours(s, &ops[end]))
			end++;
		if (end > i)
			ask_remote(s, ops + i, end - i);
		else if (ops[end++].result == PORTERO_OP_NONE)
			answer_here(s, &ops[i], false);
	}
	return 0;
}

/* ---- charging the journal ----------------------------------------------- */

/* The operations that tell the store of an entry. Returns how many. */
static size_t
entry_ops(struct store *s, const struct journal_entry *e,
    struct portero_charge *charges, struct portero_op *ops)
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
	(void)s;
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
		count(s, COUNTER_STORE_CHARGED_LATE, e->nmessages);
	} else {
		e->retry_at_s = clock_wall_s() + RETRY_S;
		journal_save(s->journal, e);
		complain(s, "the store does not take what was sent while it "
		    "was away; it is tried again");
	}
}

/* false: the store is away, or has failed with all of it. */
static bool
charge_batch(struct store *s, size_t n)
{
	size_t nops[BATCH], at = 0, total = 0;
	int64_t asked_us = clock_wall_us();
	int ret;

	for (size_t i = 0; i < n; i++) {
		nops[i] = entry_ops(s, &s->batch[i], s->charges[i],
		    &s->ops[total]);
		total += nops[i];
	}
	ret = total == 0 ? 0 : ask(s, s->ops, total);
	for (size_t i = 0; i < n; i++) {
		bool done = true;

		for (size_t k = 0; k < nops[i]; k++, at++) {
			done = done && is_answered(&s->ops[at]);
			if (is_answered(&s->ops[at]))
				note(s, &s->ops[at], asked_us);
		}
		if (done || ret == 0)
			entry_told(s, &s->batch[i], done);
	}
	return ret == 0;
}

/* Until the slice is over. true: there may be more that is due. */
static bool
charge_journal(struct store *s)
{
	int64_t end_ns = clock_mono_ns() + SLICE_MS * CLOCK_NS_PER_MS;
	bool empty, all_empty = true;
	size_t n;

	for (unsigned bin = 0; bin < JOURNAL_BINS; bin++) {
		do {
			if (clock_mono_ns() > end_ns)
				return true;
			n = journal_collect(s->journal, bin, s->batch, BATCH,
			    &empty);
			if (n > 0 && !charge_batch(s, n))
				return false;
		} while (n > 0);
		all_empty = all_empty && empty;
	}
	n = atomic_exchange(&s->state->charged, 0);
	if (all_empty && n > 0)
		log_state(s, LOG_LEVEL_INFO, "charged", NULL, -1, (int64_t)n);
	else
		atomic_fetch_add(&s->state->charged, n);
	return false;
}

/* Writes something, for a store may be readable and yet of no use. */
static bool
probe(struct store *s)
{
	struct portero_charge c = { .size = sizeof c,
		.scope = PORTERO_HOST,
		.unit = PORTERO_MESSAGES,
		.limit = "probe",
		.max = PORTERO_UNLIMITED,
		.window_s = 1 };
	struct portero_op ops[2] = { { .size = sizeof *ops,
					 .kind = PORTERO_OP_TAKE,
					 .scope = PORTERO_HOST,
					 .key = { " probe", 6 },
					 .lifetime_s = PROBE_LIFETIME_S,
					 .charges = &c,
					 .ncharges = 1 } };

	id_random(ops[0].txid, sizeof ops[0].txid);
	ops[1] = ops[0];
	ops[1].kind = PORTERO_OP_SETTLE;
	ops[1].ncharges = 0;
	return ask(s, ops, 2) == 0 && is_answered(&ops[0]) &&
	    is_answered(&ops[1]);
}

static int64_t
tend(struct store *s)
{
	int64_t next_ns = again_ns();

	host_begin(clock_mono_ns() + 2 * STORE_PATIENCE_MS * CLOCK_NS_PER_MS,
	    STR(""));
	if (is_away(s) && probe(s))
		turn_up(s);
	if (!is_away(s) && charge_journal(s))
		next_ns = clock_mono_ns();
	host_end();
	return next_ns;
}

bool
store_needs_tending(const struct store *s)
{
	return s->is_remote && (is_away(s) || journal_any(s->journal));
}

int64_t
store_tend(struct store *s)
{
	int64_t due_ns, now_ns;

	if (!store_needs_tending(s))
		return 0;
	now_ns = clock_mono_ns();
	due_ns = atomic_load(&s->state->tend_at_ns);
	if (now_ns < due_ns)
		return due_ns;
	/* One worker does it; should that die, another one after a while. */
	if (!atomic_compare_exchange_strong(&s->state->tend_at_ns, &due_ns,
		now_ns + LEASE_MS * CLOCK_NS_PER_MS))
		return due_ns;
	due_ns = tend(s);
	atomic_store(&s->state->tend_at_ns, due_ns);
	return due_ns;
}

/* ---- status ------------------------------------------------------------- */

static void __attribute__((format(printf, 4, 5)))
rowf(void (*row)(void *arg, const char *name, const char *value), void *arg,
    const char *name, const char *format, ...)
{
	char value[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(value, sizeof value, format, ap);
	va_end(ap);
	row(arg, name, value);
}

static void
remote_status(struct store *s,
    void (*row)(void *arg, const char *name, const char *value), void *arg)
{
	static const char *const modes[] = { "local", "defer", "allow" };
	int64_t asked_ns = clock_mono_ns();
	bool is_there = !is_away(s) && probe(s);
	char since[24];

	clock_format(since, sizeof since, atomic_load(&s->state->since_s));
	rowf(row, arg, "state", "%s since %s", is_away(s) ? "away" : "up",
	    since);
	rowf(row, arg, "on_store_failure", "%s, hosts = %" PRId64,
	    modes[s->mode], s->hosts);
	if (is_there)
		rowf(row, arg, "latency", "%.1f ms",
		    (double)(clock_mono_ns() - asked_ns) / CLOCK_NS_PER_MS);
	rowf(row, arg, "to be charged", "%zu messages",
	    journal_count(s->journal));
	if (clock_wall_s() < atomic_load(&s->state->unknown_until_s))
		row(arg, "warning", "there was no room to know what all "
		    "persons have used: raise local_entries");
}

void
store_status(struct store *s,
    void (*row)(void *arg, const char *name, const char *value), void *arg)
{
	const struct portero_store *table = s->plugin->table->store;

	rowf(row, arg, "plugin", "%s %s", s->plugin->module->plugin,
	    s->plugin->table->version);
	if (s->is_remote)
		remote_status(s, row, arg);
	if (table->status == NULL || (s->is_remote && is_away(s)))
		return;
	host_hurry(s->patience_ms);
	if (table->status(s->plugin->ctx, row, arg) == -1)
		row(arg, "warning", trouble(s));
	host_hurry_over();
}
