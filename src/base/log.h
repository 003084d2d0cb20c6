/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The log, in logfmt: one line for each thing an operator would search.
 *
 *   ts=2026-11-23T14:20:00.123Z level=info ev=message s=7Q3K9F2M ...
 *
 * The line's first keys are fixed (ts unless syslog adds it, level, ev); the
 * caller adds the rest. Values from outside are quoted and escaped here, in
 * one place: a line is always one line and parses back to its fields; in a
 * quoted value \", \\, \n, \r, \t stand for themselves and \u00XX for the byte
 * XX. A value that is too long ends early, and the line then with cut=yes.
 * Writes never block for long: what cannot be written is counted and dropped.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define LOG_LINE_MAX 4096  /* newline included; PIPE_BUF, so writes are atomic */
#define LOG_VALUE_MAX 1024 /* bytes of one value, before it is escaped */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_kind {
	LOG_STREAM = 1, /* stderr or a file opened with O_APPEND */
	LOG_SYSLOG      /* a connected datagram socket to /dev/log */
};

/* One line being built; lives on the caller's stack. */
struct log_line {
	enum log_level level;
	bool skip; /* below the level that is logged */
	bool cut;  /* something did not fit */
	size_t len;
	char text[LOG_LINE_MAX];
};

/* Sets where lines go. The descriptor is borrowed until log_replace(). */
void log_open(int fd, enum log_kind kind, enum log_level level, const char *ident);
/* Takes a new descriptor over with dup3(2) onto the old number and closes fd:
 * the file was rotated or syslog restarted. */
void log_replace(int fd);
/* true: lines collect until log_flush(); session workers flush once a turn. */
void log_buffered(bool on);
/* Writes what waits. Lines also wait, up to a bound, while the reader is busy
 * or away, so call it now and then (a timer of a second will do). */
void log_flush(void);
/* Lines dropped since the last call. */
uint64_t log_take_dropped(void);
/* true once after a write failed because the other end is gone (syslog
 * restarted): the owner asks the master for a new descriptor. */
bool log_take_lost(void);
bool log_wants(enum log_level level);

void log_begin(struct log_line *l, enum log_level level, const char *event);
void log_add(struct log_line *l, const char *key, struct str value);
void log_adds(struct log_line *l, const char *key, const char *value);
void log_addn(struct log_line *l, const char *key, int64_t value);
void log_addf(struct log_line *l, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_end(struct log_line *l);

/* A whole line in one call: ev=EVENT msg="...". */
void log_say(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
