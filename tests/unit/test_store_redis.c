/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The store in a real redis-server: the suite that every store must pass, and
 * what only it promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "fake_host.h"
#include "redis_rig.h"
#include "store_suite.h"

#define NOW_US (INT64_C(1795000000) * 1000000)

static struct redis_rig *rig;

static int
start_server(void **state)
{
	(void)state;
	rig = redis_rig_new(NULL);
	fake_host_set_now(NOW_US);
	return 0;
}

static int
stop_server(void **state)
{
	(void)state;
	redis_rig_free(&rig);
	return 0;
}

static void *
open_store(const char *uri)
{
	struct portero_conf *conf = fake_conf_new(portero_plugin.options, "");
	char err[256] = "";
	void *ctx = NULL;

	fake_conf_set(conf, "uri", uri);
	fake_conf_set(conf, "connect_timeout_ms", "2000");
	fake_conf_set(conf, "command_timeout_ms", "2000");
	if (portero_plugin.open(
		&fake_host, conf, NULL, 0, PORTERO_SHARE_NEW, &ctx, err) == -1)
		fail_msg("%s", err);
	fake_conf_free(&conf);
	return ctx;
}

/* ---- the suite --------------------------------------------------------- */

static void
set_server_now(void *arg, int64_t now_us)
{
	(void)arg;
	*rig->now_us = now_us;
}

static void
test_the_store_passes_the_examples(void **state)
{
	void *ctx = open_store(rig->uri);
	struct store_suite suite = { .apply = portero_plugin.store->apply,
		.ctx = ctx,
		.set_now = set_server_now,
		.forgets = true };

	(void)state;
	store_suite_examples(&suite);
	portero_plugin.close(ctx);
}

static void
test_the_store_and_the_model_agree_in_random_traffic(void **state)
{
	const char *n = getenv("STORE_SEQUENCES");
	void *ctx = open_store(rig->uri);
	struct store_suite suite = { .apply = portero_plugin.store->apply,
		.ctx = ctx,
		.set_now = set_server_now,
		.sequences = n == NULL ? 300 : (unsigned)atoi(n),
		.seed = 20261124 };

	(void)state;
	store_suite_random(&suite);
	portero_plugin.close(ctx);
}

/* Makes one server a whole Cluster. */
static void
become_cluster(struct redis_rig *r)
{
	bool is_up = false;

	freeReplyObject(redis_rig_ask(r, "CLUSTER ADDSLOTSRANGE 0 16383"));
	for (int i = 0; i < 500 && !is_up; i++) {
		redisReply *info = redis_rig_ask(r, "CLUSTER INFO");

		is_up = strstr(info->str, "cluster_state:ok") != NULL;
		freeReplyObject(info);
		*r->now_us += 1000000; /* a new one waits some seconds */
		usleep(10000);
	}
	assert_true(is_up);
}

static void
test_all_keys_of_a_call_are_in_one_slot(void **state)
{
	const char *const arguments[] = { "--cluster-enabled", "yes", NULL };
	struct redis_rig *alone = rig;
	struct store_suite suite = { .apply = portero_plugin.store->apply,
		.set_now = set_server_now,
		.forgets = true,
		.sequences = 30,
		.seed = 20261125 };

	(void)state;
	rig = redis_rig_new(arguments);
	become_cluster(rig);
	suite.ctx = open_store(rig->uri);
	store_suite_examples(&suite);
	store_suite_random(&suite);
	portero_plugin.close(suite.ctx);
	redis_rig_free(&rig);
	rig = alone;
}

/* ---- asking ------------------------------------------------------------ */

/* What apply() says; the result is in *op. */
static int
take(void *ctx, const char *key, unsigned tx, struct portero_op *op)
{
	static struct portero_charge c;

	c = store_hourly(100);
	*op = store_op(PORTERO_OP_TAKE, key, tx);
	op->charges = &c;
	op->ncharges = 1;
	return portero_plugin.store->apply(ctx, op, 1);
}

