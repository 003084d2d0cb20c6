/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a message is made of and however it is cut, smtp_dots does what
 * the model says; what it hands on is clean, cannot end a message, and comes
 * through a second scan unchanged.
 *
 * Input: 'r' (reject bare LF) or else; a seed for the cuts; the message.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/dots_model.h"
#include "smtp/dots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
collect(void *arg, const char *data, size_t len)
{
	struct dots_result *r = arg;

	memcpy(r->out + r->len, data, len);
	r->len += len;
}

/* Scans blocks of 1 to max bytes, each a copy of its own size. */
static struct dots_result
scan(const char *data, size_t len, enum smtp_bare_newline newline,
    unsigned seed, size_t max)
{
	struct dots_result r = { .out = malloc(2 * len + 4) };
	struct smtp_dots d;

	smtp_dots_start(&d, newline);
	while (r.used < len && !r.has_end) {
		size_t n, used;
		char *block;

		seed = seed * 1103515245 + 12345;
		n = 1 + (seed >> 8) % max;
		if (n > len - r.used)
			n = len - r.used;
		block = malloc(n);
		memcpy(block, data + r.used, n);
		r.has_end = smtp_dots_feed(&d, block, n, &used, collect, &r) ==
		            SMTP_DOTS_END;
		free(block);
		assert(used == n || (r.has_end && used < n));
		r.used += used;
	}
	r.size = d.size;
	r.fault = d.fault;
	return r;
}

static void
assert_same(const struct dots_result *a, const struct dots_result *b)
{
	assert(a->has_end == b->has_end);
	assert(a->used == b->used);
	assert(a->size == b->size);
	assert(a->fault == b->fault);
	assert(a->len == b->len && memcmp(a->out, b->out, a->len) == 0);
}

/* What the next hop, which believes in CRLF only, makes of it. */
static void
assert_harmless(const struct dots_result *r)
{
	bool starts_line = true;
	uint64_t size = 0;

	for (size_t i = 0; i < r->len; i++) {
		assert(r->out[i] != '\0' && r->out[i] != '\n');
		if (r->out[i] == '\r') {
			assert(i + 1 < r->len && r->out[i + 1] == '\n');
			i++;
			size += 2;
			starts_line = true;
			continue;
		}
		if (starts_line && r->out[i] == '.')
			assert(i + 1 == r->len || r->out[i + 1] != '\r');
		else
			size++;
		starts_line = false;
	}
	if (r->fault == SMTP_DOTS_CLEAN)
		assert(size == r->size && (!r->has_end || starts_line));
}

/* A whole message, scanned again. */
static void
assert_stable(struct dots_result *r)
{
	struct dots_result again;

	r->out = realloc(r->out, r->len + 3);
	memcpy(r->out + r->len, ".\r\n", 3);
	again = scan(r->out, r->len + 3, SMTP_NEWLINE_REJECT, 1, 4096);
	assert(again.has_end && again.used == r->len + 3);
	assert(again.fault == SMTP_DOTS_CLEAN && again.size == r->size);
	assert(again.len == r->len && memcmp(again.out, r->out, r->len) == 0);
	free(again.out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data + 2;
	struct dots_result want, whole, cut;
	enum smtp_bare_newline newline;

	if (len < 2)
		return 0;
	len -= 2;
	newline = data[0] == 'r' ? SMTP_NEWLINE_REJECT : SMTP_NEWLINE_NORMALIZE;
	want = dots_model(text, len, newline, malloc(2 * len + 4));
	whole = scan(text, len, newline, 1, SIZE_MAX);
	cut = scan(text, len, newline, data[1], 1 + data[1]);
	assert_same(&whole, &want);
	assert_same(&cut, &want);
	assert_harmless(&whole);
	if (whole.has_end && whole.fault == SMTP_DOTS_CLEAN)
		assert_stable(&whole);
	free(want.out);
	free(whole.out);
	free(cut.out);
	return 0;
}
