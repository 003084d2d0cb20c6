/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A range of a group on its way to the upstream, and the upstream's answers.
 * They come in the order of the commands and go to the client as they are.
 */
#include "base/mem.h"
#include "session/group.h"
#include "session/session_private.h"
#include "session/transaction.h"
#include "smtp/received.h"

static void
pass(struct session *s, const struct smtp_reply *r, bool alert)
{
	if (alert)
		reply(s, REPLY_UPSTREAM_BROKEN);
	else
		smtp_reply_pass(reply_out(s), r);
	session_touch(s);
	group_item_done(s);
}

static void
log_upstream_refusal(struct session *s, const struct smtp_reply *r)
{
	char said[256];

	smtp_reply_summary(said, sizeof said, r);
	group_log_refusal(s, said, NULL);
}

static void
mail_answered(struct session *s, const struct smtp_reply *r, bool accepted,
    bool alert)
{
	pass(s, r, alert);
	if (accepted) {
		session_enter(s, SMTP_IN_MAIL);
		return;
	}
	/* The rest is answered as to a client that did not pipeline. */
	group_drop_transaction(s);
	s->group->is_split = true;
	s->wait = WAIT_NOBODY;
}

static void
data_answered(struct session *s, const struct smtp_reply *r, bool accepted,
    bool alert)
{
	struct transaction *tx = s->tx;
	const struct item *item = &s->group->items[s->group->next];

	tx->has_tried_data = true;
	if (tx->naccepted == 0) {
		/* RFC 2920 3.1: even a 354 is of no use without recipients. */
		group_item_refuse(s, REPLY_NO_RCPT);
		group_drop_transaction(s);
		return;
	}
	if (accepted && item->verb == SMTP_BDAT) {
		/* The upstream's leave to go on; ours is not asked for. */
		body_start(tx);
		group_chunk_begin(s, item);
		group_item_done(s);
		return;
	}
	if (accepted) {
		session_enter(s, SMTP_IN_DATA);
		body_start(tx);
	}
	pass(s, r, alert);
	if (!accepted)
		group_drop_transaction(s);
}

static void
on_reply(void *owner, enum relay_step step, const struct smtp_reply *r,
    bool accepted, bool alert)
{
	struct transaction *tx = owner;
	struct session *s = tx->session;
	struct item *item;

	if (step == RELAY_DOT) {
		body_final_reply(tx, r, accepted, alert);
		return;
	}
	/* Before the dot a transaction without session does not live. */
	item = &s->group->items[s->group->next];
	if (!accepted && (step != RELAY_DATA || tx->naccepted > 0))
		log_upstream_refusal(s, r);
	switch (step) {
	case RELAY_MAIL:
		mail_answered(s, r, accepted, alert);
		break;
	case RELAY_RCPT:
		if (!s->group->is_split)
			tx->ntried++;
		if (accepted)
			transaction_add_recipient(tx, item->path);
		else if (!alert)
			tx->nrefused++;
		pass(s, r, alert);
		break;
	default:
		data_answered(s, r, accepted, alert);
	}
	if (s->group->next == s->group->end)
		s->wait = WAIT_NOBODY;
	if (s->wait == WAIT_NOBODY)
		group_go_on(s);
}

enum reply_name
failure_reply(enum relay_failure why)
{
	static const enum reply_name names[] = {
		[RELAY_AWAY] = REPLY_UPSTREAM_AWAY,
		[RELAY_LOST] = REPLY_UPSTREAM_LOST,
		[RELAY_UNKNOWN] = REPLY_UPSTREAM_UNKNOWN,
		[RELAY_TLS] = REPLY_UPSTREAM_TLS,
		[RELAY_BROKEN] = REPLY_UPSTREAM_BROKEN,
	};

	return names[why];
}

static void
on_failure(void *owner, enum relay_failure why, const char *detail)
{
	struct transaction *tx = owner;
	struct session *s = tx->session;
	enum reply_name name = failure_reply(why);

	tx->upstream = relay_peer(tx->relay);
	tx->failure = xstrdup(detail);
	if (tx->has_data) {
		body_failed(tx, why);
		return;
	}
	relay_close(&tx->relay);
	tx->is_refused = true;
	tx->refusal = name;
	/* Else the next command learns of it. */
	if (s->wait != WAIT_UPSTREAM)
		return;
	s->wait = WAIT_NOBODY;
	if (s->group->items[s->group->next].verb == SMTP_MAIL) {
		s->group->is_split = true;
		group_item_refuse_logged(s, name);
		group_drop_transaction(s);
	}
	group_go_on(s);
}

static void
on_room(void *owner)
{
	struct transaction *tx = owner;

	if (tx->session != NULL && tx->session->wait == WAIT_ROOM)
		session_resume(tx->session);
}

static const struct relay_callbacks callbacks = {
	.on_reply = on_reply,
	.on_room = on_room,
	.on_failure = on_failure,
};

/* Who wrote it, for an upstream that knows AUTH: the person, or nobody that we
 * would vouch for (RFC 4954 section 5). */
static struct str
author(const struct session *s, struct str auth)
{
	char name[SMTP_AUTH_MAX];
	ptrdiff_t len = smtp_xtext_decode(auth, name, sizeof name);

	if (auth.len == 0 ||
	    (len >= 0 && str_case_eq((struct str){ name, (size_t)len },
			     str_of(s->user))))
		return auth;
	return STR("<>");
}

static void
relay_begin(struct session *s, const struct group *g, const struct item *item)
{
	struct transaction *tx = s->tx;
	struct smtp_mail mail = item->mail;
	struct relay_ticket ticket = {
		.sid = tx->sid,
		.login = tx->user,
		.address = tx->peer,
		.helo = s->helo,
		.class_name = tx->class_name,
		.needs = smtp_mail_needs(&mail),
	};

	for (size_t i = g->next; i < g->end; i++)
		ticket.needs |= smtp_rcpt_needs(&g->items[i].rcpt);
	mail.auth = author(s, mail.auth);
	tx->relay = relay_open(s->worker->pool, &callbacks, tx, &ticket);
	relay_mail(tx->relay, &mail, SMTP_ADDED_MAX);
}

static void
relay_item(struct session *s, const struct item *item)
{
	struct transaction *tx = s->tx;

	switch (item->verb) {
	case SMTP_MAIL:
		relay_begin(s, s->group, item);
		break;
	case SMTP_RCPT:
		relay_rcpt(tx->relay, &item->rcpt);
		break;
	case SMTP_BDAT:
		relay_chunks(tx->relay);
		break;
	default:
		relay_data(tx->relay);
	}
}

bool
envelope_is_lost(struct session *s)
{
	struct group *g = s->group;
	enum smtp_verb verb = g->items[g->next].verb;
	enum reply_name name;

	if (s->tx == NULL || !s->tx->is_refused || verb == SMTP_MAIL)
		return false;
	name = s->tx->refusal;
	g->is_split = true;
	group_item_refuse_logged(s, name);
	group_drop_transaction(s);
	return true;
}

void
envelope_send(struct session *s)
{
	struct group *g = s->group;

	if (envelope_is_lost(s))
		return;
	for (size_t i = g->next; i < g->end; i++)
		relay_item(s, &g->items[i]);
	s->wait = WAIT_UPSTREAM;
}
