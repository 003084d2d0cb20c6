/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The time of a trial only the suite moves; it begins at START and every
 * example and sequence begins later than all before it, with keys of its own.
 */
#include "store_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limit_model.h"

#define SECOND INT64_C(1000000)
#define START (INT64_C(1795000020) * SECOND) /* in 2026, a whole minute */
#define LIFETIME_S 100000 /* longer than any sequence */
#define APART_S 240000    /* whole minutes from one to the next */
#define MAX_ROWS 32

struct portero_charge
store_hourly(int64_t max)
{
	return (struct portero_charge){ .size = sizeof(struct portero_charge),
		.limit = "hourly",
		.unit = PORTERO_MESSAGES,
		.amount = 1,
		.max = max,
		.window_s = 3600 };
}

struct portero_op
store_op(enum portero_op_kind kind, const char *person, unsigned tx)
{
	struct portero_op op = { .size = sizeof op,
		.kind = kind,
		.scope = PORTERO_PERSON,
		.key = { person, strlen(person) },
		.lifetime_s = 3600 };

	memcpy(op.txid, &tx, sizeof tx);
	return op;
}

/* ---- examples ---------------------------------------------------------- */

/* The store of an example, its time and key. */
struct example {
	const struct store_suite *suite;
	int64_t now_us;
	char key[32];
};

static struct portero_charge
charge(const char *limit, enum portero_unit unit, int64_t amount, int64_t max,
    uint32_t window_s)
{
	struct portero_charge c = { .size = sizeof c,
		.unit = unit,
		.amount = amount,
		.max = max,
		.window_s = window_s };

	memcpy(c.limit, limit, strlen(limit));
	return c;
}

static void
pass(struct example *e, int64_t us)
{
	e->now_us += us;
	e->suite->set_now(e->suite->now_arg, e->now_us);
}

static struct portero_op
operation(const struct example *e, enum portero_op_kind kind, unsigned tx)
{
	struct portero_op op = store_op(kind, e->key, tx);

	op.lifetime_s = LIFETIME_S;
	return op;
}

static void
apply(const struct example *e, struct portero_op *op)
{
	assert_int_equal(e->suite->apply(e->suite->ctx, op, 1), 0);
}

static enum portero_op_result
take_n(const struct example *e, unsigned tx, uint32_t sequence,
    struct portero_charge *charges, size_t n)
{
	struct portero_op op = operation(e, PORTERO_OP_TAKE, tx);

	op.sequence = sequence;
	op.charges = charges;
	op.ncharges = n;
	apply(e, &op);
	return op.result;
}

/* A take of one message from "hourly". */
static enum portero_op_result
take(const struct example *e, unsigned tx, int64_t max, uint32_t window_s)
{
	struct portero_charge c = charge("hourly", PORTERO_MESSAGES, 1, max,
	    window_s);

	return take_n(e, tx, 0, &c, 1);
}

static void
settle(const struct example *e, unsigned tx, int64_t messages, int64_t bytes)
{
	struct portero_op op = operation(e, PORTERO_OP_SETTLE, tx);

	op.actual[PORTERO_MESSAGES] = messages;
	op.actual[PORTERO_BYTES] = bytes;
	apply(e, &op);
	assert_int_equal(op.result, PORTERO_OP_DONE);
}

/* What a peek says of "hourly". */
static struct portero_charge
peek(const struct example *e, int64_t amount, int64_t max, uint32_t window_s)
{
	struct portero_charge c = charge("hourly", PORTERO_MESSAGES, amount,
	    max, window_s);
	struct portero_op op = operation(e, PORTERO_OP_PEEK, 0);

	op.charges = &c;
	op.ncharges = 1;
	apply(e, &op);
	assert_int_equal(op.result, PORTERO_OP_DONE);
	return c;
}

static int64_t
used(const struct example *e, uint32_t window_s)
{
	return peek(e, 0, PORTERO_UNLIMITED, window_s).used;
}

static void
example_n_means_n_in_any_window(struct example *e)
{
	enum { N = 7, WINDOW_S = 60, TAKES = 2000 };
	int64_t taken_us[TAKES];
	unsigned n = 0;

	/* Somebody who tries every 0.37 s, and no window with more than N. */
	for (unsigned i = 0; i < TAKES; i++, pass(e, 370000))
		if (take(e, i, N, WINDOW_S) == PORTERO_OP_DONE)
			taken_us[n++] = e->now_us;
	for (unsigned i = N; i < n; i++)
		assert_true(taken_us[i] - taken_us[i - N] >= WINDOW_S * SECOND);
	/* Nor many less: a bucket's length is all that is lost. */
	assert_true(n >= N * (TAKES * 370 / 1000) / (WINDOW_S + 2));
}

