/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A file with one wrong line is refused whole: who is half known is locked
 * out in ways that nobody understands.
 */
#include "users.h"

#include <crypt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A run of bytes in the text. */
struct span {
	const char *ptr;
	size_t len;
};

static struct span
trim(struct span s)
{
	while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 &&
	    (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t' ||
		s.ptr[s.len - 1] == '\r'))
		s.len--;
	return s;
}

/* What is before the first c; the rest behind it stays in *s. */
static struct span
cut(struct span *s, char c)
{
	const char *at = s->len == 0 ? NULL : memchr(s->ptr, c, s->len);
	struct span head = *s;

	if (at == NULL) {
		s->ptr += s->len;
		s->len = 0;
		return head;
	}
	head.len = (size_t)(at - s->ptr);
	s->len -= head.len + 1;
	s->ptr = at + 1;
	return head;
}

static bool
is(struct span s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.ptr, word, s.len) == 0;
}

/* Not empty, no control characters, and it fits. */
static bool
copy(char *to, size_t size, struct span s)
{
	if (s.len == 0 || s.len >= size)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
			return false;
	memcpy(to, s.ptr, s.len);
	to[s.len] = '\0';
	return true;
}

/* A number and what follows it. */
static bool
number(struct span *s, int64_t *to)
{
	int64_t n = 0;
	size_t i;

	for (i = 0; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++) {
		if (n > INT64_MAX / 100)
			return false;
		n = n * 10 + (s->ptr[i] - '0');
	}
	if (i == 0)
		return false;
	s->ptr += i;
	s->len -= i;
	*to = n;
	return true;
}

/* A number with one of the units' letters behind it, or none. */
static bool
scaled(struct span s, const char *letters, const int64_t *factors, int64_t *to)
{
	const char *letter;

	if (!number(&s, to))
		return false;
	if (s.len == 0)
		return true;
	letter = s.len == 1 ? strchr(letters, *s.ptr) : NULL;
	if (letter == NULL || *letter == '\0' ||
	    *to > INT64_MAX / factors[letter - letters])
		return false;
	*to *= factors[letter - letters];
	return true;
}

/* ---- keys --------------------------------------------------------------- */

static const char *
set_class(struct user *u, struct span v)
{
	return copy(u->identity.class_name, sizeof u->identity.class_name, v) ?
	    NULL :
	    "class= must be 1 to 63 characters";
}

static const char *
set_lang(struct user *u, struct span v)
{
	return copy(u->identity.language, sizeof u->identity.language, v) ?
	    NULL :
	    "lang= must be 1 to 15 characters";
}

static const char *
set_size(struct user *u, struct span v)
{
	static const int64_t factors[] = { 1 << 10, 1 << 20, 1 << 30, 1 << 10,
		1 << 20, 1 << 30 };

	return scaled(v, "kMGKmg", factors, &u->identity.max_size) &&
		u->identity.max_size > 0 ?
	    NULL :
	    "size= must be a size, e.g. 25M";
}

static const char *
set_limit(struct user *u, struct span v)
{
	static const int64_t factors[] = { 1, 60, 3600, 86400 };
	struct span name = cut(&v, '='), max = cut(&v, '/');
	struct portero_limit *l = &u->identity.limits[u->identity.nlimits];
	int64_t window = 0;

	if (u->identity.nlimits == PORTERO_MAX_LIMITS)
		return "more than 16 times limit=";
	if (!copy(l->name, sizeof l->name, name))
		return "limit= must be NAME=MAX or NAME=MAX/WINDOW";
	if (is(max, "unlimited"))
		l->max = PORTERO_UNLIMITED;
	else if (!number(&max, &l->max) || max.len > 0)
		return "limit=NAME= must be a number or the word unlimited";
	if (v.len > 0 &&
	    (!scaled(v, "smhd", factors, &window) || window < 1 ||
		window > 31 * 86400))
		return "limit=: the window must be 1s to 31d, e.g. 1h";
	l->window_s = (uint32_t)window;
	u->identity.nlimits++;
	return NULL;
}

static const char *
add_address(struct portero_identity *i, struct span v)
{
	if (!copy(i->addresses + i->addresses_len,
		sizeof i->addresses - i->addresses_len, v))
		return "addresses= does not fit 2048 characters";
	i->addresses_len += (uint32_t)v.len + 1;
	return NULL;
}

