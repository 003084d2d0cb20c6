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

#include "../common/value.h"

static struct portero_str
trim(struct portero_str s)
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

static bool
is(struct portero_str s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.ptr, word, s.len) == 0;
}

/* ---- keys --------------------------------------------------------------- */

static const char *
set_class(struct user *u, struct portero_str v)
{
	return value_copy(u->identity.class_name,
		   sizeof u->identity.class_name, v) ?
	    NULL :
	    "class= must be 1 to 63 characters";
}

static const char *
set_lang(struct user *u, struct portero_str v)
{
	return value_copy(u->identity.language, sizeof u->identity.language,
		   v) ?
	    NULL :
	    "lang= must be 1 to 15 characters";
}

static const char *
set_size(struct user *u, struct portero_str v)
{
	return value_size(v, &u->identity.max_size) &&
		u->identity.max_size > 0 ?
	    NULL :
	    "size= must be a size, e.g. 25M";
}

static const char *
set_limit(struct user *u, struct portero_str v)
{
	if (u->identity.nlimits == PORTERO_MAX_LIMITS)
		return "more than 16 times limit=";
	if (!value_limit(v, &u->identity.limits[u->identity.nlimits]))
		return "limit= must be NAME=MAX or NAME=MAX/WINDOW: a number "
		       "or unlimited, and a window of 1s to 31d, e.g. 1h";
	u->identity.nlimits++;
	return NULL;
}

static const char *
add_address(struct portero_identity *i, struct portero_str v)
{
	if (!value_copy(i->addresses + i->addresses_len,
		sizeof i->addresses - i->addresses_len, v))
		return "addresses= does not fit 2048 characters";
	i->addresses_len += (uint32_t)v.len + 1;
	return NULL;
}

static const char *
set_addresses(struct user *u, struct portero_str v)
{
	const char *fault = NULL;

	for (v = trim(v); v.len > 0 && fault == NULL; v = trim(v))
		fault = add_address(&u->identity, value_cut(&v, ' '));
	return fault;
}

static const char *
set_key(struct user *u, struct portero_str key)
{
	/* clang-format off */
	static const struct {
		const char *name;
		const char *(*set)(struct user *, struct portero_str);
	} keys[] = {
		{ "class",     set_class },
		{ "lang",      set_lang },
		{ "size",      set_size },
		{ "limit",     set_limit },
		{ "addresses", set_addresses },
	};
	/* clang-format on */
	struct portero_str name = trim(value_cut(&key, '='));

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (is(name, keys[i].name))
			return keys[i].set(u, trim(key));
	return "a key that is none of class, lang, size, limit, addresses";
}

/* ---- lines -------------------------------------------------------------- */

static const char *
set_hash(struct user *u, struct portero_str v)
{
	u->suspended = v.len > 0 && *v.ptr == '!';
	if (u->suspended) {
		v.ptr++;
		v.len--;
	}
	if (is(v, "*") || (u->suspended && v.len == 0))
		return NULL; /* no password is right */
	if (!value_copy(u->hash, sizeof u->hash, v))
		return "no password hash, or one longer than 383 characters";
	if (crypt_checksalt(u->hash) == CRYPT_SALT_INVALID)
		return "a password hash that crypt(3) does not know";
	return NULL;
}

static const char *
parse_line(struct user *u, struct portero_str line)
{
	struct portero_str name = trim(value_cut(&line, ':'));
	struct portero_str hash = trim(value_cut(&line, ':'));
	const char *fault;

	memset(u, 0, sizeof *u);
	u->identity.size = sizeof u->identity;
	u->identity.addresses_complete = true;
	if (!value_copy(u->identity.id, sizeof u->identity.id, name))
		return "no name, or one longer than 255 characters";
	fault = set_hash(u, hash);
	if (fault == NULL && memchr(name.ptr, '@', name.len) != NULL)
		fault = add_address(&u->identity, name);
	while (line.len > 0 && fault == NULL)
		fault = set_key(u, trim(value_cut(&line, ',')));
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
next_line(struct portero_str *text, unsigned *number_r, struct portero_str *to)
{
	while (text->len > 0) {
		*to = trim(value_cut(text, '\n'));
		++*number_r;
		if (to->len > 0 && *to->ptr != '#')
			return true;
	}
	return false;
}

static bool
add_line(struct users *users, struct portero_str line, unsigned at,
    char err[256])
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
	struct portero_str rest = { text, len }, line;
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
	struct portero_str s = trim((struct portero_str){ name.ptr, name.len });
	size_t low = 0, high = u->n;
	char wanted[256];

	if (!value_copy(wanted, sizeof wanted, s))
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
