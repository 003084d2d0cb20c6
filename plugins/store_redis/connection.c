/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * hiredis moves bytes and takes replies apart; commands, sockets, time and
 * bounds are ours.
 */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/dial.h"
#include "bounds.h"

#define SPARE_MS 5 /* we give up a little before the host would have to */
/* A read may wait so long by itself, which spares it a poll(2). */
#define SLICE_MS 20

struct connection {
	const struct portero_host *host; /* borrowed */
	redisContext *redis;             /* owned */
	struct bounds bounds;
	bool waits; /* the descriptor does, for a slice */
	bool failed, is_late;
	char why[WHY_LEN];
};

static int
time_left(const struct portero_host *host, int64_t until_ms)
{
	int64_t left = until_ms - dial_now_ms();
	int64_t whole = host->time_left_ms(host) - SPARE_MS;

	if (whole < left)
		left = whole;
	return left < 0 ? 0 : (int)left;
}

static void __attribute__((format(printf, 2, 3)))
fail(struct connection *c, const char *format, ...)
{
	va_list ap;

	if (c->failed)
		return;
	c->failed = true;
	va_start(ap, format);
	vsnprintf(c->why, sizeof c->why, format, ap);
	va_end(ap);
}

/* ---- open and close ------------------------------------------------------ */

/* false: it does not wait, as before. */
static bool
wait_a_slice(int fd)
{
	const struct timeval slice = { .tv_usec = SLICE_MS * 1000 };
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice) ==
	    0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof slice) ==
	    0 &&
	    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

/* Makes the connection of a connected descriptor, which is its own from here
 * on. NULL: out of memory. */
static struct connection *
connection_new(const struct portero_host *host, int fd)
{
	struct connection *c = calloc(1, sizeof *c);

	if (c != NULL)
		c->redis = redisConnectFd(fd);
	if (c != NULL && c->redis != NULL && c->redis->reader != NULL) {
		c->redis->flags &= ~REDIS_BLOCK;
		c->host = host;
		bounds_set(&c->bounds, c->redis->reader);
		host->guard(host, fd);
		return c;
	}
	if (c != NULL && c->redis != NULL)
		redisFree(c->redis);
	else
		close(fd);
	free(c);
	return NULL;
}

/* false: it failed. */
static bool
secure(struct connection *c, struct tls *tls, const char *host,
    int64_t until_ms)
{
	struct pollfd p = { .fd = c->redis->fd };
	enum tls_state state;
	int n;

	if (!tls_start(tls, c->redis, host)) {
		fail(c, "TLS: %.100s", c->redis->errstr);
		return false;
	}
	for (;;) {
		state = tls_shake_hands(tls, c->why, sizeof c->why);
		if (state == TLS_DONE || state == TLS_FAILED)
			return state == TLS_DONE;
		p.events = state == TLS_READS ? POLLIN : POLLOUT;
		n = poll(&p, 1, time_left(c->host, until_ms));
		if (n == 0 || (n == -1 && errno != EINTR)) {
			fail(c, "TLS: no answer in time");
			return false;
		}
	}
}

struct connection *
connection_open(const struct portero_host *host, const struct address *address,
    struct tls *tls, int64_t until_ms, char why[WHY_LEN])
{
	int64_t dial_until_ms = dial_now_ms() + time_left(host, until_ms);
	int fd = address->path != NULL ?
	    dial_path(address->path, dial_until_ms, why, WHY_LEN) :
	    dial_host(address->host, address->port, dial_until_ms, why,
		WHY_LEN);
	struct connection *c;

	if (fd == -1)
		return NULL;
	c = connection_new(host, fd);
	if (c == NULL) {
		snprintf(why, WHY_LEN, "out of memory");
		return NULL;
	}
	if (!address->is_tls) {
		c->waits = wait_a_slice(fd);
	} else if (!secure(c, tls, address->host, until_ms)) {
		snprintf(why, WHY_LEN, "%s", c->why);
		connection_close(&c);
	}
	return c;
}

void
connection_close(struct connection **c)
{
	if (*c == NULL)
		return;
	(*c)->host->unguard((*c)->host, (*c)->redis->fd);
	redisFree((*c)->redis);
	free(*c);
	*c = NULL;
}

const char *
connection_why(const struct connection *c)
{
	return c->why;
}

bool
connection_is_late(const struct connection *c)
{
	return c->is_late;
}

bool
connection_is_stale(const struct connection *c)
{
	struct pollfd p = { .fd = c->redis->fd, .events = POLLIN };

	return c->failed || c->redis->reader->len != c->redis->reader->pos ||
	       poll(&p, 1, 0) != 0;
}

/* ---- commands and replies ------------------------------------------------ */

void
connection_add(struct connection *c, struct command *command)
{
	const struct portero_str text = command_end(command);

	if (text.len == 0)
		fail(c, "a command is too long");
	else if (redisAppendFormattedCommand(c->redis, text.ptr, text.len) !=
	    REDIS_OK)
		fail(c, "out of memory");
}

static void
fail_redis(struct connection *c)
{
	if (c->redis->err == REDIS_ERR_OOM)
		fail(c, "its reply is not one that we could have asked for");
	else
		fail(c, "%.100s", c->redis->errstr);
}

/* Waits till something can be read, or written if there is anything to be. */
static void
wait_ready(struct connection *c, bool writes, int64_t until_ms)
{
	struct pollfd p = { .fd = c->redis->fd,
		.events = (short)(writes ? POLLIN | POLLOUT : POLLIN),
		.revents = POLLIN };
	int left_ms = time_left(c->host, until_ms), n = 1;

	if (!c->waits || writes || left_ms <= SLICE_MS)
		n = poll(&p, 1, left_ms);
	if (n == 0) {
		c->is_late = true;
		fail(c, "no answer in time");
	} else if (n == -1 && errno != EINTR) {
		fail(c, "%s", strerror(errno));
	} else if (n == 1 && (p.revents & POLLIN) != 0 &&
		   redisBufferRead(c->redis) != REDIS_OK) {
		fail_redis(c);
	} else if (bounds_are_passed(c->redis->reader)) {
		fail(c, "its reply is too long");
	}
}

redisReply *
connection_reply(struct connection *c, int64_t until_ms)
{
	void *reply = NULL;
	int written = 1;

	while (!c->failed) {
		if (redisGetReplyFromReader(c->redis, &reply) != REDIS_OK)
			fail_redis(c);
		else if (reply != NULL)
			break;
		else if (redisBufferWrite(c->redis, &written) != REDIS_OK)
			fail_redis(c);
		else
			wait_ready(c, !written, until_ms);
	}
	return reply;
}
