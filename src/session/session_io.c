/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Client I/O on a non-blocking descriptor with plain OpenSSL (no bufferevents:
 * they cost a fifth more CPU and hide what STARTTLS must see).
 */
#include "session/session_io.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/openssl.h"

void
session_io_open(struct session_io *io, struct event_base *base, int fd,
    event_callback_fn cb, void *arg)
{
	memset(io, 0, sizeof *io);
	io->fd = fd;
	io->read_event = event_new(base, fd, EV_READ | EV_PERSIST, cb, arg);
	io->write_event = NULL;
	assert(io->read_event != NULL);
	session_io_want_read(io, true);
}

void
session_io_close(struct session_io *io)
{
	if (io->read_event != NULL)
		event_free(io->read_event);
	if (io->write_event != NULL)
		event_free(io->write_event);
	io->read_event = io->write_event = NULL;
	SSL_free(io->ssl);
	io->ssl = NULL;
	if (io->fd != -1)
		close(io->fd);
	io->fd = -1;
	buf_free(&io->out);
}

void
session_io_start_tls(struct session_io *io, SSL_CTX *ctx)
{
	assert(io->ssl == NULL);
	io->ssl = SSL_new(ctx);
	assert(io->ssl != NULL);
	SSL_set_fd(io->ssl, io->fd);
	SSL_set_accept_state(io->ssl);
	/* Output is flushed once a turn, in one piece. */
	io->handshaken = false;
}

/* Armed only while a write is blocked, so it rarely costs a system call. */
static void
want_write(struct session_io *io)
{
	if (io->write_event == NULL) {
		io->write_event = event_new(event_get_base(io->read_event),
		    io->fd, EV_WRITE, event_get_callback(io->read_event),
		    event_get_callback_arg(io->read_event));
		assert(io->write_event != NULL);
	}
	event_add(io->write_event, NULL);
}

static enum session_io_result
tls_result(struct session_io *io, int ret)
{
	int saved = errno;

	switch (SSL_get_error(io->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		return SESSION_IO_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		want_write(io);
		return SESSION_IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return SESSION_IO_EOF;
	case SSL_ERROR_SYSCALL:
		if (saved == 0 || saved == ECONNRESET || saved == EPIPE)
			return SESSION_IO_EOF;
		snprintf(io->why, sizeof io->why, "%s", strerror(saved));
		return SESSION_IO_ERROR;
	default:
		snprintf(io->why, sizeof io->why, "%s", openssl_error());
		return SESSION_IO_ERROR;
	}
}

enum session_io_result
session_io_handshake(struct session_io *io)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(io->ssl);
	if (ret != 1)
		return tls_result(io, ret);
	io->handshaken = true;
	return SESSION_IO_OK;
}

enum session_io_result
session_io_read(struct session_io *io, char *to, size_t size, size_t *len_r)
{
	ssize_t n;
	int ret;

	*len_r = 0;
	if (io->ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		ret = SSL_read(io->ssl, to, (int)size);
		if (ret <= 0)
			return tls_result(io, ret);
		*len_r = (size_t)ret;
		return SESSION_IO_OK;
	}
	n = recv(io->fd, to, size, 0);
	if (n > 0) {
		*len_r = (size_t)n;
		return SESSION_IO_OK;
	}
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return SESSION_IO_AGAIN;
	return SESSION_IO_EOF;
}

bool
session_io_has_pending(const struct session_io *io)
{
	return io->ssl != NULL && SSL_has_pending(io->ssl);
}

enum session_io_result
session_io_flush(struct session_io *io)
{
	enum session_io_result result;
	size_t len;
	ssize_t n;

	while ((len = buf_len(&io->out)) > 0) {
		if (io->ssl != NULL) {
			ERR_clear_error();
			errno = 0;
			n = SSL_write(io->ssl, buf_data(&io->out),
			    len > 16384 ? 16384 : (int)len);
			if (n <= 0) {
				result = tls_result(io, (int)n);
				return result;
			}
		} else {
			n = send(io->fd, buf_data(&io->out), len, MSG_NOSIGNAL);
			if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
				want_write(io);
				return SESSION_IO_AGAIN;
			}
			if (n == -1)
				return SESSION_IO_EOF;
		}
		buf_consume(&io->out, (size_t)n);
	}
	return SESSION_IO_OK;
}

bool
session_io_is_blocked(const struct session_io *io)
{
	return io->write_event != NULL &&
	    event_pending(io->write_event, EV_WRITE, NULL);
}

void
session_io_want_read(struct session_io *io, bool on)
{
	if (on == io->reading)
		return;
	io->reading = on;
	if (on)
		event_add(io->read_event, NULL);
	else
		event_del(io->read_event);
}

void
session_io_shutdown(struct session_io *io)
{
	if (io->ssl != NULL && io->handshaken) {
		ERR_clear_error();
		(void)SSL_shutdown(io->ssl);
	}
}

void
session_io_forget_secrets(struct session_io *io, bool on)
{
	if (io->ssl == NULL)
		return;
	if (on)
		SSL_set_options(io->ssl, SSL_OP_CLEANSE_PLAINTEXT);
	else
		SSL_clear_options(io->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}
