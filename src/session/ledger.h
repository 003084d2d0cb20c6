/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The ledger of takes: every take that was sent is settled exactly once,
 * whatever became of its answer, of the client or of this process. An entry
 * stands in shared memory (ipc/board.h) from before the take is sent until its
 * settle is acknowledged; if this process dies, the master sends the settle.
 */
#ifndef SESSION_LEDGER_H
#define SESSION_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/question.h"
#include "session/worker.h"

struct ledger;
struct ledger_entry;

struct ledger *ledger_new(struct session_worker *w);
void ledger_free(struct ledger **l);
/* Settles that are not yet acknowledged. */
size_t ledger_owed(const struct ledger *l);

/* Before a take is sent: NULL when the slot is full (answer 451). `settle`
 * names txid and keys; its actual[] is what the take asks for. */
struct ledger_entry *ledger_open(struct ledger *l, const struct settle *settle);
/* The final dot is about to be written: from now on a death keeps `actual`. */
void ledger_past_dot(struct ledger_entry *e, const int64_t actual[PORTERO_NUNITS]);
/* The take was surely not done: nothing is owed. *e becomes NULL. */
void ledger_drop(struct ledger_entry **e);
/*
 * The end. ACCEPTED and UNKNOWN keep `actual`, REFUSED and LOST give all back.
 * The settle is sent until acknowledged: at once when something goes back,
 * else with the next question or soon after. *e becomes NULL.
 */
void ledger_settle(struct ledger *l, struct ledger_entry **e,
    enum portero_outcome outcome, const int64_t actual[PORTERO_NUNITS]);

/* Settles to ride on a question of the policy pool; at most SETTLES_MAX.
 * Returns their number; `to` points into shared memory until ledger_rode(). */
uint32_t ledger_ride(struct ledger *l, struct settle to[SETTLES_MAX]);
/* What came of them: the question's id, or 0: it was not sent. */
void ledger_rode(struct ledger *l, uint64_t question_id);
/* The question was answered (or not: nsettled 0): the first ones are done. */
void ledger_answered(struct ledger *l, uint64_t question_id, uint32_t nsettled);

#endif
