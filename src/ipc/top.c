/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sorted pointers; the place that is not pointed to is for the next one.
 */
#include "ipc/top.h"

#include <string.h>

void
top_start(struct top *t)
{
	t->n = 0;
}

/* Part of the maximum that is used; 0 for what has none. */
static double
part_of(const struct store_row *r)
{
	if (r->max == PORTERO_UNLIMITED)
		return 0;
	return r->max <= 0 ? 1 : (double)r->used / (double)r->max;
}

static bool
is_before(const struct store_row *a, const struct store_row *b)
{
	double x = part_of(a), y = part_of(b);

	if (x > y || x < y)
		return x > y;
	return a->used > b->used;
}

static bool
is_same(const struct store_row *a, const struct store_row *b)
{
	return a->unit == b->unit && str_eq(a->key, b->key) &&
	    str_eq(a->limit, b->limit);
}

static struct top_entry *
free_entry(struct top *t)
{
	for (size_t i = 0; i <= TOP_ROWS; i++) {
		size_t k = 0;

		while (k < t->n && t->entries[k] != &t->memory[i])
			k++;
		if (k == t->n)
			return &t->memory[i];
	}
	return NULL; /* there is one more than entries */
}

static void
fill(struct top_entry *e, const struct store_row *row)
{
	struct str key = row->key, limit = row->limit;

	if (key.len >= sizeof e->key)
		key.len = sizeof e->key - 1;
	if (limit.len >= sizeof e->limit)
		limit.len = sizeof e->limit - 1;
	str_copy(e->key, sizeof e->key, key);
	str_copy(e->limit, sizeof e->limit, limit);
	e->row = *row;
	e->row.key = str_of(e->key);
	e->row.limit = str_of(e->limit);
}

void
top_offer(struct top *t, const struct store_row *row)
{
	struct top_entry *e = free_entry(t);
	size_t at = 0;

	if (row->used <= 0)
		return;
	fill(e, row);
	for (size_t i = 0; i < t->n; i++)
		if (is_same(&t->entries[i]->row, &e->row))
			return;
	while (at < t->n && !is_before(&e->row, &t->entries[at]->row))
		at++;
	if (at == TOP_ROWS)
		return;
	if (t->n < TOP_ROWS)
		t->n++;
	memmove(&t->entries[at + 1], &t->entries[at],
	    (t->n - at - 1) * sizeof t->entries[0]);
	t->entries[at] = e;
}

size_t
top_rows(const struct top *t, struct store_row rows[TOP_ROWS])
{
	for (size_t i = 0; i < t->n; i++)
		rows[i] = t->entries[i]->row;
	return t->n;
}
