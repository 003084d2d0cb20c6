/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The take that passes a percentage finds out whether one has done so in this
 * window: what was given back since may be taken again. So the table is
 * looked at only when there is something to say; when it is full the line is
 * written all the same.
 */
#include "policy/warning.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/shm_table.h"
#include "config/conf.h"

#define MAX_PERCENTS 8
#define ENTRIES 16384

struct warner {
	struct portero_table *table; /* owned */
	int64_t percents[MAX_PERCENTS];
	size_t npercents;
};

static const struct portero_table_spec spec = {
	.size = sizeof spec,
	.layout = 1,
	.record_size = 1,
	.nrecords = ENTRIES,
	.nshards = 1,
	.max_saves = 1,
};

size_t
warner_size(void)
{
	return shm_table_size(&spec);
}

/* 0: not a percentage. */
static int64_t
percent_of(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || (*end != '\0' && strcmp(end, "%") != 0))
		return 0;
	return n >= 1 && n <= 100 ? n : 0;
}

int
warner_check(const struct portero_conf *options, struct error *err)
{
	size_t n = config_list_length(options, "warn_at");

	if (n > MAX_PERCENTS)
		return error_set(err, ERROR_PERMANENT,
		    "warn_at has more than %d percentages", MAX_PERCENTS);
	for (size_t i = 0; i < n; i++) {
		const char *item = config_list_item(options, "warn_at", i);

		if (percent_of(item) == 0)
			return error_set(err, ERROR_PERMANENT,
			    "warn_at: \"%.20s\" is not a percentage from 1 to "
			    "100", item);
	}
	return 0;
}

struct warner *
warner_open(const struct portero_conf *options, void *memory, size_t bytes,
    enum portero_share_state state, char err[256])
{
	struct warner *w = xcalloc(1, sizeof *w);
	size_t n = config_list_length(options, "warn_at");

	for (size_t i = 0; i < n && i < MAX_PERCENTS; i++)
		w->percents[w->npercents++] =
		    percent_of(config_list_item(options, "warn_at", i));
	w->table = shm_table_open(memory, bytes, &spec, state, err);
	if (w->table == NULL)
		warner_close(&w);
	return w;
}

void
warner_close(struct warner **w)
{
	if (*w == NULL)
		return;
	if ((*w)->table != NULL)
		shm_table_close((*w)->table);
	free(*w);
	*w = NULL;
}

/* true: the first in this window. */
static bool
is_news(struct warner *w, const struct portero_op *op,
    const struct portero_charge *c, int64_t percent)
{
	static const struct portero_key place;
	static const uint8_t hash_key[HASH_KEY_LEN], record;
	struct portero_key key;
	char name[512];
	bool known;
	int n = snprintf(name, sizeof name, "%d %d %d %.31s %.*s",
	    (int)percent, (int)op->scope, (int)c->unit, c->limit,
	    op->key.len < 400 ? (int)op->key.len : 400,
	    op->key.len == 0 ? "" : op->key.ptr);

	hash_sip128(hash_key, name, (size_t)n, key.byte);
	if (shm_table_lock(w->table, &place) == -1)
		return true;
	known = shm_table_find(w->table, &key) != NULL;
	if (known || shm_table_save(w->table, &key, &record,
			 clock_wall_s() + c->window_s) == -1)
		shm_table_abort(w->table);
	else
		shm_table_commit(w->table);
	return !known;
}

static void
log_warning(const struct portero_op *op, const struct portero_charge *c,
    int64_t percent)
{
	static const char *const units[] = { "messages", "recipients",
		"bytes" };
	static const char *const scopes[PORTERO_NSCOPES] = { "user", "class",
		"domain", "host", "network" };
	struct log_line l;

	log_begin(&l, LOG_LEVEL_WARNING, "limit");
	log_add(&l, scopes[op->scope],
	    (struct str){ op->key.ptr, op->key.len });
	log_adds(&l, "limit", c->limit);
	log_adds(&l, "unit", units[c->unit]);
	log_addn(&l, "percent", percent);
	log_addn(&l, "used", c->used + c->amount);
	log_addn(&l, "of", c->max);
	log_end(&l);
}

static bool
is_reached(int64_t used, int64_t max, int64_t percent)
{
	return used >= (max * percent + 99) / 100;
}

void
warner_look(struct warner *w, const struct portero_op *op)
{
	if (op->kind != PORTERO_OP_TAKE || op->result != PORTERO_OP_DONE)
		return;
	for (size_t i = 0; i < op->ncharges; i++) {
		const struct portero_charge *c = &op->charges[i];

		if (c->monitor || c->max <= 0 || c->max > INT64_MAX / 128)
			continue;
		for (size_t k = 0; k < w->npercents; k++)
			if (!is_reached(c->used, c->max, w->percents[k]) &&
			    is_reached(c->used + c->amount, c->max,
				w->percents[k]) &&
			    is_news(w, op, c, w->percents[k]))
				log_warning(op, c, w->percents[k]);
	}
}
