/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the master share: one struct of everything it holds, and
 * the few events that a part tells the others about.
 */
#ifndef MASTER_PRIVATE_H
#define MASTER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "ipc/plan.h"
#include "ipc/shared.h"
#include "master/channels.h"
#include "master/listener.h"
#include "master/log_target.h"
#include "master/owed.h"
#include "master/reload.h"
#include "master/rows.h"
#include "master/shares.h"

#define MAX_GENERATIONS 3

struct child;
struct generation;
struct pollfd;

struct master {
	const char *config_path; /* borrowed from argv */
	bool root;
	bool stopping;           /* told to end; nothing starts any more */
	bool failed;             /* and with status 1 */
	uint32_t last_generation, last_incarnation;
	int shared_fd;
	struct shared *shared;   /* owned, mapped */
	int login_cache_fd;
	struct rows rows;
	struct queue_stock queues;
	struct listeners listeners;
	struct shares shares;
	struct owed owed;
	struct reload reload;
	struct log_target log;   /* the master's own */
	int control_fd;          /* the listening control socket */
	int pid_file_fd;         /* locked while we live; -1: none */
	struct plan first;       /* what the start was made with */
	int first_config_fd;     /* and its text */
	struct generation *newest; /* owned; each points to the one before it */
	int signal_fd;
	int64_t due_ms;          /* when the present turn should be over */
	bool was_late;           /* the last one was not */
	int64_t log_opened_ms;   /* again */
	int64_t log_retry_ms;    /* when to do so once more; 0: no need */
	struct pollfd *polled;   /* owned; of the present turn */
	struct child **polled_child; /* owned */
};

/* Until nothing is left to care for. */
void master_loop(struct master *m);

/* The newest generation that is at work; NULL before the first one is, and
 * when all close down. */
struct generation *master_current(const struct master *m);
/* How many are not closing yet, and the oldest of them. */
unsigned master_serving(const struct master *m, struct generation **oldest_r);
/* All its workers are ready. */
void master_on_ready(struct master *m, struct generation *g);
/* It does not come up; why is for the operator. It is being stopped. */
void master_on_failed(struct master *m, struct generation *g, const char *why);
/* Ends everything, within the time limits of each generation's plan. */
void master_stop(struct master *m);
/* Opens the log anew for the master and every child. */
void master_reopen_log(struct master *m);
/* Brings *next forward to `at`; 0: no wish. */
static inline void
due(int64_t *next, int64_t at)
{
	if (at != 0 && at < *next)
		*next = at;
}

#endif
