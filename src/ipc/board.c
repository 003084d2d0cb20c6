/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The board's memory: a head with the numbers of slots, then the arrays, each
 * on its own cache lines. The layout follows from the numbers alone, and a
 * segment whose size does not fit its numbers is refused.
 */
#include "ipc/board.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/shm.h"

#define LINE 64
#define FIRST_REACH 16 /* entries that a young slot uses */
#define LONG_SEARCH 16 /* entries looked at before a slot uses more */

struct head {
	struct shm_header shm;
	uint32_t nsession, nauth, npolicy;
	_Atomic uint32_t calls;
};

struct offsets {
	size_t auth, policy, beats, hosts, cells, reservations, size;
};

static size_t
after(size_t at, size_t n, size_t each)
{
	return (at + n * each + LINE - 1) / LINE * LINE;
}

static struct offsets
offsets_of(unsigned nsession, unsigned nauth, unsigned npolicy)
{
	struct offsets o;

	o.auth = after(0, 1, sizeof(struct head));
	o.policy = after(o.auth, nauth, sizeof(struct board_score));
	o.beats = after(o.policy, npolicy, sizeof(struct board_score));
	o.hosts = after(o.beats, nsession, sizeof(struct board_beat));
	o.cells = after(o.hosts, MAX_UPSTREAM_HOSTS, sizeof(struct board_host));
	o.reservations = after(o.cells, (size_t)nsession * MAX_UPSTREAM_HOSTS,
	    sizeof(struct board_cell));
	o.size = after(o.reservations,
	    (size_t)nsession * RESERVATIONS_PER_SLOT,
	    sizeof(struct reservation));
	return o;
}

int
board_create(struct board *b, unsigned nsession, unsigned nauth,
    unsigned npolicy, struct error *err)
{
	struct offsets o = offsets_of(nsession, nauth, npolicy);
	struct head h = { .nsession = nsession,
		.nauth = nauth,
		.npolicy = npolicy };
	const size_t skip = sizeof(h.shm);
	int fd;

	fd = shm_create("portero-board", BOARD_MAGIC, BOARD_LAYOUT, o.size,
	    err);
	if (fd == -1)
		return -1;
	if (pwrite(fd, (char *)&h + skip, sizeof(h) - skip, (off_t)skip) !=
	    (ssize_t)(sizeof(h) - skip)) {
		close(fd);
		return error_set(err, ERROR_INTERNAL,
		    "cannot write the head of a board");
	}
	if (board_map(b, fd, err) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

int
board_map(struct board *b, int fd, struct error *err)
{
	struct offsets o;
	struct head h;
	size_t size;
	char *p;

	p = shm_map(fd, BOARD_MAGIC, BOARD_LAYOUT, &size, err);
	if (p == NULL)
		return -1;
	memset(&h, 0, sizeof(h));
	memcpy(&h, p, size < sizeof(h) ? size : sizeof(h));
	o = (struct offsets){ 0 };
	if (h.nsession <= MAX_SESSION_WORKERS && h.nauth <= MAX_POOL_WORKERS &&
	    h.npolicy <= MAX_POOL_WORKERS)
		o = offsets_of(h.nsession, h.nauth, h.npolicy);
	*b = (struct board){ .header = (struct shm_header *)p, .size = size };
	if (o.size != size) {
		board_unmap(b);
		return error_set(err, ERROR_INTERNAL,
		    "a board of %zu bytes does not fit its %u, %u and %u slots",
		    size, h.nsession, h.nauth, h.npolicy);
	}
	b->calls = &((struct head *)p)->calls;
	b->nsession = h.nsession;
	b->nauth = h.nauth;
	b->npolicy = h.npolicy;
	b->auth = (struct board_score *)(p + o.auth);
	b->policy = (struct board_score *)(p + o.policy);
	b->beats = (struct board_beat *)(p + o.beats);
	b->hosts = (struct board_host *)(p + o.hosts);
	b->cells = (struct board_cell *)(p + o.cells);
	b->reservations = (struct reservation *)(p + o.reservations);
	return 0;
}

void
board_unmap(struct board *b)
{
	void *p = b->header;

	shm_unmap(&p, b->size);
	*b = (struct board){ 0 };
}

void
board_call(_Atomic uint32_t *calls)
{
	atomic_fetch_add(calls, 2);
	syscall(SYS_futex, calls, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool
board_hears_calls(const struct board *b)
{
	return (atomic_load_explicit(b->calls, memory_order_relaxed) & 1) != 0;
}

void
board_hear_calls(_Atomic uint32_t *calls)
{
	atomic_fetch_or(calls, 1);
}

int
board_rest(_Atomic uint32_t *calls, uint32_t seen)
{
	const struct timespec second = { .tv_sec = 1 };

	if (syscall(SYS_futex, calls, FUTEX_WAIT, seen, &second, NULL, 0) ==
		-1 &&
	    errno == EINTR)
		return -1;
	return 0;
}

struct board_cell_sum
board_cell_sum(const struct board *b, unsigned host)
{
	struct board_cell_sum sum = { 0, 0 };
	const struct board_cell *cell = b->cells + host;
	int64_t failed_ms;
	unsigned i;

	for (i = 0; i < b->nsession; i++, cell += MAX_UPSTREAM_HOSTS) {
		sum.active += atomic_load_explicit(
		    &cell->active, memory_order_relaxed);
		failed_ms = atomic_load_explicit(
		    &cell->failed_ms, memory_order_relaxed);
		if (failed_ms > sum.failed_ms)
			sum.failed_ms = failed_ms;
	}
	return sum;
}

struct upstream_slot *
board_host_slot(const struct board *b, struct shared *s, unsigned host)
{
	uint32_t slot = atomic_load(&b->hosts[host].slot);

	return slot == 0 || slot > UPSTREAM_SLOTS ? NULL
						  : &s->upstreams[slot - 1];
}

enum board_hears
board_hears(const struct board *b)
{
	uint32_t hears = BOARD_HEARS_UNKNOWN;

	for (unsigned i = 0; i < b->npolicy && hears == BOARD_HEARS_UNKNOWN; i++)
		hears = atomic_load(&b->policy[i].hears);
	return (enum board_hears)hears;
}

/*
 * Round and round in the entries within reach; who comes to their end after a
 * long search may reach twice as far. So few pages are touched, the next free
 * entry is near, and no entry is used before those in front of it. The hint
 * holds where to look next (low half) and the reach.
 */
struct reservation *
reservation_take(struct board *b, unsigned slot, uint32_t incarnation,
    unsigned *hint)
{
	struct reservation *all =
	    b->reservations + (size_t)slot * RESERVATIONS_PER_SLOT;
	unsigned next = *hint & 0xffff, reach = *hint >> 16, tried = 0;
	bool is_free = false;

	if (reach == 0)
		reach = FIRST_REACH;
	for (; !is_free && tried < RESERVATIONS_PER_SLOT + LONG_SEARCH;
	     tried++, next++) {
		if (next == reach && tried >= LONG_SEARCH &&
		    reach < RESERVATIONS_PER_SLOT)
			reach *= 2;
		if (next == reach)
			next = 0;
		is_free = atomic_load_explicit(&all[next].state,
			      memory_order_acquire) == RESERVATION_FREE;
	}
	*hint = reach << 16 | next;
	if (!is_free)
		return NULL;
	all[next - 1].incarnation = incarnation;
	return &all[next - 1];
}
