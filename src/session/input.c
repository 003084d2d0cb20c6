/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the client sends: when it is read, how much of it at a time, what of it
 * is taken and what is kept. While somebody else is awaited nothing is taken,
 * and no more is read than tells whether the client is still there.
 */
#include <errno.h>
#include <string.h>

#include "session/session_private.h"
#include "session/tls.h"
#include "session/transaction.h"

/* Reads of one session in one loop turn, so that others get theirs. */
#define READS_PER_TURN 4
/* Replies that wait: more than this is written before more is read. */
#define OUTPUT_MAX 65536
/* The first byte of TLS, and of no command. */
#define TLS_HANDSHAKE 0x16
/* Of a message in data_timeout, or its end: 23 bytes a second by default. */
#define PROGRESS_MIN 4096

bool
session_is_in_body(const struct session *s)
{
	return s->state == SMTP_IN_DATA || s->state == SMTP_IN_CHUNK;
}

/* ---- what is taken ------------------------------------------------------- */

/* Takes what can be taken of it; returns the bytes used. */
static size_t
session_take(struct session *s, struct str input)
{
	size_t used = 0, n;

	while (used < input.len && !s->is_dead && s->state != SMTP_CLOSING &&
	    s->wait == WAIT_NOBODY) {
		struct str rest = { input.ptr + used, input.len - used };

		if (s->data_refused)
			break;
		n = s->state == SMTP_IN_DATA    ? session_body(s, rest)
		    : s->state == SMTP_IN_CHUNK ? session_chunk(s, rest)
						: session_command(s, rest);
		if (n == 0)
			break;
		used += n;
	}
	return used;
}

static bool
is_in_message(const struct session *s)
{
	return session_is_in_body(s) || s->state == SMTP_CHUNKS;
}

/* The client's time begins. */
static void
session_await_input(struct session *s)
{
	const struct config *c = s->worker->config;

	s->progress = 0;
	session_set_deadline(
	    s, is_in_message(s) ? c->data_timeout_ms : c->idle_timeout_ms);
}

/* Only a whole command, or a good piece of a message, gives more time: who
 * sends a byte now and then does not stay for ever. */
static void
session_note_progress(struct session *s, size_t used)
{
	s->progress += used;
	if (s->progress > 0 &&
	    (!is_in_message(s) || s->progress >= PROGRESS_MIN))
		session_await_input(s);
}

/* Looks at what waits; returns how much of it was used. Until the login
 * passwords may be in it: nothing of the buffer outlives its use. */
static size_t
session_take_in(struct session *s)
{
	size_t used = session_take(s,
	    (struct str){ buf_data(&s->in), buf_len(&s->in) });

	if (!session_is_logged_in(s) && used == buf_len(&s->in))
		buf_wipe(&s->in);
	else
		buf_consume(&s->in, used);
	return used;
}

static void
session_input(struct session *s, const char *data, size_t len)
{
	size_t used;

	if (!session_is_tls(s) && buf_len(&s->in) == 0 &&
	    data[0] == TLS_HANDSHAKE) {
		/* TLS from the first byte on the STARTTLS port. */
		session_die(s, "tls on a starttls port");
		return;
	}
	s->heard_ms = worker_now_ms(s->worker);
	if (buf_len(&s->in) > 0) {
		buf_append(&s->in, data, len);
		used = session_take_in(s);
	} else {
		used = session_take(s, (struct str){ data, len });
		if (used < len)
			buf_append(&s->in, data + used, len - used);
	}
	if (s->wait == WAIT_NOBODY && s->state != SMTP_CLOSING)
		session_note_progress(s, used);
}

/* ---- what is read -------------------------------------------------------- */

static bool
session_handshake(struct session *s)
{
	switch (session_io_handshake(&s->io)) {
	case SESSION_IO_OK:
		break;
	case SESSION_IO_AGAIN:
		return false;
	default:
		worker_count(s->worker, COUNTER_TLS_FAILED, 1);
		session_die(s, "tls");
		return false;
	}
	if (s->state == SMTP_CONNECTED)
		session_greet(s);
	return true;
}

/* Of a body, whole records that follow each other are read together, so that
 * they go on in large writes; what is shorter was the last that is there. */
static enum session_io_result
session_fill(struct session *s, size_t *len_r)
{
	struct session_worker *w = s->worker;
	enum session_io_result result;
	size_t n;

	result = session_io_read(&s->io, w->buffer, sizeof w->buffer, len_r);
	n = *len_r;
	while (result == SESSION_IO_OK && session_is_in_body(s) &&
	    (n == WORKER_READ || session_io_has_pending(&s->io)) &&
	    sizeof w->buffer - *len_r >= WORKER_READ) {
		result = session_io_read(&s->io, w->buffer + *len_r,
		    sizeof w->buffer - *len_r, &n);
		*len_r += n;
	}
	return result;
}

