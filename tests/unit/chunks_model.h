/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What smtp_chunks must do, said a second time and plainly: with the whole
 * body at hand. The unit test and the fuzzer compare the two.
 */
#ifndef CHUNKS_MODEL_H
#define CHUNKS_MODEL_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/chunks.h"

struct chunks_result {
	char *out; /* the caller's */
	size_t len;
	uint64_t size;
	bool is_faulty;
};

static inline void
chunks_collect(void *arg, const char *data, size_t len)
{
	struct chunks_result *r = arg;

	memcpy(r->out + r->len, data, len);
	r->len += len;
}

static inline struct chunks_result
chunks_model(const char *data, size_t len, bool reject, bool stuff)
{
	struct chunks_result r = { .out = malloc(2 * len + 3) };
	bool starts_line = true;

	for (size_t i = 0; i < len; i++) {
		bool is_crlf = data[i] == '\r' && i + 1 < len &&
		    data[i + 1] == '\n';

		if (is_crlf || data[i] == '\n') {
			r.is_faulty = r.is_faulty || (!is_crlf && reject);
			chunks_collect(&r, "\r\n", 2);
			i += is_crlf;
			starts_line = true;
			continue;
		}
		if (data[i] == '\r' || data[i] == '\0')
			r.is_faulty = true;
		if (stuff && starts_line && data[i] == '.')
			r.size--, chunks_collect(&r, ".", 1);
		chunks_collect(&r, data + i, 1);
		starts_line = false;
	}
	r.size += r.len;
	if (stuff && !starts_line)
		chunks_collect(&r, "\r\n", 2);
	return r;
}

/* The real one, in blocks of 1 to max bytes, each a copy of its own size. */
static inline struct chunks_result
chunks_scan(const char *data, size_t len, bool reject, bool stuff,
    unsigned seed, size_t max)
{
	struct chunks_result r = { .out = malloc(2 * len + 3) };
	struct smtp_dots d;
	char *block;

	smtp_dots_start(&d,
	    reject ? SMTP_NEWLINE_REJECT : SMTP_NEWLINE_NORMALIZE);
	for (size_t at = 0, n; at < len; at += n) {
		seed = seed * 1103515245 + 12345;
		n = 1 + (seed >> 8) % max;
		if (n > len - at)
			n = len - at;
		block = malloc(n);
		memcpy(block, data + at, n);
		smtp_chunks_feed(&d, stuff, block, n, chunks_collect, &r);
		free(block);
	}
	smtp_chunks_end(&d, stuff, chunks_collect, &r);
	r.size = d.size;
	r.is_faulty = d.fault != SMTP_DOTS_CLEAN;
	return r;
}

static inline bool
chunks_same(const struct chunks_result *a, const struct chunks_result *b)
{
	if (a->is_faulty || b->is_faulty)
		return a->is_faulty == b->is_faulty;
	return a->size == b->size && a->len == b->len &&
	    memcmp(a->out, b->out, a->len) == 0;
}

#endif
