/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Life of a session: its state, its deadline, its end. It begins in arrival.c;
 * what the client sends comes in by input.c, and what the commands mean is in
 * dispatch.c, auth.c, group.c and body.c.
 */
#include "session/session.h"

#include <stdlib.h>

#include "base/clock.h"
#include "session/session_private.h"
#include "session/transaction.h"
#include "smtp/received.h"

/* For the client to take the last reply. */
#define CLOSING_MS 10000
#define LINGER_MS 2000
/* A session without a transaction so far is left alone by a drain until it
 * has been silent this long. */
#define NEWCOMER_MS 2000

const char session_quit[] = "quit";

static void
log_session_end(struct session *s)
{
	struct log_line l;

	session_log(s, &l, LOG_LEVEL_INFO, "session");
	log_adds(&l, "end", s->ended);
	log_adds(&l, "user", s->user == NULL ? "-" : s->user);
	log_adds(&l, "ip", s->peer);
	if (s->proxy[0] != '\0')
		log_adds(&l, "proxy", s->proxy);
	log_adds(&l, "listener", s->listen->title);
	if (session_is_tls(s) && s->io.handshaken)
		log_adds(&l, "tls", SSL_get_version(s->io.ssl));
	if (s->io.why[0] != '\0')
		log_adds(&l, "error", s->io.why);
	log_addn(&l, "messages", s->nmessages);
	log_addn(&l, "ms", worker_now_ms(s->worker) - s->opened_ms);
	log_end(&l);
}

/* What others do for it goes on without it: an answer finds nobody, a message
 * whose dot was sent is awaited by its transaction alone. */
static void
session_let_go(struct session *s)
{
	if (s->judging != NULL)
		judge_forget(s);
	else if (s->question_id != 0)
		questions_forget(s->worker->questions, s->question_id);
	s->question_id = 0;
	transaction_leave(&s->tx);
}

static void
session_free(struct session *s)
{
	struct session_worker *w = s->worker;

	log_session_end(s);
	session_let_go(s);
	group_free(s);
	auth_forget(s);
	if (s->user != NULL)
		worker_uncount(w, COUNTER_SESSIONS_LOGGED_IN);
	worker_uncount(w, COUNTER_SESSIONS);
	TAILQ_REMOVE(&w->sessions, s, entry);
	w->nsessions--;
	guest_leave(w, &s->guest);
	arrival_settle(s);
	event_free(s->timer);
	session_io_close(&s->io);
	buf_wipe(&s->in);
	buf_free(&s->held);
	free(s->helo);
	free(s->user);
	free(s->class_name);
	free(s->domain);
	free(s->identity);
	free(s->proxied);
	free(s);
}

void
session_enter(struct session *s, enum smtp_state state)
{
	static const char *const names[] = { "connected", "greeted", "ready",
		"sasl", "mail", "data", "chunk", "chunks", "closing" };
	struct log_line l;

	if (log_wants(LOG_LEVEL_DEBUG)) {
		session_log(s, &l, LOG_LEVEL_DEBUG, "state");
		log_addf(&l, "change", "%s -> %s", names[s->state], names[state]);
		log_end(&l);
	}
	s->state = (uint8_t)state;
}

void
session_touch(struct session *s)
{
	if (s->is_dirty)
		return;
	s->is_dirty = true;
	TAILQ_INSERT_TAIL(&s->worker->dirty, s, dirty_entry);
}

void
session_finish(struct session *s, const char *why)
{
	if (s->state == SMTP_CLOSING)
		return;
	s->ended = why;
	chunk_release_reply(s);
	session_let_go(s);
	s->wait = WAIT_NOBODY;
	session_enter(s, SMTP_CLOSING);
	session_set_deadline(s, CLOSING_MS);
	session_touch(s);
}

void
session_die(struct session *s, const char *why)
{
	if (s->is_dead)
		return;
	if (s->ended == NULL)
		s->ended = why;
	s->is_dead = true;
	session_touch(s);
}

bool
session_is_tls(const struct session *s)
{
	return s->io.ssl != NULL;
}

bool
session_is_logged_in(const struct session *s)
{
	return s->user != NULL;
}

void
session_offer(const struct session *s, struct smtp_offer *to)
{
	const int64_t size = s->listen->max_size;
	const int32_t rcptmax = (int32_t)s->worker->config->max_recipients;

	relay_pool_offer(s->worker->pool,
	    session_is_logged_in(s) ? s->class_name : NULL, to);
	to->size -= SMTP_ADDED_MAX;
	if (!(to->extensions & SMTP_EXT_SIZE) || to->size <= 0 ||
	    to->size > size)
		to->size = size;
	if (to->rcptmax == 0 || to->rcptmax > rcptmax)
		to->rcptmax = rcptmax;
}

void
session_log(struct session *s, struct log_line *l, enum log_level level,
    const char *event)
{
	log_begin(l, level, event);
	log_adds(l, "s", s->sid);
	if (s->tx != NULL)
		log_addn(l, "t", s->ntransactions);
}

/* Only ever arms the timer earlier; a later deadline is found when it fires,
 * so that ordinary traffic costs no timer work. */
