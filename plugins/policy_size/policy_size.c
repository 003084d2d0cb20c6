/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * policy_size: how large a message may be, and for how many recipients.
 *
 *   policy "size" {
 *           plugin = policy_size
 *           max = 25M
 *           max_recipients = 100
 *           class "staff" { max = 50M }
 *   }
 *
 * A class's value comes before the general one, and a size in the person's
 * own entry before both. The host refuses what is larger than the smallest
 * max_size of all policies, at MAIL or when it happens; recipients are
 * counted here.
 */
#include <stdlib.h>
#include <string.h>

#include <portero/plugin.h>

struct rule {
	char class_name[64]; /* "": everybody else */
	int64_t max;            /* bytes; 0: not given */
	int64_t max_recipients; /* PORTERO_UNLIMITED: not given */
};

struct policy_size {
	size_t nrules;
	struct rule rules[]; /* the last one is the general one */
};

static const struct portero_option class_options[] = {
	{ .name = "max",
	    .type = PORTERO_OPT_SIZE,
	    .help = "Largest message of persons of this class.",
	    .min = 1,
	    .max = INT64_C(1) << 40 },
	{ .name = "max_recipients",
	    .type = PORTERO_OPT_COUNT,
	    .help = "Most recipients of one message of this class.",
	    .min = 1,
	    .max = 1000000 },
	{ .name = NULL },
};

static const struct portero_option options[] = {
	{ .name = "max",
	    .type = PORTERO_OPT_SIZE,
	    .help = "Largest message. Without it: what listener and upstream "
		    "allow.",
	    .min = 1,
	    .max = INT64_C(1) << 40 },
	{ .name = "max_recipients",
	    .type = PORTERO_OPT_COUNT,
	    .help = "Most recipients of one message. Those beyond are refused, "
		    "the others stay.",
	    .min = 1,
	    .max = 1000000 },
	{ .name = "class",
	    .type = PORTERO_OPT_SECTION,
	    .help = "Other values for persons of a class.",
	    .section = class_options },
	{ .name = NULL },
};

static void
read_rule(const struct portero_host *host, const struct portero_conf *conf,
    const char *class_name, struct rule *to)
{
	snprintf(to->class_name, sizeof to->class_name, "%s", class_name);
	to->max_recipients = PORTERO_UNLIMITED;
	if (host->is_set(conf, "max"))
		to->max = host->get_int(conf, "max");
	if (host->is_set(conf, "max_recipients"))
		to->max_recipients = host->get_int(conf, "max_recipients");
}

static int
policy_size_open(const struct portero_host *host,
    const struct portero_conf *conf, void *share, size_t share_bytes,
    enum portero_share_state state, void **ctx, char err[256])
{
	size_t n = host->section_count(conf, "class");
	struct policy_size *p;

	(void)share;
	(void)share_bytes;
	(void)state;
	p = calloc(1, sizeof *p + (n + 1) * sizeof *p->rules);
	if (p == NULL) {
		snprintf(err, 256, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const struct portero_conf *class = host->section(conf, "class",
		    i);

		read_rule(host, class, host->title(class), &p->rules[i]);
	}
	read_rule(host, conf, "", &p->rules[n]);
	p->nrules = n + 1;
	*ctx = p;
	return 0;
}

static void
policy_size_close(void *ctx)
{
	free(ctx);
}

/* The class's rule with the gaps filled from the general one. */
static struct rule
rule_of(const struct policy_size *p, const struct portero_identity *who)
{
	struct rule rule = p->rules[p->nrules - 1];

	for (size_t i = 0; i + 1 < p->nrules; i++) {
		const struct rule *r = &p->rules[i];

		if (strcmp(r->class_name, who->class_name) != 0)
			continue;
		if (r->max != 0)
			rule.max = r->max;
		if (r->max_recipients != PORTERO_UNLIMITED)
			rule.max_recipients = r->max_recipients;
	}
	if (who->max_size != 0)
		rule.max = who->max_size;
	return rule;
}

static enum portero_verdict
policy_size_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	struct rule rule = rule_of(ctx, facts->identity);

	answer->max_size = rule.max;
	if (facts->stage != PORTERO_RCPT ||
	    rule.max_recipients == PORTERO_UNLIMITED ||
	    facts->recipient < (size_t)rule.max_recipients)
		return PORTERO_NEXT;
	portero_reply_set(&answer->reply, 452, "4.5.3",
	    "Too many recipients in one message (limit %lld). Send it to the "
	    "rest in another message.",
	    (long long)rule.max_recipients);
	snprintf(answer->reply.reason, sizeof answer->reply.reason,
	    "recipients");
	return PORTERO_DENY;
}

/* Without a maximum of recipients nobody need ask about each of them. */
static uint32_t
policy_size_stages(const void *ctx)
{
	const struct policy_size *p = ctx;

	for (size_t i = 0; i < p->nrules; i++)
		if (p->rules[i].max_recipients != PORTERO_UNLIMITED)
			return PORTERO_HELLO | PORTERO_MAIL | PORTERO_RCPT;
	return PORTERO_HELLO | PORTERO_MAIL;
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_HELLO | PORTERO_MAIL | PORTERO_RCPT,
	.judge = policy_size_judge,
	.stages_used = policy_size_stages,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "policy_size",
	.version = "1",
	.options = options,
	.open = policy_size_open,
	.close = policy_size_close,
	.policy = &policy,
};
