/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Asks store_redis as a policy worker does, with four limits a person, and
 * nothing else: `fill` charges each person at many times of the past day,
 * `take` takes one message after the other, `settle` settles the same. Prints
 * one line of JSON. What Redis had to do for it, tests/bench/run asks there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "tests/unit/fake_host.h"

#define BATCH 128 /* of fill */
#define NLIMITS 4
#define DAY_S 86400
#define LIFETIME_S 1200
#define LIFETIME_FILL_S 1

struct bench_store {
	const char *uri, *operation;
	long people, messages, buckets;
	void *ctx;
};

/* A person's four limits, for one message. */
static void
charges_of_message(struct portero_charge c[NLIMITS])
{
	/* clang-format off */
	static const struct {
		const char *name;
		enum portero_unit unit;
		int64_t amount;
		uint32_t window_s;
	} limits[NLIMITS] = {
		{ "hourly", PORTERO_MESSAGES,       1, 3600 },
		{ "daily",  PORTERO_MESSAGES,       1, DAY_S },
		{ "daily",  PORTERO_RECIPIENTS,     3, DAY_S },
		{ "daily",  PORTERO_BYTES,      20000, DAY_S },
	};
	/* clang-format on */

	memset(c, 0, NLIMITS * sizeof *c);
	for (int i = 0; i < NLIMITS; i++) {
		c[i].size = sizeof c[i];
		memcpy(c[i].limit, limits[i].name, strlen(limits[i].name));
		c[i].unit = limits[i].unit;
		c[i].amount = limits[i].amount;
		c[i].max = INT64_C(1) << 50;
		c[i].window_s = limits[i].window_s;
	}
}

struct asked {
	char key[40];
	struct portero_charge charges[NLIMITS];
};

/* An operation about message i, which person i sends. */
static struct portero_op
operation(const struct bench_store *b, struct asked *a,
    enum portero_op_kind kind, long i, uint32_t lifetime_s)
{
	struct portero_op op = { .size = sizeof op,
		.kind = kind,
		.lifetime_s = lifetime_s,
		.key = { a->key, 0 },
		.actual = { 1, 3, 20000 } };

	op.key.len = (size_t)snprintf(a->key, sizeof a->key,
	    "user%06ld@example.org", i % b->people);
	memcpy(op.txid, b->operation[0] == 'f' ? "fill" : "take", 4);
	memcpy(op.txid + 4, &i, sizeof i);
	charges_of_message(a->charges);
	if (kind != PORTERO_OP_SETTLE) {
		op.charges = a->charges;
		op.ncharges = NLIMITS;
	}
	return op;
}

static void
apply(const struct bench_store *b, struct portero_op *ops, size_t n)
{
	if (portero_plugin.store->apply(b->ctx, ops, n) == -1) {
		fprintf(stderr, "%s\n", portero_plugin.store->trouble(b->ctx));
		exit(1);
	}
	for (size_t i = 0; i < n; i++)
		if (ops[i].result != PORTERO_OP_DONE)
			bench_die("an operation is not done");
}

/* Message k of each person is as old as bucket k of a day. */
static void
fill(const struct bench_store *b)
{
	static struct asked asked[2 * BATCH];
	static struct portero_op ops[2 * BATCH];
	long total = b->people * b->buckets;
	size_t n = 0;

	for (long i = 0; i < total; i++) {
		int64_t bucket = b->buckets - 1 - i / b->people;

		ops[n] = operation(b, &asked[n], PORTERO_OP_CHARGE, i,
		    LIFETIME_FILL_S);
		ops[n].age_us = bucket * (DAY_S / 60) * 1000000;
		n++;
		ops[n] = operation(b, &asked[n], PORTERO_OP_SETTLE, i,
		    LIFETIME_FILL_S);
		if (++n == 2 * BATCH || i == total - 1) {
			apply(b, ops, n);
			n = 0;
		}
	}
}

static void
one_by_one(const struct bench_store *b, enum portero_op_kind kind)
{
	for (long i = 0; i < b->messages; i++) {
		struct asked a;
		struct portero_op op = operation(b, &a, kind, i, LIFETIME_S);

		apply(b, &op, 1);
	}
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct bench_store bench = { .people = 1000, .messages = 20000,
	.buckets = 1 };

static void
on_option(char letter, const char *value)
{
	switch (letter) {
	case 'u':
		bench.uri = value;
		break;
	case 'o':
		bench.operation = value;
		break;
	case 'p':
		bench.people = bench_number(value, 1, 10000000);
		break;
	case 'm':
		bench.messages = bench_number(value, 1, 100000000);
		break;
	default:
		bench.buckets = bench_number(value, 1, 60);
		break;
	}
}

static void
open_store(void)
{
	struct portero_conf *conf = fake_conf_new(portero_plugin.options, "");
	char err[256] = "";

	fake_conf_set(conf, "uri", bench.uri);
	fake_conf_set(conf, "connect_timeout_ms", "5000");
	fake_conf_set(conf, "command_timeout_ms", "5000");
	if (portero_plugin.open(&fake_host, conf, NULL, 0,
		PORTERO_SHARE_IN_USE, &bench.ctx, err) == -1)
		bench_die(err);
	fake_conf_free(&conf);
}

int
main(int argc, char *argv[])
{
	static const struct bench_option options[] = {
		{ "uri", "the store", 'u' },
		{ "operation", "fill, take or settle", 'o' },
		{ "people", "how many", 'p' },
		{ "messages", "taken or settled", 'm' },
		{ "buckets", "of each person's day that fill fills", 'b' },
		{ 0 },
	};
	double started;

	bench_prepare();
	bench_options(argc, argv, options, on_option);
	if (bench.uri == NULL || bench.operation == NULL)
		bench_die("--uri and --operation are needed");
	open_store();
	started = now_s();
	if (bench.operation[0] == 'f')
		fill(&bench);
	else
		one_by_one(&bench, bench.operation[0] == 't' ?
			PORTERO_OP_TAKE : PORTERO_OP_SETTLE);
	printf("{\"seconds\": %.6f}\n", now_s() - started);
	portero_plugin.close(bench.ctx);
	return 0;
}
