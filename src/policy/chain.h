/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The policies of the configuration, asked in the order of the file, and the
 * limits that they declare.
 *
 * A question is answered in two steps. chain_judge() makes the answer from
 * the policies that hold. chain_afterwards(), when the answer has left, asks
 * those whose verdict is ignored: all in monitor mode, and everybody about an
 * outcome. So whatever these do, crash and hang included, harms no client.
 */
#ifndef POLICY_CHAIN_H
#define POLICY_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/question.h"
#include "ipc/shared.h"
#include "policy/plugin.h"

struct chain_settings {
	const char *hostname;    /* key of the HOST scope; borrowed */
	const char *delimiters;  /* of sub-addresses; borrowed */
	int max_recipients;      /* of one message */
	uint32_t lifetime_s;     /* of a reservation: longer than any message */
	uint32_t tombstone_s;    /* of a settle: longer than any question */
	struct shared *shared;   /* counters; borrowed */
	unsigned row;
};

struct chain;

/* plugins: policies and at most one store; borrowed, also the array's
 * elements, not the array. */
struct chain *chain_new(struct plugin *const *plugins, size_t n,
    const struct chain_settings *settings);
void chain_free(struct chain **c);

/* Strings in *a are the chain's and hold until the next call. deadline_ns:
 * nothing is taken after it. */
void chain_judge(struct chain *c, const struct judge_question *q,
    int64_t deadline_ns, struct judge_answer *a);
void chain_afterwards(struct chain *c, const struct judge_question *q,
    const struct judge_answer *a);

void chain_settle(struct chain *c, const struct settle_question *q,
    struct settle_answer *a);
void chain_settle_afterwards(struct chain *c, const struct settle_question *q);

/* Does a question wait for anything outside of this host? */
bool chain_waits(const struct chain *c);

/* Between questions; see store_tend(). */
bool chain_needs_tending(const struct chain *c);
int64_t chain_tend(struct chain *c);

/* The operator asks. */
void chain_store(struct chain *c, const struct store_question *q,
    struct store_answer *a);

#endif
