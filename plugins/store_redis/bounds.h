/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How large a reply may be. hiredis makes room for as many elements as a list
 * claims to have, and for as many bytes as come.
 */
#ifndef STORE_REDIS_BOUNDS_H
#define STORE_REDIS_BOUNDS_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#define MAX_REPLY_BYTES (256 * 1024)
#define MAX_ELEMENTS 4096 /* of a reply, lists within it included */
#define MAX_DEPTH 2

#if HIREDIS_MAJOR >= 1
typedef size_t redis_count; /* what hiredis counts elements in */
#else
typedef int redis_count;
#endif

struct bounds {
	redisReplyObjectFunctions functions;
	void *(*create_array)(const redisReadTask *, redis_count);
	redis_count elements; /* of the reply that is being read */
};

/* The reader keeps to them from now on; b must live as long. */
void bounds_set(struct bounds *b, redisReader *reader);
/* What has come of a reply is longer than any that we could have asked for. */
bool bounds_are_passed(const redisReader *reader);

#endif
