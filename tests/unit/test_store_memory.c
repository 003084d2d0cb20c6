/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store: the suite that every store must pass, what only it
 * promises (a full table, a kept one), and many processes at one limit, also
 * dying ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_host.h"
#include "limit_model.h"
#include "store_suite.h"

#define NOW_US (INT64_C(1795000000) * 1000000)

/* One store with its memory. */
struct fixture {
	struct portero_conf *conf;
	void *share;
	size_t bytes;
	void *ctx;
};

static int
open_store(struct fixture *f, enum portero_share_state state)
{
	char err[256] = "";

	f->ctx = NULL;
	return portero_plugin.open(&fake_host, f->conf, f->share, f->bytes,
	    state, &f->ctx, err);
}

static struct fixture *
fixture_new(const char *entries)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->conf = fake_conf_new(portero_plugin.options, "");
	fake_conf_set(f->conf, "entries", entries);
	f->bytes = portero_plugin.share_size(&fake_host, f->conf);
	f->share = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->share, MAP_FAILED);
	fake_host_set_now(NOW_US);
	assert_int_equal(open_store(f, PORTERO_SHARE_NEW), 0);
	return f;
}

static void
fixture_free(struct fixture *f)
{
	portero_plugin.close(f->ctx);
	munmap(f->share, f->bytes);
	fake_conf_free(&f->conf);
	free(f);
}

static int
apply(struct fixture *f, struct portero_op *op)
{
	return portero_plugin.store->apply(f->ctx, op, 1);
}

/* A take of one message; max 100 in an hour. */
static int
take(struct fixture *f, const char *key, unsigned tx, int64_t max,
    struct portero_op *op)
{
	static struct portero_charge c;

	c = store_hourly(max);
	*op = store_op(PORTERO_OP_TAKE, key, tx);
	op->charges = &c;
	op->ncharges = 1;
	return apply(f, op);
}

static int64_t
used(struct fixture *f, const char *key)
{
	struct portero_charge c = store_hourly(PORTERO_UNLIMITED);
	struct portero_op op = store_op(PORTERO_OP_PEEK, key, 0);

	op.charges = &c;
	op.ncharges = 1;
	assert_int_equal(apply(f, &op), 0);
	return c.used;
}

/* ---- the suite --------------------------------------------------------- */

static void
set_model_now(void *model, int64_t now_us)
{
	limit_model_set_now(model, now_us);
}

static void
test_the_model_passes_the_examples(void **state)
{
	struct limit_model *m = limit_model_new();
	struct store_suite suite = { .apply = limit_model_apply,
		.ctx = m,
		.set_now = set_model_now,
		.now_arg = m };

	(void)state;
	store_suite_examples(&suite);
	limit_model_free(&m);
}

static void
set_store_now(void *arg, int64_t now_us)
{
	(void)arg;
	fake_host_set_now(now_us);
}

static void
test_the_store_passes_the_examples(void **state)
{
	struct fixture *f = fixture_new("65536");
	struct store_suite suite = { .apply = portero_plugin.store->apply,
		.ctx = f->ctx,
		.set_now = set_store_now,
		.forgets = true };

	(void)state;
	store_suite_examples(&suite);
	fixture_free(f);
}

static void
test_the_store_and_the_model_agree_in_random_traffic(void **state)
{
	struct fixture *f = fixture_new("1024");
	struct store_suite suite = { .apply = portero_plugin.store->apply,
		.ctx = f->ctx,
		.set_now = set_store_now,
		.sequences = 2000,
		.seed = 20261123 };

	(void)state;
	store_suite_random(&suite);
	fixture_free(f);
}

/* ---- room -------------------------------------------------------------- */

