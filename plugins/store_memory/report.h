/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Looking at counters: all of one owner, or some of everybody's. Each function
 * works on the locked table and changes nothing in it.
 */
#ifndef STORE_MEMORY_REPORT_H
#define STORE_MEMORY_REPORT_H

#include "books.h"

struct report_row;
struct report {
	const struct books *books; /* borrowed, for the call in hand */
	struct report_row *rows;   /* owned */
	size_t nrows, max_rows;
	bool no_memory; /* for more rows */
};

/* Calls op->row for each counter of the owner, in order. -1: out of memory. */
int report_owner(struct report *r, const struct books *b,
    const struct portero_op *op);
void report_clear(struct report *r);

/* One step through all counters; moves op->cursor. */
void report_walk(const struct books *b, struct portero_op *op);

#endif
