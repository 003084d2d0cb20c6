/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a reply to a call of the script means. A reply is taken only if all of
 * it is what the script could have said; else nothing of it is.
 */
#ifndef STORE_REDIS_ANSWER_H
#define STORE_REDIS_ANSWER_H

#include <hiredis/hiredis.h>

#include <portero/plugin.h>

enum answer {
	ANSWER_DONE = 1, /* the operation is filled */
	ANSWER_NO_SCRIPT,
	ANSWER_REFUSED, /* this call failed and did nothing, so will others */
	ANSWER_FAILED,  /* this call failed; the server may be well */
	ANSWER_NONSENSE /* it is no answer to what was asked */
};

/* Fills the operation, or leaves it as it was. *nalerts: values in the store
 * that were not ours. */
enum answer answer_read(
    const redisReply *r, struct portero_op *op, int64_t *nalerts);

/* Reads a reply to call_add_scan(): where to go on, and the keys, borrowed
 * from it. NULL: it is none. */
const redisReply *answer_read_scan(const redisReply *r, uint64_t *cursor);

#endif
