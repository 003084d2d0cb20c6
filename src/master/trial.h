/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A configuration on trial: one run of the check role and what it reports.
 */
#ifndef MASTER_TRIAL_H
#define MASTER_TRIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "ipc/plan.h"

struct trial {
	pid_t pid;        /* 0: has ended */
	int lifeline;     /* poll it; then trial_read() */
	int config_fd;    /* owned: the resolved text, sealed */
	int64_t limit_ms; /* when it has taken too long */
	bool has_plan, has_shares, is_over;
	int64_t errors;   /* once it is over */
	struct buf messages;
	struct plan plan; /* to be used if there are no errors */
};

/* print: the check role writes the configuration to standard output.
 * start_fd: what the start was made with, or -1. */
struct trial *trial_start(const char *path, bool print, int start_fd,
    struct error *err);
/* Reads what has come; sets is_over. */
void trial_read(struct trial *t);
/* Waits until it is over. */
void trial_wait(struct trial *t);
/* Ends it with a message, as an error. */
void trial_fail(struct trial *t, const char *why);
void trial_free(struct trial **t);

#endif
