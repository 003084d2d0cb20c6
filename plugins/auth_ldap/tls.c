/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../common/dial.h"

struct tls {
	SSL_CTX *context; /* owned */
};

/* ---- what went wrong ----------------------------------------------------- */

static bool
say(char *reason, size_t size, const char *what, const char *why)
{
	snprintf(reason, size, "%s%s%s", what, *why == '\0' ? "" : ": ", why);
	return false;
}

/* The first error of OpenSSL's queue is the cause of the others. */
static bool
say_error(char *reason, size_t size, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *why = code == 0 ? NULL : ERR_reason_error_string(code);

	if (code != 0 && ERR_SYSTEM_ERROR(code))
		why = strerror(ERR_GET_REASON(code));
	ERR_clear_error();
	return say(reason, size, what, why == NULL ? "failed" : why);
}

/* ---- the context --------------------------------------------------------- */

static bool
load(struct tls *tls, const struct tls_settings *s, char *reason, size_t size)
{
	SSL_CTX *c = tls->context;

	if (s->ca_file != NULL && SSL_CTX_load_verify_file(c, s->ca_file) != 1)
		return say_error(reason, size, s->ca_file);
	if (s->ca_file == NULL && s->verify &&
	    SSL_CTX_set_default_verify_paths(c) != 1)
		return say_error(reason, size, "the system's authorities");
	if (s->certificate != NULL &&
	    SSL_CTX_use_certificate_chain_file(c, s->certificate) != 1)
		return say_error(reason, size, s->certificate);
	if (s->key != NULL &&
	    (SSL_CTX_use_PrivateKey_file(c, s->key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(c) != 1))
		return say_error(reason, size, s->key);
	return true;
}

struct tls *
tls_new(const struct tls_settings *s, char *reason, size_t size)
{
	struct tls *tls = calloc(1, sizeof *tls);

	say(reason, size, "out of memory", "");
	ERR_clear_error();
	if (tls == NULL)
		return NULL;
	tls->context = SSL_CTX_new(TLS_client_method());
	if (tls->context == NULL || !load(tls, s, reason, size)) {
		tls_free(&tls);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls->context,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(tls->context, 1); /* half the reads */
	SSL_CTX_set_options(tls->context,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_verify(tls->context,
	    s->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return tls;
}

void
tls_free(struct tls **tls)
{
	if (*tls == NULL)
		return;
	SSL_CTX_free((*tls)->context);
	free(*tls);
	*tls = NULL;
}

/* ---- the layer under libldap --------------------------------------------- */

static int
layer_setup(Sockbuf_IO_Desc *d, void *ssl)
{
	d->sbiod_pvt = ssl;
	return 0;
}

static int
layer_remove(Sockbuf_IO_Desc *d)
{
	SSL_free(d->sbiod_pvt);
	d->sbiod_pvt = NULL;
	return 0;
}

/* Says goodbye if that can be done at once. */
static int
layer_close(Sockbuf_IO_Desc *d)
{
	SSL_shutdown(d->sbiod_pvt);
	ERR_clear_error();
	return 0;
}

/* OpenSSL reads ahead. poll(2) does not tell of a record that is there
 * already, but it must be asked for the rest of one that is there in part. */
static bool
has_more(SSL *ssl)
{
	char first;
	int why;

	if (SSL_pending(ssl) > 0)
		return true;
	if (!SSL_has_pending(ssl))
		return false;
	ERR_clear_error();
	why = SSL_get_error(ssl, SSL_peek(ssl, &first, 1));
	ERR_clear_error();
	return why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
}

static int
layer_ctrl(Sockbuf_IO_Desc *d, int option, void *arg)
{
	if (option == LBER_SB_OPT_DATA_READY)
		return has_more(d->sbiod_pvt);
	return LBER_SBIOD_CTRL_NEXT(d, option, arg);
}

/* What libldap expects of read(2) and write(2). */
static ber_slen_t
result_of(Sockbuf_IO_Desc *d, int n)
{
	int saved = errno;
	int why = SSL_get_error(d->sbiod_pvt, n);

	ERR_clear_error();
	if (n > 0)
		return n;
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		errno = EWOULDBLOCK;
	else
		errno = why == SSL_ERROR_SYSCALL && saved != 0 ? saved :
								 ECONNRESET;
	return -1;
}

static int
bounded(ber_len_t len)
{
	return len > INT_MAX ? INT_MAX : (int)len;
}

static ber_slen_t
layer_read(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	errno = 0;
	return result_of(d, SSL_read(d->sbiod_pvt, buf, bounded(len)));
}

static ber_slen_t
layer_write(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	errno = 0;
	return result_of(d, SSL_write(d->sbiod_pvt, buf, bounded(len)));
}

static Sockbuf_IO layer = {
	.sbi_setup = layer_setup,
	.sbi_remove = layer_remove,
	.sbi_ctrl = layer_ctrl,
	.sbi_read = layer_read,
	.sbi_write = layer_write,
	.sbi_close = layer_close,
};

/* ---- the handshake ------------------------------------------------------- */

/* An address must stand in the certificate as one (RFC 4513 section 3.1.3). */
static bool
expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return true;
	return SSL_set1_host(ssl, host) == 1 &&
	    SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* The descriptor is ready for what the handshake wants. */
static bool
wait_for(SSL *ssl, int why, int64_t until_ms)
{
	int64_t left = until_ms - dial_now_ms();
	struct pollfd p = { .fd = SSL_get_fd(ssl),
		.events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT };
	int n;

	if (left <= 0)
		return false;
	n = poll(&p, 1, (int)left);
	/* after a signal the handshake itself finds out */
	return n > 0 || (n == -1 && errno == EINTR);
}

static bool
shake_hands(SSL *ssl, int64_t until_ms, char *reason, size_t size)
{
	int n, why;

	ERR_clear_error();
	while ((n = SSL_connect(ssl)) != 1) {
		why = SSL_get_error(ssl, n);
		if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
			if (wait_for(ssl, why, until_ms))
				continue;
			return say(reason, size, "TLS", "no answer in time");
		}
		if (SSL_get_verify_result(ssl) != X509_V_OK)
			return say(reason, size,
			    "TLS: the certificate is not good",
			    X509_verify_cert_error_string(
				SSL_get_verify_result(ssl)));
		return say_error(reason, size, "TLS");
	}
	return true;
}

bool
tls_start(struct tls *tls, LDAP *ld, int fd, const char *host,
    int64_t until_ms, char *reason, size_t size)
{
	SSL *ssl = SSL_new(tls->context);
	Sockbuf *sb = NULL;

	say(reason, size, "out of memory", "");
	if (ssl == NULL)
		return false;
	if (SSL_set_fd(ssl, fd) != 1 || !expect_host(ssl, host) ||
	    ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS ||
	    !shake_hands(ssl, until_ms, reason, size) ||
	    ber_sockbuf_add_io(sb, &layer, LBER_SBIOD_LEVEL_TRANSPORT, ssl) !=
		0) {
		SSL_free(ssl);
		ERR_clear_error();
		return false;
	}
	return true;
}
