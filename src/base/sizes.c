/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sizes in words.
 */
#include "base/sizes.h"

#include <stdio.h>

#define KIB ((int64_t)1 << 10)
#define MIB ((int64_t)1 << 20)

/* "25 MB", "38.2 MB", "900 bytes". Not rounded up: half a limit is not all. */
void
size_text(char to[SIZE_TEXT], int64_t bytes)
{
	int64_t unit = bytes < MIB ? KIB : MIB;
	const char *name = bytes < MIB ? "kB" : "MB";

	if (bytes < 10 * KIB)
		snprintf(to, SIZE_TEXT, "%lld bytes", (long long)bytes);
	else if (bytes % unit == 0)
		snprintf(to, SIZE_TEXT, "%lld %s", (long long)(bytes / unit),
		    name);
	else
		snprintf(to, SIZE_TEXT, "%lld.%lld %s",
		    (long long)(bytes / unit),
		    (long long)(bytes % unit * 10 / unit), name);
}

/* Two sizes, in bytes where they would look the same otherwise. */
void
size_text_pair(char a_is[SIZE_TEXT], int64_t a, char b_is[SIZE_TEXT], int64_t b)
{
	int64_t unit = b < MIB ? KIB : MIB;

	if (a != b && a / unit == b / unit &&
	    a % unit * 10 / unit == b % unit * 10 / unit) {
		snprintf(a_is, SIZE_TEXT, "%lld bytes", (long long)a);
		snprintf(b_is, SIZE_TEXT, "%lld bytes", (long long)b);
		return;
	}
	size_text(a_is, a);
	size_text(b_is, b);
}
