/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A table for each bin, of one shard, so that all entries of an owner are
 * seen under one lock. A bin is marked before its first entry is saved and
 * unmarked under its lock when it is empty, so the mark is never missing.
 */
#include "policy/journal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/shm_table.h"

#define JOURNAL_LAYOUT 1
#define SECOND_US 1000000
#define JOIN_MAX_US (60 * SECOND_US)

/* In front of the tables. */
struct journal_marks {
	_Atomic uint32_t any; /* may be set without need */
	_Atomic uint32_t bin[JOURNAL_BINS];
};

#define MARKS_SIZE 128 /* keeps the tables aligned */
_Static_assert(sizeof(struct journal_marks) <= MARKS_SIZE, "the marks");
_Static_assert(sizeof(struct journal_entry) <= 4096, "a table's record");

struct journal {
	struct journal_marks *marks; /* borrowed */
	struct portero_table *tables[JOURNAL_BINS]; /* owned */
	uint8_t hash_key[HASH_KEY_LEN];
	unsigned locked; /* bin */
	/* of the look or collection in hand */
	const struct portero_key *owner; /* borrowed */
	const struct portero_charge *charges; /* borrowed */
	size_t ncharges;
	int64_t *used; /* borrowed */
	unsigned nentries;
	struct journal_entry *to; /* borrowed */
	size_t nto, max;
	int64_t now_us;
	const struct journal_entry *joining; /* borrowed */
	struct journal_entry joined;
	bool has_joined;
	size_t nmessages;
};

static struct portero_table_spec
spec_of(uint32_t entries)
{
	return (struct portero_table_spec){
		.size = sizeof(struct portero_table_spec),
		.layout = JOURNAL_LAYOUT,
		.record_size = sizeof(struct journal_entry),
		.nrecords = (entries + JOURNAL_BINS - 1) / JOURNAL_BINS,
		.nshards = 1,
		.max_saves = JOURNAL_BATCH,
	};
}

/* Of one bin, so that the next one is aligned. */
static size_t
bin_size(uint32_t entries)
{
	struct portero_table_spec spec = spec_of(entries);

	return (shm_table_size(&spec) + 63) / 64 * 64;
}

size_t
journal_size(uint32_t entries)
{
	return MARKS_SIZE + JOURNAL_BINS * bin_size(entries);
}

struct journal *
journal_open(void *memory, size_t bytes, uint32_t entries,
    enum portero_share_state state, const uint8_t *hash_key, char err[256])
{
	struct portero_table_spec spec = spec_of(entries);
	struct journal *j = xcalloc(1, sizeof *j);
	uint8_t *at = (uint8_t *)memory + MARKS_SIZE;

	if (bytes < journal_size(entries)) {
		snprintf(err, 256, "the journal has too little memory");
		free(j);
		return NULL;
	}
	j->marks = memory;
	memcpy(j->hash_key, hash_key, sizeof j->hash_key);
	for (int i = 0; i < JOURNAL_BINS; i++) {
		j->tables[i] = shm_table_open(at, bin_size(entries), &spec,
		    state, err);
		if (j->tables[i] == NULL) {
			journal_close(&j);
			return NULL;
		}
		at += bin_size(entries);
	}
	return j;
}

void
journal_close(struct journal **j)
{
	if (*j == NULL)
		return;
	for (int i = 0; i < JOURNAL_BINS; i++)
		if ((*j)->tables[i] != NULL)
			shm_table_close((*j)->tables[i]);
	free(*j);
	*j = NULL;
}

static unsigned
bin_of(const struct portero_key *owner)
{
	return owner->byte[0] % JOURNAL_BINS;
}

static int
lock(struct journal *j, unsigned bin)
{
	static const struct portero_key place;

	j->locked = bin;
	return shm_table_lock(j->tables[bin], &place);
}

bool
journal_any(const struct journal *j)
{
	return atomic_load(&j->marks->any) != 0;
}

int
journal_lock(struct journal *j, const struct portero_key *owner)
{
	return lock(j, bin_of(owner));
}

void
journal_unlock(struct journal *j)
{
	shm_table_abort(j->tables[j->locked]);
}

static struct portero_key
key_of(const struct journal *j, const struct portero_key *owner,
    const uint8_t txid[16])
{
	struct portero_key key = { .byte = { 0 } };
	uint8_t name[32];

	memcpy(name, owner->byte, 16);
	memcpy(name + 16, txid, 16);
	hash_sip128(j->hash_key, name, sizeof name, key.byte);
	return key;
}

