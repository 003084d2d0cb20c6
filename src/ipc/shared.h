/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shared memory that lives as long as the master: counters, and what the
 * control process found out about the upstream.
 */
#ifndef IPC_SHARED_H
#define IPC_SHARED_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/shm.h"
#include "ipc/crowd.h"
#include "ipc/role.h"
#include "smtp/ehlo.h"

#define SHARED_MAGIC 0x50525348u
#define SHARED_LAYOUT 2
/* The master's, and a row for each process of four generations at their largest. */
#define SHARED_ROWS (1 + 4 * (1 + MAX_SESSION_WORKERS + 2 * MAX_POOL_WORKERS))
#define UPSTREAM_MAX_ADDRESSES 16
/* Hosts of four generations, and of one to come. */
#define UPSTREAM_SLOTS (5 * MAX_UPSTREAM_HOSTS)
#define UPSTREAM_SLOTS_KEPT 4 /* generations that a slot outlives its last user */
#define UPSTREAM_NAME_MAX 320

enum counter {
	/* gauges: zeroed by the master when the process has gone */
	COUNTER_SESSIONS, /* open now */
	COUNTER_SESSIONS_LOGGED_IN,
	COUNTER_TRANSACTIONS, /* between MAIL and its end */
	COUNTER_UPSTREAM_CONNECTIONS,
	COUNTER_NGAUGES,
	/* totals: added to row 0 by the master when the process has gone */
	COUNTER_CONNECTIONS = COUNTER_NGAUGES,
	COUNTER_CONNECTIONS_REFUSED, /* at the door */
	COUNTER_TLS_FAILED,
	COUNTER_LOGIN_OK,
	COUNTER_LOGIN_DENIED,
	COUNTER_LOGIN_DEFERRED,
	COUNTER_LOGIN_CACHE_HIT,  /* answered without the directory */
	COUNTER_LOGIN_CACHE_MISS, /* not known: asked */
	COUNTER_LOGIN_CACHE_AWAY, /* let in while the directory was away */
	COUNTER_LOGIN_LIMITED, /* not even looked at: too many attempts */
	COUNTER_MESSAGES_ACCEPTED,
	COUNTER_MESSAGES_REFUSED,  /* by us */
	COUNTER_MESSAGES_UPSTREAM_REFUSED,
	COUNTER_MESSAGES_LOST,     /* before the dot */
	COUNTER_MESSAGES_UNKNOWN,  /* outcome=unknown */
	COUNTER_BYTES_ACCEPTED,
	COUNTER_RECIPIENTS_ACCEPTED,
	COUNTER_LIMIT_REFUSED,     /* refusals by a limit */
	COUNTER_UPSTREAM_FAILED,   /* connections that could not be made or were lost */
	COUNTER_POLICY_DEFERRED,   /* store or policy away, late, crashed */
	COUNTER_MONITOR_DENIED,    /* refusals that mode = monitor ignored */
	COUNTER_PLUGIN_FAILED,     /* nonsense, deadline; by pool workers */
	COUNTER_WORKER_CRASHED,    /* counted by the master in row 0 */
	COUNTER_WORKER_KILLED,     /* past its deadline or hung; master, row 0 */
	COUNTER_RELOADS, COUNTER_RELOADS_FAILED, /* master, row 0 */
	COUNTER_SETTLED_BY_MASTER,
	COUNTER_LOG_DROPPED,
	COUNTER_STORE_OUTAGES,
	COUNTER_STORE_LOCAL,        /* takes while the store was away */
	COUNTER_STORE_CHARGED_LATE, /* of these, charged when it was back */
	COUNTER_NCOUNTERS
};

struct shared_row {
	_Atomic uint64_t counter[COUNTER_NCOUNTERS];
} __attribute__((aligned(64)));

/* Written by control only, read under its sequence number. */
struct upstream_state {
	uint32_t naddresses;
	struct sockaddr_storage address[UPSTREAM_MAX_ADDRESSES];
	uint32_t address_len[UPSTREAM_MAX_ADDRESSES];
	int64_t resolved_at; /* wall seconds, 0: never */
	int64_t probed_at;
	int64_t up_since_ms; /* monotonic; 0: the last probe failed, or none was */
	struct smtp_offer offer; /* after TLS, from the last good probe */
	char error[160];     /* of the last resolution or probe, "" if good */
};

/* A host of an upstream. Control processes claim it by its name and write it;
 * the board of a generation says which slots are its hosts'. */
struct upstream_slot {
	_Atomic uint32_t generation; /* the last that claimed it; 0: free */
	_Atomic uint32_t seq;        /* odd: state is being written */
	_Atomic uint32_t drained;    /* by the operator: nothing new goes there */
	char name[UPSTREAM_NAME_MAX]; /* "newsletter/mx1.example.net:25" */
	struct upstream_state state;
};

struct shared {
	struct shm_header header;
	int64_t started_at; /* wall seconds */
	uint8_t key[32];    /* random of this start: person tags, hashes */
	struct upstream_slot upstreams[UPSTREAM_SLOTS];
	struct shared_row rows[SHARED_ROWS];
	struct crowd crowd; /* of session workers */
};

int shared_create(struct shared **s_r, struct error *err); /* master: the descriptor */
struct shared *shared_map(int fd, struct error *err);

/* The own row's counter: single writer, so a plain add. */
static inline void
shared_add(struct shared *s, unsigned row, enum counter c, uint64_t n)
{
	atomic_store_explicit(&s->rows[row].counter[c],
	    atomic_load_explicit(&s->rows[row].counter[c], memory_order_relaxed) + n,
	    memory_order_relaxed);
}

uint64_t shared_sum(const struct shared *s, enum counter c);
/* Master: a process of this row has gone. Totals to row 0, gauges to zero. */
void shared_retire(struct shared *s, unsigned row);
const char *counter_name(enum counter c); /* "messages_accepted" */

/* Control: the slot of that name, whatever generation made it, else a fresh
 * one, emptied. NULL: all are in use. */
struct upstream_slot *shared_upstream_claim(struct shared *s, const char *name, uint32_t generation);
/* A consistent copy; *version (may be NULL) changes whenever it was written. While it is being
 * written for long (its writer was killed) both stay as they are: start with zeroes. */
void shared_upstream_read(const struct upstream_slot *slot, struct upstream_state *to, uint32_t *version);
uint32_t shared_upstream_version(const struct upstream_slot *slot);
void shared_upstream_write(struct upstream_slot *slot, const struct upstream_state *from);

#endif
