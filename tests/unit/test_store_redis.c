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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_store_passes_the_examples),
		cmocka_unit_test(
		    test_the_store_and_the_model_agree_in_random_traffic),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
