/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The session worker: one event loop, its listening sockets, its sessions.
 * Output and log lines are collected while a turn of the loop runs and
 * written once at its end; what died in the turn is freed there too.
 */
#ifndef SESSION_WORKER_H
#define SESSION_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "config/conf.h"
#include "ipc/board.h"
#include "ipc/role.h"
#include "ipc/shared.h"
#include "relay/relay.h"

/* A read takes one TLS record; the buffer holds several. */
#define WORKER_READ 16384
#define WORKER_BUFFER (4 * WORKER_READ)

struct session;
struct transaction;
struct questions;
struct ledger;
struct tls_server;

TAILQ_HEAD(session_list, session);
TAILQ_HEAD(transaction_list, transaction);

struct session_worker {
	struct role_args args;
	struct event_base *base;
	struct config *config;
	struct shared *shared;
	struct board board;
	struct tls_server *tls;
	struct relay_pool *pool;
	struct questions *questions; /* to the pools */
	struct ledger *ledger;       /* settles that are owed */
	bool has_policies;           /* none: nothing to ask */
	bool needs_owned;          /* a policy wants to know whose the sender is */
	bool draining;
	struct session_list sessions; /* all living */
	struct session_list dirty;    /* to be flushed or freed this turn */
	struct session_list newcomers; /* not logged in; the oldest first */
	size_t nsessions, peak_sessions;
	struct crowd_sheet *sheet; /* of clients and persons; NULL: not counted */
	uint64_t nuntold;          /* turned away since the log's last line */
	int64_t told_ms;           /* when that was written */
	int64_t now_ms;            /* the clock of this turn; 0: not read yet */
	struct transaction_list detached; /* their clients have gone */
	char buffer[WORKER_BUFFER]; /* what was read this moment */
};

/* Pool, questions, ledger and lists; args, base, config, shared and board are
 * there. `access` is borrowed: one for each upstream. */
void worker_open(struct session_worker *w, struct relay_access *const *access);
/* Who is idle leaves, and whoever comes to be so: call it now and then. */
void worker_drain(struct session_worker *w);
void worker_end_turn(struct session_worker *w);
/* The clock of this turn. */
int64_t worker_now_ms(struct session_worker *w);
void worker_count(struct session_worker *w, enum counter c, uint64_t n);
/* Gauges go down as well. */
void worker_uncount(struct session_worker *w, enum counter c);
/* 16 characters that stand for the person in trace fields. */
void worker_person_tag(struct session_worker *w, const char *id, char to[17]);

#endif
