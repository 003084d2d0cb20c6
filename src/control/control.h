/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The control process: what its parts share. It owns the control socket's
 * clients and the watch on the upstream, and never sees a mail.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "config/conf.h"
#include "control/request.h"
#include "control/server.h"
#include "control/upstream.h"
#include "ipc/board.h"
#include "ipc/lifeline.h"
#include "ipc/role.h"
#include "ipc/shared.h"

struct event;
struct event_base;
struct record_header;
struct relay_access;

struct control {
	const struct role_args *args; /* borrowed */
	struct event_base *base;
	struct config *config;
	struct shared *shared;
	struct board board;
	struct relay_access **access; /* for probes; one for each upstream */
	struct upstream_watch *watch;
	struct online *online; /* a check that is running, or NULL */
	struct server *server;
	struct record_scratch *scratch;
	struct event *lifeline, *answers, *auth_answers;
	struct event *drain_limit; /* draining takes too long */
	uint32_t sandbox;          /* SANDBOX_* in force here */
	bool root;                 /* started as root: users differ by role */
	bool draining;
	uint64_t last_id;
};

/* An id for a question or a report, never used before. */
uint64_t control_next_id(struct control *c);
/* Of a question to a pool. */
struct record_header control_header(
    const struct control *c, uint64_t id, int64_t deadline_ms);

/* The whole answer to `status`. */
json_t *status_answer(const struct control *c);
/* Each host of the upstreams. */
json_t *upstreams_json(const struct control *c);

/* Tries all that mail needs; the client is answered later. */
void online_start(
    struct control *c, struct client *client, const struct request *r);
/* Was that the answer it waits for? error: NULL, or why the store failed. */
bool online_store_answered(struct online *o, uint64_t id, const char *error);
void online_free(struct online **o);

/* Asks the store about a person; -1: busy. */
int limits_send(struct control *c, uint64_t id, struct str person);
/* Asks the store; the client is answered now or by limits_on_answers(). */
void limits_ask(
    struct control *c, struct client *client, const struct request *r);
/* Takes all answers of the policy pool that are there. */
void limits_on_answers(struct control *c);

/* Flushes the login cache; answered by logins_on_answers(). */
void logins_flush(
    struct control *c, struct client *client, const struct request *r);
void logins_on_answers(struct control *c);

#endif
