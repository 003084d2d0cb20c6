/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Questions of session workers (and of the control process) to the blocking
 * pools, and their answers: a record each.
 *
 * Strings in a decoded struct point into the record: use them before the
 * buffer is reused.
 */
#ifndef IPC_QUESTION_H
#define IPC_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "base/str.h"
#include "ipc/record.h"

#define IDENTITY_MAX 4096  /* encoded */
#define PERSON_ID_MAX 255  /* canonical id, or its domain */
#define PERSON_CLASS_MAX 63
#define ADDRESS_MAX 320    /* longer than any that is legal */
#define TXID_LEN 16
#define MAILBOXES_MAX 32   /* of one header */
#define SETTLES_MAX 16     /* settles that may ride on one question */
#define ASKER_MASTER 0xffffu /* header.asker of a settle sent by the master */

/* A reply for the client, as carried. */
struct answer_reply {
	uint16_t code; /* 0: none */
	struct str enhanced, text, reason;
};

struct login_question {
	struct str login, password, mechanism, client_address, listener, session_id;
};

struct login_answer {
	enum portero_verdict verdict; /* NEXT, DENY, DEFER */
	bool suspended;               /* DENY with 525 */
	struct answer_reply reply;    /* of a suspended person, else for the log */
	struct str plugin;            /* section that decided */
	struct str cause;             /* log word: ok, bad_password, no_user, crash, timeout, ... */
	struct str id;                /* canonical id, for the log */
	struct str class_name;
	struct str domain;            /* key of the DOMAIN scope: settles repeat it */
	struct str identity;          /* opaque to the session; <= IDENTITY_MAX */
	bool nobody;                  /* DENY: no section knows such a person */
	uint16_t tag;                 /* DENY: of the password, for LOGIN policies */
};

/* Beside it the password's tag, and whether there is such a person: what the
 * policies may know of a login that failed. */
struct attempt_question {
	enum portero_attempt attempt; /* not NONE */
	uint16_t tag;                 /* WRONG, NOBODY */
	bool exempt;
	struct str login, client_address, client_network, listener, session_id;
};

struct attempt_answer {
	enum portero_verdict verdict; /* BEGINS: NEXT, DENY, DEFER */
	struct answer_reply reply;
	struct str plugin, limit;     /* for the log */
	int64_t used, max, until_s;   /* of that limit */
};

struct forget_question {
	struct str person; /* canonical id; "": all */
};

struct forget_answer {
	bool failed;
	uint32_t nlogins; /* forgotten */
};

struct owns_question {
	struct str identity, address, session_id;
};

struct owns_answer {
	enum portero_owned owned;
};

/* The end of one take. */
struct settle {
	uint8_t txid[TXID_LEN];
	enum portero_outcome outcome; /* ACCEPTED and UNKNOWN keep, REFUSED and LOST give back all */
	int64_t actual[PORTERO_NUNITS];
	struct str id, class_name, domain; /* keys of the scopes */
};

/* Of From, or of Sender. */
struct judge_mailbox {
	struct str address;
	enum portero_owned owned;
	bool is_sender;
};

/*
 * The txid names one take: a question that is asked again after DENY or DEFER
 * gets a new one (END goes on with the take's own and sequence + 1).
 */
struct judge_question {
	uint32_t stages; /* of MAIL | RCPT | DATA, or one of HEADER, END, OUTCOME, HELLO alone */
	uint8_t txid[TXID_LEN];
	uint32_t sequence; /* of the take that DATA or END would do */
	struct str identity;
	struct str session_id, listener, client_address;
	struct str reverse_path;
	int64_t declared_size; /* -1: none */
	int64_t message_size;  /* END, OUTCOME; else -1 */
	enum portero_owned sender_owned;
	bool owned_asked;      /* the directory was asked: sender_owned is its answer, even UNKNOWN */
	enum portero_outcome outcome;
	bool abandoned;        /* OUTCOME: before DATA */
	uint32_t nrefused;     /* OUTCOME: by the upstream */
	uint32_t naccepted;
	uint32_t first_new;    /* recipients before this one were judged earlier */
	uint32_t nrecipients;
	const struct str *recipients; /* encoding: borrowed; decoding: lent by the decoder's scratch */
	uint32_t nsettles;     /* applied before this question */
	const struct settle *settles;
	/* HEADER */
	uint32_t nfrom, nsender, nreceived;
	struct str header_flaw;
	bool mailboxes_asked;  /* as owned_asked */
	uint32_t nmailboxes;
	const struct judge_mailbox *mailboxes;
};

#define RCPT_LEFT_UNLIMITED UINT32_MAX

struct judge_answer {
	enum portero_verdict verdict;
	enum portero_stage stage; /* DENY, DEFER: where; 0: crash or deadline, so asking the
	                             same of fewer stages is of no use */
	uint32_t recipient;       /* DENY, DEFER at RCPT: which */
	bool taken;               /* a take of this txid and sequence stands or may stand: settle it */
	bool needs_owned;         /* with DENY: ask the directory first, then again */
	uint32_t wants;           /* stages that some policy is to be asked at: RCPT, DATA, END, OUTCOME */
	struct answer_reply reply;
	struct str plugin, limit; /* for the log: who refused, or the limit behind rcpt_left; else "" */
	int64_t used, max, until_s; /* of that limit, for the log */
	int64_t max_size;         /* bytes the message may have, 0: no opinion */
	uint32_t rcpt_left;       /* recipients that still fit, from MAIL */
	struct answer_reply rcpt_reply; /* for the recipient that does not */
	int64_t reserved_bytes;   /* DATA, END: bytes taken so far; a longer message asks END, even
	                             if `wants` lacks it; INT64_MAX: bytes are not counted */
	uint32_t nsettled;        /* settles of the question that are done, from the first */
	struct str add_sender;    /* HEADER: for a Sender field; "": none */
};

