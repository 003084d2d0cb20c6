/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/attempts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/role.h"
#include "policy/inquiry.h"
#include "policy/refusal.h"
#include "policy/tally.h"

#define LOGIN_MAX 255 /* what is longer is cut */
#define SCOPES \
	(1u << PORTERO_PERSON | 1u << PORTERO_HOST | 1u << PORTERO_NETWORK)
#define ANY_UNIT ((1u << PORTERO_NUNITS) - 1)

struct attempts_policy {
	const struct plugin *plugin; /* borrowed */
	uint32_t scopes;
	bool monitor;
};

struct attempts {
	struct shared *shared; /* borrowed */
	unsigned row;
	struct attempts_policy policies[MAX_MODULES];
	size_t npolicies;
	const struct plugin *speller; /* borrowed; NULL: as typed */
	struct tally tally;
	struct inquiry inquiry;
	/* of the attempt in hand */
	char login[LOGIN_MAX + 1];
	/* what the answer points to */
	struct portero_reply reply;
	char limit[32];
};

static void
add_policy(struct attempts *a, const struct plugin *p)
{
	const struct portero_policy *table = p->table->policy;
	uint32_t stages = table->stages;

	if (table->stages_used != NULL)
		stages &= table->stages_used(p->ctx);
	if ((stages & PORTERO_LOGIN) == 0)
		return;
	if (a->speller == NULL && table->spell != NULL)
		a->speller = p;
	a->policies[a->npolicies++] = (struct attempts_policy){ .plugin = p,
		.scopes = SCOPES & (table->scopes == NULL
					   ? 1u << PORTERO_PERSON
					   : table->scopes(p->ctx)),
		.monitor = p->module->mode == CONFIG_MONITOR };
}

struct attempts *
attempts_new(struct plugin *const *plugins, size_t n,
    const struct chain_settings *settings)
{
	struct attempts *a = xcalloc(1, sizeof *a);

	assert(n <= MAX_MODULES);
	a->shared = settings->shared;
	a->row = settings->row;
	a->inquiry = (struct inquiry){ .tally = &a->tally,
		.shared = settings->shared,
		.row = settings->row };
	a->tally.host_key = str_of(settings->hostname);
	a->tally.lifetime_s = settings->tombstone_s; /* settled with it */
	a->tally.tombstone_s = settings->tombstone_s;
	for (size_t i = 0; i < n; i++)
		if (plugins[i]->module->kind == CONFIG_STORE)
			a->tally.store = plugins[i];
		else
			add_policy(a, plugins[i]);
	return a;
}

void
attempts_free(struct attempts **a)
{
	if (*a == NULL)
		return;
	inquiry_close(&(*a)->inquiry);
	free(*a);
	*a = NULL;
}

bool
attempts_are_watched(const struct attempts *a)
{
	return a->npolicies > 0;
}

/* ---- the facts ---------------------------------------------------------- */

static struct str
spell(struct attempts *a, struct str typed)
{
	const struct plugin *p = a->speller;
	const struct portero_str lent = { typed.ptr, typed.len };
	size_t n;

	if (p == NULL) {
		str_copy(a->login, sizeof a->login, typed);
		return str_of(a->login);
	}
	n = p->table->policy->spell(p->ctx, lent, a->login, LOGIN_MAX);
	a->login[n < LOGIN_MAX ? n : LOGIN_MAX] = '\0';
	return str_of(a->login);
}

static void
open_pass(struct attempts *a, const struct attempt_question *q, bool monitor)
{
	struct str login = spell(a, q->login);

	inquiry_open_login(&a->inquiry, q, login);
	tally_open_login(&a->tally, login, q->client_network, monitor);
	inquiry_enter(&a->inquiry, PORTERO_LOGIN, 0);
}

/* ---- before ------------------------------------------------------------- */

static void
refuse(struct attempts *a, struct attempt_answer *answer,
    enum portero_verdict v, const struct plugin *p)
{
	answer->verdict = v;
	answer->plugin = str_of(plugin_name(p->module));
	answer->reply = refusal_view(&a->reply);
}

static void
refuse_limit(struct attempts *a, struct attempt_answer *answer,
    struct tally_entry e)
{
	refusal_attempts(&a->reply, e.charge->fits_at);
	refuse(a, answer, PORTERO_DENY, e.owner);
	str_copy(a->limit, sizeof a->limit, str_of(e.charge->limit));
	answer->limit = str_of(a->limit);
	answer->used = e.charge->used;
	answer->max = e.charge->max;
	answer->until_s = e.charge->fits_at;
}

