/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One question has stages (MAIL, RCPT for each new recipient, DATA, END); at
 * each the policies are asked in order, and the first that does not say NEXT
 * ends it. What they want counted is collected and then looked at (MAIL, RCPT)
 * or taken (DATA, END) in one step, so that a question is all or nothing.
 */
#include "policy/chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/role.h"
#include "policy/inquiry.h"
#include "policy/lookup.h"
#include "policy/refusal.h"
#include "policy/store.h"
#include "policy/tally.h"

#define TAKES (PORTERO_DATA | PORTERO_END)
#define ANY_UNIT ((1u << PORTERO_NUNITS) - 1)
#define RECIPIENTS_ONLY (1u << PORTERO_RECIPIENTS)

struct chain_policy {
	const struct plugin *plugin; /* borrowed */
	uint32_t stages, scopes;
	bool monitor;
	bool ends; /* must be asked at END, as far as its answers tell */
};

struct chain {
	struct chain_settings settings;
	struct chain_policy policies[MAX_MODULES];
	size_t npolicies;
	uint32_t wants;   /* stages of all, but MAIL and END */
	bool needs_owned; /* some policy asks for it at MAIL or HEADER */
	bool has_monitors;
	struct tally tally;

	/* the question in hand */
	struct inquiry inquiry;
	int64_t deadline_ns;
	const struct plugin *max_size_owner; /* borrowed */

	/* what the answer points to */
	struct portero_reply reply, rcpt_reply;
	char sender[256];
	char limit[32];
	struct lookup lookup;
};

/* ---- setting up --------------------------------------------------------- */

static void
add_policy(struct chain *c, const struct plugin *p)
{
	const struct portero_policy *table = p->table->policy;
	struct chain_policy *policy = &c->policies[c->npolicies++];

	*policy = (struct chain_policy){ .plugin = p,
		/* those about logins are asked in attempts.c */
		.stages = table->stages & ~(uint32_t)PORTERO_LOGIN,
		.scopes = 1u << PORTERO_PERSON,
		.monitor = p->module->mode == CONFIG_MONITOR };
	if (table->stages_used != NULL)
		policy->stages &= table->stages_used(p->ctx);
	if (table->scopes != NULL)
		policy->scopes = table->scopes(p->ctx) &
		    ((1u << PORTERO_NETWORK) - 1);
	if ((table->needs & PORTERO_NEED_OWNED) != 0 &&
	    (policy->stages & (PORTERO_MAIL | PORTERO_HEADER)) != 0)
		c->needs_owned = true;
	c->wants |= policy->stages &
	    ~(uint32_t)(PORTERO_MAIL | PORTERO_END | PORTERO_HELLO);
	if (!policy->monitor) {
		c->tally.scopes |= policy->scopes;
		return;
	}
	c->tally.monitor_scopes |= policy->scopes;
	c->has_monitors = true;
}

struct chain *
chain_new(struct plugin *const *plugins, size_t n,
    const struct chain_settings *settings)
{
	struct chain *c = xcalloc(1, sizeof *c);

	assert(n <= MAX_MODULES);
	c->settings = *settings;
	c->inquiry = (struct inquiry){ .tally = &c->tally,
		.shared = settings->shared,
		.row = settings->row,
		.delimiters = settings->delimiters };
	c->tally.host_key = str_of(settings->hostname);
	c->tally.lifetime_s = settings->lifetime_s;
	c->tally.tombstone_s = settings->tombstone_s;
	for (size_t i = 0; i < n; i++) {
		if (plugins[i]->module->kind == CONFIG_STORE)
			c->tally.store = plugins[i];
		else
			add_policy(c, plugins[i]);
	}
	if (c->tally.store == NULL) /* then nothing can be counted */
		c->tally.scopes = c->tally.monitor_scopes = 0;
	return c;
}

void
chain_free(struct chain **c)
{
	if (*c == NULL)
		return;
	inquiry_close(&(*c)->inquiry);
	free(*c);
	*c = NULL;
}

/* ---- refusing ----------------------------------------------------------- */

