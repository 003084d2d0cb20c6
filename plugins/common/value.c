/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "value.h"

#include <string.h>

struct portero_str
value_cut(struct portero_str *s, char c)
{
	struct portero_str head = *s;
	const char *at = s->len == 0 ? NULL : memchr(s->ptr, c, s->len);

	if (at == NULL) {
		s->ptr += s->len;
		s->len = 0;
		return head;
	}
	head.len = (size_t)(at - s->ptr);
	s->ptr = at + 1;
	s->len -= head.len + 1;
	return head;
}

bool
value_is_text(struct portero_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
			return false;
	return s.len > 0;
}

bool
value_copy(char *to, size_t size, struct portero_str s)
{
	if (!value_is_text(s) || s.len >= size)
		return false;
	memcpy(to, s.ptr, s.len);
	to[s.len] = '\0';
	return true;
}

/* Digits and at most one of the units' letters. */
static bool
number(struct portero_str s, const char *letters, const int64_t *factors,
    int64_t *to)
{
	const char *letter;
	int64_t n = 0;
	size_t i;

	for (i = 0; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, s.ptr[i] - '0', &n))
			return false;
	*to = n;
	if (i == 0 || i == s.len)
		return i > 0;
	letter = s.ptr[i] == '\0' ? NULL : strchr(letters, s.ptr[i]);
	return i + 1 == s.len && letter != NULL &&
	    !__builtin_mul_overflow(n, factors[letter - letters], to);
}

bool
value_size(struct portero_str s, int64_t *bytes_r)
{
	static const int64_t factors[] = { 1 << 10, 1 << 20, 1 << 30, 1 << 10,
		1 << 20, 1 << 30 };

	return number(s, "kMGKmg", factors, bytes_r);
}

bool
value_limit(struct portero_str s, struct portero_limit *l)
{
	static const int64_t factors[] = { 1, 60, 3600, 86400 };
	struct portero_str name = value_cut(&s, '=');
	bool has_window = s.len > 0 && memchr(s.ptr, '/', s.len) != NULL;
	struct portero_str max = value_cut(&s, '/');
	int64_t window = 0;

	*l = (struct portero_limit){ .max = PORTERO_UNLIMITED };
	if (!value_copy(l->name, sizeof l->name, name))
		return false;
	if ((max.len != strlen("unlimited") ||
		memcmp(max.ptr, "unlimited", max.len) != 0) &&
	    !number(max, "", NULL, &l->max))
		return false;
	if (has_window &&
	    (!number(s, "smhd", factors, &window) || window < 1 ||
		window > PORTERO_MAX_WINDOW_S))
		return false;
	l->window_s = (uint32_t)window;
	return true;
}
