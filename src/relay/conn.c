/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A connection to the upstream: the only place of the relay that knows of
 * partial writes, of sockets that are full and of what TLS wants next.
 *
 * It owns the socket, the TLS session, the queue of bytes to write and one
 * timer. What always holds:
 *  - Users hear of anything only from the event loop; a write that fails
 *    within a call is told in the next turn.
 *  - The socket is watched for reading all the time, for writing only while
 *    something is blocked: a message costs no epoll_ctl(2).
 *  - Of a body no more is queued than RELAY_GATHER bytes, and while it is
 *    blocked the rest of one run: the kernel's buffer is the reserve.
 *  - Nothing is kept of what was read but an unfinished reply, bounded.
 *
 * SIGPIPE must be ignored: OpenSSL writes with write(2).
 */
#include "relay/relay_private.h"

#include <assert.h>
#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/clock.h"
#include "base/mem.h"

#define TLS_RECORD 16384

/* One for all connections: nothing stays in it. */
static char received[16384];

static void
count(const struct relay_conn *c, uint64_t n)
{
	const struct relay_setup *setup = c->host->setup;

	if (c->host->pool != NULL)
		shared_add(setup->shared, setup->row,
		    COUNTER_UPSTREAM_CONNECTIONS, n);
}

/* ---- its end ---- */

static void
conn_free(struct relay_conn *c)
{
	smtp_reply_parser_free(&c->parser);
	buf_wipe(&c->out); /* AUTH may have been in it */
	free(c->login);
	free(c);
}

void
relay_conn_close(struct relay_conn **conn)
{
	struct relay_conn *c = *conn;

	*conn = NULL;
	if (c == NULL)
		return;
	assert(!c->closed);
	c->closed = true;
	relay_host_forget(c->host, c);
	event_del(&c->timer);
	if (c->fd != -1) {
		event_del(&c->readable);
		event_del(&c->writable);
		relay_tls_free(c);
		close(c->fd);
		count(c, (uint64_t)-1);
	}
	if (c->depth == 0)
		conn_free(c);
}

void
relay_conn_down(
    struct relay_conn *c, enum conn_fault fault, const char *format, ...)
{
	char why[RELAY_DETAIL_MAX - sizeof(c->peer) - 2];
	char detail[RELAY_DETAIL_MAX];
	va_list ap;

	assert(c->depth > 0 && !c->closed);
	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	snprintf(detail, sizeof(detail), "%s: %s", c->peer, why);
	c->gone = true;
	c->user->on_down(c->arg, fault, detail);
	assert(c->closed);
}

void
relay_conn_hang_up(struct relay_conn *c)
{
	c->gone = true;
	event_active(&c->timer, EV_TIMEOUT, 1);
}

/* The end of every event's callback: nothing uses c any more. */
static void
leave(struct relay_conn *c)
{
	c->depth--;
	if (c->depth == 0 && c->closed)
		conn_free(c);
}

/* ---- time ---- */

static void
arm(struct relay_conn *c)
{
	int64_t at = c->reply_by, wait;
	struct timeval tv;

	if (at == 0 || (c->write_by != 0 && c->write_by < at))
		at = c->write_by;
	if (at == 0 || (c->timer_at != 0 && c->timer_at <= at))
		return; /* it fires, finds nothing and is armed again */
	c->timer_at = at;
	wait = at - clock_mono_ms();
	if (wait < 0)
		wait = 0;
	tv.tv_sec = wait / 1000;
	tv.tv_usec = wait % 1000 * 1000;
	evtimer_add(&c->timer, &tv);
}

void
relay_conn_expect(struct relay_conn *c, int64_t ms)
{
	c->reply_by = ms == 0 ? 0 : clock_mono_ms() + ms;
	arm(c);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct relay_conn *c = arg;
	int64_t now = clock_mono_ms();

	(void)fd;
	(void)what;
	c->depth++;
	c->timer_at = 0;
	if (c->gone)
		relay_conn_down(c, CONN_LOST, "%s",
		    c->error != 0 ? strerror(c->error) : "connection given up");
	else if (c->write_by != 0 && now >= c->write_by)
		relay_conn_down(c, CONN_LATE, "takes no more bytes");
	else if (c->reply_by != 0 && now >= c->reply_by)
		relay_conn_down(c, CONN_LATE, "no answer in time");
	else
		arm(c);
	leave(c);
}