void
session_set_deadline(struct session *s, int64_t ms_from_now)
{
	int64_t now = worker_now_ms(s->worker);
	int64_t was = s->deadline_ms;
	struct timeval tv;

	s->deadline_ms = now + ms_from_now;
	if (!session_is_logged_in(s) && s->state != SMTP_CLOSING &&
	    s->deadline_ms > s->login_deadline_ms)
		s->deadline_ms = s->login_deadline_ms;
	if (was != 0 && s->deadline_ms >= was &&
	    evtimer_pending(s->timer, NULL))
		return;
	ms_from_now = s->deadline_ms - now;
	if (ms_from_now < 1)
		ms_from_now = 1;
	tv.tv_sec = ms_from_now / 1000;
	tv.tv_usec = ms_from_now % 1000 * 1000;
	evtimer_add(s->timer, &tv);
}

static void
session_expire(struct session *s)
{
	bool is_mute = s->state == SMTP_CONNECTED ||
	    (session_is_tls(s) && !s->io.handshaken);

	if (is_mute || s->state == SMTP_CLOSING) {
		session_die(s, "timeout");
		return;
	}
	/* In a body a reply would be read as the answer to it: close. The
	 * upstream never sees the end of data. */
	if (!session_is_in_body(s))
		reply(s, session_is_logged_in(s) ? REPLY_TIMEOUT
						 : REPLY_TIMEOUT_LOGIN);
	session_finish(s, "timeout");
}

void
session_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	int64_t left = s->deadline_ms - clock_mono_ms();

	(void)fd;
	(void)what;
	if (s->is_dead)
		return;
	if (left > 0) {
		const struct timeval tv = { .tv_sec = left / 1000,
			.tv_usec = left % 1000 * 1000 };

		evtimer_add(s->timer, &tv);
		return;
	}
	if (s->wait == WAIT_DELAY) {
		auth_delay_over(s);
		return;
	}
	/* Others have deadlines of their own; the client's starts again when
	 * they have answered. Before login nothing extends the time. */
	if (s->wait != WAIT_NOBODY && session_is_logged_in(s)) {
		session_set_deadline(s, s->worker->config->idle_timeout_ms);
		return;
	}
	session_expire(s);
}

static void
session_close_politely(struct session *s)
{
	session_io_shutdown(&s->io);
	if (buf_len(&s->in) == 0 && s->ended == session_quit) {
		session_die(s, s->ended);
		return;
	}
	(void)shutdown(s->io.fd, SHUT_WR);
	s->is_lingering = true;
	session_set_deadline(s, LINGER_MS);
	session_io_want_read(&s->io, true);
}

void
session_resume(struct session *s)
{
	s->wait = WAIT_NOBODY;
	s->is_resumed = true;
	session_touch(s);
}

static bool
is_idle(const struct session *s)
{
	return s->wait == WAIT_NOBODY && s->tx == NULL && s->group == NULL &&
	    buf_len(&s->in) == 0 &&
	    (s->state == SMTP_GREETED || s->state == SMTP_READY);
}

bool
session_is_old(const struct session *s)
{
	return worker_now_ms(s->worker) - s->opened_ms >=
	    s->worker->config->max_session_ms;
}

void
session_retire(struct session *s)
{
	if (s->is_dead || !is_idle(s))
		return;
	reply(s, REPLY_SESSION_OLD);
	session_finish(s, "max session");
}

void
session_drain(struct session *s)
{
	int64_t now = worker_now_ms(s->worker);

	if (s->is_dead || !is_idle(s))
		return;
	/* Who has just come is served first: to him a 421 would be a refusal
	 * that he did not earn. */
	if (s->ntransactions == 0 && now - s->heard_ms < NEWCOMER_MS)
		return;
	reply(s, REPLY_SHUTTING_DOWN);
	session_finish(s, "drain");
}

void
session_cut(struct session *s)
{
	if (s->is_dead || s->state == SMTP_CLOSING)
		return;
	if (s->state != SMTP_CONNECTED)
		reply(s, REPLY_SHUTTING_DOWN);
	session_finish(s, "drain timeout");
}

void
session_end_turn(struct session *s)
{
	s->is_dirty = false;
	if (!s->is_dead)
		session_go_on(s);
	if (!s->is_dead && s->worker->draining)
		session_drain(s);
	else if (!s->is_dead && session_is_old(s))
		session_retire(s);
	if (!s->is_dead && !s->is_lingering &&
	    (s->io.ssl == NULL || s->io.handshaken)) {
		switch (session_io_flush(&s->io)) {
		case SESSION_IO_OK:
			if (s->state == SMTP_CLOSING)
				session_close_politely(s);
			else if (s->wait == WAIT_TLS)
				session_go_on(s);
			break;
		case SESSION_IO_AGAIN:
			break;
		default:
			session_die(s, "broken connection");
		}
	}
	if (s->is_dead) {
		if (s->is_dirty)
			TAILQ_REMOVE(&s->worker->dirty, s, dirty_entry);
		session_free(s);
	}
}