static void
test_a_full_table_fails_and_forgets_nothing(void **state)
{
	struct fixture *f = fixture_new("1024");
	unsigned n = 0, logged = fake_host_nlogged;
	struct portero_op op;
	char key[16];

	(void)state;
	/* A counter and a reservation for each. */
	for (int failed = 0; failed < 100; n++) {
		snprintf(key, sizeof key, "p%u", n);
		if (take(f, key, n, 100, &op) == 0) {
			assert_int_equal(failed, 0);
			assert_int_equal(op.result, PORTERO_OP_DONE);
		} else {
			assert_int_equal(op.result, PORTERO_OP_FAILED);
			failed++;
		}
	}
	n -= 100;
	assert_int_equal(n, 512);
	assert_int_equal(fake_host_nlogged, logged + 1);
	assert_non_null(strstr(fake_host_logged, "entries"));
	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof key, "p%u", i);
		assert_int_equal(used(f, key), 1);
	}
	/* Who has a counter still cannot get a reservation. */
	assert_int_equal(take(f, "p1", 9999, 100, &op), -1);
	assert_int_equal(used(f, "p1"), 1);
	/* What is open can be settled, and the settle is remembered. */
	for (int twice = 0; twice < 2; twice++) {
		op = store_op(PORTERO_OP_SETTLE, "p0", 0);
		assert_int_equal(apply(f, &op), 0);
		assert_int_equal(used(f, "p0"), 0);
	}
	assert_int_equal(take(f, "p0", 0, 100, &op), 0);
	assert_int_equal(op.result, PORTERO_OP_SETTLED);
	op = store_op(PORTERO_OP_SETTLE, "p0", 8888);
	assert_int_equal(apply(f, &op), -1);
	/* Time makes room. */
	fake_host_set_now(NOW_US + INT64_C(7300) * 1000000);
	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof key, "q%u", i);
		assert_int_equal(take(f, key, i, 100, &op), 0);
	}
	fixture_free(f);
}

static void
test_a_person_who_sends_all_day_needs_little_room(void **state)
{
	struct fixture *f = fixture_new("1024");
	struct portero_op op;

	(void)state;
	/* Each message leaves a tombstone for an hour. */
	for (unsigned i = 0; i < 4000; i++) {
		assert_int_equal(take(f, "ana", i, PORTERO_UNLIMITED, &op), 0);
		op = store_op(PORTERO_OP_SETTLE, "ana", i);
		op.actual[PORTERO_MESSAGES] = 1;
		assert_int_equal(apply(f, &op), 0);
	}
	assert_int_equal(used(f, "ana"), 4000);
	assert_int_equal(take(f, "ana", 17, PORTERO_UNLIMITED, &op), 0);
	assert_int_equal(op.result, PORTERO_OP_SETTLED);
	fixture_free(f);
}

static void
settle_unknown(struct fixture *f, unsigned tx, uint32_t lifetime_s)
{
	struct portero_op op = store_op(PORTERO_OP_SETTLE, "ana", tx);

	op.lifetime_s = lifetime_s;
	assert_int_equal(apply(f, &op), 0);
	assert_int_equal(op.result, PORTERO_OP_DONE);
}

static void
test_each_tombstone_lives_as_long_as_it_must(void **state)
{
	enum { LONG = 1000, SHORT = 3000 }; /* several of each in a group */
	struct fixture *f = fixture_new("1024");
	int64_t now_us = NOW_US;
	struct portero_op op;

	(void)state;
	for (unsigned tx = 0; tx < LONG; tx++)
		settle_unknown(f, tx, 3600);
	/* Those that have expired make room in their group. */
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned tx = LONG; tx < LONG + SHORT; tx++)
			settle_unknown(f, tx, 10);
		now_us += 20000000;
		fake_host_set_now(now_us);
	}
	for (unsigned tx = 0; tx < LONG; tx++) {
		assert_int_equal(take(f, "ana", tx, 100, &op), 0);
		assert_int_equal(op.result, PORTERO_OP_SETTLED);
	}
	for (unsigned tx = LONG; tx < LONG + 50; tx++) {
		assert_int_equal(take(f, "ana", tx, 100, &op), 0);
		assert_int_equal(op.result, PORTERO_OP_DONE);
	}
	fixture_free(f);
}

