/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A redis-server of the test's own, in a temporary folder, on a unix socket.
 * Its clock stands where the test puts it.
 */
#ifndef TESTS_REDIS_RIG_H
#define TESTS_REDIS_RIG_H

#include <stdint.h>
#include <sys/types.h>

#include <hiredis/hiredis.h>

struct redis_rig {
	char folder[32];
	char uri[64]; /* unix:... */
	pid_t pid;
	int64_t *now_us;     /* the server's clock */
	redisContext *redis; /* for looking into it; borrowed */
};

/* Starts it with further arguments (NULL-terminated, or NULL). Ends the test
 * when that is impossible. */
struct redis_rig *redis_rig_new(const char *const *arguments);
void redis_rig_free(struct redis_rig **r);
/* A command, by its words; the reply is the caller's. */
redisReply *redis_rig_ask(struct redis_rig *r, const char *format, ...);

#endif
