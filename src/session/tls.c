/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Server contexts. The first `tls` section answers clients that name no host
 * or one that no certificate carries.
 */
#include "session/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "base/openssl.h"

/* Mozilla's server side TLS guidelines, version 5.7. */
#define INTERMEDIATE_CIPHERS \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

struct tls_server {
	size_t n;
	SSL_CTX **contexts; /* [n], in the order of the file */
};

static int
tls_error(struct error *err, const char *what, const char *path)
{
	return error_set(err, ERROR_PERMANENT, "tls: %s %s: %s", what, path,
	    openssl_error());
}

/* Does a certificate of this context carry the name? */
static bool
context_covers(SSL_CTX *ctx, const char *name)
{
	bool covers = false;
	int more;

	for (more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST);
	     more == 1 && !covers;
	     more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT)) {
		X509 *cert = SSL_CTX_get0_certificate(ctx);

		covers = cert != NULL &&
		    X509_check_host(cert, name, 0, 0, NULL) == 1;
	}
	return covers;
}

static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *t = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 0; i < t->n; i++) {
		if (context_covers(t->contexts[i], name)) {
			SSL_set_SSL_CTX(ssl, t->contexts[i]);
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static int
context_load(SSL_CTX *ctx, const struct config_tls *section, struct error *err)
{
	for (size_t i = 0; section->certificate[i] != NULL; i++) {
		const char *cert = section->certificate[i];
		const char *key = section->key[i];

		ERR_clear_error();
		if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
			return tls_error(err, "certificate", cert);
		if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
			return tls_error(err, "key", key);
		if (SSL_CTX_check_private_key(ctx) != 1)
			return tls_error(err, "key does not fit", cert);
	}
	return 0;
}

static SSL_CTX *
context_new(const struct config_tls *section, struct error *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL) {
		tls_error(err, "context", "");
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx,
	    section->profile == CONFIG_PROFILE_MODERN ? TLS1_3_VERSION
						      : TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ctx, INTERMEDIATE_CIPHERS);
	SSL_CTX_set1_groups_list(ctx, GROUPS);
	/* A mail client that closes without close_notify is no error; inside
	 * a body the missing end of data shows the truncation. Plaintext is
	 * wiped once read: it may have been a password. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
	    SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CLEANSE_PLAINTEXT);
	/* Our order of ciphers; a client that likes ChaCha20 best has no
	 * hardware for AES. */
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	if (context_load(ctx, section, err) == -1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

struct tls_server *
tls_server_new(const struct config *config, struct error *err)
{
	struct tls_server *t = xcalloc(1, sizeof *t);

	t->contexts = xcalloc(config->ntls, sizeof *t->contexts);
	for (size_t i = 0; i < config->ntls; i++) {
		t->contexts[i] = context_new(&config->tls[i], err);
		if (t->contexts[i] == NULL) {
			tls_server_free(&t);
			return NULL;
		}
		t->n++;
	}
	/* SNI is looked at in the context the connection starts with, and
	 * only where there is something to choose from. */
	if (t->n == 1)
		return t;
	SSL_CTX_set_tlsext_servername_callback(t->contexts[0], on_server_name);
	SSL_CTX_set_tlsext_servername_arg(t->contexts[0], t);
	return t;
}

void
tls_server_free(struct tls_server **tp)
{
	struct tls_server *t = *tp;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		SSL_CTX_free(t->contexts[i]);
	free(t->contexts);
	free(t);
	*tp = NULL;
}

SSL_CTX *
tls_server_context(const struct tls_server *t)
{
	return t->contexts[0];
}
