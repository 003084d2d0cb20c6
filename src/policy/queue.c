/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The trick in queue.h. What must hold: whenever the queue's number stands
 * for the socket at end of file, `ordered` is set or is about to be seen set.
 */
#include "policy/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/board.h"
#include "policy/host.h"

static struct {
	int fd;     /* what is read */
	int real;   /* the queue */
	int at_end; /* reading it always returns end of file */
	uint8_t *head; /* borrowed */
	size_t head_len;
	_Atomic uint32_t *calls; /* borrowed; NULL: it waits at the queue */
	volatile sig_atomic_t ordered;
} queue = { .real = -1, .at_end = -1 };

static void
on_lifeline(int sig)
{
	int saved = errno;

	(void)sig;
	queue.ordered = 1;
	dup2(queue.at_end, queue.fd);
	if (queue.calls != NULL) /* it may be about to rest */
		atomic_fetch_add(queue.calls, 2);
	errno = saved;
}

static int
open_at_end(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	close(pair[1]);
	return pair[0];
}

int
queue_open(int queue_fd, int lifeline_fd, uint8_t *head, size_t head_len,
    struct error *err)
{
	struct sigaction action = { .sa_handler = on_lifeline,
		.sa_flags = SA_RESTART };
	sigset_t set;
	int flags;

	queue.fd = queue_fd;
	queue.head = head;
	queue.head_len = head_len;
	queue.real = fcntl(queue_fd, F_DUPFD_CLOEXEC, 0);
	queue.at_end = open_at_end();
	queue.ordered = 1; /* an order may be there already */
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	flags = fcntl(lifeline_fd, F_GETFL);
	if (queue.real == -1 || queue.at_end == -1 || flags == -1 ||
	    sigaction(SIGIO, &action, NULL) == -1 ||
	    sigprocmask(SIG_UNBLOCK, &set, NULL) == -1 ||
	    fcntl(lifeline_fd, F_SETOWN, getpid()) == -1 ||
	    fcntl(lifeline_fd, F_SETFL, flags | O_ASYNC) == -1)
		return error_set(err, ERROR_INTERNAL, "lifeline's signal: %s",
		    strerror(errno));
	return 0;
}

void
queue_rest(_Atomic uint32_t *calls)
{
	queue.calls = calls;
	board_hear_calls(calls);
}

void
queue_close(void)
{
	queue.calls = NULL;
	if (queue.real != -1)
		close(queue.real);
	if (queue.at_end != -1)
		close(queue.at_end);
	queue.real = queue.at_end = -1;
}

static ssize_t
receive(uint8_t *buf, size_t size, int flags)
{
	struct iovec parts[2] = { { queue.head, queue.head_len },
		{ buf + queue.head_len, size - queue.head_len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n = recvmsg(queue.fd, &m, flags);

	if (n > 0 && queue.head_len > 0)
		memcpy(buf, queue.head, queue.head_len);
	return n;
}

enum queue_event
queue_next(uint8_t *buf, size_t size, bool wait, size_t *len_r)
{
	bool rests = wait && queue.calls != NULL;
	bool blocks = wait && !rests;
	uint32_t seen = 0;
	ssize_t n;

	for (;;) {
		if (rests)
			seen = atomic_load(queue.calls);
		if (queue.ordered) {
			queue.ordered = 0; /* first: see above */
			dup2(queue.real, queue.fd);
			return QUEUE_ORDER;
		}
		n = receive(buf, size, MSG_TRUNC | (blocks ? 0 : MSG_DONTWAIT));
		if (n > 0) {
			*len_r = (size_t)n;
			return QUEUE_RECORD;
		}
		if (n == -1 && errno == EAGAIN && rests && !queue.ordered &&
		    board_rest(queue.calls, seen) == 0)
			continue;
		if (n == -1 && errno == EINTR) {
			host_rest();
			if (!queue.ordered)
				return QUEUE_WOKEN;
		}
		if (queue.ordered)
			continue;
		if (n == -1 && errno == EAGAIN)
			return QUEUE_EMPTY;
		if (n == -1)
			log_say(LOG_LEVEL_ERROR, "ipc", "recvmsg: %s",
			    strerror(errno));
		return QUEUE_CLOSED;
	}
}
