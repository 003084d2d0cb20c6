/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A record starts with its header; open_record() writes it and close_record()
 * fills in the length. put_field() and get_field() are the two sides of each
 * kind of field.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ipc/field.h"
#include "ipc/record.h"
#include "ipc/wire.h"

#define ASKER_AT 2
#define LENGTH_AT 4
#define ID_AT 8
#define DEADLINE_AT 16
#define GENERATION_AT 24

#define ARRAYS_MAX 3 /* of one record */

struct record_scratch {
	struct {
		void *data; /* owned */
		size_t size;
	} arrays[ARRAYS_MAX];
	size_t nlent;
};

struct record_scratch *
record_scratch_new(void)
{
	return xcalloc(1, sizeof(struct record_scratch));
}

void
record_scratch_free(struct record_scratch **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < ARRAYS_MAX; i++)
		free((*s)->arrays[i].data);
	free(*s);
	*s = NULL;
}

/* Room for so many bytes. Never NULL, not even for none. */
static void *
lend(struct record_scratch *s, size_t size)
{
	size_t i = s->nlent++;

	assert(i < ARRAYS_MAX);
	if (size >= s->arrays[i].size) {
		s->arrays[i].data = xrealloc(s->arrays[i].data, size + 1);
		s->arrays[i].size = size + 1;
	}
	return s->arrays[i].data;
}

/* ---- header ------------------------------------------------------------- */

static struct wire_out
open_record(uint8_t *to, size_t size, const struct record_header *h,
    enum record_type type)
{
	struct wire_out w = { .data = to,
		.cap = size < RECORD_MAX ? size : RECORD_MAX };

	wire_put_u8(&w, RECORD_VERSION);
	wire_put_u8(&w, (uint8_t)type);
	wire_put_u16(&w, h->asker);
	wire_put_u32(&w, 0);
	wire_put_u64(&w, h->id);
	wire_put_i64(&w, h->deadline_ns);
	wire_put_u32(&w, h->generation);
	wire_put_u32(&w, h->incarnation);
	wire_put_u64(&w, h->reserved);
	return w;
}

/* The record's length, or 0: it does not fit. */
static size_t
close_record(struct wire_out *w)
{
	struct wire_out length = { .data = w->data + LENGTH_AT, .cap = 4 };

	if (w->bad)
		return 0;
	wire_put_u32(&length, (uint32_t)w->len);
	return w->len;
}

static bool
is_type(uint8_t type)
{
	return (type >= RECORD_LOGIN && type <= RECORD_FORGET) ||
	    (type >= RECORD_LOGIN_ANSWER && type <= RECORD_FORGET_ANSWER);
}

int
record_head_decode(const uint8_t head[RECORD_HEADER_LEN],
    struct record_header *h)
{
	struct wire_in w = { .data = head, .len = RECORD_HEADER_LEN };

	h->version = wire_get_u8(&w);
	h->type = wire_get_u8(&w);
	h->asker = wire_get_u16(&w);
	h->length = wire_get_u32(&w);
	h->id = wire_get_u64(&w);
	h->deadline_ns = wire_get_i64(&w);
	h->generation = wire_get_u32(&w);
	h->incarnation = wire_get_u32(&w);
	h->reserved = wire_get_u64(&w);
	return h->version == RECORD_VERSION && is_type(h->type) ? 0 : -1;
}

int
record_header_decode(const uint8_t *data, size_t len, struct record_header *h)
{
	if (len < RECORD_HEADER_LEN || len > RECORD_MAX ||
	    record_head_decode(data, h) == -1 || h->length != len)
		return -1;
	return 0;
}

/* A cursor behind the header of a record of that type; else a bad one. */
static struct wire_in
enter_record(const uint8_t *data, size_t len, enum record_type type)
{
	struct wire_in w = { .data = data,
		.len = len,
		.at = RECORD_HEADER_LEN };
	struct record_header h;

	if (record_header_decode(data, len, &h) == -1 || h.type != type) {
		w.at = len;
		w.bad = true;
	}
	return w;
}

void
record_readdress(uint8_t *data, uint16_t asker, uint64_t id,
    int64_t deadline_ns, uint32_t generation)
{
	struct wire_out w = { .data = data, .cap = RECORD_HEADER_LEN };

	w.len = ASKER_AT;
	wire_put_u16(&w, asker);
	w.len = ID_AT;
	wire_put_u64(&w, id);
	w.len = DEADLINE_AT;
	wire_put_i64(&w, deadline_ns);
	w.len = GENERATION_AT;
	wire_put_u32(&w, generation);
}

/* ---- fields ------------------------------------------------------------- */

static void put_fields(struct wire_out *w, const struct field *f,
    const void *from);
static void get_fields(struct wire_in *w, const struct field *f, void *to,
    struct record_scratch *s);

/* The bytes that the shortest struct of these fields takes in a record. */
static size_t
least_bytes(const struct field *f)
{
	static const uint8_t least[] = {
		[FIELD_BOOL] = 1,
		[FIELD_ENUM] = 1,
		[FIELD_U16] = 2,
		[FIELD_U32] = 4,
		[FIELD_U64] = 8,
		[FIELD_I64] = 8,
		[FIELD_TEXT] = 4,
		[FIELD_ARRAY] = 4,
	};
	size_t n = 0;

	for (; f->kind != FIELD_LAST; f++)
		n += f->kind == FIELD_RAW ? f->size :
		    f->kind == FIELD_PART ? least_bytes(f->of) :
					    least[f->kind];
	return n;
}

