/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What it takes to be let in by an upstream: the TLS context, and the account
 * of AUTH (RFC 4954), which is said only on a connection whose TLS is verified
 * (the configuration allows no other). It owns both; the password is wiped
 * with it.
 */
#include "relay/relay_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "smtp/sasl.h"

static void
access_free(struct relay_access *a)
{
	if (a == NULL)
		return;
	relay_tls_forget(a);
	SSL_CTX_free(a->tls);
	secret_free(&a->password);
	free(a);
}

static struct relay_access *
access_new(
    const struct config_upstream *u, bool with_account, struct error *err)
{
	struct relay_access *a = xcalloc(1, sizeof(*a));
	bool fine = true;

	a->config = u;
	if (u->tls != CONFIG_UPSTREAM_NONE)
		fine = relay_tls_open(a, err) == 0;
	if (fine && with_account && u->password_file != NULL) {
		a->password = secret_from_file(u->password_file, err);
		fine = a->password != NULL;
	}
	if (fine)
		return a;
	access_free(a);
	return NULL;
}

struct relay_access **
relay_access_new(const struct config *c, bool with_account, struct error *err)
{
	struct relay_access **all = xcalloc(c->nupstreams, sizeof(*all));

	for (size_t i = 0; i < c->nupstreams; i++) {
		all[i] = access_new(&c->upstreams[i], with_account, err);
		if (all[i] == NULL) {
			relay_access_free(&all, c);
			return NULL;
		}
	}
	return all;
}

void
relay_access_free(struct relay_access ***access, const struct config *c)
{
	for (size_t i = 0; *access != NULL && i < c->nupstreams; i++)
		access_free((*access)[i]);
	free(*access);
	*access = NULL;
}

/* ---- AUTH ---- */

/* Base64 of all parts behind `words`, as a line. */
static void
write_secret(struct relay_conn *c, const char *words, const void *data,
    size_t len)
{
	char line[SMTP_SASL_LINE_MAX];
	int n = snprintf(line, sizeof(line), "%s", words);
	ptrdiff_t coded = smtp_base64_encode(
	    data, len, line + n, sizeof(line) - (size_t)n - 2);

	if (coded < 0) {
		relay_conn_down(c, CONN_BROKEN, "AUTH: the account is too long");
		return;
	}
	memcpy(line + n + coded, "\r\n", 2);
	relay_conn_write(c, line, (size_t)(n + coded) + 2);
	OPENSSL_cleanse(line, sizeof(line));
}

static void
say_plain(struct relay_conn *c)
{
	struct str user = str_of(c->host->config->user);
	struct str password = secret_str(c->host->access->password);
	struct buf message = { 0 };

	buf_append(&message, "", 1); /* no other identity */
	buf_append_str(&message, user);
	buf_append(&message, "", 1);
	buf_append_str(&message, password);
	write_secret(c, "AUTH PLAIN ", buf_data(&message), buf_len(&message));
	buf_wipe(&message);
	buf_free(&message);
}

void
relay_account_say(struct relay_conn *c)
{
	c->phase = CONN_AUTH;
	if ((c->offer.mechanisms & SMTP_OFFERS_PLAIN) != 0) {
		say_plain(c);
		c->auth_left = 0;
	} else if ((c->offer.mechanisms & SMTP_OFFERS_LOGIN) != 0) {
		relay_conn_write(c, "AUTH LOGIN\r\n", 12);
		c->auth_left = 2;
	} else {
		relay_conn_down(
		    c, CONN_BROKEN, "AUTH PLAIN and LOGIN are not offered");
	}
}

bool
relay_account_reply(struct relay_conn *c, const struct smtp_reply *reply)
{
	const struct config_upstream *u = c->host->config;
	struct str word;

	if (reply->code == 235 && c->auth_left == 0)
		return true;
	if (reply->code == 503 && c->login != NULL)
		return true; /* XCLIENT let our account stand */
	if (reply->code == 334 && c->auth_left > 0) {
		/* first the name is asked for, then the password */
		word = c->auth_left-- == 2
			   ? str_of(u->user)
			   : secret_str(c->host->access->password);
		write_secret(c, "", word.ptr, word.len);
	} else {
		relay_hello_refused(c, "AUTH", reply);
	}
	return false;
}
