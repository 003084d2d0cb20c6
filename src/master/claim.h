/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What only one master can have: the pid file and the control socket.
 */
#ifndef MASTER_CLAIM_H
#define MASTER_CLAIM_H

#include "base/error.h"
#include "ipc/plan.h"

/* Makes the folders that the plan names and that may vanish with a reboot. */
int claim_folders(const struct plan *plan, struct error *err);
/* Writes the pid file and locks it as long as we live. -1: reason in err. */
int claim_pid_file(const char *path, struct error *err);
/* The listening control socket: mode 0660, group gid. */
int claim_control_socket(const char *path, gid_t gid, struct error *err);

#endif
