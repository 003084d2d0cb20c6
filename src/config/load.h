/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Loading from memory instead of a descriptor, for tests and fuzzing.
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "config/conf.h"

/* A resolved text, with its table of origins. As config_load(). */
struct config *config_load_text(const char *text, size_t len,
    const struct config_resolver *resolver, struct config_messages *m);

#endif
