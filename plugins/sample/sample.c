/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * sample: a policy to start your own from. It refuses mail from persons of
 * one class to other domains than the listed ones, e.g. of students before
 * their first semester:
 *
 *   policy "inside" {
 *           plugin = sample
 *           class = "newcomers"
 *           domains = {"example.org", "alumni.example.org"}
 *   }
 *
 * It builds outside of Portero's tree: see the Makefile beside it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <portero/plugin.h>

/* The plugin's memory: made in open(), handed to every other function. */
struct sample {
	const struct portero_host *host; /* borrowed; lives as long as we do */
	char *class_name;
	char **domains; /* NULL-terminated */
};

/* Parser, checks, `porterod -t` and the manual page come from this table. */
static const struct portero_option options[] = {
	{ .name = "class",
	    .type = PORTERO_OPT_STRING,
	    .help = "Whose mail is looked at.",
	    .required = true },
	{ .name = "domains",
	    .type = PORTERO_OPT_LIST,
	    .help = "Domains that these persons may write to.",
	    .required = true },
	{ .name = NULL },
};

static void
sample_close(void *ctx)
{
	struct sample *s = ctx;

	for (size_t i = 0; s->domains != NULL && s->domains[i] != NULL; i++)
		free(s->domains[i]);
	free(s->domains);
	free(s->class_name);
	free(s);
}

/* Options are lent for this call only: keep copies. The same call checks a
 * new configuration (state is PORTERO_SHARE_NONE then): it must not touch
 * anything outside. */
static int
sample_open(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state,
    void **ctx, char err[256])
{
	size_t n = host->list_length(conf, "domains");
	struct sample *s = calloc(1, sizeof *s);

	(void)share;
	(void)share_bytes;
	(void)state;
	if (s == NULL)
		return -1;
	s->host = host;
	s->class_name = strdup(host->get_string(conf, "class"));
	s->domains = calloc(n + 1, sizeof *s->domains);
	if (s->class_name == NULL || s->domains == NULL) {
		snprintf(err, 256, "out of memory");
		sample_close(s);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const char *domain = host->list_item(conf, "domains", i);

		if (strchr(domain, '@') != NULL) {
			snprintf(err, 256, "\"%s\" is an address, not a domain",
			    domain);
			sample_close(s);
			return -1;
		}
		s->domains[i] = strdup(domain);
	}
	*ctx = s;
	return 0;
}

static int
is_allowed(const struct sample *s, struct portero_str address)
{
	const char *at = memrchr(address.ptr, '@', address.len);
	size_t len;

	if (at == NULL)
		return 0;
	len = address.len - (size_t)(at + 1 - address.ptr);
	for (size_t i = 0; s->domains[i] != NULL; i++)
		if (strlen(s->domains[i]) == len &&
		    strncasecmp(s->domains[i], at + 1, len) == 0)
			return 1;
	return 0;
}

/* NEXT: nothing against it. DENY: with this reply. DEFER: try later. */
static enum portero_verdict
sample_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	const struct sample *s = ctx;
	struct portero_str to = facts->recipients[facts->recipient];

	if (strcmp(facts->identity->class_name, s->class_name) != 0 ||
	    is_allowed(s, to))
		return PORTERO_NEXT;
	s->host->log(s->host, PORTERO_LOG_DEBUG, "%s may not write outside",
	    facts->identity->id);
	portero_reply_set(&answer->reply, 550, "5.7.1",
	    "Your account can only write inside for now.");
	snprintf(answer->reply.reason, sizeof answer->reply.reason, "outside");
	return PORTERO_DENY;
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_RCPT,
	.judge = sample_judge,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "sample",
	.version = "1",
	.options = options,
	.open = sample_open,
	.close = sample_close,
	.policy = &policy,
};
