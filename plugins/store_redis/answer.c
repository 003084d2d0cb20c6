/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#define HEAD 2       /* result, alerts */
#define PER_CHARGE 3 /* used, fits, fits_at */
#define PER_ROW 6    /* name, max, used, window, resets_at, open */

#define USED_MAX (INT64_C(1) << 60)
#define MAXIMUM_MAX (INT64_C(1) << 62)
#define TIME_MAX (INT64_C(1) << 40)
#define COUNT_MAX 1000000

/* As the script says them. */
enum said { SAID_DONE = 1, SAID_REFUSED, SAID_SETTLED, SAID_FULL };

/* Errors by their first word. */
static const struct {
	const char *word;
	enum answer answer;
} errors[] = {
	{ "NOSCRIPT", ANSWER_NO_SCRIPT },
	{ "LOADING", ANSWER_REFUSED },
	{ "READONLY", ANSWER_REFUSED },
	{ "OOM", ANSWER_REFUSED },
	{ "NOAUTH", ANSWER_REFUSED },
	{ "NOPERM", ANSWER_REFUSED },
	{ "WRONGPASS", ANSWER_REFUSED },
	{ "MASTERDOWN", ANSWER_REFUSED },
	{ "CLUSTERDOWN", ANSWER_REFUSED },
	{ "MOVED", ANSWER_REFUSED },
	{ "ASK", ANSWER_REFUSED },
	{ "TRYAGAIN", ANSWER_REFUSED },
	{ "CROSSSLOT", ANSWER_REFUSED },
	{ "MISCONF", ANSWER_REFUSED },
	{ "NOREPLICAS", ANSWER_REFUSED },
	{ "BUSY", ANSWER_REFUSED },
};

static enum answer
answer_of(const char *text)
{
	size_t len = strcspn(text, " ");

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strlen(errors[i].word) == len &&
		    memcmp(errors[i].word, text, len) == 0)
			return errors[i].answer;
	return ANSWER_FAILED;
}

/* Redis 6 wraps what a command of the script was answered: "ERR Error running
 * script (call to f_...): @user_script: 7: -OOM command not allowed ...". */
static enum answer
read_error(const redisReply *r)
{
	const char *wrapped = strstr(r->str, ": -");
	enum answer answer = answer_of(r->str);

	if (answer != ANSWER_FAILED || wrapped == NULL)
		return answer;
	return answer_of(wrapped + 3) == ANSWER_REFUSED ? ANSWER_REFUSED :
							  ANSWER_FAILED;
}

/* Element i as a number from min to max. */
static bool
number(const redisReply *r, size_t i, int64_t min, int64_t max, int64_t *to)
{
	const redisReply *e = r->element[i];

	if (e == NULL || e->type != REDIS_REPLY_INTEGER || e->integer < min ||
	    e->integer > max)
		return false;
	*to = e->integer;
	return true;
}

/* ---- charges ------------------------------------------------------------- */

/* Reads what a reply says of a charge. */
static bool
read_charge(const redisReply *r, size_t i, struct portero_charge *c)
{
	size_t at = HEAD + PER_CHARGE * i;
	int64_t fits;

	if (!number(r, at, 0, USED_MAX, &c->used) ||
	    !number(r, at + 1, 0, 1, &fits) ||
	    !number(r, at + 2, 0, TIME_MAX, &c->fits_at))
		return false;
	c->fits = fits == 1;
	return true;
}

/* All of them or none. */
static bool
read_charges(const redisReply *r, struct portero_op *op)
{
	struct portero_charge c;

	if (r->elements != HEAD + PER_CHARGE * op->ncharges)
		return false;
	for (size_t i = 0; i < op->ncharges; i++)
		if (!read_charge(r, i, &c))
			return false;
	for (size_t i = 0; i < op->ncharges; i++)
		read_charge(r, i, &op->charges[i]);
	return true;
}

/* ---- rows ---------------------------------------------------------------- */

static bool
read_name(const redisReply *e, struct portero_row *row)
{
	if (e == NULL || e->type != REDIS_REPLY_STRING || e->len < 2 ||
	    e->len > sizeof row->limit || e->str[0] < '0' ||
	    e->str[0] >= '0' + PORTERO_NUNITS ||
	    memchr(e->str, '\0', e->len) != NULL)
		return false;
	row->unit = (enum portero_unit)(e->str[0] - '0');
	memcpy(row->limit, e->str + 1, e->len - 1);
	return true;
}

