/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The fields of each record, in the order they have in it, and what must hold
 * of them together.
 */
#include "ipc/field.h"
#include "ipc/question.h"

#define ALL_STAGES \
	(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA | PORTERO_HEADER | \
	    PORTERO_END | PORTERO_OUTCOME | PORTERO_HELLO)

/* The functions that carry a struct of this name by the fields of this name. */
#define ENCODE(record, type) \
	size_t record##_encode(uint8_t *to, size_t size, \
	    const struct record_header *h, const struct record *from) \
	{ \
		return record_encode(to, size, h, type, record, from); \
	}

#define CARRY(record, type) \
	ENCODE(record, type) \
\
	int record##_decode(const uint8_t *data, size_t len, \
	    struct record *to) \
	{ \
		return record_decode(data, len, type, record, to, NULL); \
	}

/* clang-format off */

/* ---- parts -------------------------------------------------------------- */

static const struct field reply_fields[] = {
	U16(answer_reply, code),
	TEXT(answer_reply, enhanced),
	TEXT(answer_reply, text),
	TEXT(answer_reply, reason),
	LAST
};

/* No store would ever settle for a longer name. */
static const struct field settle_fields[] = {
	RAW(settle, txid),
	ENUM(settle, outcome, PORTERO_ACCEPTED, PORTERO_OUTCOME_UNKNOWN),
	I64(settle, actual[PORTERO_MESSAGES]),
	I64(settle, actual[PORTERO_RECIPIENTS]),
	I64(settle, actual[PORTERO_BYTES]),
	TEXT_MOST(settle, id, PERSON_ID_MAX),
	TEXT_MOST(settle, class_name, PERSON_CLASS_MAX),
	TEXT_MOST(settle, domain, PERSON_ID_MAX),
	LAST
};
_Static_assert(PORTERO_NUNITS == 3, "each unit of a settle is carried");

static const struct field mailbox_fields[] = {
	TEXT(judge_mailbox, address),
	ENUM(judge_mailbox, owned, PORTERO_OWNED_UNKNOWN, PORTERO_OWNED_NO),
	BOOL(judge_mailbox, is_sender),
	LAST
};

static const struct field recipient_fields[] = { { .kind = FIELD_TEXT }, LAST };

static const struct field row_fields[] = {
	TEXT(store_row, key),
	TEXT(store_row, limit),
	ENUM(store_row, unit, PORTERO_MESSAGES, PORTERO_NUNITS - 1),
	I64(store_row, max),
	I64(store_row, used),
	I64(store_row, resets_at),
	U32(store_row, window_s),
	U32(store_row, open),
	LAST
};

static const struct field line_fields[] = {
	TEXT(store_line, name),
	TEXT(store_line, value),
	LAST
};

/* ---- records ------------------------------------------------------------ */

static const struct field login_question[] = {
	TEXT(login_question, login),
	TEXT(login_question, password),
	TEXT(login_question, mechanism),
	TEXT(login_question, client_address),
	TEXT(login_question, listener),
	TEXT(login_question, session_id),
	LAST
};

/* What the ledger's records hold of a person is bounded here. */
static const struct field login_answer[] = {
	ENUM(login_answer, verdict, PORTERO_NEXT, PORTERO_DEFER),
	BOOL(login_answer, suspended),
	PART(login_answer, reply, reply_fields),
	TEXT(login_answer, plugin),
	TEXT(login_answer, cause),
	TEXT_MOST(login_answer, id, PERSON_ID_MAX),
	TEXT_MOST(login_answer, class_name, PERSON_CLASS_MAX),
	TEXT_MOST(login_answer, domain, PERSON_ID_MAX),
	TEXT_MOST(login_answer, identity, IDENTITY_MAX),
	BOOL(login_answer, nobody),
	U16(login_answer, tag),
	LAST
};

static const struct field attempt_question[] = {
	ENUM(attempt_question, attempt,
	    PORTERO_ATTEMPT_BEGINS, PORTERO_ATTEMPT_NOBODY),
	U16(attempt_question, tag),
	BOOL(attempt_question, exempt),
	TEXT(attempt_question, login),
	TEXT(attempt_question, client_address),
	TEXT(attempt_question, client_network),
	TEXT(attempt_question, listener),
	TEXT(attempt_question, session_id),
	LAST
};

