/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the bench programs share. They end with a message when something
 * cannot be done: a half-working bench measures nothing.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole allowance of descriptors, and no death by SIGPIPE. */
void bench_prepare(void);
_Noreturn void bench_die(const char *what);
/* A non-blocking listening socket on 127.0.0.1; *port 0: any, told back. */
int bench_listen(int *port, bool reuse_port);
/* A connected or connecting non-blocking socket to 127.0.0.1, no delay. */
int bench_connect(int port);
/* Accepts one connection, non-blocking, no delay; -1: none there. */
int bench_accept(int listener);
void bench_watch(int epoll, int op, int fd, uint32_t events, void *arg);
/* A number of an option, within bounds. */
long bench_number(const char *text, long min, long max);
/* Called for each option, by the letter of table[i] and its value. */
struct bench_option {
	const char *name; /* long, with a value */
	const char *help;
	char letter;
};
void bench_options(int argc, char *argv[], const struct bench_option *table,
    void (*each)(char letter, const char *value));

#endif
