/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A byte queue: appended at the end, consumed at the front. An empty one
 * owns no memory (buf_consume() of all and buf_free() both release it), so an
 * idle session costs nothing.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
	char *mem;    /* owned */
	size_t start; /* first byte not consumed */
	size_t len;   /* bytes held */
	size_t cap;
};

static inline const char *
buf_data(const struct buf *b)
{
	return b->start == 0 ? b->mem : b->mem + b->start;
}

static inline size_t
buf_len(const struct buf *b)
{
	return b->len;
}

void buf_append(struct buf *b, const void *data, size_t len);
void buf_append_str(struct buf *b, struct str s);
void buf_appendf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Removes len bytes (at most buf_len()) from the front. */
void buf_consume(struct buf *b, size_t len);
/* Releases the memory; the buf is empty and may be used again. */
void buf_free(struct buf *b);
/* The same after overwriting what was held: for buffers with passwords. */
void buf_wipe(struct buf *b);

#endif
