/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ipc/crowd.h"

#include <string.h>

#define MINUTE 60
#define COUNT_MAX 0xffffu

void
crowd_name(struct crowd_name *n, const uint8_t key[HASH_KEY_LEN], char kind,
    const void *name, size_t len)
{
	uint8_t own[HASH_KEY_LEN], sum[16];

	memcpy(own, key, sizeof own);
	own[0] ^= (uint8_t)kind;
	hash_sip128(own, name, len, sum);
	memcpy(n->cell, sum, sizeof n->cell);
	for (int i = 0; i < CROWD_LINES; i++)
		n->cell[i] %= CROWD_CELLS;
}

/* ---- sheets ------------------------------------------------------------- */

static void
note_used(struct crowd *c, uint32_t nused)
{
	uint32_t was = atomic_load(&c->nused);

	while (was < nused &&
	       !atomic_compare_exchange_weak(&c->nused, &was, nused))
		continue;
}

struct crowd_sheet *
crowd_claim(struct crowd *c, uint32_t incarnation)
{
	for (uint32_t i = 0; i < CROWD_SHEETS; i++) {
		uint32_t nobody = 0;

		if (!atomic_compare_exchange_strong(&c->sheets[i].owner,
			&nobody, incarnation))
			continue;
		note_used(c, i + 1);
		return &c->sheets[i];
	}
	return NULL;
}

void
crowd_retire(struct crowd *c, uint32_t incarnation)
{
	for (uint32_t i = 0; i < atomic_load(&c->nused); i++) {
		struct crowd_sheet *s = &c->sheets[i];

		if (atomic_load(&s->owner) != incarnation)
			continue;
		memset(s->cells, 0, sizeof s->cells);
		atomic_store(&s->owner, 0);
	}
}

/* ---- counting ----------------------------------------------------------- */

static uint32_t
minute_of(int64_t now_s)
{
	return (uint32_t)(now_s / MINUTE);
}

/* What came in that minute. */
static uint32_t
came_in(const struct crowd_cell *cell, uint32_t minute)
{
	uint32_t word = atomic_load_explicit(&cell->came[minute % 2],
	    memory_order_relaxed);

	return word >> 16 == (minute & COUNT_MAX) ? word & COUNT_MAX : 0;
}

/* Only the owner writes: no two steps can come between each other. */
static void
cell_add(_Atomic uint32_t *to, uint32_t n)
{
	atomic_store_explicit(to,
	    atomic_load_explicit(to, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

void
crowd_enter(struct crowd_sheet *s, const struct crowd_name *n, int64_t now_s)
{
	uint32_t minute = minute_of(now_s);

	for (int i = 0; i < CROWD_LINES; i++) {
		struct crowd_cell *cell = &s->cells[i][n->cell[i]];
		uint32_t came = came_in(cell, minute);

		cell_add(&cell->here, 1);
		if (came < COUNT_MAX)
			came++;
		atomic_store_explicit(&cell->came[minute % 2],
		    (minute & COUNT_MAX) << 16 | came, memory_order_relaxed);
	}
}

void
crowd_leave(struct crowd_sheet *s, const struct crowd_name *n)
{
	for (int i = 0; i < CROWD_LINES; i++)
		cell_add(&s->cells[i][n->cell[i]].here, (uint32_t)-1);
}

uint32_t
crowd_here(const struct crowd *c, const struct crowd_name *n)
{
	uint32_t least = UINT32_MAX, nused = atomic_load(&c->nused);

	for (int i = 0; i < CROWD_LINES; i++) {
		uint32_t sum = 0;

		for (uint32_t k = 0; k < nused; k++)
			sum += atomic_load_explicit(
			    &c->sheets[k].cells[i][n->cell[i]].here,
			    memory_order_relaxed);
		if (sum < least)
			least = sum;
	}
	return least;
}

uint32_t
crowd_came(const struct crowd *c, const struct crowd_name *n, int64_t now_s)
{
	uint32_t least = UINT32_MAX, nused = atomic_load(&c->nused);
	uint32_t minute = minute_of(now_s);
	uint32_t left = MINUTE - (uint32_t)(now_s % MINUTE);

	for (int i = 0; i < CROWD_LINES; i++) {
		uint32_t now = 0, before = 0;

		for (uint32_t k = 0; k < nused; k++) {
			const struct crowd_cell *cell =
			    &c->sheets[k].cells[i][n->cell[i]];

			now += came_in(cell, minute);
			before += came_in(cell, minute - 1);
		}
		now += (uint32_t)(((uint64_t)before * left + MINUTE - 1) / MINUTE);
		if (now < least)
			least = now;
	}
	return least;
}