static void
example_a_refusal_tells_when_it_will_fit(struct example *e)
{
	struct portero_charge c;
	int64_t start_s = e->now_us / SECOND;

	/* 3600 s have buckets of 60 s: 12 s past the minute counts from it. */
	pass(e, 12 * SECOND);
	assert_int_equal(take(e, 1, 2, 3600), PORTERO_OP_DONE);
	pass(e, 600 * SECOND);
	assert_int_equal(take(e, 2, 2, 3600), PORTERO_OP_DONE);
	assert_int_equal(take(e, 3, 2, 3600), PORTERO_OP_REFUSED);
	c = peek(e, 1, 2, 3600);
	assert_false(c.fits);
	assert_int_equal(c.used, 2);
	assert_int_equal(c.fits_at, start_s + 3660);
	assert_int_equal(peek(e, 2, 2, 3600).fits_at, start_s + 4260);
	/* More than the maximum: never. */
	assert_int_equal(peek(e, 3, 2, 3600).fits_at, 0);
	assert_int_equal(peek(e, 1, 0, 3600).fits_at, 0);

	pass(e, (start_s + 3660) * SECOND - 1 - e->now_us);
	assert_int_equal(take(e, 4, 2, 3600), PORTERO_OP_REFUSED);
	pass(e, 1);
	assert_int_equal(take(e, 5, 2, 3600), PORTERO_OP_DONE);
}

static void
example_all_charges_are_taken_or_none(struct example *e)
{
	struct portero_charge c[] = {
		charge("hourly", PORTERO_MESSAGES, 1, 10, 3600),
		charge("hourly", PORTERO_RECIPIENTS, 3, 5, 3600),
		charge("daily", PORTERO_MESSAGES, 1, 10, 86400),
	};

	assert_int_equal(take_n(e, 1, 0, c, 3), PORTERO_OP_DONE);
	assert_int_equal(take_n(e, 2, 0, c, 3), PORTERO_OP_REFUSED);
	assert_true(c[0].fits);
	assert_false(c[1].fits);
	assert_int_equal(c[1].used, 3);
	assert_int_equal(used(e, 3600), 1);
	/* A refusal leaves nothing: the same again with less fits. */
	c[1].amount = 2;
	assert_int_equal(take_n(e, 2, 0, c, 3), PORTERO_OP_DONE);
	assert_int_equal(used(e, 3600), 2);
}

static void
example_monitored_and_unlimited_are_counted_only(struct example *e)
{
	struct portero_charge c[] = {
		charge("hourly", PORTERO_MESSAGES, 1, 1, 3600),
		charge("free", PORTERO_MESSAGES, 1, PORTERO_UNLIMITED, 3600),
	};

	c[0].monitor = true;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(take_n(e, i, 0, c, 2), PORTERO_OP_DONE);
		assert_int_equal(c[0].used, i);
		assert_int_equal(c[0].fits, i < 1);
		assert_int_equal(c[1].used, i);
		assert_true(c[1].fits);
	}
}

static void
example_a_take_counts_once_and_a_settle_once(struct example *e)
{
	struct portero_charge more = charge("hourly", PORTERO_MESSAGES, 3, 10,
	    3600);

	assert_int_equal(take(e, 1, 10, 3600), PORTERO_OP_DONE);
	assert_int_equal(take(e, 1, 10, 3600), PORTERO_OP_DONE);
	assert_int_equal(used(e, 3600), 1);
	assert_int_equal(take_n(e, 1, 1, &more, 1), PORTERO_OP_DONE);
	assert_int_equal(more.used, 1);
	assert_int_equal(take_n(e, 1, 1, &more, 1), PORTERO_OP_DONE);
	assert_int_equal(more.used, 1); /* still without it */
	assert_int_equal(used(e, 3600), 4);
	assert_int_equal(take(e, 2, 10, 3600), PORTERO_OP_DONE);
	settle(e, 1, 0, 0);
	assert_int_equal(used(e, 3600), 1);
	settle(e, 1, 0, 0);
	assert_int_equal(used(e, 3600), 1);
	/* Late takes of a settled message do nothing. */
	assert_int_equal(take(e, 1, 10, 3600), PORTERO_OP_SETTLED);
	assert_int_equal(take_n(e, 1, 2, &more, 1), PORTERO_OP_SETTLED);
	settle(e, 3, 0, 0);
	assert_int_equal(take(e, 3, 10, 3600), PORTERO_OP_SETTLED);
	assert_int_equal(used(e, 3600), 1);
	/* A refused take may be tried again under its txid. */
	assert_int_equal(take(e, 4, 1, 3600), PORTERO_OP_REFUSED);
	assert_int_equal(take(e, 4, 2, 3600), PORTERO_OP_DONE);
}

