/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A range of a group before the policies, and what they say. If they let it go
 * it is on its way to the upstream (envelope.c); if not, and it is of several
 * commands, the group is split, and each is asked about by itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/group.h"
#include "session/session_private.h"
#include "session/transaction.h"

static uint32_t
range_stages(const struct session *s)
{
	const struct group *g = s->group;
	uint32_t stages = 0;

	for (size_t i = g->next; i < g->end; i++) {
		switch (g->items[i].verb) {
		case SMTP_MAIL:
			stages |= PORTERO_MAIL;
			break;
		case SMTP_RCPT:
			if ((stages & PORTERO_MAIL) ||
			    (s->tx->wants & PORTERO_RCPT))
				stages |= PORTERO_RCPT;
			break;
		default:
			if ((stages & PORTERO_MAIL) ||
			    (s->tx->wants & PORTERO_DATA))
				stages |= PORTERO_DATA;
		}
	}
	return stages;
}

static void
kept_limit_set(struct kept_limit *k, const struct judge_answer *a)
{
	str_copy(k->plugin, sizeof k->plugin, a->plugin);
	str_copy(k->name, sizeof k->name, a->limit);
	k->used = a->used;
	k->max = a->max;
	k->until_s = a->until_s;
}

/* What the answer to MAIL tells for the rest of the transaction. */
static void
answer_keep(struct transaction *tx, const struct judge_answer *a,
    uint32_t stages)
{
	if (stages & PORTERO_MAIL) {
		tx->wants = a->wants;
		tx->rcpt_left = a->rcpt_left;
		kept_reply_set(&tx->rcpt_reply, &a->rcpt_reply);
		kept_limit_set(&tx->rcpt_limit, a);
		if (a->max_size > 0 && a->max_size < tx->max_size)
			tx->max_size = a->max_size;
	}
	if (stages & PORTERO_DATA)
		tx->reserved_bytes = a->reserved_bytes;
}

/* One command was refused by policy, or nobody could tell. */
static void
item_denied(struct session *s, const struct judge_answer *a)
{
	enum smtp_verb verb = s->group->items[s->group->next].verb;
	char said[32];

	if (a == NULL || a->reply.code == 0) {
		group_item_refuse_logged(s, REPLY_POLICY_LATER);
	} else {
		snprintf(said, sizeof said, "%d %.*s", a->reply.code,
		    (int)a->reply.enhanced.len, a->reply.enhanced.ptr);
		group_log_refusal(s, said, a);
		reply_answer(s, &a->reply);
		group_item_done(s);
	}
	if (verb != SMTP_RCPT)
		group_drop_transaction(s);
}

static void
on_owned(struct session *s, enum portero_owned owned)
{
	s->tx->sender_owned = owned;
	s->tx->owned_asked = true;
	permission_ask(s);
	if (s->wait == WAIT_NOBODY)
		group_go_on(s);
}

static size_t
range_rcpts(const struct group *g)
{
	size_t n = 0;

	for (size_t i = g->next; i < g->end; i++)
		n += g->items[i].verb == SMTP_RCPT;
	return n;
}

/* Several commands at once did not fit: nothing was taken; find out command by
 * command whose refusal it is. */
static void
range_split(struct session *s, uint32_t stages)
{
	s->group->is_split = true;
	if (!(stages & PORTERO_MAIL))
		return;
	transaction_leave(&s->tx);
	s->ntransactions--;
}

static void
range_judged(struct session *s, const struct judge_answer *a)
{
	struct group *g = s->group;
	uint32_t stages = range_stages(s);

	if (a != NULL && a->needs_owned && !s->tx->owned_asked) {
		s->worker->needs_owned = true;
		permission_ask(s);
		return;
	}
	if (a == NULL || a->verdict != PORTERO_NEXT) {
		if (!g->is_split && a != NULL && a->stage != 0 &&
		    a->stage != PORTERO_MAIL) {
			range_split(s, stages);
			return;
		}
		g->is_split = true;
		item_denied(s, a);
		return;
	}
	answer_keep(s->tx, a, stages);
	if (!g->is_split && !(stages & PORTERO_DATA) &&
	    s->tx->naccepted + range_rcpts(g) > s->tx->rcpt_left)
		range_split(s, stages);
	else
		envelope_send(s);
}

static void
on_judged(struct session *s, const struct judge_answer *a)
{
	range_judged(s, a);
	if (s->wait == WAIT_NOBODY)
		group_go_on(s);
}

static bool
directory_must_be_asked(const struct session *s, uint32_t stages)
{
	return s->worker->needs_owned && (stages & PORTERO_MAIL) &&
	    !s->tx->owned_asked;
}

void
permission_ask(struct session *s)
{
	struct group *g = s->group;
	uint32_t stages = range_stages(s);
	struct str *rcpts;
	size_t n = 0;
	int ret;

	if (stages == 0 || !s->worker->has_policies) {
		envelope_send(s);
		return;
	}
	if (directory_must_be_asked(s, stages)) {
		if (owns_ask(s, str_of(s->tx->reverse_path), on_owned) == 0)
			return;
		s->tx->owned_asked = true; /* UNKNOWN */
	}
	rcpts = xcalloc(g->end - g->next + 1, sizeof *rcpts);
	for (size_t i = g->next; i < g->end; i++)
		if (g->items[i].verb == SMTP_RCPT)
			rcpts[n++] = str_of(g->items[i].path);
	ret = judge_ask(s, stages, rcpts, n, on_judged);
	free(rcpts);
	if (ret == -1) {
		g->is_split = true;
		item_denied(s, NULL);
	}
}
