/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bucket n covers the times n * width to (n + 1) * width. It still touches
 * the window while now / width - n <= 60.
 */
#include "counter.h"

#include <string.h>

#include <portero/plugin.h>

#define SECOND 1000000
#define OLDEST (COUNTER_BUCKETS - 1)
#define PLACE_MASK 0x7fffffffu

static int64_t
width_of(uint32_t window_s)
{
	return ((int64_t)window_s * SECOND + 59) / 60;
}

static int64_t *
bucket_of(struct counter *c, int64_t n)
{
	int64_t i = n % COUNTER_BUCKETS;

	return &c->bucket[i < 0 ? i + COUNTER_BUCKETS : i];
}

static int64_t
amount_of(const struct counter *c, int64_t n)
{
	int64_t i = n % COUNTER_BUCKETS;

	return c->bucket[i < 0 ? i + COUNTER_BUCKETS : i];
}

void
counter_start(struct counter *c, uint32_t window_s, uint32_t epoch,
    int64_t now_us)
{
	*c = (struct counter){ .window_s = window_s,
		.epoch = epoch,
		.newest = now_us / width_of(window_s) };
}

bool
counter_is_sound(const struct counter *c)
{
	if (c->window_s < 1 || c->window_s > PORTERO_MAX_WINDOW_S ||
	    c->newest < 0 ||
	    c->newest > INT64_MAX / width_of(c->window_s) - COUNTER_BUCKETS)
		return false;
	for (int i = 0; i < COUNTER_BUCKETS; i++)
		if (c->bucket[i] < 0 || c->bucket[i] > COUNTER_BUCKET_MAX)
			return false;
	return true;
}

static void
put(struct counter *c, int64_t n, int64_t amount)
{
	int64_t *bucket = bucket_of(c, n);

	*bucket += amount; /* neither is more than COUNTER_BUCKET_MAX */
	if (*bucket > COUNTER_BUCKET_MAX)
		*bucket = COUNTER_BUCKET_MAX;
}

static void
lay_out(struct counter *c, uint32_t window_s, int64_t now_us)
{
	int64_t old_width = width_of(c->window_s), width = width_of(window_s);
	int64_t oldest = now_us / old_width - OLDEST;
	const struct counter old = *c;

	counter_start(c, window_s, old.epoch + 1, now_us);
	if (oldest < old.newest - OLDEST)
		oldest = old.newest - OLDEST;
	for (int64_t n = oldest; n <= old.newest; n++) {
		int64_t to = ((n + 1) * old_width - 1) / width;

		if (to > c->newest)
			to = c->newest;
		if (to < c->newest - OLDEST)
			to = c->newest - OLDEST;
		put(c, to, amount_of(&old, n));
	}
}

bool
counter_advance(struct counter *c, uint32_t window_s, int64_t now_us)
{
	int64_t now = now_us / width_of(window_s);
	int64_t n = c->newest + 1;

	if (window_s != c->window_s || now < c->newest) {
		lay_out(c, window_s, now_us);
		return true;
	}
	if (n < now - OLDEST)
		n = now - OLDEST;
	for (; n <= now; n++)
		*bucket_of(c, n) = 0;
	c->newest = now;
	return false;
}

int64_t
counter_used(const struct counter *c)
{
	int64_t used = 0;

	for (int i = 0; i < COUNTER_BUCKETS; i++)
		used += c->bucket[i];
	return used;
}

/* When bucket n has left the window, in whole seconds. */
static int64_t
passed_at(const struct counter *c, int64_t n)
{
	int64_t us = (n + COUNTER_BUCKETS) * width_of(c->window_s);

	return (us + SECOND - 1) / SECOND;
}

int64_t
counter_fits_at(const struct counter *c, int64_t amount, int64_t max)
{
	int64_t used = counter_used(c);
	int64_t n = c->newest - OLDEST;

	for (used -= amount_of(c, n); used > max - amount && n < c->newest;)
		used -= amount_of(c, ++n);
	return passed_at(c, n);
}

int64_t
counter_resets_at(const struct counter *c)
{
	for (int64_t n = c->newest; n >= c->newest - OLDEST; n--)
		if (amount_of(c, n) > 0)
			return passed_at(c, n);
	return 0;
}

int64_t
counter_passes_at(const struct counter *c)
{
	return passed_at(c, c->newest);
}

bool
counter_add(struct counter *c, int64_t amount, int64_t at_us,
    struct counter_place *place_r)
{
	int64_t n = at_us < 0 ? 0 : at_us / width_of(c->window_s);

	if (n > c->newest)
		n = c->newest;
	if (n < c->newest - OLDEST)
		return false;
	put(c, n, amount);
	*place_r = (struct counter_place){ .epoch = c->epoch,
		.bucket = (uint32_t)n & PLACE_MASK };
	return true;
}

void
counter_give_back(struct counter *c, struct counter_place place, int64_t amount)
{
	uint32_t age = ((uint32_t)c->newest - place.bucket) & PLACE_MASK;
	int64_t *bucket;

	if (place.epoch != c->epoch || age > OLDEST)
		return;
	bucket = bucket_of(c, c->newest - age);
	*bucket -= amount < *bucket ? amount : *bucket;
}

void
counter_cut(struct counter *c, int64_t amount)
{
	for (int64_t n = c->newest - OLDEST; n <= c->newest; n++) {
		int64_t *bucket = bucket_of(c, n);
		int64_t part = amount < *bucket ? amount : *bucket;

		*bucket -= part;
		amount -= part;
	}
}
