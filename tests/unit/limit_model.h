/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a store must do, in the slowest and plainest way: every charge is kept
 * by itself. It is the definition; stores are compared with it.
 *
 *   - Time is cut into buckets of a sixtieth of the window (rounded up to a
 *     microsecond), counted from 1970. A charge counts while the number of
 *     its bucket is at most 60 below that of now.
 *   - A charge fits if used + amount <= max. More than 2^53 is counted as
 *     that.
 *   - A counter's time is that of its last change. A look at an earlier time
 *     moves what is newer to the bucket of then; a look with another window
 *     puts each charge where the end of its bucket lies in the new count, but
 *     not after now, nor before the oldest bucket. Both are lasting, whatever
 *     becomes of the look; what was charged before can then no longer be
 *     given back.
 *   - A settle corrects each counter that the txid has touched, if it still
 *     exists, to `actual`: what is too much goes to the bucket of now, what
 *     is too little comes from the latest charges of the txid first, as far
 *     as their buckets still count.
 *   - A repeated take and one after the settle look like a peek.
 *   - A charge is a take that always fits, in the bucket of its own time; if
 *     that counts no more, it charges nothing that could be given back.
 *   - Reservations and tombstones live for ever here: tests use lifetimes
 *     that are longer than they themselves.
 */
#ifndef TESTS_LIMIT_MODEL_H
#define TESTS_LIMIT_MODEL_H

#include <portero/plugin.h>

struct limit_model;

struct limit_model *limit_model_new(void);
void limit_model_free(struct limit_model **m);
void limit_model_set_now(struct limit_model *m, int64_t now_us);
/* As portero_store.apply(); ctx is the model. Keys of at most 63 bytes. */
int limit_model_apply(void *ctx, struct portero_op *ops, size_t n);

#endif
