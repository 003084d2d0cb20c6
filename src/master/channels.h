/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The channels of one generation: a question queue for each pool, and a pair
 * for the answers of each pool to each asker. The master keeps both ends of
 * all of them, so that a death closes none.
 */
#ifndef MASTER_CHANNELS_H
#define MASTER_CHANNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ipc/role.h"

enum pool { POOL_AUTH, POOL_POLICY, NPOOLS };
enum { READ_END, WRITE_END };

/*
 * Queues hold 4 MiB, which only root with all its rights can ask for. So they
 * are made at the start, for as many generations as can exist, and used again
 * after those have gone.
 */
#define QUEUE_STOCK 8

struct queue_stock {
	int pairs[QUEUE_STOCK][2];
	bool taken[QUEUE_STOCK];
};

struct channels {
	int queue[NPOOLS][2];
	int answers[NPOOLS][MAX_ASKERS][2];
	unsigned naskers;
};

int queue_stock_fill(struct queue_stock *s, struct error *err);
void queue_stock_close(struct queue_stock *s);

int channels_open(struct channels *c, struct queue_stock *s, unsigned naskers,
    struct error *err);
/* No process may hold an end any more. */
void channels_close(struct channels *c, struct queue_stock *s);
/* Sends a record without waiting. false: full. */
bool channels_ask(struct channels *c, enum pool pool, const uint8_t *record,
    size_t len);
bool channels_answer(struct channels *c, enum pool pool, unsigned asker,
    const uint8_t *record, size_t len);

#endif
