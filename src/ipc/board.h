/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shared memory of one generation. Every array slot has one writer; others
 * only read (open reservations: one owner at a time, see below).
 *
 *   scores        written by pool workers: what they are at, so that the
 *                 master can answer for one that died
 *   heartbeats    written by session workers, read by the master
 *   hosts         which slots of the shared memory are the upstream's hosts,
 *                 written by control
 *   cells         written by session workers: what each knows of each host
 *   reservations  written by session workers: every take that is not yet
 *                 settled, with the record that would settle it
 *
 * And one word that many write: the calls for reserves of the policy pool.
 */
#ifndef IPC_BOARD_H
#define IPC_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ipc/question.h"
#include "ipc/role.h"
#include "ipc/shared.h"

#define BOARD_MAGIC 0x50524244u
#define BOARD_LAYOUT 3
#define RESERVATIONS_PER_SLOT 4096
#define SETTLE_RECORD_MAX 768 /* an encoded settle question of one settle */

/* The kernel hands a pool worker its question by putting the header here, so
 * that there is no moment at which it could die and nobody know. At work on it:
 * started_ns, then busy (release). Idle again: zeroes, then busy = 0. */
struct board_score {
	_Atomic uint32_t busy;
	uint32_t pid;
	int64_t started_ns;
	uint8_t question[RECORD_HEADER_LEN]; /* as sent; zeroes: none */
	_Atomic uint64_t answered;  /* questions done, for status */
	_Atomic uint32_t hears;     /* policy: enum board_hears; outlives the worker */
};

/* Do policies want to be asked about logins? The same for all workers of a
 * generation, once the first of them has read the configuration. */
enum board_hears { BOARD_HEARS_UNKNOWN, BOARD_HEARS_NOTHING, BOARD_HEARS_LOGINS };

struct board_beat {
	_Atomic int64_t beat_ns; /* last turn of the event loop, monotonic */
	_Atomic uint32_t pid;
	_Atomic uint32_t sandbox; /* SANDBOX_* bits in force, for status */
};

/* Of a host of the upstream, in the order of the configuration: the index of
 * its slot in the shared memory, plus one. 0: not known yet. */
struct board_host {
	_Atomic uint32_t slot;
};

/* What one session worker has to do with one host. */
struct board_cell {
	_Atomic uint32_t active;    /* transactions under way to it */
	_Atomic uint32_t failures;  /* connections lost since the last success */
	_Atomic int64_t failed_ms;  /* monotonic: when it was given up; 0: never */
};

enum reservation_state {
	RESERVATION_FREE,
	RESERVATION_OPEN,    /* before the dot: record[0] gives all back */
	RESERVATION_PAST_DOT /* the dot may have been written: record[1] keeps the charge */
};

/*
 * One take. The session worker of the slot fills both records, then sets
 * state; when it has died (incarnation is not the living one's) the entry is
 * the master's, who sends the record until it is acknowledged and frees it.
 */
struct reservation {
	_Atomic uint32_t state;
	uint32_t incarnation;
	uint16_t len[2];
	uint8_t record[2][SETTLE_RECORD_MAX];
};

struct board {
	struct shm_header *header;
	_Atomic uint32_t *calls; /* counts by 2; odd: somebody rests */
	unsigned nsession, nauth, npolicy;
	struct board_score *auth, *policy;  /* [nauth], [npolicy] */
	struct board_beat *beats;           /* [nsession] */
	struct board_host *hosts;           /* [MAX_UPSTREAM_HOSTS] */
	struct board_cell *cells;           /* [nsession * MAX_UPSTREAM_HOSTS] */
	struct reservation *reservations;   /* [nsession * RESERVATIONS_PER_SLOT] */
	size_t size;
};

/* Master: a new board; the descriptor. */
int board_create(struct board *b, unsigned nsession, unsigned nauth,
    unsigned npolicy, struct error *err);
/* Child: maps the board of descriptor fd. */
int board_map(struct board *b, int fd, struct error *err);
void board_unmap(struct board *b);

/* A question has waited: a worker of the policy pool that rests is to look. */
void board_call(_Atomic uint32_t *calls);
/* Is there anybody to be called? */
bool board_hears_calls(const struct board *b);
/* From here on there is. */
void board_hear_calls(_Atomic uint32_t *calls);
/* Rests until it is called, for a second at most, but not at all if there was
 * a call since it saw that number. A signal ends it, too: -1, errno EINTR. */
int board_rest(_Atomic uint32_t *calls, uint32_t seen);

/* All that session workers have to do with a host. */
struct board_cell_sum {
	uint64_t active;
	int64_t failed_ms; /* the latest */
};
struct board_cell_sum board_cell_sum(const struct board *b, unsigned host);
/* NULL: control has not said yet. */
struct upstream_slot *board_host_slot(
    const struct board *b, struct shared *s, unsigned host);

/* Whether logins are for the policy pool. */
enum board_hears board_hears(const struct board *b);

/* A free entry of the slot, with its incarnation set, or NULL: full. *hint, 0
 * at first, is the caller's memory of the search. Entries come into use in
 * order: one that never was has incarnation 0, and so have all behind it. */
struct reservation *reservation_take(struct board *b, unsigned slot,
    uint32_t incarnation, unsigned *hint);

#endif
