/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * policy_sender: who may send as whom.
 *
 *   policy "sender" {
 *           plugin = policy_sender
 *           allow = {"noreply@example.org"}
 *           class "relay" { allow = {"@example.org", "@*.example.org"} }
 *           class "scanner" { allow = {any}  null_sender = no }
 *   }
 *
 * A sender is right if it is the person's own address or one that is allowed
 * to everybody or to the class. Whose an address is the directory knows; if it
 * cannot tell now, the client is told to try later and never let through.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <portero/plugin.h>

/* What class "" or another may do beside sending as themselves. */
struct rule {
	char class_name[64];
	bool null_sender;
	size_t nallowed;
	char **allowed; /* owned: "any", "@domain", "@*.domain", an address */
};

struct policy_sender {
	size_t nrules;
	struct rule rules[]; /* the last one is the general one */
};

#define ALLOW \
	{ .name = "allow", \
	    .type = PORTERO_OPT_LIST, \
	    .help = "Senders that need not be the person's own: addresses, " \
		    "\"@domain\" for all of a domain, \"@*.domain\" for all " \
		    "below it, or any. Those of a class come on top of the " \
		    "general ones." }

static const struct portero_option class_options[] = {
	ALLOW,
	{ .name = "null_sender",
	    .type = PORTERO_OPT_BOOL,
	    .help = "Whether persons of this class may send with the empty "
		    "sender \"<>\"." },
	{ .name = NULL },
};

static const struct portero_option options[] = {
	ALLOW,
	{ .name = "null_sender",
	    .type = PORTERO_OPT_BOOL,
	    .preset = "yes",
	    .help = "Whether mail with the empty sender \"<>\" is taken. Mail "
		    "programs send read receipts so." },
	{ .name = "class",
	    .type = PORTERO_OPT_SECTION,
	    .help = "Other values for persons of a class.",
	    .section = class_options },
	{ .name = NULL },
};

/* ---- open and close ------------------------------------------------------ */

static void
policy_sender_close(void *ctx)
{
	struct policy_sender *p = ctx;

	for (size_t i = 0; i < p->nrules; i++) {
		struct rule *r = &p->rules[i];

		for (size_t n = 0; n < r->nallowed; n++)
			free(r->allowed[n]);
		free(r->allowed);
	}
	free(p);
}

static bool
is_sender(const char *text)
{
	const char *domain = strrchr(text, '@');

	if (strcmp(text, "any") == 0)
		return true;
	if (strncmp(text, "@*.", 3) == 0)
		domain = text + 3;
	else if (domain != NULL && strchr(text, '*') == NULL)
		domain++;
	else
		return false;
	return *domain != '\0' && strpbrk(domain, "@*") == NULL &&
	    strpbrk(text, " \t<>") == NULL;
}

static int
read_rule(const struct portero_host *host, const struct portero_conf *conf,
    const char *class_name, struct rule *to, char err[256])
{
	size_t n = host->list_length(conf, "allow");

	snprintf(to->class_name, sizeof to->class_name, "%s", class_name);
	if (host->is_set(conf, "null_sender"))
		to->null_sender = host->get_int(conf, "null_sender") != 0;
	to->allowed = calloc(n + 1, sizeof *to->allowed);
	for (size_t i = 0; i < n && to->allowed != NULL; i++) {
		const char *text = host->list_item(conf, "allow", i);

		if (!is_sender(text)) {
			snprintf(err, 256, "allow: \"%.100s\" is no address, "
			    "\"@domain\", \"@*.domain\" or any", text);
			return -1;
		}
		to->allowed[i] = strdup(text);
		if (to->allowed[i] == NULL)
			break;
		to->nallowed++;
	}
	if (to->allowed != NULL && to->nallowed == n)
		return 0;
	snprintf(err, 256, "out of memory");
	return -1;
}

static int
read_rules(const struct portero_host *host, const struct portero_conf *conf,
    struct policy_sender *p, char err[256])
{
	struct rule *general = &p->rules[p->nrules - 1];

	general->null_sender = host->get_int(conf, "null_sender") != 0;
	if (read_rule(host, conf, "", general, err) == -1)
		return -1;
	for (size_t i = 0; i + 1 < p->nrules; i++) {
		const struct portero_conf *class = host->section(conf, "class",
		    i);

		p->rules[i].null_sender = general->null_sender;
		if (read_rule(host, class, host->title(class), &p->rules[i],
			err) == -1)
			return -1;
	}
	return 0;
}

