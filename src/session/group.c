/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * MAIL, RCPT and DATA or the first BDAT, in groups as they arrive (RFC 2920).
 * All commands of a group that are here are parsed first; if nothing speaks
 * against it, the policies are asked once for all and the upstream gets all in
 * one write. As soon as something does, the group is worked on command by
 * command, as if the client did not pipeline: the answers are the same by
 * construction.
 *
 * A range is what is being worked on: the whole rest of a group, or one
 * command of a split one. Its steps: check, ask, relay, replies in order.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session/group.h"
#include "session/session_private.h"
#include "session/transaction.h"

#define GROUP_MAX 1024

static void group_advance(struct session *s);

/* ---- collecting -------------------------------------------------------- */

/* The strings point into the input, which goes: from now on into the item. */
static void
keep(char **to, struct str *s)
{
	if (s->len > 0)
		memcpy(*to, s->ptr, s->len);
	s->ptr = *to;
	*to += s->len;
}

static void
mail_parse(struct item *item, struct str args, uint32_t offered)
{
	struct smtp_mail *m = &item->mail;
	char *at;

	if (smtp_mail_parse(args, offered, m, &item->fault) == -1)
		return;
	item->path = xstrndup(m->path.ptr, m->path.len);
	m->path.ptr = item->path;
	if (m->envid.len + m->auth.len == 0)
		return;
	at = item->values = xmalloc(m->envid.len + m->auth.len);
	keep(&at, &m->envid);
	keep(&at, &m->auth);
}

static void
rcpt_parse(struct item *item, struct str args, uint32_t offered)
{
	struct smtp_rcpt *r = &item->rcpt;
	char *at;

	if (smtp_rcpt_parse(args, offered, r, &item->fault) == -1)
		return;
	item->path = xstrndup(r->path.ptr, r->path.len);
	r->path.ptr = item->path;
	if (r->orcpt.len == 0)
		return;
	at = item->values = xmalloc(r->orcpt.len);
	keep(&at, &r->orcpt);
}

static void
item_parse(
    struct item *item, enum smtp_verb verb, struct str args, uint32_t offered)
{
	item->verb = verb;
	switch (verb) {
	case SMTP_MAIL:
		mail_parse(item, args, offered);
		break;
	case SMTP_RCPT:
		rcpt_parse(item, args, offered);
		break;
	case SMTP_BDAT:
		smtp_bdat_parse(args, &item->bdat, &item->fault);
		break;
	default:
		if (args.len > 0)
			item->fault = (struct smtp_fault){ 501, "5.5.4",
				"DATA takes no argument" };
	}
}

static bool
ends_group(enum smtp_verb verb)
{
	return verb == SMTP_DATA || verb == SMTP_BDAT;
}

/* The next whole, legal line's verb; SMTP_UNKNOWN: none here. */
static enum smtp_verb
peek(struct str input, struct str *args, size_t *len)
{
	const char *lf = memchr(input.ptr, '\n',
	    input.len < SMTP_LINE_MAX ? input.len : SMTP_LINE_MAX);

	if (lf == NULL || lf == input.ptr || lf[-1] != '\r')
		return SMTP_UNKNOWN;
	*len = (size_t)(lf - input.ptr) + 1;
	return smtp_command_parse((struct str){ input.ptr, *len - 2 }, args);
}

size_t
group_start(struct session *s, struct str input)
{
	struct group *g = xcalloc(1, sizeof *g);
	size_t used = 0, len;
	enum smtp_verb verb;
	struct str args;

	for (size_t cap = 0; g->n < GROUP_MAX;) {
		verb = peek((struct str){ input.ptr + used, input.len - used },
		    &args, &len);
		if (verb != SMTP_RCPT && !ends_group(verb) &&
		    !(verb == SMTP_MAIL && g->n == 0))
			break;
		if (verb == SMTP_BDAT && !(s->offered & SMTP_EXT_CHUNKING))
			break;
		if (g->n == cap) {
			cap = cap == 0 ? 4 : cap * 2;
			g = xrealloc(g, sizeof *g + cap * sizeof g->items[0]);
		}
		memset(&g->items[g->n], 0, sizeof g->items[0]);
		item_parse(&g->items[g->n++], verb, args, s->offered);
		used += len;
		if (ends_group(verb) || used == input.len)
			break;
	}
	assert(g->n > 0); /* the caller saw the first command */
	session_offer(s, &g->offer);
	s->group = g;
	group_advance(s);
	return used;
}

