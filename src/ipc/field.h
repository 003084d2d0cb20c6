/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A field: a member of a struct that record.c carries. Only for files with
 * tables of fields: the short names below are meant for these.
 */
#ifndef IPC_FIELD_H
#define IPC_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum field_kind {
	FIELD_LAST, /* ends a table */
	FIELD_BOOL,
	FIELD_ENUM, /* a byte: first to last */
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_I64,
	FIELD_TEXT, /* struct str; read: at most `most` bytes, 0: any number */
	FIELD_RAW,  /* `size` bytes */
	FIELD_PART, /* a struct within the struct: `of` */
	FIELD_ARRAY /* a pointer to structs `of` this `size`, and their number */
};

/* A member of a struct. */
struct field {
	enum field_kind kind;
	size_t at;              /* of the member */
	size_t size;
	int first, last;
	size_t most;            /* of TEXT, ARRAY; 0: as many as a record holds */
	size_t count_at;        /* ARRAY: of its uint32_t count */
	const struct field *of; /* borrowed */
};

/* Where the member is; does not compile when it is of another type. */
#define FIELD_AT(record, member, type) \
	(offsetof(struct record, member) * \
	    _Generic(((struct record *)NULL)->member, type: 1))

/* clang-format off */
#define FIELD(KIND, record, member, type) \
	{ .kind = FIELD_##KIND, .at = FIELD_AT(record, member, type) }
#define BOOL(record, member) FIELD(BOOL, record, member, bool)
#define U16(record, member)  FIELD(U16, record, member, uint16_t)
#define U32(record, member)  FIELD(U32, record, member, uint32_t)
#define U64(record, member)  FIELD(U64, record, member, uint64_t)
#define I64(record, member)  FIELD(I64, record, member, int64_t)
#define TEXT(record, member) FIELD(TEXT, record, member, struct str)
#define TEXT_MOST(record, member, n) \
	{ .kind = FIELD_TEXT, .at = FIELD_AT(record, member, struct str), \
	  .most = (n) }
#define ENUM(record, member, lowest, highest) \
	{ .kind = FIELD_ENUM, .at = FIELD_AT(record, member, unsigned), \
	  .first = (lowest), .last = (highest) }
#define RAW(record, member) \
	{ .kind = FIELD_RAW, .at = offsetof(struct record, member), \
	  .size = sizeof ((struct record *)NULL)->member }
#define PART(record, member, fields) \
	{ .kind = FIELD_PART, .at = offsetof(struct record, member), \
	  .of = (fields) }
#define ARRAY(record, count, member, n, fields) \
	{ .kind = FIELD_ARRAY, .at = offsetof(struct record, member), \
	  .count_at = FIELD_AT(record, count, uint32_t), \
	  .size = sizeof *((struct record *)NULL)->member, \
	  .most = (n), .of = (fields) }
#define LAST { .kind = FIELD_LAST }
/* clang-format on */

#endif
