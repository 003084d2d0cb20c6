/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Settles that the master owes for session workers that have gone. Each is a
 * copy of the record that the worker had left on its board, so it outlives
 * the worker's generation; it is sent each second until a policy worker says
 * that it is done.
 */
#ifndef MASTER_OWED_H
#define MASTER_OWED_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/board.h"

struct channels;
struct owed_settle;

struct owed {
	struct owed_settle *settles; /* owned */
	size_t count, room;
	uint64_t last_id;
};

/* Takes over what processes other than `living` (0: nobody) left in the slot.
 * Returns how many. */
size_t owed_collect(struct owed *o, struct board *b, unsigned slot,
    uint32_t living);
/* Sends what is due. Returns when to call again, 0: nothing is owed. */
int64_t owed_send(struct owed *o, struct channels *channels,
    uint32_t generation, int64_t deadline_ms, int64_t now_ms);
/* 1 if that settle was owed; it no longer is. */
unsigned owed_settled(struct owed *o, uint64_t id);
void owed_free(struct owed *o);

#endif