static void
refuse(struct chain *c, struct judge_answer *a, enum portero_verdict v,
    const char *plugin)
{
	a->verdict = v;
	a->stage = v == PORTERO_DEFER && host_is_late() ? 0 :
							  c->inquiry.facts.stage;
	a->recipient = (uint32_t)c->inquiry.facts.recipient;
	a->plugin = str_of(plugin);
	a->limit = STR("");
	a->used = a->max = a->until_s = 0;
	a->reply = refusal_view(&c->reply);
}

/* What the log says of a limit. */
static void
name_limit(struct chain *c, struct judge_answer *a, const struct plugin *owner,
    const struct portero_charge *charge)
{
	str_copy(c->limit, sizeof c->limit, str_of(charge->limit));
	a->plugin = str_of(plugin_name(owner->module));
	a->limit = str_of(c->limit);
	a->used = charge->used;
	a->max = charge->max;
	a->until_s = charge->fits_at;
}

static void
refuse_limit(struct chain *c, struct judge_answer *a, struct tally_entry e)
{
	refusal_limit(&c->reply, e.charge, clock_wall_s());
	refuse(c, a, PORTERO_DENY, plugin_name(e.owner->module));
	name_limit(c, a, e.owner, e.charge);
}

static void
refuse_store(struct chain *c, struct judge_answer *a)
{
	refusal_store(&c->reply);
	refuse(c, a, PORTERO_DEFER, "store");
}

/* The time is over: nobody awaits the answer, and nothing may be taken. */
static bool
refuse_late(struct chain *c, struct judge_answer *a)
{
	if (clock_mono_ns() < c->deadline_ns)
		return false;
	refusal_plugin(&c->reply);
	refuse(c, a, PORTERO_DEFER, "deadline");
	return true;
}

/* ---- the stages, for policies that hold --------------------------------- */

static void
note_max_size(struct chain *c, struct judge_answer *a, const struct plugin *p)
{
	int64_t max = c->inquiry.answer.max_size;

	if (max == 0 || (a->max_size != 0 && a->max_size <= max))
		return;
	a->max_size = max;
	c->max_size_owner = p;
}

static void
note_sender(struct chain *c, struct judge_answer *a)
{
	if (a->add_sender.len > 0 ||
	    c->inquiry.facts.stage != PORTERO_HEADER)
		return;
	str_copy(c->sender, sizeof c->sender,
	    str_of(c->inquiry.answer.add_sender));
	a->add_sender = str_of(c->sender);
}

/* Does any charge that this policy declared count bytes? */
static bool
counts_bytes(const struct portero_answer *a)
{
	for (size_t i = 0; i < a->ncharges; i++)
		if (a->charges[i].unit == PORTERO_BYTES)
			return true;
	return false;
}

/* All that hold, in order. false: one refused. */
static bool
ask_all(struct chain *c, struct judge_answer *a)
{
	enum portero_stage stage = c->inquiry.facts.stage;

	for (size_t i = 0; i < c->npolicies; i++) {
		struct chain_policy *p = &c->policies[i];
		enum portero_verdict v;

		if (p->monitor || (p->stages & stage) == 0)
			continue;
		v = inquiry_ask(&c->inquiry, p->plugin, p->scopes);
		if (v != PORTERO_NEXT) {
			c->reply = c->inquiry.answer.reply;
			refuse(c, a, v, plugin_name(p->plugin->module));
			return false;
		}
		note_max_size(c, a, p->plugin);
		note_sender(c, a);
		if (counts_bytes(&c->inquiry.answer))
			p->ends = false; /* asked at END about more only */
	}
	return true;
}

/*
 * A recipient limit never refuses MAIL: it says how many recipients are left
 * and what the next one is told. Looks a second time, because only the store
 * knows when that one will fit.
 */
static bool
limit_recipients(struct chain *c, struct judge_answer *a)
{
	struct portero_charge told;
	int64_t left = 0, now = clock_wall_s();
	struct tally_entry e = tally_fewest_left(&c->tally, &left);

	if (e.charge == NULL || left >= c->settings.max_recipients)
		return true;
	tally_set_recipients(&c->tally,
	    left + 1 < e.charge->max ? left + 1 : e.charge->max);
	if (tally_peek(&c->tally) != TALLY_DONE) {
		refuse_store(c, a);
		return false;
	}
	told = *e.charge;
	if (told.max == 0)
		told.fits_at = 0;
	else if (told.fits_at <= now)
		/* all of it is this message's own: a window from now */
		told.fits_at = now + told.window_s + told.window_s / 60 + 1;
	told.used = told.max;
	told.amount = 1;
	refusal_limit(&c->rcpt_reply, &told, now);
	a->rcpt_reply = refusal_view(&c->rcpt_reply);
	name_limit(c, a, e.owner, &told);
	a->rcpt_left = (uint32_t)left;
	return true;
}