void
group_free(struct session *s)
{
	struct group *g = s->group;

	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n; i++) {
		free(g->items[i].path);
		free(g->items[i].values);
	}
	free(g);
	s->group = NULL;
}

void
group_chunk_begin(struct session *s, const struct item *item)
{
	s->chunk = item->bdat;
	session_enter(s, SMTP_IN_CHUNK);
}

/* ---- replies of ours, one for the oldest item -------------------------- */

/* If a body is on its way behind a refused DATA nobody may read it as
 * commands. Of a chunk we know how much that is, unless BDAT is malformed. */
void
group_item_done(struct session *s)
{
	struct group *g = s->group;
	const struct item *item = &g->items[g->next++];

	if (!ends_group(item->verb) || s->state == SMTP_IN_DATA ||
	    s->state == SMTP_IN_CHUNK || s->state == SMTP_CLOSING)
		return;
	if (item->verb == SMTP_DATA || item->fault.code != 0) {
		chunk_release_reply(s);
		s->data_refused = true;
		return;
	}
	transaction_leave(&s->tx);
	group_chunk_begin(s, item);
}

void
group_item_refuse(struct session *s, enum reply_name name)
{
	reply(s, name);
	group_item_done(s);
}

static void
item_error(struct session *s, enum reply_name name)
{
	reply_error(s, name);
	group_item_done(s);
}

static const char *
stage_name(enum smtp_verb verb)
{
	return verb == SMTP_MAIL ? "mail" : verb == SMTP_RCPT ? "rcpt" : "data";
}

void
group_log_refusal(struct session *s, const char *said,
    const struct judge_answer *a)
{
	const struct item *item = &s->group->items[s->group->next];
	const struct refusal r = {
		.stage = stage_name(item->verb),
		.rcpt = item->verb == SMTP_RCPT ? item->path : NULL,
		.reply = said,
		.answer = a,
	};

	transaction_log_refusal(s, &r);
}

/* Refused for a reason that an operator would search. */
void
group_item_refuse_logged(struct session *s, enum reply_name name)
{
	char code[16];

	reply_code_text(name, code);
	group_log_refusal(s, code, NULL);
	group_item_refuse(s, name);
}

/* A transaction that cannot begin, or go on before its body. As many
 * recipients as it might have may be under way already, and DATA. */
void
group_drop_transaction(struct session *s)
{
	s->norphans = (size_t)s->group->offer.rcptmax + 1;
	transaction_leave(&s->tx);
	if (s->state == SMTP_IN_MAIL)
		session_enter(s, SMTP_READY);
}

/* ---- check ------------------------------------------------------------- */

/* Nothing in the rest of the group needs a reply of ours: it may go at once. */
static bool
rest_is_plain(struct session *s)
{
	struct group *g = s->group;
	bool is_utf8 = s->tx != NULL && s->tx->is_utf8;
	size_t nrcpts = s->tx == NULL ? 0 : s->tx->naccepted;

	for (size_t i = g->next; i < g->n; i++) {
		const struct item *item = &g->items[i];
		bool is_first = i == g->next && s->tx == NULL;

		if (item->fault.code != 0 ||
		    (item->verb == SMTP_MAIL) != is_first)
			return false;
		if (item->verb == SMTP_MAIL &&
		    (item->mail.size > g->offer.size ||
			transaction_is_one_too_many(s)))
			return false;
		is_utf8 = is_utf8 || item->mail.is_utf8;
		if (item->rcpt.is_utf8 && !is_utf8)
			return false;
		nrcpts += item->verb == SMTP_RCPT;
		if (ends_group(item->verb) && nrcpts == 0)
			return false;
	}
	return nrcpts <= (size_t)g->offer.rcptmax &&
	    (s->tx == NULL || nrcpts <= s->tx->rcpt_left);
}

/* No error of a client that pipelines: it did not know yet. */
static void
item_needs_mail(struct session *s)
{
	if (s->norphans == 0) {
		item_error(s, REPLY_NEED_MAIL);
		return;
	}
	s->norphans--;
	group_item_refuse(s, REPLY_NEED_MAIL);
}

