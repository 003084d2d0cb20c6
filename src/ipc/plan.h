/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the master needs to know of a configuration: no text to parse, only
 * numbers, addresses and names. The check role makes it, before it drops its
 * rights and loads plugins, so that no plugin can forge it.
 */
#ifndef IPC_PLAN_H
#define IPC_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "ipc/role.h"

struct plan_listener {
	struct sockaddr_storage address;
	socklen_t address_len;
	int backlog;
	bool dual_stack; /* [::] that stands for "*": takes IPv4 too */
};

struct plan_module {
	enum role role;     /* ROLE_AUTH or ROLE_POLICY (store and policies) */
	char name[64];      /* "store" or "policy quota": names its shared memory */
	uint64_t share_bytes; /* filled from REPORT_SHARES; 0: none */
};

struct plan {
	unsigned nsession, nauth, npolicy;
	unsigned nlisteners;
	struct plan_listener listeners[MAX_LISTENERS];
	unsigned nmodules;
	struct plan_module modules[MAX_MODULES];
	/* users as numbers; without root all are the running user's */
	uid_t session_uid, auth_uid, policy_uid;
	gid_t session_gid, auth_gid, policy_gid, control_gid;
	char chroot_dir[256];
	char control_socket[108];
	char state_dir[256]; /* "": shares live in memory only */
	char pid_file[256];  /* "": none */
	int log_kind;        /* 0 stderr, 1 file, 2 syslog */
	int log_level;
	char log_path[256];
	int64_t drain_timeout_ms, stop_timeout_ms;
	int64_t auth_deadline_ms, policy_deadline_ms;
};

/* Bytes, or 0 when it does not fit. */
size_t plan_encode(uint8_t *to, size_t size, const struct plan *p);
/* 0, or -1 when anything is not as plan_encode() writes it; share_bytes are 0. */
int plan_decode(const uint8_t *data, size_t len, struct plan *p);

#endif
