/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The search for a fresh connection: host after host as the route gives them,
 * of each the addresses that control published, in order, each with its own
 * time, all together within RELAY_DIAL_MS. An address that fails is no longer
 * the first one for those who come later.
 */
#include "relay/relay_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

static void
note(struct relay *r, const char *detail)
{
	char *copy = xstrdup(detail);

	free(r->detail);
	r->detail = copy;
}

static void
wait_for_addresses(struct relay *r, const char *why)
{
	struct timeval tv = { .tv_usec = RELAY_DIAL_POLL_MS * 1000 };

	if (clock_mono_ms() < r->wait_until)
		evtimer_add(&r->later, &tv);
	else
		relay_fail(r, RELAY_AWAY, why);
}

/* This host is not asked again in this search. */
static void
leave_host(struct relay *r)
{
	r->excluded |= (uint64_t)1 << r->host->index;
	relay_set_host(r, NULL);
}

static void
go_on(struct relay *r)
{
	if (r->reused) /* it had rested: the search begins only now */
		relay_dial_start(r);
	else
		relay_dial_next(r);
}

static void
on_ready(void *arg)
{
	struct relay *r = arg;

	if ((r->conn->offer.extensions & r->ticket.needs) == r->ticket.needs) {
		relay_found(r);
		return;
	}
	relay_host_works(r->host);
	relay_host_give(r->host, &r->conn, false);
	note(r, "the host lacks what the message needs");
	leave_host(r);
	go_on(r);
}

/* The addresses may have changed meanwhile; then it merely begins elsewhere. */
static void
address_failed(struct relay *r, enum conn_fault fault, const char *detail)
{
	shared_add(r->pool->setup.shared, r->pool->setup.row,
	    COUNTER_UPSTREAM_FAILED, 1);
	if (fault == CONN_TLS)
		r->why = RELAY_TLS;
	else if (fault == CONN_BROKEN && r->why != RELAY_TLS)
		r->why = RELAY_BROKEN;
	if (r->host->start == r->first + r->tried)
		r->host->start++;
	r->tried++;
	note(r, detail);
}

static void
on_down(void *arg, enum conn_fault fault, const char *detail)
{
	struct relay *r = arg;

	relay_conn_close(&r->conn);
	if (!r->reused) /* else it had rested too long */
		address_failed(r, fault, detail);
	go_on(r);
}

static const struct conn_user dialer = {
	.on_ready = on_ready,
	.on_down = on_down,
};

void
relay_dial_await(struct relay *r)
{
	relay_conn_use(r->conn, &dialer, r);
}

/* Is there an address to try, of this host or another? */
static bool
choose(struct relay *r)
{
	struct relay_host *h = r->host;

	if (h != NULL && r->tried < relay_host_state(h)->naddresses)
		return true;
	if (h != NULL) {
		relay_host_failed(h, r->detail);
		leave_host(r);
	}
	h = relay_route_pick(r->pool, r->ticket.class_name, r->ticket.needs, r->excluded);
	if (h == NULL)
		return false;
	relay_set_host(r, h);
	r->first = h->start;
	r->tried = 0;
	return true;
}

static void
none_left(struct relay *r)
{
	const char *why;

	if (r->excluded != 0)
		relay_fail(r, r->why,
		    r->detail != NULL ? r->detail : "no other host is left");
	else if (relay_route_may_come(r->pool, r->ticket.class_name, &why))
		wait_for_addresses(r, why);
	else
		relay_fail(r, RELAY_AWAY, why);
}

void
relay_dial_next(struct relay *r)
{
	int64_t left = r->dial_until - clock_mono_ms();
	const struct upstream_state *s;
	struct relay_host *h;
	unsigned i;

	if (!choose(r)) {
		none_left(r);
		return;
	}
	h = r->host;
	if (left <= 0) {
		relay_fail(
		    r, r->why, r->detail != NULL ? r->detail : "no time left");
		return;
	}
	if (left > h->config->connect_timeout_ms)
		left = h->config->connect_timeout_ms;
	s = relay_host_state(h);
	i = (r->first + r->tried) % s->naddresses;
	r->conn = relay_conn_open(
	    h, &s->address[i], s->address_len[i], &dialer, r);
	relay_conn_expect(r->conn, left);
}

void
relay_dial_start(struct relay *r)
{
	int64_t now = clock_mono_ms();

	r->reused = false;
	r->why = RELAY_AWAY;
	r->dial_until = now + RELAY_DIAL_MS;
	r->wait_until = now + r->pool->order[0]->connect_timeout_ms;
	r->first = r->host == NULL ? 0 : r->host->start;
	r->tried = 0;
	relay_dial_next(r);
}
