/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A table of counters. All of one owner are in one shard, so that an answer
 * is noted whole.
 */
#include "policy/mirror.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/store_memory/counter.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/shm_table.h"

#define MIRROR_LAYOUT 1
#define NSHARDS 16

struct mirror_record {
	struct portero_key owner;
	int64_t noted_us; /* when the counter was written */
	struct counter counter;
};

struct mirror {
	struct portero_table *table; /* owned */
	uint8_t hash_key[HASH_KEY_LEN];
	/* of the last look */
	struct counter looked[MIRROR_CHARGES];
	/* of mirror_forget() */
	const struct portero_key *owner; /* borrowed */
	struct portero_key victims[MIRROR_CHARGES];
	size_t nvictims;
};

static struct portero_table_spec
spec_of(uint32_t entries)
{
	return (struct portero_table_spec){
		.size = sizeof(struct portero_table_spec),
		.layout = MIRROR_LAYOUT,
		.record_size = sizeof(struct mirror_record),
		.nrecords = entries,
		.nshards = NSHARDS,
		.max_saves = MIRROR_CHARGES,
	};
}

size_t
mirror_size(uint32_t entries)
{
	struct portero_table_spec spec = spec_of(entries);

	return shm_table_size(&spec);
}

struct mirror *
mirror_open(void *memory, size_t bytes, uint32_t entries,
    enum portero_share_state state, const uint8_t *hash_key, char err[256])
{
	struct portero_table_spec spec = spec_of(entries);
	struct mirror *m = xcalloc(1, sizeof *m);

	memcpy(m->hash_key, hash_key, sizeof m->hash_key);
	m->table = shm_table_open(memory, bytes, &spec, state, err);
	if (m->table == NULL)
		mirror_close(&m);
	return m;
}

void
mirror_close(struct mirror **m)
{
	if (*m == NULL)
		return;
	if ((*m)->table != NULL)
		shm_table_close((*m)->table);
	free(*m);
	*m = NULL;
}

/* The owner's key in front, the counter's own name behind. */
static struct portero_key
key_of(const struct mirror *m, const struct portero_key *owner,
    const struct portero_charge *c)
{
	struct portero_key key = *owner, hash;
	uint8_t name[sizeof c->limit + 1] = { 0 };

	memcpy(name, c->limit, strnlen(c->limit, sizeof c->limit));
	name[sizeof c->limit] = (uint8_t)c->unit;
	hash_sip128(m->hash_key, name, sizeof name, hash.byte);
	memcpy(key.byte + 8, hash.byte, 8);
	return key;
}

/* A copy of what is known, brought to now. false: nothing is. */
static bool
load(const struct mirror *m, const struct portero_key *key, uint32_t window_s,
    int64_t now_us, struct mirror_record *to)
{
	const struct mirror_record *r = shm_table_find(m->table, key);

	if (r == NULL || !counter_is_sound(&r->counter))
		return false;
	*to = *r;
	counter_advance(&to->counter, window_s, now_us);
	return true;
}

static int
note_one(struct mirror *m, const struct portero_key *owner,
    const struct portero_charge *c, int64_t used, int64_t asked_us,
    int64_t now_us)
{
	struct portero_key key = key_of(m, owner, c);
	struct counter_place place;
	struct mirror_record r;
	int64_t known;

	if (!load(m, &key, c->window_s, now_us, &r)) {
		if (used == 0)
			return 0;
		r.owner = *owner;
		r.noted_us = 0;
		counter_start(&r.counter, c->window_s, 0, now_us);
	}
	known = counter_used(&r.counter);
	if (used > known)
		counter_add(&r.counter, used - known, now_us, &place);
	else if (used < known && r.noted_us < asked_us)
		counter_cut(&r.counter, known - used);
	r.noted_us = now_us;
	return shm_table_save(m->table, &key, &r,
	    counter_passes_at(&r.counter));
}

static int64_t
bounded(int64_t n)
{
	return n < 0 ? 0 : n < COUNTER_BUCKET_MAX ? n : COUNTER_BUCKET_MAX;
}

int
mirror_note(struct mirror *m, const struct portero_key *owner,
    const struct portero_charge *charges, size_t n, bool taken,
    int64_t asked_us)
{
	int64_t now_us;

	assert(n <= MIRROR_CHARGES);
	if (shm_table_lock(m->table, owner) == -1)
		return -1;
	now_us = clock_wall_us(); /* under the lock: it only goes on */
	for (size_t i = 0; i < n; i++) {
		const struct portero_charge *c = &charges[i];
		int64_t used = bounded(c->used) +
		    (taken ? bounded(c->amount) : 0);

		if (note_one(m, owner, c, bounded(used), asked_us, now_us) ==
		    -1) {
			shm_table_abort(m->table);
			return -1;
		}
	}
	shm_table_commit(m->table);
	return 0;
}

int
mirror_look(struct mirror *m, const struct portero_key *owner,
    const struct portero_charge *charges, size_t n, int64_t *used)
{
	struct mirror_record r;
	int64_t now_us;
	int known = 0;

	assert(n <= MIRROR_CHARGES);
	if (shm_table_lock(m->table, owner) == -1)
		return -1;
	now_us = clock_wall_us();
	for (size_t i = 0; i < n; i++) {
		const struct portero_charge *c = &charges[i];
		struct portero_key key = key_of(m, owner, c);

		if (load(m, &key, c->window_s, now_us, &r))
			known++;
		else
			counter_start(&r.counter, c->window_s, 0, now_us);
		m->looked[i] = r.counter;
		used[i] = counter_used(&r.counter);
	}
	shm_table_abort(m->table);
	return known;
}

int64_t
mirror_fits_at(const struct mirror *m, size_t i, int64_t amount, int64_t max)
{
	return counter_fits_at(&m->looked[i], amount, max);
}

static void
find_victim(void *arg, const struct portero_key *key, const void *record)
{
	const struct mirror_record *r = record;
	struct mirror *m = arg;

	if (m->nvictims < MIRROR_CHARGES &&
	    memcmp(&r->owner, m->owner, sizeof r->owner) == 0)
		m->victims[m->nvictims++] = *key;
}

void
mirror_forget(struct mirror *m, const struct portero_key *owner)
{
	do {
		if (shm_table_lock(m->table, owner) == -1)
			return;
		m->owner = owner;
		m->nvictims = 0;
		shm_table_each(m->table, find_victim, m);
		for (size_t i = 0; i < m->nvictims; i++)
			shm_table_remove(m->table, &m->victims[i]);
		shm_table_commit(m->table);
	} while (m->nvictims == MIRROR_CHARGES);
}
