/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The parts of porteroctl. Every verb, also one that needs no daemon, ends in
 * one answer (control/request.h), which is printed for people or as JSON and
 * gives the exit status.
 */
#ifndef CONTROL_PORTEROCTL_H
#define CONTROL_PORTEROCTL_H

#include <jansson.h>

#include "base/buf.h"
#include "control/passwd_file.h"
#include "control/request.h"

/* Asks the daemon and waits. Never NULL: what went wrong on the way is an
 * answer too. */
json_t *ctl_ask(const char *socket_path, const struct request *r);

/* Changes an entry of a users file; SET asks for the password on the terminal,
 * or reads a line of standard input. e->hash is not looked at. */
json_t *ctl_passwd(const char *path, struct passwd_edit e);

/* An answer that is ok, for people; safe for a terminal. */
void ctl_show(const struct verb *v, const json_t *answer, struct buf *out);

#endif