/* ---- writing ---- */

static void
watch_writing(struct relay_conn *c)
{
	bool on = (c->blocked && !c->write_wants_read) || c->read_wants_write;

	if (on && !c->watching)
		event_add(&c->writable, NULL);
	else if (!on && c->watching)
		event_del(&c->writable);
	c->watching = on;
}

/* After each write: is there a rest? Its time starts again. */
static void
note_written(struct relay_conn *c)
{
	c->blocked = buf_len(&c->out) > 0;
	c->write_by = 0;
	if (c->blocked) {
		c->write_by =
		    clock_mono_ms() + c->host->config->reply_timeout_ms;
		arm(c);
	}
	watch_writing(c);
}

/* A write failed. The peer's last words may still be there to be read. */
static void
fall_mute(struct relay_conn *c, int error)
{
	c->mute = true;
	c->error = error;
	buf_wipe(&c->out);
	note_written(c);
	if (c->ssl == NULL)
		event_active(&c->readable, EV_READ, 1);
	else
		relay_conn_hang_up(c);
}

/* What was written of the queue. Of AUTH nothing stays in freed memory. */
static void
consume(struct relay_conn *c, size_t len)
{
	if (c->phase == CONN_AUTH && len == buf_len(&c->out))
		buf_wipe(&c->out);
	else
		buf_consume(&c->out, len);
}

/* Writes the queue and the run behind it with one call; what is left of the
 * run is queued. */
static void
write_plain(struct relay_conn *c, const char *data, size_t len)
{
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov };
	size_t queued = buf_len(&c->out), done;
	ssize_t n;

	if (queued > 0)
		iov[msg.msg_iovlen++] =
		    (struct iovec){ (void *)(uintptr_t)buf_data(&c->out),
			    queued };
	if (len > 0)
		iov[msg.msg_iovlen++] =
		    (struct iovec){ (void *)(uintptr_t)data, len };
	n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		n = 0;
	c->tried = c->sent + (n == -1 ? queued + len : (size_t)n);
	if (n == -1) {
		fall_mute(c, errno);
		return;
	}
	c->sent += (size_t)n;
	done = (size_t)n < queued ? (size_t)n : queued;
	consume(c, done);
	done = (size_t)n - done;
	if (done < len)
		buf_append(&c->out, data + done, len - done);
	note_written(c);
}

/* One TLS record. Returns what was taken, 0: it must wait, -1: lost. What had
 * to wait is still the queue's begin next time, as OpenSSL wants it. */
static ssize_t
write_record(struct relay_conn *c, const char *data, size_t len)
{
	int n;

	if (len > TLS_RECORD)
		len = TLS_RECORD;
	c->tried = c->sent + len;
	c->write_wants_read = false;
	ERR_clear_error();
	n = SSL_write(c->ssl, data, (int)len);
	if (n > 0) {
		c->sent += (size_t)n;
		return n;
	}
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		c->write_wants_read = true;
		return 0;
	case SSL_ERROR_WANT_WRITE:
		return 0;
	default:
		return -1;
	}
}

