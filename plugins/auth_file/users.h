/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The file of auth_file, parsed. One person a line:
 *
 *   name:hash[:key=value,key=value...]
 *
 *   name    the canonical id; compared without regard to ASCII case
 *   hash    of crypt(3): yescrypt ($y$...) by `porteroctl passwd`, or any
 *           other that libcrypt knows; led by "!": suspended; "!" or "*"
 *           alone: no password is right
 *   class=C
 *   lang=es
 *   size=25M                   largest message (k, M, G)
 *   limit=NAME=MAX[/WINDOW]    own maximum of a limit, e.g. hourly=500/1h
 *                              (s, m, h, d) or hourly=unlimited; repeatable
 *   addresses=A B ...          own addresses, besides the name
 *
 * Empty lines, and lines that begin with #, say nothing.
 */
#ifndef AUTH_FILE_USERS_H
#define AUTH_FILE_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include <portero/plugin.h>

struct user {
	struct portero_identity identity;
	char hash[384]; /* without the "!" */
	bool suspended;
};

struct users {
	struct user *list; /* owned; sorted by name */
	size_t n;
};

#define USERS_FILE_MAX (64 << 20)

/* NULL: not one line is taken over; err says "line N: ...". */
struct users *users_parse(const char *text, size_t len, char err[256]);
void users_free(struct users **u);
/* NULL: nobody of that name. */
const struct user *users_find(const struct users *u, struct portero_str name);

#endif
