/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The watch on all hosts, one by one. What a process before this one found
 * about a host of the same name holds until it is found anew: a reload while
 * no name server answers changes nothing. Addresses stay when a later
 * resolution fails.
 *
 * A host is down when its probe fails, or when a session worker gave it up,
 * which all workers see on the board; the next good probe ends both. Who comes
 * back only to fail again waits longer each time.
 */
#include "control/upstream.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/resolve.h"
#include "relay/relay.h"

struct host_watch {
	struct upstream_watch *watch;          /* borrowed; its owner */
	const struct config_upstream *section; /* borrowed */
	const struct config_host *host;        /* borrowed */
	unsigned index;             /* among the hosts of all sections */
	struct upstream_slot *slot; /* borrowed from the shared memory */
	struct resolver *resolver;
	struct relay_probe *probe;
	struct event *resolve_timer, *probe_timer;
	struct event *probe_ended; /* result is in probed, probe may be freed */
	struct upstream_state state; /* as published last */
	unsigned probing;            /* index of the address being probed */
	int64_t probe_started_ms;
	struct smtp_offer probed;
	char resolve_error[128], probe_error[128]; /* "": good */
	char name[300];                            /* "mx1.example.net:25" */
	char peer[80];                             /* that is being probed */
	enum { NOT_LOGGED, LOGGED_UP, LOGGED_DOWN } logged;
	int64_t hold_s; /* it rests so long after it failed */
	int64_t failed_ms; /* the last failure that was noticed */
	bool unresolved;
	bool settled; /* looked up and probed, once */
};

struct upstream_watch {
	struct upstream_setup setup;
	struct relay_setup relay;
	struct host_watch *hosts; /* owned, nhosts of them */
	unsigned nhosts;
	struct event *ready_timer, *tick;
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
publish(struct host_watch *h)
{
	str_copy(h->state.error, sizeof h->state.error,
	    str_of(
		*h->resolve_error != '\0' ? h->resolve_error : h->probe_error));
	shared_upstream_write(h->slot, &h->state);
}

/* ---- ready -------------------------------------------------------------- */

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

/* Its first round has ended. */
static void
settle(struct host_watch *h)
{
	struct upstream_watch *w = h->watch;
	unsigned n = 0;

	h->settled = true;
	while (n < w->nhosts && w->hosts[n].settled)
		n++;
	if (n == w->nhosts)
		become_ready(w);
}

/* ---- probing ------------------------------------------------------------ */

static int64_t
failed_ms(const struct host_watch *h)
{
	return board_cell_sum(h->watch->setup.board, h->index).failed_ms;
}

static bool
is_up(const struct host_watch *h)
{
	return h->state.up_since_ms > failed_ms(h);
}

static void
log_probe(struct host_watch *h)
{
	bool down = *h->probe_error != '\0';
	struct log_line l;

	if (h->logged == (down ? LOGGED_DOWN : LOGGED_UP))
		return;
	h->logged = down ? LOGGED_DOWN : LOGGED_UP;
	log_begin(&l, down ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "upstream");
	log_adds(&l, "state", down ? "down" : "up");
	log_adds(&l, "host", h->host->name);
	log_addn(&l, "port", h->host->port);
	log_adds(&l, "upstream", h->peer);
	if (down)
		log_adds(&l, "error", h->probe_error);
	log_end(&l);
}

static void
on_probed(void *arg, const struct relay_probe_result *result)
{
	struct host_watch *h = arg;
	const char *error = result->error;

	snprintf(h->probe_error, sizeof h->probe_error, "%s",
	    error == NULL    ? ""
	    : *error == '\0' ? "no reason given"
			     : error);
	if (error == NULL)
		h->probed = result->offer;
	event_active(h->probe_ended, EV_TIMEOUT, 0);
}

static void
probe_next(struct host_watch *h)
{
	const struct upstream_state *s = &h->state;

	upstream_address_print(&s->address[h->probing],
	    s->address_len[h->probing], h->peer, sizeof h->peer);
	h->probe = relay_probe_start(&h->watch->relay, h->index,
	    &s->address[h->probing], s->address_len[h->probing], NULL, on_probed, h);
}

static void
probe(struct host_watch *h)
{
	if (h->probe != NULL || h->state.naddresses == 0)
		return;
	h->probing = 0;
	h->probe_started_ms = clock_mono_ms();
	probe_next(h);
}

static void
on_probe_timer(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	probe(arg);
}

/* It answers: it has been up all the time, or it is up again from now on. */
static void
probe_was_good(struct host_watch *h)
{
	h->state.offer = h->probed;
	if (!is_up(h) && failed_ms(h) < h->probe_started_ms)
		h->state.up_since_ms = clock_mono_ms();
}

/* One address answered or not: the first that does ends the round. */
static void
on_probe_ended(int fd, short what, void *arg)
{
	struct host_watch *h = arg;
	bool good;

	(void)fd;
	(void)what;
	relay_probe_free(&h->probe);
	good = *h->probe_error == '\0';
	if (!good && ++h->probing < h->state.naddresses) {
		probe_next(h);
		return;
	}
	h->state.probed_at = clock_wall_s();
	if (good)
		probe_was_good(h);
	else
		h->state.up_since_ms = 0;
	log_probe(h);
	publish(h);
	arm(h->probe_timer,
	    (is_up(h) ? UPSTREAM_PROBE_EVERY_S : UPSTREAM_RETRY_S) * 1000);
	settle(h);
}

/* ---- what session workers found ----------------------------------------- */

static void
log_given_up(const struct host_watch *h)
{
	struct log_line l;

	log_begin(&l, LOG_LEVEL_WARNING, "upstream");
	log_adds(&l, "state", "down");
	log_adds(&l, "host", h->host->name);
	log_addn(&l, "port", h->host->port);
	log_adds(&l, "error", "a session worker gave it up");
	log_end(&l);
}

/* A new failure: the longer it was up the sooner it is tried again. */
static void
note_failure(struct host_watch *h, int64_t failed)
{
	bool was_up = h->state.up_since_ms != 0 &&
	              h->failed_ms < h->state.up_since_ms;
	int64_t up_s = (failed - h->state.up_since_ms) / 1000;

	h->failed_ms = failed;
	if (!was_up)
		return;
	if (h->hold_s == 0 || up_s >= UPSTREAM_GOOD_S)
		h->hold_s = 1;
	else if (h->hold_s < UPSTREAM_HOLD_MAX_S / 2)
		h->hold_s *= 2;
	else
		h->hold_s = UPSTREAM_HOLD_MAX_S;
	h->logged = LOGGED_DOWN;
	log_given_up(h);
	arm(h->probe_timer, h->hold_s * 1000);
}

static void
on_tick(int fd, short what, void *arg)
{
	struct upstream_watch *w = arg;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < w->nhosts; i++) {
		struct host_watch *h = &w->hosts[i];
		int64_t failed = failed_ms(h);

