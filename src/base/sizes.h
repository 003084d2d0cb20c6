/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sizes as people read them: "25 MB", "1.4 MB", "812 bytes".
 */
#ifndef BASE_SIZES_H
#define BASE_SIZES_H

#include <stdint.h>

#define SIZE_TEXT 32

/* bytes 0 or more. */
void size_text(char to[SIZE_TEXT], int64_t bytes);
/* Two that are compared: in bytes where they would look alike. */
void size_text_pair(char a_is[SIZE_TEXT], int64_t a, char b_is[SIZE_TEXT],
    int64_t b);

#endif