static void
put_array(struct wire_out *w, const struct field *f, const void *from)
{
	const uint8_t *each;
	uint32_t n;

	memcpy(&n, (const uint8_t *)from + f->count_at, sizeof n);
	memcpy(&each, (const uint8_t *)from + f->at, sizeof each);
	if (f->most != 0 && n > f->most)
		w->bad = true;
	wire_put_u32(w, n);
	for (; n > 0 && !w->bad; n--, each += f->size)
		put_fields(w, f->of, each);
}

static void
get_array(struct wire_in *w, const struct field *f, void *to,
    struct record_scratch *s)
{
	uint32_t n = wire_get_u32(w);
	uint8_t *array;

	/* Never more than the rest of the record can hold. */
	if (w->bad || (f->most != 0 && n > f->most) ||
	    n > (w->len - w->at) / least_bytes(f->of)) {
		w->bad = true;
		n = 0;
	}
	array = lend(s, n * f->size);
	memcpy((uint8_t *)to + f->count_at, &n, sizeof n);
	memcpy((uint8_t *)to + f->at, &array, sizeof array);
	for (uint32_t i = 0; i < n; i++)
		get_fields(w, f->of, array + i * f->size, s);
}

static void
put_field(struct wire_out *w, const struct field *f, const void *from)
{
	const void *member = (const uint8_t *)from + f->at;

	switch (f->kind) {
	case FIELD_BOOL:
		wire_put_u8(w, *(const bool *)member);
		break;
	case FIELD_ENUM:
		wire_put_u8(w, (uint8_t) * (const unsigned *)member);
		break;
	case FIELD_U16:
		wire_put_u16(w, *(const uint16_t *)member);
		break;
	case FIELD_U32:
		wire_put_u32(w, *(const uint32_t *)member);
		break;
	case FIELD_U64:
		wire_put_u64(w, *(const uint64_t *)member);
		break;
	case FIELD_I64:
		wire_put_i64(w, *(const int64_t *)member);
		break;
	case FIELD_TEXT:
		wire_put_str(w, *(const struct str *)member);
		break;
	case FIELD_RAW:
		wire_put_raw(w, member, f->size);
		break;
	case FIELD_PART:
		put_fields(w, f->of, member);
		break;
	case FIELD_ARRAY:
		put_array(w, f, from);
		break;
	case FIELD_LAST:
		break;
	}
}

static void
put_fields(struct wire_out *w, const struct field *f, const void *from)
{
	for (; f->kind != FIELD_LAST; f++)
		put_field(w, f, from);
}

static bool
get_bool(struct wire_in *w)
{
	uint8_t v = wire_get_u8(w);

	if (v > 1)
		w->bad = true;
	return v == 1;
}

static unsigned
get_enum(struct wire_in *w, const struct field *f)
{
	int v = wire_get_u8(w);

	if (v < f->first || v > f->last) {
		w->bad = true;
		v = f->first;
	}
	return (unsigned)v;
}

static struct str
get_text(struct wire_in *w, const struct field *f)
{
	struct str s = wire_get_str(w);

	if (f->most != 0 && s.len > f->most)
		w->bad = true;
	return s;
}

static void
get_field(struct wire_in *w, const struct field *f, void *to,
    struct record_scratch *s)
{
	void *member = (uint8_t *)to + f->at;

	switch (f->kind) {
	case FIELD_BOOL:
		*(bool *)member = get_bool(w);
		break;
	case FIELD_ENUM:
		*(unsigned *)member = get_enum(w, f);
		break;
	case FIELD_U16:
		*(uint16_t *)member = wire_get_u16(w);
		break;
	case FIELD_U32:
		*(uint32_t *)member = wire_get_u32(w);
		break;
	case FIELD_U64:
		*(uint64_t *)member = wire_get_u64(w);
		break;
	case FIELD_I64:
		*(int64_t *)member = wire_get_i64(w);
		break;
	case FIELD_TEXT:
		*(struct str *)member = get_text(w, f);
		break;
	case FIELD_RAW:
		wire_get_raw(w, member, f->size);
		break;
	case FIELD_PART:
		get_fields(w, f->of, member, s);
		break;
	case FIELD_ARRAY:
		get_array(w, f, to, s);
		break;
	case FIELD_LAST:
		break;
	}
}

static void
get_fields(struct wire_in *w, const struct field *f, void *to,
    struct record_scratch *s)
{
	for (; f->kind != FIELD_LAST; f++)
		get_field(w, f, to, s);
}

size_t
record_encode(uint8_t *to, size_t size, const struct record_header *h,
    enum record_type type, const struct field *fields, const void *from)
{
	struct wire_out w = open_record(to, size, h, type);

	put_fields(&w, fields, from);
	return close_record(&w);
}

int
record_decode(const uint8_t *data, size_t len, enum record_type type,
    const struct field *fields, void *to, struct record_scratch *s)
{
	struct wire_in w = enter_record(data, len, type);

	if (s != NULL)
		s->nlent = 0;
	get_fields(&w, fields, to, s);
	return wire_done(&w) ? 0 : -1;
}