static void
example_a_settle_keeps_what_was_really_used(struct example *e)
{
	struct portero_charge c[] = {
		charge("hourly", PORTERO_MESSAGES, 1, 10, 3600),
		charge("hourly", PORTERO_BYTES, 1000, 2000, 3600),
	};
	struct portero_charge look = c[1];
	struct portero_op op = operation(e, PORTERO_OP_PEEK, 0);

	op.charges = &look;
	op.ncharges = 1;
	assert_int_equal(take_n(e, 1, 0, c, 2), PORTERO_OP_DONE);
	settle(e, 1, 1, 700);
	apply(e, &op);
	assert_int_equal(look.used, 700);
	assert_int_equal(used(e, 3600), 1);
	/* More than taken is recorded, even over the maximum. */
	assert_int_equal(take_n(e, 2, 0, c, 2), PORTERO_OP_DONE);
	settle(e, 2, 1, 1500);
	apply(e, &op);
	assert_int_equal(look.used, 2200);
	assert_int_equal(used(e, 3600), 2);
	/* Also where nothing was taken yet. */
	c[1].amount = 0;
	c[1].max = 5000;
	assert_int_equal(take_n(e, 3, 0, c, 2), PORTERO_OP_DONE);
	settle(e, 3, 1, 50);
	apply(e, &op);
	assert_int_equal(look.used, 2250);
}

static void
example_nothing_is_given_back_to_a_bucket_that_passed(struct example *e)
{
	assert_int_equal(take(e, 1, 10, 60), PORTERO_OP_DONE);
	pass(e, 40 * SECOND);
	assert_int_equal(take(e, 2, 10, 60), PORTERO_OP_DONE);
	pass(e, 40 * SECOND);
	assert_int_equal(take(e, 3, 10, 60), PORTERO_OP_DONE);
	settle(e, 1, 0, 0);
	assert_int_equal(used(e, 60), 2);
	settle(e, 2, 0, 0);
	assert_int_equal(used(e, 60), 1);
	/* The same bucket's place in a later window is another bucket. */
	pass(e, 61 * SECOND);
	assert_int_equal(take(e, 4, 10, 60), PORTERO_OP_DONE);
	settle(e, 3, 0, 0);
	assert_int_equal(used(e, 60), 1);
}

static void
example_another_maximum_or_window_carries_the_sum(struct example *e)
{
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(take(e, i, 10, 86400), PORTERO_OP_DONE);
	assert_int_equal(take(e, 20, 8, 86400), PORTERO_OP_REFUSED);
	assert_int_equal(take(e, 21, 9, 86400), PORTERO_OP_DONE);
	pass(e, 7200 * SECOND);
	/* Two hours old, yet not fresh quota for the new hour ... */
	assert_int_equal(take(e, 22, 9, 3600), PORTERO_OP_REFUSED);
	assert_int_equal(used(e, 3600), 9);
	/* ... nor longer than the new window. */
	pass(e, 3660 * SECOND);
	assert_int_equal(used(e, 3600), 0);
	assert_int_equal(take(e, 23, 9, 3600), PORTERO_OP_DONE);
	assert_int_equal(used(e, 604800), 1);
	pass(e, 86400 * SECOND);
	assert_int_equal(used(e, 604800), 1);
}

static void
example_refused_looks_at_a_shorter_window_do_not_block_longer(
    struct example *e)
{
	assert_int_equal(take(e, 1, 1, 86400), PORTERO_OP_DONE);
	for (int i = 0; i < 62; i++, pass(e, 60 * SECOND))
		if (take(e, 2, 1, 3600) == PORTERO_OP_DONE)
			return;
	fail_msg("blocked for longer than the new window");
}

static void
example_what_is_newer_than_the_clock_counts_as_now(struct example *e)
{
	pass(e, 86400 * SECOND);
	assert_int_equal(take(e, 1, 1, 60), PORTERO_OP_DONE);
	pass(e, -86000 * SECOND);
	/* Looking is enough to bring it to now, once. */
	assert_int_equal(used(e, 60), 1);
	assert_int_equal(take(e, 2, 1, 60), PORTERO_OP_REFUSED);
	pass(e, 62 * SECOND);
	assert_int_equal(used(e, 60), 0);
	assert_int_equal(take(e, 3, 1, 60), PORTERO_OP_DONE);
	/* What had to be moved cannot be given back. */
	settle(e, 1, 0, 0);
	assert_int_equal(used(e, 60), 1);
	settle(e, 3, 0, 0);
	assert_int_equal(used(e, 60), 0);
}

