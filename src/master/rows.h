/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which rows of the shared counters are in use. Row 0 is the master's. The
 * last row is lent to all who come when the others are taken (only possible
 * with hundreds of pool workers in more generations than there should be):
 * their counts may then lose a few, and nothing else happens.
 */
#ifndef MASTER_ROWS_H
#define MASTER_ROWS_H

#include <stdint.h>

#include "ipc/shared.h"

struct rows {
	uint16_t users[SHARED_ROWS];
};

unsigned rows_take(struct rows *r);
/* Its process has gone: retires the counters with the last user. */
void rows_give(struct rows *r, unsigned row, struct shared *s);

#endif
