/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the shared counters.
 */
#include "master/rows.h"

#include <assert.h>

unsigned
rows_take(struct rows *r)
{
	unsigned row = 1;

	while (row < SHARED_ROWS - 1 && r->users[row] > 0)
		row++;
	r->users[row]++;
	return row;
}

void
rows_give(struct rows *r, unsigned row, struct shared *s)
{
	assert(row > 0 && row < SHARED_ROWS && r->users[row] > 0);
	r->users[row]--;
	if (r->users[row] == 0)
		shared_retire(s, row);
}