static void
example_large_numbers_neither_wrap_nor_fit(struct example *e)
{
	struct portero_charge c = charge("size", PORTERO_BYTES, INT64_MAX,
	    1000, 60);

	assert_int_equal(take_n(e, 1, 0, &c, 1), PORTERO_OP_REFUSED);
	assert_int_equal(c.fits_at, 0);
	c.monitor = true;
	for (unsigned i = 2; i < 200; i++)
		assert_int_equal(take_n(e, i, 0, &c, 1), PORTERO_OP_DONE);
	c.monitor = false;
	c.amount = 1;
	assert_int_equal(take_n(e, 300, 0, &c, 1), PORTERO_OP_REFUSED);
	assert_true(c.used > 1000);
	assert_true(c.fits_at > e->now_us / SECOND);
	c.max = INT64_MAX;
	assert_int_equal(take_n(e, 301, 0, &c, 1), PORTERO_OP_DONE);
}

struct rows {
	size_t n;
	struct portero_row row[MAX_ROWS];
};

/* Rows without use or reservations need not be shown. */
static void
on_row(void *arg, const struct portero_row *row)
{
	struct rows *rows = arg;

	if (row->used == 0 && row->open == 0)
		return;
	assert_in_range(rows->n, 0, MAX_ROWS - 1);
	rows->row[rows->n++] = *row;
}

static int
compare_rows(const void *a, const void *b)
{
	const struct portero_row *x = a, *y = b;
	int order = strcmp(x->limit, y->limit);

	return order != 0 ? order : (int)x->unit - (int)y->unit;
}

static struct rows
report(const struct example *e)
{
	struct portero_op op = operation(e, PORTERO_OP_REPORT, 0);
	struct rows rows = { 0 };

	op.row = on_row;
	op.row_arg = &rows;
	apply(e, &op);
	qsort(rows.row, rows.n, sizeof rows.row[0], compare_rows);
	return rows;
}

static void
example_a_report_shows_every_counter_and_a_reset_forgets_them(
    struct example *e)
{
	struct portero_charge c[] = {
		charge("hourly", PORTERO_MESSAGES, 1, 10, 3600),
		charge("hourly", PORTERO_RECIPIENTS, 4, 20, 3600),
		charge("daily", PORTERO_MESSAGES, 1, PORTERO_UNLIMITED, 86400),
	};
	struct portero_op reset = operation(e, PORTERO_OP_RESET, 0);
	int64_t now_s = e->now_us / SECOND;
	struct rows rows;

	for (unsigned tx = 1; tx <= 3; tx++)
		assert_int_equal(take_n(e, tx, 0, c, tx == 3 ? 1 : 3),
		    PORTERO_OP_DONE);
	assert_int_equal(take_n(e, 3, 1, c, 1), PORTERO_OP_DONE);
	settle(e, 1, 1, 0);
	rows = report(e);
	assert_int_equal(rows.n, 3);
	assert_string_equal(rows.row[0].limit, "daily");
	assert_int_equal(rows.row[0].max, PORTERO_UNLIMITED);
	assert_int_equal(rows.row[0].used, 2);
	assert_int_equal(rows.row[0].open, 1);
	assert_int_equal(rows.row[1].unit, PORTERO_MESSAGES);
	assert_int_equal(rows.row[1].max, 10);
	assert_int_equal(rows.row[1].used, 4);
	assert_int_equal(rows.row[1].open, 2);
	assert_int_equal(rows.row[1].window_s, 3600);
	assert_int_equal(rows.row[1].resets_at, now_s + 3660);
	assert_int_equal(rows.row[2].unit, PORTERO_RECIPIENTS);
	assert_int_equal(rows.row[2].used, 4); /* the settle said none of 8 */

	apply(e, &reset);
	assert_int_equal(reset.result, PORTERO_OP_DONE);
	assert_int_equal(used(e, 3600), 0);
	assert_int_equal(report(e).n, 0);
	/* Reservations stay: nothing is charged twice, and what comes back
	 * does not go to what was charged since. */
	assert_int_equal(take_n(e, 2, 0, c, 3), PORTERO_OP_DONE);
	assert_int_equal(take(e, 9, 10, 3600), PORTERO_OP_DONE);
	settle(e, 2, 0, 0);
	assert_int_equal(used(e, 3600), 1);
}