static void
write_tls(struct relay_conn *c, const char *data, size_t len)
{
	ssize_t n = 1;

	if (buf_len(&c->out) > 0 && len > 0) {
		/* rather a copy than one more record */
		buf_append(&c->out, data, len);
		len = 0;
	}
	while (n > 0 && len > 0) {
		n = write_record(c, data, len);
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	while (n > 0 && buf_len(&c->out) > 0) {
		n = write_record(c, buf_data(&c->out), buf_len(&c->out));
		if (n > 0)
			consume(c, (size_t)n);
	}
	if (n == -1) {
		fall_mute(c, EPIPE);
		return;
	}
	if (len > 0)
		buf_append(&c->out, data, len);
	note_written(c);
}

static void
write_out(struct relay_conn *c, const char *data, size_t len)
{
	if (c->ssl == NULL)
		write_plain(c, data, len);
	else
		write_tls(c, data, len);
}

void
relay_conn_flush(struct relay_conn *c)
{
	if (buf_len(&c->out) > 0 && !c->blocked)
		write_out(c, NULL, 0);
}

void
relay_conn_write(struct relay_conn *c, const void *data, size_t len)
{
	c->queued += len;
	if (c->mute)
		return;
	buf_append(&c->out, data, len);
	if (c->blocked)
		return;
	if (c->host->pool != NULL)
		relay_pool_mark(c->host->pool, c);
	else
		relay_conn_flush(c);
}

void
relay_conn_stream(struct relay_conn *c, const char *data, size_t len)
{
	if (len < RELAY_DIRECT || c->blocked || c->mute) {
		relay_conn_write(c, data, len);
		if (buf_len(&c->out) > RELAY_GATHER)
			relay_conn_flush(c);
	} else {
		c->queued += len;
		write_out(c, data, len);
	}
}

void
relay_conn_quit(struct relay_conn **conn)
{
	struct relay_conn *c = *conn;

	if (c->queued == c->sent) {
		c->queued += 6;
		write_out(c, "QUIT\r\n", 6);
		if (c->ssl != NULL && c->queued == c->sent)
			SSL_shutdown(c->ssl);
	}
	relay_conn_close(conn);
}

/* ---- reading ---- */

/* Hands replies on. Stops when the connection is closed, given up, or is to
 * speak TLS from here on. */
static void
digest(struct relay_conn *c, const char *data, size_t len)
{
	struct smtp_reply reply;
	size_t used;

	while (len > 0 && !c->closed && !c->gone) {
		if (c->phase == CONN_IDLE || c->phase == CONN_HANDSHAKE) {
			relay_conn_down(c, CONN_BROKEN,
			    c->phase == CONN_IDLE
				? "bytes that nobody asked for"
				: "bytes behind the answer to STARTTLS");
			return;
		}
		used = 0;
		switch (smtp_reply_feed(&c->parser, data, len, &used)) {
		case SMTP_REPLY_MORE:
			c->half = true;
			return;
		case SMTP_REPLY_BROKEN:
			relay_conn_down(c, CONN_BROKEN, "not an SMTP reply");
			return;
		case SMTP_REPLY_DONE:
			break;
		}
		data += used;
		len -= used;
		c->half = false;
		reply = smtp_reply_parser_take(&c->parser);
		if (c->phase == CONN_READY)
			c->user->on_reply(c->arg, &reply);
		else
			relay_hello_reply(c, &reply);
		smtp_reply_free(&reply);
	}
}

static void
read_failed(struct relay_conn *c, int error)
{
	if (error == 0)
		relay_conn_down(c, CONN_LOST, "closed by the upstream");
	else
		relay_conn_down(c, CONN_LOST, "%s", strerror(error));
}

/* Bytes read, 0: none now, -1: the user was told of the end. */
static ssize_t
read_plain(struct relay_conn *c)
{
	ssize_t n = recv(c->fd, received, sizeof(received), 0);

	if (n > 0)
		return n;
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		if (!c->mute)
			return 0;
		errno = c->error;
	}
	read_failed(c, n == 0 ? 0 : errno);
	return -1;
}

static ssize_t
read_tls(struct relay_conn *c)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_read(c->ssl, received, sizeof(received));
	c->read_wants_write = false;
	if (n <= 0) {
		switch (SSL_get_error(c->ssl, n)) {
		case SSL_ERROR_WANT_READ:
			n = 0;
			break;
		case SSL_ERROR_WANT_WRITE:
			c->read_wants_write = true;
			n = 0;
			break;
		case SSL_ERROR_SSL:
			errno = EPROTO;
			__attribute__((fallthrough));
		default:
			read_failed(c, errno);
			return -1;
		}
	}
	watch_writing(c);
	return n;
}

static void
read_in(struct relay_conn *c)
{
	ssize_t n;
	bool more = true;

	while (more && !c->closed && !c->gone) {
		n = c->ssl == NULL ? read_plain(c) : read_tls(c);
		if (n <= 0)
			return;
		/* A short read emptied the socket. TLS has read ahead: what it
		 * holds would not make the socket readable again. */
		more = c->ssl == NULL ? n == sizeof(received)
		                      : SSL_has_pending(c->ssl) == 1;
		digest(c, received, (size_t)n);
	}
}

/* ---- the way there ---- */

