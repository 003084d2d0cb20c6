/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The types of options: from the text of a value to its number, and back.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdint.h>

#include <portero/plugin.h>

#include "base/buf.h"

/* Only in the core's own tables: a duration in milliseconds. */
#define VALUE_MILLISECONDS ((enum portero_option_type)100)

/* Is the option's value a number? (bool and enum are) */
bool value_is_number(const struct portero_option *o);
/* The number that text means. -1: *why gets a sentence that goes on after
 * `"name" = "text"` (in a static buffer, or a literal). */
int value_read(const struct portero_option *o, const char *text,
    int64_t *number_r, const char **why_r);
/* Appends a number as one would write it in the file: 25M, 1h, yes. */
void value_write(
    const struct portero_option *o, int64_t number, struct buf *out);
/* Appends a string between quotes. */
void value_write_string(const char *text, struct buf *out);
/* What may stand there, for help and manual: "size", "yes or no". */
const char *value_type_name(const struct portero_option *o);

#endif
