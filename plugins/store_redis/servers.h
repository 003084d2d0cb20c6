/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The servers of a store: which is the primary, and the connection to it
 * that a worker keeps.
 */
#ifndef STORE_REDIS_SERVERS_H
#define STORE_REDIS_SERVERS_H

#include "connection.h"

struct servers;

/* settings are borrowed. NULL: out of memory. */
struct servers *servers_new(
    const struct portero_host *host, const struct settings *settings);
void servers_free(struct servers **s);

/* The connection to the primary, kept or new (*is_new); borrowed until it is
 * dropped. NULL: the reason is in why. */
struct connection *servers_take(
    struct servers *s, int64_t until_ms, bool *is_new, char why[WHY_LEN]);
/* Where it leads: an address as configured, or as a Sentinel named it. */
const char *servers_where(const struct servers *s);
/* The connection is of no more use. */
void servers_drop(struct servers *s);

#endif