static void
take_one(void *ctx, const char *key, unsigned tx)
{
	struct portero_op op;

	assert_int_equal(take(ctx, key, tx, &op), 0);
	assert_int_equal(op.result, PORTERO_OP_DONE);
}

static int64_t
used(void *ctx, const char *key)
{
	struct portero_charge c = store_hourly(PORTERO_UNLIMITED);
	struct portero_op op = store_op(PORTERO_OP_PEEK, key, 0);

	op.charges = &c;
	op.ncharges = 1;
	assert_int_equal(portero_plugin.store->apply(ctx, &op, 1), 0);
	assert_int_equal(op.result, PORTERO_OP_DONE);
	return c.used;
}

static void
settle(void *ctx, const char *key, unsigned tx, int64_t messages)
{
	struct portero_op op = store_op(PORTERO_OP_SETTLE, key, tx);

	op.actual[PORTERO_MESSAGES] = messages;
	assert_int_equal(portero_plugin.store->apply(ctx, &op, 1), 0);
	assert_int_equal(op.result, PORTERO_OP_DONE);
}

static void
tell_server(const char *format, const char *word)
{
	redisReply *r = redis_rig_ask(rig, format, word);

	if (r->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", format, r->str);
	freeReplyObject(r);
}

static void *
open_empty(void)
{
	tell_server("FLUSHALL", NULL);
	return open_store(rig->uri);
}

/* ---- keys -------------------------------------------------------------- */

static void
test_every_key_ends_some_day(void **state)
{
	void *ctx = open_empty();
	redisReply *keys;

	(void)state;
	take_one(ctx, "ana", 1);
	take_one(ctx, "ana", 2);
	settle(ctx, "ana", 1, 0);
	settle(ctx, "ana", 3, 0);
	keys = redis_rig_ask(rig, "KEYS *");
	assert_int_equal(keys->elements, 5); /* c, o and three of t */
	for (size_t i = 0; i < keys->elements; i++) {
		redisReply *ttl = redis_rig_ask(rig, "TTL %b",
		    keys->element[i]->str, keys->element[i]->len);

		assert_in_range(ttl->integer, 3600, 3661 + 86400);
		freeReplyObject(ttl);
	}
	freeReplyObject(keys);
	*rig->now_us += INT64_C(4000) * 1000000;
	assert_int_equal(used(ctx, "ana"), 0);
	*rig->now_us += INT64_C(90000) * 1000000;
	keys = redis_rig_ask(rig, "KEYS *");
	assert_int_equal(keys->elements, 0);
	freeReplyObject(keys);
	portero_plugin.close(ctx);
}

static void
test_a_name_cannot_leave_its_key(void **state)
{
	static const char *const names[] = { "a", "a}:c", "a}{b", "{a", "%61",
		"A", "a b", "a\n", "\xc3\xa4", "" };
	void *ctx = open_empty();
	redisReply *keys;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		take_one(ctx, names[i], 7);
		assert_int_equal(used(ctx, names[i]), 1);
	}
	keys = redis_rig_ask(rig, "KEYS portero:1:{p*}:c");
	assert_int_equal(keys->elements, sizeof names / sizeof *names);
	for (size_t i = 0; i < keys->elements; i++)
		for (const char *c = keys->element[i]->str; *c != '\0'; c++)
			assert_in_range(*c, '!', '~');
	freeReplyObject(keys);
	portero_plugin.close(ctx);
}

/* Each key of ana's becomes what the command makes of it. */
static void
spoil(const char *command)
{
	redisReply *keys = redis_rig_ask(rig, "KEYS *");

	for (size_t i = 0; i < keys->elements; i++) {
		char *key = keys->element[i]->str;
		size_t len = keys->element[i]->len;

		freeReplyObject(redis_rig_ask(rig, "DEL %b", key, len));
		freeReplyObject(redis_rig_ask(rig, command, key, len));
	}
	freeReplyObject(keys);
}