/* MAIL without DATA: what would not fit even now. */
static bool
look_ahead(struct chain *c, struct judge_answer *a)
{
	struct tally_entry worst;

	if (tally_is_empty(&c->tally))
		return true;
	tally_set_recipients(&c->tally, 0);
	if (tally_peek(&c->tally) != TALLY_DONE) {
		refuse_store(c, a);
		return false;
	}
	worst = tally_worst(&c->tally, ANY_UNIT & ~RECIPIENTS_ONLY, false);
	if (worst.charge != NULL) {
		refuse_limit(c, a, worst);
		return false;
	}
	return limit_recipients(c, a);
}

static bool
judge_mail(struct chain *c, const struct judge_question *q,
    struct judge_answer *a)
{
	inquiry_enter(&c->inquiry, PORTERO_MAIL, 0);
	if (!ask_all(c, a))
		return false;
	if (a->max_size != 0 && q->declared_size > a->max_size) {
		refusal_too_large(&c->reply, q->declared_size, a->max_size);
		refuse(c, a, PORTERO_DENY,
		    plugin_name(c->max_size_owner->module));
		return false;
	}
	return (q->stages & PORTERO_DATA) != 0 || look_ahead(c, a);
}

static bool
judge_recipients(struct chain *c, const struct judge_question *q,
    struct judge_answer *a)
{
	struct tally_entry worst;

	for (uint32_t i = q->first_new; i < q->nrecipients; i++) {
		inquiry_enter(&c->inquiry, PORTERO_RCPT, i);
		if (!ask_all(c, a))
			return false;
		if (tally_is_empty(&c->tally))
			continue;
		if (tally_peek(&c->tally) != TALLY_DONE) {
			refuse_store(c, a);
			return false;
		}
		worst = tally_worst(&c->tally, ANY_UNIT, false);
		if (worst.charge != NULL) {
			refuse_limit(c, a, worst);
			return false;
		}
	}
	return true;
}

/* What only counts would have refused: say so. */
static void
log_monitor(struct chain *c, const struct plugin *p, enum portero_verdict v,
    const struct portero_reply *r, const struct portero_charge *charge)
{
	struct log_line l;

	inquiry_log(&c->inquiry, &l, LOG_LEVEL_INFO, "monitor", p);
	log_adds(&l, "verdict", v == PORTERO_DENY ? "deny" : "defer");
	log_adds(&l, "reason", r->reason);
	if (charge != NULL) {
		log_adds(&l, "limit", charge->limit);
		log_addn(&l, "used", charge->used);
		log_addn(&l, "of", charge->max);
	}
	log_addf(&l, "reply", "%d %s %s", r->code, r->enhanced, r->text);
	log_end(&l);
	shared_add(c->settings.shared, c->settings.row, COUNTER_MONITOR_DENIED,
	    1);
}

static void
log_monitor_limit(struct chain *c)
{
	struct tally_entry e = tally_worst(&c->tally, ANY_UNIT, true);
	struct portero_reply r = { .size = sizeof r };

	if (e.charge == NULL)
		return;
	refusal_limit(&r, e.charge, clock_wall_s());
	log_monitor(c, e.owner, PORTERO_DENY, &r, e.charge);
}

static bool
take(struct chain *c, const struct judge_question *q, struct judge_answer *a)
{
	struct tally_entry worst;

	if (refuse_late(c, a))
		return false;
	switch (tally_take(&c->tally, q->txid, q->sequence, &a->taken)) {
	case TALLY_DONE:
		log_monitor_limit(c);
		return true;
	case TALLY_REFUSED:
		worst = tally_worst(&c->tally, ANY_UNIT, false);
		if (worst.charge != NULL) {
			refuse_limit(c, a, worst);
			return false;
		}
		break; /* refused without a reason: a broken store */
	default:
		break;
	}
	refuse_store(c, a);
	return false;
}

