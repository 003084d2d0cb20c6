/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One client's SMTP session (RFC 5321, RFC 6409), seen from the worker.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <sys/socket.h>

#include "config/conf.h"
#include "session/worker.h"

/* Takes over an accepted descriptor; not everybody becomes a session. */
void session_open(struct session_worker *w, int fd,
    const struct config_listen *listen, const struct sockaddr *peer);
/* End of a loop turn: writes what waits; frees it if it has ended. */
void session_end_turn(struct session *s);
/* The generation drains: 421 as soon as no transaction is open. */
void session_drain(struct session *s);
/* Has it lasted for max_session? Then it ends as soon as it is idle, and begins
 * no new transaction. */
bool session_is_old(const struct session *s);
void session_retire(struct session *s);
/* The time is over: 421 wherever it is, and the end. */
void session_cut(struct session *s);

#endif
