/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the policies want counted, scope by scope, and the operations on the
 * store that look at it, take it and settle it.
 *
 * What policies in monitor mode count has keys of its own (a name with
 * TALLY_MONITOR behind it), so that a trial never moves a limit that holds.
 */
#ifndef POLICY_TALLY_H
#define POLICY_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "ipc/question.h"
#include "policy/plugin.h"

#define TALLY_PAGE 64 /* charges of one scope */
#define TALLY_MONITOR " (monitor)"
#define TALLY_KEY_MAX 320
#define TALLY_OPS ((SETTLES_MAX + 1) * PORTERO_NSCOPES)

/* The charges of one scope. */
struct tally_page {
	size_t n;
	struct portero_charge charges[TALLY_PAGE];
	const struct plugin *owners[TALLY_PAGE]; /* borrowed */
};

struct tally {
	/* set once */
	const struct plugin *store; /* borrowed; NULL: none configured */
	struct str host_key;        /* of the HOST scope; borrowed */
	uint32_t lifetime_s;        /* of reservations */
	uint32_t tombstone_s;       /* of settles: till no take is under way */
	uint32_t scopes;            /* bits: used by policies that hold */
	uint32_t monitor_scopes;    /* by policies in monitor mode */
	/* of the pass that was opened */
	bool monitor;
	struct portero_str keys[PORTERO_NSCOPES];
	char monitor_keys[PORTERO_NSCOPES][TALLY_KEY_MAX];
	struct tally_page pages[PORTERO_NSCOPES];
	/* what the store is asked next: settles first */
	struct portero_op ops[TALLY_OPS];
	size_t nops;
	size_t nsettle_ops;
	uint32_t nsettles; /* waiting */
	uint32_t nsettled; /* done, from the first */
};

enum tally_result {
	TALLY_DONE = 1,
	TALLY_REFUSED, /* a charge that holds does not fit; nothing was taken */
	TALLY_FAILED   /* the store is away, or a settle came before the take */
};

/* A charge that was taken or looked at, and whose it is. */
struct tally_entry {
	const struct portero_charge *charge; /* NULL: none */
	const struct plugin *owner;
};

/* Begins a pass: whose counters the charges are. Empties the pages. The
 * strings are borrowed until the next tally_open(). */
void tally_open(struct tally *t, struct str id, struct str class_name,
    struct str domain, bool monitor);
/* The same for a login, of which only a typed name and a network are known. */
void tally_open_login(struct tally *t, struct str login, struct str network,
    bool monitor);
/* Forgets the charges, not the keys. */
void tally_clear(struct tally *t);
/* NULL, or what is wrong with the charge. */
const char *tally_add(struct tally *t, const struct plugin *owner,
    uint32_t owner_scopes, const struct portero_charge *c);
bool tally_is_empty(const struct tally *t);

/* Fills used, fits and fits_at of all. */
enum tally_result tally_peek(struct tally *t);
/* Takes all, person first. On refusal what was taken is given back, unless
 * it adds to a take that stands (sequence > 0). *stands: something of it is
 * taken, or may be. */
enum tally_result tally_take(struct tally *t, const uint8_t txid[TXID_LEN],
    uint32_t sequence, bool *stands);
/* Counts all at once: nothing refuses, nothing stays reserved. */
enum tally_result tally_charge(struct tally *t, const uint8_t txid[TXID_LEN]);
/* The charge that refuses longest: of the units in mask (1 << unit), and only
 * counted (monitor) or holding. */
struct tally_entry tally_worst(const struct tally *t, uint32_t units,
    bool monitor);

/* The charge that holds with the fewest recipients left; NULL: none limits
 * them. */
struct tally_entry tally_fewest_left(const struct tally *t, int64_t *left_r);
/* Sets the amount of all charges of recipients. */
void tally_set_recipients(struct tally *t, int64_t amount);
/* Bytes that all charges of bytes cover; INT64_MAX: nobody counts them. */
int64_t tally_bytes(const struct tally *t);

/* Queues settles: they go in front of the next operation. */
void tally_settle(struct tally *t, const struct settle *settles, uint32_t n);
/* Sends those that no operation took along. How many are done, from the
 * first. */
uint32_t tally_flush(struct tally *t);
/* The same settles in the monitor's books; opens a pass. */
void tally_settle_monitor(struct tally *t, const struct settle *settles,
    uint32_t n);

/* One other operation. -1: the store is away or does not know it. */
int tally_apply(struct tally *t, struct portero_op *op);

#endif