/* What a limit on attempts says, if the store can tell. */
static struct tally_entry
worst(struct attempts *a, bool monitor)
{
	if (tally_is_empty(&a->tally) || tally_peek(&a->tally) != TALLY_DONE)
		return (struct tally_entry){ NULL, NULL };
	return tally_worst(&a->tally, ANY_UNIT, monitor);
}

static void
judge_beginning(struct attempts *a, const struct attempt_question *q,
    struct attempt_answer *answer)
{
	struct tally_entry e;

	open_pass(a, q, false);
	for (size_t i = 0; i < a->npolicies; i++) {
		const struct attempts_policy *p = &a->policies[i];
		enum portero_verdict v;

		if (p->monitor)
			continue;
		v = inquiry_ask(&a->inquiry, p->plugin, p->scopes);
		if (v == PORTERO_NEXT)
			continue;
		a->reply = a->inquiry.answer.reply;
		refuse(a, answer, v, p->plugin);
		return;
	}
	e = worst(a, false);
	if (e.charge != NULL)
		refuse_limit(a, answer, e);
}

void
attempts_judge(struct attempts *a, const struct attempt_question *q,
    struct attempt_answer *answer)
{
	*answer = (struct attempt_answer){ .verdict = PORTERO_NEXT };
	if (q->attempt == PORTERO_ATTEMPT_BEGINS)
		judge_beginning(a, q, answer);
}

/* ---- afterwards --------------------------------------------------------- */

static void
log_monitor(struct attempts *a, const struct plugin *p, enum portero_verdict v,
    const struct portero_reply *r)
{
	struct log_line l;

	inquiry_log(&a->inquiry, &l, LOG_LEVEL_INFO, "monitor", p);
	log_adds(&l, "login", a->login);
	log_adds(&l, "verdict", v == PORTERO_DENY ? "deny" : "defer");
	log_adds(&l, "reason", r->reason);
	log_addf(&l, "reply", "%d %s %s", r->code, r->enhanced, r->text);
	log_end(&l);
	shared_add(a->shared, a->row, COUNTER_MONITOR_DENIED, 1);
}

/* Asks those in monitor mode, or those that hold; their verdicts change
 * nothing any more. */
static void
tell(struct attempts *a, const struct attempt_question *q, bool monitor)
{
	bool begins = q->attempt == PORTERO_ATTEMPT_BEGINS;
	struct tally_entry e;

	open_pass(a, q, monitor);
	for (size_t i = 0; i < a->npolicies; i++) {
		const struct attempts_policy *p = &a->policies[i];
		enum portero_verdict v;

		if (p->monitor != monitor)
			continue;
		v = inquiry_ask(&a->inquiry, p->plugin, p->scopes);
		if (begins && v != PORTERO_NEXT)
			log_monitor(a, p->plugin, v, &a->inquiry.answer.reply);
	}
	if (!begins) {
		uint8_t txid[TXID_LEN];

		id_random(txid, sizeof txid);
		(void)tally_charge(&a->tally, txid);
		return;
	}
	e = worst(a, monitor);
	if (e.charge == NULL)
		return;
	refusal_attempts(&a->reply, e.charge->fits_at);
	log_monitor(a, e.owner, PORTERO_DENY, &a->reply);
}

void
attempts_afterwards(struct attempts *a, const struct attempt_question *q)
{
	bool has_monitors = false;

	for (size_t i = 0; i < a->npolicies; i++)
		has_monitors |= a->policies[i].monitor;
	if (q->attempt != PORTERO_ATTEMPT_BEGINS)
		tell(a, q, false);
	if (has_monitors)
		tell(a, q, true);
}

/* ---- letting somebody off ----------------------------------------------- */

bool
attempts_forget(struct attempts *a, struct str name)
{
	struct str login = spell(a, name);
	const struct portero_str lent = { login.ptr, login.len };
	bool all = true;

	for (size_t i = 0; i < a->npolicies; i++) {
		const struct plugin *p = a->policies[i].plugin;
		const struct portero_policy *table = p->table->policy;

		all &= table->forget == NULL ||
		    table->forget(p->ctx, lent) == 0;
	}
	return all;
}
