/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Connecting to a server with a deadline; of all plugins that ask one.
 */
#ifndef PLUGINS_COMMON_DIAL_H
#define PLUGINS_COMMON_DIAL_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds of a clock that is never set. */
int64_t dial_now_ms(void);

/* A connected descriptor, which does not block and is the caller's. -1: the
 * reason is in why. until_ms: of dial_now_ms(). */
int dial_path(const char *path, int64_t until_ms, char *why, size_t size);
int dial_host(const char *host, const char *port, int64_t until_ms, char *why,
    size_t size);

#endif
