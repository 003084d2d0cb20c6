/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * An operation as one call of the script.
 */
#ifndef STORE_REDIS_CALL_H
#define STORE_REDIS_CALL_H

#include "connection.h"

#define CALL_ID_MAX 512 /* bytes of a person's id */

/* NULL, or what no host would ask. */
const char *call_fault(const struct portero_op *op);
/* Adds the call to what the connection sends. with_text: the server does not
 * know the script. */
void call_add(struct connection *c, const char *prefix,
    const struct portero_op *op, bool with_text);

/* A step of a walk: asks for some of the keys that hold counters. */
void call_add_scan(
    struct connection *c, const char *prefix, const struct portero_op *op);
/* The id in such a key. false: it is none of ours. */
bool call_read_key(const char *prefix, const struct portero_op *op,
    struct portero_str key, char id[CALL_ID_MAX], size_t *len);

#endif
