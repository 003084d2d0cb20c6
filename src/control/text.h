/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Text from outside on its way to JSON and to a terminal.
 */
#ifndef CONTROL_TEXT_H
#define CONTROL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* The length of the UTF-8 sequence that s begins with, its code point in
 * *point; 0: not UTF-8 (RFC 3629). s is not empty. */
size_t text_point(struct str s, uint32_t *point);
/* Control characters and those that turn the direction of writing. */
bool text_is_control(uint32_t point);
/* true: UTF-8 without any of them. */
bool text_is_clean(struct str s);
/* Appends s so that no terminal acts on it: what is not clean becomes
 * "\x1b" or "\u{202e}". lines: newline and tab are left as they are. */
void text_show(struct buf *out, struct str s, bool lines);

#endif
