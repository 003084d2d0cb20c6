/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A probe: connects to one address as a transaction would, learns what is
 * offered there, and leaves.
 */
#include "relay/relay_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct relay_probe {
	struct relay_setup setup;
	struct relay_host host;
	struct relay_conn *conn; /* NULL: done was called */
	void (*done)(
	    void *arg, const struct smtp_offer *offer, const char *error);
	void *arg; /* borrowed */
};

static void
on_ready(void *arg)
{
	struct relay_probe *p = arg;
	struct smtp_offer offer = p->conn->offer;

	relay_conn_quit(&p->conn);
	p->done(p->arg, &offer, NULL);
}

static void
on_down(void *arg, enum conn_fault fault, const char *detail)
{
	struct relay_probe *p = arg;

	(void)fault;
	relay_conn_close(&p->conn);
	p->done(p->arg, NULL, detail);
}

static const struct conn_user prober = {
	.on_ready = on_ready,
	.on_down = on_down,
};

struct relay_probe *
relay_probe_start(const struct relay_setup *setup, unsigned host,
    const struct sockaddr_storage *address, socklen_t len,
    void (*done)(void *arg, const struct smtp_offer *offer, const char *error),
    void *arg)
{
	struct relay_probe *p = xcalloc(1, sizeof(*p));

	p->setup = *setup;
	p->done = done;
	p->arg = arg;
	relay_host_init(&p->host, &p->setup, host);
	p->conn = relay_conn_open(&p->host, address, len, &prober, p);
	relay_conn_expect(p->conn, p->host.config->connect_timeout_ms);
	return p;
}

void
relay_probe_free(struct relay_probe **probe)
{
	struct relay_probe *p = *probe;

	*probe = NULL;
	if (p == NULL)
		return;
	relay_conn_close(&p->conn);
	free(p);
}