static int
policy_sender_open(const struct portero_host *host,
    const struct portero_conf *conf, void *share, size_t share_bytes,
    enum portero_share_state state, void **ctx, char err[256])
{
	size_t n = host->section_count(conf, "class") + 1;
	struct policy_sender *p;

	(void)share;
	(void)share_bytes;
	(void)state;
	p = calloc(1, sizeof *p + n * sizeof *p->rules);
	if (p == NULL) {
		snprintf(err, 256, "out of memory");
		return -1;
	}
	p->nrules = n;
	if (read_rules(host, conf, p, err) == -1) {
		policy_sender_close(p);
		return -1;
	}
	*ctx = p;
	return 0;
}

/* ---- judging ------------------------------------------------------------- */

static const struct rule *
rule_of(const struct policy_sender *p, const struct portero_identity *who)
{
	size_t i = 0;

	while (i + 1 < p->nrules &&
	       strcmp(p->rules[i].class_name, who->class_name) != 0)
		i++;
	return &p->rules[i];
}

static bool
is_equal(const char *text, const char *bytes, size_t len)
{
	return strlen(text) == len && strncasecmp(text, bytes, len) == 0;
}

/* An address as MAIL and the header have it: what follows its last '@' is the
 * domain. */
static bool
matches(const char *pattern, struct portero_str address)
{
	const char *at = memrchr(address.ptr, '@', address.len), *below;
	size_t len, tail;

	if (strcmp(pattern, "any") == 0)
		return true;
	if (at == NULL)
		return false;
	len = address.len - (size_t)(at - address.ptr);
	if (strncmp(pattern, "@*.", 3) != 0)
		return pattern[0] == '@' ?
		    is_equal(pattern, at, len) :
		    is_equal(pattern, address.ptr, address.len);
	below = pattern + 2; /* ".example.org" */
	tail = strlen(below);
	return len > tail + 1 && is_equal(below, at + len - tail, tail);
}

static bool
is_allowed(const struct rule *r, struct portero_str address)
{
	for (size_t i = 0; i < r->nallowed; i++)
		if (matches(r->allowed[i], address))
			return true;
	return false;
}

/* As much of an address as a reply shows. */
static const char *
shown(char to[101], struct portero_str address)
{
	size_t n = address.len < 100 ? address.len : 100;

	for (size_t i = 0; i < n; i++)
		to[i] = address.ptr[i] > ' ' && address.ptr[i] <= '~' ?
		    address.ptr[i] :
		    '?';
	to[n] = '\0';
	return to;
}

static enum portero_verdict
refuse(struct portero_reply *r, int code, const char *text)
{
	portero_reply_set(r, code, "5.7.1", "%s", text);
	snprintf(r->reason, sizeof r->reason, "sender");
	return PORTERO_DENY;
}

static enum portero_verdict
put_off(struct portero_reply *r, struct portero_str address)
{
	char text[101];

	portero_reply_set(r, 451, "4.7.0",
	    "Cannot check right now whether you may send as %s; try again in a "
	    "few minutes.",
	    shown(text, address));
	snprintf(r->reason, sizeof r->reason, "later");
	return PORTERO_DEFER;
}

static enum portero_verdict
policy_sender_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	const struct policy_sender *p = ctx;
	const struct rule *general = &p->rules[p->nrules - 1];
	const struct rule *own = rule_of(p, facts->identity);
	struct portero_str from = facts->reverse_path;
	char address[101], text[200];

	if (from.len == 0 && own->null_sender)
		return PORTERO_NEXT;
	if (from.len == 0)
		return refuse(&answer->reply, 553,
		    "You cannot send with an empty sender. Use your own "
		    "address.");
	if (facts->sender_owned == PORTERO_OWNED_YES ||
	    is_allowed(own, from) || is_allowed(general, from))
		return PORTERO_NEXT;
	if (facts->sender_owned != PORTERO_OWNED_NO)
		return put_off(&answer->reply, from);
	snprintf(text, sizeof text,
	    "You cannot send as %s. Use your own address.",
	    shown(address, from));
	return refuse(&answer->reply, 553, text);
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_MAIL,
	.needs = PORTERO_NEED_OWNED,
	.judge = policy_sender_judge,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "policy_sender",
	.version = "1",
	.options = options,
	.open = policy_sender_open,
	.close = policy_sender_close,
	.policy = &policy,
};
