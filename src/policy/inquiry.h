/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A question as policies see it: the facts, and one policy after the other
 * asked about them. A policy is not trusted: verdict, reply and charges are
 * checked before anything is made of them, and nonsense counts as "try later".
 */
#ifndef POLICY_INQUIRY_H
#define POLICY_INQUIRY_H

#include <stdbool.h>

#include <portero/plugin.h>

#include "base/log.h"
#include "ipc/question.h"
#include "ipc/shared.h"
#include "policy/tally.h"

struct inquiry {
	/* set once */
	struct tally *tally;   /* borrowed; where charges go */
	struct shared *shared; /* borrowed; counters */
	unsigned row;
	const char *delimiters; /* of sub-addresses; borrowed */
	/* of the question in hand */
	struct portero_identity identity;
	bool is_known; /* the identity could be read */
	struct portero_facts facts;
	struct portero_str *recipients; /* owned */
	size_t nrecipients;             /* room for so many */
	struct portero_mailbox mailboxes[MAILBOXES_MAX];
	/* of the policy asked last */
	struct portero_answer answer;
};

/* Borrows the strings of *q until the next one. */
void inquiry_open(struct inquiry *i, const struct judge_question *q);
/* About a login; login: its one spelling, borrowed, too. */
void inquiry_open_login(struct inquiry *i, const struct attempt_question *q,
    struct str login);
void inquiry_close(struct inquiry *i);
/* From here on the facts are those of this stage; forgets the charges. */
void inquiry_enter(struct inquiry *i, enum portero_stage stage,
    size_t recipient);
/*
 * NEXT, DENY or DEFER. The reply in i->answer is legal, and with NEXT the
 * charges are in the tally. Faults are logged and counted.
 */
enum portero_verdict inquiry_ask(struct inquiry *i, const struct plugin *p,
    uint32_t scopes);
/* About an outcome: whatever it answers is ignored. */
void inquiry_tell(struct inquiry *i, const struct plugin *p);
/* Begins a log line about a policy at this stage. */
void inquiry_log(const struct inquiry *i, struct log_line *l,
    enum log_level level, const char *event, const struct plugin *p);

#endif
