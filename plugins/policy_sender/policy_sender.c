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
 * So must be everybody who is named in From and Sender of the header: what a
 * recipient sees is From, not the sender of the envelope.
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

/* What becomes of a header whose From is somebody else's; in this order. */
enum header { HEADER_OFF, HEADER_REJECT, HEADER_ADD_SENDER };

struct policy_sender {
	enum header header;
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

static const char *const headers[] = { "off", "reject", "add_sender", NULL };

static const struct portero_option options[] = {
	ALLOW,
	{ .name = "header",
	    .type = PORTERO_OPT_ENUM,
	    .preset = "reject",
	    .help = "What becomes of a message whose From is not the person's: "
		    "it is not looked at, refused, or gets a Sender field "
		    "with the person's own address.",
	    .choices = headers },
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
	p->header = (enum header)host->get_int(conf, "header");
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

/* The sentence with an address in it. */
static enum portero_verdict
refuse_address(struct portero_reply *r, int code, const char *before,
    struct portero_str address, const char *after)
{
	char part[101], text[256];

	snprintf(text, sizeof text, "%s%s%s. Use your own address.", before,
	    shown(part, address), after);
	return refuse(r, code, text);
}

/* May the person send as that one? DEFER: nobody can tell. */
static enum portero_verdict
may_send_as(const struct policy_sender *p, const struct portero_identity *who,
    struct portero_str address, enum portero_owned owned)
{
	if (owned == PORTERO_OWNED_YES ||
	    is_allowed(rule_of(p, who), address) ||
	    is_allowed(&p->rules[p->nrules - 1], address))
		return PORTERO_NEXT;
	return owned == PORTERO_OWNED_NO ? PORTERO_DENY : PORTERO_DEFER;
}

static enum portero_verdict
judge_mail(const struct policy_sender *p, const struct portero_facts *facts,
    struct portero_reply *r)
{
	struct portero_str from = facts->reverse_path;

	if (from.len == 0 && rule_of(p, facts->identity)->null_sender)
		return PORTERO_NEXT;
	if (from.len == 0)
		return refuse(r, 553,
		    "You cannot send with an empty sender. Use your own "
		    "address.");
	switch (may_send_as(p, facts->identity, from, facts->sender_owned)) {
	case PORTERO_NEXT:
		return PORTERO_NEXT;
	case PORTERO_DENY:
		return refuse_address(r, 553, "You cannot send as ", from, "");
	default:
		return put_off(r, from);
	}
}

/* What stands in the way of knowing who the author is; NULL: nothing. */
static const char *
author_fault(const struct portero_facts *facts, char text[200])
{
	size_t nauthors = 0;

	for (size_t i = 0; i < facts->nmailboxes; i++)
		nauthors += !facts->mailboxes[i].is_sender;
	if (facts->nfrom == 0)
		return "The message has no From field. Put your own address "
		       "there.";
	if (facts->nfrom > 1)
		return "The message has several From fields. Send it with one.";
	if (facts->nsender > 1)
		return "The message has several Sender fields. Send it with "
		       "one.";
	if (facts->header_flaw.len > 0) {
		snprintf(text, 200, "The message's header has %.*s.",
		    (int)facts->header_flaw.len, facts->header_flaw.ptr);
		return text;
	}
	return nauthors > 0 ? NULL : "The message's From field names nobody. "
				     "Put your own address there.";
}

/* An address of the person's own, or "". */
static void
own_address(const struct portero_facts *facts, char to[256])
{
	const struct portero_identity *who = facts->identity;
	struct portero_str path = facts->reverse_path;

	to[0] = '\0';
	if (path.len > 0 && facts->sender_owned == PORTERO_OWNED_YES)
		snprintf(to, 256, "%.*s", (int)path.len, path.ptr);
	else if (who->addresses_len > 0 && strlen(who->addresses) < 256)
		snprintf(to, 256, "%.255s", who->addresses);
}

static enum portero_verdict
judge_author(const struct policy_sender *p, const struct portero_facts *facts,
    const struct portero_mailbox *m, struct portero_answer *answer)
{
	struct portero_reply *r = &answer->reply;

	switch (may_send_as(p, facts->identity, m->address, m->owned)) {
	case PORTERO_NEXT:
		return PORTERO_NEXT;
	case PORTERO_DENY:
		break;
	default:
		return put_off(r, m->address);
	}
	/* with a Sender, which is the person's, nothing need be added */
	if (p->header == HEADER_ADD_SENDER && !m->is_sender) {
		if (facts->nsender == 0)
			own_address(facts, answer->add_sender);
		if (facts->nsender > 0 || answer->add_sender[0] != '\0')
			return PORTERO_NEXT;
	}
	return refuse_address(r, 550, "You cannot send as ", m->address,
	    m->is_sender ? " (Sender)" : " (From)");
}

static bool
may_send_as_anybody(const struct policy_sender *p,
    const struct portero_identity *who)
{
	const struct portero_str nobody = { "", 0 };

	return may_send_as(p, who, nobody, PORTERO_OWNED_NO) == PORTERO_NEXT;
}

static enum portero_verdict
judge_header(const struct policy_sender *p, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	enum portero_verdict v = PORTERO_NEXT;
	const char *fault;
	char text[200];

	if (may_send_as_anybody(p, facts->identity))
		return PORTERO_NEXT;
	fault = author_fault(facts, text);
	if (fault != NULL)
		return refuse(&answer->reply, 550, fault);
	for (size_t i = 0; i < facts->nmailboxes && v == PORTERO_NEXT; i++)
		v = judge_author(p, facts, &facts->mailboxes[i], answer);
	return v;
}

static enum portero_verdict
policy_sender_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	const struct policy_sender *p = ctx;

	if (facts->stage == PORTERO_HEADER)
		return judge_header(p, facts, answer);
	return judge_mail(p, facts, &answer->reply);
}

static uint32_t
policy_sender_stages(const void *ctx)
{
	const struct policy_sender *p = ctx;

	return PORTERO_MAIL | (p->header == HEADER_OFF ? 0 : PORTERO_HEADER);
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_MAIL | PORTERO_HEADER,
	.needs = PORTERO_NEED_OWNED,
	.judge = policy_sender_judge,
	.stages_used = policy_sender_stages,
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
