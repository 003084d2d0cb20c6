/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door. To turn somebody away must be cheap: no TLS, no session, and a line
 * in the log at most once a second in each worker, however many come. Counting
 * is without locks: at the very same moment each worker may let one in too many.
 */
#include "session/arrival.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "session/session_private.h"
#include "session/tls.h"

/* A load balancer sends its header with the connection. */
#define PROXY_MS 5000
#define TELL_EVERY_MS 1000
/* What everybody has for his login, however many come: this part of
 * login_timeout. */
#define WELCOME_PART 6

/* Why a client is turned away. */
struct refused {
	const char *why;      /* for the log */
	enum reply_name reply; /* REPLY_OK: not a word */
};

static const struct refused is_full = { "full", REPLY_FULL };
static const struct refused host_crowd = { "host", REPLY_CROWDED };
static const struct refused host_rush = { "host rate", REPLY_CROWDED };
static const struct refused network_crowd = { "network", REPLY_CROWDED };
static const struct refused network_rush = { "network rate", REPLY_CROWDED };
static const struct refused stranger = { "not a proxy", REPLY_OK };

/* ---- counting ----------------------------------------------------------- */

static void
name_network(const struct session_worker *w, struct crowd_name *name,
    const struct network *n)
{
	/* a host and its network differ in their bits */
	crowd_name(name, w->shared->key, 'n', n, sizeof *n);
}

static bool
is_over(uint32_t count, int64_t max)
{
	return max != PORTERO_UNLIMITED && count >= max;
}

/* NULL: let in, and counted until guest_leave(). */
static const struct refused *
guest_enter(struct session_worker *w, struct guest *g)
{
	const struct config *c = w->config;
	const struct crowd *crowd = &w->shared->crowd;
	int64_t now_s = worker_now_ms(w) / 1000;
	struct network n;

	if (w->sheet == NULL || network_list_has(&c->exempt, &g->address))
		return NULL;
	network_of_host(&g->address, &n);
	name_network(w, &g->host, &n);
	network_of_site(&g->address, &n);
	name_network(w, &g->network, &n);
	if (is_over(crowd_here(crowd, &g->host), c->host.connections))
		return &host_crowd;
	if (is_over(crowd_here(crowd, &g->network), c->network.connections))
		return &network_crowd;
	if (is_over(crowd_came(crowd, &g->host, now_s), c->host.rate))
		return &host_rush;
	if (is_over(crowd_came(crowd, &g->network, now_s), c->network.rate))
		return &network_rush;
	crowd_enter(w->sheet, &g->host, now_s);
	crowd_enter(w->sheet, &g->network, now_s);
	g->is_counted = true;
	return NULL;
}

void
guest_leave(struct session_worker *w, struct guest *g)
{
	if (!g->is_counted)
		return;
	crowd_leave(w->sheet, &g->host);
	crowd_leave(w->sheet, &g->network);
	g->is_counted = false;
}

/* ---- turning away ------------------------------------------------------- */

static void
log_refused(struct session_worker *w, const char *sid,
    const struct config_listen *listen, const struct guest *g,
    const struct refused *r)
{
	int64_t now = worker_now_ms(w);
	char ip[ADDRESS_TEXT];
	struct log_line l;

	worker_count(w, COUNTER_CONNECTIONS_REFUSED, 1);
	if (w->nuntold > 0 && now - w->told_ms < TELL_EVERY_MS) {
		w->nuntold++;
		return;
	}
	address_text(&g->address, ip);
	log_begin(&l, LOG_LEVEL_WARNING, "turned_away");
	log_adds(&l, "s", sid);
	log_adds(&l, "ip", ip);
	log_adds(&l, "listener", listen->title);
	log_adds(&l, "why", r->why);
	if (w->nuntold > 1)
		log_addn(&l, "more", (int64_t)w->nuntold - 1);
	log_end(&l);
	w->told_ms = now;
	w->nuntold = 1; /* this one; others are counted on top */
}

/* A client who would not understand clear text gets none. */
static bool
may_hear(const struct config_listen *listen, const struct refused *r)
{
	return r->reply != REPLY_OK && listen->tls == CONFIG_TLS_STARTTLS;
}

