/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What can be seen of a store that an operator should know: how far it is,
 * what a person takes, and settings of Redis with which it would forget.
 */
#ifndef STORE_REDIS_STATUS_H
#define STORE_REDIS_STATUS_H

#include "connection.h"

/* Of somebody who wants to know. The name "warning" is for something to look
 * at. */
struct status_reader {
	void (*row)(void *arg, const char *name, const char *value);
	void *arg;
};

/* false: the connection failed. */
bool status_read(struct connection *c, const char *prefix, int64_t until_ms,
    const struct status_reader *to);
/* Only the warnings about settings. */
bool status_warn(struct connection *c, int64_t until_ms,
    const struct status_reader *to);

#endif