static void
example_what_was_taken_before_a_reset_does_not_come_back(struct example *e)
{
	struct portero_charge c = charge("hourly", PORTERO_MESSAGES, 1, 9,
	    3600);
	struct portero_op reset = operation(e, PORTERO_OP_RESET, 0);

	assert_int_equal(take_n(e, 1, 0, &c, 1), PORTERO_OP_DONE);
	apply(e, &reset);
	/* The same message goes on, in the same bucket of a new counter. */
	assert_int_equal(take_n(e, 1, 1, &c, 1), PORTERO_OP_DONE);
	assert_int_equal(take_n(e, 2, 0, &c, 1), PORTERO_OP_DONE);
	settle(e, 1, 0, 0);
	assert_int_equal(used(e, 3600), 1);
}

static void
example_keys_scopes_limits_and_units_do_not_touch(struct example *e)
{
	struct portero_charge c = charge("ab", PORTERO_MESSAGES, 1, 1, 60);
	struct portero_op op = operation(e, PORTERO_OP_TAKE, 1);
	unsigned fits = 0;

	op.charges = &c;
	op.ncharges = 1;
	for (unsigned i = 0; i < 32; i++) {
		/* The key grows by what the limit's name loses. */
		static const char *const keys[] = { "x", "xa", "xab", "xb" };
		static const char limits[][32] = { "ab", "b" };

		op.key = (struct portero_str){ keys[i % 4],
			strlen(keys[i % 4]) };
		memcpy(c.limit, limits[i / 4 % 2], sizeof c.limit);
		op.scope = i / 8 % 2 ? PORTERO_CLASS : PORTERO_PERSON;
		c.scope = op.scope;
		c.unit = i / 16 % 2 ? PORTERO_BYTES : PORTERO_MESSAGES;
		op.txid[8] = (uint8_t)i;
		apply(e, &op);
		fits += op.result == PORTERO_OP_DONE;
	}
	assert_int_equal(fits, 32);
}

static void
example_operations_are_applied_in_order(struct example *e)
{
	struct portero_charge c = charge("hourly", PORTERO_MESSAGES, 1, 1, 60);
	struct portero_op ops[] = {
		operation(e, PORTERO_OP_TAKE, 1),
		operation(e, PORTERO_OP_TAKE, 2),
		operation(e, PORTERO_OP_SETTLE, 1),
		operation(e, PORTERO_OP_TAKE, 2),
	};

	for (int i = 0; i < 4; i++) {
		ops[i].charges = &c;
		ops[i].ncharges = ops[i].kind == PORTERO_OP_TAKE;
	}
	assert_int_equal(e->suite->apply(e->suite->ctx, ops, 4), 0);
	assert_int_equal(ops[0].result, PORTERO_OP_DONE);
	assert_int_equal(ops[1].result, PORTERO_OP_REFUSED);
	assert_int_equal(ops[2].result, PORTERO_OP_DONE);
	assert_int_equal(ops[3].result, PORTERO_OP_DONE);
}

static void
example_what_outlives_its_lifetime_stays_charged(struct example *e)
{
	struct portero_charge c = charge("hourly", PORTERO_MESSAGES, 1, 9,
	    3600);
	struct portero_op op = operation(e, PORTERO_OP_TAKE, 1);

	if (!e->suite->forgets)
		return;
	op.charges = &c;
	op.ncharges = 1;
	op.lifetime_s = 10;
	apply(e, &op);
	op.kind = PORTERO_OP_SETTLE;
	op.ncharges = 0;
	memset(op.txid, 7, sizeof op.txid);
	apply(e, &op);

	pass(e, 10 * SECOND);
	op.kind = PORTERO_OP_TAKE;
	op.ncharges = 1;
	apply(e, &op);
	assert_int_equal(op.result, PORTERO_OP_SETTLED);
	pass(e, 3 * SECOND);
	assert_int_equal(report(e).row[0].open, 0);
	settle(e, 1, 0, 0);
	assert_int_equal(used(e, 3600), 1);
	apply(e, &op);
	assert_int_equal(op.result, PORTERO_OP_DONE);
}

/* A charge of n messages so long ago. */
static enum portero_op_result
charge_late(const struct example *e, unsigned tx, int64_t n, int64_t age_us)
{
	struct portero_charge c = charge("hourly", PORTERO_MESSAGES, n, 2,
	    3600);
	struct portero_op op = operation(e, PORTERO_OP_CHARGE, tx);

	op.charges = &c;
	op.ncharges = 1;
	op.age_us = age_us;
	apply(e, &op);
	return op.result;
}

