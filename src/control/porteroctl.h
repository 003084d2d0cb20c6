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

#include <crypt.h>
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

/* A password, to be wiped by whoever asked for it. */
struct password {
	char text[CRYPT_MAX_PASSPHRASE_SIZE + 1];
};

/* Asks at the terminal without echo, or reads the first line of standard
 * input; `again` (NULL: no need) asks a second time at a terminal. */
int ctl_password(struct password *p, const char *prompt, const char *again,
    struct error *err);

/* Logs in by the auth sections of a configuration file, without the daemon:
 * the password goes from here to the directory and nowhere else. */
json_t *ctl_auth_test(const char *config, const char *name);

/* An answer that is ok, for people; safe for a terminal. */
void ctl_show(const struct verb *v, const json_t *answer, struct buf *out);

#endif
