/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * TLS to the upstream: TLS 1.2 or newer, the certificate verified against the
 * name that the configuration gives or by its fingerprint, unless it says
 * otherwise; our own certificate where there is one; the last session of each
 * address is resumed. Everything that needs files is read here, before the
 * worker gives up its rights: the system's folder of hashed certificates could
 * not be searched later.
 *
 * A session is resumed only with the host and the address it was made with,
 * under the context that verified it: the name is not looked at again.
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
trust_authorities(
    SSL_CTX *ctx, const struct config_upstream *u, struct error *err)
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

/* ---- trust by fingerprint ---- */

static void
print_digest(const unsigned char digest[32], char hex[FINGERPRINT_SIZE])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static bool
is_pinned(const struct config_upstream *u, const char *hex)
{
	for (size_t i = 0; u->fingerprints[i] != NULL; i++)
		if (strcmp(u->fingerprints[i], hex) == 0)
			return true;
	return false;
}

/* In place of the chain's verification. */
static int
verify_fingerprint(X509_STORE_CTX *store, void *arg)
{
	struct relay_access *a = arg;
	X509 *x = X509_STORE_CTX_get0_cert(store);
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	char key[FINGERPRINT_SIZE] = "";
	unsigned n = 0;
	int len;

	a->shown[0] = '\0';
	if (x != NULL && X509_digest(x, EVP_sha256(), digest, &n) == 1)
		print_digest(digest, a->shown);
	len = x == NULL ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	if (len > 0 && EVP_Digest(der, (size_t)len, digest, &n, EVP_sha256(),
			   NULL) == 1)
		print_digest(digest, key);
	OPENSSL_free(der);
	if (is_pinned(a->config, a->shown) || is_pinned(a->config, key)) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* ---- sessions to resume ---- */

static struct tls_memory *
memory_of(const struct relay_conn *c)
{
	struct relay_access *a = c->host->access;
	struct tls_memory *oldest = &a->memory[0];

	for (size_t i = 0; i < RELAY_TLS_MEMORY; i++) {
		if (a->memory[i].host == c->host->name &&
		    strcmp(a->memory[i].peer, c->peer) == 0)
			return &a->memory[i];
		if (a->memory[i].used < oldest->used)
			oldest = &a->memory[i];
	}
	SSL_SESSION_free(oldest->session);
	*oldest = (struct tls_memory){ .host = c->host->name };
	str_copy(oldest->peer, sizeof(oldest->peer), str_of(c->peer));
	return oldest;
}

/* TLS 1.3 brings them after the handshake, with whatever is read first. */
static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct relay_conn *c = SSL_get_app_data(ssl);
	struct tls_memory *m = memory_of(c);

	SSL_SESSION_free(m->session);
	m->session = session;
	return 1; /* it is ours now */
}

static void
resume(struct relay_conn *c, SSL *ssl)
{
	struct tls_memory *m = memory_of(c);

	m->used = ++c->host->access->clock;
	if (m->session != NULL && SSL_SESSION_is_resumable(m->session) == 1)
		SSL_set_session(ssl, m->session);
}

void
relay_tls_forget(struct relay_access *a)
{
	for (size_t i = 0; i < RELAY_TLS_MEMORY; i++)
		SSL_SESSION_free(a->memory[i].session);
}

/* ---- contexts ---- */

static int
present(SSL_CTX *ctx, const struct config_upstream *u, struct error *err)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, u->certificate) != 1)
		return error_set(err, ERROR_PERMANENT,
		    "upstream: cannot use the certificate \"%s\": %s",
		    u->certificate, openssl_error());
	if (SSL_CTX_use_PrivateKey_file(ctx, u->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return error_set(err, ERROR_PERMANENT,
		    "upstream: cannot use the key \"%s\": %s", u->key,
		    openssl_error());
	return 0;
}

static void
set_modes(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
				     SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_new_session);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
				  SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
}

int
relay_tls_open(struct relay_access *a, struct error *err)
{
	const struct config_upstream *u = a->config;

	ERR_clear_error();
	a->tls = SSL_CTX_new(TLS_client_method());
	if (a->tls == NULL ||
	    SSL_CTX_set_min_proto_version(a->tls, TLS1_2_VERSION) != 1)
		return error_set(
		    err, ERROR_INTERNAL, "upstream: TLS: %s", openssl_error());
	set_modes(a->tls);
	if (u->certificate != NULL && present(a->tls, u, err) == -1)
		return -1;
	if (u->tls == CONFIG_UPSTREAM_OPPORTUNISTIC || !u->verify)
		return 0;
	if (u->fingerprints == NULL || u->fingerprints[0] == NULL)
		return trust_authorities(a->tls, u, err);
	SSL_CTX_set_verify(a->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(a->tls, verify_fingerprint, a);
	return 0;
}

/* ---- connections ---- */

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
relay_tls_session(struct relay_conn *c)
{
	SSL *ssl;

	ERR_clear_error();
	ssl = SSL_new(c->host->access->tls);
	if (ssl == NULL)
		return NULL;
	if (SSL_set_fd(ssl, c->fd) != 1 ||
	    !set_names(ssl, verified_name(c->host))) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_app_data(ssl, c);
	resume(c, ssl);
	SSL_set_connect_state(ssl);
	return ssl;
}

/* However the connection ended: its session is as good as before. */
void
relay_tls_free(struct relay_conn *c)
{
	if (c->ssl != NULL && SSL_is_init_finished(c->ssl) == 1)
		SSL_set_shutdown(
		    c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	c->ssl = NULL;
}

void
relay_tls_error(struct relay_conn *c, int result, char *to, size_t size)
{
	long verified = SSL_get_verify_result(c->ssl);
	const char *why = "closed by the upstream";

	if (verified == X509_V_ERR_APPLICATION_VERIFICATION) {
		snprintf(to, size,
		    "TLS: the certificate has another fingerprint: %s",
		    c->host->access->shown);
		return;
	}
	if (verified != X509_V_OK &&
	    SSL_get_verify_mode(c->ssl) != SSL_VERIFY_NONE)
		why = X509_verify_cert_error_string(verified);
	else if (result == SSL_ERROR_SSL || ERR_peek_error() != 0)
		why = openssl_error();
	snprintf(to, size, "TLS: %s", why);
}
