/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * An SMTP server that accepts everything and keeps nothing, as fast as one
 * process can: the upstream of the bench. It takes any AUTH, since behind the
 * floor the client's own AUTH arrives here. A recipient <delayN@...> delays
 * the answer to that message by N milliseconds, so that one sink serves all
 * scenarios. On SIGUSR1, and at its end by SIGTERM, it prints what it counted
 * as a line of JSON.
 *
 * All delays that are asked for at the same time should be alike: answers
 * wait in one queue.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench.h"

#define BLOCK 262144
#define LINE_MAX_LEN 2048
#define CARRY 4 /* bytes of "\r\n.\r\n" that may be in the block before */

struct conn {
	int fd;
	uint32_t events;
	bool in_data, in_auth, quits;
	int delay_ms;
	char carry[CARRY];
	struct buf line; /* an unfinished command */
	struct buf out;
	int64_t due_ms;
	struct conn *next_due;
};

static struct {
	unsigned long long connections, messages, bytes;
} count;
static int epoll;
static int listen_port;
static struct conn *first_due, **last_due = &first_due;
static volatile sig_atomic_t told, stopped;
/* A block, with room in front for what is carried over. */
static char room[CARRY + BLOCK];
static char *const block = room + CARRY;

static void
on_signal(int number)
{
	told = 1;
	if (number == SIGTERM)
		stopped = 1;
}

static void
print_counts(void)
{
	printf("{\"connections\": %llu, \"messages\": %llu, \"bytes\": %llu}\n",
	    count.connections, count.messages, count.bytes);
	fflush(stdout);
	told = 0;
}

static void
conn_free(struct conn *c)
{
	for (struct conn **p = &first_due; *p != NULL; p = &(*p)->next_due)
		if (*p == c) {
			*p = c->next_due;
			if (last_due == &c->next_due)
				last_due = p;
			break;
		}
	close(c->fd);
	buf_free(&c->line);
	buf_free(&c->out);
	free(c);
}

static void
say(struct conn *c, const char *text)
{
	buf_append(&c->out, text, strlen(text));
}

/* Writes what waits. false: the connection is over. */
static bool
flush(struct conn *c)
{
	uint32_t events;
	ssize_t n;

	while (buf_len(&c->out) > 0) {
		n = send(c->fd, buf_data(&c->out), buf_len(&c->out), 0);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1)
			return false;
		buf_consume(&c->out, (size_t)n);
	}
	if (c->quits && buf_len(&c->out) == 0)
		return false;
	events = EPOLLIN | (buf_len(&c->out) > 0 ? EPOLLOUT : 0);
	if (events != c->events)
		bench_watch(epoll, EPOLL_CTL_MOD, c->fd, events, c);
	c->events = events;
	return true;
}

static void
message_done(struct conn *c)
{
	count.messages++;
	buf_appendf(&c->out, "250 2.0.0 Ok: queued as %llX\r\n",
	    count.messages);
}

static void
message_ended(struct conn *c)
{
	c->in_data = false;
	if (c->delay_ms == 0) {
		message_done(c);
		return;
	}
	c->due_ms = clock_mono_ms() + c->delay_ms;
	c->next_due = NULL;
	*last_due = c;
	last_due = &c->next_due;
}

/* Answers the messages whose time has come; milliseconds to the next. */
static int
answer_due(void)
{
	int64_t now_ms = clock_mono_ms();

	while (first_due != NULL && first_due->due_ms <= now_ms) {
		struct conn *c = first_due;

		first_due = c->next_due;
		if (first_due == NULL)
			last_due = &first_due;
		message_done(c);
		if (!flush(c))
			conn_free(c);
	}
	return first_due == NULL ? -1 : (int)(first_due->due_ms - now_ms);
}

static void
on_rcpt(struct conn *c, const char *line)
{
	static const char mark[] = "<delay";
	const char *p = strchr(line, '<');

	if (p != NULL && strncmp(p, mark, sizeof mark - 1) == 0)
		c->delay_ms = atoi(p + sizeof mark - 1);
	say(c, "250 2.1.5 Ok\r\n");
}

/* AUTH PLAIN, with its response on the same line or on the next. */
static void
on_auth(struct conn *c, const char *line)
{
	c->in_auth = strchr(line + 5, ' ') == NULL;
	say(c, c->in_auth ? "334 \r\n" : "235 2.7.0 Ok\r\n");
}

