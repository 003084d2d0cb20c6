/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The memory that lives as long as the master. A row has one writer. The
 * state of an upstream's host is a sequence lock that outlives its writer:
 * control processes of two generations may write, and either may be killed
 * doing so.
 */
#include "ipc/shared.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"

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
	[COUNTER_LOGIN_LIMITED] = "login_limited",
	[COUNTER_LOGIN_DEFERRED] = "login_deferred",
	[COUNTER_LOGIN_CACHE_HIT] = "login_cache_hit",
	[COUNTER_LOGIN_CACHE_MISS] = "login_cache_miss",
	[COUNTER_LOGIN_CACHE_AWAY] = "login_cache_away",
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
	[COUNTER_STORE_OUTAGES] = "store_outages",
	[COUNTER_STORE_LOCAL] = "store_local",
	[COUNTER_STORE_CHARGED_LATE] = "store_charged_late",
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

/* ---- the upstream's hosts ----------------------------------------------- */

static struct upstream_slot *
find_slot(struct shared *s, const char *name)
{
	size_t i;

	for (i = 0; i < UPSTREAM_SLOTS; i++)
		if (atomic_load(&s->upstreams[i].generation) != 0 &&
		    strncmp(s->upstreams[i].name, name, UPSTREAM_NAME_MAX) == 0)
			return &s->upstreams[i];
	return NULL;
}

/* A slot that no living generation uses, made ours. */
static bool
take_slot(struct upstream_slot *slot, uint32_t generation)
{
	uint32_t used = atomic_load(&slot->generation);

	return (used == 0 || used + UPSTREAM_SLOTS_KEPT < generation) &&
	       atomic_compare_exchange_strong(
		   &slot->generation, &used, generation);
}

struct upstream_slot *
shared_upstream_claim(
    struct shared *s, const char *name, uint32_t generation)
{
	static const struct upstream_state nothing;
	struct upstream_slot *slot = find_slot(s, name);
	size_t i;

	if (slot != NULL) {
		atomic_store(&slot->generation, generation);
		return slot;
	}
	for (i = 0; i < UPSTREAM_SLOTS; i++) {
		slot = &s->upstreams[i];
		if (!take_slot(slot, generation))
			continue;
		str_copy(slot->name, sizeof(slot->name), str_of(name));
		atomic_store(&slot->drained, 0);
		shared_upstream_write(slot, &nothing);
		return slot;
	}
	return NULL;
}

uint32_t
shared_upstream_version(const struct upstream_slot *slot)
{
	return atomic_load_explicit(&slot->seq, memory_order_acquire);
}

void
shared_upstream_read(const struct upstream_slot *slot,
    struct upstream_state *to, uint32_t *version)
{
	struct upstream_state copy;
	uint32_t before;
	int i;

	for (i = 0; i < READ_TRIES; i++) {
		before = shared_upstream_version(slot);
		if (before % 2 == 1)
			continue;
		memcpy(&copy, &slot->state, sizeof(copy));
		atomic_thread_fence(memory_order_acquire);
		if (shared_upstream_version(slot) == before) {
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
begin_write(struct upstream_slot *slot)
{
	const struct timespec pause = { 0, CLOCK_NS_PER_MS };
	uint32_t seq = shared_upstream_version(slot);
	int i;

	for (i = 0; i < WRITE_TRIES; i++) {
		if (seq % 2 == 0 &&
		    atomic_compare_exchange_strong(&slot->seq, &seq, seq + 1))
			return seq + 1;
		if (seq % 2 == 1) {
			nanosleep(&pause, NULL);
			seq = shared_upstream_version(slot);
		}
	}
	atomic_store(&slot->seq, seq | 1);
	return seq | 1;
}

void
shared_upstream_write(
    struct upstream_slot *slot, const struct upstream_state *from)
{
	uint32_t seq = begin_write(slot);

	atomic_thread_fence(memory_order_release);
	memcpy(&slot->state, from, sizeof(*from));
	atomic_store_explicit(&slot->seq, seq + 1, memory_order_release);
}