static const struct field attempt_answer[] = {
	ENUM(attempt_answer, verdict, PORTERO_NEXT, PORTERO_DEFER),
	PART(attempt_answer, reply, reply_fields),
	TEXT(attempt_answer, plugin),
	TEXT(attempt_answer, limit),
	I64(attempt_answer, used),
	I64(attempt_answer, max),
	I64(attempt_answer, until_s),
	LAST
};

static const struct field forget_question[] = {
	TEXT(forget_question, person),
	LAST
};

static const struct field forget_answer[] = {
	BOOL(forget_answer, failed),
	U32(forget_answer, nlogins),
	LAST
};

static const struct field owns_question[] = {
	TEXT(owns_question, identity),
	TEXT(owns_question, address),
	TEXT(owns_question, session_id),
	LAST
};

static const struct field owns_answer[] = {
	ENUM(owns_answer, owned, PORTERO_OWNED_UNKNOWN, PORTERO_OWNED_NO),
	LAST
};

static const struct field judge_question[] = {
	U32(judge_question, stages),
	RAW(judge_question, txid),
	U32(judge_question, sequence),
	TEXT(judge_question, identity),
	TEXT(judge_question, session_id),
	TEXT(judge_question, listener),
	TEXT(judge_question, client_address),
	TEXT(judge_question, reverse_path),
	I64(judge_question, declared_size),
	I64(judge_question, message_size),
	ENUM(judge_question, sender_owned,
	    PORTERO_OWNED_UNKNOWN, PORTERO_OWNED_NO),
	BOOL(judge_question, owned_asked),
	ENUM(judge_question, outcome, PORTERO_PENDING, PORTERO_OUTCOME_UNKNOWN),
	BOOL(judge_question, abandoned),
	U32(judge_question, nrefused),
	U32(judge_question, naccepted),
	U32(judge_question, first_new),
	ARRAY(judge_question, nrecipients, recipients, 0, recipient_fields),
	ARRAY(judge_question, nsettles, settles, SETTLES_MAX, settle_fields),
	U32(judge_question, nfrom),
	U32(judge_question, nsender),
	U32(judge_question, nreceived),
	TEXT(judge_question, header_flaw),
	BOOL(judge_question, mailboxes_asked),
	ARRAY(judge_question, nmailboxes, mailboxes,
	    MAILBOXES_MAX, mailbox_fields),
	LAST
};

static const struct field judge_answer[] = {
	ENUM(judge_answer, verdict, PORTERO_NEXT, PORTERO_DEFER),
	U32(judge_answer, stage),
	U32(judge_answer, recipient),
	BOOL(judge_answer, taken),
	BOOL(judge_answer, needs_owned),
	U32(judge_answer, wants),
	PART(judge_answer, reply, reply_fields),
	TEXT(judge_answer, plugin),
	TEXT(judge_answer, limit),
	I64(judge_answer, used),
	I64(judge_answer, max),
	I64(judge_answer, until_s),
	I64(judge_answer, max_size),
	U32(judge_answer, rcpt_left),
	PART(judge_answer, rcpt_reply, reply_fields),
	I64(judge_answer, reserved_bytes),
	U32(judge_answer, nsettled),
	TEXT(judge_answer, add_sender),
	LAST
};

static const struct field settle_question[] = {
	ARRAY(settle_question, nsettles, settles, SETTLES_MAX, settle_fields),
	LAST
};

static const struct field settle_answer[] = {
	U32(settle_answer, nsettled),
	LAST
};

static const struct field store_question[] = {
	ENUM(store_question, ask, STORE_SHOW, STORE_STATUS),
	ENUM(store_question, scope, PORTERO_PERSON, PORTERO_NSCOPES - 1),
	TEXT(store_question, key),
	U64(store_question, cursor),
	LAST
};

static const struct field store_answer[] = {
	BOOL(store_answer, failed),
	TEXT(store_answer, error),
	U64(store_answer, cursor),
	ARRAY(store_answer, nrows, rows, 0, row_fields),
	ARRAY(store_answer, nlines, lines, 0, line_fields),
	LAST
};

/* clang-format on */

