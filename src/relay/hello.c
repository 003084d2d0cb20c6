/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A connection's first words: greeting, EHLO (HELO where it is not known),
 * STARTTLS when the configuration wants it, EHLO again. Nothing that was
 * said before TLS counts after it, and without TLS that was asked for there is
 * no connection.
 */
#include "relay/relay_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void
say(struct relay_conn *c, enum conn_phase phase, const char *verb)
{
	char line[300];
	int n;

	c->phase = phase;
	if (phase == CONN_STARTTLS)
		n = snprintf(line, sizeof(line), "%s\r\n", verb);
	else
		n = snprintf(
		    line, sizeof(line), "%s %s\r\n", verb, c->host->setup->config->hostname);
	assert(n > 0 && (size_t)n < sizeof(line));
	relay_conn_write(c, line, (size_t)n);
}

void
relay_hello_secured(struct relay_conn *c)
{
	if (c->host->config->tls == CONFIG_UPSTREAM_STARTTLS)
		say(c, CONN_EHLO, "EHLO");
	else
		c->phase = CONN_GREETING;
}

static void
offered(struct relay_conn *c, const struct smtp_reply *reply)
{
	bool wants_tls =
	    c->host->config->tls == CONFIG_UPSTREAM_STARTTLS && c->ssl == NULL;

	memset(&c->offer, 0, sizeof(c->offer));
	if (c->phase == CONN_EHLO)
		smtp_offer_parse(&c->offer, reply);
	if (!wants_tls) {
		c->phase = CONN_READY;
		relay_conn_expect(c, 0);
		c->user->on_ready(c->arg);
	} else if ((c->offer.extensions & SMTP_EXT_STARTTLS) == 0) {
		relay_conn_down(c, CONN_TLS, "STARTTLS is not offered");
	} else {
		say(c, CONN_STARTTLS, "STARTTLS");
	}
}

static void
refused(struct relay_conn *c, const char *what, const struct smtp_reply *reply)
{
	char text[200];
	enum conn_fault fault = CONN_LOST;

	if (c->phase == CONN_STARTTLS)
		fault = CONN_TLS;
	else if (reply->code < 400)
		fault = CONN_BROKEN;
	smtp_reply_summary(text, sizeof(text), reply);
	relay_conn_down(c, fault, "%s: %s", what, text);
}

void
relay_hello_reply(struct relay_conn *c, const struct smtp_reply *reply)
{
	if (c->queued > c->sent) {
		relay_conn_down(
		    c, CONN_BROKEN, "an answer before its question");
		return;
	}
	switch (c->phase) {
	case CONN_GREETING:
		if (reply->code == 220)
			say(c, CONN_EHLO, "EHLO");
		else
			refused(c, "greeting", reply);
		break;
	case CONN_EHLO:
		if (reply->code == 250)
			offered(c, reply);
		else if (reply->code >= 500)
			say(c, CONN_HELO, "HELO");
		else
			refused(c, "EHLO", reply);
		break;
	case CONN_HELO:
		if (reply->code == 250)
			offered(c, reply);
		else
			refused(c, "HELO", reply);
		break;
	case CONN_STARTTLS:
		if (reply->code == 220)
			c->phase = CONN_HANDSHAKE;
		else
			refused(c, "STARTTLS", reply);
		break;
	default:
		break; /* conn.c gives us none */
	}
}
