/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the relay share: a pool beside a scripted upstream on one
 * event base, and an owner of transactions that writes down what it is told.
 */
#ifndef TESTS_RELAY_RIG_H
#define TESTS_RELAY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>

#include "fake_upstream.h"
#include "ipc/board.h"
#include "relay/relay.h"

struct rig {
	struct event_base *base;
	struct fake_upstream fake;
	struct config_host host;
	struct config_upstream config; /* its only host is .host */
	struct config whole;           /* its only upstream is .config */
	struct shared *shared;
	struct board board;
	struct relay_access **access; /* NULL until rig_start() makes it */
	struct relay_pool *pool;
	bool wants_flush;
	int log; /* a memory file with what was logged */
};

/*
 * An owner that takes a transaction through all its steps as soon as it may.
 * `said` gets one word for each thing it is told: "MAIL 250", "RCPT 550",
 * "DATA 451!" (an alert), "room", "away", "lost", "unknown", "tls", "broken".
 */
struct owner {
	struct rig *rig;
	struct relay *relay;
	char said[2048];
	char reply[256];    /* text of the last reply */
	char detail[400];   /* of the failure */
	const char *body;   /* sent after 354 with the dot; NULL: by the test */
	const char *class_name; /* NULL: none */
	const char *login, *address, *helo; /* NULL: some */
	uint32_t needs;
	bool is_over;       /* finally answered, refused or failed; closed */
	bool keeps_open;    /* the test closes */
	struct owner *next; /* begins when this one is over, in the same call */
};

void rig_open(struct rig *r);
/* Makes the pool; config may be changed before, and whole, when there are to
 * be more upstreams. */
void rig_start(struct rig *r);
void rig_close(struct rig *r);
/* cmocka's setup and teardown around each test: *state is a struct rig. */
int rig_setup(void **state);
int rig_teardown(void **state);
/* Publishes these ports of the fake as the first host's addresses, or as those
 * of another. */
void rig_publish(struct rig *r, const size_t *ports, size_t n);
void rig_publish_host(
    struct rig *r, unsigned host, const size_t *ports, size_t n);
/* One turn of the loop, as a worker makes it. */
void rig_turn(struct rig *r);
/* Turns until *flag is true and the scripts are played; at most 5 seconds. */
void rig_run(struct rig *r, const bool *flag);
/* Turns for so long. */
void rig_wait(struct rig *r, int ms);
uint64_t rig_counter(const struct rig *r, enum counter c);
/* What was logged, until the next call. */
const char *rig_log(struct rig *r);

/* Opens a transaction: MAIL, so many RCPT, and DATA if data. */
void owner_begin(
    struct owner *o, struct rig *r, unsigned recipients, bool data);
/* One whole message through; returns what was said. */
const char *rig_send(struct rig *r, struct owner *o, unsigned recipients);
/* No script was broken and said is as expected. */
void rig_expect(struct rig *r, const struct owner *o, const char *said);

#endif
