/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a Redis says, what is taken for an answer is one that the script
 * could have given to that operation, and what is not changes nothing.
 *
 * Input: the operation's kind, where the reply is cut, the reply.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/store_redis/answer.h"
#include "plugins/store_redis/bounds.h"
#include "plugins/store_redis/call.h"

#define NCHARGES 2
#define FAR (INT64_C(1) << 62)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
on_row(void *arg, const struct portero_row *row)
{
	size_t *n = arg;

	assert(row->limit[0] != '\0');
	assert(memchr(row->limit, '\0', sizeof row->limit) != NULL);
	assert((unsigned)row->unit < PORTERO_NUNITS);
	assert(row->max >= PORTERO_UNLIMITED && row->max <= FAR);
	assert(row->used >= 0 && row->used <= FAR && row->resets_at >= 0);
	assert(row->window_s >= 1 && row->window_s <= 31 * 86400);
	++*n;
}

static void
check_answer(const redisReply *r, enum portero_op_kind kind)
{
	struct portero_charge charges[NCHARGES], before[NCHARGES];
	struct portero_op op = { .kind = kind,
		.charges = charges,
		.ncharges = NCHARGES,
		.row = on_row };
	int64_t nalerts = 0;
	enum answer answer;
	size_t nrows = 0;

	memset(charges, 0, sizeof charges);
	memcpy(before, charges, sizeof charges);
	op.row_arg = &nrows;
	answer = answer_read(r, &op, &nalerts);
	assert(nalerts >= 0);
	if (answer != ANSWER_DONE) {
		assert(op.result == PORTERO_OP_NONE && nrows == 0);
		assert(memcmp(before, charges, sizeof charges) == 0);
		return;
	}
	assert(r->type == REDIS_REPLY_ARRAY);
	assert(op.result == PORTERO_OP_DONE || kind == PORTERO_OP_TAKE ||
	    kind == PORTERO_OP_CHARGE);
	assert(nrows == 0 || kind == PORTERO_OP_REPORT);
	for (int i = 0; i < NCHARGES; i++) {
		assert(charges[i].used >= 0 && charges[i].used <= FAR);
		assert(charges[i].fits_at >= 0 && charges[i].fits_at <= FAR);
	}
}

static void
check_scan(const redisReply *r)
{
	const struct portero_op walk = { .kind = PORTERO_OP_WALK };
	uint64_t cursor;
	const redisReply *keys = answer_read_scan(r, &cursor);

	for (size_t i = 0; keys != NULL && i < keys->elements; i++) {
		const struct portero_str key = { keys->element[i]->str,
			keys->element[i]->len };
		char id[CALL_ID_MAX];
		size_t len;

		if (call_read_key("portero", &walk, key, id, &len))
			assert(len <= sizeof id && len <= key.len);
	}
}

static void
check_reply(const redisReply *r, uint8_t kind)
{
	assert(r->type != REDIS_REPLY_ARRAY || r->elements <= MAX_ELEMENTS);
	if (kind == PORTERO_OP_WALK)
		check_scan(r);
	else
		check_answer(r, (enum portero_op_kind)kind);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	redisReader *reader = redisReaderCreate();
	struct bounds bounds;
	void *reply = NULL;
	size_t cut;
	uint8_t kind;

	assert(reader != NULL);
	bounds_set(&bounds, reader);
	if (len < 2 || len > MAX_REPLY_BYTES)
		goto out;
	kind = (uint8_t)(PORTERO_OP_PEEK + data[0] % PORTERO_OP_WALK);
	len -= 2;
	cut = data[1] < len ? data[1] : len;
	redisReaderFeed(reader, (const char *)data + 2, cut);
	if (redisReaderGetReply(reader, &reply) == REDIS_OK && reply == NULL) {
		redisReaderFeed(reader, (const char *)data + 2 + cut,
		    len - cut);
		(void)redisReaderGetReply(reader, &reply);
	}
	if (reply != NULL)
		check_reply(reply, kind);
	freeReplyObject(reply);
out:
	redisReaderFree(reader);
	return 0;
}
