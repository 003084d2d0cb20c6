/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The clients of the control socket: at most SERVER_CLIENTS of them, one
 * request at a time each, every wait bounded. What a request means is not
 * known here.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

#define SERVER_CLIENTS 32
#define SERVER_IDLE_S 60 /* for the next request, or to take an answer */

struct event_base;
struct server;
struct client;

/* Who is at the other end, as the kernel knows it (SO_PEERCRED). */
struct peer {
	uid_t uid;
	pid_t pid;
	bool trusted; /* root, the daemon's user, or in the control group */
};

struct server_setup {
	struct event_base *base; /* borrowed */
	int fd;                  /* listening; borrowed */
	gid_t group; /* whose members are trusted; (gid_t)-1: none */
	/* A line without its end. The callback answers it, or says
	 * server_wait(). */
	void (*on_line)(void *arg, struct client *c, struct str line);
	/* After server_drain(): the last client is gone. */
	void (*on_empty)(void *arg);
	void *arg;
};

struct server *server_new(const struct server_setup *setup);
void server_free(struct server **s);

const struct peer *client_peer(const struct client *c);
/* Answers the request in hand; takes the answer over. */
void client_answer(struct client *c, json_t *answer);
/* The answer comes later, by server_waiting(id); after timeout_ms the client
 * is told `late` (a literal) instead. */
void client_wait(
    struct client *c, uint64_t id, int64_t timeout_ms, const char *late);
/* Who waits for id, and does so no longer; NULL: nobody any more. */
struct client *server_waiting(struct server *s, uint64_t id);

/* Accepts nobody any more; idle clients are closed, the others answered. */
void server_drain(struct server *s);

#endif
