/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nearest words by edit distance. Owns nothing.
 */
#include <stdint.h>
#include <stdio.h>

#include "config/hint.h"

#define NEAR 2

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t
hint_distance(struct str a, struct str b)
{
	size_t row[3][HINT_WORD_MAX + 1]; /* before last, last, this */

	if (a.len > HINT_WORD_MAX || b.len > HINT_WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		row[1][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		row[2][0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t other = a.ptr[i - 1] != b.ptr[j - 1];
			size_t d = least(row[1][j], row[2][j - 1]) + 1;

			d = least(d, row[1][j - 1] + other);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] &&
			    a.ptr[i - 2] == b.ptr[j - 1])
				d = least(d, row[0][j - 2] + 1);
			row[2][j] = d;
		}
		memcpy(row[0], row[1], sizeof row[0]);
		memcpy(row[1], row[2], sizeof row[1]);
	}
	return row[1][b.len];
}

void
hint_start(struct hint *h, struct str wanted)
{
	h->wanted = wanted;
	h->best = NULL;
	/* for "to" everything of two letters would be near */
	h->distance = least(NEAR, (wanted.len + 1) / 2) + 1;
}

void
hint_try(struct hint *h, const char *candidate)
{
	size_t d = hint_distance(h->wanted, str_of(candidate));

	if (d < h->distance) {
		h->distance = d;
		h->best = candidate;
	}
}

const char *
hint_text(const struct hint *h)
{
	static char text[HINT_WORD_MAX + 32];

	if (h->best == NULL)
		return "";
	snprintf(text, sizeof text, "; did you mean \"%s\"?", h->best);
	return text;
}
