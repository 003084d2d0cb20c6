/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where log lines go, as a descriptor that the children inherit: they could
 * open nothing themselves.
 */
#ifndef MASTER_LOG_TARGET_H
#define MASTER_LOG_TARGET_H

#include "base/error.h"
#include "base/log.h"
#include "ipc/plan.h"

struct log_target {
	int kind; /* as in the plan */
	char path[256];
	int fd;   /* owned; -1: not open */
};

int log_target_open(struct log_target *t, const struct plan *plan,
    struct error *err);
/* Once more: the file was rotated, syslog restarted. A new descriptor, the
 * caller's, or -1. */
int log_target_again(const struct log_target *t, struct error *err);
/* What log_open() wants to know. */
enum log_kind log_target_kind(const struct log_target *t);
void log_target_close(struct log_target *t);

#endif