		if (failed > h->failed_ms && failed >= h->state.up_since_ms)
			note_failure(h, failed);
	}
}

/* ---- resolving ---------------------------------------------------------- */

static void
log_resolved(const struct host_watch *h)
{
	char list[UPSTREAM_MAX_ADDRESSES * 80] = "", address[80];
	struct log_line l;
	size_t at = 0;

	for (unsigned i = 0; i < h->state.naddresses; i++) {
		upstream_address_print(&h->state.address[i],
		    h->state.address_len[i], address, sizeof address);
		at += (size_t)snprintf(list + at, sizeof list - at, "%s%s",
		    i == 0 ? "" : ",", address);
	}
	log_begin(
	    &l, h->unresolved ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "upstream");
	log_adds(&l, "state", h->unresolved ? "unresolved" : "resolved");
	log_adds(&l, "host", h->host->name);
	log_addn(&l, "port", h->host->port);
	log_adds(&l, "addresses", list);
	if (h->unresolved)
		log_adds(&l, "error", h->resolve_error);
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

static void
on_resolved(
    void *arg, const struct address *addresses, unsigned n, const char *error)
{
	struct host_watch *h = arg;
	int64_t again_s = h->section->resolve_every_s;
	bool was_unresolved = h->unresolved, changed = false;

	if (h->watch->stopped)
		return;
	snprintf(h->resolve_error, sizeof h->resolve_error, "%s",
	    error == NULL ? "" : error);
	h->unresolved = error != NULL;
	if (error == NULL) {
		changed = take_addresses(&h->state, addresses, n);
		h->state.resolved_at = clock_wall_s();
	} else if (again_s > UPSTREAM_RETRY_S) {
		again_s = UPSTREAM_RETRY_S;
	}
	if (changed || !h->settled || h->unresolved != was_unresolved)
		log_resolved(h);
	publish(h);
	arm(h->resolve_timer, again_s * 1000);
	if (changed || !h->settled)
		probe(h);
	if (h->probe == NULL)
		settle(h);
	else if (!h->watch->ready &&
		 !evtimer_pending(h->watch->ready_timer, NULL))
		arm(h->watch->ready_timer, UPSTREAM_FIRST_PROBE_MS);
}

static void
on_resolve_timer(int fd, short what, void *arg)
{
	struct host_watch *h = arg;

	(void)fd;
	(void)what;
	resolver_ask(h->resolver, h->host->name, h->host->port);
}

/* ---- for the operator --------------------------------------------------- */

static const char *
state_word(const struct upstream_report *r, const struct upstream_slot *slot,
    int64_t failed)
{
	const struct upstream_state *s = &r->known;

	if (atomic_load(&slot->drained) != 0)
		return "drained";
	if (s->naddresses == 0)
		return s->error[0] == '\0' ? "resolving" : "unresolved";
	if (s->probed_at == 0)
		return "unknown";
	return s->up_since_ms > failed ? "up" : "down";
}

bool
upstream_report(
    const struct upstream_watch *w, unsigned index, struct upstream_report *to)
{
	const struct host_watch *h;
	struct board_cell_sum sum;

	if (index >= w->nhosts)
		return false;
	h = &w->hosts[index];
	sum = board_cell_sum(w->setup.board, index);
	*to = (struct upstream_report){ .section = h->section,
		.host = h->host,
		.active = sum.active };
	shared_upstream_read(h->slot, &to->known, NULL);
	to->state = state_word(to, h->slot, sum.failed_ms);
	return true;
}

unsigned
upstream_drain(struct upstream_watch *w, const char *host, bool drained)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->nhosts; i++) {
		const struct host_watch *h = &w->hosts[i];

		if (strcasecmp(host, h->name) != 0 &&
		    strcasecmp(host, h->host->name) != 0)
			continue;
		atomic_store(&h->slot->drained, drained);
		n++;
	}
	return n;
}

