/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One mail transaction: envelope, upstream, take, body. It belongs to its
 * session until the client leaves; after the final dot it outlives it, since
 * the upstream's answer is still owed to the ledger and the log.
 */
#ifndef SESSION_TRANSACTION_H
#define SESSION_TRANSACTION_H

#include <sys/queue.h>

#include "base/id.h"
#include "relay/relay.h"
#include "session/ledger.h"
#include "session/replies.h"
#include "smtp/dots.h"
#include "smtp/header.h"

struct session;

/* A reply kept for later: what a policy gave with its answer. */
struct kept_reply {
	int code;
	char enhanced[12];
	char reason[32];
	char text[256];
};

/* The limit behind it, for the log. */
struct kept_limit {
	char plugin[64];
	char name[32];
	int64_t used, max, until_s;
};

/* The beginning of a body until its header has been looked at. */
struct held_header {
	struct buf bytes;      /* header, and what came with it */
	size_t nlooked;        /* bytes in which no end was found */
	struct smtp_header fields; /* points into bytes */
	enum portero_owned owned[SMTP_MAILBOXES_MAX];
	size_t nasked;         /* mailboxes the directory was asked about */
	bool is_asked;         /* about all */
};

struct transaction {
	TAILQ_ENTRY(transaction) entry; /* worker->detached, without session */
	struct session *session; /* NULL: the client has gone */
	struct session_worker *worker;
	struct relay *relay;     /* owned; NULL: none or over */
	const char *upstream;    /* borrowed from it, when it failed */
	char *failure;           /* why it failed; NULL: it did not */
	struct ledger_entry *take; /* owned; NULL: nothing taken */
	char sid[ID_SESSION_LEN + 1];
	unsigned number;
	char *user, *class_name; /* copies: the session may go first */
	char peer[ADDRESS_TEXT];
	struct crowd_name person;
	char *identity;          /* blob; once the session has gone, and then only */
	size_t identity_len;     /* if a policy wants to hear of the outcome */
	const char *listener;    /* borrowed from the configuration */
	int64_t started_ms, data_ms, dot_ms;

	char *reverse_path;
	int64_t declared_size;   /* -1: none */
	bool is_utf8;            /* MAIL had SMTPUTF8 */
	char **recipients;       /* those the upstream accepted */
	size_t naccepted, capacity;
	size_t nrefused;         /* those it refused */
	bool has_tried_data;     /* DATA or BDAT was said, whatever came of it */
	size_t ntried;           /* RCPTs that were offered to it or refused */

	uint8_t txid[TXID_LEN];
	uint32_t wants;          /* stages that policies want asked */
	enum portero_owned sender_owned;
	bool owned_asked;
	int64_t max_size;        /* what this message may have */
	uint32_t rcpt_left;      /* recipients that still fit the limits */
	struct kept_reply rcpt_reply;
	struct kept_limit rcpt_limit;
	int64_t reserved_bytes;

	struct smtp_dots dots;
	bool has_data;           /* 354 was passed on, or would be to DATA */
	struct held_header *held; /* owned; NULL: before the body, and later */
	bool is_whole;           /* the body's end is here */
	bool dot_sent;
	bool is_refused;         /* the body is swallowed; then this reply: */
	enum reply_name refusal; /* if refusal_kept.code is 0 */
	struct kept_reply refusal_kept;
	bool refused_for_size;
};

/* Is the person sending as many messages already as one may at a time? */
bool transaction_is_one_too_many(const struct session *s);
struct transaction *transaction_new(struct session *s);
/* The session lets go of it: before the dot it is undone (upstream closed or
 * reset, take given back), after it it lives on by itself. *tx becomes NULL. */
void transaction_leave(struct transaction **tx);
/* The end: settle, one log line, counters, freed. */
void transaction_finish(struct transaction *tx, enum portero_outcome outcome,
    const char *reply);

void transaction_add_recipient(struct transaction *tx, const char *path);
void kept_reply_set(struct kept_reply *k, const struct answer_reply *r);
void reply_kept(struct session *s, const struct kept_reply *k);

/* What a refusal's log line says. */
struct refusal {
	const char *stage;  /* mail, rcpt, data, header, end, body, upstream */
	const char *rcpt;   /* NULL: not about one recipient */
	const char *reply;  /* "550 5.7.1" or the upstream's first line */
	const struct judge_answer *answer; /* NULL: not by a policy */
};
void transaction_log_refusal(struct session *s, const struct refusal *r);

/* What is swallowed of a refused body beyond the size that is allowed. */
#define SWALLOW_MORE (64LL << 20)

/* body.c */
void body_start(struct transaction *tx);
/* So many octets will follow in a chunk: too large is known before them. */
void body_expect(struct transaction *tx, int64_t size);
/* Octets of s->chunk, whose size is what is still to come. false: the header
 * is being judged, body_go_on() will follow. */
bool body_chunk(struct session *s, struct str octets);
/* The message will not go: the upstream never sees its end. */
void body_refuse(struct transaction *tx, enum reply_name name);
/* The same by a policy, or because none could tell (a: NULL); logged. */
void body_deny(struct session *s, const char *stage,
    const struct judge_answer *a);
/* The header has been judged. */
void body_go_on(struct session *s);
/* The whole body is here, or of a refused one all that is read. */
void body_end(struct session *s);
void body_failed(struct transaction *tx, enum relay_failure why);
void body_final_reply(struct transaction *tx, const struct smtp_reply *reply,
    bool accepted, bool alert);
/* Of a transaction with is_refused: by us, or lost with the upstream? */
enum portero_outcome refusal_outcome(const struct transaction *tx);

/* header.c: the header is held until it has been looked at, and what we add
 * goes up before it. */
void header_start(struct transaction *tx);
void header_hold(struct transaction *tx, const char *data, size_t len);
/* Looks whether it is whole, and if so passes it on, or refuses the message, or
 * has it judged (false: body_go_on() will follow). */
bool header_step(struct session *s);
void header_drop(struct transaction *tx);

/* envelope.c */
enum reply_name failure_reply(enum relay_failure why);

/* judge.c: asks the policy pool about stages of s->tx. `more` are recipients
 * not yet accepted that are in question. Calls back once with the decoded
 * answer, or NULL (nobody answered; busy). 0 or -1: could not be sent. */
typedef void judge_answered(struct session *s, const struct judge_answer *a);
/* judge.c: asks the auth pool whether the address is the person's own. 0 or
 * -1: could not be sent. */
int owns_ask(struct session *s, struct str address,
    void (*asked)(struct session *s, enum portero_owned owned));
int judge_ask(struct session *s, uint32_t stages, const struct str *more,
    size_t nmore, judge_answered *answered);
/* judge.c: what became of it, for policies that want to hear. Nobody waits. */
void judge_tell(struct transaction *tx, enum portero_outcome outcome);

#endif
