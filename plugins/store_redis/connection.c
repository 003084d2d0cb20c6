/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * hiredis formats commands, moves bytes without waiting and takes replies
 * apart; sockets, time and bounds are ours.
 */
#include "connection.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bounds.h"

#define MAX_WORDS 512
#define SPARE_MS 5 /* we give up a little before the host would have to */

/* A peer that is gone is noticed on a connection that is kept. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3
#define USER_TIMEOUT_MS 10000

struct connection {
	const struct portero_host *host; /* borrowed */
	redisContext *redis;             /* owned */
	struct bounds bounds;
	bool failed, is_late;
	char why[WHY_LEN];
};

int64_t
connection_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
time_left(const struct portero_host *host, int64_t until_ms)
{
	int64_t left = until_ms - connection_now_ms();
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

/* ---- the socket ---------------------------------------------------------- */

static void
keep_alive(int fd)
{
	/* clang-format off */
	static const struct { int level, name, value; } options[] = {
		{ SOL_SOCKET,  SO_KEEPALIVE,     1 },
		{ IPPROTO_TCP, TCP_NODELAY,      1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE,     KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL,    KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT,      KEEPALIVE_PROBES },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
	};
	/* clang-format on */

	/* A kernel that lacks one makes the others no less useful. */
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
		    &options[i].value, sizeof options[i].value);
}

/* 0, or errno. */
static int
wait_connected(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0, n = poll(&p, 1, ms);

	if (n == 0)
		return ETIMEDOUT;
	if (n == -1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		return errno;
	return error;
}

/* A connected descriptor, or -1. */
static int
dial(const struct portero_host *host, const struct sockaddr *address,
    socklen_t len, int64_t until_ms, char why[WHY_LEN])
{
	int fd = socket(
	    address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = fd == -1 ? errno : 0;

	if (error == 0 && address->sa_family != AF_UNIX)
		keep_alive(fd);
	if (error == 0 && connect(fd, address, len) == -1)
		error = errno == EINPROGRESS
		            ? wait_connected(fd, time_left(host, until_ms))
		            : errno;
	if (error == 0)
		return fd;
	if (fd != -1)
		close(fd);
	snprintf(why, WHY_LEN, "connect: %s", strerror(error));
	return -1;
}

static int
dial_path(const struct portero_host *host, const char *path, int64_t until_ms,
    char why[WHY_LEN])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	return dial(host, (const struct sockaddr *)&address, sizeof address,
	    until_ms, why);
}

static int
dial_host(const struct portero_host *host, const struct address *a,
    int64_t until_ms, char why[WHY_LEN])
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	struct addrinfo *list = NULL;
	int fd = -1, rc = getaddrinfo(a->host, a->port, &hints, &list);

	if (rc != 0) {
		snprintf(why, WHY_LEN, "%s: %s", a->host, gai_strerror(rc));
		return -1;
	}
	for (const struct addrinfo *i = list; i != NULL && fd == -1;
	     i = i->ai_next)
		fd = dial(host, i->ai_addr, i->ai_addrlen, until_ms, why);
	freeaddrinfo(list);
	return fd;
}

/* ---- open and close ------------------------------------------------------ */

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
	int fd = address->path != NULL ?
	    dial_path(host, address->path, until_ms, why) :
	    dial_host(host, address, until_ms, why);
	struct connection *c;

	if (fd == -1)
		return NULL;
	c = connection_new(host, fd);
	if (c == NULL) {
		snprintf(why, WHY_LEN, "out of memory");
		return NULL;
	}
	if (address->is_tls && !secure(c, tls, address->host, until_ms)) {
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
connection_add(struct connection *c, const struct portero_str *words, size_t n)
{
	static const char *word[MAX_WORDS];
	static size_t len[MAX_WORDS];

	if (n > MAX_WORDS) {
		fail(c, "a command of %zu words", n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		word[i] = words[i].ptr;
		len[i] = words[i].len;
	}
	if (redisAppendCommandArgv(c->redis, (int)n, word, len) != REDIS_OK)
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
		.events = (short)(writes ? POLLIN | POLLOUT : POLLIN) };
	int n = poll(&p, 1, time_left(c->host, until_ms));

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
