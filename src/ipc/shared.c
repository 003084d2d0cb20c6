/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The memory that lives as long as the master. A row has one writer. The
 * upstream's state is a sequence lock that outlives its writer: control
 * processes of two generations may write, and either may be killed doing so.
 */
#include "ipc/shared.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"

#define READ_TRIES 1000
#define WRITE_TRIES 50 /* a millisecond apart */

static const char *const names[COUNTER_NCOUNTERS] = {
	[COUNTER_SESSIONS] = "sessions",
	[COUNTER_SESSIONS_LOGGED_IN] = "sessions_logged_in",
	[COUNTER_TRANSACTIONS] = "transactions",
	[COUNTER_UPSTREAM_CONNECTIONS] = "upstream_connections",
	[COUNTER_CONNECTIONS] = "connections",
	[COUNTER_CONNECTIONS_REFUSED] = "connections_refused",
	[COUNTER_TLS_FAILED] = "tls_failed",
	[COUNTER_LOGIN_OK] = "login_ok",
	[COUNTER_LOGIN_DENIED] = "login_denied",
	[COUNTER_LOGIN_DEFERRED] = "login_deferred",
	[COUNTER_MESSAGES_ACCEPTED] = "messages_accepted",
	[COUNTER_MESSAGES_REFUSED] = "messages_refused",
	[COUNTER_MESSAGES_UPSTREAM_REFUSED] = "messages_upstream_refused",
	[COUNTER_MESSAGES_LOST] = "messages_lost",
	[COUNTER_MESSAGES_UNKNOWN] = "messages_unknown",
	[COUNTER_BYTES_ACCEPTED] = "bytes_accepted",
	[COUNTER_RECIPIENTS_ACCEPTED] = "recipients_accepted",
	[COUNTER_LIMIT_REFUSED] = "limit_refused",
	[COUNTER_UPSTREAM_FAILED] = "upstream_failed",
	[COUNTER_POLICY_DEFERRED] = "policy_deferred",
	[COUNTER_MONITOR_DENIED] = "monitor_denied",
	[COUNTER_PLUGIN_FAILED] = "plugin_failed",
	[COUNTER_WORKER_CRASHED] = "worker_crashed",
	[COUNTER_WORKER_KILLED] = "worker_killed",
	[COUNTER_RELOADS] = "reloads",
	[COUNTER_RELOADS_FAILED] = "reloads_failed",
	[COUNTER_SETTLED_BY_MASTER] = "settled_by_master",
	[COUNTER_LOG_DROPPED] = "log_dropped",
};

int
shared_create(struct shared **s_r, struct error *err)
{
	int fd = shm_create("portero-shared", SHARED_MAGIC, SHARED_LAYOUT,
	    sizeof(struct shared), err);

	if (fd == -1)
		return -1;
	*s_r = shared_map(fd, err);
	if (*s_r == NULL) {
		close(fd);
		return -1;
	}
	(*s_r)->started_at = clock_wall_s();
	id_random((*s_r)->key, sizeof((*s_r)->key));
	return fd;
}

struct shared *
shared_map(int fd, struct error *err)
{
	size_t size;
	void *p = shm_map(fd, SHARED_MAGIC, SHARED_LAYOUT, &size, err);

	if (p != NULL && size != sizeof(struct shared)) {
		error_set(err, ERROR_INTERNAL,
		    "shared memory has %zu bytes, not %zu", size,
		    sizeof(struct shared));
		shm_unmap(&p, size);
	}
	return p;
}

uint64_t
shared_sum(const struct shared *s, enum counter c)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < SHARED_ROWS; i++)
		sum += atomic_load_explicit(&s->rows[i].counter[c],
		    memory_order_relaxed);
	return sum;
}

void
shared_retire(struct shared *s, unsigned row)
{
	uint64_t left;
	int c;

	for (c = 0; c < COUNTER_NCOUNTERS; c++) {
		left = atomic_exchange_explicit(&s->rows[row].counter[c], 0,
		    memory_order_relaxed);
		if (c >= COUNTER_NGAUGES)
			shared_add(s, 0, (enum counter)c, left);
	}
}

const char *
counter_name(enum counter c)
{
	return names[c];
}

/* ---- the upstream's state ----------------------------------------------- */

uint32_t
shared_upstream_version(const struct shared *s)
{
	return atomic_load_explicit(&s->upstream_seq, memory_order_acquire);
}

void
shared_upstream_read(const struct shared *s, struct upstream_state *to,
    uint32_t *version)
{
	struct upstream_state copy;
	uint32_t before;
	int i;

	for (i = 0; i < READ_TRIES; i++) {
		before = shared_upstream_version(s);
		if (before % 2 == 1)
			continue;
		memcpy(&copy, &s->upstream, sizeof(copy));
		atomic_thread_fence(memory_order_acquire);
		if (shared_upstream_version(s) == before) {
			*to = copy;
			if (version != NULL)
				*version = before;
			return;
		}
	}
}

/* Makes the number odd. Who finds it odd for long takes over from a writer
 * that was killed. Returns the odd number. */
static uint32_t
begin_write(struct shared *s)
{
	const struct timespec pause = { 0, CLOCK_NS_PER_MS };
	uint32_t seq = shared_upstream_version(s);
	int i;

	for (i = 0; i < WRITE_TRIES; i++) {
		if (seq % 2 == 0 &&
		    atomic_compare_exchange_strong(&s->upstream_seq, &seq,
			seq + 1))
			return seq + 1;
		if (seq % 2 == 1) {
			nanosleep(&pause, NULL);
			seq = shared_upstream_version(s);
		}
	}
	atomic_store(&s->upstream_seq, seq | 1);
	return seq | 1;
}

void
shared_upstream_write(struct shared *s, const struct upstream_state *from)
{
	uint32_t seq = begin_write(s);

	atomic_thread_fence(memory_order_release);
	memcpy(&s->upstream, from, sizeof(*from));
	atomic_store_explicit(&s->upstream_seq, seq + 1, memory_order_release);
}
