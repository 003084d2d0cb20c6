/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One name's addresses, asked for without blocking: an address literal, else
 * /etc/hosts, else the name servers of /etc/resolv.conf; both files are read
 * anew for every question. One question at a time.
 */
#ifndef CONTROL_RESOLVE_H
#define CONTROL_RESOLVE_H

#include <stdint.h>
#include <sys/socket.h>

#define RESOLVE_TIMEOUT_MS 8000

struct event_base;
struct resolver;

struct address {
	struct sockaddr_storage name;
	socklen_t len;
};

/* Called from the event loop, once for each question. error is NULL, or says
 * why there is no address (n = 0). The addresses are lent for the call. */
typedef void resolve_done(
    void *arg, const struct address *addresses, unsigned n, const char *error);

struct resolver *resolver_new(
    struct event_base *base, resolve_done *done, void *arg);
/* When the event loop has ended: an unanswered question is dropped, and the
 * loop turned once more for what it still holds of it. */
void resolver_free(struct resolver **r);
void resolver_ask(struct resolver *r, const char *host, int port);

#endif
