/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Opens standard error, a file or the socket of syslog. While syslog is away
 * its socket stays unconnected: writers notice and ask again.
 */
#include "master/log_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TO_STDERR, TO_FILE, TO_SYSLOG };

static int
connect_syslog(int fd)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX,
		.sun_path = "/dev/log" };

	return connect(fd, (const struct sockaddr *)&address,
	    sizeof(address));
}

static int
open_syslog(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd != -1)
		connect_syslog(fd);
	return fd;
}

static int
open_kind(int kind, const char *path, struct error *err)
{
	int fd;

	switch (kind) {
	case TO_FILE:
		fd = open(path,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
		    0640);
		break;
	case TO_SYSLOG:
		fd = open_syslog();
		break;
	default:
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		break;
	}
	if (fd == -1)
		return error_set(err, ERROR_PERMANENT,
		    "cannot open the log%s%s: %s", *path == '\0' ? "" : " ",
		    path, strerror(errno));
	return fd;
}

int
log_target_open(struct log_target *t, const struct plan *plan,
    struct error *err)
{
	const char *path = plan->log_kind == TO_FILE ? plan->log_path : "";

	t->kind = plan->log_kind;
	str_copy(t->path, sizeof(t->path), str_of(path));
	t->fd = open_kind(t->kind, t->path, err);
	return t->fd == -1 ? -1 : 0;
}

int
log_target_again(const struct log_target *t, struct error *err)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);
	int fd = open_kind(t->kind, t->path, err);

	if (fd == -1 || t->kind != TO_SYSLOG ||
	    getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
		return fd;
	close(fd);
	return error_set(err, ERROR_TEMPORARY, "syslog is away");
}

enum log_kind
log_target_kind(const struct log_target *t)
{
	return t->kind == TO_SYSLOG ? LOG_SYSLOG : LOG_STREAM;
}

void
log_target_close(struct log_target *t)
{
	if (t->fd != -1)
		close(t->fd);
	t->fd = -1;
}
