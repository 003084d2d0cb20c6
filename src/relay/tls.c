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

#include "base/openssl.h"

static const char *
verified_name(const struct config_upstream *u)
{
	return u->tls_name != NULL ? u->tls_name : u->host;
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
	const char *name = verified_name(u);
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	int ok;

	if (SSL_CTX_load_verify_file(ctx, file) != 1)
		return error_set(err, ERROR_PERMANENT,
		    "upstream: cannot read certification authorities from "
		    "\"%s\": %s",
		    file, openssl_error());
	X509_VERIFY_PARAM_set_hostflags(
	    param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(name))
		ok = X509_VERIFY_PARAM_set1_ip_asc(param, name);
	else
		ok = X509_VERIFY_PARAM_set1_host(param, name, 0);
	if (ok != 1)
		return error_set(err, ERROR_PERMANENT,
		    "upstream: \"%s\" cannot be verified in a certificate",
		    name);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

struct ssl_ctx_st *
relay_tls_new(const struct config_upstream *u, struct error *err)
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

SSL *
relay_tls_session(
    struct ssl_ctx_st *ctx, const struct config_upstream *u, int fd)
{
	const char *name = verified_name(u);
	SSL *ssl;

	ERR_clear_error();
	ssl = SSL_new(ctx);
	if (ssl == NULL)
		return NULL;
	if (SSL_set_fd(ssl, fd) != 1 ||
	    (!is_address(name) && SSL_set_tlsext_host_name(ssl, name) != 1)) {
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
