/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A policy for tests: logs what it is told of each transaction's outcome.
 */
#include <portero/plugin.h>

static enum portero_verdict
judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	const struct portero_host *host = ctx;

	(void)answer;
	if (facts->stage == PORTERO_OUTCOME)
		host->log(host, PORTERO_LOG_WARNING,
		    "outcome %d accepted %zu refused %zu abandoned %d size %d",
		    (int)facts->outcome, facts->naccepted, facts->nrefused,
		    facts->abandoned, (int)facts->message_size);
	return PORTERO_NEXT;
}

static int
open_it(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state,
    void **ctx, char err[256])
{
	(void)conf;
	(void)share;
	(void)share_bytes;
	(void)state;
	(void)err;
	*ctx = (void *)(uintptr_t)host;
	return 0;
}

static void
close_it(void *ctx)
{
	(void)ctx;
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_MAIL | PORTERO_OUTCOME,
	.judge = judge,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "outcome_policy",
	.version = "1",
	.open = open_it,
	.close = close_it,
	.policy = &policy,
};