static bool
judge_data(struct chain *c, const struct judge_question *q,
    struct judge_answer *a)
{
	inquiry_enter(&c->inquiry, PORTERO_DATA, 0);
	if (!ask_all(c, a) || !take(c, q, a))
		return false;
	a->reserved_bytes = tally_bytes(&c->tally);
	return true;
}

static bool
judge_header(struct chain *c, const struct judge_question *q,
    struct judge_answer *a)
{
	(void)q;
	inquiry_enter(&c->inquiry, PORTERO_HEADER, 0);
	return ask_all(c, a);
}

static bool
judge_end(struct chain *c, const struct judge_question *q,
    struct judge_answer *a)
{
	inquiry_enter(&c->inquiry, PORTERO_END, 0);
	if (!ask_all(c, a) || !take(c, q, a))
		return false;
	if (tally_bytes(&c->tally) != INT64_MAX)
		a->reserved_bytes = q->message_size;
	return true;
}

/* What the person may have; nothing is refused here. */
static bool
judge_hello(struct chain *c, const struct judge_question *q,
    struct judge_answer *a)
{
	(void)q;
	inquiry_enter(&c->inquiry, PORTERO_HELLO, 0);
	return ask_all(c, a);
}

static void
judge_stages(struct chain *c, const struct judge_question *q,
    struct judge_answer *a)
{
	/* clang-format off */
	static const struct {
		enum portero_stage stage;
		bool (*judge)(struct chain *, const struct judge_question *,
		    struct judge_answer *);
	} order[] = {
		{ PORTERO_MAIL,   judge_mail },
		{ PORTERO_RCPT,   judge_recipients },
		{ PORTERO_DATA,   judge_data },
		{ PORTERO_HEADER, judge_header },
		{ PORTERO_END,    judge_end },
		{ PORTERO_HELLO,  judge_hello },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if ((q->stages & order[i].stage) != 0 &&
		    !order[i].judge(c, q, a))
			return;
}

/* ---- one question ------------------------------------------------------- */

static void
open_pass(struct chain *c, bool monitor)
{
	const struct portero_identity *who = &c->inquiry.identity;

	tally_open(&c->tally, str_of(who->id), str_of(who->class_name),
	    identity_domain(who), monitor);
}

static bool
has_doubtful_mailbox(const struct inquiry *i)
{
	for (size_t n = 0; n < i->facts.nmailboxes; n++)
		if (i->mailboxes[n].owned == PORTERO_OWNED_UNKNOWN)
			return true;
	return false;
}

static bool
needs_owned(const struct chain *c, const struct judge_question *q)
{
	if (q->stages == PORTERO_HEADER)
		return c->needs_owned && !q->mailboxes_asked &&
		    has_doubtful_mailbox(&c->inquiry);
	return c->needs_owned && (q->stages & PORTERO_MAIL) != 0 &&
	    q->reverse_path.len > 0 && !q->owned_asked &&
	    c->inquiry.facts.sender_owned == PORTERO_OWNED_UNKNOWN;
}

/* The stages to come. Who counts bytes is asked at END only about more of
 * them: reserved_bytes tells. */
static uint32_t
wants(const struct chain *c)
{
	uint32_t stages = c->wants;

	for (size_t i = 0; i < c->npolicies; i++)
		if (c->policies[i].ends)
			stages |= PORTERO_END;
	return stages;
}

static void
forget_ends(struct chain *c)
{
	for (size_t i = 0; i < c->npolicies; i++)
		c->policies[i].ends =
		    (c->policies[i].stages & PORTERO_END) != 0;
}

void
chain_judge(struct chain *c, const struct judge_question *q,
    int64_t deadline_ns, struct judge_answer *a)
{
	*a = (struct judge_answer){ .verdict = PORTERO_NEXT,
		.rcpt_left = RCPT_LEFT_UNLIMITED,
		.reserved_bytes = INT64_MAX };
	c->deadline_ns = deadline_ns;
	forget_ends(c);
	tally_settle(&c->tally, q->settles, q->nsettles);
	inquiry_open(&c->inquiry, q);
	open_pass(c, false);
	if (!c->inquiry.is_known) {
		refusal_plugin(&c->reply);
		refuse(c, a, PORTERO_DEFER, "identity");
	} else if (needs_owned(c, q)) {
		/* A DENY says that nothing was taken; and it is safe also for
		 * who overlooks the flag. */
		refusal_plugin(&c->reply);
		refuse(c, a, PORTERO_DENY, "");
		a->needs_owned = true;
	} else {
		judge_stages(c, q, a);
	}
	/* What monitors take afterwards is settled like the rest. */
	if (a->verdict == PORTERO_NEXT && c->tally.monitor_scopes != 0 &&
	    (q->stages & TAKES) != 0)
		a->taken = true;
	a->wants = wants(c);
	a->nsettled = tally_flush(&c->tally);
}

/* ---- afterwards --------------------------------------------------------- */

static void
ask_monitors(struct chain *c, enum portero_stage stage, size_t recipient)
{
	inquiry_enter(&c->inquiry, stage, recipient);
	for (size_t i = 0; i < c->npolicies; i++) {
		const struct chain_policy *p = &c->policies[i];
		enum portero_verdict v;

		if (!p->monitor || (p->stages & stage) == 0)
			continue;
		v = inquiry_ask(&c->inquiry, p->plugin, p->scopes);
		if (v != PORTERO_NEXT)
			log_monitor(c, p->plugin, v, &c->inquiry.answer.reply,
			    NULL);
	}
}

static void
monitor_stages(struct chain *c, const struct judge_question *q)
{
	bool stands;

	open_pass(c, true);
	if ((q->stages & PORTERO_MAIL) != 0)
		ask_monitors(c, PORTERO_MAIL, 0);
	for (uint32_t i = q->first_new;
	     i < q->nrecipients && (q->stages & PORTERO_RCPT) != 0; i++)
		ask_monitors(c, PORTERO_RCPT, i);
	if ((q->stages & PORTERO_HEADER) != 0)
		ask_monitors(c, PORTERO_HEADER, 0);
	if ((q->stages & TAKES) == 0)
		return;
	ask_monitors(c, (q->stages & PORTERO_DATA) != 0 ? PORTERO_DATA :
							  PORTERO_END, 0);
	tally_take(&c->tally, q->txid, q->sequence, &stands);
	log_monitor_limit(c);
}

static void
tell_outcome(struct chain *c)
{
	inquiry_enter(&c->inquiry, PORTERO_OUTCOME, 0);
	for (size_t i = 0; i < c->npolicies; i++)
		if ((c->policies[i].stages & PORTERO_OUTCOME) != 0)
			inquiry_tell(&c->inquiry, c->policies[i].plugin);
}

void
chain_afterwards(struct chain *c, const struct judge_question *q,
    const struct judge_answer *a)
{
	tally_settle_monitor(&c->tally, q->settles, q->nsettles);
	if (!c->inquiry.is_known)
		return;
	if (q->stages == PORTERO_OUTCOME)
		tell_outcome(c);
	else if (c->has_monitors && a->verdict == PORTERO_NEXT)
		monitor_stages(c, q);
}

/* ---- settles and the store's own questions ------------------------------ */

void
chain_settle(struct chain *c, const struct settle_question *q,
    struct settle_answer *a)
{
	tally_settle(&c->tally, q->settles, q->nsettles);
	a->nsettled = tally_flush(&c->tally);
}

void
chain_settle_afterwards(struct chain *c, const struct settle_question *q)
{
	tally_settle_monitor(&c->tally, q->settles, q->nsettles);
}

bool
chain_waits(const struct chain *c)
{
	const struct plugin *p = c->tally.store;

	return p != NULL && p->table->store->remote;
}

bool
chain_needs_tending(const struct chain *c)
{
	const struct plugin *p = c->tally.store;

	return p != NULL && p->store != NULL && store_needs_tending(p->store);
}

int64_t
chain_tend(struct chain *c)
{
	return store_tend(c->tally.store->store);
}

void
chain_store(struct chain *c, const struct store_question *q,
    struct store_answer *a)
{
	lookup_answer(&c->lookup, &c->tally, q, a);
}
