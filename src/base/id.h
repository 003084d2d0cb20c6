/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Random ids. Bytes come from getrandom(2), fetched in blocks.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stddef.h>
#include <stdint.h>

#define ID_SESSION_LEN 8

void id_random(void *to, size_t len);
/* Eight characters of Crockford's base32 (no I, L, O, U) and a NUL: short
 * enough to be read out to the help desk. */
void id_session(char to[ID_SESSION_LEN + 1]);

#endif
