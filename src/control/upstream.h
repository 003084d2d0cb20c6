/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Watches the hosts of all upstreams: resolves their names, probes them, and
 * publishes what it found in shared memory for the session workers.
 */
#ifndef CONTROL_UPSTREAM_H
#define CONTROL_UPSTREAM_H

#include <stdbool.h>

#include "config/conf.h"
#include "ipc/board.h"
#include "ipc/shared.h"

#define UPSTREAM_PROBE_EVERY_S 30
#define UPSTREAM_RETRY_S 5           /* a name that did not resolve, a host
				      * that is down */
#define UPSTREAM_FIRST_PROBE_MS 2000 /* on_ready waits this long for it */
#define UPSTREAM_HOLD_MAX_S 60 /* a host that fails again and again rests */
#define UPSTREAM_GOOD_S 300    /* up for so long, it is like new */

struct event_base;
struct relay_access;
struct upstream_watch;

struct upstream_setup { /* all borrowed */
	struct event_base *base;
	const struct config *config;
	struct shared *shared;
	struct board *board;
	unsigned row;
	uint32_t generation;
	struct relay_access *const *access; /* one for each upstream */
	/* Once: every host was looked up and probed, or that takes too long. */
	void (*on_ready)(void *arg);
	void *arg;
};

struct upstream_watch *upstream_watch_new(const struct upstream_setup *setup);
/* From here on nothing is published any more. */
void upstream_watch_stop(struct upstream_watch *w);
/* When the event loop has ended. */
void upstream_watch_free(struct upstream_watch **w);

/* What is known of a host, for the operator. */
struct upstream_report {
	const struct config_upstream *section;
	const struct config_host *host;
	const char *state; /* resolving, unresolved, unknown, up, down, drained */
	struct upstream_state known;
	uint64_t active; /* transactions */
};
/* The host of that index; false: there are no more. */
bool upstream_report(
    const struct upstream_watch *w, unsigned index, struct upstream_report *to);
/* Nothing new goes to the host ("name" or "name:port") any more, or again.
 * Returns how many are meant: it may be in several sections. */
unsigned upstream_drain(
    struct upstream_watch *w, const char *host, bool drained);

/* "192.0.2.1:25" or "[2001:db8::1]:25". */
void upstream_address_print(
    const struct sockaddr_storage *a, socklen_t len, char *to, size_t size);

#endif
