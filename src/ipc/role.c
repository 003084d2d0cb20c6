/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The arguments of a role. Every one is written and every one must be there:
 * a process that was not started by our master ends at once.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/role.h"
#include "ipc/shared.h"

#define ARGS_MAX 16
#define ARG_LEN 4200 /* a path and its option */

static const char *const names[] = { "master", "session", "auth", "policy",
	"control", "check" };

enum arg { ARG_ROLE, ARG_SLOT, ARG_ROW, ARG_GENERATION, ARG_INCARNATION,
	ARG_LISTENERS, ARG_ASKERS, ARG_SHARES, ARG_SHARE_MASK, ARG_PRINT,
	ARG_CONFIG, ARG_COUNT };

static const struct {
	const char *name;
	unsigned long max;
} args[ARG_COUNT] = {
	[ARG_ROLE] = { "--role=", 0 },
	[ARG_SLOT] = { "--slot=", MAX_POOL_WORKERS - 1 },
	[ARG_ROW] = { "--row=", SHARED_ROWS - 1 },
	[ARG_GENERATION] = { "--generation=", UINT32_MAX },
	[ARG_INCARNATION] = { "--incarnation=", UINT32_MAX },
	[ARG_LISTENERS] = { "--listeners=",
	    MAX_LISTENERS * MAX_SESSION_WORKERS },
	[ARG_ASKERS] = { "--askers=", MAX_ASKERS },
	[ARG_SHARES] = { "--shares=", MAX_MODULES },
	[ARG_SHARE_MASK] = { "--share-mask=", UINT32_MAX },
	[ARG_PRINT] = { "--print=", 1 },
	[ARG_CONFIG] = { "--config=", 0 },
};

const char *
role_name(enum role role)
{
	return names[role];
}

void
role_args_encode(const struct role_args *a, char *argv[], const char *program)
{
	static char text[ARG_COUNT][ARG_LEN];
	const unsigned long numbers[ARG_COUNT] = {
		[ARG_SLOT] = a->slot,
		[ARG_ROW] = a->row,
		[ARG_GENERATION] = a->generation,
		[ARG_INCARNATION] = a->incarnation,
		[ARG_LISTENERS] = a->nlisteners,
		[ARG_ASKERS] = a->naskers,
		[ARG_SHARES] = a->nshares,
		[ARG_SHARE_MASK] = a->share_mask,
		[ARG_PRINT] = a->print,
	};
	int i, n;

	argv[0] = (char *)program;
	for (i = 0; i < ARG_COUNT; i++) {
		if (i == ARG_ROLE || i == ARG_CONFIG)
			n = snprintf(text[i], ARG_LEN, "%s%s", args[i].name,
			    i == ARG_ROLE               ? role_name(a->role)
				: a->config_path == NULL ? ""
							 : a->config_path);
		else
			n = snprintf(text[i], ARG_LEN, "%s%lu", args[i].name,
			    numbers[i]);
		assert(n > 0 && n < ARG_LEN);
		argv[1 + i] = text[i];
	}
	argv[1 + ARG_COUNT] = NULL;
	static_assert(ARG_COUNT + 2 <= ARGS_MAX, "argv has ARGS_MAX entries");
}

static int
parse_number(const char *text, unsigned long max, unsigned long *to)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	*to = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && *to <= max ? 0 : -1;
}

static int
parse_role(const char *text, enum role *to)
{
	size_t i;

	/* The master is no role that anybody is started as. */
	for (i = ROLE_SESSION; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			*to = (enum role)i;
			return 0;
		}
	return -1;
}

int
role_args_decode(int argc, char *argv[], struct role_args *a,
    struct error *err)
{
	unsigned long n[ARG_COUNT] = { 0 };
	const char *value;
	size_t len;
	int i, bad;

	if (argc != 1 + ARG_COUNT)
		return error_set(err, ERROR_INTERNAL,
		    "a role takes %d arguments, not %d", ARG_COUNT, argc - 1);
	*a = (struct role_args){ 0 };
	for (i = 0; i < ARG_COUNT; i++) {
		len = strlen(args[i].name);
		value = argv[1 + i] + len;
		if (strncmp(argv[1 + i], args[i].name, len) != 0)
			return error_set(err, ERROR_INTERNAL,
			    "argument %d is \"%s\", not %s", i + 1,
			    argv[1 + i], args[i].name);
		bad = 0;
		if (i == ARG_ROLE)
			bad = parse_role(value, &a->role);
		else if (i == ARG_CONFIG)
			a->config_path = *value == '\0' ? NULL : value;
		else
			bad = parse_number(value, args[i].max, &n[i]);
		if (bad == -1)
			return error_set(err, ERROR_INTERNAL,
			    "bad argument \"%s\"", argv[1 + i]);
	}
	a->slot = (unsigned)n[ARG_SLOT];
	a->row = (unsigned)n[ARG_ROW];
	a->generation = (uint32_t)n[ARG_GENERATION];
	a->incarnation = (uint32_t)n[ARG_INCARNATION];
	a->nlisteners = (unsigned)n[ARG_LISTENERS];
	a->naskers = (unsigned)n[ARG_ASKERS];
	a->nshares = (unsigned)n[ARG_SHARES];
	a->share_mask = (uint32_t)n[ARG_SHARE_MASK];
	a->print = n[ARG_PRINT] == 1;
	return 0;
}
