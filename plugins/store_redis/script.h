/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The script that Redis runs for each operation; made of script.lua.
 */
#ifndef STORE_REDIS_SCRIPT_H
#define STORE_REDIS_SCRIPT_H

#include <stddef.h>

extern const char script_text[];
extern const size_t script_len;
extern const char script_sha1[]; /* by which Redis knows it */

#endif
