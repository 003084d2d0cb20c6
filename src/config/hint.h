/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * "did you mean": the known word nearest to one that is not known.
 */
#ifndef CONFIG_HINT_H
#define CONFIG_HINT_H

#include <stddef.h>

#include "base/str.h"

#define HINT_WORD_MAX 64

/* Insertions, deletions, replacements and swaps of neighbours that turn one
 * into the other; SIZE_MAX for words longer than HINT_WORD_MAX. */
size_t hint_distance(struct str a, struct str b);

/* Fed with candidates, keeps the best. */
struct hint {
	struct str wanted; /* borrowed */
	const char *best;  /* borrowed from the candidates; NULL: none near */
	size_t distance;
};

void hint_start(struct hint *h, struct str wanted);
void hint_try(struct hint *h, const char *candidate);
/* `; did you mean "port"?` in a static buffer, or "". */
const char *hint_text(const struct hint *h);

#endif
