/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A borrowed run of bytes: pointer and length, no terminator.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct str {
	const char *ptr;
	size_t len;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })

static inline struct str
str_of(const char *s)
{
	return (struct str){ s, s == NULL ? 0 : strlen(s) };
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
str_case_eq(struct str a, struct str b)
{
	return a.len == b.len &&
	    (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* Takes what comes before the first `end` off s, and the `end`; all, if there
 * is none. */
static inline struct str
str_cut(struct str *s, char end)
{
	const char *at = s->len == 0 ? NULL : memchr(s->ptr, end, s->len);
	struct str taken = *s;

	if (at == NULL) {
		s->len = 0;
		return taken;
	}
	taken.len = (size_t)(at - taken.ptr);
	*s = (struct str){ at + 1, s->len - taken.len - 1 };
	return taken;
}

/* Copies into a fixed buffer, always terminated. false: it was cut. */
static inline bool
str_copy(char *to, size_t size, struct str s)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;

	if (n > 0)
		memcpy(to, s.ptr, n);
	to[n] = '\0';
	return n == s.len;
}

#endif
