/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One spelling of all the names that a directory may take for the same.
 */
#ifndef POLICY_GUARD_SPELLING_H
#define POLICY_GUARD_SPELLING_H

#include <portero/plugin.h>

/* Small letters without accents, blanks at the ends, more than one blank and
 * anything that cannot be seen: directories differ in what they overlook, so
 * all of it is. Now and then two people share a spelling; it is for counting
 * attempts, not for finding somebody. What has no room is left out. Returns
 * the bytes in `to`, which has `room` and gets no NUL; 0: out of memory, or
 * nothing of it can be seen. */
size_t spelling_of(struct portero_str typed, char *to, size_t room);

#endif
