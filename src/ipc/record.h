/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A record: what one process sends another in one SOCK_SEQPACKET message of
 * at most RECORD_MAX bytes, never empty. It is a header and the members of a
 * struct, which a table of fields names in the order they have in the record:
 * encoder and decoder walk the same table. The decoder accepts exactly what the
 * encoder writes or refuses the whole.
 */
#ifndef IPC_RECORD_H
#define IPC_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define RECORD_VERSION 1
#define RECORD_MAX 65536
#define RECORD_HEADER_LEN 40

enum record_type {
	RECORD_LOGIN = 1, /* auth pool */
	RECORD_OWNS,      /* auth pool */
	RECORD_JUDGE,     /* policy pool */
	RECORD_SETTLE,    /* policy pool: settles without a judge */
	RECORD_STORE,     /* policy pool, from control: the operator asks */
	RECORD_ATTEMPT,   /* policy pool: may a login be tried, and what became of it */
	RECORD_FORGET,    /* auth pool, from control: flush the login cache */
	RECORD_LOGIN_ANSWER = 101,
	RECORD_OWNS_ANSWER,
	RECORD_JUDGE_ANSWER,
	RECORD_SETTLE_ANSWER,
	RECORD_STORE_ANSWER,
	RECORD_ATTEMPT_ANSWER,
	RECORD_FORGET_ANSWER
};

/* Every record begins with this, so that the master can answer for a crashed
 * worker from the scoreboard without knowing the question. */
struct record_header {
	uint8_t version;
	uint8_t type;        /* enum record_type */
	uint16_t asker;      /* index of the answer pair in the generation */
	uint32_t length;     /* of the whole record */
	uint64_t id;         /* never reused; the answer repeats it */
	int64_t deadline_ns; /* monotonic; a worker drops what is past it */
	uint32_t generation;
	uint32_t incarnation; /* of the asking process */
	uint64_t reserved;
};

struct field;

/* Memory that a decoder hands arrays out of; reused by the next decode. */
struct record_scratch;
struct record_scratch *record_scratch_new(void);
void record_scratch_free(struct record_scratch **s);

/* Bytes written to `to`, or 0: it does not fit, or an array is longer than its
 * `most`. The header's version, type and length are filled in. */
size_t record_encode(uint8_t *to, size_t size, const struct record_header *h, enum record_type type, const struct field *fields, const void *from);
/* 0, or -1 when anything is not as the encoder writes it. Strings point into
 * the record. The scratch may be NULL when no field is an array. */
int record_decode(const uint8_t *data, size_t len, enum record_type type, const struct field *fields, void *to, struct record_scratch *s);

/* The header of a record of len bytes: 0, or -1 if version, type or length are wrong. */
int record_header_decode(const uint8_t *data, size_t len, struct record_header *h);
/* The same of a header alone. */
int record_head_decode(const uint8_t head[RECORD_HEADER_LEN], struct record_header *h);

/* Rewrites id, deadline, generation and asker of an encoded question in place:
 * a stored settle is sent again as a new question. */
void record_readdress(uint8_t *data, uint16_t asker, uint64_t id, int64_t deadline_ns, uint32_t generation);

#endif
