/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing with linear probing, at most three quarters full. A removal
 * moves later entries of the run back, so there are no tombstones. The table
 * shrinks again: a busy hour leaves nothing behind.
 */
#include "base/idmap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define MIN_SLOTS 16

struct slot {
	uint64_t id; /* 0: empty */
	void *value;
};

struct idmap {
	struct slot *slots; /* owned */
	size_t nslots;      /* a power of two */
	size_t count;
};

struct idmap *
idmap_new(void)
{
	struct idmap *m = xcalloc(1, sizeof *m);

	m->nslots = MIN_SLOTS;
	m->slots = xcalloc(m->nslots, sizeof *m->slots);
	return m;
}

void
idmap_free(struct idmap **m)
{
	if (*m == NULL)
		return;
	free((*m)->slots);
	free(*m);
	*m = NULL;
}

/* Where an id wants to be. Ids are ours, perhaps counters, so a multiplication
 * is enough to spread them. */
static size_t
home(const struct idmap *m, uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15u) >> 32) & (m->nslots - 1);
}

/* The slot that holds the id, or the empty one where it would go. */
static struct slot *
probe(const struct idmap *m, uint64_t id)
{
	size_t i = home(m, id);

	while (m->slots[i].id != 0 && m->slots[i].id != id)
		i = (i + 1) & (m->nslots - 1);
	return &m->slots[i];
}

static void
resize(struct idmap *m, size_t nslots)
{
	struct slot *old = m->slots;
	size_t nold = m->nslots;

	m->slots = xcalloc(nslots, sizeof *m->slots);
	m->nslots = nslots;
	for (size_t i = 0; i < nold; i++)
		if (old[i].id != 0)
			*probe(m, old[i].id) = old[i];
	free(old);
}

void
idmap_put(struct idmap *m, uint64_t id, void *value)
{
	struct slot *s;

	assert(id != 0 && value != NULL);
	if ((m->count + 1) * 4 > m->nslots * 3)
		resize(m, m->nslots * 2);
	s = probe(m, id);
	assert(s->id == 0);
	*s = (struct slot){ id, value };
	m->count++;
}

void *
idmap_get(const struct idmap *m, uint64_t id)
{
	return id == 0 ? NULL : probe(m, id)->value;
}

/* Empties slot i and closes the gap: an entry behind it may move there unless
 * its home lies between the gap and itself. */
static void
erase(struct idmap *m, size_t gap)
{
	size_t mask = m->nslots - 1, i = gap;

	for (;;) {
		i = (i + 1) & mask;
		if (m->slots[i].id == 0)
			break;
		if (((i - home(m, m->slots[i].id)) & mask) <
		    ((i - gap) & mask))
			continue;
		m->slots[gap] = m->slots[i];
		gap = i;
	}
	m->slots[gap] = (struct slot){ 0 };
}

void *
idmap_take(struct idmap *m, uint64_t id)
{
	void *value = idmap_get(m, id);

	if (value == NULL)
		return NULL;
	erase(m, (size_t)(probe(m, id) - m->slots));
	m->count--;
	if (m->nslots > MIN_SLOTS && m->count * 8 < m->nslots)
		resize(m, m->nslots / 2);
	return value;
}

size_t
idmap_count(const struct idmap *m)
{
	return m->count;
}
