/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The steps of a transaction, from MAIL to DATA: kept until 354, because a
 * connection that is lost before may have to hear them once more, and said as
 * commands. It owns their copies; when one is said is transaction.c's choice.
 */
#include "relay/relay_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
relay_steps_forget(struct relay *r)
{
	free(r->items);
	r->items = NULL;
	r->nitems = r->room = r->nsent = r->nanswered = 0;
	free(r->mail_text);
	r->mail_text = NULL;
	buf_free(&r->paths);
}

/* Those that were refused are over. */
void
relay_steps_rewind(struct relay *r)
{
	uint32_t i, n = 0;

	for (i = 0; i < r->nitems; i++)
		if (i >= r->nanswered || r->items[i].accepted)
			r->items[n++] = r->items[i];
	r->nitems = n;
	r->nsent = r->nanswered = 0;
}

static struct buf words; /* a command in the making; for all transactions */

void
relay_steps_say(struct relay *r)
{
	struct relay_item *item = &r->items[r->nsent++];
	struct relay_conn *c = r->conn;

	buf_consume(&words, buf_len(&words));
	switch (item->step) {
	case RELAY_MAIL:
		buf_appendf(&words, "MAIL FROM:<%.*s>", (int)r->mail.path.len,
		    r->mail.path.ptr);
		smtp_mail_params(&words, &r->mail, c->offer.extensions);
		c->mails++;
		break;
	case RELAY_RCPT:
		buf_append_str(&words, STR("RCPT TO:"));
		buf_append(
		    &words, buf_data(&r->paths) + item->at, item->len);
		break;
	case RELAY_DATA:
		buf_append_str(&words, STR("DATA"));
		break;
	case RELAY_DOT:
		break; /* never kept as an item */
	}
	buf_append_str(&words, STR("\r\n"));
	relay_conn_write(c, buf_data(&words), buf_len(&words));
	item->end = c->queued;
}

static void
add_step(struct relay *r, enum relay_step step, uint32_t needs,
    const struct buf *args)
{
	struct relay_item *item;

	if (r->state > TXN_STEPS)
		return; /* it failed, which will be told */
	if (r->nitems == r->room) {
		r->room = r->room == 0 ? 4 : 2 * r->room;
		r->items = xrealloc(r->items, r->room * sizeof(*r->items));
	}
	item = &r->items[r->nitems++];
	*item = (struct relay_item){ .step = step,
		.at = (uint32_t)buf_len(&r->paths),
		.len = (uint32_t)buf_len(args),
		.needs = needs };
	if (buf_len(args) > 0)
		buf_append(&r->paths, buf_data(args), buf_len(args));
	relay_go_on(r);
}

/* Copies a string to *to, moves that behind it. */
static struct str
keep(char **to, struct str s)
{
	struct str kept = { *to, s.len };

	assert(s.len == 0 || (memchr(s.ptr, '\r', s.len) == NULL &&
				 memchr(s.ptr, '\n', s.len) == NULL));
	if (s.len > 0)
		memcpy(*to, s.ptr, s.len);
	*to += s.len;
	return kept;
}

void
relay_mail(struct relay *r, const struct smtp_mail *mail, int64_t size_added)
{
	/* Everybody takes 8-bit text, also who does not say so. */
	uint32_t needs = smtp_mail_needs(mail) & ~(uint32_t)SMTP_EXT_8BITMIME;
	const struct buf none = { 0 };
	char *at = xmalloc(
	    mail->path.len + mail->envid.len + mail->auth.len + 1);

	r->mail_text = at;
	r->mail = *mail;
	if (mail->size >= 0)
		r->mail.size += size_added;
	r->mail.path = keep(&at, mail->path);
	r->mail.envid = keep(&at, mail->envid);
	r->mail.auth = keep(&at, mail->auth);
	add_step(r, RELAY_MAIL, needs, &none);
}

void
relay_rcpt(struct relay *r, const struct smtp_rcpt *rcpt)
{
	buf_consume(&words, buf_len(&words));
	buf_appendf(&words, "<%.*s>", (int)rcpt->path.len, rcpt->path.ptr);
	smtp_rcpt_params(&words, rcpt, ~0u);
	assert(memchr(buf_data(&words), '\n', buf_len(&words)) == NULL);
	add_step(r, RELAY_RCPT, smtp_rcpt_needs(rcpt), &words);
}

void
relay_data(struct relay *r)
{
	const struct buf none = { 0 };

	add_step(r, RELAY_DATA, 0, &none);
}
