/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What smtp_dots must do, said a second time and as plainly as possible: with
 * the whole input at hand, no states and no blocks. Tests and the fuzzer
 * compare the two.
 */
#ifndef DOTS_MODEL_H
#define DOTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "smtp/dots.h"

struct dots_result {
	bool has_end;
	size_t used;
	uint64_t size;
	int fault;
	size_t len; /* of out */
	char *out;  /* the caller's, at least twice the input */
};

static inline bool
dots_model_has(const char *data, size_t len, size_t at, const char *what)
{
	size_t n = strlen(what);

	return at + n <= len && memcmp(data + at, what, n) == 0;
}

/* A fault that the byte at `at` brings to light; from there all bytes count. */
static inline void
dots_model_fault(struct dots_result *r, enum smtp_dots_fault fault, size_t at)
{
	r->fault = fault;
	r->size += r->used - at - 1;
}

static inline void
dots_model_put(struct dots_result *r, const char *text, size_t len, size_t size)
{
	memcpy(r->out + r->len, text, len);
	r->len += len;
	r->size += size;
}

/* Where the dot line is; len: there is none. */
static inline size_t
dots_model_end(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (dots_model_has(data, len, i, ".\r\n") &&
		    (i == 0 ||
			(i >= 2 && memcmp(data + i - 2, "\r\n", 2) == 0)))
			return i;
	}
	return len;
}

static inline struct dots_result
dots_model(
    const char *data, size_t len, enum smtp_bare_newline newline, char *out)
{
	struct dots_result r = { .out = out };
	size_t end = dots_model_end(data, len);
	bool starts_line = true; /* after CRLF, or at the beginning */
	bool after_lf = false;   /* after a bare LF */

	r.has_end = end < len;
	r.used = r.has_end ? end + 3 : len;
	for (size_t i = 0; i < end; i++) {
		bool is_last = i + 1 == len;
		char c = data[i];

		if (c == '\0') {
			dots_model_fault(&r, SMTP_DOTS_NUL, i);
			break;
		}
		if (c == '\r') {
			if (is_last)
				break; /* kept back */
			if (data[i + 1] != '\n') {
				dots_model_fault(&r, SMTP_DOTS_BARE_CR, i + 1);
				break;
			}
			dots_model_put(&r, "\r\n", 2, 2);
			i++;
			starts_line = true;
			after_lf = false;
			continue;
		}
		if (c == '\n') {
			if (newline == SMTP_NEWLINE_REJECT) {
				dots_model_fault(&r, SMTP_DOTS_BARE_LF, i);
				break;
			}
			dots_model_put(&r, "\r\n", 2, 2);
			starts_line = false;
			after_lf = true;
			continue;
		}
		if (c == '.' && starts_line) {
			if (is_last)
				break; /* kept back */
			if (data[i + 1] == '\r') {
				/* the end was looked for: this is no CRLF */
				if (i + 2 < len)
					dots_model_fault(
					    &r, SMTP_DOTS_BARE_CR, i + 2);
				break;
			}
			if (data[i + 1] == '\n' &&
			    newline == SMTP_NEWLINE_REJECT) {
				dots_model_fault(&r, SMTP_DOTS_BARE_LF, i + 1);
				break;
			}
			if (data[i + 1] == '\n')
				dots_model_put(&r, "..", 2, 1);
			else
				dots_model_put(&r, ".", 1, 0);
		} else if (c == '.' && after_lf) {
			dots_model_put(&r, "..", 2, 1);
		} else {
			dots_model_put(&r, &c, 1, 1);
		}
		starts_line = after_lf = false;
	}
	return r;
}

#endif
