/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Starting processes by fork and exec. Every descriptor of the master closes
 * on exec; the copies that a role is to find are the only ones that do not.
 */
#include "master/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

/* ---- in the child, between fork and exec -------------------------------- */

/* First out of the way of all targets, then each to its place. */
static int
place(const struct child_fds *fds)
{
	int high;
	unsigned i;

	/* Also what we inherited ourselves, and never looked at. */
	close_range(ROLE_FD_LIFELINE, ~0U, CLOSE_RANGE_CLOEXEC);
	for (i = ROLE_FD_LIFELINE; i < fds->count; i++) {
		if (fds->from[i] == -1)
			continue;
		high = fcntl(fds->from[i], F_DUPFD_CLOEXEC, (int)fds->count);
		if (high == -1)
			return -1;
		fds->from[i] = high;
	}
	for (i = ROLE_FD_LIFELINE; i < fds->count; i++)
		if (fds->from[i] != -1 && dup2(fds->from[i], (int)i) == -1)
			return -1;
	return 0;
}

static void
set_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1,
		SIGPIPE };
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- in the master ------------------------------------------------------- */

pid_t
child_exec(const struct role_args *args, const struct child_fds *fds,
    struct error *err)
{
	static char name[] = "porterod";
	char *argv[16];
	pid_t pid;

	role_args_encode(args, argv, name);
	pid = fork();
	if (pid == -1)
		error_set(err, ERROR_TEMPORARY, "fork: %s", strerror(errno));
	if (pid != 0)
		return pid;
	setsid();
	set_signals();
	if (place(fds) == 0)
		execv("/proc/self/exe", argv);
	_exit(127);
}

int
child_lifeline(int pair[2], struct error *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return error_set(err, ERROR_TEMPORARY, "socketpair: %s",
		    strerror(errno));
	return 0;
}

void
child_send(struct child *c, enum lifeline_type type, int64_t value, int fd)
{
	struct lifeline_record r = { .type = (uint16_t)type, .value = value,
		.fd = fd };

	if (c->lifeline == -1 || lifeline_send(c->lifeline, &r) == 1)
		return;
	/* It does not listen. The end of the lifeline tells it to drain. */
	close(c->lifeline);
	c->lifeline = -1;
}

void
child_kill_at(struct child *c, int64_t at_ms)
{
	if (c->kill_at_ms == 0 || at_ms < c->kill_at_ms)
		c->kill_at_ms = at_ms;
}

void
child_clear(struct child *c)
{
	if (c->lifeline != -1)
		close(c->lifeline);
	c->lifeline = -1;
	c->pid = 0;
	c->ready = false;
	c->told_to_go = false;
	c->cause = NULL;
	c->kill_at_ms = 0;
}