struct settle_question {
	uint32_t nsettles;
	const struct settle *settles;
};

struct settle_answer {
	uint32_t nsettled; /* done, from the first; the rest is asked again */
};

enum store_ask {
	STORE_SHOW = 1, /* the counters of key */
	STORE_RESET,    /* forget them */
	STORE_TOP,      /* of the scope's next counters those near their maximum */
	STORE_STATUS    /* how the store is, in lines */
};

struct store_question {
	enum store_ask ask;
	enum portero_scope scope;
	struct str key;
	uint64_t cursor; /* TOP: 0, then as the answer said */
};

struct store_row {
	struct str key; /* TOP */
	struct str limit;
	enum portero_unit unit;
	int64_t max, used, resets_at;
	uint32_t window_s, open;
};

struct store_line {
	struct str name, value;
};

struct store_answer {
	bool failed; /* why: error */
	struct str error;
	uint64_t cursor; /* TOP: where to go on, 0: that was all */
	uint32_t nrows;
	const struct store_row *rows; /* decoding: lent by the decoder's scratch */
	uint32_t nlines; /* STATUS */
	const struct store_line *lines; /* likewise */
};

/* Encoders: bytes written to `to`, or 0 when it does not fit RECORD_MAX. The
 * header's version, type and length are filled in. */
size_t login_question_encode(uint8_t *to, size_t size, const struct record_header *h, const struct login_question *from);
size_t attempt_question_encode(uint8_t *to, size_t size, const struct record_header *h, const struct attempt_question *from);
size_t attempt_answer_encode(uint8_t *to, size_t size, const struct record_header *h, const struct attempt_answer *from);
size_t forget_question_encode(uint8_t *to, size_t size, const struct record_header *h, const struct forget_question *from);
size_t forget_answer_encode(uint8_t *to, size_t size, const struct record_header *h, const struct forget_answer *from);
size_t owns_question_encode(uint8_t *to, size_t size, const struct record_header *h, const struct owns_question *from);
size_t judge_question_encode(uint8_t *to, size_t size, const struct record_header *h, const struct judge_question *from);
size_t settle_question_encode(uint8_t *to, size_t size, const struct record_header *h, const struct settle_question *from);
size_t store_question_encode(uint8_t *to, size_t size, const struct record_header *h, const struct store_question *from);
size_t login_answer_encode(uint8_t *to, size_t size, const struct record_header *h, const struct login_answer *from);
size_t owns_answer_encode(uint8_t *to, size_t size, const struct record_header *h, const struct owns_answer *from);
size_t judge_answer_encode(uint8_t *to, size_t size, const struct record_header *h, const struct judge_answer *from);
size_t settle_answer_encode(uint8_t *to, size_t size, const struct record_header *h, const struct settle_answer *from);
size_t store_answer_encode(uint8_t *to, size_t size, const struct record_header *h, const struct store_answer *from);

/* Decoders: 0, or -1 when anything is not as the encoder writes it. */
int login_question_decode(const uint8_t *data, size_t len, struct login_question *to);
int attempt_question_decode(const uint8_t *data, size_t len, struct attempt_question *to);
int attempt_answer_decode(const uint8_t *data, size_t len, struct attempt_answer *to);
int forget_question_decode(const uint8_t *data, size_t len, struct forget_question *to);
int forget_answer_decode(const uint8_t *data, size_t len, struct forget_answer *to);
int owns_question_decode(const uint8_t *data, size_t len, struct owns_question *to);
int judge_question_decode(const uint8_t *data, size_t len, struct judge_question *q, struct record_scratch *s);
int settle_question_decode(const uint8_t *data, size_t len, struct settle_question *q, struct record_scratch *s);
int store_question_decode(const uint8_t *data, size_t len, struct store_question *to);
int login_answer_decode(const uint8_t *data, size_t len, struct login_answer *to);
int owns_answer_decode(const uint8_t *data, size_t len, struct owns_answer *to);
int judge_answer_decode(const uint8_t *data, size_t len, struct judge_answer *a);
int settle_answer_decode(const uint8_t *data, size_t len, struct settle_answer *a);
int store_answer_decode(const uint8_t *data, size_t len, struct store_answer *a, struct record_scratch *s);

/* The answer a worker would have given had it not died: DEFER, cause "crash" or
 * "timeout"; for a settle nothing is settled, for a store question failed. Bytes written. */
size_t record_defer_encode(uint8_t *to, size_t size, const struct record_header *question, const char *cause);

/* Identity blob. encode: bytes, 0 when over IDENTITY_MAX. */
size_t identity_encode(uint8_t *to, size_t size, const struct portero_identity *i);
int identity_decode(struct str blob, struct portero_identity *i);
/* The same with the title of the auth section the person came from, which is
 * asked again whose an address is. */
size_t identity_encode_from(uint8_t *to, size_t size, const struct portero_identity *i, struct str section);
int identity_decode_from(struct str blob, struct portero_identity *i, struct str *section);
/* The key of the DOMAIN scope: what follows the last @ of the id, else of the
 * first address; "" when neither has one. Points into *i. */
struct str identity_domain(const struct portero_identity *i);
/* Is the address, with or without its tag, in the identity's list? NO only if
 * the list is complete. */
enum portero_owned identity_owns(const struct portero_identity *i, struct str address, const char *delimiters);
/* A sub-address (RFC 5233) without its tag: what stands in the local part from
 * the first of the delimiters on. Its length; 0: it has none, or is quoted. */
size_t address_plain(char to[ADDRESS_MAX + 1], struct str address, const char *delimiters);

#endif
