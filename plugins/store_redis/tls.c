/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * hiredis reads and writes through the SSL that we give it; what is checked is
 * ours, for it would not look at the name.
 */
#include "tls.h"

#ifdef HAVE_HIREDIS_SSL

#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls {
	SSL_CTX *context;
	SSL *ssl; /* of the last connection; it is the owner */
};

static void
reason(char *to, size_t len, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code == 0 ? NULL : ERR_reason_error_string(code);

	snprintf(to, len, "%s: %s", what, text == NULL ? "failed" : text);
}

struct tls *
tls_new(const struct tls_settings *s, char err[256])
{
	struct tls *t = calloc(1, sizeof *t);
	const char *what = NULL;

	ERR_clear_error();
	if (t != NULL)
		t->context = SSL_CTX_new(TLS_client_method());
	if (t == NULL || t->context == NULL) {
		snprintf(err, 256, "out of memory");
		free(t);
		return NULL;
	}
	SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION) != 1)
		what = "TLS 1.2";
	else if (s->ca_file == NULL &&
	    SSL_CTX_set_default_verify_paths(t->context) != 1)
		what = "the system's authorities";
	else if (s->ca_file != NULL &&
	    SSL_CTX_load_verify_file(t->context, s->ca_file) != 1)
		what = "ca_file";
	else if (s->certificate != NULL &&
	    SSL_CTX_use_certificate_chain_file(t->context, s->certificate) !=
		1)
		what = "certificate";
	else if (s->key != NULL &&
	    SSL_CTX_use_PrivateKey_file(t->context, s->key,
		SSL_FILETYPE_PEM) != 1)
		what = "key";
	if (what == NULL)
		return t;
	reason(err, 256, what);
	tls_free(&t);
	return NULL;
}

void
tls_free(struct tls **t)
{
	if (*t == NULL)
		return;
	SSL_CTX_free((*t)->context);
	free(*t);
	*t = NULL;
}

/* Whom the certificate must name. */
static bool
expect(SSL *ssl, const char *host)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, host, address) == 1 ||
	    inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
			   host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, host) == 1 &&
	    SSL_set1_host(ssl, host) == 1;
}

bool
tls_start(struct tls *t, redisContext *redis, const char *host)
{
	SSL *ssl = SSL_new(t->context);

	t->ssl = NULL;
	if (ssl == NULL || !expect(ssl, host)) {
		SSL_free(ssl);
		return false;
	}
	if (redisInitiateSSL(redis, ssl) != REDIS_OK) {
		SSL_free(ssl); /* hiredis forgets it then */
		return false;
	}
	t->ssl = ssl;
	return true;
}

enum tls_state
tls_shake_hands(struct tls *t, char *why, size_t len)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1)
		return TLS_DONE;
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return TLS_READS;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WRITES;
	default:
		break;
	}
	if (SSL_get_verify_result(t->ssl) != X509_V_OK)
		snprintf(why, len, "TLS: %s", X509_verify_cert_error_string(
			SSL_get_verify_result(t->ssl)));
	else
		reason(why, len, "TLS");
	return TLS_FAILED;
}

#else

#include <stdio.h>

struct tls *
tls_new(const struct tls_settings *s, char err[256])
{
	(void)s;
	snprintf(err, 256, "rediss:// needs hiredis 1.0 or later with its TLS "
	    "part, with which this Portero was not built; portero.conf(5), "
	    "QUOTAS IN REDIS, shows another way");
	return NULL;
}

void
tls_free(struct tls **t)
{
	*t = NULL;
}

bool
tls_start(struct tls *t, redisContext *redis, const char *host)
{
	(void)t;
	(void)redis;
	(void)host;
	return false;
}

enum tls_state
tls_shake_hands(struct tls *t, char *why, size_t len)
{
	(void)t;
	snprintf(why, len, "no TLS");
	return TLS_FAILED;
}

#endif
