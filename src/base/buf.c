/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A byte queue. What was consumed leaves room in front of the rest, which is
 * used again before more memory is asked for. Growing never leaves a copy of
 * the bytes behind in freed memory: some of them are passwords.
 */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BUF_MIN 128

static void
grow(struct buf *b, size_t need)
{
	size_t cap = b->cap < BUF_MIN ? BUF_MIN : b->cap;
	char *mem;

	assert(need < SIZE_MAX / 2);
	while (cap < need)
		cap *= 2;
	mem = xmalloc(cap);
	if (b->mem != NULL) {
		memcpy(mem, b->mem + b->start, b->len);
		explicit_bzero(b->mem, b->cap);
		free(b->mem);
	}
	b->mem = mem;
	b->start = 0;
	b->cap = cap;
}

/* Makes room for len more bytes behind those that are held. Moving is worth
 * it only while it moves no more than it makes room for. */
static char *
reserve(struct buf *b, size_t len)
{
	assert(len < SIZE_MAX / 4);
	if (b->mem == NULL || b->start + b->len + len > b->cap) {
		if (b->len + len <= b->cap && b->start >= b->len) {
			memmove(b->mem, b->mem + b->start, b->len);
			b->start = 0;
		} else {
			grow(b, b->len + len);
		}
	}
	return b->mem + b->start + b->len;
}

void
buf_append(struct buf *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(reserve(b, len), data, len);
	b->len += len;
}

void
buf_append_str(struct buf *b, struct str s)
{
	buf_append(b, s.ptr, s.len);
}

void
buf_appendf(struct buf *b, const char *format, ...)
{
	va_list ap, again;
	size_t room;
	char *end;
	int n;

	va_start(ap, format);
	va_copy(again, ap);
	end = reserve(b, BUF_MIN / 2);
	room = b->cap - b->start - b->len;
	n = vsnprintf(end, room, format, ap);
	assert(n >= 0);
	if ((size_t)n >= room)
		vsnprintf(reserve(b, (size_t)n + 1), (size_t)n + 1, format,
		    again);
	b->len += (size_t)n;
	va_end(again);
	va_end(ap);
	if (b->len == 0)
		buf_free(b);
}

void
buf_consume(struct buf *b, size_t len)
{
	assert(len <= b->len);
	b->start += len;
	b->len -= len;
	if (b->len == 0)
		buf_free(b);
}

void
buf_free(struct buf *b)
{
	free(b->mem);
	*b = (struct buf){ 0 };
}

void
buf_wipe(struct buf *b)
{
	if (b->mem != NULL)
		explicit_bzero(b->mem, b->cap);
	buf_free(b);
}
