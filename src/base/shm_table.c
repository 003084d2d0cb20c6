/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In the memory: a header, then for each shard its lock and counts, the heads
 * of its chains, its slots, its journal, and the slots' records.
 *
 * What must always hold:
 *   - `used`, key, expiry and record of a slot change only by carrying out a
 *     journal that is marked whole, except that an expired slot may be
 *     emptied (one store). So the slots are right, or the journal repairs
 *     them.
 *   - Chains, free list, `high` and `earliest` are derived from the slots and
 *     are made anew whenever an owner died.
 *   - What an earlier run left is checked (the journal) or derived anew
 *     (everything else that leads from one place to another).
 *
 * It is safe against the death of processes, not against the loss of power
 * under a mapped file: after that a record may be older than its neighbours.
 */
#include "base/shm_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define TABLE_MAGIC 0x50525442u
#define TABLE_FORMAT 1
#define NONE UINT32_MAX /* no slot */
#define CACHE_LINE 64
#define ALIGNMENT 16 /* of the whole table */

/* Tests include this file, kill the process at its steps, and wait less. */
#ifndef SHM_TABLE_STEP
#define SHM_TABLE_STEP() ((void)0)
#endif
#ifndef SHM_TABLE_LOCK_WAIT_NS /* a stopped owner must not stop everybody */
#define SHM_TABLE_LOCK_WAIT_NS 500000000L
#endif

struct table_header {
	_Atomic uint32_t magic; /* written last */
	uint32_t format;
	uint32_t layout, record_size, nrecords, nshards, max_saves;
};

struct shard {
	pthread_mutex_t lock;
	_Atomic uint32_t whole; /* the journal is to be carried out */
	uint32_t nplans;
	uint32_t free;     /* list of empty slots below high */
	uint32_t high;     /* slots from here on were never used */
	uint32_t unswept;  /* slots handed out since the last sweep */
	int64_t earliest;  /* no record expires before */
};

struct slot {
	struct portero_key key;
	int64_t expires_at;
	uint32_t used;
	uint32_t next; /* of the chain or of the free list */
};

/* One change of the journal; its record lies in shard_records(). */
struct plan {
	struct portero_key key;
	int64_t expires_at;
	uint32_t slot;
	uint32_t keep;  /* else the record is removed */
	uint32_t fresh; /* the slot was empty before */
	uint32_t unused;
};

/* Where things lie, from the numbers of the spec; offsets within a shard. */
struct geometry {
	uint32_t nslots, nheads, max_plans;
	size_t record_size, record_step;
	size_t heads, slots, plans, plan_records, records;
	size_t shard_size, size;
};

struct portero_table {
	struct portero_table_spec spec;
	struct geometry g;
	uint8_t *memory; /* borrowed */
	/* the locked shard, and its parts; NULL when none is */
	struct shard *shard;
	uint32_t *heads;
	struct slot *slots;
	struct plan *plans;
	int64_t now_s; /* when it was locked */
	bool overrun;  /* more was planned than the journal holds */
};

