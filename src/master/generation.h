/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A generation: all processes that run one configuration, with the channels
 * and the board between them. A reload starts the next one beside it.
 */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ipc/board.h"
#include "ipc/lifeline.h"
#include "ipc/plan.h"
#include "master/channels.h"
#include "master/child.h"
#include "master/listener.h"
#include "master/log_target.h"

struct master;

/* In this order, never back. */
enum generation_state {
	GENERATION_STARTS_CONTROL = 1, /* which resolves the upstream */
	GENERATION_STARTS_POOLS,
	GENERATION_STARTS_SESSIONS,
	GENERATION_READY,
	GENERATION_DRAINS, /* session workers end; the pools still serve them */
	GENERATION_CLOSES  /* all end */
};

struct generation {
	struct generation *older; /* owned */
	struct master *master;    /* borrowed */
	enum generation_state state;
	uint32_t number;
	struct plan plan;
	int config_fd, board_fd;  /* owned */
	struct board board;
	struct channels channels;
	struct log_target log;
	struct listener *listeners[MAX_LISTENERS]; /* used, see listener.h */
	unsigned nlisteners, width;
	int share_fds[MAX_MODULES]; /* borrowed; of the modules; -1: none */
	unsigned nshares;           /* modules whose shares are in use */
	/* control, session workers, auth workers, policy workers */
	struct child *children;     /* owned */
	unsigned nchildren;
	int64_t limit_ms;           /* when the present state must be over */
};

/* Binds and makes all that it needs and starts its control process. config_fd
 * becomes the generation's, also when this fails. */
struct generation *generation_new(struct master *m, const struct plan *plan,
    int config_fd, struct error *err);
/* Takes its next steps. Brings *next_ms forward to when to call again. */
void generation_tick(struct generation *g, int64_t now_ms, int64_t *next_ms);
/* Ends it within limit_ms, after what is under way. */
void generation_drain(struct generation *g, int64_t limit_ms);
/* Ends it at once. */
void generation_stop(struct generation *g);
/* No process is left, and none will be started. */
bool generation_is_over(const struct generation *g);
void generation_free(struct generation **g);

struct child *generation_control(struct generation *g);
struct child *generation_session(struct generation *g, unsigned slot);
/* What a pool worker is at; NULL for other roles. */
struct board_score *generation_score(struct generation *g,
    const struct child *c);
/* The child says that it is ready. */
void generation_on_start(struct generation *g, struct child *c);
/* The child's process has ended with this wait status. */
void generation_on_exit(struct generation *g, struct child *c, int status);
/* New descriptors for the log, sent to all its children. */
void generation_reopen_log(struct generation *g);

#endif