static const char *
set_addresses(struct user *u, struct span v)
{
	const char *fault = NULL;

	for (v = trim(v); v.len > 0 && fault == NULL; v = trim(v))
		fault = add_address(&u->identity, cut(&v, ' '));
	return fault;
}

static const char *
set_key(struct user *u, struct span key)
{
	/* clang-format off */
	static const struct {
		const char *name;
		const char *(*set)(struct user *, struct span);
	} keys[] = {
		{ "class",     set_class },
		{ "lang",      set_lang },
		{ "size",      set_size },
		{ "limit",     set_limit },
		{ "addresses", set_addresses },
	};
	/* clang-format on */
	struct span name = trim(cut(&key, '='));

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (is(name, keys[i].name))
			return keys[i].set(u, trim(key));
	return "a key that is none of class, lang, size, limit, addresses";
}

/* ---- lines -------------------------------------------------------------- */

static const char *
set_hash(struct user *u, struct span v)
{
	u->suspended = v.len > 0 && *v.ptr == '!';
	if (u->suspended) {
		v.ptr++;
		v.len--;
	}
	if (is(v, "*") || (u->suspended && v.len == 0))
		return NULL; /* no password is right */
	if (!copy(u->hash, sizeof u->hash, v))
		return "no password hash, or one longer than 383 characters";
	if (crypt_checksalt(u->hash) == CRYPT_SALT_INVALID)
		return "a password hash that crypt(3) does not know";
	return NULL;
}

static const char *
parse_line(struct user *u, struct span line)
{
	struct span name = trim(cut(&line, ':')), hash = trim(cut(&line, ':'));
	const char *fault;

	memset(u, 0, sizeof *u);
	u->identity.size = sizeof u->identity;
	u->identity.addresses_complete = true;
	if (!copy(u->identity.id, sizeof u->identity.id, name))
		return "no name, or one longer than 255 characters";
	fault = set_hash(u, hash);
	if (fault == NULL && memchr(name.ptr, '@', name.len) != NULL)
		fault = add_address(&u->identity, name);
	while (line.len > 0 && fault == NULL)
		fault = set_key(u, trim(cut(&line, ',')));
	return fault;
}

static int
by_name(const void *a, const void *b)
{
	return strcasecmp(((const struct user *)a)->identity.id,
	    ((const struct user *)b)->identity.id);
}

/* The next line that says something goes to *to. false: there is none. */
static bool
next_line(struct span *text, unsigned *number_r, struct span *to)
{
	while (text->len > 0) {
		*to = trim(cut(text, '\n'));
		++*number_r;
		if (to->len > 0 && *to->ptr != '#')
			return true;
	}
	return false;
}

static bool
add_line(struct users *users, struct span line, unsigned at, char err[256])
{
	const size_t step = 64;
	const char *fault;
	struct user *list;

	if (users->n % step == 0) {
		list = realloc(users->list, (users->n + step) * sizeof *list);
		if (list == NULL) {
			snprintf(err, 256, "out of memory");
			return false;
		}
		users->list = list;
	}
	fault = parse_line(&users->list[users->n], line);
	if (fault != NULL) {
		snprintf(err, 256, "line %u: %s", at, fault);
		return false;
	}
	users->n++;
	return true;
}

struct users *
users_parse(const char *text, size_t len, char err[256])
{
	struct users *users = calloc(1, sizeof *users);
	struct span rest = { text, len }, line;
	unsigned at = 0;

	if (users == NULL)
		return NULL;
	while (next_line(&rest, &at, &line))
		if (!add_line(users, line, at, err)) {
			users_free(&users);
			return NULL;
		}
	if (users->n > 0)
		qsort(users->list, users->n, sizeof *users->list, by_name);
	for (size_t i = 1; i < users->n; i++)
		if (by_name(&users->list[i - 1], &users->list[i]) == 0) {
			snprintf(err, 256, "two entries for %.200s",
			    users->list[i].identity.id);
			users_free(&users);
			return NULL;
		}
	return users;
}

void
users_free(struct users **u)
{
	if (*u == NULL)
		return;
	free((*u)->list);
	free(*u);
	*u = NULL;
}

const struct user *
users_find(const struct users *u, struct portero_str name)
{
	struct span s = trim((struct span){ name.ptr, name.len });
	size_t low = 0, high = u->n;
	char wanted[256];

	if (!copy(wanted, sizeof wanted, s))
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcasecmp(wanted, u->list[middle].identity.id);

		if (order == 0)
			return &u->list[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
