/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What every store must pass: examples whose numbers a person can check, and
 * random traffic compared with the model (which passes the examples too).
 */
#ifndef TESTS_STORE_SUITE_H
#define TESTS_STORE_SUITE_H

#include <portero/plugin.h>

/* A store on trial, opened and empty. */
struct store_suite {
	int (*apply)(void *ctx, struct portero_op *ops, size_t n);
	void *ctx;
	/* sets the store's clock; no earlier than the trial's start */
	void (*set_now)(void *arg, int64_t now_us);
	void *now_arg;
	bool forgets;        /* reservations die after their lifetime */
	unsigned sequences;  /* of random traffic */
	unsigned seed;
};

/* One message of at most max in an hour. */
struct portero_charge store_hourly(int64_t max);
/* On a person's counters; tx makes the transaction's id. */
struct portero_op store_op(enum portero_op_kind kind, const char *person,
    unsigned tx);

/* To be called from a test of cmocka. */
void store_suite_examples(const struct store_suite *s);
void store_suite_random(const struct store_suite *s);

#endif
