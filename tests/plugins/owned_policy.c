/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A policy for tests: refuses a sender address that is not the person's, and
 * says what the auth plugin told.
 */
#include <portero/plugin.h>

static enum portero_verdict
judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	(void)ctx;
	if (facts->sender_owned == PORTERO_OWNED_YES)
		return PORTERO_NEXT;
	portero_reply_set(&answer->reply, 553, "5.7.1", "%s",
	    facts->sender_owned == PORTERO_OWNED_NO ? "Not yours." :
						      "Nobody knows.");
	return PORTERO_DENY;
}

static int
open_it(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state,
    void **ctx, char err[256])
{
	(void)host;
	(void)conf;
	(void)share;
	(void)share_bytes;
	(void)state;
	(void)err;
	*ctx = NULL;
	return 0;
}

static void
close_it(void *ctx)
{
	(void)ctx;
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_MAIL,
	.needs = PORTERO_NEED_OWNED,
	.judge = judge,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "owned_policy",
	.version = "1",
	.open = open_it,
	.close = close_it,
	.policy = &policy,
};