/* It may be of a file that outlived a power cut. */
static bool
is_sound(const struct journal_entry *e)
{
	if (e->ncharges > JOURNAL_CHARGES || e->key_len > sizeof e->key ||
	    e->scope >= PORTERO_NSCOPES || e->sequences == 0)
		return false;
	for (uint32_t i = 0; i < e->ncharges; i++)
		if (e->charges[i].unit >= PORTERO_NUNITS)
			return false;
	return true;
}

const struct journal_entry *
journal_find(struct journal *j, const struct portero_key *owner,
    const uint8_t txid[16])
{
	struct portero_key key = key_of(j, owner, txid);
	const struct journal_entry *e =
	    shm_table_find(j->tables[j->locked], &key);

	return e != NULL && is_sound(e) ? e : NULL;
}

/* Until its whole bucket has left the window, as a store counts. */
static int64_t
passes_us(const struct journal_entry *e, uint32_t window_s)
{
	int64_t window_us = (int64_t)window_s * SECOND_US;

	return e->at_us + window_us + window_us / 60 + 1;
}

static void
look_at(void *arg, const struct portero_key *key, const void *record)
{
	const struct journal_entry *e = record;
	struct journal *j = arg;

	(void)key;
	if (memcmp(&e->owner, j->owner, sizeof e->owner) != 0 || !is_sound(e))
		return;
	j->nentries++;
	for (uint32_t i = 0; i < e->ncharges; i++) {
		const struct journal_charge *c = &e->charges[i];

		for (size_t k = 0; k < j->ncharges; k++)
			if (j->charges[k].unit == c->unit &&
			    strncmp(j->charges[k].limit, c->limit,
				sizeof c->limit) == 0 &&
			    passes_us(e, j->charges[k].window_s) > j->now_us)
				j->used[k] += c->amount;
	}
}

unsigned
journal_look(struct journal *j, const struct portero_key *owner,
    const struct portero_charge *charges, size_t n, int64_t *used)
{
	j->owner = owner;
	j->charges = charges;
	j->ncharges = n;
	j->used = used;
	j->nentries = 0;
	j->now_us = clock_wall_us();
	for (size_t i = 0; i < n; i++)
		used[i] = 0;
	if (atomic_load(&j->marks->bin[j->locked]) != 0)
		shm_table_each(j->tables[j->locked], look_at, j);
	return j->nentries;
}

static int64_t
expires_at(const struct journal_entry *e)
{
	int64_t last = e->at_us / SECOND_US + e->lifetime_s + 1;

	for (uint32_t i = 0; i < e->ncharges; i++) {
		int64_t at = passes_us(e, e->charges[i].window_s) / SECOND_US;

		if (at + e->lifetime_s + 1 > last)
			last = at + e->lifetime_s + 1;
	}
	return last;
}

int
journal_save(struct journal *j, struct journal_entry *e)
{
	struct portero_table *table = j->tables[j->locked];
	struct portero_key key = key_of(j, &e->owner, e->txid);

	e->version++;
	if (shm_table_save(table, &key, e, expires_at(e)) == -1) {
		shm_table_abort(table);
		return -1;
	}
	atomic_store(&j->marks->bin[j->locked], 1);
	atomic_store(&j->marks->any, 1);
	shm_table_commit(table);
	return 0;
}

/* The same limits? */
static bool
is_alike(const struct journal_entry *a, const struct journal_entry *b)
{
	if (a->ncharges != b->ncharges)
		return false;
	for (uint32_t i = 0; i < a->ncharges; i++)
		if (a->charges[i].unit != b->charges[i].unit ||
		    a->charges[i].window_s != b->charges[i].window_s ||
		    strncmp(a->charges[i].limit, b->charges[i].limit,
			sizeof a->charges[i].limit) != 0)
			return false;
	return true;
}

/* So near that no store tells them apart by more than a bucket. */
static int64_t
joins_within_us(const struct journal_entry *e)
{
	int64_t within = JOIN_MAX_US;

	for (uint32_t i = 0; i < e->ncharges; i++) {
		int64_t width = (int64_t)e->charges[i].window_s * SECOND_US /
		    60;

		if (width < within)
			within = width;
	}
	return within;
}

