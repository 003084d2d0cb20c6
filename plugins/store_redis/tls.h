/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * TLS to a server: its certificate must be valid and name the host of its
 * uri. hiredis before 1.0 cannot do it: tls_new() says so then.
 */
#ifndef STORE_REDIS_TLS_H
#define STORE_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

struct tls;
struct tls_settings {
	char *ca_file;     /* NULL: the system's authorities */
	char *certificate; /* NULL: none of ours */
	char *key;
};

/* NULL: the reason is in err. */
struct tls *tls_new(const struct tls_settings *s, char err[256]);
void tls_free(struct tls **t);

enum tls_state { TLS_DONE = 1, TLS_READS, TLS_WRITES, TLS_FAILED };

/* Begins TLS on a connection that is just made. false: it failed. */
bool tls_start(struct tls *t, redisContext *redis, const char *host);
/* Goes on with the handshake; READS, WRITES: when that is possible. FAILED:
 * the reason is in why. */
enum tls_state tls_shake_hands(struct tls *t, char *why, size_t len);

#endif