static void
test_a_message_may_have_many_charges(void **state)
{
	struct fixture *f = fixture_new("1024");
	struct portero_op op = store_op(PORTERO_OP_TAKE, "ana", 1);
	struct portero_charge c[65] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 65; i++) {
		c[i].amount = 2;
		c[i].max = 10;
		c[i].window_s = 60;
		snprintf(c[i].limit, sizeof c[i].limit, "limit-%u", i);
	}
	op.charges = c;
	op.ncharges = 64;
	assert_int_equal(apply(f, &op), 0);
	fake_host_set_now(NOW_US + 5000000);
	op.sequence = 1;
	assert_int_equal(apply(f, &op), 0);
	assert_int_equal(op.result, PORTERO_OP_DONE);
	/* Its books are full: a third time is a failure, not a cheat. */
	fake_host_set_now(NOW_US + 10000000);
	op.sequence = 2;
	assert_int_equal(apply(f, &op), -1);
	op.kind = PORTERO_OP_PEEK;
	assert_int_equal(apply(f, &op), 0);
	assert_int_equal(c[63].used, 4);
	op.kind = PORTERO_OP_SETTLE;
	op.actual[PORTERO_MESSAGES] = 1;
	assert_int_equal(apply(f, &op), 0);
	op.kind = PORTERO_OP_PEEK;
	assert_int_equal(apply(f, &op), 0);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(c[i].used, 1);
	op.ncharges = 65;
	assert_int_equal(apply(f, &op), -1);
	assert_int_equal(op.result, PORTERO_OP_NONE);
	fixture_free(f);
}

static void
test_nonsense_is_a_failure_and_ends_the_list(void **state)
{
	static const struct portero_charge good = { .size = sizeof good,
		.limit = "hourly",
		.amount = 1,
		.max = 100,
		.window_s = 3600 };
	struct fixture *f = fixture_new("1024");
	struct portero_charge bad[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		bad[i] = good;
	bad[0].window_s = 0;
	bad[1].window_s = 31 * 86400 + 1;
	bad[2].amount = -1;
	bad[3].max = -2;
	bad[4].limit[0] = '\0';
	memset(bad[5].limit, 'x', sizeof bad[5].limit);
	bad[6].unit = PORTERO_NUNITS;
	for (int i = 0; i < 8; i++) {
		struct portero_op ops[3] = {
			store_op(PORTERO_OP_TAKE, "ana", 1),
			store_op(PORTERO_OP_TAKE, "ana", 2),
			store_op(PORTERO_OP_TAKE, "ana", 3),
		};
		struct portero_charge c = good, twice[2] = { bad[i], good };

		ops[0].charges = ops[2].charges = &c;
		ops[1].charges = twice;
		ops[0].ncharges = ops[2].ncharges = 1;
		ops[1].ncharges = i == 7 ? 2 : 1; /* one limit twice */
		assert_int_equal(portero_plugin.store->apply(f->ctx, ops, 3),
		    -1);
		assert_int_equal(ops[0].result, PORTERO_OP_DONE);
		assert_int_equal(ops[1].result, PORTERO_OP_FAILED);
		assert_int_equal(ops[2].result, PORTERO_OP_NONE);
	}
	assert_int_equal(used(f, "ana"), 1);
	fixture_free(f);
}

static void
test_what_was_counted_outlives_a_restart(void **state)
{
	struct fixture *f = fixture_new("1024");
	struct portero_op op;

	(void)state;
	assert_int_equal(take(f, "ana", 1, 100, &op), 0);
	assert_int_equal(take(f, "ana", 2, 100, &op), 0);
	portero_plugin.close(f->ctx);
	assert_int_equal(open_store(f, PORTERO_SHARE_KEPT), 0);
	assert_int_equal(used(f, "ana"), 2);
	op = store_op(PORTERO_OP_SETTLE, "ana", 2);
	assert_int_equal(apply(f, &op), 0);
	assert_int_equal(used(f, "ana"), 1);
	fixture_free(f);
}

static void
test_the_check_role_only_checks(void **state)
{
	struct portero_conf *conf = fake_conf_new(portero_plugin.options, "");
	char err[256] = "";
	void *ctx = NULL;

	(void)state;
	assert_int_equal(portero_plugin.open(&fake_host, conf, NULL, 0,
	    PORTERO_SHARE_NONE, &ctx, err), 0);
	assert_non_null(ctx);
	portero_plugin.close(ctx);
	assert_int_equal(portero_plugin.open(&fake_host, conf, NULL, 0,
	    PORTERO_SHARE_NEW, &ctx, err), -1);
	assert_string_not_equal(err, "");
	fake_conf_free(&conf);
}

/* ---- many processes ---------------------------------------------------- */

#define PROCESSES 8

/* How many each got, in memory that outlives it. */
struct tally {
	_Atomic unsigned done[PROCESSES];
};

/* Takes until refused, settling every third as lost. */
static void
take_all(struct fixture *f, unsigned process, unsigned max, struct tally *tally)
{
	struct portero_op op;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (open_store(f, PORTERO_SHARE_IN_USE) == -1)
		_exit(1);
	for (unsigned i = 0;; i++) {
		unsigned tx = i * PROCESSES + process;

		if (take(f, "ana", tx, max, &op) == -1)
			_exit(2);
		if (op.result == PORTERO_OP_REFUSED)
			_exit(0);
		if (i % 3 != 2) {
			tally->done[process]++;
			continue;
		}
		op = store_op(PORTERO_OP_SETTLE, "ana", tx);
		if (apply(f, &op) == -1)
			_exit(3);
	}
}

static void
start_all(struct fixture *f, unsigned max, struct tally *tally,
    pid_t pids[PROCESSES])
{
	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		assert_int_not_equal(pids[i], -1);
		if (pids[i] == 0)
			take_all(f, i, max, tally);
	}
}

