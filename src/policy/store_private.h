/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of store.c's family share: store.c (away and back, one
 * question), store_local.c (the host alone) and store_charge.c (what it let
 * through is charged).
 */
#ifndef POLICY_STORE_PRIVATE_H
#define POLICY_STORE_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "policy/journal.h"
#include "policy/mirror.h"
#include "policy/plugin.h"
#include "policy/store.h"

struct warner;

#define STORE_AMOUNT_MAX (INT64_C(1) << 53)

/* As the choices of on_store_failure. */
enum store_mode { STORE_LOCAL, STORE_DEFER, STORE_ALLOW };

/* Shared by the workers; of the master's life, but the counts. */
struct store_state {
	_Atomic uint32_t away;
	_Atomic int64_t since_s;      /* wall clock, of `away` */
	_Atomic int64_t tend_at_ns;   /* monotonic */
	_Atomic int64_t unknown_until_s; /* the mirror had no room */
	_Atomic int64_t complained_at_s;
	_Atomic uint64_t charged;     /* messages, since it is back */
};

struct store {
	const struct plugin *plugin; /* borrowed */
	struct shared *shared;       /* borrowed; NULL: count nothing */
	unsigned row;
	int64_t patience_ms;
	bool is_remote;
	enum store_mode mode;
	int64_t hosts;
	struct store_state *state;   /* borrowed, as what the others stand in */
	struct warner *warner;
	struct mirror *mirror;       /* NULL unless remote */
	struct journal *journal;     /* NULL unless remote */

	/* scratch */
	int64_t known[MIRROR_CHARGES], sent[MIRROR_CHARGES];
	struct journal_entry entry;
	struct journal_entry batch[JOURNAL_BATCH];
	struct portero_op ops[2 * JOURNAL_BATCH];
	struct portero_charge charges[JOURNAL_BATCH][JOURNAL_CHARGES];
};

void store_count(const struct store *s, enum counter c, uint64_t n);
/* Says what keeps limits from working, but not with every message. */
void store_complain(struct store *s, const char *what);
void store_log_state(const struct store *s, enum log_level level,
    const char *state, const char *error, int64_t away_s, int64_t n);
bool store_is_away(const struct store *s);
/* The plugin's apply(), no longer than the patience; -1 turns the store away,
 * unless it did not even have that long. */
int store_ask(struct store *s, struct portero_op *ops, size_t n);
bool store_is_take(const struct portero_op *op);
/* Done with figures that can be. */
bool store_is_answered(const struct portero_op *op);

/* ---- store_local.c ---- */

/* The owner of an operation has entries in the journal, or nobody knows. */
bool store_has_entries(struct store *s, const struct portero_op *op);
/* What the host makes of an operation. may_stand: the store was asked and may
 * have done it. */
void store_answer_here(struct store *s, struct portero_op *op, bool may_stand);
/* false: the journal has no entry of that txid. NONE: it may have one, the
 * settle is asked again. */
bool store_settle_here(struct store *s, struct portero_op *op);
/* What the store's answer to a question of then tells the mirror. */
void store_note(struct store *s, const struct portero_op *op,
    int64_t asked_us);

/* ---- store_charge.c ---- */

/* For a slice of time. true: there may be more that is due. */
bool store_charge_journal(struct store *s);

#endif
