/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The header of a message on its way: held, bounded, until it is whole;
 * scanned; asked about if a policy wants that; then sent on behind what we
 * add, and the body streams after it. Nothing of a header that is refused ever
 * goes up.
 *
 * What came in one piece with the header's end is held with it. While it is
 * judged nothing more is read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "session/session_private.h"
#include "session/transaction.h"
#include "smtp/received.h"

/* RFC 5321 6.3: a loop is likely beyond that. */
#define HOPS_MAX 50

static int header_ask(struct session *s);

void
header_start(struct transaction *tx)
{
	tx->held = xcalloc(1, sizeof *tx->held);
}

void
header_drop(struct transaction *tx)
{
	if (tx->held == NULL)
		return;
	buf_free(&tx->held->bytes);
	free(tx->held);
	tx->held = NULL;
}

void
header_hold(struct transaction *tx, const char *data, size_t len)
{
	buf_append(&tx->held->bytes, data, len);
}

static struct str
held_bytes(const struct held_header *held)
{
	return (struct str){ buf_data(&held->bytes), buf_len(&held->bytes) };
}

/* ---- what we add --------------------------------------------------------- */

static void
add_received(const struct transaction *tx, struct buf *to)
{
	char field[SMTP_RECEIVED_MAX], tag[17];
	const struct smtp_received received = {
		.hostname = tx->worker->config->hostname,
		.sid = tx->sid,
		.transaction = tx->number,
		.person_tag = tag,
		.is_utf8 = tx->is_utf8,
		.wall_s = clock_wall_s(),
	};

	worker_person_tag(tx->worker, tx->user, tag);
	buf_append(to, field, smtp_received_make(field, &received));
}

/* RFC 6409 section 8: what a message must have. A signature may cover that a
 * field is not there. */
static void
add_missing(const struct transaction *tx, struct buf *to)
{
	const struct config *c = tx->worker->config;
	const struct smtp_header *h = &tx->held->fields;
	char date[64];
	uint64_t id;

	if (!c->add_missing_headers || h->is_signed)
		return;
	if (!h->has_date) {
		clock_format_rfc5322(date, sizeof date, clock_wall_s());
		buf_appendf(to, "Date: %s\r\n", date);
	}
	if (!h->has_message_id) {
		id_random(&id, sizeof id);
		buf_appendf(to, "Message-ID: <%s.%u.%016llx@%s>\r\n", tx->sid,
		    tx->number, (unsigned long long)id, c->hostname);
	}
}

/* All goes up in one write. */
static void
header_pass(struct transaction *tx, struct str sender)
{
	struct buf top = { 0 };
	struct str bytes = held_bytes(tx->held);

	add_received(tx, &top);
	add_missing(tx, &top);
	if (sender.len > 0 && tx->held->fields.nsender == 0)
		buf_appendf(&top, "Sender: <%.*s>\r\n", (int)sender.len,
		    sender.ptr);
	relay_body(tx->relay, buf_data(&top), buf_len(&top));
	relay_body(tx->relay, bytes.ptr, bytes.len);
	buf_free(&top);
	header_drop(tx);
}

/* ---- asking -------------------------------------------------------------- */

static void
ask_again(struct session *s)
{
	s->tx->held->is_asked = true;
	if (header_ask(s) == 0)
		return;
	body_deny(s, "header", NULL);
	body_go_on(s);
}

static void on_owned(struct session *s, enum portero_owned owned);

/* About each mailbox of which nobody knows whose it is, one by one. */
static void
ask_owners(struct session *s)
{
	struct held_header *held = s->tx->held;
	const struct smtp_header *h = &held->fields;

	for (; held->nasked < h->nmailboxes; held->nasked++)
		if (held->owned[held->nasked] == PORTERO_OWNED_UNKNOWN &&
		    owns_ask(s, h->mailboxes[held->nasked].address,
			on_owned) == 0)
			return;
	ask_again(s);
}

static void
on_owned(struct session *s, enum portero_owned owned)
{
	struct held_header *held = s->tx->held;

	if (held == NULL) { /* the upstream was lost meanwhile */
		body_go_on(s);
		return;
	}
	held->owned[held->nasked++] = owned;
	ask_owners(s);
}

static void
on_header_judged(struct session *s, const struct judge_answer *a)
{
	struct transaction *tx = s->tx;

	if (tx->held == NULL) {
		/* the upstream was lost meanwhile */
	} else if (a != NULL && a->needs_owned && !tx->held->is_asked) {
		ask_owners(s);
		return;
	} else if (a == NULL || a->verdict != PORTERO_NEXT) {
		body_deny(s, "header", a);
	} else {
		header_pass(tx, a->add_sender);
	}
	body_go_on(s);
}

static int
header_ask(struct session *s)
{
	return judge_ask(s, PORTERO_HEADER, NULL, 0, on_header_judged);
}

/* What is known from MAIL of who is named here. */
static void
recall_owned(struct transaction *tx)
{
	struct held_header *held = tx->held;

	for (size_t i = 0; i < held->fields.nmailboxes; i++)
		if (str_case_eq(held->fields.mailboxes[i].address,
			str_of(tx->reverse_path)))
			held->owned[i] = tx->sender_owned;
}

static void
refuse(struct session *s, enum reply_name name)
{
	char said[16];
	const struct refusal r = { .stage = "header", .reply = said };

	reply_code_text(name, said);
	body_refuse(s->tx, name);
	transaction_log_refusal(s, &r);
}

bool
header_step(struct session *s)
{
	struct transaction *tx = s->tx;
	struct held_header *held = tx->held;
	struct str bytes;
	size_t len;

	if (held == NULL)
		return true;
	bytes = held_bytes(held);
	len = smtp_header_length(bytes, held->nlooked);
	held->nlooked = bytes.len;
	if ((len > 0 ? len : bytes.len) > SMTP_HEADER_MAX) {
		refuse(s, REPLY_HEADER_TOO_LARGE);
		return true;
	}
	if (len == 0 && !tx->is_whole)
		return true;
	smtp_header_scan((struct str){ bytes.ptr, len > 0 ? len : bytes.len },
	    &held->fields);
	if (held->fields.nreceived > HOPS_MAX) {
		refuse(s, REPLY_LOOP);
		return true;
	}
	if (!(tx->wants & PORTERO_HEADER)) {
		header_pass(tx, STR(""));
		return true;
	}
	recall_owned(tx);
	if (header_ask(s) == 0)
		return false;
	body_deny(s, "header", NULL);
	return true;
}
