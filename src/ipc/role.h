/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a process of ours finds when it starts: its role in argv, and fixed
 * descriptors. Everything else was close-on-exec.
 */
#ifndef IPC_ROLE_H
#define IPC_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum role { ROLE_MASTER, ROLE_SESSION, ROLE_AUTH, ROLE_POLICY, ROLE_CONTROL, ROLE_CHECK };

enum role_fd {
	ROLE_FD_LIFELINE = 3, /* SOCK_SEQPACKET to the master; EOF: drain and exit */
	ROLE_FD_CONFIG = 4,   /* sealed memfd with the resolved configuration (check: it writes it) */
	ROLE_FD_LOG = 5,
	ROLE_FD_SHARED = 6,   /* struct shared: lives as long as the master */
	ROLE_FD_BOARD = 7,    /* struct board: this generation's */
	/* session and control (asks limits, flushes the login cache): write ends, and the own answer pairs' read ends */
	ROLE_FD_AUTH_QUEUE = 8, /* auth worker: read end of its queue */
	ROLE_FD_POLICY_QUEUE = 9, /* policy worker: read end of its queue */
	ROLE_FD_AUTH_ANSWERS = 10,
	ROLE_FD_POLICY_ANSWERS = 11,
	ROLE_FD_CONTROL = 12, /* control: the listening control socket */
	ROLE_FD_LOGIN_CACHE = 13, /* auth worker: lives as long as the master */
	/* from here on in order. session: its slot's listening sockets, in the order of
	 * the plan; when there are more sockets than slots, in whole rounds of that order, so
	 * that descriptor i belongs to listener i modulo the plan's number. auth, policy: write ends of the answer pairs, by asker; then the shares
	 * of its modules that have one, in the order of the plan. */
	ROLE_FD_FIRST = 16,
	ROLE_FD_START_CONFIG = ROLE_FD_FIRST /* check, on a reload: what the start was made with */
};

#define MAX_SESSION_WORKERS 64
#define MAX_POOL_WORKERS 256
#define MAX_LISTENERS 64
#define MAX_MODULES 32
#define MAX_UPSTREAM_HOSTS 32 /* of all upstreams together */
#define MAX_ASKERS (MAX_SESSION_WORKERS + 1) /* the last one in use is control */

struct role_args {
	enum role role;
	unsigned slot;        /* index among its role in the generation */
	unsigned row;         /* its row in the shared counters */
	uint32_t generation;
	uint32_t incarnation; /* different for every process the master starts */
	unsigned nlisteners;  /* session: descriptors from ROLE_FD_FIRST */
	unsigned naskers;     /* auth, policy: answer ends from ROLE_FD_FIRST */
	unsigned nshares;     /* auth, policy: behind them */
	uint32_t share_mask;  /* which of the role's modules (in order of the file) have a share */
	bool print;           /* check: write the whole configuration to standard output */
	const char *config_path; /* check: the file to try; control: for status */
};

/* "porterod", "--role=session", "--slot=2", ...: writes into argv (NULL-terminated), at most 16 entries, owned by a
 * static buffer; and back. */
void role_args_encode(const struct role_args *a, char *argv[], const char *program);
int role_args_decode(int argc, char *argv[], struct role_args *a, struct error *err);
const char *role_name(enum role role);

/* Each role's main; returns the exit status. */
int session_main(const struct role_args *a);
int policy_main(const struct role_args *a); /* auth and policy */
int control_main(const struct role_args *a);
int check_main(const struct role_args *a);

#endif