static void
on_command(struct conn *c, const char *line)
{
	if (c->in_auth) {
		c->in_auth = false;
		say(c, "235 2.7.0 Ok\r\n");
	} else if (strncasecmp(line, "EHLO", 4) == 0) {
		say(c, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
		       "250-SIZE 1000000000\r\n250-AUTH PLAIN\r\n"
		       "250 ENHANCEDSTATUSCODES\r\n");
	} else if (strncasecmp(line, "AUTH ", 5) == 0) {
		on_auth(c, line);
	} else if (strncasecmp(line, "MAIL", 4) == 0) {
		c->delay_ms = 0;
		say(c, "250 2.1.0 Ok\r\n");
	} else if (strncasecmp(line, "RCPT", 4) == 0) {
		on_rcpt(c, line);
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		c->in_data = true;
		memcpy(c->carry, "\0\0\r\n", CARRY); /* DATA's own */
		say(c, "354 Go on\r\n");
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		c->quits = true;
		say(c, "221 2.0.0 Bye\r\n");
	} else if (strncasecmp(line, "RSET", 4) == 0 ||
	    strncasecmp(line, "NOOP", 4) == 0 ||
	    strncasecmp(line, "HELO", 4) == 0) {
		say(c, "250 2.0.0 Ok\r\n");
	} else {
		say(c, "500 5.5.2 Unknown\r\n");
	}
}

/* Looks for CRLF.CRLF in p (with CARRY bytes in front of it); returns the
 * number of bytes up to its end, or 0. */
static size_t
find_end(const char *p, size_t len)
{
	const char *at = p - CARRY, *end = p + len;

	while ((at = memchr(at, '.', (size_t)(end - at))) != NULL) {
		if (end - at >= 3 && at - p >= 2 - CARRY && at[1] == '\r' &&
		    at[2] == '\n' && at[-1] == '\n' && at[-2] == '\r' &&
		    at + 3 > p)
			return (size_t)(at + 3 - p);
		at++;
	}
	return 0;
}

/* Takes a piece of body that starts at p; returns the bytes used. What is in
 * front of p is overwritten. */
static size_t
take_body(struct conn *c, char *p, size_t len)
{
	size_t used;

	memcpy(p - CARRY, c->carry, CARRY);
	used = find_end(p, len);
	count.bytes += used > 0 ? used : len;
	if (used > 0) {
		message_ended(c);
		return used;
	}
	memcpy(c->carry, p + len - CARRY, CARRY);
	return len;
}

/* Takes a command line, or the beginning of one. */
static size_t
take_line(struct conn *c, const char *p, size_t len)
{
	const char *end = memchr(p, '\n', len);
	size_t used = end == NULL ? len : (size_t)(end + 1 - p);

	if (buf_len(&c->line) + used > LINE_MAX_LEN) {
		c->quits = true;
		say(c, "500 5.5.2 Line too long\r\n");
		return len;
	}
	buf_append(&c->line, p, used);
	if (end != NULL) {
		buf_append(&c->line, "", 1);
		on_command(c, buf_data(&c->line));
		buf_free(&c->line);
	}
	return used;
}

static void
on_readable(struct conn *c)
{
	char *p = block;
	ssize_t n = recv(c->fd, block, BLOCK, 0);
	size_t used;

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_free(c);
		return;
	}
	for (size_t left = (size_t)n; left > 0 && !c->quits; left -= used) {
		used = c->in_data ? take_body(c, p, left)
				  : take_line(c, p, left);
		p += used;
	}
	if (!flush(c))
		conn_free(c);
}

static void
on_connection(int listener)
{
	int fd = bench_accept(listener);
	struct conn *c;

	if (fd == -1)
		return;
	c = xcalloc(1, sizeof *c);
	c->fd = fd;
	c->events = EPOLLIN;
	bench_watch(epoll, EPOLL_CTL_ADD, fd, c->events, c);
	count.connections++;
	say(c, "220 sink ESMTP\r\n");
	if (!flush(c))
		conn_free(c);
}

static void
on_option(char letter, const char *value)
{
	(void)letter;
	listen_port = (int)bench_number(value, 0, 65535);
}

static void
take_signals(sigset_t *unblocked)
{
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

int
main(int argc, char *argv[])
{
	static const struct bench_option options[] = {
		{ "port", "to listen on (any free one)", 'p' },
		{ 0 },
	};
	struct epoll_event events[256];
	sigset_t unblocked;
	int listener, n, wait_ms;

	bench_options(argc, argv, options, on_option);
	bench_prepare();
	take_signals(&unblocked);
	listener = bench_listen(&listen_port, false);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	bench_watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	printf("{\"port\": %d}\n", listen_port);
	fflush(stdout);
	while (!stopped) {
		wait_ms = answer_due();
		n = epoll_pwait(epoll, events, 256, wait_ms, &unblocked);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c == NULL)
				on_connection(listener);
			else if ((events[i].events & EPOLLOUT) != 0 &&
			    !flush(c))
				conn_free(c);
			else if ((events[i].events & ~EPOLLOUT) != 0)
				on_readable(c);
		}
		if (told)
			print_counts();
	}
	return 0;
}