static void
turn_away(struct session_worker *w, int fd, const struct config_listen *listen,
    const struct guest *g, const struct refused *r)
{
	char sid[ID_SESSION_LEN + 1];
	struct buf out = { 0 };

	id_session(sid);
	log_refused(w, sid, listen, g, r);
	if (may_hear(listen, r)) {
		reply_greeting(w, &out, r->reply, sid);
		(void)send(fd, buf_data(&out), buf_len(&out),
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		buf_free(&out);
	}
	close(fd);
}

/* ---- making room -------------------------------------------------------- */

void
arrival_settle(struct session *s)
{
	if (!s->is_new)
		return;
	s->is_new = false;
	TAILQ_REMOVE(&s->worker->newcomers, s, new_entry);
}

bool
arrival_make_room(struct session_worker *w)
{
	struct session *s = TAILQ_FIRST(&w->newcomers);

	if (s == NULL || worker_now_ms(w) - s->opened_ms <
		w->config->login_timeout_ms / WELCOME_PART)
		return false;
	arrival_settle(s);
	session_die(s, "made room");
	return true;
}

/* ---- coming in ---------------------------------------------------------- */

void
session_greet(struct session *s)
{
	struct buf *out = &s->io.out;

	buf_appendf(out, "220 %s ESMTP [%s]\r\n", s->worker->config->hostname,
	    s->sid);
	session_enter(s, SMTP_GREETED);
	session_touch(s);
}

/* TLS state is made with the client's first bytes, not before. */
static void
begin(struct session *s)
{
	session_set_deadline(s, s->worker->config->login_timeout_ms);
	if (s->listen->tls == CONFIG_TLS_STARTTLS)
		session_greet(s);
}

static struct session *
session_new(struct session_worker *w, int fd,
    const struct config_listen *listen, const struct guest *g)
{
	struct session *s = xcalloc(1, sizeof *s);

	s->worker = w;
	s->listen = listen;
	s->guest = *g;
	id_session(s->sid);
	address_text(&g->address, s->peer);
	s->opened_ms = worker_now_ms(w);
	s->heard_ms = s->opened_ms;
	s->login_deadline_ms = s->opened_ms + w->config->login_timeout_ms;
	s->timer = evtimer_new(w->base, session_on_timer, s);
	assert(s->timer != NULL);
	session_io_open(&s->io, w->base, fd, session_on_io, s);
	TAILQ_INSERT_TAIL(&w->sessions, s, entry);
	TAILQ_INSERT_TAIL(&w->newcomers, s, new_entry);
	s->is_new = true;
	w->nsessions++;
	if (w->nsessions > w->peak_sessions)
		w->peak_sessions = w->nsessions;
	worker_count(w, COUNTER_SESSIONS, 1);
	worker_count(w, COUNTER_CONNECTIONS, 1);
	return s;
}

void
session_open(struct session_worker *w, int fd,
    const struct config_listen *listen, const struct sockaddr *peer)
{
	struct guest g = { .is_counted = false };
	const struct refused *refused = NULL;
	struct session *s;

	address_of(&g.address, peer);
	if (w->nsessions >= (size_t)w->config->max_connections &&
	    !arrival_make_room(w))
		refused = &is_full;
	else if (!listen->proxy)
		refused = guest_enter(w, &g);
	else if (!network_list_has(&listen->proxy_from, &g.address))
		refused = &stranger;
	if (refused != NULL) {
		turn_away(w, fd, listen, &g, refused);
		return;
	}
	s = session_new(w, fd, listen, &g);
	if (listen->proxy) {
		s->proxied = xcalloc(1, sizeof *s->proxied);
		session_set_deadline(s, PROXY_MS);
	} else {
		begin(s);
	}
}

/* ---- behind a load balancer --------------------------------------------- */

/* Looks at what has come and takes what is the header's: not one byte more,
 * for they may be TLS's. */
static enum proxy_result
proxy_read(struct session *s)
{
	char data[256];
	enum proxy_result result;
	ssize_t n;
	size_t used;

	for (;;) {
		n = recv(s->io.fd, data, sizeof data, MSG_PEEK | MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return PROXY_MORE;
		if (n <= 0)
			return PROXY_BAD;
		result = proxy_header_feed(s->proxied, data,
		    (size_t)n, &used);
		if (recv(s->io.fd, data, used, MSG_DONTWAIT) != (ssize_t)used)
			return PROXY_BAD;
		if (result != PROXY_MORE)
			return result;
	}
}

static void
proxy_is_bad(struct session *s)
{
	struct log_line l;

	session_log(s, &l, LOG_LEVEL_WARNING, "proxy");
	log_adds(&l, "error", "no PROXY header");
	log_adds(&l, "ip", s->peer);
	log_adds(&l, "listener", s->listen->title);
	log_end(&l);
	session_die(s, "no proxy header");
}

/* The client that the header names, or the balancer itself. */
static const struct refused *
proxied_enter(struct session *s)
{
	const struct proxy_header *h = s->proxied;

	if (h->is_local)
		return NULL;
	memcpy(s->proxy, s->peer, sizeof s->proxy);
	address_of(&s->guest.address, (const struct sockaddr *)&h->client);
	address_text(&s->guest.address, s->peer);
	return guest_enter(s->worker, &s->guest);
}

bool
arrival_read_proxy(struct session *s)
{
	const struct refused *refused;

	switch (proxy_read(s)) {
	case PROXY_MORE:
		return false;
	case PROXY_DONE:
		break;
	default:
		proxy_is_bad(s);
		return false;
	}
	refused = proxied_enter(s);
	free(s->proxied);
	s->proxied = NULL;
	if (refused == NULL) {
		begin(s);
		return true;
	}
	log_refused(s->worker, s->sid, s->listen, &s->guest, refused);
	if (may_hear(s->listen, refused)) {
		reply(s, refused->reply);
		session_finish(s, "turned away");
	} else {
		session_die(s, "turned away");
	}
	return false;
}
