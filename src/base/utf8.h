/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 (RFC 3629), strict: no overlong form, no surrogate.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Takes one character off s, which is not empty; false: it is not UTF-8. */
bool utf8_take(struct str *s, uint32_t *c_r);
/* Nothing but UTF-8, and no control character (C0, DEL, C1) in it. */
bool utf8_is_text(struct str s);

#endif