static void
example_a_late_charge_counts_at_its_time(struct example *e)
{
	int64_t minute = 60 * SECOND;

	assert_int_equal(take(e, 1, 2, 3600), PORTERO_OP_DONE);
	assert_int_equal(charge_late(e, 2, 3, 30 * minute), PORTERO_OP_DONE);
	assert_int_equal(charge_late(e, 2, 3, 30 * minute), PORTERO_OP_DONE);
	assert_int_equal(used(e, 3600), 4); /* over the maximum, once */
	assert_int_equal(take(e, 3, 2, 3600), PORTERO_OP_REFUSED);
	/* What has left the window is not counted, nor given back. */
	assert_int_equal(charge_late(e, 4, 5, 61 * minute), PORTERO_OP_DONE);
	assert_int_equal(used(e, 3600), 4);
	settle(e, 4, 0, 0);
	assert_int_equal(used(e, 3600), 4);
	settle(e, 2, 1, 0);
	assert_int_equal(used(e, 3600), 2);
	/* It goes half an hour before the first. */
	pass(e, 31 * minute);
	assert_int_equal(used(e, 3600), 1);
}

static void
example_a_late_charge_follows_a_take_of_unknown_fate(struct example *e)
{
	/* The take came through: it counts once. */
	assert_int_equal(take(e, 1, 9, 3600), PORTERO_OP_DONE);
	assert_int_equal(charge_late(e, 1, 1, SECOND), PORTERO_OP_DONE);
	assert_int_equal(used(e, 3600), 1);
	/* It comes after the charge. */
	assert_int_equal(charge_late(e, 2, 1, SECOND), PORTERO_OP_DONE);
	assert_int_equal(take(e, 2, 9, 3600), PORTERO_OP_DONE);
	assert_int_equal(used(e, 3600), 2);
	/* It comes after all is over. */
	settle(e, 2, 1, 0);
	assert_int_equal(take(e, 2, 9, 3600), PORTERO_OP_SETTLED);
	assert_int_equal(charge_late(e, 2, 1, SECOND), PORTERO_OP_SETTLED);
	assert_int_equal(used(e, 3600), 2);
}

/* How often a walk has come by, and what was used then. */
struct sight {
	char key[32];
	unsigned n;
	int64_t used;
};

static void
on_walk(void *arg, const struct portero_row *row)
{
	struct sight *sight = arg;

	if (row->key.len != strlen(sight->key) ||
	    memcmp(row->key.ptr, sight->key, row->key.len) != 0)
		return;
	assert_string_equal(row->limit, "hourly");
	assert_int_equal(row->max, 9);
	sight->n++;
	sight->used = row->used;
}

static void
example_a_walk_comes_by_every_counter(struct example *e)
{
	struct portero_op op = operation(e, PORTERO_OP_WALK, 0);
	struct sight sight = { .n = 0 };
	char key[32];

	memcpy(key, e->key, sizeof key);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(e->key, sizeof e->key, "%.20s/%u", key, i);
		assert_int_equal(take(e, i, 9, 3600), PORTERO_OP_DONE);
		assert_int_equal(take(e, i + 1000, 9, 3600), PORTERO_OP_DONE);
	}
	snprintf(sight.key, sizeof sight.key, "%.20s/%u", key, 217u);
	op.row = on_walk;
	op.row_arg = &sight;
	do {
		apply(e, &op);
		assert_int_equal(op.result, PORTERO_OP_DONE);
	} while (op.cursor != 0);
	assert_int_equal(sight.n, 1);
	assert_int_equal(sight.used, 2);
}

void
store_suite_examples(const struct store_suite *s)
{
	static void (*const examples[])(struct example *) = {
		example_n_means_n_in_any_window,
		example_a_refusal_tells_when_it_will_fit,
		example_all_charges_are_taken_or_none,
		example_monitored_and_unlimited_are_counted_only,
		example_a_take_counts_once_and_a_settle_once,
		example_a_settle_keeps_what_was_really_used,
		example_nothing_is_given_back_to_a_bucket_that_passed,
		example_another_maximum_or_window_carries_the_sum,
		example_refused_looks_at_a_shorter_window_do_not_block_longer,
		example_what_is_newer_than_the_clock_counts_as_now,
		example_large_numbers_neither_wrap_nor_fit,
		example_a_report_shows_every_counter_and_a_reset_forgets_them,
		example_what_was_taken_before_a_reset_does_not_come_back,
		example_keys_scopes_limits_and_units_do_not_touch,
		example_operations_are_applied_in_order,
		example_what_outlives_its_lifetime_stays_charged,
		example_a_late_charge_counts_at_its_time,
		example_a_late_charge_follows_a_take_of_unknown_fate,
		example_a_walk_comes_by_every_counter,
	};
	struct example e = { .suite = s, .now_us = START };

	for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
		snprintf(e.key, sizeof e.key, "example %zu", i);
		e.now_us = START + (int64_t)i * APART_S * SECOND;
		pass(&e, 0);
		examples[i](&e);
	}
}

