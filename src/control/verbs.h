/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of the control socket and of porteroctl: one table for the
 * parser of requests, the usage text and the completion.
 */
#ifndef CONTROL_VERBS_H
#define CONTROL_VERBS_H

#include <stddef.h>

#include "base/buf.h"

enum verb_id {
	VERB_STATUS = 1,
	VERB_PING,
	VERB_RELOAD,
	VERB_STOP,
	VERB_LIMITS_SHOW,
	VERB_LIMITS_RESET,
	VERB_CACHE_FLUSH,
	VERB_LIMITS_TOP,
	VERB_STORE_STATUS,
	VERB_LOG_REOPEN,
	VERB_CHECK,
	VERB_UPSTREAM_LIST,
	VERB_UPSTREAM_DRAIN,
	VERB_UPSTREAM_UP,
	VERB_CONFIG_SHOW,
	VERB_CONFIG_HELP,
	VERB_PASSWD,
	VERB_AUTH_TEST
};

enum verb_flag {
	VERB_OPEN = 1,      /* whoever may connect may ask */
	VERB_CHANGES = 2,   /* goes to the log with the name of who asked */
	VERB_LOCAL = 4,     /* porteroctl does it without the daemon */
	VERB_OPERAND = 8,   /* takes one operand */
	VERB_MAY_OMIT = 16, /* which may be left out */
	/* options of porteroctl beside --socket and --json */
	VERB_HAS_ALL = 32,
	VERB_HAS_PASSWD = 64, /* --file --delete --lock --class */
	VERB_HAS_PLUGINS = 128, /* --plugins */
	VERB_HAS_ONLINE = 512, /* --online, which must be given, --from --to */
	VERB_HAS_CONFIG = 1024, /* --config */
	VERB_HOST = 256, /* the operand is a host, not a person */
};

struct verb {
	enum verb_id id;
	const char *name;      /* one or two words: "limits show" */
	unsigned flags;        /* enum verb_flag */
	const char *arguments; /* for the usage text */
	const char *help;
};

extern const struct verb verbs[]; /* ends with a NULL name */

/* NULL: no such verb. */
const struct verb *verb_find(const char *name);
/* "porteroctl ..." of every verb, one a line. */
void verb_usage(struct buf *out);

#endif
