/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One file's text as libconfuse can read it without mistakes: no byte order
 * mark, plain line ends, comments blanked out, ${VARIABLES} put in. Every line
 * keeps its number.
 */
#ifndef CONFIG_CLEAN_H
#define CONFIG_CLEAN_H

#include "base/buf.h"
#include "config/conf.h"

/* Appends the clean text to out. -1: errors are in m, out is of no use. */
int clean_text(const char *file, const char *bytes, size_t len, struct buf *out,
    struct config_messages *m);

#endif
