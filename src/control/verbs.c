/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "control/verbs.h"

#include <string.h>

/* clang-format off */
const struct verb verbs[] = {
	{ VERB_STATUS, "status", VERB_OPEN, "",
	    "processes, upstream and counters" },
	{ VERB_PING, "ping", VERB_OPEN, "",
	    "does the daemon answer?" },
	{ VERB_RELOAD, "reload", VERB_CHANGES, "",
	    "take the configuration anew; waits for the verdict" },
	{ VERB_STOP, "stop", VERB_CHANGES, "",
	    "let transactions finish, then end" },
	{ VERB_LIMITS_SHOW, "limits show", VERB_OPERAND, "PERSON",
	    "what a person has used of each limit" },
	{ VERB_LIMITS_RESET, "limits reset", VERB_OPERAND | VERB_CHANGES, "PERSON",
	    "forget what a person has used" },
	{ VERB_LIMITS_TOP, "limits top", 0, "",
	    "who is nearest to the limits" },
	{ VERB_STORE_STATUS, "store status", 0, "",
	    "how the store of the limits is" },
	{ VERB_CHECK, "check", VERB_HAS_ONLINE | VERB_CHANGES,
	    "--online [--from A --to B]",
	    "try upstreams, listeners, logins and the store now" },
	{ VERB_UPSTREAM_LIST, "upstream list", VERB_OPEN, "",
	    "the hosts that mail goes to, and how they are" },
	{ VERB_UPSTREAM_DRAIN, "upstream drain",
	    VERB_OPERAND | VERB_HOST | VERB_CHANGES, "HOST",
	    "send nothing new to a host" },
	{ VERB_UPSTREAM_UP, "upstream up",
	    VERB_OPERAND | VERB_HOST | VERB_CHANGES, "HOST",
	    "use a host again that was drained" },
	{ VERB_CACHE_FLUSH, "cache flush",
	    VERB_OPERAND | VERB_MAY_OMIT | VERB_CHANGES, "[PERSON]",
	    "forget the logins of a person, or all" },
	{ VERB_LOG_REOPEN, "log reopen", VERB_CHANGES, "",
	    "open the log file anew, after it was renamed" },
	{ VERB_CONFIG_SHOW, "config show", VERB_HAS_ALL, "[--all]",
	    "the running configuration; --all with defaults" },
	{ VERB_CONFIG_HELP, "config help",
	    VERB_LOCAL | VERB_OPERAND | VERB_MAY_OMIT | VERB_HAS_PLUGINS,
	    "[-p FOLDER] [OPTION | PLUGIN]",
	    "what an option, a section or a plugin's options are for" },
	{ VERB_PASSWD, "passwd", VERB_LOCAL | VERB_OPERAND | VERB_HAS_PASSWD,
	    "[-f FILE] [-d | -l | -c CLASS] NAME",
	    "set a password in a users file; -d deletes, -l locks" },
	{ VERB_AUTH_TEST, "auth test",
	    VERB_LOCAL | VERB_OPERAND | VERB_HAS_CONFIG, "[-C FILE] NAME",
	    "log in as NAME, and show each step of it" },
	{ .name = NULL },
};
/* clang-format on */

const struct verb *
verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name != NULL; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

void
verb_usage(struct buf *out)
{
	for (const struct verb *v = verbs; v->name != NULL; v++) {
		buf_appendf(out, "  %s%s%s\n        %s\n", v->name,
		    *v->arguments == '\0' ? "" : " ", v->arguments, v->help);
	}
}
