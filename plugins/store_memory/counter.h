/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One counter: what was used in a sliding window, in buckets of a sixtieth of
 * the window. A charge counts until its whole bucket has left the window, so
 * no window of that length ever holds more than was allowed. Pure arithmetic;
 * the time is handed in.
 *
 * What must always hold: buckets outside newest - 60 .. newest do not exist;
 * each bucket holds 0 to COUNTER_BUCKET_MAX.
 */
#ifndef STORE_MEMORY_COUNTER_H
#define STORE_MEMORY_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#define COUNTER_BUCKETS 61 /* a window's sixty, and the one it cuts */
#define COUNTER_AMOUNT_MAX (INT64_C(1) << 53)
#define COUNTER_BUCKET_MAX (INT64_C(1) << 56) /* 61 of them fit an int64_t */

struct counter {
	uint32_t window_s;
	uint32_t epoch; /* another one: its buckets were laid out anew */
	int64_t newest; /* number of the newest bucket: time / width */
	int64_t bucket[COUNTER_BUCKETS];
};

/* Where a charge went, for giving it back. */
struct counter_place {
	uint32_t epoch;
	uint32_t bucket; /* low 31 bits of its number */
};

void counter_start(struct counter *c, uint32_t window_s, uint32_t epoch,
    int64_t now_us);
/* false: not what this file wrote. */
bool counter_is_sound(const struct counter *c);
/*
 * Brings the counter to this time and window. true: its buckets were laid out
 * anew, because the window changed or the clock went back. The sum goes over:
 * a bucket goes where its end lies, what is newer than now goes to now, what
 * is older than the new window goes to its oldest bucket. So nobody gets
 * fresh quota and nobody is blocked longer than the new window. Afterwards
 * earlier charges cannot be given back: their buckets are gone.
 */
bool counter_advance(struct counter *c, uint32_t window_s, int64_t now_us);
int64_t counter_used(const struct counter *c);
/* Seconds since 1970 when amount (at most max) will fit. */
int64_t counter_fits_at(const struct counter *c, int64_t amount, int64_t max);
/* When all of it will have passed; 0: nothing is used. */
int64_t counter_resets_at(const struct counter *c);
/* When a charge of now will have passed. */
int64_t counter_passes_at(const struct counter *c);
/* Adds to the bucket of that time, which is no later than the newest. false:
 * it has left the window. */
bool counter_add(struct counter *c, int64_t amount, int64_t at_us,
    struct counter_place *place_r);
/* Takes so much away, from the oldest on. */
void counter_cut(struct counter *c, int64_t amount);
/* Takes from that bucket, if it still exists. */
void counter_give_back(struct counter *c, struct counter_place place,
    int64_t amount);

#endif
