/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * fault_policy: a policy that does wrong, as fault.h tells, when the word
 * occurs in the reverse-path; at login in the typed name.
 */
#include "fault.h"

static const char *const stage_names[] = { "mail", "rcpt", "data", "end",
	"outcome", "login", NULL };
static const enum portero_stage stages[] = { PORTERO_MAIL, PORTERO_RCPT,
	PORTERO_DATA, PORTERO_END, PORTERO_OUTCOME, PORTERO_LOGIN };

static const struct portero_option options[] = {
	FAULT_OPTIONS,
	{ .name = "stage",
	    .type = PORTERO_OPT_ENUM,
	    .choices = stage_names,
	    .preset = "mail",
	    .help = "Where." },
	{ .name = NULL },
};

static int
fault_open(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state, void **ctx,
    char err[256])
{
	struct fault_plugin *f = fault_new(host, conf);

	(void)share;
	(void)share_bytes;
	(void)state;
	(void)err;
	f->stage = host->get_int(conf, "stage");
	*ctx = f;
	return 0;
}

static enum portero_verdict
fault_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	const struct fault_plugin *f = ctx;
	enum portero_verdict v;

	if (facts->stage != stages[f->stage] ||
	    !fault_is_due(f, facts->stage == PORTERO_LOGIN
			? facts->login
			: facts->reverse_path))
		return PORTERO_NEXT;
	v = fault_commit(f);
	if (v != PORTERO_NEXT)
		return v;
	memset(&answer->reply, '\n', sizeof answer->reply);
	answer->reply.code = 250;
	answer->ncharges = 12345;
	answer->max_size = -1;
	return PORTERO_DENY;
}

static uint32_t
fault_stages(const void *ctx)
{
	const struct fault_plugin *f = ctx;

	return stages[f->stage];
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA | PORTERO_END |
	    PORTERO_OUTCOME | PORTERO_LOGIN,
	.judge = fault_judge,
	.stages_used = fault_stages,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "fault_policy",
	.version = "1",
	.options = options,
	.open = fault_open,
	.close = fault_free,
	.policy = &policy,
};
