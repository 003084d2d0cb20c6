/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Of many counters the few that are nearest to their maximum: collected by a
 * policy worker in one step through the store, and by the control process
 * over all steps.
 */
#ifndef IPC_TOP_H
#define IPC_TOP_H

#include <stddef.h>

#include "ipc/question.h"

#define TOP_ROWS 20

struct top_entry {
	char key[PERSON_ID_MAX + 1];
	char limit[32];
	struct store_row row; /* its strings are the two above */
};

struct top {
	size_t n;
	struct top_entry *entries[TOP_ROWS]; /* nearest first; into memory */
	struct top_entry memory[TOP_ROWS + 1];
};

void top_start(struct top *t);
/* A counter that comes twice stands once. A name that is too long is cut. */
void top_offer(struct top *t, const struct store_row *row);
/* Fills rows with them; their strings are the top's. Returns how many. */
size_t top_rows(const struct top *t, struct store_row rows[TOP_ROWS]);

#endif
