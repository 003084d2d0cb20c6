/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the bench programs share.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void
bench_die(const char *what)
{
	perror(what);
	exit(2);
}

void
bench_prepare(void)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		bench_die("getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) == -1)
		bench_die("setrlimit");
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int
tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		bench_die("socket");
	return fd;
}

static void
no_delay(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
		sizeof(int)) == -1)
		bench_die("TCP_NODELAY");
}

int
bench_listen(int *port, bool reuse_port)
{
	struct sockaddr_in at = loopback(*port);
	socklen_t len = sizeof at;
	int fd = tcp_socket();

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 },
			      sizeof(int)) == -1)
		bench_die("SO_REUSEPORT");
	if (bind(fd, (struct sockaddr *)&at, len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) == -1)
		bench_die("bind");
	if (listen(fd, 4096) == -1)
		bench_die("listen");
	*port = ntohs(at.sin_port);
	return fd;
}

int
bench_connect(int port)
{
	struct sockaddr_in at = loopback(port);
	int fd = tcp_socket();

	no_delay(fd);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) == -1 &&
	    errno != EINPROGRESS)
		bench_die("connect");
	return fd;
}

int
bench_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd == -1 && errno != EAGAIN && errno != ECONNABORTED &&
	    errno != EINTR)
		bench_die("accept");
	if (fd != -1)
		no_delay(fd);
	return fd;
}

void
bench_watch(int epoll, int op, int fd, uint32_t events, void *arg)
{
	struct epoll_event ev = { .events = events, .data.ptr = arg };

	if (epoll_ctl(epoll, op, fd, &ev) == -1)
		bench_die("epoll_ctl");
}

long
bench_number(const char *text, long min, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < min || n > max) {
		fprintf(stderr, "%s: expected a number from %ld to %ld\n", text,
		    min, max);
		exit(2);
	}
	return n;
}

static _Noreturn void
usage(const char *program, const struct bench_option *table)
{
	fprintf(stderr, "usage: %s [OPTION VALUE]...\n", program);
	for (; table->name != NULL; table++)
		fprintf(stderr, "  --%-14s %s\n", table->name, table->help);
	exit(2);
}

void
bench_options(int argc, char *argv[], const struct bench_option *table,
    void (*each)(char letter, const char *value))
{
	for (int i = 1; i < argc; i += 2) {
		const struct bench_option *o = table;

		while (o->name != NULL && (strncmp(argv[i], "--", 2) != 0 ||
					      strcmp(argv[i] + 2, o->name) != 0))
			o++;
		if (o->name == NULL || i + 1 == argc)
			usage(argv[0], table);
		each(o->letter, argv[i + 1]);
	}
}