static unsigned
total(const struct tally *tally)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PROCESSES; i++)
		n += tally->done[i];
	return n;
}

static struct tally *
tally_new(void)
{
	struct tally *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(t, MAP_FAILED);
	return t;
}

static void
test_many_processes_at_one_limit_get_exactly_n(void **state)
{
	enum { N = 2000 };
	struct fixture *f = fixture_new("8192");
	struct tally *tally = tally_new();
	struct portero_op op;
	pid_t pids[PROCESSES];

	(void)state;
	start_all(f, N, tally, pids);
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	/* One may have been refused while another held what it then gave
	 * back: the rest is there for the next. */
	for (unsigned i = 0; used(f, "ana") < N; i++) {
		assert_int_equal(take(f, "ana", 1000000 + i, N, &op), 0);
		assert_int_equal(op.result, PORTERO_OP_DONE);
		tally->done[0]++;
	}
	assert_int_equal(total(tally), N);
	assert_int_equal(take(f, "ana", 2000000, N, &op), 0);
	assert_int_equal(op.result, PORTERO_OP_REFUSED);
	munmap(tally, sizeof *tally);
	fixture_free(f);
}

static void
test_dying_processes_never_get_more_than_n(void **state)
{
	enum { N = 3000 };
	struct fixture *f = fixture_new("16384");
	struct tally *tally = tally_new();
	unsigned seed = 20261123, got;
	pid_t pids[PROCESSES];
	int64_t charged;

	(void)state;
	start_all(f, N, tally, pids);
	for (unsigned i = 0; i < PROCESSES; i++) {
		usleep((useconds_t)rand_r(&seed) % 3000);
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	got = total(tally);
	charged = used(f, "ana");
	/* At most the take in hand of each is charged and not known. */
	assert_in_range(charged, got, got + PROCESSES);
	assert_true(charged <= N);
	munmap(tally, sizeof *tally);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_model_passes_the_examples),
		cmocka_unit_test(test_the_store_passes_the_examples),
		cmocka_unit_test(
		    test_the_store_and_the_model_agree_in_random_traffic),
		cmocka_unit_test(test_a_full_table_fails_and_forgets_nothing),
		cmocka_unit_test(
		    test_a_person_who_sends_all_day_needs_little_room),
		cmocka_unit_test(test_each_tombstone_lives_as_long_as_it_must),
		cmocka_unit_test(test_a_message_may_have_many_charges),
		cmocka_unit_test(test_nonsense_is_a_failure_and_ends_the_list),
		cmocka_unit_test(test_what_was_counted_outlives_a_restart),
		cmocka_unit_test(test_the_check_role_only_checks),
		cmocka_unit_test(
		    test_many_processes_at_one_limit_get_exactly_n),
		cmocka_unit_test(test_dying_processes_never_get_more_than_n),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
