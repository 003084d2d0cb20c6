/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/lookup.h"

#include <string.h>

#include "policy/store.h"

static struct str
limit_of(const struct portero_row *row)
{
	return (struct str){ row->limit, strnlen(row->limit, 32) };
}

static struct store_row
row_of(const struct portero_row *row)
{
	return (struct store_row){ .key = { row->key.ptr, row->key.len },
		.limit = limit_of(row),
		.unit = row->unit,
		.max = row->max,
		.used = row->used,
		.resets_at = row->resets_at,
		.window_s = row->window_s,
		.open = row->open };
}

static void
add_row(void *arg, const struct portero_row *row)
{
	struct lookup *l = arg;
	struct store_row *to = &l->rows[l->nrows];

	if (l->nrows == LOOKUP_ROWS || (unsigned)row->unit >= PORTERO_NUNITS)
		return;
	str_copy(l->limits[l->nrows], sizeof l->limits[0], limit_of(row));
	*to = row_of(row);
	to->key = STR("");
	to->limit = str_of(l->limits[l->nrows++]);
}

static void
offer_row(void *arg, const struct portero_row *row)
{
	struct lookup *l = arg;
	struct store_row of = row_of(row);

	if ((unsigned)row->unit < PORTERO_NUNITS)
		top_offer(&l->top, &of);
}

static void
add_line(void *arg, const char *name, const char *value)
{
	struct lookup *l = arg;
	uint32_t n = l->nlines;

	if (n == LOOKUP_LINES)
		return;
	snprintf(l->names[n], sizeof l->names[n], "%s", name);
	snprintf(l->values[n], sizeof l->values[n], "%s", value);
	l->lines[n] = (struct store_line){ str_of(l->names[n]),
		str_of(l->values[n]) };
	l->nlines++;
}

/* false: failed. */
static bool
ask_store(struct lookup *l, struct tally *t, const struct store_question *q,
    struct store_answer *a)
{
	static const enum portero_op_kind kinds[] = {
		[STORE_SHOW] = PORTERO_OP_REPORT,
		[STORE_RESET] = PORTERO_OP_RESET,
		[STORE_TOP] = PORTERO_OP_WALK
	};
	struct portero_op op = { .size = sizeof op,
		.kind = kinds[q->ask],
		.scope = q->scope,
		.key = { q->key.ptr, q->key.len },
		.lifetime_s = t->lifetime_s,
		.row = q->ask == STORE_TOP ? offer_row : add_row,
		.row_arg = l,
		.cursor = q->cursor };

	if (tally_apply(t, &op) == -1)
		return false;
	a->cursor = op.cursor;
	return true;
}

void
lookup_answer(struct lookup *l, struct tally *t,
    const struct store_question *q, struct store_answer *a)
{
	*a = (struct store_answer){ .rows = l->rows, .lines = l->lines };
	l->nrows = l->nlines = 0;
	top_start(&l->top);
	if (t->store == NULL) {
		a->failed = true;
		a->error = STR("no store is configured");
	} else if (q->ask == STORE_STATUS) {
		store_status(t->store->store, add_line, l);
	} else if (!ask_store(l, t, q, a)) {
		a->failed = true;
		a->error = STR("the store is away");
	}
	if (q->ask == STORE_TOP)
		l->nrows = (uint32_t)top_rows(&l->top, l->rows);
	a->nrows = a->failed ? 0 : l->nrows;
	a->nlines = l->nlines;
}
