/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A peer that is gone is noticed on a connection that is kept. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3
#define USER_TIMEOUT_MS 10000

int64_t
dial_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

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

/* 0, or errno. A signal neither ends nor lengthens it. */
static int
wait_connected(int fd, int64_t until_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0, n;

	do {
		int64_t left = until_ms - dial_now_ms();

		n = left <= 0 ? 0 : poll(&p, 1, (int)left);
	} while (n == -1 && errno == EINTR);
	if (n == 0)
		return ETIMEDOUT;
	if (n == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		return errno;
	return error;
}

static int
dial(const struct sockaddr *address, socklen_t len, int64_t until_ms,
    char *why, size_t size)
{
	int fd = socket(address->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = fd == -1 ? errno : 0;

	if (error == 0 && address->sa_family != AF_UNIX)
		keep_alive(fd);
	if (error == 0 && dial_now_ms() >= until_ms)
		error = ETIMEDOUT; /* finding the address took all of it */
	else if (error == 0 && connect(fd, address, len) == -1)
		error = errno == EINPROGRESS ? wait_connected(fd, until_ms) :
					       errno;
	if (error == 0)
		return fd;
	if (fd != -1)
		close(fd);
	snprintf(why, size, "connect: %s", strerror(error));
	return -1;
}

int
dial_path(const char *path, int64_t until_ms, char *why, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len >= sizeof address.sun_path) {
		snprintf(why, size, "its path is too long");
		return -1;
	}
	memcpy(address.sun_path, path, len + 1);
	return dial((const struct sockaddr *)&address, sizeof address,
	    until_ms, why, size);
}

int
dial_host(const char *host, const char *port, int64_t until_ms, char *why,
    size_t size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	struct addrinfo *list = NULL;
	int fd = -1, rc = getaddrinfo(host, port, &hints, &list);

	if (rc != 0) {
		snprintf(why, size, "%s: %s", host, gai_strerror(rc));
		return -1;
	}
	for (const struct addrinfo *i = list; i != NULL && fd == -1;
	     i = i->ai_next)
		fd = dial(i->ai_addr, i->ai_addrlen, until_ms, why, size);
	freeaddrinfo(list);
	return fd;
}
