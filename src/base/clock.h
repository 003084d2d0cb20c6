/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Clocks. Deadlines count on the monotonic clock, windows of limits and dates
 * on the wall clock. Tests may set both.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_NS_PER_MS 1000000LL

int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_us(void);
int64_t clock_wall_s(void);
/* "2026-11-23T14:20:00Z"; size at least 21. */
void clock_format(char *to, size_t size, int64_t wall_s);
/* RFC 5322 date-time in local time: "Mon, 23 Nov 2026 15:20:00 +0100";
 * size at least 32. */
void clock_format_rfc5322(char *to, size_t size, int64_t wall_s);
/* For tests: offsets added to the clocks. */
void clock_shift(int64_t mono_ns, int64_t wall_us);

#endif
