/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A connection's first words: greeting, EHLO (HELO where it is not known),
 * STARTTLS when the configuration wants it, EHLO again, AUTH when there is an
 * account. Nothing that was said before TLS counts after it, and without TLS
 * that was asked for there is no connection. XCLIENT begins it all again, but
 * for AUTH where it told a name: that stands for ours then.
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
	if (c->host->config->tls == CONFIG_UPSTREAM_IMPLICIT)
		c->phase = CONN_GREETING;
	else
		say(c, CONN_EHLO, "EHLO");
}

static void
ready(struct relay_conn *c)
{
	c->phase = CONN_READY;
	relay_conn_expect(c, 0);
	c->user->on_ready(c->arg);
}

static void
offered(struct relay_conn *c, const struct smtp_reply *reply)
{
	enum config_upstream_tls tls = c->host->config->tls;
	bool has_starttls;

	memset(&c->offer, 0, sizeof(c->offer));
	if (c->phase == CONN_EHLO)
		smtp_offer_parse(&c->offer, reply);
	/* RFC 8689 section 4.2.1: only where its name was verified. */
	if (c->ssl == NULL || tls == CONFIG_UPSTREAM_OPPORTUNISTIC ||
	    !c->host->config->verify)
		c->offer.extensions &= ~(uint32_t)SMTP_EXT_REQUIRETLS;
	has_starttls = (c->offer.extensions & SMTP_EXT_STARTTLS) != 0;
	if (c->ssl == NULL && tls == CONFIG_UPSTREAM_STARTTLS && !has_starttls)
		relay_conn_down(c, CONN_TLS, "STARTTLS is not offered");
	else if (c->ssl == NULL && tls != CONFIG_UPSTREAM_NONE && has_starttls)
		say(c, CONN_STARTTLS, "STARTTLS");
	else if (c->host->access->password != NULL && !c->named)
		relay_account_say(c);
	else
		ready(c);
}

void
relay_hello_refused(
    struct relay_conn *c, const char *what, const struct smtp_reply *reply)
{
	char text[200];
	enum conn_fault fault = CONN_LOST;

	if (c->phase == CONN_STARTTLS)
		fault = CONN_TLS;
	else if (reply->code < 400 ||
		 (c->phase >= CONN_AUTH && reply->code >= 500))
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
			relay_hello_refused(c, "greeting", reply);
		break;
	case CONN_EHLO:
		if (reply->code == 250)
			offered(c, reply);
		else if (reply->code >= 500)
			say(c, CONN_HELO, "HELO");
		else
			relay_hello_refused(c, "EHLO", reply);
		break;
	case CONN_HELO:
		if (reply->code == 250)
			offered(c, reply);
		else
			relay_hello_refused(c, "HELO", reply);
		break;
	case CONN_STARTTLS:
		if (reply->code == 220)
			c->phase = CONN_HANDSHAKE;
		else
			relay_hello_refused(c, "STARTTLS", reply);
		break;
	case CONN_XCLIENT:
		if (reply->code == 220)
			say(c, CONN_EHLO, "EHLO");
		else
			relay_hello_refused(c, "XCLIENT", reply);
		break;
	case CONN_AUTH:
		if (relay_account_reply(c, reply))
			ready(c);
		break;
	default:
		break; /* conn.c gives us none */
	}
}