/* ---- random traffic ---------------------------------------------------- */

#define SEQUENCE_LENGTH 80
#define OWNERS 2
#define LIMITS 5
#define TXIDS 10

/* One sequence: the store and the model are asked the same. */
struct sequence {
	const struct store_suite *suite;
	struct limit_model *model;
	unsigned number, seed, step;
	int64_t now_us;
	char keys[OWNERS][32];
	enum portero_scope scopes[OWNERS];
	struct portero_charge limits[LIMITS]; /* as now configured */
	uint8_t txids[TXIDS][16];
};

static unsigned
draw(struct sequence *q, unsigned below)
{
	return (unsigned)rand_r(&q->seed) % below;
}

static void
configure(struct sequence *q, struct portero_charge *c)
{
	static const uint32_t windows[] = { 1, 2, 5, 7, 60, 600 };

	c->window_s = windows[draw(q, 6)];
	c->max = draw(q, 8) == 0 ? PORTERO_UNLIMITED : (int64_t)draw(q, 12);
	c->monitor = draw(q, 6) == 0;
}

static void
set_clocks(struct sequence *q)
{
	q->suite->set_now(q->suite->now_arg, q->now_us);
	limit_model_set_now(q->model, q->now_us);
}

static void
sequence_start(struct sequence *q)
{
	for (unsigned i = 0; i < OWNERS; i++) {
		snprintf(q->keys[i], sizeof q->keys[i], "%u/%u", q->number, i);
		q->scopes[i] = (enum portero_scope)draw(q, PORTERO_NSCOPES);
	}
	for (unsigned i = 0; i < LIMITS; i++) {
		char name[] = { (char)('a' + i / 2), '\0' };

		q->limits[i] = charge(name,
		    (enum portero_unit)((q->number + i) % PORTERO_NUNITS), 0, 0,
		    1);
		configure(q, &q->limits[i]);
	}
	for (unsigned i = 0; i < TXIDS; i++)
		for (unsigned k = 0; k < 16; k++)
			q->txids[i][k] = (uint8_t)draw(q, 256);
	set_clocks(q);
}

static void
move_clock(struct sequence *q)
{
	uint32_t window_s = q->limits[draw(q, LIMITS)].window_s;
	int64_t bucket_us = window_s * SECOND / 60;

	switch (draw(q, 16)) {
	case 0: /* about a whole window */
		q->now_us += window_s * SECOND - bucket_us +
		    draw(q, 3) * bucket_us;
		break;
	case 1:
		q->now_us -= draw(q, 80) * bucket_us;
		break;
	case 2:
	case 3:
		q->now_us += draw(q, 40) * bucket_us;
		break;
	default:
		q->now_us += draw(q, (unsigned)bucket_us);
		break;
	}
	set_clocks(q);
}

/* Some limits, each at most once, with amounts around what may fit. */
static size_t
draw_charges(struct sequence *q, struct portero_charge *to)
{
	size_t n = 0;

	for (unsigned i = 0; i < LIMITS; i++) {
		if (draw(q, 3) == 0)
			continue;
		if (draw(q, 30) == 0)
			configure(q, &q->limits[i]);
		to[n] = q->limits[i];
		to[n++].amount = draw(q, 4);
	}
	return n;
}

