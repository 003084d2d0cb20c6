/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How many of a kind are here, and how many came of late, over all session
 * workers: clients of an address, messages of a person. Each worker counts in
 * a sheet of its own, which nobody else writes; readers add the sheets up; the
 * master clears the sheet of a worker that has gone. So nothing is ever
 * locked, and a dead worker's clients are given back.
 *
 * A sheet is a count-min sketch under a keyed hash: each name counts in one
 * cell of each of two lines, and the smaller sum holds. It never says too few.
 * It says too many only for a name that meets crowded ones in both of its
 * cells, which nobody can arrange without the key.
 */
#ifndef IPC_CROWD_H
#define IPC_CROWD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

#define CROWD_LINES 2
#define CROWD_CELLS 4096
#define CROWD_SHEETS 256 /* workers of four generations at their largest */

struct crowd_cell {
	_Atomic uint32_t here;
	/* of even and of odd minutes: the minute's number in the upper half */
	_Atomic uint32_t came[2];
};

struct crowd_sheet {
	_Atomic uint32_t owner; /* incarnation of the worker; 0: free */
	struct crowd_cell cells[CROWD_LINES][CROWD_CELLS];
};

/* Part of struct shared; zeroed at first. */
struct crowd {
	_Atomic uint32_t nused; /* sheets behind these were never taken */
	struct crowd_sheet sheets[CROWD_SHEETS];
};

struct crowd_name {
	uint16_t cell[CROWD_LINES];
};

/* kind keeps apart names that are of different things. */
void crowd_name(struct crowd_name *n, const uint8_t key[HASH_KEY_LEN],
    char kind, const void *name, size_t len);

/* A sheet for a worker; NULL: all are taken. */
struct crowd_sheet *crowd_claim(struct crowd *c, uint32_t incarnation);
/* The worker has gone. */
void crowd_retire(struct crowd *c, uint32_t incarnation);

void crowd_enter(struct crowd_sheet *s, const struct crowd_name *n,
    int64_t now_s);
void crowd_leave(struct crowd_sheet *s, const struct crowd_name *n);
uint32_t crowd_here(const struct crowd *c, const struct crowd_name *n);
/* In the last minute: what came in the minute before counts by the part of it
 * that is still within. */
uint32_t crowd_came(const struct crowd *c, const struct crowd_name *n,
    int64_t now_s);

#endif
