/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What group.c (collect, check, advance), permission.c (the policies) and
 * envelope.c (the upstream) share of a group of MAIL, RCPT and DATA.
 */
#ifndef SESSION_GROUP_H
#define SESSION_GROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "session/replies.h"
#include "smtp/command.h"
#include "smtp/ehlo.h"

struct item {
	enum smtp_verb verb;
	struct smtp_fault fault; /* code 0: none */
	char *path;              /* owned */
	char *values;            /* owned; what of mail and rcpt has a length */
	struct smtp_mail mail;   /* their strings in path and values */
	struct smtp_rcpt rcpt;
	struct smtp_bdat bdat;
};

struct group {
	size_t n;
	size_t next; /* the oldest item without a reply */
	size_t end;  /* of the range */
	struct smtp_offer offer; /* by session_offer() */
	bool is_split;
	struct item items[];
};

/* The octets of this BDAT are next. */
void group_chunk_begin(struct session *s, const struct item *item);
/* The oldest item has its reply. */
void group_item_done(struct session *s);
/* A reply of ours for it. */
void group_item_refuse(struct session *s, enum reply_name name);
/* For a reason that an operator would search. */
void group_item_refuse_logged(struct session *s, enum reply_name name);
/* Its line in the log; a: NULL if no policy refused it. */
void group_log_refusal(struct session *s, const char *said,
    const struct judge_answer *a);
/* The transaction cannot go on; before its body. */
void group_drop_transaction(struct session *s);
/* Out of an event: nothing is awaited any more. */
void group_go_on(struct session *s);

/* permission.c: asks whether the range may go up, and has it sent or refused. */
void permission_ask(struct session *s);

/* envelope.c: the range goes up; the replies are awaited then. */
void envelope_send(struct session *s);
/* Was the upstream lost while the client or a policy took its time? Then the
 * oldest item is refused for it. */
bool envelope_is_lost(struct session *s);

#endif
