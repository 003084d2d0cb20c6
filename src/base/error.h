/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * An error is made where its cause is known, carried up as a value, and
 * logged once, where something is decided.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum error_kind {
	ERROR_NONE,
	ERROR_PERMANENT, /* will fail again */
	ERROR_TEMPORARY, /* may work later */
	ERROR_INTERNAL   /* ours */
};

struct error {
	enum error_kind kind;
	char text[512];
};

/* Fills *err (which may be NULL) and returns -1, so that callers can write
 * `return error_set(err, ...)`. */
int error_set(struct error *err, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
