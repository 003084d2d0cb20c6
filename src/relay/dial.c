/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The search for a fresh connection: the addresses that control published,
 * in order, each with its own time, all together within RELAY_DIAL_MS. An
 * address that fails is no longer the first one for those who come later.
 */
#include "relay/relay_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

static void
count_failure(const struct relay_pool *p)
{
	shared_add(p->setup.shared, p->setup.row, COUNTER_UPSTREAM_FAILED, 1);
}

static void
give_up(struct relay *r, const char *detail)
{
	relay_pool_went_away(r->pool, detail);
	relay_fail(r, r->why, detail);
}

static void
wait_for_addresses(struct relay *r, const char *error)
{
	struct timeval tv = { .tv_usec = RELAY_DIAL_POLL_MS * 1000 };

	if (clock_mono_ms() < r->wait_until)
		evtimer_add(&r->later, &tv);
	else
		give_up(r, error[0] != '\0' ? error : "no address is known");
}

static void
on_ready(void *arg)
{
	struct relay *r = arg;

	relay_pool_came_back(r->pool);
	relay_found(r);
}

/* The addresses may have changed meanwhile; then it merely begins elsewhere. */
static void
on_down(void *arg, enum conn_fault fault, const char *detail)
{
	struct relay *r = arg;
	struct relay_pool *p = r->pool;

	relay_conn_close(&r->conn);
	count_failure(p);
	if (fault == CONN_TLS)
		r->why = RELAY_TLS;
	else if (fault == CONN_BROKEN && r->why != RELAY_TLS)
		r->why = RELAY_BROKEN;
	if (p->start == r->first + r->tried)
		p->start++;
	r->tried++;
	free(r->detail);
	r->detail = xstrdup(detail);
	relay_dial_next(r);
}

static const struct conn_user dialer = {
	.on_ready = on_ready,
	.on_down = on_down,
};

void
relay_dial_next(struct relay *r)
{
	const struct relay_setup *setup = &r->pool->setup;
	struct upstream_state up = { 0 };
	uint32_t version, i;
	int64_t left = r->dial_until - clock_mono_ms();

	shared_upstream_read(setup->shared, &up, &version);
	if (up.naddresses == 0) {
		wait_for_addresses(r, up.error);
		return;
	}
	if (r->tried >= up.naddresses || left <= 0) {
		give_up(r, r->detail != NULL ? r->detail : "no time left");
		return;
	}
	if (left > setup->config->connect_timeout_ms)
		left = setup->config->connect_timeout_ms;
	i = (r->first + r->tried) % up.naddresses;
	r->conn = relay_conn_open(
	    setup, r->pool, &up.address[i], up.address_len[i], &dialer, r);
	relay_conn_expect(r->conn, left);
}

void
relay_dial_start(struct relay *r)
{
	int64_t now = clock_mono_ms();

	r->why = RELAY_AWAY;
	r->first = r->pool->start;
	r->tried = 0;
	r->dial_until = now + RELAY_DIAL_MS;
	r->wait_until = now + r->pool->setup.config->connect_timeout_ms;
	relay_dial_next(r);
}
