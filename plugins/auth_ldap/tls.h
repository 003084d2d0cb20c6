/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * TLS under libldap, by OpenSSL. libldap's own waits without end for a server
 * that sends its part of the handshake in drips, and takes localhost for the
 * machine's own name.
 *
 * What must hold: nothing here ever waits longer than it is told to.
 */
#ifndef AUTH_LDAP_TLS_H
#define AUTH_LDAP_TLS_H

#include <ldap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_settings {
	bool verify;
	const char *ca_file;     /* NULL: the system's authorities */
	const char *certificate; /* NULL: none */
	const char *key;
};

/* What all connections share; made once, since reading the authorities takes
 * its time. */
struct tls;

/* NULL: the reason is in reason. */
struct tls *tls_new(const struct tls_settings *s, char *reason, size_t size);
void tls_free(struct tls **tls);

/* From now on ld speaks TLS on its descriptor fd, which does not block.
 * false: the reason is in reason. until_ms: of dial_now_ms(). */
bool tls_start(struct tls *tls, LDAP *ld, int fd, const char *host,
    int64_t until_ms, char *reason, size_t size);

#endif
