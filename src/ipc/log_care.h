/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A child's log, which only the master can open again.
 */
#ifndef IPC_LOG_CARE_H
#define IPC_LOG_CARE_H

#include "ipc/shared.h"

/* Now and then: counts the lines that could not be written, and asks the
 * master for a new descriptor when syslog has gone. */
void log_care(struct shared *s, unsigned row);

#endif