static void
handshake(struct relay_conn *c)
{
	char why[RELAY_DETAIL_MAX - 100];
	int ret, error;

	if (c->ssl == NULL)
		c->ssl = relay_tls_session(c);
	if (c->ssl == NULL) {
		relay_conn_down(c, CONN_TLS, "TLS: no session");
		return;
	}
	ERR_clear_error();
	ret = SSL_do_handshake(c->ssl);
	c->read_wants_write = false;
	if (ret != 1) {
		error = SSL_get_error(c->ssl, ret);
		if (error == SSL_ERROR_WANT_WRITE)
			c->read_wants_write = true;
		else if (error != SSL_ERROR_WANT_READ) {
			relay_tls_error(c, error, why, sizeof(why));
			relay_conn_down(c, CONN_TLS, "%s", why);
			return;
		}
	}
	watch_writing(c);
	if (ret != 1)
		return;
	relay_hello_secured(c);
	if (SSL_has_pending(c->ssl) == 1)
		read_in(c);
}

static void
finish_connect(struct relay_conn *c)
{
	socklen_t len = sizeof(c->error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->error, &len) == -1)
		c->error = errno;
	if (c->error != 0) {
		read_failed(c, c->error);
		return;
	}
	event_del(&c->writable);
	c->watching = false;
	event_add(&c->readable, NULL);
	c->phase = CONN_GREETING;
	if (c->host->config->tls == CONFIG_UPSTREAM_IMPLICIT) {
		c->phase = CONN_HANDSHAKE;
		handshake(c);
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct relay_conn *c = arg;

	(void)fd;
	(void)what;
	c->depth++;
	if (c->phase != CONN_HANDSHAKE) {
		read_in(c);
		if (!c->closed && c->write_wants_read)
			write_out(c, NULL, 0);
	}
	/* also when the answer to STARTTLS was just read */
	if (!c->closed && c->phase == CONN_HANDSHAKE)
		handshake(c);
	leave(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct relay_conn *c = arg;
	uint64_t before = c->sent;

	(void)fd;
	(void)what;
	c->depth++;
	if (c->phase == CONN_CONNECTING)
		finish_connect(c);
	else if (c->phase == CONN_HANDSHAKE)
		handshake(c);
	else if (c->read_wants_write)
		read_in(c);
	if (!c->closed && c->blocked && !c->gone) {
		write_out(c, NULL, 0);
		if (c->sent > before && c->user->on_written != NULL)
			c->user->on_written(c->arg);
	}
	leave(c);
}

static void
describe_peer(struct relay_conn *c, const struct sockaddr_storage *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(c->peer, sizeof(c->peer), "[%s]:%u", host,
		    ntohs(in6->sin6_port));
	} else {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(c->peer, sizeof(c->peer), "%s:%u", host,
		    ntohs(in->sin_port));
	}
}

/* 0, or errno. */
static int
start_connect(
    struct relay_conn *c, const struct sockaddr_storage *address, socklen_t len)
{
	int on = 1, idle = 60, interval = 15, tries = 4;

	c->fd = socket(
	    address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		return errno;
	count(c, 1);
	event_assign(&c->readable, c->host->setup->base, c->fd, EV_READ | EV_PERSIST,
	    on_readable, c);
	event_assign(&c->writable, c->host->setup->base, c->fd, EV_WRITE | EV_PERSIST,
	    on_writable, c);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(
	    c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
	if (connect(c->fd, (const struct sockaddr *)address, len) == -1 &&
	    errno != EINPROGRESS)
		return errno;
	event_add(&c->writable, NULL);
	c->watching = true;
	return 0;
}

struct relay_conn *
relay_conn_open(struct relay_host *host,
    const struct sockaddr_storage *address, socklen_t len,
    const struct conn_user *user, void *arg)
{
	struct relay_conn *c = xcalloc(1, sizeof(*c));

	c->host = host;
	c->phase = CONN_CONNECTING;
	evtimer_assign(&c->timer, host->setup->base, on_timer, c);
	relay_conn_use(c, user, arg);
	describe_peer(c, address);
	c->error = start_connect(c, address, len);
	if (c->error != 0)
		relay_conn_hang_up(c);
	return c;
}

void
relay_conn_use(struct relay_conn *c, const struct conn_user *user, void *arg)
{
	c->user = user;
	c->arg = arg;
}
