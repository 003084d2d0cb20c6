/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One spelling of all the names that a directory may take for the same.
 */
#ifndef POLICY_SPELLING_H
#define POLICY_SPELLING_H

#include <stddef.h>

#include "base/str.h"

#define SPELLING_MAX 255 /* what is longer is cut */

/* Small letters without accents, blanks at the ends, more than one blank and
 * anything that cannot be seen: directories differ in what they overlook, so
 * all of it is. Now and then two people share a spelling; it is for counting
 * attempts, not for finding somebody. */
struct str spelling_of(char to[SPELLING_MAX + 1], struct str typed);

#endif