static struct portero_op
draw_operation(struct sequence *q, struct portero_charge *charges)
{
	unsigned owner = draw(q, OWNERS), kind = draw(q, 40);
	struct portero_op op = { .size = sizeof op,
		.scope = q->scopes[owner],
		.key = { q->keys[owner], strlen(q->keys[owner]) },
		.lifetime_s = LIFETIME_S,
		.charges = charges };

	memcpy(op.txid, q->txids[draw(q, TXIDS)], sizeof op.txid);
	if (draw(q, 12) == 0) /* one nobody has settled yet */
		memset(op.txid, (int)draw(q, 256), 8);
	if (kind < 20) {
		op.kind = PORTERO_OP_TAKE;
		op.sequence = draw(q, 3) == 0 ? draw(q, 3) : 0;
		op.ncharges = draw_charges(q, charges);
		if (draw(q, 6) == 0) {
			op.kind = PORTERO_OP_CHARGE;
			op.age_us = draw(q, 80) *
			    (q->limits[draw(q, LIMITS)].window_s * SECOND / 60);
		}
	} else if (kind < 28) {
		op.kind = PORTERO_OP_SETTLE;
		for (int i = 0; i < PORTERO_NUNITS; i++)
			op.actual[i] = draw(q, 3) == 0 ? 0 : draw(q, 8);
	} else if (kind < 33) {
		op.kind = PORTERO_OP_PEEK;
		op.ncharges = draw_charges(q, charges);
	} else {
		op.kind = kind == 33 ? PORTERO_OP_RESET : PORTERO_OP_REPORT;
	}
	return op;
}

static void
differ(const struct sequence *q, const struct portero_op *op, const char *what,
    int64_t store, int64_t model)
{
	fail_msg("sequence %u, step %u, operation %d: %s is %lld, must be %lld",
	    q->number, q->step, (int)op->kind, what, (long long)store,
	    (long long)model);
}

static void
compare_charges(const struct sequence *q, const struct portero_op *store,
    const struct portero_op *model)
{
	for (size_t i = 0; i < store->ncharges; i++) {
		const struct portero_charge *a = &store->charges[i];
		const struct portero_charge *b = &model->charges[i];

		if (a->used != b->used)
			differ(q, store, "used", a->used, b->used);
		if (a->fits != b->fits)
			differ(q, store, "fits", a->fits, b->fits);
		if (a->fits_at != b->fits_at)
			differ(q, store, "fits_at", a->fits_at, b->fits_at);
	}
}

static void
compare_reports(const struct sequence *q, const struct portero_op *op,
    struct rows *store, struct rows *model)
{
	if (store->n != model->n)
		differ(q, op, "number of rows", (int64_t)store->n,
		    (int64_t)model->n);
	qsort(store->row, store->n, sizeof store->row[0], compare_rows);
	qsort(model->row, model->n, sizeof model->row[0], compare_rows);
	for (size_t i = 0; i < store->n; i++) {
		const struct portero_row *a = &store->row[i];
		const struct portero_row *b = &model->row[i];

		assert_string_equal(a->limit, b->limit);
		if (a->unit != b->unit)
			differ(q, op, "unit", a->unit, b->unit);
		if (a->used != b->used)
			differ(q, op, "used", a->used, b->used);
		if (a->max != b->max)
			differ(q, op, "max", a->max, b->max);
		if (a->window_s != b->window_s)
			differ(q, op, "window", a->window_s, b->window_s);
		if (a->resets_at != b->resets_at)
			differ(q, op, "resets_at", a->resets_at, b->resets_at);
		if (a->open != b->open)
			differ(q, op, "open", a->open, b->open);
	}
}

static void
sequence_step(struct sequence *q)
{
	struct portero_charge charges[2][LIMITS];
	struct rows rows[2] = { { 0 }, { 0 } };
	struct portero_op store, model;

	if (draw(q, 2) == 0)
		move_clock(q);
	store = draw_operation(q, charges[0]);
	store.row = on_row;
	store.row_arg = &rows[0];
	model = store;
	model.charges = charges[1];
	model.row_arg = &rows[1];
	for (size_t i = 0; i < store.ncharges; i++)
		charges[1][i] = charges[0][i];

	limit_model_apply(q->model, &model, 1);
	assert_int_equal(q->suite->apply(q->suite->ctx, &store, 1), 0);
	if (store.result != model.result)
		differ(q, &store, "the result", store.result, model.result);
	compare_charges(q, &store, &model);
	compare_reports(q, &store, &rows[0], &rows[1]);
}

void
store_suite_random(const struct store_suite *s)
{
	print_message("%u sequences of %d operations, seed %u\n", s->sequences,
	    SEQUENCE_LENGTH, s->seed);
	for (unsigned i = 0; i < s->sequences; i++) {
		struct sequence q = { .suite = s,
			.model = limit_model_new(),
			.number = i,
			.seed = s->seed + i,
			.now_us = START + (100 + (int64_t)i) * APART_S * SECOND
		};

		sequence_start(&q);
		for (q.step = 0; q.step < SEQUENCE_LENGTH; q.step++)
			sequence_step(&q);
		limit_model_free(&q.model);
	}
}
