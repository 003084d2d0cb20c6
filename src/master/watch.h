/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Watches over a generation's workers by what they write on the board: pool
 * workers past their deadline, session workers whose event loop stands still.
 */
#ifndef MASTER_WATCH_H
#define MASTER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct child;
struct generation;

/* Kills who is late. Brings *next_ms forward to when to look again. */
void watch(struct generation *g, int64_t now_ms, int64_t *next_ms);
/* A pool worker has died: gives the answer to the question that it was at.
 * true: there was one. */
bool watch_answer(struct generation *g, const struct child *c);

#endif
