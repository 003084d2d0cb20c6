/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes from and to one client: a non-blocking descriptor, TLS or not. TLS's
 * "want read" and "want write", partial writes and EAGAIN appear here only.
 */
#ifndef SESSION_IO_H
#define SESSION_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "base/buf.h"

enum session_io_result {
	SESSION_IO_OK,    /* bytes read; handshake or flush complete */
	SESSION_IO_AGAIN, /* the event loop will tell */
	SESSION_IO_EOF,   /* the peer closed */
	SESSION_IO_ERROR  /* reset, or TLS broken: reason in `why` */
};

struct session_io {
	int fd;
	SSL *ssl;         /* NULL: plain */
	struct event *read_event;  /* persistent; owned */
	struct event *write_event; /* made when first needed; owned */
	struct buf out;
	bool reading;     /* read_event is in the loop */
	bool handshaken;
	char why[80];
};

/* Takes fd over. cb is the libevent callback for both directions. */
void session_io_open(struct session_io *io, struct event_base *base, int fd,
    event_callback_fn cb, void *arg);
void session_io_close(struct session_io *io);
/* From now on TLS; the handshake runs by session_io_handshake(). */
void session_io_start_tls(struct session_io *io, SSL_CTX *ctx);
enum session_io_result session_io_handshake(struct session_io *io);
/* One read. */
enum session_io_result session_io_read(struct session_io *io, char *to,
    size_t size, size_t *len_r);
/* Bytes wait inside TLS that the descriptor will not announce. */
bool session_io_has_pending(const struct session_io *io);
/* Writes what is queued; AGAIN: the write event is armed. */
enum session_io_result session_io_flush(struct session_io *io);
/* Output waits until the peer has taken more. */
bool session_io_is_blocked(const struct session_io *io);
void session_io_want_read(struct session_io *io, bool on);
/* Whether TLS wipes what it decrypted once it was read: needed while passwords
 * may come, and too dear for bodies. On by default (session/tls.c). */
void session_io_forget_secrets(struct session_io *io, bool on);
/* Says good-bye where TLS runs; never waits for the peer's. */
void session_io_shutdown(struct session_io *io);

#endif
