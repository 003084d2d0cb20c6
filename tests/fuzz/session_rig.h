/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A session worker alone in a process, for fuzzing: the real sessions and the
 * real relay on an event base, between clients, pools and an upstream that do
 * what they are told. The monotonic clock stands until it is moved, also for
 * the timers of the event base. TLS is faked: a byte TLS_HELLO is the whole
 * handshake, and what follows is as it was in clear.
 *
 * What must always hold is asserted where it is seen: session_pools.c and
 * session_upstream.c keep the books.
 */
#ifndef TESTS_SESSION_RIG_H
#define TESTS_SESSION_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "session/worker.h"

#define TLS_HELLO 0x16

struct rig_choice {
	bool is_implicit;   /* TLS from the first byte */
	bool has_policies;
	bool has_chunking;  /* the upstream */
	bool rejects_bare_newlines;
	bool has_xforward;
	bool pools_answer;  /* at once and well, unless told otherwise */
	bool upstream_answers;
};

/* How the next question is answered, or the next step of the upstream. */
enum pool_answer {
	POOL_GOOD,
	POOL_DENY,
	POOL_DEFER,
	POOL_GARBAGE,
	POOL_CUT,     /* a good one, less its last byte */
	POOL_TWICE,
	POOL_NEVER,
	POOL_OWNED,   /* DENY that asks for the directory first */
	POOL_ALL_STAGES /* good, and asks to hear of every stage */
};

enum upstream_answer {
	UPSTREAM_GOOD,
	UPSTREAM_REFUSE,  /* 550 */
	UPSTREAM_LATER,   /* 451 */
	UPSTREAM_LEAVE,   /* 421, and closes */
	UPSTREAM_GARBAGE,
	UPSTREAM_HALF,    /* the rest comes with the next turn that is asked for */
	UPSTREAM_TWICE,
	UPSTREAM_CLOSE,
	UPSTREAM_RESET
};

void rig_open(const struct rig_choice *choice);
/* Nothing is left: sessions, transactions, connections, what is owed. Only
 * then may it be closed. all_answered: nobody has stayed silent. */
bool rig_is_quiet(bool all_answered);
void rig_assert_quiet(bool all_answered);
/* Nor is a descriptor or an event. */
void rig_close(void);
struct session_worker *rig_worker(void);
/* A client's end of a new session. */
int rig_connect(void);
/* Turns until nothing moves. */
void rig_settle(void);
void rig_advance(long ms);
/* The worker takes nobody new and ends what is idle. */
void rig_drain(void);
/* From here on everybody answers, or nobody does. */
void rig_answer_all(bool on);

/* session_pools.c */
void pools_open(struct session_worker *w, bool answer);
void pools_close(void);
void pools_answer_all(bool on);
/* The oldest question, or the next one. */
void pools_plan(enum pool_answer answer);
/* Reads questions and answers what is due; did anything move? */
bool pools_turn(void);
unsigned pools_logins(void); /* that were let in */
/* Every take that may stand is settled. */
void pools_assert_settled(void);

/* session_upstream.c */
void upstream_open(struct session_worker *w, bool has_chunking, bool answer);
void upstream_close(void);
void upstream_answer_all(bool on);
void upstream_plan(enum upstream_answer answer);
bool upstream_turn(void);
/* The half that was held back. */
void upstream_release(void);
unsigned upstream_ends(void);     /* messages whose end it has seen */
unsigned upstream_accepted(void); /* 2xx to one of them */
/* A client was told of this one: of each only one, once. */
void upstream_assert_final(const char *reply);
bool upstream_is_empty(void);

#endif