static void
session_read(struct session *s)
{
	struct session_worker *w = s->worker;
	enum session_io_result result;
	size_t len;

	for (int i = 0; i < READS_PER_TURN; i++) {
		result = session_fill(s, &len);
		if (len > 0)
			session_input(s, w->buffer, len);
		/* What was read before login may have been a password. */
		if (!session_is_logged_in(s) || s->state == SMTP_SASL)
			explicit_bzero(w->buffer, len);
		if (result == SESSION_IO_EOF)
			session_die(s, "closed by client");
		else if (result == SESSION_IO_ERROR)
			session_die(s, "broken connection");
		if (result != SESSION_IO_OK || s->is_dead ||
		    s->state == SMTP_CLOSING || s->wait != WAIT_NOBODY ||
		    !session_io_has_pending(&s->io))
			return;
		if (buf_len(&s->io.out) > OUTPUT_MAX)
			break;
	}
	/* TLS holds more and the descriptor may stay silent: come again. */
	event_active(s->io.read_event, EV_READ, 0);
}

/* The last reply is out and our side closed: what the client still sends is
 * read and dropped, since closing over it would reset the connection and could
 * take the reply away from it. */
static void
session_linger(struct session *s)
{
	struct session_worker *w = s->worker;
	ssize_t n = recv(s->io.fd, w->buffer, sizeof w->buffer, MSG_DONTWAIT);

	if (n == 0 || (n == -1 && errno != EAGAIN))
		session_die(s, "closed");
}

/* Would it notice if the client left now? Not where nothing may be read, and
 * not behind the dot: there the answer matters to who has gone, too. */
static bool
may_look(const struct session *s)
{
	return s->state != SMTP_CLOSING && s->wait != WAIT_TLS &&
	    s->wait != WAIT_ROOM && buf_len(&s->in) == 0 &&
	    (s->tx == NULL || !s->tx->dot_sent);
}

/* Somebody else is awaited, and the client has said something or gone: one
 * read tells. What it said is kept, and more of it stays in the kernel. */
static void
session_look(struct session *s)
{
	struct session_worker *w = s->worker;
	size_t len;

	session_io_want_read(&s->io, false);
	if (!may_look(s))
		return;
	switch (session_io_read(&s->io, w->buffer, WORKER_READ, &len)) {
	case SESSION_IO_OK:
		buf_append(&s->in, w->buffer, len);
		explicit_bzero(w->buffer, len);
		break;
	case SESSION_IO_AGAIN: /* part of a record */
		session_io_want_read(&s->io, true);
		break;
	default:
		session_die(s, "closed by client");
	}
}

void
session_on_io(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	if (s->is_dead)
		return;
	if (s->is_lingering) {
		session_linger(s);
		return;
	}
	session_touch(s); /* output that was blocked goes on, too */
	if (s->proxied != NULL && !arrival_read_proxy(s))
		return;
	if (s->io.ssl == NULL && s->listen->tls == CONFIG_TLS_IMPLICIT)
		session_io_start_tls(&s->io, tls_server_context(s->worker->tls));
	if (s->io.ssl != NULL && !s->io.handshaken && !session_handshake(s))
		return;
	if (!(what & EV_READ))
		return;
	if (s->state == SMTP_CLOSING || s->wait != WAIT_NOBODY) {
		session_look(s);
		return;
	}
	if (session_io_is_blocked(&s->io)) {
		/* Who does not read our replies is not read either. */
		session_io_want_read(&s->io, false);
		s->is_resumed = true;
		return;
	}
	session_read(s);
}

/* Did the client say more before it could know our last reply? */
static bool
has_input(const struct session *s)
{
	char byte;

	return buf_len(&s->in) > 0 || session_io_has_pending(&s->io) ||
	    recv(s->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void
session_go_on(struct session *s)
{
	if (s->wait == WAIT_TLS && buf_len(&s->io.out) == 0) {
		s->wait = WAIT_NOBODY;
		session_io_start_tls(&s->io, tls_server_context(s->worker->tls));
	}
	while (buf_len(&s->in) > 0 && s->wait == WAIT_NOBODY && !s->is_dead &&
	    s->state != SMTP_CLOSING && session_take_in(s) > 0)
		continue;
	if (s->data_refused) {
		s->data_refused = false;
		if (has_input(s))
			session_finish(s, "data behind a refused DATA");
	}
	if (s->wait != WAIT_NOBODY || s->is_dead ||
	    s->state == SMTP_CLOSING || session_io_is_blocked(&s->io))
		return;
	session_io_want_read(&s->io, true);
	if (s->is_resumed)
		session_await_input(s);
	/* Only now: a record of which a part has arrived counts as pending. */
	if (s->is_resumed && session_io_has_pending(&s->io))
		event_active(s->io.read_event, EV_READ, 0);
	s->is_resumed = false;
}
