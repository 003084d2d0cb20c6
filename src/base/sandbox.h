/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Giving up rights, for good, in one place.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* What is in force, for `porteroctl status`. */
enum sandbox_bit {
	SANDBOX_CHROOT = 1,
	SANDBOX_USER = 2,
	SANDBOX_NO_NEW_PRIVS = 4,
	SANDBOX_SECCOMP = 8,
	SANDBOX_LANDLOCK = 16
};

/* For every process, first thing: no core files, not dumpable. */
void sandbox_quiet(void);
/* As root: chroot (if chroot_dir is not NULL), no groups but gid, setresgid,
 * setresuid, all capabilities dropped, and a look that it stuck; uid or gid 0 is
 * an error. Always: no_new_privs. *bits_r gets what is in force. */
int sandbox_drop(const char *chroot_dir, uid_t uid, gid_t gid, uint32_t *bits_r, struct error *err);
/* Master as root: keeps SETUID SETGID SYS_CHROOT KILL NET_BIND_SERVICE, and its
 * children can have no more. Files that root does not own need their mode. */
int sandbox_master(struct error *err);
/* Session workers: Landlock where the kernel has it, no files at all; and of
 * the system calls those that an event loop with sockets needs, anything else
 * kills the process (is logged under sanitizers, and without Landlock). Adds to
 * *bits_r. To be called when the event loop, TLS contexts and the log exist. */
int sandbox_session(uint32_t *bits_r, struct error *err);

#endif
