/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The pre-pass on bytes instead of files, for tests and fuzzing.
 */
#ifndef CONFIG_PREPASS_H
#define CONFIG_PREPASS_H

#include "base/buf.h"
#include "config/conf.h"

/* As config_read(), but no file is opened: include() is an error. */
void prepass_bytes(const char *name, const char *bytes, size_t len,
    struct buf *out, struct config_messages *m);

#endif
