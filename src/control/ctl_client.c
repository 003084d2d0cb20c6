/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One request to the daemon, one answer back.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/porteroctl.h"

#define ANSWER_WAIT_S 15
#define RELOAD_WAIT_S 165 /* plugins are tried, old workers waited for */

static int
ctl_connect(const char *path, int wait_s, struct error *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval wait = { wait_s, 0 };
	int fd;

	if (!str_copy(a.sun_path, sizeof a.sun_path, str_of(path)))
		return error_set(err, ERROR_PERMANENT,
		    "%s: the path is too long for a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return error_set(
		    err, ERROR_INTERNAL, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == -1) {
		error_set(err, ERROR_TEMPORARY, "%s: %s%s", path,
		    strerror(errno),
		    errno == EACCES ? ""
		    : errno == ENOENT || errno == ECONNREFUSED
			? " (is portero running?)"
			: "");
		close(fd);
		return -1;
	}
	return fd;
}

static int
send_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (; len > 0; data += n, len -= (size_t)n) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			n = 0;
		if (n == -1)
			return -1;
	}
	return 0;
}

/* One line without its end; -1 and errno, 0 for an answer that broke off. */
static int
receive_line(int fd, struct buf *line)
{
	char block[16384];
	const char *end;
	ssize_t n;

	while (buf_len(line) <= ANSWER_MAX) {
		n = recv(fd, block, sizeof block, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		end = memchr(block, '\n', (size_t)n);
		buf_append(line, block,
		    end == NULL ? (size_t)n : (size_t)(end - block));
		if (end != NULL)
			return 1;
	}
	return 0;
}

static json_t *
ctl_talk(int fd, const struct request *r)
{
	struct buf line = { .mem = NULL };
	json_t *answer = NULL;
	char *request = request_line(r);
	int got = -1;

	if (send_all(fd, request, strlen(request)) == 0)
		got = receive_line(fd, &line);
	if (got == 1)
		answer = json_loadb(
		    buf_data(&line), buf_len(&line), JSON_ALLOW_NUL, NULL);
	if (got == -1)
		answer = answer_error(REASON_UNREACHABLE,
		    errno == EAGAIN ? "the daemon does not answer"
				    : "the daemon hung up before it answered");
	else if (!json_is_object(answer)) {
		json_decref(answer);
		answer = answer_error(REASON_FAILED,
		    got == 1 ? "the daemon's answer is broken"
			     : "the daemon hung up before it answered");
	}
	buf_free(&line);
	free(request);
	return answer;
}

json_t *
ctl_ask(const char *socket_path, const struct request *r)
{
	json_t *answer;
	struct error err;
	int fd = ctl_connect(socket_path,
	    r->verb->id == VERB_RELOAD ? RELOAD_WAIT_S : ANSWER_WAIT_S, &err);

	if (fd == -1)
		return answer_error(REASON_UNREACHABLE, "%s", err.text);
	answer = ctl_talk(fd, r);
	close(fd);
	return answer;
}
