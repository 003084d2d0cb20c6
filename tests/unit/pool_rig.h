/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A session worker without clients; what it asks the policy pool comes to the
 * test, which answers.
 */
#ifndef TESTS_POOL_RIG_H
#define TESTS_POOL_RIG_H

#include "session/ledger.h"
#include "session/questions.h"

struct pool_rig {
	struct session_worker w;
	struct config config;
	int queue, answers; /* the policy worker's ends */
};

void pool_rig_open(struct pool_rig *r, int64_t policy_deadline_ms);
void pool_rig_close(struct pool_rig *r);
/* A record is sent, and the worker has read it. */
void pool_rig_answer(struct pool_rig *r, const uint8_t *record, size_t len);

#endif
