/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * BDAT (RFC 3030): the body in chunks. The first one is the end of a group as
 * DATA is (group.c): it is asked about, and the take happens there. Our 250 to
 * a chunk that is not the last is no promise: it says that the octets went on.
 *
 * The octets of a refused chunk are read all the same, since they would be
 * taken for commands; its reply is held until then. With it the message has
 * failed and the transaction is gone: further chunks are read and answered
 * 503 until the last of them, RSET or EHLO.
 */
#include "session/session_private.h"
#include "session/group.h"
#include "session/transaction.h"

bool
chunk_holds_reply(const struct session *s)
{
	const struct group *g = s->group;

	if (s->state == SMTP_IN_CHUNK)
		return s->chunk.size > 0;
	return g != NULL && g->next < g->n &&
	    g->items[g->next].verb == SMTP_BDAT;
}

void
chunk_release_reply(struct session *s)
{
	buf_append(&s->io.out, buf_data(&s->held), buf_len(&s->held));
	buf_free(&s->held);
	session_touch(s);
}

void
chunk_end(struct session *s)
{
	struct transaction *tx = s->tx;

	if (tx == NULL) {
		chunk_release_reply(s);
		session_enter(
		    s, s->chunk.is_last ? SMTP_READY : SMTP_CHUNKS);
	} else if (s->chunk.is_last || tx->is_refused) {
		body_end(s);
	} else {
		reply(s, REPLY_CHUNK);
		session_enter(s, SMTP_CHUNKS);
	}
}

void
chunk_start(struct session *s)
{
	struct transaction *tx = s->tx;
	int64_t left = SWALLOW_MORE +
	    (tx == NULL ? s->listen->max_size
			: tx->max_size - (int64_t)tx->dots.size);

	if (tx != NULL)
		body_expect(tx, s->chunk.size);
	if (s->chunk.size > left) {
		s->chunk.size = 0;
		chunk_end(s);
		session_finish(s, "refused body too long");
	} else if (s->chunk.size == 0) {
		if (tx == NULL || body_chunk(s, (struct str){ "", 0 }))
			chunk_end(s);
	}
}

size_t
session_chunk(struct session *s, struct str input)
{
	if ((uint64_t)s->chunk.size < input.len)
		input.len = (size_t)s->chunk.size;
	s->chunk.size -= (int64_t)input.len;
	if (s->tx != NULL && !body_chunk(s, input))
		return input.len;
	if (s->chunk.size == 0 && s->state == SMTP_IN_CHUNK)
		chunk_end(s);
	return input.len;
}

/* A chunk behind another. */
void
cmd_bdat(struct session *s, struct str args)
{
	struct smtp_fault fault;

	if (smtp_bdat_parse(args, &s->chunk, &fault) == -1) {
		s->data_refused = true;
		reply_fault(s, &fault);
		return;
	}
	session_enter(s, SMTP_IN_CHUNK);
	if (s->tx == NULL)
		reply(s, REPLY_CHUNK_FAILED);
	chunk_start(s);
}
