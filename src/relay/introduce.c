/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who is behind a transaction, for an upstream that trusts us (Postfix's
 * XFORWARD_README and XCLIENT_README). XFORWARD tells its log, before every
 * MAIL, as it forgets it with each message. XCLIENT LOGIN makes the connection
 * the person's; it goes on from its greeting then, and is given another name
 * before it serves another person. With xclient = address it has become the
 * client's in every respect and is not used again. Either makes the server
 * forget our account; the name, if one was told, counts as logged in.
 *
 * Values go as xtext (RFC 3461 section 4), so that nothing a client says can
 * end a value or the line.
 */
#include "relay/relay_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Postfix takes 512 octets of a command and 255 of a value. */
#define VALUE_MAX 255

/* false: it is empty or too long. */
static bool
encode(char to[VALUE_MAX + 1], const char *value)
{
	size_t n = 0;

	for (; *value != '\0' && n + 3 <= VALUE_MAX; value++) {
		unsigned char c = (unsigned char)*value;

		if (c > 32 && c < 127 && c != '+' && c != '=')
			to[n++] = (char)c;
		else
			n += (size_t)snprintf(to + n, 4, "+%02X", c);
	}
	to[n] = '\0';
	return n > 0 && *value == '\0';
}

static void
add(struct buf *line, const char *name, const char *value)
{
	char xtext[VALUE_MAX + 1];

	buf_appendf(line, " %s=%s", name,
	    encode(xtext, value) ? xtext : "[UNAVAILABLE]");
}

static void
add_address(struct buf *line, const char *address)
{
	bool is_v6 = strchr(address, ':') != NULL;

	buf_appendf(line, " ADDR=%s%s", is_v6 ? "IPV6:" : "", address);
}

/* The client, as far as those attributes go. */
static void
say(struct relay_conn *c, const char *verb, const struct relay_ticket *t,
    uint32_t attributes)
{
	const struct {
		uint32_t attribute;
		const char *name, *value;
	} table[] = {
		{ SMTP_CLIENT_NAME, "NAME", "" }, /* nobody has looked it up */
		{ SMTP_CLIENT_PROTO, "PROTO", "ESMTP" },
		{ SMTP_CLIENT_HELO, "HELO", t->helo },
		{ SMTP_CLIENT_IDENT, "IDENT", t->sid },
		{ SMTP_CLIENT_SOURCE, "SOURCE", "REMOTE" },
		{ SMTP_CLIENT_LOGIN, "LOGIN", t->login },
	};
	struct buf line = { 0 };

	buf_appendf(&line, "%s", verb);
	if ((attributes & SMTP_CLIENT_ADDR) != 0)
		add_address(&line, t->address);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if ((attributes & table[i].attribute) != 0)
			add(&line, table[i].name, table[i].value);
	buf_append_str(&line, STR("\r\n"));
	relay_conn_write(c, buf_data(&line), buf_len(&line));
	buf_free(&line);
}

bool
relay_present(struct relay *r)
{
	struct relay_conn *c = r->conn;
	const struct config_upstream *u = c->host->config;
	uint32_t attributes = c->offer.xclient;
	char xtext[VALUE_MAX + 1];

	if (u->xclient == CONFIG_XCLIENT_LOGIN)
		attributes &= SMTP_CLIENT_LOGIN;
	if (u->xclient == CONFIG_XCLIENT_NONE || attributes == 0 ||
	    (c->login != NULL && strcmp(c->login, r->ticket.login) == 0))
		return false;
	free(c->login);
	c->login = xstrdup(r->ticket.login);
	c->named = (attributes & SMTP_CLIENT_LOGIN) != 0 &&
	           encode(xtext, c->login);
	c->retire = c->retire || u->xclient == CONFIG_XCLIENT_ADDRESS;
	c->phase = CONN_XCLIENT;
	say(c, "XCLIENT", &r->ticket, attributes);
	relay_conn_expect(c, u->connect_timeout_ms);
	return true;
}

void
relay_introduce(struct relay *r)
{
	struct relay_conn *c = r->conn;

	if (!c->host->config->xforward || c->offer.xforward == 0)
		return;
	say(c, "XFORWARD", &r->ticket,
	    c->offer.xforward & ~(uint32_t)SMTP_CLIENT_LOGIN);
	r->introducing = true;
	r->introduction_end = c->queued;
}