static bool
mail_check(struct session *s, const struct item *item)
{
	int64_t max = s->group->offer.size;

	if (s->tx != NULL)
		item_error(s, REPLY_NESTED_MAIL);
	else if (item->mail.size > max) {
		group_log_refusal(s, "552 5.3.4", NULL);
		reply_too_large(s, item->mail.size, max);
		group_item_done(s);
		group_drop_transaction(s);
	} else if (transaction_is_one_too_many(s)) {
		group_item_refuse_logged(s, REPLY_BUSY_PERSON);
		group_drop_transaction(s);
	} else
		return true;
	return false;
}

static bool
rcpt_check(struct session *s, bool is_utf8)
{
	struct transaction *tx = s->tx;

	if (tx == NULL) {
		item_needs_mail(s);
		return false;
	}
	tx->ntried++;
	if (is_utf8 && !tx->is_utf8) {
		reply_fault(s, &smtp_not_ascii);
		group_item_done(s);
		return false;
	}
	if (tx->naccepted >= (size_t)s->group->offer.rcptmax) {
		group_item_refuse_logged(s, REPLY_TOO_MANY_RCPTS);
		return false;
	}
	if (tx->naccepted >= tx->rcpt_left) {
		const struct judge_answer a = {
			.plugin = str_of(tx->rcpt_limit.plugin),
			.limit = str_of(tx->rcpt_limit.name),
			.used = tx->rcpt_limit.used,
			.max = tx->rcpt_limit.max,
			.until_s = tx->rcpt_limit.until_s,
			.reply = { .reason = str_of(tx->rcpt_reply.reason) },
		};
		char said[32];

		snprintf(said, sizeof said, "%d %s", tx->rcpt_reply.code,
		    tx->rcpt_reply.enhanced);
		group_log_refusal(s, said, &a);
		reply_kept(s, &tx->rcpt_reply);
		group_item_done(s);
		return false;
	}
	return true;
}

static bool
data_check(struct session *s)
{
	if (s->tx == NULL) {
		item_needs_mail(s);
		s->norphans = 0;
	} else if (s->tx->naccepted > 0)
		return true;
	else if (s->tx->ntried > 0) {
		s->tx->has_tried_data = true;
		group_item_refuse(s, REPLY_NO_RCPT);
		group_drop_transaction(s);
	} else
		item_error(s, REPLY_NEED_RCPT);
	return false;
}

/* One command by itself; false: it has been answered. */
static bool
item_check(struct session *s)
{
	const struct item *item = &s->group->items[s->group->next];

	if (item->fault.code != 0) {
		reply_fault(s, &item->fault);
		group_item_done(s);
		if (item->verb == SMTP_MAIL && s->tx == NULL)
			group_drop_transaction(s);
		return false;
	}
	switch (item->verb) {
	case SMTP_MAIL:
		return mail_check(s, item);
	case SMTP_RCPT:
		return rcpt_check(s, item->rcpt.is_utf8);
	default:
		return data_check(s);
	}
}

/* ---- the way through ---------------------------------------------------- */

static void
mail_begin(struct session *s, const struct item *item)
{
	struct transaction *tx = transaction_new(s);

	s->norphans = 0;
	tx->reverse_path = xstrdup(item->path);
	tx->max_size = s->group->offer.size;
	tx->declared_size = item->mail.size;
	tx->is_utf8 = item->mail.is_utf8;
}

static void
range_start(struct session *s)
{
	struct group *g = s->group;
	const struct item *item = &g->items[g->next];

	if (g->is_split && !item_check(s))
		return;
	if (envelope_is_lost(s))
		return;
	if (item->verb == SMTP_MAIL)
		mail_begin(s, item);
	permission_ask(s);
}

static void
group_advance(struct session *s)
{
	struct group *g = s->group;

	while (g->next < g->n && s->wait == WAIT_NOBODY &&
	    s->state != SMTP_CLOSING && !s->is_dead) {
		if (g->n - g->next == 1 || !rest_is_plain(s))
			g->is_split = true;
		g->end = g->is_split ? g->next + 1 : g->n;
		range_start(s);
	}
	if (g->next < g->n && s->state != SMTP_CLOSING)
		return;
	group_free(s);
	if (s->state == SMTP_IN_CHUNK)
		chunk_start(s);
}

void
group_go_on(struct session *s)
{
	group_advance(s);
	if (s->group == NULL && s->wait == WAIT_NOBODY)
		session_resume(s);
}
