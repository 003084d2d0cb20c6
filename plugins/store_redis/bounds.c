/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bounds.h"

static void *
create_array(const redisReadTask *task, redis_count n)
{
	struct bounds *b = task->privdata;
	int depth = 1;

	for (const redisReadTask *t = task->parent; t != NULL; t = t->parent)
		depth++;
	if (depth == 1)
		b->elements = 0;
	if (depth > MAX_DEPTH || n > MAX_ELEMENTS - b->elements)
		return NULL;
	b->elements += n;
	return b->create_array(task, n);
}

void
bounds_set(struct bounds *b, redisReader *reader)
{
	b->functions = *reader->fn;
	b->create_array = b->functions.createArray;
	b->functions.createArray = create_array;
	b->elements = 0;
	reader->fn = &b->functions;
	reader->privdata = b;
}

bool
bounds_are_passed(const redisReader *reader)
{
	return reader->len - reader->pos > MAX_REPLY_BYTES;
}