static bool
read_row(const redisReply *r, size_t at, struct portero_row *row)
{
	int64_t window_s, open;

	*row = (struct portero_row){ .size = sizeof *row };
	if (!read_name(r->element[at], row) ||
	    !number(r, at + 1, PORTERO_UNLIMITED, MAXIMUM_MAX, &row->max) ||
	    !number(r, at + 2, 0, USED_MAX, &row->used) ||
	    !number(r, at + 3, 1, PORTERO_MAX_WINDOW_S, &window_s) ||
	    !number(r, at + 4, 0, TIME_MAX, &row->resets_at) ||
	    !number(r, at + 5, 0, COUNT_MAX, &open))
		return false;
	row->window_s = (uint32_t)window_s;
	row->open = (uint32_t)open;
	return true;
}

static int
compare_rows(const void *a, const void *b)
{
	const struct portero_row *x = a, *y = b;
	int order = strcmp(x->limit, y->limit);

	return order != 0 ? order : (int)x->unit - (int)y->unit;
}

static bool
read_rows(const redisReply *r, struct portero_op *op)
{
	size_t n = (r->elements - HEAD) / PER_ROW;
	struct portero_row *rows;
	bool good = true;

	if (r->elements != HEAD + n * PER_ROW)
		return false;
	rows = calloc(n + 1, sizeof *rows);
	if (rows == NULL)
		return false;
	for (size_t i = 0; i < n && good; i++)
		good = read_row(r, HEAD + i * PER_ROW, &rows[i]);
	if (good && n > 0)
		qsort(rows, n, sizeof *rows, compare_rows);
	for (size_t i = 0; i < n && good; i++)
		op->row(op->row_arg, &rows[i]);
	free(rows);
	return good;
}

/* ---- all ----------------------------------------------------------------- */

/* The result of an operation that says so; NONE: it cannot say so. */
static enum portero_op_result
result_of(enum portero_op_kind kind, int64_t said)
{
	if (said == SAID_DONE)
		return PORTERO_OP_DONE;
	if (kind == PORTERO_OP_TAKE && said == SAID_REFUSED)
		return PORTERO_OP_REFUSED;
	if (kind != PORTERO_OP_TAKE && kind != PORTERO_OP_CHARGE)
		return PORTERO_OP_NONE;
	if (said == SAID_SETTLED)
		return PORTERO_OP_SETTLED;
	return said == SAID_FULL ? PORTERO_OP_FAILED : PORTERO_OP_NONE;
}

enum answer
answer_read(const redisReply *r, struct portero_op *op, int64_t *nalerts)
{
	enum portero_op_result result;
	int64_t said;
	bool good;

	if (r->type == REDIS_REPLY_ERROR)
		return read_error(r);
	if (r->type != REDIS_REPLY_ARRAY || r->elements < HEAD ||
	    !number(r, 0, SAID_DONE, SAID_FULL, &said) ||
	    !number(r, 1, 0, COUNT_MAX, nalerts))
		return ANSWER_NONSENSE;
	result = result_of(op->kind, said);
	if (result == PORTERO_OP_NONE)
		return ANSWER_NONSENSE;
	switch (op->kind) {
	case PORTERO_OP_PEEK:
	case PORTERO_OP_TAKE:
	case PORTERO_OP_CHARGE:
		good = said == SAID_FULL ? r->elements == HEAD
		                         : read_charges(r, op);
		break;
	case PORTERO_OP_REPORT:
		good = read_rows(r, op);
		break;
	default:
		good = r->elements == HEAD;
		break;
	}
	if (!good)
		return ANSWER_NONSENSE;
	op->result = result;
	return ANSWER_DONE;
}

const redisReply *
answer_read_scan(const redisReply *r, uint64_t *cursor)
{
	const redisReply *keys;
	uint64_t n = 0;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
	    r->element[0]->type != REDIS_REPLY_STRING ||
	    r->element[1]->type != REDIS_REPLY_ARRAY)
		return NULL;
	for (const char *c = r->element[0]->str; *c != '\0'; c++) {
		if (*c < '0' || *c > '9' || n > UINT64_MAX / 10)
			return NULL;
		n = 10 * n + (uint64_t)(*c - '0');
	}
	keys = r->element[1];
	for (size_t i = 0; i < keys->elements; i++)
		if (keys->element[i]->type != REDIS_REPLY_STRING)
			return NULL;
	*cursor = n;
	return keys;
}
