/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What policy_guard remembers in shared memory, of bounded size whatever
 * strangers do:
 *
 *   failures  of a name from a network, of a name from strange networks, and
 *             of a network; for one window each
 *   homes     networks from which a person has logged in; and names whose
 *             failures up to now are forgiven
 *
 * They are two tables, so that failures can never push homes out. A failure
 * that finds no room makes the memory full for a minute: who is not at home
 * waits then.
 */
#ifndef POLICY_GUARD_MEMORY_H
#define POLICY_GUARD_MEMORY_H

#include <stdatomic.h>

#include <portero/plugin.h>

#define MAX_TAGS 8 /* wrong passwords of a name told apart */

struct memory_head {
	_Atomic int64_t full_until_s;
};

struct memory {
	const struct portero_host *host; /* borrowed */
	struct memory_head *head;               /* in the share */
	struct portero_table *failures, *homes; /* owned */
	uint32_t window_s, home_s;
};

enum failure_kind {
	FAILURES_OF_PAIR = 'b',   /* of a name from a network */
	FAILURES_OF_NAME = 'u',   /* of a name, from networks not its home */
	FAILURES_OF_NETWORK = 'n'
};

/* Zeroes: none. */
struct failures {
	int64_t until_s;
	uint32_t count;
	uint32_t ntags;
	uint16_t tags[MAX_TAGS]; /* of the last ones; only of pairs */
};

size_t memory_size(const struct portero_host *host, uint32_t nrecords);
/* -1: reason in err. `window_s`, `home_s`: set by the caller. */
int memory_open(struct memory *m, const struct portero_host *host,
    uint32_t nrecords, void *share, size_t bytes,
    enum portero_share_state state, char err[256]);
void memory_close(struct memory *m);

/* name, network: what the kind is not about is left out by itself. -1: the
 * memory cannot be read now. */
int memory_look(struct memory *m, enum failure_kind kind,
    struct portero_str name, struct portero_str network, struct failures *f);
/* One more; *f is how it stands then. With a tag that is remembered already
 * nothing is counted. true: it was counted, or there was no room to. */
bool memory_count(struct memory *m, enum failure_kind kind,
    struct portero_str name, struct portero_str network, uint16_t tag,
    struct failures *f);
void memory_forget(struct memory *m, enum failure_kind kind,
    struct portero_str name, struct portero_str network);
/* What the name has failed until now counts no more, wherever that was. -1:
 * there is no room to note that. */
int memory_forgive(struct memory *m, struct portero_str name);

/* Failures go uncounted. */
bool memory_is_full(const struct memory *m);

bool memory_is_home(struct memory *m, struct portero_str name,
    struct portero_str network);
void memory_set_home(struct memory *m, struct portero_str name,
    struct portero_str network);

#endif
