/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One place for a process of ours: which role it has, the process that fills
 * it now, and when it is to be started or killed.
 */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "ipc/lifeline.h"
#include "ipc/role.h"

struct generation;

struct child {
	enum role role;
	unsigned slot;
	struct generation *generation; /* borrowed: its owner */
	pid_t pid;           /* 0: no process */
	int lifeline;        /* our end; -1: none */
	unsigned row;
	uint32_t incarnation;
	bool ready;
	bool told_to_go;     /* its end is no accident */
	const char *cause;   /* why we kill it, for the log; NULL: we do not */
	unsigned early_ends; /* in a row, before it was ready */
	int64_t started_ms;
	int64_t kill_at_ms;  /* then SIGKILL; 0: not to be killed */
	int64_t start_at_ms; /* when to start a process; 0: never */
	int64_t backoff_ms;
};

/* What a process finds as number i is a copy of from[i]; -1: nothing. */
struct child_fds {
	int *from; /* borrowed */
	unsigned count;
};

/* Starts /proc/self/exe as args->role. The child ignores the signals that
 * address the master, and is in a session of its own. The pid, or -1. */
pid_t child_exec(const struct role_args *args, const struct child_fds *fds,
    struct error *err);
/* A pair for a lifeline: [0] stays, [1] is the child's. */
int child_lifeline(int pair[2], struct error *err);
void child_send(struct child *c, enum lifeline_type type, int64_t value,
    int fd);
/* SIGKILL at a time; the earlier wish wins. */
void child_kill_at(struct child *c, int64_t at_ms);
/* Forgets the process, which has ended; closes the lifeline. */
void child_clear(struct child *c);

#endif
