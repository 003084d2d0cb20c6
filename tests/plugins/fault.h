/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the plugins of the tests do wrong, when a word occurs in what they are
 * asked about:
 *
 *   crash    dies of a signal
 *   sleep    overstays its time, asleep, whatever signals come
 *   spin     overstays its time, at work
 *   wait     waits for a peer that never answers, on a guarded descriptor
 *   nonsense answers what no contract allows
 *   none     forgets to answer
 */
#ifndef TESTS_FAULT_H
#define TESTS_FAULT_H

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <portero/plugin.h>

enum fault { FAULT_CRASH, FAULT_SLEEP, FAULT_SPIN, FAULT_WAIT, FAULT_NONSENSE, FAULT_NONE };

static const char *const fault_names[] = { "crash", "sleep", "spin", "wait",
	"nonsense", "none", NULL };

#define FAULT_OPTIONS \
	{ .name = "fault", \
		.type = PORTERO_OPT_ENUM, \
		.choices = fault_names, \
		.help = "What goes wrong.", \
		.required = true }, \
	{ .name = "when", \
		.type = PORTERO_OPT_STRING, \
		.help = "The word; without it always." }, \
	{ .name = "seconds", \
		.type = PORTERO_OPT_DURATION, \
		.preset = "10s", \
		.help = "How long sleep and spin take.", \
		.min = 1, \
		.max = 3600 }

struct fault_plugin {
	const struct portero_host *host; /* borrowed */
	enum fault fault;
	char *when; /* NULL: always */
	int64_t seconds;
	int64_t stage; /* policy: index in its choices */
};

static inline struct fault_plugin *
fault_new(const struct portero_host *host, const struct portero_conf *conf)
{
	struct fault_plugin *f = calloc(1, sizeof *f);
	const char *when = host->get_string(conf, "when");

	if (f == NULL)
		abort();
	f->host = host;
	f->fault = (enum fault)host->get_int(conf, "fault");
	f->when = when == NULL ? NULL : strdup(when);
	f->seconds = host->get_int(conf, "seconds");
	return f;
}

static inline void
fault_free(void *ctx)
{
	struct fault_plugin *f = ctx;

	free(f->when);
	free(f);
}

static inline bool
fault_is_due(const struct fault_plugin *f, struct portero_str s)
{
	return f->when == NULL ||
	    (s.len > 0 && memmem(s.ptr, s.len, f->when, strlen(f->when)));
}

static inline void
fault_sleep(int64_t seconds)
{
	struct timespec left = { .tv_sec = seconds };

	while (nanosleep(&left, &left) == -1)
		continue;
}

static inline void
fault_spin(int64_t seconds)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec - from.tv_sec < seconds);
}

static inline void
fault_wait(const struct portero_host *host)
{
	int pair[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	host->guard(host, pair[0]);
	while (read(pair[0], &byte, 1) == -1)
		continue; /* a signal */
	host->unguard(host, pair[0]);
	close(pair[0]);
	close(pair[1]);
}

/* NEXT: nonsense is to be answered. */
static inline enum portero_verdict
fault_commit(const struct fault_plugin *f)
{
	switch (f->fault) {
	case FAULT_CRASH:
		signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
		raise(SIGSEGV);
		return PORTERO_NONE;
	case FAULT_SLEEP:
		fault_sleep(f->seconds);
		return PORTERO_DEFER;
	case FAULT_SPIN:
		fault_spin(f->seconds);
		return PORTERO_DEFER;
	case FAULT_WAIT:
		fault_wait(f->host);
		return PORTERO_DEFER;
	case FAULT_NONSENSE:
		return PORTERO_NEXT;
	default:
		return PORTERO_NONE;
	}
}

#endif
