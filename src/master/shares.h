/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The modules' shared memory. A share is known by its module's name; it goes
 * from generation to generation as long as its size stays the same, and with
 * a state folder from start to start.
 */
#ifndef MASTER_SHARES_H
#define MASTER_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ipc/plan.h"

struct share_entry;

struct shares {
	struct share_entry *first; /* owned */
	int dir_fd;                /* the state folder; -1: in memory only */
};

/* dir "" or not usable (a warning then): in memory only. -1: another master
 * uses it. */
int shares_open(struct shares *s, const char *dir, struct error *err);
/* Fills fds[plan->nmodules] with borrowed descriptors, -1 for modules without
 * a share. They stay until released. */
int shares_use(struct shares *s, const struct plan *plan, int fds[],
    struct error *err);
/* n: modules of the plan, from the first, that are in use. */
void shares_release(struct shares *s, const struct plan *plan, unsigned n);
void shares_close(struct shares *s);

#endif