/* Whole and nowhere but here. */
static bool
is_own(const struct journal_entry *e)
{
	return e->settled && !e->told && !e->may_stand &&
	    (e->sequences & 1) != 0;
}

static void
try_join(void *arg, const struct portero_key *key, const void *record)
{
	const struct journal_entry *e = record;
	struct journal *j = arg;
	const struct journal_entry *with = j->joining;
	int64_t apart = e->at_us - with->at_us;

	(void)key;
	if (j->has_joined || !is_sound(e) || !is_own(e) ||
	    memcmp(&e->owner, &with->owner, sizeof e->owner) != 0 ||
	    memcmp(e->txid, with->txid, sizeof e->txid) == 0 ||
	    (apart < 0 ? -apart : apart) > joins_within_us(with) ||
	    !is_alike(e, with))
		return;
	j->joined = *e;
	j->has_joined = true;
}

bool
journal_join(struct journal *j, const struct journal_entry *e)
{
	struct portero_table *table = j->tables[j->locked];
	struct portero_key key = key_of(j, &e->owner, e->txid);
	struct journal_entry *to = &j->joined;

	j->joining = e;
	j->has_joined = false;
	if (is_own(e))
		shm_table_each(table, try_join, j);
	if (!j->has_joined)
		return false;
	if (to->at_us < e->at_us)
		to->at_us = e->at_us; /* counted longer rather than shorter */
	for (uint32_t i = 0; i < e->ncharges; i++)
		to->charges[i].amount += e->charges[i].amount;
	for (int unit = 0; unit < PORTERO_NUNITS; unit++)
		to->actual[unit] += e->actual[unit];
	to->nmessages += e->nmessages;
	shm_table_remove(table, &key);
	journal_save(j, to); /* it has its place: this does not fail */
	return true;
}

void
journal_remove(struct journal *j, const struct journal_entry *e)
{
	struct portero_table *table = j->tables[j->locked];
	struct portero_key key = key_of(j, &e->owner, e->txid);

	shm_table_remove(table, &key);
	shm_table_commit(table);
}

static void
collect_one(void *arg, const struct portero_key *key, const void *record)
{
	const struct journal_entry *e = record;
	struct journal *j = arg;

	(void)key;
	j->nentries++;
	j->nmessages += e->nmessages;
	if (j->nto < j->max && is_sound(e) &&
	    e->retry_at_s * SECOND_US <= j->now_us)
		j->to[j->nto++] = *e;
}

/* What is told to the store must not grow behind its back. */
static void
mark_told(struct journal *j, struct portero_table *table)
{
	for (size_t i = 0; i < j->nto; i++) {
		struct journal_entry *e = &j->to[i];
		struct portero_key key = key_of(j, &e->owner, e->txid);

		if (e->told)
			continue;
		e->told = 1;
		shm_table_save(table, &key, e, expires_at(e));
	}
	shm_table_commit(table);
}

/* Under the lock of the last bin that was marked: sets it anew if there are
 * others. */
static void
unmark(struct journal *j, unsigned bin)
{
	atomic_store(&j->marks->bin[bin], 0);
	atomic_store(&j->marks->any, 0);
	for (int i = 0; i < JOURNAL_BINS; i++)
		if (atomic_load(&j->marks->bin[i]) != 0)
			atomic_store(&j->marks->any, 1);
}

size_t
journal_collect(struct journal *j, unsigned bin, struct journal_entry *to,
    size_t max, bool *empty)
{
	*empty = true;
	if (atomic_load(&j->marks->bin[bin]) == 0)
		return 0;
	*empty = false;
	if (lock(j, bin) == -1)
		return 0;
	j->to = to;
	j->nto = j->nentries = 0;
	j->nmessages = 0;
	j->max = max;
	j->now_us = clock_wall_us();
	shm_table_each(j->tables[bin], collect_one, j);
	if (j->nentries == 0) {
		*empty = true;
		unmark(j, bin);
	}
	mark_told(j, j->tables[bin]);
	return j->nto;
}

size_t
journal_count(struct journal *j)
{
	struct journal_entry none;
	size_t n = 0;
	bool empty;

	for (unsigned bin = 0; bin < JOURNAL_BINS; bin++) {
		journal_collect(j, bin, &none, 0, &empty);
		n += empty ? 0 : j->nmessages;
	}
	return n;
}
