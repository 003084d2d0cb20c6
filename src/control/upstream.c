/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Addresses once found stay when a later resolution fails. A new process
 * starts without any: those in shared memory may be of another
 * configuration's upstream.
 */
#include "control/upstream.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/resolve.h"
#include "relay/relay.h"

struct upstream_watch {
	struct upstream_setup setup;
	struct resolver *resolver;
	struct relay_probe *probe;
	struct event *resolve_timer, *probe_timer;
	struct event *probe_ended; /* result is in probed, probe may be freed */
	struct event *ready_timer;
	struct upstream_state state; /* as published last */
	unsigned probing;            /* index of the address being probed */
	struct smtp_offer probed;
	char resolve_error[128], probe_error[128]; /* "": good */
	char peer[80];                             /* that is being probed */
	enum { NOT_LOGGED, LOGGED_UP, LOGGED_DOWN } logged;
	bool unresolved;
	bool ready; /* on_ready was called */
	bool stopped;
};

void
upstream_address_print(
    const struct sockaddr_storage *a, socklen_t len, char *to, size_t size)
{
	char host[INET6_ADDRSTRLEN + 16], port[8];

	if (getnameinfo((const struct sockaddr *)a, len, host, sizeof host,
		port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(to, size, "?");
	else
		snprintf(to, size,
		    a->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void
arm(struct event *timer, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(timer, &tv);
}

static void
publish(struct upstream_watch *w)
{
	str_copy(w->state.error, sizeof w->state.error,
	    str_of(
		*w->resolve_error != '\0' ? w->resolve_error : w->probe_error));
	shared_upstream_write(w->setup.shared, &w->state);
}

static void
become_ready(struct upstream_watch *w)
{
	evtimer_del(w->ready_timer);
	if (w->ready)
		return;
	w->ready = true;
	w->setup.on_ready(w->setup.arg);
}

static void
on_ready_timer(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	become_ready(arg);
}

/* ---- probing ------------------------------------------------------------ */

static void
log_probe(struct upstream_watch *w)
{
	const struct config_upstream *u = &w->setup.config->upstream;
	bool down = *w->probe_error != '\0';
	struct log_line l;

	if (w->logged == (down ? LOGGED_DOWN : LOGGED_UP))
		return;
	w->logged = down ? LOGGED_DOWN : LOGGED_UP;
	log_begin(&l, down ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "upstream");
	log_adds(&l, "state", down ? "down" : "up");
	log_adds(&l, "host", u->host);
	log_addn(&l, "port", u->port);
	log_adds(&l, "upstream", w->peer);
	if (down)
		log_adds(&l, "error", w->probe_error);
	log_end(&l);
}

static void
on_probed(void *arg, const struct smtp_offer *offer, const char *error)
{
	struct upstream_watch *w = arg;

	snprintf(w->probe_error, sizeof w->probe_error, "%s",
	    error == NULL    ? ""
	    : *error == '\0' ? "no reason given"
			     : error);
	if (error == NULL)
		w->probed = *offer;
	event_active(w->probe_ended, EV_TIMEOUT, 0);
}

static void
probe_next(struct upstream_watch *w)
{
	const struct upstream_setup *s = &w->setup;
	struct relay_setup relay = { .base = s->base,
		.config = &s->config->upstream,
		.hostname = s->config->hostname,
		.shared = s->shared,
		.row = s->row,
		.tls = s->tls };

	upstream_address_print(&w->state.address[w->probing],
	    w->state.address_len[w->probing], w->peer, sizeof w->peer);
	w->probe = relay_probe_start(&relay, &w->state.address[w->probing],
	    w->state.address_len[w->probing], on_probed, w);
}

static void
on_probe_timer(int fd, short what, void *arg)
{
	struct upstream_watch *w = arg;

	(void)fd;
	(void)what;
	if (w->probe != NULL || w->state.naddresses == 0)
		return;
	w->probing = 0;
	probe_next(w);
}

/* One address answered or not: the first that does ends the round. */
static void
on_probe_ended(int fd, short what, void *arg)
{
	struct upstream_watch *w = arg;

	(void)fd;
	(void)what;
	relay_probe_free(&w->probe);
	if (*w->probe_error != '\0' && ++w->probing < w->state.naddresses) {
		probe_next(w);
		return;
	}
	w->state.probed_at = clock_wall_s();
	w->state.probe_ok = *w->probe_error == '\0';
	if (w->state.probe_ok)
		w->state.offer = w->probed;
	log_probe(w);
	publish(w);
	arm(w->probe_timer, UPSTREAM_PROBE_EVERY_S * 1000);
	become_ready(w);
}

/* ---- resolving ---------------------------------------------------------- */

static void
log_resolved(const struct upstream_watch *w)
{
	const struct config_upstream *u = &w->setup.config->upstream;
	char list[UPSTREAM_MAX_ADDRESSES * 80] = "", address[80];
	struct log_line l;
	size_t at = 0;

	for (unsigned i = 0; i < w->state.naddresses; i++) {
		upstream_address_print(&w->state.address[i],
		    w->state.address_len[i], address, sizeof address);
		at += (size_t)snprintf(list + at, sizeof list - at, "%s%s",
		    i == 0 ? "" : ",", address);
	}
	log_begin(
	    &l, w->unresolved ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "upstream");
	log_adds(&l, "state", w->unresolved ? "unresolved" : "resolved");
	log_adds(&l, "host", u->host);
	log_addn(&l, "port", u->port);
	log_adds(&l, "addresses", list);
	if (w->unresolved)
		log_adds(&l, "error", w->resolve_error);
	log_end(&l);
}

static bool
state_has(const struct upstream_state *s, const struct address *a)
{
	for (unsigned i = 0; i < s->naddresses; i++)
		if (s->address_len[i] == a->len &&
		    memcmp(&s->address[i], &a->name, a->len) == 0)
			return true;
	return false;
}

/* Takes the addresses over; false: the same as before, in any order. */
static bool
take_addresses(struct upstream_state *s, const struct address *a, unsigned n)
{
	bool changed = n != s->naddresses;

	for (unsigned i = 0; i < n && !changed; i++)
		changed = !state_has(s, &a[i]);
	memset(s->address, 0, sizeof s->address);
	for (unsigned i = 0; i < n; i++) {
		s->address[i] = a[i].name;
		s->address_len[i] = a[i].len;
	}
	s->naddresses = n;
	return changed;
}

/* A process before this one may have probed the same addresses: what it found
 * holds until the own probe has ended. */
static void
inherit_offer(
    struct upstream_watch *w, const struct address *addresses, unsigned n)
{
	struct upstream_state old = { .naddresses = 0 };

	shared_upstream_read(w->setup.shared, &old, NULL);
	if (take_addresses(&old, addresses, n))
		return;
	w->state.offer = old.offer;
	w->state.probe_ok = old.probe_ok;
	w->state.probed_at = old.probed_at;
}

static void
on_resolved(
    void *arg, const struct address *addresses, unsigned n, const char *error)
{
	struct upstream_watch *w = arg;
	int64_t again_s = w->setup.config->upstream.resolve_every_s;
	bool was_unresolved = w->unresolved, changed = false;

	if (w->stopped)
		return;
	snprintf(w->resolve_error, sizeof w->resolve_error, "%s",
	    error == NULL ? "" : error);
	w->unresolved = error != NULL;
	if (error == NULL) {
		if (w->state.resolved_at == 0)
			inherit_offer(w, addresses, n);
		changed = take_addresses(&w->state, addresses, n);
		w->state.resolved_at = clock_wall_s();
	} else if (again_s > UPSTREAM_RETRY_S) {
		again_s = UPSTREAM_RETRY_S;
	}
	if (changed || w->unresolved != was_unresolved)
		log_resolved(w);
	publish(w);
	arm(w->resolve_timer, again_s * 1000);
	if (changed)
		on_probe_timer(-1, 0, w);
	if (w->probe == NULL)
		become_ready(w);
	else if (!w->ready)
		arm(w->ready_timer, UPSTREAM_FIRST_PROBE_MS);
}

static void
on_resolve_timer(int fd, short what, void *arg)
{
	struct upstream_watch *w = arg;
	const struct config_upstream *u = &w->setup.config->upstream;

	(void)fd;
	(void)what;
	resolver_ask(w->resolver, u->host, u->port);
}

struct upstream_watch *
upstream_watch_new(const struct upstream_setup *setup)
{
	struct upstream_watch *w = xcalloc(1, sizeof *w);

	w->setup = *setup;
	w->resolver = resolver_new(setup->base, on_resolved, w);
	w->resolve_timer = evtimer_new(setup->base, on_resolve_timer, w);
	w->probe_timer = evtimer_new(setup->base, on_probe_timer, w);
	w->probe_ended = evtimer_new(setup->base, on_probe_ended, w);
	w->ready_timer = evtimer_new(setup->base, on_ready_timer, w);
	on_resolve_timer(-1, 0, w);
	return w;
}

void
upstream_watch_stop(struct upstream_watch *w)
{
	evtimer_del(w->resolve_timer);
	evtimer_del(w->probe_timer);
	evtimer_del(w->probe_ended);
	evtimer_del(w->ready_timer);
	relay_probe_free(&w->probe);
	w->stopped = true;
}

void
upstream_watch_free(struct upstream_watch **wp)
{
	struct upstream_watch *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	upstream_watch_stop(w);
	event_free(w->resolve_timer);
	event_free(w->probe_timer);
	event_free(w->probe_ended);
	event_free(w->ready_timer);
	resolver_free(&w->resolver);
	free(w);
}
