/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A client is freed only by an event of its own (read end, write done, timer)
 * or by the server's end, never by an answer: who answers may go on using it.
 */
#include "control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/idmap.h"
#include "base/mem.h"
#include "control/request.h"

#define MAX_GROUPS 256

struct client {
	LIST_ENTRY(client) link;
	struct server *server; /* borrowed */
	struct bufferevent *bev;
	struct event *timer; /* idle, or waiting for too long */
	struct peer peer;
	uint64_t waits_for; /* 0: for nothing */
	const char *late;   /* what to say when it waited for too long */
	bool last;          /* close after the answer */
};

struct server {
	struct server_setup setup;
	LIST_HEAD(client_list, client) clients;
	unsigned nclients;
	struct event *accept, *retry;
	struct idmap *waiting; /* id -> client */
	bool draining;
};

/* ---- who it is ---------------------------------------------------------- */

static bool
peer_in_group(int fd, gid_t primary, gid_t group)
{
	gid_t groups[MAX_GROUPS];
	socklen_t len = sizeof groups;

	if (group == (gid_t)-1)
		return false;
	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (size_t i = 0; i < len / sizeof groups[0]; i++)
		if (groups[i] == group)
			return true;
	return false;
}

static int
peer_read(int fd, gid_t group, struct peer *p)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return -1;
	p->uid = cred.uid;
	p->pid = cred.pid;
	p->trusted = cred.uid == 0 || cred.uid == geteuid() ||
	             peer_in_group(fd, cred.gid, group);
	return 0;
}

/* ---- a client ----------------------------------------------------------- */

static void
client_arm(struct client *c, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(c->timer, &tv);
}

static void
client_free(struct client **cp)
{
	struct client *c = *cp;
	struct server *s;

	if (c == NULL)
		return;
	*cp = NULL;
	s = c->server;
	if (c->waits_for != 0)
		idmap_take(s->waiting, c->waits_for);
	LIST_REMOVE(c, link);
	s->nclients--;
	event_free(c->timer);
	bufferevent_free(c->bev);
	free(c);
}

/* An event of the client's ended it. */
static void
client_close(struct client *c)
{
	struct server *s = c->server;

	client_free(&c);
	if (!s->draining)
		event_add(s->accept, NULL);
	else if (s->nclients == 0)
		s->setup.on_empty(s->setup.arg);
}

const struct peer *
client_peer(const struct client *c)
{
	return &c->peer;
}

void
client_answer(struct client *c, json_t *answer)
{
	char *line = answer_line(answer);

	bufferevent_write(c->bev, line, strlen(line));
	free(line);
	client_arm(c, SERVER_IDLE_S * 1000);
}

void
client_wait(struct client *c, uint64_t id, int64_t timeout_ms, const char *late)
{
	c->waits_for = id;
	c->late = late;
	idmap_put(c->server->waiting, id, c);
	client_arm(c, timeout_ms);
}

struct client *
server_waiting(struct server *s, uint64_t id)
{
	struct client *c = idmap_take(s->waiting, id);

	if (c == NULL)
		return NULL;
	c->waits_for = 0;
	/* what it sent meanwhile is looked at in the next turn */
	bufferevent_trigger(c->bev, EV_READ,
	    BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
	return c;
}

static void
client_refuse(struct client *c, const char *why)
{
	client_answer(c, answer_error(REASON_USAGE, "%s", why));
	c->last = true;
	bufferevent_disable(c->bev, EV_READ);
}

static bool
client_has_output(const struct client *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev)) > 0;
}

/* The next request, when the answer to the last one is out of the way: what
 * is owed to a client that does not read is one answer. */
static void
client_step(struct client *c)
{
	struct server *s = c->server;
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len;
	char *line;

	while (c->waits_for == 0 && !client_has_output(c) &&
	       !(c->last && s->draining) &&
	       (line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF)) != NULL) {
		s->setup.on_line(s->setup.arg, c, (struct str){ line, len });
		free(line);
	}
	if (c->waits_for == 0 && !client_has_output(c) && !c->last &&
	    evbuffer_get_length(in) > REQUEST_MAX)
		client_refuse(c, "the request is too long");
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	client_step(arg);
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	(void)bev;
	client_step(c);
	if (c->last && c->waits_for == 0 && !client_has_output(c))
		client_close(c);
}

static void
on_end(struct bufferevent *bev, short what, void *arg)
{
	struct client *c = arg;

	(void)bev;
	c->last = true;
	if ((what & BEV_EVENT_EOF) != 0 &&
	    (c->waits_for != 0 || client_has_output(c)))
		return; /* it closed its half only: it may still read */
	client_close(c);
}

static void
on_timer(int fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->waits_for == 0) {
		client_close(c);
		return;
	}
	server_waiting(c->server, c->waits_for);
	client_answer(c, answer_error(REASON_FAILED, "%s", c->late));
}

static void
client_new(struct server *s, int fd)
{
	struct client *c = xcalloc(1, sizeof *c);

	if (peer_read(fd, s->setup.group, &c->peer) == -1) {
		close(fd);
		free(c);
		return;
	}
	c->server = s;
	c->bev =
	    bufferevent_socket_new(s->setup.base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->timer = evtimer_new(s->setup.base, on_timer, c);
	bufferevent_setcb(c->bev, on_read, on_written, on_end, c);
	/* one byte more than a request and its end shows that it is too long */
	bufferevent_setwatermark(c->bev, EV_READ, 0, REQUEST_MAX + 1);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	client_arm(c, SERVER_IDLE_S * 1000);
	LIST_INSERT_HEAD(&s->clients, c, link);
	s->nclients++;
}

/* ---- the server --------------------------------------------------------- */

static void
on_accept(int listener, short what, void *arg)
{
	static const struct timeval pause = { 1, 0 };
	struct server *s = arg;
	int fd;

	(void)what;
	while (s->nclients < SERVER_CLIENTS) {
		fd =
		    accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd == -1 && errno != EAGAIN) { /* want of descriptors */
			event_del(s->accept);
			evtimer_add(s->retry, &pause);
		}
		if (fd == -1)
			return;
		client_new(s, fd);
	}
	event_del(s->accept); /* until one of them leaves */
}

static void
on_retry(int fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	if (!s->draining)
		event_add(s->accept, NULL);
}

struct server *
server_new(const struct server_setup *setup)
{
	struct server *s = xcalloc(1, sizeof *s);

	s->setup = *setup;
	LIST_INIT(&s->clients);
	s->waiting = idmap_new();
	fcntl(setup->fd, F_SETFL, fcntl(setup->fd, F_GETFL) | O_NONBLOCK);
	s->accept = event_new(
	    setup->base, setup->fd, EV_READ | EV_PERSIST, on_accept, s);
	s->retry = evtimer_new(setup->base, on_retry, s);
	event_add(s->accept, NULL);
	return s;
}

void
server_free(struct server **sp)
{
	struct server *s = *sp;
	struct client *c;

	if (s == NULL)
		return;
	*sp = NULL;
	while ((c = LIST_FIRST(&s->clients)) != NULL)
		client_free(&c);
	event_free(s->accept);
	event_free(s->retry);
	idmap_free(&s->waiting);
	free(s);
}

void
server_drain(struct server *s)
{
	struct client *c, *next;

	s->draining = true;
	event_del(s->accept);
	for (c = LIST_FIRST(&s->clients); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		c->last = true;
		if (c->waits_for == 0 && !client_has_output(c))
			client_free(&c);
	}
	if (s->nclients == 0)
		s->setup.on_empty(s->setup.arg);
}
