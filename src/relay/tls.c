/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * TLS to the upstream: TLS 1.2 or newer, the certificate verified against the
 * name that the configuration gives, unless it says otherwise. Everything
 * that needs files is read here, before the worker gives up its rights: the
 * system's folder of hashed certificates could not be searched later.
 */
#include "relay/relay_private.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "base/openssl.h"

static const char *
verified_name(const struct relay_host *h)
{
	return h->config->tls_name != NULL ? h->config->tls_name
					   : h->name->name;
}

static bool
is_address(const char *name)
{
	unsigned char to[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, to) == 1 ||
	       inet_pton(AF_INET6, name, to) == 1;
}

/* The bundle of the system's certification authorities. */
static const char *
system_bundle(void)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/cert.pem",
	};
	const char *file = getenv(X509_get_default_cert_file_env());
	size_t i;

	if (file != NULL)
		return file;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return X509_get_default_cert_file();
}

static int
trust(SSL_CTX *ctx, const struct config_upstream *u, struct error *err)
{
	const char *file = u->ca_file != NULL ? u->ca_file : system_bundle();

	if (SSL_CTX_load_verify_file(ctx, file) != 1)
		return error_set(err, ERROR_PERMANENT,
		    "upstream: cannot read certification authorities from "
		    "\"%s\": %s",
		    file, openssl_error());
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

static SSL_CTX *
context_new(const struct config_upstream *u, struct error *err)
{
	SSL_CTX *ctx, *done = NULL;

	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL ||
	    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		error_set(
		    err, ERROR_INTERNAL, "upstream: TLS: %s", openssl_error());
		goto out;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
				     SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
				  SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	if (u->verify && trust(ctx, u, err) == -1)
		goto out;
	done = ctx;
	ctx = NULL;
out:
	SSL_CTX_free(ctx);
	return done;
}

struct ssl_ctx_st **
relay_tls_new(const struct config *c, struct error *err)
{
	SSL_CTX **tls = xcalloc(c->nupstreams, sizeof(*tls));
	size_t i;

	for (i = 0; i < c->nupstreams; i++) {
		if (c->upstreams[i].tls == CONFIG_UPSTREAM_NONE)
			continue;
		tls[i] = context_new(&c->upstreams[i], err);
		if (tls[i] == NULL) {
			relay_tls_free(&tls, c);
			return NULL;
		}
	}
	return tls;
}

void
relay_tls_free(struct ssl_ctx_st ***tls, const struct config *c)
{
	size_t i;

	for (i = 0; *tls != NULL && i < c->nupstreams; i++)
		SSL_CTX_free((*tls)[i]);
	free(*tls);
	*tls = NULL;
}

/* The name to show, and the one to expect. */
static bool
set_names(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(
	    param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *
relay_tls_session(const struct relay_host *h, int fd)
{
	SSL *ssl;

	ERR_clear_error();
	ssl = SSL_new(h->tls);
	if (ssl == NULL)
		return NULL;
	if (SSL_set_fd(ssl, fd) != 1 || !set_names(ssl, verified_name(h))) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

void
relay_tls_error(SSL *ssl, int result, char *to, size_t size)
{
	long verified = SSL_get_verify_result(ssl);
	const char *why = "closed by the upstream";

	if (verified != X509_V_OK &&
	    SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
		why = X509_verify_cert_error_string(verified);
	else if (result == SSL_ERROR_SSL || ERR_peek_error() != 0)
		why = openssl_error();
	snprintf(to, size, "TLS: %s", why);
}