static void
test_values_of_others_count_as_absent_and_are_told(void **state)
{
	static const char *const commands[] = { "SET %b nonsense",
		"SET %b P1nonsense", "SET %b R", "SET %b RRRRRRRRRRRRRRRRRRRRR",
		"SET %b -1", "SET %b 9223372036854775808", "RPUSH %b 1 2 3",
		"HSET %b a 1", "ZADD %b 1 a", "SETBIT %b 4000 1",
		"SADD %b 1", "XADD %b * a 1", "PFADD %b a" };

	(void)state;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		void *ctx = open_empty();
		unsigned logged = fake_host_nlogged;

		take_one(ctx, "ana", 1);
		spoil(commands[i]);
		assert_int_equal(used(ctx, "ana"), 0);
		assert_int_equal(fake_host_nlogged, logged + 1);
		assert_non_null(strstr(fake_host_logged, "not Portero's"));
		settle(ctx, "ana", 1, 1);
		spoil(commands[i]);
		take_one(ctx, "ana", 2);
		assert_int_equal(used(ctx, "ana"), 1);
		settle(ctx, "ana", 2, 0);
		assert_int_equal(used(ctx, "ana"), 0);
		portero_plugin.close(ctx);
	}
}

static void
on_row(void *arg, const struct portero_row *row)
{
	int64_t *sum = arg;

	assert_true(row->used >= 0);
	*sum += row->used;
}

/* All that can be asked of ana, none of it a failure of the store. */
static void
ask_all(void *ctx, unsigned tx)
{
	struct portero_op op = store_op(PORTERO_OP_REPORT, "ana", 0);
	int64_t sum = 0;

	assert_true(used(ctx, "ana") >= 0);
	op.row = on_row;
	op.row_arg = &sum;
	assert_int_equal(portero_plugin.store->apply(ctx, &op, 1), 0);
	assert_int_equal(op.result, PORTERO_OP_DONE);
	settle(ctx, "ana", tx, 0);
}

/* Values as the script writes them, but for one byte. */
static void
test_any_byte_may_be_wrong(void **state)
{
	char key[64] = "", text[256];
	void *ctx = open_empty();
	size_t nkeys[2] = { 18, 35 };
	unsigned logged;

	(void)state;
	take_one(ctx, "ana", 1);
	logged = fake_host_nlogged;
	for (int k = 0; k < 2; k++) {
		redisReply *r;
		size_t len;

		if (k == 0)
			memcpy(key, "portero:1:{pana}:c", 18);
		else
			memcpy(key, "portero:1:{pana}:t:\1\0\0", 22);
		r = redis_rig_ask(rig, "GET %b", key, nkeys[k]);
		len = r->len;
		assert_in_range(len, 20, sizeof text);
		memcpy(text, r->str, len);
		freeReplyObject(r);
		for (size_t at = 0; at < len * 16; at++) {
			char byte = text[at / 16];

			text[at / 16] = (char)(byte + 1 + 17 * (at % 16));
			freeReplyObject(redis_rig_ask(rig, "SET %b %b EX 1000",
			    key, nkeys[k], text, len));
			text[at / 16] = byte;
			ask_all(ctx, 1);
		}
		portero_plugin.close(ctx);
		ctx = open_empty();
		take_one(ctx, "ana", 1);
	}
	assert_true(fake_host_nlogged > logged);
	portero_plugin.close(ctx);
}

/* ---- the server -------------------------------------------------------- */

static void
test_a_server_that_forgot_the_script_learns_it_again(void **state)
{
	struct portero_charge c[2] = { store_hourly(100), store_hourly(100) };
	struct portero_op ops[3] = {
		store_op(PORTERO_OP_SETTLE, "ana", 1),
		store_op(PORTERO_OP_TAKE, "ana", 2),
		store_op(PORTERO_OP_TAKE, "eva", 3),
	};
	void *ctx = open_empty();

	(void)state;
	take_one(ctx, "ana", 1);
	tell_server("SCRIPT FLUSH", NULL);
	for (int i = 0; i < 2; i++) {
		ops[i + 1].charges = &c[i];
		ops[i + 1].ncharges = 1;
	}
	assert_int_equal(portero_plugin.store->apply(ctx, ops, 3), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ops[i].result, PORTERO_OP_DONE);
	assert_int_equal(c[0].used, 0);
	assert_int_equal(used(ctx, "ana"), 1);
	assert_int_equal(used(ctx, "eva"), 1);
	portero_plugin.close(ctx);
}

