/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Messages that were let through without the store: what they are to be
 * charged, and when they were sent. In memory that all policy workers share;
 * an entry is there from before its message is let through until the store
 * has it.
 *
 * Owners (a scope and its key) are spread over bins, each under one lock. An
 * owner with entries is judged by this host alone until they are with the
 * store: so what is in the journal and what the store counts never let
 * through the same room twice.
 */
#ifndef POLICY_JOURNAL_H
#define POLICY_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#define JOURNAL_BINS 16
#define JOURNAL_CHARGES 32 /* of one message and scope */
#define JOURNAL_KEY_MAX 320

struct journal_charge {
	char limit[32];
	int64_t amount, max;
	uint32_t window_s;
	uint32_t unit;
};

/* One message's takes from one owner; or, settled, of several that were sent
 * at about the same time. */
struct journal_entry {
	struct portero_key owner;
	uint8_t txid[16];
	int64_t at_us;      /* wall clock, of the first take */
	uint64_t sequences; /* bit n: sequence n was taken */
	int64_t actual[PORTERO_NUNITS]; /* settled: what it used */
	int64_t retry_at_s; /* the store would not have it before */
	uint32_t version;   /* another one with every change */
	uint32_t lifetime_s;
	uint32_t scope;
	uint32_t settled;
	uint32_t may_stand; /* the store was asked, and may have taken it */
	uint32_t nmessages; /* that it is of */
	uint32_t told;      /* the store was, or is being, told of it */
	uint32_t key_len;
	uint32_t ncharges;
	char key[JOURNAL_KEY_MAX];
	struct journal_charge charges[JOURNAL_CHARGES];
};

struct journal;

size_t journal_size(uint32_t entries);
/* NULL: reason in err. */
struct journal *journal_open(void *memory, size_t bytes, uint32_t entries,
    enum portero_share_state state, const uint8_t *hash_key, char err[256]);
void journal_close(struct journal **j);

/* May there be any entry? Without a lock, so cheap; false is certain. */
bool journal_any(const struct journal *j);

/* The owner's bin. find and look need its lock; save, join (if it does) and
 * remove need it and give it up, as unlock does. -1: no lock. */
int journal_lock(struct journal *j, const struct portero_key *owner);
void journal_unlock(struct journal *j);
/* NULL: no entry of that txid. Holds until the lock is given up. */
const struct journal_entry *journal_find(struct journal *j,
    const struct portero_key *owner, const uint8_t txid[16]);
/* What entries of the owner count now of each charge. Returns how many
 * entries the owner has. */
unsigned journal_look(struct journal *j, const struct portero_key *owner,
    const struct portero_charge *charges, size_t n, int64_t *used);
/* -1: no room. */
int journal_save(struct journal *j, struct journal_entry *e);
/* Adds a settled entry to another one of about the same time, so that who
 * sends much needs little room. false, still locked: there is none. */
bool journal_join(struct journal *j, const struct journal_entry *e);
void journal_remove(struct journal *j, const struct journal_entry *e);

/* Copies entries of a bin that are due; from then on they count as told. 0:
 * none are; *empty: there is none at all, and the bin is marked so. */
#define JOURNAL_BATCH 16
size_t journal_collect(struct journal *j, unsigned bin,
    struct journal_entry *to, size_t max, bool *empty);
/* How many messages are in it. */
size_t journal_count(struct journal *j);

#endif
