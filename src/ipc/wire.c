/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The two cursors. Every access goes through room() and next(): nothing is
 * written or read beyond the bytes a cursor was given, and after the first
 * failure nothing is written or read at all.
 */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "ipc/wire.h"

/* Where the next len bytes go, or NULL: no room. */
static uint8_t *
room(struct wire_out *w, size_t len)
{
	uint8_t *at;

	assert(w->len <= w->cap);
	if (w->bad || len > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	at = w->data + w->len;
	w->len += len;
	return at;
}

/* The next len bytes, or NULL: there are not so many. */
static const uint8_t *
next(struct wire_in *w, size_t len)
{
	const uint8_t *at;

	assert(w->at <= w->len);
	if (w->bad || len > w->len - w->at) {
		w->bad = true;
		return NULL;
	}
	at = w->data + w->at;
	w->at += len;
	return at;
}

void
wire_put_raw(struct wire_out *w, const void *p, size_t len)
{
	uint8_t *to = room(w, len);

	if (to != NULL && len > 0)
		memcpy(to, p, len);
}

void
wire_put_u8(struct wire_out *w, uint8_t v)
{
	wire_put_raw(w, &v, sizeof v);
}

void
wire_put_u16(struct wire_out *w, uint16_t v)
{
	v = htole16(v);
	wire_put_raw(w, &v, sizeof v);
}

void
wire_put_u32(struct wire_out *w, uint32_t v)
{
	v = htole32(v);
	wire_put_raw(w, &v, sizeof v);
}

void
wire_put_u64(struct wire_out *w, uint64_t v)
{
	v = htole64(v);
	wire_put_raw(w, &v, sizeof v);
}

void
wire_put_i64(struct wire_out *w, int64_t v)
{
	wire_put_u64(w, (uint64_t)v);
}

void
wire_put_str(struct wire_out *w, struct str s)
{
	if (s.len > UINT32_MAX) {
		w->bad = true;
		return;
	}
	wire_put_u32(w, (uint32_t)s.len);
	wire_put_raw(w, s.ptr, s.len);
}

void
wire_put_cstr(struct wire_out *w, const char *s)
{
	wire_put_str(w, str_of(s));
}

void
wire_get_raw(struct wire_in *w, void *to, size_t len)
{
	const uint8_t *from = next(w, len);

	if (from == NULL)
		memset(to, 0, len);
	else if (len > 0)
		memcpy(to, from, len);
}

uint8_t
wire_get_u8(struct wire_in *w)
{
	uint8_t v;

	wire_get_raw(w, &v, sizeof v);
	return v;
}

uint16_t
wire_get_u16(struct wire_in *w)
{
	uint16_t v;

	wire_get_raw(w, &v, sizeof v);
	return le16toh(v);
}

uint32_t
wire_get_u32(struct wire_in *w)
{
	uint32_t v;

	wire_get_raw(w, &v, sizeof v);
	return le32toh(v);
}

uint64_t
wire_get_u64(struct wire_in *w)
{
	uint64_t v;

	wire_get_raw(w, &v, sizeof v);
	return le64toh(v);
}

int64_t
wire_get_i64(struct wire_in *w)
{
	return (int64_t)wire_get_u64(w);
}

struct str
wire_get_str(struct wire_in *w)
{
	size_t len = wire_get_u32(w);
	const uint8_t *from = next(w, len);

	if (from == NULL)
		return (struct str){ "", 0 };
	return (struct str){ (const char *)from, len };
}

void
wire_get_cstr(struct wire_in *w, char *to, size_t size)
{
	struct str s = wire_get_str(w);

	if (s.len >= size || memchr(s.ptr, '\0', s.len) != NULL) {
		w->bad = true;
		s.len = 0;
	}
	str_copy(to, size, s);
}

bool
wire_done(const struct wire_in *w)
{
	return !w->bad && w->at == w->len;
}
