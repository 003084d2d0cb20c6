/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Watches the upstream: resolves its name, probes it, and publishes what it
 * found in shared memory for the session workers.
 */
#ifndef CONTROL_UPSTREAM_H
#define CONTROL_UPSTREAM_H

#include "config/conf.h"
#include "ipc/shared.h"

#define UPSTREAM_PROBE_EVERY_S 30
#define UPSTREAM_RETRY_S 5           /* a name that did not resolve */
#define UPSTREAM_FIRST_PROBE_MS 2000 /* on_ready waits this long for it */

struct event_base;
struct ssl_ctx_st;
struct upstream_watch;

struct upstream_setup { /* all borrowed */
	struct event_base *base;
	const struct config *config;
	struct shared *shared;
	unsigned row;
	struct ssl_ctx_st *tls; /* NULL: none */
	/* Once: the first resolution has ended, and the first probe too or is
	 * late. */
	void (*on_ready)(void *arg);
	void *arg;
};

struct upstream_watch *upstream_watch_new(const struct upstream_setup *setup);
/* From here on nothing is published any more. */
void upstream_watch_stop(struct upstream_watch *w);
/* When the event loop has ended. */
void upstream_watch_free(struct upstream_watch **w);

/* "192.0.2.1:25" or "[2001:db8::1]:25". */
void upstream_address_print(
    const struct sockaddr_storage *a, socklen_t len, char *to, size_t size);

#endif
