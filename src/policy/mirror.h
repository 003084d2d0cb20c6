/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What this host knows of the counters of a remote store: for each one what
 * the store said last, less what has left the window since. In memory that
 * all policy workers share.
 *
 * What must always hold: it never knows less than the store said. What it
 * cannot take from newer or older buckets it takes from the oldest; what it
 * adds it adds to the newest; and an answer that another worker's newer one
 * has overtaken makes nothing smaller.
 */
#ifndef POLICY_MIRROR_H
#define POLICY_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#define MIRROR_CHARGES 64 /* of one call */

struct mirror;

size_t mirror_size(uint32_t entries);
/* NULL: reason in err. */
struct mirror *mirror_open(void *memory, size_t bytes, uint32_t entries,
    enum portero_share_state state, const uint8_t *hash_key, char err[256]);
void mirror_close(struct mirror **m);

/* The store has answered a question of asked_us about the owner's charges:
 * `used`, and with `taken` the amounts have been added to that. -1: no room,
 * or no lock. */
int mirror_note(struct mirror *m, const struct portero_key *owner,
    const struct portero_charge *charges, size_t n, bool taken,
    int64_t asked_us);
/* Fills used of all, 0 where nothing is known. Returns how many are known,
 * -1: no lock. */
int mirror_look(struct mirror *m, const struct portero_key *owner,
    const struct portero_charge *charges, size_t n, int64_t *used);
/* When amount (at most max) will fit charge i of the last look. */
int64_t mirror_fits_at(const struct mirror *m, size_t i, int64_t amount,
    int64_t max);
/* Forgets the owner's counters. */
void mirror_forget(struct mirror *m, const struct portero_key *owner);

#endif
