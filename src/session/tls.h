/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The server side of TLS: Mozilla's "intermediate" or "modern" profile, one
 * context for each `tls` section (certificates as an ECDSA + RSA pair), chosen
 * by SNI. No tickets, no session cache.
 */
#ifndef SESSION_TLS_H
#define SESSION_TLS_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "config/conf.h"

struct tls_server;

/* Reads certificates and keys: before rights are dropped. NULL: reason in err. */
struct tls_server *tls_server_new(const struct config *config, struct error *err);
void tls_server_free(struct tls_server **t);
/* The context a connection starts with; SNI may move it to another. */
SSL_CTX *tls_server_context(const struct tls_server *t);

#endif
