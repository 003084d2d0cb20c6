/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/inquiry.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/refusal.h"

/* ---- the facts ---------------------------------------------------------- */

static void
lend_recipients(struct inquiry *i, const struct judge_question *q)
{
	if (q->nrecipients > i->nrecipients) {
		i->recipients = xrealloc(i->recipients,
		    q->nrecipients * sizeof *i->recipients);
		i->nrecipients = q->nrecipients;
	}
	for (uint32_t n = 0; n < q->nrecipients; n++)
		i->recipients[n] = (struct portero_str){ q->recipients[n].ptr,
			q->recipients[n].len };
}

static struct portero_str
lend(struct str s)
{
	return (struct portero_str){ s.ptr, s.len };
}

/* Whose a mailbox is, as far as the session or the identity knows. */
static void
lend_mailboxes(struct inquiry *i, const struct judge_question *q)
{
	for (uint32_t n = 0; n < q->nmailboxes; n++) {
		const struct judge_mailbox *m = &q->mailboxes[n];

		i->mailboxes[n] = (struct portero_mailbox){
			.address = lend(m->address),
			.owned = m->owned,
			.is_sender = m->is_sender
		};
		if (i->is_known && m->owned == PORTERO_OWNED_UNKNOWN)
			i->mailboxes[n].owned = identity_owns(&i->identity,
			    m->address, i->delimiters);
	}
	i->facts.mailboxes = i->mailboxes;
	i->facts.nmailboxes = q->nmailboxes;
	i->facts.nfrom = q->nfrom;
	i->facts.nsender = q->nsender;
	i->facts.nreceived = q->nreceived;
	i->facts.header_flaw = lend(q->header_flaw);
}

void
inquiry_open(struct inquiry *i, const struct judge_question *q)
{
	i->is_known = identity_decode(q->identity, &i->identity) == 0;
	lend_recipients(i, q);
	i->facts = (struct portero_facts){ .size = sizeof i->facts,
		.identity = &i->identity,
		.session_id = lend(q->session_id),
		.listener = lend(q->listener),
		.client_address = lend(q->client_address),
		.reverse_path = lend(q->reverse_path),
		.declared_size = q->declared_size,
		.recipients = i->recipients,
		.nrecipients = q->nrecipients,
		.message_size = q->message_size,
		.sender_owned = q->sender_owned,
		.outcome = q->outcome,
		.naccepted = q->naccepted,
		.nrefused = q->nrefused,
		.abandoned = q->abandoned };
	if (i->is_known && q->sender_owned == PORTERO_OWNED_UNKNOWN &&
	    q->reverse_path.len > 0)
		i->facts.sender_owned = identity_owns(&i->identity,
		    q->reverse_path, i->delimiters);
	lend_mailboxes(i, q);
}

void
inquiry_open_login(struct inquiry *i, const struct attempt_question *q,
    struct str login)
{
	const struct plugin *store = i->tally->store;

	memset(&i->identity, 0, sizeof i->identity);
	i->facts = (struct portero_facts){ .size = sizeof i->facts,
		.session_id = lend(q->session_id),
		.listener = lend(q->listener),
		.client_address = lend(q->client_address),
		.declared_size = -1,
		.message_size = -1,
		.attempt = q->attempt,
		.login = lend(login),
		.password_tag = q->tag,
		.client_network = lend(q->client_network),
		.client_exempt = q->exempt,
		.store_is_remote = store != NULL &&
		    store->table->store->remote };
}

void
inquiry_close(struct inquiry *i)
{
	free(i->recipients);
	i->recipients = NULL;
	i->nrecipients = 0;
}

void
inquiry_enter(struct inquiry *i, enum portero_stage stage, size_t recipient)
{
	i->facts.stage = stage;
	i->facts.recipient = recipient;
	tally_clear(i->tally);
}

/* ---- faults ------------------------------------------------------------- */

