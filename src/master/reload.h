/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A reload: a trial of the configuration, then a new generation, then the
 * verdict for whoever asked. One at a time; who asks meanwhile gets the
 * verdict of the next. When reloads follow each other faster than old
 * generations finish their messages, the next waits: to end one before its
 * time would cut its clients off.
 */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct generation;
struct master;
struct trial;

#define RELOAD_ASKERS_MAX 32

/* A request of a control process. */
struct reload_asker {
	uint32_t generation;
	uint64_t id;
};

struct reload_askers {
	struct reload_asker asker[RELOAD_ASKERS_MAX];
	unsigned count;
};

struct reload {
	struct trial *trial;     /* owned; the first half */
	struct generation *next; /* borrowed; the second */
	struct buf notes;        /* warnings of the trial, for the verdict */
	struct reload_askers now, later;
	bool again;              /* asked for meanwhile */
	int64_t crowded_until_ms; /* 0: not waiting for old generations */
};

/* g: whose control process asked; NULL: a signal did. */
void reload_ask(struct master *m, const struct generation *g, uint64_t id);
/* The trial's lifeline is readable, or its time is up. */
void reload_tick(struct master *m, int64_t now_ms, int64_t *next_ms);
/* The generation that a reload started is ready (why NULL) or will not be. */
void reload_on_generation(struct master *m, const char *why);
/* The server stops: there will be no new generation. */
void reload_cancel(struct master *m);
/* Does that generation's control process await a verdict? */
bool reload_is_awaited(const struct reload *r, uint32_t generation);
/* The first generation is ready: now to what was asked for meanwhile. */
void reload_resume(struct master *m);
void reload_free(struct reload *r);
/* Each line of text as a line of the log. */
void reload_log_messages(const char *text, size_t len);

#endif
