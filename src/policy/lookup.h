/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The operator's questions to the store: what somebody has used, forget it,
 * who is near a limit, and how the store is.
 */
#ifndef POLICY_LOOKUP_H
#define POLICY_LOOKUP_H

#include <stdint.h>

#include "ipc/question.h"
#include "ipc/top.h"
#include "policy/tally.h"

#define LOOKUP_ROWS 256
#define LOOKUP_LINES 64

struct lookup {
	struct top top;
	struct store_row rows[LOOKUP_ROWS];
	char limits[LOOKUP_ROWS][32];
	uint32_t nrows;
	struct store_line lines[LOOKUP_LINES];
	char names[LOOKUP_LINES][32], values[LOOKUP_LINES][256];
	uint32_t nlines;
};

/* Strings and rows in *a are the lookup's and hold until the next call. */
void lookup_answer(struct lookup *l, struct tally *t,
    const struct store_question *q, struct store_answer *a);

#endif
