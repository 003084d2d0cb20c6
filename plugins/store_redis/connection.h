/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A connection to a server that speaks Redis' protocol. What comes is read
 * no further than a reply may be long, and no later than the deadline, which
 * is given anew with each reply: it is the whole time, however the bytes drip.
 * The first failure ends the connection; all later calls fail the same way.
 */
#ifndef STORE_REDIS_CONNECTION_H
#define STORE_REDIS_CONNECTION_H

#include <hiredis/hiredis.h>

#include "command.h"
#include "settings.h"

#define WHY_LEN 200

struct connection;

/* tls: borrowed, for addresses that want it. until_ms: of dial_now_ms().
 * NULL: the reason is in why. */
struct connection *connection_open(const struct portero_host *host,
    const struct address *address, struct tls *tls, int64_t until_ms,
    char why[WHY_LEN]);
void connection_close(struct connection **c);

/* Something came that nobody asked for, or its end. */
bool connection_is_stale(const struct connection *c);

/* Adds a command to those that are sent before the next reply is read. */
void connection_add(struct connection *c, struct command *command);
/* The next reply, the caller's. NULL: the connection failed. */
redisReply *connection_reply(struct connection *c, int64_t until_ms);
/* Why it failed. */
const char *connection_why(const struct connection *c);
/* It failed because the server was silent. */
bool connection_is_late(const struct connection *c);

#endif