static size_t
aligned(size_t n)
{
	return (n + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

/* -1: numbers that cannot be. */
static int
geometry_set(struct geometry *g, const struct portero_table_spec *spec)
{
	if (spec->size < sizeof(*spec) || spec->record_size < 1 ||
	    spec->record_size > 4096 || spec->nrecords < 1 ||
	    spec->nrecords > 1u << 28 || spec->nshards < 1 ||
	    spec->nshards > 65536 || (spec->nshards & (spec->nshards - 1)) ||
	    spec->max_saves < 1 || spec->max_saves > 65536)
		return -1;
	g->nslots = (spec->nrecords + spec->nshards - 1) / spec->nshards;
	g->max_plans = spec->max_saves;
	for (g->nheads = 1; g->nheads < g->nslots; g->nheads *= 2)
		;
	g->record_size = spec->record_size;
	g->record_step = (g->record_size + 7) / 8 * 8;
	g->heads = aligned(sizeof(struct shard));
	g->slots = aligned(g->heads + g->nheads * sizeof(uint32_t));
	g->plans = aligned(g->slots + g->nslots * sizeof(struct slot));
	g->plan_records = g->plans + g->max_plans * sizeof(struct plan);
	g->records = g->plan_records + g->max_plans * g->record_step;
	g->shard_size = aligned(g->records + g->nslots * g->record_step);
	g->size = aligned(sizeof(struct table_header)) +
	    spec->nshards * g->shard_size;
	return 0;
}

size_t
shm_table_size(const struct portero_table_spec *spec)
{
	struct geometry g;

	return geometry_set(&g, spec) == 0 ? g.size : 0;
}

/* ---- slots and chains -------------------------------------------------- */

static void
shard_select(struct portero_table *t, uint32_t i)
{
	uint8_t *base = t->memory + aligned(sizeof(struct table_header)) +
	    i * t->g.shard_size;

	t->shard = (struct shard *)base;
	t->heads = (uint32_t *)(base + t->g.heads);
	t->slots = (struct slot *)(base + t->g.slots);
	t->plans = (struct plan *)(base + t->g.plans);
}

static uint8_t *
slot_record(const struct portero_table *t, uint32_t i)
{
	return (uint8_t *)t->shard + t->g.records + i * t->g.record_step;
}

static uint8_t *
plan_record(const struct portero_table *t, uint32_t i)
{
	return (uint8_t *)t->shard + t->g.plan_records + i * t->g.record_step;
}

/* Keys need not be hashes: all their bits are stirred. Shards and chains use
 * other factors, so that the keys of one shard fill all of its chains. */
#define FOLD_SHARD 0x9e3779b97f4a7c15u
#define FOLD_CHAIN 0xc2b2ae3d27d4eb4fu

static uint32_t
key_fold(const struct portero_key *key, uint64_t factor)
{
	uint64_t word[2];

	memcpy(word, key->byte, sizeof word);
	return (uint32_t)(((word[0] ^ word[1] << 32 ^ word[1] >> 32) *
	    factor) >> 32);
}

static bool
key_eq(const struct portero_key *a, const struct portero_key *b)
{
	return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

static uint32_t *
chain_of(const struct portero_table *t, const struct portero_key *key)
{
	return &t->heads[key_fold(key, FOLD_CHAIN) & (t->g.nheads - 1)];
}

static uint32_t
slot_find(const struct portero_table *t, const struct portero_key *key)
{
	uint32_t i = *chain_of(t, key);

	while (i != NONE && !key_eq(&t->slots[i].key, key))
		i = t->slots[i].next;
	return i;
}

static void
slot_link(struct portero_table *t, uint32_t i)
{
	uint32_t *head = chain_of(t, &t->slots[i].key);

	t->slots[i].next = *head;
	*head = i;
	if (t->slots[i].expires_at < t->shard->earliest)
		t->shard->earliest = t->slots[i].expires_at;
}

static void
slot_free(struct portero_table *t, uint32_t i)
{
	t->slots[i].used = 0;
	t->slots[i].next = t->shard->free;
	t->shard->free = i;
}

static void
slot_unlink(struct portero_table *t, uint32_t i)
{
	uint32_t *at = chain_of(t, &t->slots[i].key);

	while (*at != NONE && *at != i)
		at = &t->slots[*at].next;
	if (*at == i)
		*at = t->slots[i].next;
}

/* Everything that is derived from the slots. */
static void
shard_rebuild(struct portero_table *t)
{
	struct shard *s = t->shard;

	for (uint32_t i = 0; i < t->g.nheads; i++)
		t->heads[i] = NONE;
	s->free = NONE;
	s->unswept = 0;
	s->earliest = INT64_MAX;
	for (s->high = t->g.nslots; s->high > 0; s->high--)
		if (t->slots[s->high - 1].used)
			break;
	for (uint32_t i = s->high; i-- > 0;)
		if (t->slots[i].used)
			slot_link(t, i);
		else
			slot_free(t, i);
}

/* ---- the journal ------------------------------------------------------- */

/* Nothing written before moves behind the mark, nothing after in front. */
static void
journal_mark(struct shard *s, uint32_t whole)
{
	atomic_thread_fence(memory_order_seq_cst);
	atomic_store(&s->whole, whole);
	atomic_thread_fence(memory_order_seq_cst);
}

/* Brings one slot to what was planned; repeating it does no harm. */
static void
plan_carry_out(struct portero_table *t, uint32_t i)
{
	const struct plan *p = &t->plans[i];
	struct slot *slot = &t->slots[p->slot];

	if (p->keep) {
		SHM_TABLE_STEP();
		slot->key = p->key;
		slot->expires_at = p->expires_at;
		memcpy(slot_record(t, p->slot), plan_record(t, i),
		    t->g.record_size);
	}
	SHM_TABLE_STEP();
	slot->used = p->keep;
}

/* The last owner died: its changes are seen whole or not at all. */
static void
shard_repair(struct portero_table *t)
{
	struct shard *s = t->shard;

	if (atomic_load(&s->whole))
		for (uint32_t i = 0; i < s->nplans && i < t->g.max_plans; i++)
			if (t->plans[i].slot < t->g.nslots)
				plan_carry_out(t, i);
	SHM_TABLE_STEP();
	shard_rebuild(t);
	SHM_TABLE_STEP();
	journal_mark(s, 0);
	s->nplans = 0;
}

static int
plan_find(const struct portero_table *t, const struct portero_key *key)
{
	for (uint32_t i = 0; i < t->shard->nplans; i++)
		if (key_eq(&t->plans[i].key, key))
			return (int)i;
	return -1;
}

static bool
is_planned(const struct portero_table *t, uint32_t slot)
{
	for (uint32_t i = 0; i < t->shard->nplans; i++)
		if (t->plans[i].slot == slot)
			return true;
	return false;
}

/* Empties all slots that have expired. */
static void
shard_sweep(struct portero_table *t)
{
	struct shard *s = t->shard;

	s->unswept = 0;
	s->earliest = INT64_MAX;
	for (uint32_t i = 0; i < s->high; i++) {
		struct slot *slot = &t->slots[i];

		if (!slot->used)
			continue;
		if (slot->expires_at <= t->now_s && !is_planned(t, i)) {
			slot_unlink(t, i);
			slot_free(t, i);
		} else if (slot->expires_at < s->earliest) {
			s->earliest = slot->expires_at;
		}
	}
}

/* Room for a new record, or NONE. Sweeping before touching new memory keeps
 * the table small; not on every call keeps that cheap. */
static uint32_t
slot_take(struct portero_table *t)
{
	struct shard *s = t->shard;
	uint32_t i;

	if (s->free == NONE && s->earliest <= t->now_s &&
	    (s->high == t->g.nslots || s->unswept >= s->high / 2))
		shard_sweep(t);
	i = s->free;
	if (i != NONE)
		s->free = t->slots[i].next;
	else if (s->high < t->g.nslots)
		i = s->high++;
	if (i != NONE)
		s->unswept++;
	return i;
}

/* ---- opening ----------------------------------------------------------- */

static int
lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int error;

	error = pthread_mutexattr_init(&attr);
	if (error != 0)
		return error;
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	error = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return error;
}

/* For memory that nobody else uses: new, or left by an earlier run. */
static int
table_prepare(struct portero_table *t, char err[256])
{
	for (uint32_t i = 0; i < t->spec.nshards; i++) {
		int error;

		shard_select(t, i);
		memset(&t->shard->lock, 0, sizeof t->shard->lock);
		error = lock_init(&t->shard->lock);
		if (error != 0) {
			snprintf(err, 256, "a shared lock cannot be made: %s",
			    strerror(error));
			return -1;
		}
		shard_repair(t);
	}
	t->shard = NULL;
	return 0;
}

static bool
header_fits(const struct table_header *h, const struct portero_table_spec *spec)
{
	return atomic_load(&h->magic) == TABLE_MAGIC &&
	    h->format == TABLE_FORMAT && h->layout == spec->layout &&
	    h->record_size == spec->record_size &&
	    h->nrecords == spec->nrecords && h->nshards == spec->nshards &&
	    h->max_saves == spec->max_saves;
}

static void
header_set(struct table_header *h, const struct portero_table_spec *spec)
{
	h->format = TABLE_FORMAT;
	h->layout = spec->layout;
	h->record_size = spec->record_size;
	h->nrecords = spec->nrecords;
	h->nshards = spec->nshards;
	h->max_saves = spec->max_saves;
	atomic_store(&h->magic, TABLE_MAGIC);
}

static int
table_attach(struct portero_table *t, enum portero_share_state state,
    char err[256])
{
	struct table_header *header = (struct table_header *)t->memory;

	if (state != PORTERO_SHARE_NEW && !header_fits(header, &t->spec)) {
		snprintf(err, 256,
		    "its shared memory was written by another version; to "
		    "begin anew stop the server and remove its file from "
		    "state_dir");
		return -1;
	}
	switch (state) {
	case PORTERO_SHARE_IN_USE:
		return 0;
	case PORTERO_SHARE_KEPT:
		return table_prepare(t, err);
	case PORTERO_SHARE_NEW:
		if (table_prepare(t, err) == -1)
			return -1;
		header_set(header, &t->spec);
		return 0;
	case PORTERO_SHARE_NONE:
		break;
	}
	snprintf(err, 256, "the state of the shared memory is not known");
	return -1;
}

struct portero_table *
shm_table_open(void *memory, size_t bytes,
    const struct portero_table_spec *spec, enum portero_share_state state,
    char err[256])
{
	struct portero_table *t;
	struct geometry g;

	if (geometry_set(&g, spec) == -1) {
		snprintf(err, 256, "the table's sizes are not possible");
		return NULL;
	}
	if (memory == NULL || (uintptr_t)memory % ALIGNMENT != 0 ||
	    bytes < g.size) {
		snprintf(err, 256, "the table needs %zu bytes of shared memory "
		    "at a multiple of %d; it was given %zu at %p", g.size,
		    ALIGNMENT, bytes, memory);
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	t->spec = *spec;
	t->g = g;
	t->memory = memory;
	if (table_attach(t, state, err) == 0)
		return t;
	t->shard = NULL;
	shm_table_close(t);
	return NULL;
}

void
shm_table_close(struct portero_table *t)
{
	if (t != NULL && t->shard != NULL)
		shm_table_abort(t);
	free(t);
}

/* ---- transactions ------------------------------------------------------ */

int
shm_table_lock(struct portero_table *t, const struct portero_key *place)
{
	struct timespec until;
	int error;

	if (t->shard != NULL)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SHM_TABLE_LOCK_WAIT_NS;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;

	shard_select(t, key_fold(place, FOLD_SHARD) & (t->spec.nshards - 1));
	error = pthread_mutex_clocklock(&t->shard->lock, CLOCK_MONOTONIC,
	    &until);
	if (error == EOWNERDEAD) {
		shard_repair(t);
		error = pthread_mutex_consistent(&t->shard->lock);
	}
	if (error != 0) {
		t->shard = NULL;
		return -1;
	}
	t->now_s = clock_wall_s();
	return 0;
}

static void
shard_unlock(struct portero_table *t)
{
	t->shard->nplans = 0;
	t->overrun = false;
	pthread_mutex_unlock(&t->shard->lock);
	t->shard = NULL;
}

const void *
shm_table_find(struct portero_table *t, const struct portero_key *key)
{
	uint32_t slot;
	int plan;

	if (t->shard == NULL)
		return NULL;
	plan = plan_find(t, key);
	if (plan != -1)
		return t->plans[plan].keep ? plan_record(t, (uint32_t)plan)
		                           : NULL;
	slot = slot_find(t, key);
	if (slot == NONE || t->slots[slot].expires_at <= t->now_s)
		return NULL;
	return slot_record(t, slot);
}

/* The plan for a key, made if there is none; -1: no room. */
static int
plan_for(struct portero_table *t, const struct portero_key *key)
{
	int found = plan_find(t, key);
	struct plan *p;
	uint32_t slot;
	bool fresh;

	if (found != -1)
		return found;
	if (t->shard->nplans == t->g.max_plans)
		return -1;
	slot = slot_find(t, key);
	fresh = slot == NONE;
	if (fresh)
		slot = slot_take(t);
	if (slot == NONE)
		return -1;
	p = &t->plans[t->shard->nplans];
	*p = (struct plan){ .key = *key, .slot = slot, .fresh = fresh };
	return (int)t->shard->nplans++;
}

int
shm_table_save(struct portero_table *t, const struct portero_key *key,
    const void *record, int64_t expires_at)
{
	int plan;

	if (t->shard == NULL)
		return -1;
	plan = plan_for(t, key);
	if (plan == -1)
		return -1;
	t->plans[plan].expires_at = expires_at;
	t->plans[plan].keep = 1;
	memmove(plan_record(t, (uint32_t)plan), record, t->g.record_size);
	SHM_TABLE_STEP();
	return 0;
}

/* It cannot fail: a removal for which the journal has no room left makes the
 * commit do nothing. */
void
shm_table_remove(struct portero_table *t, const struct portero_key *key)
{
	int plan;

	if (t->shard == NULL || shm_table_find(t, key) == NULL)
		return;
	plan = plan_for(t, key);
	if (plan == -1)
		t->overrun = true;
	else
		t->plans[plan].keep = 0;
}

/* The slot of a plan that was carried out finds its chain. */
static void
plan_link(struct portero_table *t, const struct plan *p)
{
	if (p->keep && p->fresh) {
		slot_link(t, p->slot);
	} else if (p->keep) {
		if (p->expires_at < t->shard->earliest)
			t->shard->earliest = p->expires_at;
	} else {
		slot_unlink(t, p->slot);
		slot_free(t, p->slot);
	}
}

void
shm_table_commit(struct portero_table *t)
{
	if (t->shard == NULL)
		return;
	if (t->overrun) {
		shm_table_abort(t);
		return;
	}
	SHM_TABLE_STEP();
	journal_mark(t->shard, 1);
	for (uint32_t i = 0; i < t->shard->nplans; i++) {
		plan_carry_out(t, i);
		SHM_TABLE_STEP();
		plan_link(t, &t->plans[i]);
	}
	SHM_TABLE_STEP();
	journal_mark(t->shard, 0);
	SHM_TABLE_STEP();
	shard_unlock(t);
}

void
shm_table_abort(struct portero_table *t)
{
	if (t->shard == NULL)
		return;
	for (uint32_t i = 0; i < t->shard->nplans; i++)
		if (t->plans[i].fresh)
			slot_free(t, t->plans[i].slot);
	shard_unlock(t);
}

static void
each_slot(const struct portero_table *t, uint32_t from, uint32_t end,
    void (*each)(void *arg, const struct portero_key *, const void *record),
    void *arg)
{
	for (uint32_t i = from; i < end; i++) {
		const struct slot *slot = &t->slots[i];

		if (slot->used && slot->expires_at > t->now_s &&
		    !is_planned(t, i))
			each(arg, &slot->key, slot_record(t, i));
	}
}

void
shm_table_each(struct portero_table *t,
    void (*each)(void *arg, const struct portero_key *, const void *record),
    void *arg)
{
	if (t->shard == NULL)
		return;
	each_slot(t, 0, t->shard->high, each, arg);
	for (uint32_t i = 0; i < t->shard->nplans; i++)
		if (t->plans[i].keep)
			each(arg, &t->plans[i].key, plan_record(t, i));
}

uint32_t
shm_table_some(struct portero_table *t, uint32_t from, uint32_t places,
    void (*each)(void *arg, const struct portero_key *, const void *record),
    void *arg)
{
	uint32_t high;

	if (t->shard == NULL || from >= t->shard->high)
		return 0;
	high = t->shard->high;
	if (places < high - from)
		high = from + places;
	each_slot(t, from, high, each, arg);
	return high == t->shard->high ? 0 : high;
}
