/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What only one master can have, the pid file and the control socket, and
 * the folders that vanish with a reboot.
 */
#ifndef MASTER_CLAIM_H
#define MASTER_CLAIM_H

#include "base/error.h"
#include "ipc/plan.h"

/* The folder that session workers are locked into; made if it is missing. -1:
 * it is not fit for that. */
int claim_chroot(const char *path, struct error *err);
/* Writes the pid file and locks it as long as we live. -1: reason in err. */
int claim_pid_file(const char *path, struct error *err);
/* The listening control socket: mode 0660, group gid. Its folder is made if it
 * is missing. */
int claim_control_socket(const char *path, gid_t gid, struct error *err);

#endif