CARRY(login_question, RECORD_LOGIN)
CARRY(login_answer, RECORD_LOGIN_ANSWER)
CARRY(attempt_question, RECORD_ATTEMPT)
CARRY(attempt_answer, RECORD_ATTEMPT_ANSWER)
CARRY(forget_question, RECORD_FORGET)
CARRY(forget_answer, RECORD_FORGET_ANSWER)
CARRY(owns_question, RECORD_OWNS)
CARRY(owns_answer, RECORD_OWNS_ANSWER)
CARRY(store_question, RECORD_STORE)
ENCODE(judge_question, RECORD_JUDGE)
ENCODE(judge_answer, RECORD_JUDGE_ANSWER)
ENCODE(settle_question, RECORD_SETTLE)
ENCODE(settle_answer, RECORD_SETTLE_ANSWER)
ENCODE(store_answer, RECORD_STORE_ANSWER)

/* MAIL, RCPT and DATA in any mix, or one of the others alone. */
static bool
are_stages(uint32_t stages)
{
	const uint32_t group = PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA;

	return stages == PORTERO_HEADER || stages == PORTERO_END ||
	    stages == PORTERO_OUTCOME || stages == PORTERO_HELLO ||
	    (stages != 0 && (stages & ~group) == 0);
}

int
judge_question_decode(const uint8_t *data, size_t len, struct judge_question *q,
    struct record_scratch *s)
{
	if (record_decode(data, len, RECORD_JUDGE, judge_question, q, s) ==
		-1 ||
	    !are_stages(q->stages) || q->first_new > q->nrecipients ||
	    q->declared_size < -1 || q->message_size < -1)
		return -1;
	return 0;
}

int
judge_answer_decode(const uint8_t *data, size_t len, struct judge_answer *a)
{
	const uint32_t all = ALL_STAGES;

	if (record_decode(data, len, RECORD_JUDGE_ANSWER, judge_answer, a,
		NULL) == -1 ||
	    (a->stage & ~all) != 0 || (a->stage & (a->stage - 1)) != 0 ||
	    (a->wants & ~all) != 0 || a->max_size < 0 ||
	    a->reserved_bytes < 0 || a->nsettled > SETTLES_MAX)
		return -1;
	return 0;
}

int
settle_question_decode(const uint8_t *data, size_t len,
    struct settle_question *q, struct record_scratch *s)
{
	return record_decode(data, len, RECORD_SETTLE, settle_question, q, s);
}

int
settle_answer_decode(const uint8_t *data, size_t len, struct settle_answer *a)
{
	if (record_decode(data, len, RECORD_SETTLE_ANSWER, settle_answer, a,
		NULL) == -1 ||
	    a->nsettled > SETTLES_MAX)
		return -1;
	return 0;
}

int
store_answer_decode(const uint8_t *data, size_t len, struct store_answer *a,
    struct record_scratch *s)
{
	return record_decode(data, len, RECORD_STORE_ANSWER, store_answer, a,
	    s);
}

/* ---- in a dead worker's place ------------------------------------------- */

size_t
record_defer_encode(uint8_t *to, size_t size,
    const struct record_header *question, const char *cause)
{
	const struct answer_reply later = { .code = 451,
		.enhanced = STR("4.7.0"),
		.text = STR("This cannot be checked right now; "
			    "try again in a few minutes."),
		.reason = STR("plugin") };
	const struct login_answer login = { .verdict = PORTERO_DEFER,
		.cause = str_of(cause) };
	const struct attempt_answer attempt = { .verdict = PORTERO_DEFER };
	const struct forget_answer forget = { .failed = true };
	const struct owns_answer owns = { .owned = PORTERO_OWNED_UNKNOWN };
	/* It may have died behind the take: a settle is owed. */
	const struct judge_answer judge = { .verdict = PORTERO_DEFER,
		.taken = true,
		.reply = later,
		.rcpt_left = RCPT_LEFT_UNLIMITED };
	const struct settle_answer settle = { .nsettled = 0 };
	const struct store_answer store = { .failed = true,
		.error = str_of(cause) };

	switch ((enum record_type)question->type) {
	case RECORD_LOGIN:
		return login_answer_encode(to, size, question, &login);
	case RECORD_ATTEMPT:
		return attempt_answer_encode(to, size, question, &attempt);
	case RECORD_FORGET:
		return forget_answer_encode(to, size, question, &forget);
	case RECORD_OWNS:
		return owns_answer_encode(to, size, question, &owns);
	case RECORD_JUDGE:
		return judge_answer_encode(to, size, question, &judge);
	case RECORD_SETTLE:
		return settle_answer_encode(to, size, question, &settle);
	case RECORD_STORE:
		return store_answer_encode(to, size, question, &store);
	default:
		return 0; /* not a question */
	}
}
