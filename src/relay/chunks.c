/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A body that goes up in chunks (BDAT, RFC 3030), where the client and the
 * upstream both speak of them: gathered until they are worth a command each,
 * at most RELAY_CHUNKS of them unanswered. They need no leave to begin.
 */
#include "relay/relay_private.h"

#include <stdio.h>
#include <string.h>

/* Chunks without pipelining would cost a round trip each. */
bool
relay_chunks_fit(const struct relay *r)
{
	const uint32_t needed = SMTP_EXT_CHUNKING | SMTP_EXT_PIPELINING;

	return r->may_chunk && (r->conn->offer.extensions & needed) == needed;
}

bool
relay_chunks_reply(struct relay *r, const struct smtp_reply *reply)
{
	bool was_full = r->nchunks == RELAY_CHUNKS;

	if (r->nchunks == 0 || reply->code != 250 ||
	    r->conn->sent < r->chunk_ends[0])
		return false;
	r->nchunks--;
	memmove(r->chunk_ends, r->chunk_ends + 1,
	    r->nchunks * sizeof(r->chunk_ends[0]));
	if (r->state == TXN_DOT)
		return true;
	relay_conn_expect(r->conn,
	    r->nchunks == 0 ? 0 : r->host->config->reply_timeout_ms);
	if (was_full)
		r->cb->on_room(r->owner);
	return true;
}

void
relay_chunks_send(struct relay *r, const char *data, size_t len, bool is_last)
{
	struct relay_conn *c = r->conn;
	char line[40];
	int n = snprintf(line, sizeof(line), "BDAT %zu%s\r\n",
	    buf_len(&r->chunk) + len, is_last ? " LAST" : "");

	relay_conn_write(c, line, (size_t)n);
	if (buf_len(&r->chunk) > 0)
		relay_conn_stream(c, buf_data(&r->chunk), buf_len(&r->chunk));
	if (len > 0)
		relay_conn_stream(c, data, len);
	buf_consume(&r->chunk, buf_len(&r->chunk));
	if (is_last)
		return;
	if (r->nchunks == 0)
		relay_conn_expect(c, r->host->config->reply_timeout_ms);
	r->chunk_ends[r->nchunks++] = c->queued;
}