static void
test_a_connection_that_was_cut_is_made_again(void **state)
{
	void *ctx = open_empty();

	(void)state;
	take_one(ctx, "ana", 1);
	for (unsigned i = 2; i < 10; i++) {
		tell_server("CLIENT KILL SKIPME yes TYPE normal", NULL);
		take_one(ctx, "ana", i);
	}
	assert_int_equal(used(ctx, "ana"), 9);
	portero_plugin.close(ctx);
}

static void
test_what_the_server_cannot_do_is_certainly_not_done(void **state)
{
	static const struct {
		const char *before, *after, *trouble;
	} cases[] = {
		{ "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM" },
		{ "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE",
		    "not a primary" },
		{ "CONFIG SET requirepass x", "CONFIG SET requirepass %s",
		    "NOAUTH" },
		{ "ACL SETUSER default -evalsha -eval",
		    "ACL SETUSER default +@all", "NOPERM" },
		{ "ACL SETUSER default resetkeys ~other:*",
		    "ACL SETUSER default ~*", "NOPERM" },
	};
	const char *(*trouble)(void *) = portero_plugin.store->trouble;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		void *ctx = open_empty();
		struct portero_op op;

		take_one(ctx, "ana", 1);
		tell_server(cases[i].before, NULL);
		portero_plugin.close(ctx); /* also with a new connection */
		ctx = open_store(rig->uri);
		assert_int_equal(take(ctx, "ana", 2, &op), -1);
		assert_int_equal(op.result, PORTERO_OP_FAILED);
		if (strstr(trouble(ctx), cases[i].trouble) == NULL)
			fail_msg("%s: %s", cases[i].before, trouble(ctx));
		tell_server(cases[i].after, "");
		assert_int_equal(used(ctx, "ana"), 1);
		take_one(ctx, "ana", 2);
		portero_plugin.close(ctx);
	}
}

/* ---- settings ---------------------------------------------------------- */

