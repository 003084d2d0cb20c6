/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"

#include <stdlib.h>
#include <string.h>

struct report_row {
	struct portero_row row;
	uint64_t tail; /* of the counter's key */
};

static struct portero_row
row_of(const struct books *b, struct counter_record *r)
{
	struct counter *c = &r->counter;
	struct portero_row row = { .size = sizeof row,
		.unit = r->unit,
		.max = r->max };

	counter_advance(c, c->window_s, b->now_us);
	row.used = counter_used(c);
	row.window_s = c->window_s;
	row.resets_at = counter_resets_at(c);
	memcpy(row.limit, r->limit, sizeof row.limit);
	row.limit[sizeof row.limit - 1] = '\0';
	return row;
}

/* ---- of one owner ------------------------------------------------------ */

static struct report_row *
row_new(struct report *r)
{
	if (r->nrows == r->max_rows) {
		size_t max = r->max_rows == 0 ? 16 : 2 * r->max_rows;
		void *rows = realloc(r->rows, max * sizeof *r->rows);

		if (rows == NULL)
			return NULL;
		r->rows = rows;
		r->max_rows = max;
	}
	return &r->rows[r->nrows++];
}

static void
add_counter(void *arg, const struct portero_key *key, const void *record)
{
	struct report *r = arg;
	struct record copy;
	struct report_row *row;

	if (((const struct record *)record)->kind != RECORD_COUNTER ||
	    !books_is_owner(r->books,
		&((const struct record *)record)->counter.owner) ||
	    !books_load_counter(r->books, key, &copy))
		return;
	row = row_new(r);
	if (row == NULL) {
		r->no_memory = true;
		return;
	}
	row->row = row_of(r->books, &copy.counter);
	memcpy(&row->tail, key->byte + 8, sizeof row->tail);
}

/* Counts a reservation at the counters it touches. */
static void
add_part(void *arg, const struct portero_key *key, const void *record)
{
	const struct part_record *part = &((const struct record *)record)->part;
	struct report *r = arg;
	uint32_t n;

	(void)key;
	if (((const struct record *)record)->kind != RECORD_PART ||
	    !books_is_owner(r->books, &part->owner))
		return;
	n = part->nentries < PART_ENTRIES ? part->nentries : PART_ENTRIES;
	for (uint32_t i = 0; i < n; i++)
		for (size_t k = 0; k < r->nrows; k++)
			if (part->entries[i].first &&
			    part->entries[i].tail == r->rows[k].tail)
				r->rows[k].row.open++;
}

static int
compare_rows(const void *a, const void *b)
{
	const struct portero_row *x = &((const struct report_row *)a)->row;
	const struct portero_row *y = &((const struct report_row *)b)->row;
	int order = strcmp(x->limit, y->limit);

	return order != 0 ? order : (int)x->unit - (int)y->unit;
}

int
report_owner(struct report *r, const struct books *b,
    const struct portero_op *op)
{
	r->books = b;
	r->nrows = 0;
	r->no_memory = false;
	b->host->table_each(b->table, add_counter, r);
	b->host->table_each(b->table, add_part, r);
	if (r->no_memory)
		return -1;
	if (r->nrows > 1)
		qsort(r->rows, r->nrows, sizeof r->rows[0], compare_rows);
	for (size_t i = 0; i < r->nrows; i++)
		op->row(op->row_arg, &r->rows[i].row);
	return 0;
}

void
report_clear(struct report *r)
{
	free(r->rows);
	*r = (struct report){ .rows = NULL };
}

/* ---- of all ------------------------------------------------------------ */

struct walk {
	const struct books *books;
	const struct portero_op *op;
};

static void
show_counter(void *arg, const struct portero_key *key, const void *record)
{
	const struct counter_record *c =
	    &((const struct record *)record)->counter;
	const struct walk *w = arg;
	struct portero_row row;
	struct record copy;

	if (((const struct record *)record)->kind != RECORD_COUNTER ||
	    c->scope != (uint32_t)w->op->scope ||
	    !books_load_counter(w->books, key, &copy))
		return;
	row = row_of(w->books, &copy.counter);
	row.key.ptr = copy.counter.name;
	row.key.len = strnlen(copy.counter.name, OWNER_NAME_LEN);
	w->op->row(w->op->row_arg, &row);
}

void
report_walk(const struct books *b, struct portero_op *op)
{
	struct walk w = { b, op };

	op->cursor = b->host->table_some(b->table, (uint32_t)op->cursor,
	    BOOKS_STEP, show_counter, &w);
}
