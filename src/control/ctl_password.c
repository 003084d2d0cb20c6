/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A password from somebody at a terminal or from a pipe. A signal while the
 * echo is off takes effect when it is on again.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "control/porteroctl.h"

/* One line of standard input, byte by byte: what follows is not ours. Signals
 * come through while it waits, with the mask given, and end the wait. */
static int
read_password(struct password *p, const sigset_t *mask, struct error *err)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	size_t len = 0;
	ssize_t n = -1;
	char c;

	while (ppoll(&input, 1, NULL, mask) != -1 &&
	       (n = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
		if (c == '\0' || len >= sizeof p->text - 1)
			return error_set(err, ERROR_PERMANENT,
			    "a password has at most %zu bytes and no NUL",
			    sizeof p->text - 1);
		p->text[len++] = c;
		n = -1;
	}
	p->text[len] = '\0';
	if (n == -1)
		return error_set(
		    err, ERROR_PERMANENT, "no password: %s", strerror(errno));
	if (len == 0)
		return error_set(err, ERROR_PERMANENT, "the password is empty");
	return 0;
}

static volatile sig_atomic_t signal_seen;

static void
on_signal(int number)
{
	signal_seen = number;
}

/* Without echo. A signal that ends us ends us after the echo is back. */
static int
ask_password(const char *prompt, struct password *p, struct error *err)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction catch = { .sa_handler = on_signal };
	struct sigaction old[sizeof signals / sizeof signals[0]];
	struct termios before, quiet;
	sigset_t blocked, mask;
	int ret;

	if (tcgetattr(STDIN_FILENO, &before) == -1)
		return error_set(
		    err, ERROR_INTERNAL, "terminal: %s", strerror(errno));
	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		sigaddset(&blocked, signals[i]);
		sigaction(signals[i], &catch, &old[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_cc[VSUSP] = _POSIX_VDISABLE; /* no stop with the echo off */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fputs(prompt, stderr);
	ret = read_password(p, &mask, err);
	fputc('\n', stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaction(signals[i], &old[i], NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (signal_seen != 0)
		raise(signal_seen);
	return ret;
}

int
ctl_password(struct password *p, const char *prompt, const char *again,
    struct error *err)
{
	struct password second;
	int ret = 0;

	if (!isatty(STDIN_FILENO))
		return read_password(p, NULL, err);
	if (ask_password(prompt, p, err) == -1)
		return -1;
	if (again == NULL)
		return 0;
	if (ask_password(again, &second, err) == -1)
		ret = -1;
	else if (strcmp(p->text, second.text) != 0)
		ret =
		    error_set(err, ERROR_PERMANENT, "the two passwords differ");
	explicit_bzero(&second, sizeof second);
	return ret;
}