static void
test_what_is_wrong_with_the_settings_is_told(void **state)
{
	static const struct {
		const char *name, *value, *uri, *wanted;
	} cases[] = {
		{ "database", "0", "127.0.0.1", "redis://" },
		{ "database", "0", "http://127.0.0.1", "redis://" },
		{ "database", "0", "redis://", "no host" },
		{ "database", "0", "redis://:6379", "no host" },
		{ "database", "0", "redis://[::1", "no host" },
		{ "database", "0", "redis://[::1]x", "no host" },
		{ "database", "0", "redis://a:", "no port" },
		{ "database", "0", "redis://a:0", "no port" },
		{ "database", "0", "redis://a:65536", "no port" },
		{ "database", "0", "redis://a:6379x", "no port" },
		{ "database", "0", "redis://u:p@a", "password_file" },
		{ "database", "0", "redis://a/2", "database" },
		{ "database", "0", "unix:socket", "path" },
		{ "database", "0", "unix:", "path" },
		{ "prefix", "", "redis://a", "prefix" },
		{ "prefix", "a{b}", "redis://a", "prefix" },
		{ "prefix", "a*", "redis://a", "prefix" },
		{ "user", "portero", "redis://a", "password_file" },
		{ "sentinel_password_file", "x", "redis://a", "sentinel" },
		{ "ca_file", "/ca.pem", "redis://a", "rediss://" },
		{ "certificate", "/c.pem", "redis://a", "both or none" },
		{ "database", "0", "redis://[::1]", NULL },
		{ "database", "7", "redis://a.example:7000", NULL },
		{ "sentinel", "quotas", "redis://10.0.0.5", NULL },
		{ "prefix", "mail:test-1", "unix:///run/redis.sock", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct portero_conf *conf =
		    fake_conf_new(portero_plugin.options, "");
		char err[256] = "";
		void *ctx = NULL;
		int ret;

		fake_conf_set(conf, "uri", cases[i].uri);
		fake_conf_set(conf, cases[i].name, cases[i].value);
		ret = portero_plugin.open(&fake_host, conf, NULL, 0,
		    PORTERO_SHARE_NONE, &ctx, err);
		if ((ret == 0) != (cases[i].wanted == NULL) ||
		    (ret == -1 && strstr(err, cases[i].wanted) == NULL))
			fail_msg("%s, %s = %s: %d, %s", cases[i].uri,
			    cases[i].name, cases[i].value, ret, err);
		if (ret == 0)
			portero_plugin.close(ctx);
		fake_conf_free(&conf);
	}
}

/* ---- status ------------------------------------------------------------ */

struct rows {
	unsigned n, warnings;
	char text[2048];
};

static void
on_status(void *arg, const char *name, const char *value)
{
	struct rows *rows = arg;
	size_t len = strlen(rows->text);

	rows->n++;
	rows->warnings += strcmp(name, "warning") == 0;
	snprintf(rows->text + len, sizeof rows->text - len, "%s=%s\n", name,
	    value);
}

static struct rows
status(void *ctx)
{
	struct rows rows = { 0 };

	assert_int_equal(portero_plugin.store->status(ctx, on_status, &rows),
	    0);
	return rows;
}

static void
test_status_warns_of_what_would_forget(void **state)
{
	void *ctx = open_empty();
	struct rows rows;

	(void)state;
	take_one(ctx, "ana", 1);
	rows = status(ctx);
	assert_int_equal(rows.warnings, 1);
	assert_non_null(strstr(rows.text, "server=unix:/tmp/"));
	assert_non_null(strstr(rows.text, "script="));
	assert_non_null(strstr(rows.text, ", loaded"));
	assert_non_null(strstr(rows.text, "persistence=none"));
	assert_non_null(strstr(rows.text, "eviction=noeviction"));
	assert_non_null(strstr(rows.text, "memory per person="));

	tell_server("CONFIG SET save %s", "60 1");
	assert_int_equal(status(ctx).warnings, 0);
	tell_server("CONFIG SET maxmemory-policy %s", "volatile-lru");
	assert_int_equal(status(ctx).warnings, 0); /* it has all the room */
	tell_server("CONFIG SET maxmemory %s", "1gb");
	rows = status(ctx);
	assert_int_equal(rows.warnings, 1);
	assert_non_null(strstr(rows.text, "volatile-lru"));
	/* Who may not ask is not warned, nor does anything else fail. */
	tell_server("ACL SETUSER default -config -info -memory", NULL);
	rows = status(ctx);
	assert_int_equal(rows.warnings, 0);
	assert_non_null(strstr(rows.text, "latency="));
	tell_server("ACL SETUSER default +@all", NULL);
	tell_server("CONFIG SET maxmemory %s", "0");
	tell_server("CONFIG SET maxmemory-policy %s", "noeviction");
	tell_server("CONFIG SET save %s", "");
	portero_plugin.close(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_store_passes_the_examples),
		cmocka_unit_test(
		    test_the_store_and_the_model_agree_in_random_traffic),
		cmocka_unit_test(test_all_keys_of_a_call_are_in_one_slot),
		cmocka_unit_test(test_every_key_ends_some_day),
		cmocka_unit_test(test_a_name_cannot_leave_its_key),
		cmocka_unit_test(
		    test_values_of_others_count_as_absent_and_are_told),
		cmocka_unit_test(test_any_byte_may_be_wrong),
		cmocka_unit_test(
		    test_a_server_that_forgot_the_script_learns_it_again),
		cmocka_unit_test(test_a_connection_that_was_cut_is_made_again),
		cmocka_unit_test(
		    test_what_the_server_cannot_do_is_certainly_not_done),
		cmocka_unit_test(test_what_is_wrong_with_the_settings_is_told),
		cmocka_unit_test(test_status_warns_of_what_would_forget),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
