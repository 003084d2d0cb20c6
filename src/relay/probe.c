/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A probe: connects to one address as a transaction would, learns what is
 * offered there, says what else it was told to, and leaves.
 */
#include "relay/relay_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct relay_probe {
	struct relay_setup setup;
	struct relay_host host;
	struct relay_conn *conn; /* NULL: done was called */
	const char *const *say;  /* borrowed; what is still to be said */
	struct relay_probe_result result;
	X509 *certificate; /* owned */
	void (*done)(void *arg, const struct relay_probe_result *result);
	void *arg; /* borrowed */
};

/* What was said is answered: the next line, or the end. */
static void
go_on(struct relay_probe *p)
{
	struct relay_conn *c = p->conn;

	if (*p->say == NULL) {
		relay_conn_quit(&p->conn);
		p->done(p->arg, &p->result);
		return;
	}
	relay_conn_write(c, *p->say, strlen(*p->say));
	relay_conn_write(c, "\r\n", 2);
	relay_conn_expect(c, p->host.config->connect_timeout_ms);
	p->say++;
}

static void
on_ready(void *arg)
{
	struct relay_probe *p = arg;

	p->result.offer = p->conn->offer;
	if (p->conn->ssl != NULL)
		p->certificate = SSL_get1_peer_certificate(p->conn->ssl);
	p->result.certificate = p->certificate;
	go_on(p);
}

static void
on_reply(void *arg, struct smtp_reply *reply)
{
	struct relay_probe *p = arg;
	unsigned i = p->result.nreplies++;

	p->result.code[i] = reply->code;
	smtp_reply_summary(
	    p->result.reply[i], sizeof(p->result.reply[i]), reply);
	go_on(p);
}

static void
on_down(void *arg, enum conn_fault fault, const char *detail)
{
	struct relay_probe *p = arg;

	(void)fault;
	relay_conn_close(&p->conn);
	p->result.error = detail;
	p->done(p->arg, &p->result);
}

static const struct conn_user prober = {
	.on_ready = on_ready,
	.on_reply = on_reply,
	.on_down = on_down,
};

struct relay_probe *
relay_probe_start(const struct relay_setup *setup, unsigned host,
    const struct sockaddr_storage *address, socklen_t len,
    const char *const *say,
    void (*done)(void *arg, const struct relay_probe_result *result), void *arg)
{
	static const char *const nothing[] = { NULL };
	struct relay_probe *p = xcalloc(1, sizeof(*p));

	p->setup = *setup;
	p->say = say != NULL ? say : nothing;
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
	X509_free(p->certificate);
	free(p);
}