static const char *
stage_name(enum portero_stage stage)
{
	switch (stage) {
	case PORTERO_LOGIN:
		return "login";
	case PORTERO_MAIL:
		return "mail";
	case PORTERO_RCPT:
		return "rcpt";
	case PORTERO_DATA:
		return "data";
	case PORTERO_HEADER:
		return "header";
	case PORTERO_END:
		return "end";
	case PORTERO_OUTCOME:
		return "outcome";
	case PORTERO_HELLO:
		return "hello";
	}
	return "";
}

void
inquiry_log(const struct inquiry *i, struct log_line *l, enum log_level level,
    const char *event, const struct plugin *p)
{
	struct portero_str sid = i->facts.session_id;

	log_begin(l, level, event);
	log_add(l, "s", (struct str){ sid.ptr, sid.len });
	log_adds(l, "user", i->identity.id);
	log_adds(l, "plugin", plugin_name(p->module));
	log_adds(l, "stage", stage_name(i->facts.stage));
}

static void
plugin_failed(struct inquiry *i, const struct plugin *p, const char *cause)
{
	struct log_line l;

	inquiry_log(i, &l, LOG_LEVEL_ERROR, "plugin_failed", p);
	log_adds(&l, "module", p->module->plugin);
	log_adds(&l, "cause", cause);
	log_end(&l);
	shared_add(i->shared, i->row, COUNTER_PLUGIN_FAILED, 1);
}

static const char *
verdict_fault(enum portero_verdict v)
{
	switch (v) {
	case PORTERO_NEXT:
	case PORTERO_DENY:
	case PORTERO_DEFER:
		return NULL;
	case PORTERO_NONE:
		return "no verdict";
	default:
		return "a verdict that a policy cannot give";
	}
}

/* What goes into a field must not end it. */
static bool
is_addable(const char *address, size_t size)
{
	size_t len = strnlen(address, size);

	for (size_t i = 0; i < len; i++)
		if (address[i] <= ' ' || address[i] > '~' ||
		    address[i] == '<' || address[i] == '>')
			return false;
	return len < size && (len == 0 || strchr(address, '@') != NULL);
}

/* The charges go to the tally. NULL, or what is wrong. */
static const char *
collect(struct inquiry *i, const struct plugin *p, uint32_t scopes)
{
	const struct portero_answer *a = &i->answer;
	const char *fault = NULL;

	if (a->ncharges > PORTERO_MAX_CHARGES)
		return "more charges than there is room for";
	if (a->max_size < 0)
		return "a negative max_size";
	if (!is_addable(a->add_sender, sizeof a->add_sender))
		return "a Sender to add that is no address";
	if (a->ncharges > 0 && i->tally->store == NULL)
		return "charges, but no store is configured";
	for (size_t n = 0; n < a->ncharges && fault == NULL; n++)
		fault = tally_add(i->tally, p, scopes, &a->charges[n]);
	return fault;
}

/* ---- asking ------------------------------------------------------------- */

static enum portero_verdict
call(struct inquiry *i, const struct plugin *p)
{
	struct portero_answer *a = &i->answer;

	memset(a, 0, sizeof *a);
	a->size = sizeof *a;
	a->reply.size = sizeof a->reply;
	for (size_t n = 0; n < PORTERO_MAX_CHARGES; n++)
		a->charges[n].size = sizeof a->charges[n];
	return p->table->policy->judge(p->ctx, &i->facts, a);
}

enum portero_verdict
inquiry_ask(struct inquiry *i, const struct plugin *p, uint32_t scopes)
{
	enum portero_verdict v = call(i, p);
	const char *fault = verdict_fault(v);
	bool usable = fault == NULL;

	if (usable && v == PORTERO_NEXT) {
		fault = collect(i, p, scopes);
		usable = fault == NULL;
	} else if (usable) {
		fault = refusal_clamp(&i->answer.reply, v, &usable);
	}
	if (fault == NULL && v == PORTERO_DEFER && host_is_late())
		fault = "deadline";
	if (fault != NULL)
		plugin_failed(i, p, fault);
	if (usable)
		return v;
	refusal_plugin(&i->answer.reply);
	return PORTERO_DEFER;
}

void
inquiry_tell(struct inquiry *i, const struct plugin *p)
{
	call(i, p);
}
