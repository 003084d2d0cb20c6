/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Values about people, as directories and files write them.
 */
#ifndef PLUGINS_COMMON_VALUE_H
#define PLUGINS_COMMON_VALUE_H

#include <portero/plugin.h>

/* What is before the first c; *s goes on behind it, or is empty. */
struct portero_str value_cut(struct portero_str *s, char c);

/* Not empty, and without control characters. */
bool value_is_text(struct portero_str s);
/* false: it is no text, or does not fit. */
bool value_copy(char *to, size_t size, struct portero_str s);

/* "25M". false: it is none. */
bool value_size(struct portero_str s, int64_t *bytes_r);
/* "name=value" or "name=value/window", e.g. hourly=500/1h or hourly=unlimited.
 * false: it is none. */
bool value_limit(struct portero_str s, struct portero_limit *l);

#endif