/* ---- start and end ------------------------------------------------------ */

static void
claim(struct host_watch *h)
{
	const struct upstream_setup *s = &h->watch->setup;
	char name[UPSTREAM_NAME_MAX];

	relay_host_print(h->host, h->name, sizeof h->name);
	snprintf(name, sizeof name, "%s/%s", h->section->title, h->name);
	h->slot = shared_upstream_claim(s->shared, name, s->generation);
	assert(h->slot != NULL); /* there are enough for all generations */
	shared_upstream_read(h->slot, &h->state, NULL);
	atomic_store(&s->board->hosts[h->index].slot,
	    (uint32_t)(h->slot - s->shared->upstreams) + 1);
}

static void
watch_host(struct upstream_watch *w, const struct config_upstream *u, size_t i)
{
	struct host_watch *h = &w->hosts[w->nhosts];
	struct event_base *base = w->setup.base;

	h->watch = w;
	h->section = u;
	h->host = &u->hosts[i];
	h->index = w->nhosts++;
	claim(h);
	h->resolver = resolver_new(base, on_resolved, h);
	h->resolve_timer = evtimer_new(base, on_resolve_timer, h);
	h->probe_timer = evtimer_new(base, on_probe_timer, h);
	h->probe_ended = evtimer_new(base, on_probe_ended, h);
}

struct upstream_watch *
upstream_watch_new(const struct upstream_setup *setup)
{
	const struct timeval second = { .tv_sec = 1 };
	const struct config *c = setup->config;
	struct upstream_watch *w = xcalloc(1, sizeof *w);

	w->setup = *setup;
	w->relay = (struct relay_setup){ .base = setup->base,
		.config = c,
		.shared = setup->shared,
		.row = setup->row,
		.board = setup->board,
		.access = setup->access };
	w->hosts = xcalloc(c->nhosts, sizeof *w->hosts);
	w->ready_timer = evtimer_new(setup->base, on_ready_timer, w);
	w->tick = event_new(setup->base, -1, EV_PERSIST, on_tick, w);
	event_add(w->tick, &second);
	for (size_t i = 0; i < c->nupstreams; i++)
		for (size_t k = 0; k < c->upstreams[i].nhosts; k++)
			watch_host(w, &c->upstreams[i], k);
	for (unsigned i = 0; i < w->nhosts; i++)
		on_resolve_timer(-1, 0, &w->hosts[i]);
	return w;
}

void
upstream_watch_stop(struct upstream_watch *w)
{
	for (unsigned i = 0; i < w->nhosts; i++) {
		struct host_watch *h = &w->hosts[i];

		evtimer_del(h->resolve_timer);
		evtimer_del(h->probe_timer);
		evtimer_del(h->probe_ended);
		relay_probe_free(&h->probe);
	}
	evtimer_del(w->ready_timer);
	event_del(w->tick);
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
	for (unsigned i = 0; i < w->nhosts; i++) {
		struct host_watch *h = &w->hosts[i];

		event_free(h->resolve_timer);
		event_free(h->probe_timer);
		event_free(h->probe_ended);
		resolver_free(&h->resolver);
	}
	event_free(w->ready_timer);
	event_free(w->tick);
	free(w->hosts);
	free(w);
}
