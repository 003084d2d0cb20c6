/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the shared table holds, one record each:
 *
 *   counter      of one owner (a scope and its key), limit and unit
 *   reservation  of one owner and txid: what open takes charged, and where;
 *                a long one goes on in further parts
 *   settled      a group of tombstones: txids whose settle was seen, so that
 *                a late take does nothing. Many to a record, for every
 *                message leaves one. A full table makes a tombstone of the
 *                reservation itself, so that open messages can be settled.
 *
 * All functions work on the locked table. What is read from it is checked:
 * it may be a file that outlived a power cut; an unsound record is absent.
 */
#ifndef STORE_MEMORY_BOOKS_H
#define STORE_MEMORY_BOOKS_H

#include <portero/plugin.h>

#include "counter.h"

#define BOOKS_LAYOUT 2
#define BOOKS_STEP 4096 /* records of one step of a walk: some milliseconds */
#define OWNER_NAME_LEN 64
#define PART_ENTRIES 24
#define MAX_PARTS 6
#define MAX_ENTRIES (PART_ENTRIES * MAX_PARTS) /* charges of one reservation */
#define SETTLED_IN_GROUP 39
/* every counter of a reservation, its parts, a tombstone */
#define MAX_SAVES (MAX_ENTRIES + MAX_PARTS + 1)

/* One charge of a reservation. A counter's key begins as its owner's key and
 * ends in `tail`. */
struct entry {
	uint64_t tail;
	int64_t amount;
	uint32_t epoch;
	uint32_t bucket : 31;
	uint32_t first : 1; /* no earlier entry of this counter */
};

struct counter_record {
	struct portero_key owner;
	char name[OWNER_NAME_LEN]; /* the owner's, perhaps cut; for people */
	char limit[32];
	int64_t max; /* as last taken with */
	int64_t expires_at;
	uint32_t unit;
	uint32_t scope;
	struct counter counter;
};

struct part_record {
	struct portero_key owner;
	uint64_t taken;     /* bit n: sequence n was taken */
	int64_t expires_at; /* of all parts; the table forgets them then */
	uint32_t nentries;  /* part 0: of all parts */
	uint32_t settled;   /* it is a tombstone: no group had room */
	struct entry entries[PART_ENTRIES];
};

struct settled_record {
	uint32_t n;
	uint32_t unused;
	int64_t expires_at[SETTLED_IN_GROUP];
	uint64_t tag[SETTLED_IN_GROUP];
};

enum record_kind { RECORD_COUNTER = 1, RECORD_PART, RECORD_SETTLED };

struct record {
	uint64_t kind;
	union {
		struct counter_record counter;
		struct part_record part;
		struct settled_record settled;
	};
};

/* A reservation in private memory. */
struct reservation {
	uint64_t taken;
	int64_t expires_at;
	uint32_t nentries;
	struct entry entries[MAX_ENTRIES];
};

struct books {
	const struct portero_host *host; /* borrowed */
	struct portero_table *table;     /* owned */
	uint32_t ngroups;                /* of tombstones */
	/* the operation in hand */
	struct portero_key owner;
	int64_t now_us, now_s; /* not negative */
};

size_t books_size(const struct portero_host *host, uint32_t nrecords);
/* -1: reason in err. */
int books_open(struct books *b, const struct portero_host *host,
    uint32_t nrecords, void *memory, size_t bytes,
    enum portero_share_state state, char err[256]);
void books_close(struct books *b);

/* Begins an operation on the owner's records: locks, reads the clock. */
int books_lock(struct books *b, enum portero_scope scope,
    struct portero_str key);
void books_commit(struct books *b);
void books_abort(struct books *b);
bool books_is_owner(const struct books *b, const struct portero_key *owner);
/* Forgets all counters of the owner, and unlocks. -1: others took the lock
 * before it was done. */
int books_reset(struct books *b);

struct portero_key books_counter_key(const struct books *b,
    const struct portero_charge *c);
struct portero_key books_entry_key(const struct books *b,
    const struct entry *e);
/* false: there is none. */
bool books_load_counter(const struct books *b, const struct portero_key *key,
    struct record *r);
int books_save_counter(const struct books *b, const struct portero_key *key,
    struct record *r, int64_t keep_until);

/* What all records of one txid are found by. */
struct portero_key books_txid_key(const struct books *b,
    const uint8_t txid[16]);
bool books_load_reservation(const struct books *b,
    const struct portero_key *txid_key, struct reservation *r);
int books_save_reservation(const struct books *b,
    const struct portero_key *txid_key, const struct reservation *r);
bool books_is_settled(const struct books *b,
    const struct portero_key *txid_key);
/* Puts a tombstone in the place of the reservation, which may be NULL: an
 * unknown one. -1: no room. */
int books_bury(const struct books *b, const struct portero_key *txid_key,
    const struct reservation *r, int64_t expires_at);

#endif
