/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the blocking pools and their answers. An answer finds its asker
 * by a 64-bit id that is never reused; one whose asker has gone is dropped
 * (what it may have taken is given back by the ledger). No question waits for
 * ever: the pool's own deadline, the master, and at last the timer here.
 */
#ifndef SESSION_QUESTIONS_H
#define SESSION_QUESTIONS_H

#include <stdint.h>

#include "ipc/question.h"
#include "session/worker.h"

enum question_pool { POOL_AUTH, POOL_POLICY };

/* What arrives: the record, whose type fits the question; NULL when nobody
 * answered in time. */
typedef void question_answer(void *owner, uint64_t id, const uint8_t *record,
    size_t len);

struct questions *questions_new(struct session_worker *w);
void questions_free(struct questions **q);

/* The header for a new question to that pool: id and deadline filled. */
struct record_header questions_header(struct questions *q, enum question_pool pool);
/* Sends an encoded question; its id. 0: the queue is full or the record is
 * empty; nothing was sent and answer is never called. */
uint64_t questions_send(struct questions *q, enum question_pool pool,
    const uint8_t *record, size_t len, question_answer *answer, void *owner);
/* The owner is going away. */
void questions_forget(struct questions *q, uint64_t id);

#endif
