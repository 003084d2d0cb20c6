/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a session share. A session is touched only by its own
 * events and answers; it is freed at the end of a loop turn, never inside a
 * callback.
 */
#ifndef SESSION_PRIVATE_H
#define SESSION_PRIVATE_H

#include <stdint.h>

#include "base/id.h"
#include "base/log.h"
#include "session/arrival.h"
#include "session/questions.h"
#include "session/replies.h"
#include "session/session.h"
#include "session/session_io.h"
#include "smtp/command.h"
#include "smtp/ehlo.h"
#include "smtp/sasl.h"

/* Where the dialogue is. session_enter() is the only writer. */
enum smtp_state {
	SMTP_CONNECTED, /* nothing said yet (implicit TLS: handshake) */
	SMTP_GREETED,   /* greeting sent, no EHLO yet */
	SMTP_READY,     /* EHLO or HELO given */
	SMTP_SASL,      /* inside AUTH */
	SMTP_IN_MAIL,   /* a transaction is open */
	SMTP_IN_DATA,   /* the body arrives */
	SMTP_IN_CHUNK,  /* a chunk of it does (BDAT) */
	SMTP_CHUNKS,    /* between two chunks; no transaction: one has failed */
	SMTP_CLOSING    /* last reply queued */
};

/* Whom we wait for. Meanwhile the client's input is not looked at. */
enum smtp_wait {
	WAIT_NOBODY,
	WAIT_TLS,      /* the 220 of STARTTLS must be out first */
	WAIT_AUTH,     /* the auth pool */
	WAIT_DELAY,    /* a failed login is answered later */
	WAIT_POLICY,   /* the policy pool */
	WAIT_UPSTREAM, /* replies of the upstream */
	WAIT_ROOM      /* the upstream takes more of the body */
};

struct group;
struct judging;
struct transaction;

struct session {
	TAILQ_ENTRY(session) entry;       /* worker->sessions */
	TAILQ_ENTRY(session) dirty_entry; /* worker->dirty */
	TAILQ_ENTRY(session) new_entry;   /* worker->newcomers, if is_new */
	bool is_dirty, is_dead, is_resumed, is_lingering;
	bool is_new;              /* may have to make room for others */
	bool data_refused;        /* DATA was refused this moment */
	void (*owns_asked)(struct session *s, enum portero_owned owned);
	void (*hello_answered)(struct session *s);
	struct session_worker *worker;       /* borrowed */
	const struct config_listen *listen;  /* borrowed from the configuration */
	struct session_io io;
	struct event *timer;      /* fires at or before deadline_ms */
	int64_t deadline_ms;      /* of the wait for the client, or of the delay */
	int64_t login_deadline_ms;
	int64_t opened_ms, heard_ms; /* heard: the client's last bytes */
	struct buf in;            /* input not yet looked at */
	char sid[ID_SESSION_LEN + 1];
	uint8_t state, wait;
	uint8_t nfailed_logins, nerrors;
	size_t norphans;          /* that may still belong to a refused MAIL */
	uint32_t ntransactions, nmessages;
	uint32_t nidle;           /* commands since the last message that led nowhere */
	size_t progress;          /* bytes since the client's time began */
	const char *ended;        /* word for the log; static */

	int64_t max_size;         /* the person's own, as of the last EHLO; 0: none */
	uint32_t offered;         /* SMTP_EXT_*: by the last EHLO, 0 after HELO */
	struct smtp_sasl *sasl;
	int64_t auth_started_ms;
	uint64_t question_id;     /* in flight, 0: none */
	struct judging *judging;  /* the one to the policy pool; judge.c's */

	char *helo;               /* of the last EHLO or HELO; NULL: none */
	char *user, *class_name, *domain; /* canonical id; NULL before login */
	char *identity;           /* blob */
	size_t identity_len;

	struct group *group;      /* commands being worked on */
	struct smtp_bdat chunk;   /* in SMTP_IN_CHUNK: size is what is to come */
	struct buf held;          /* the reply to a refused chunk, until its end */
	struct transaction *tx;   /* NULL between transactions */
	struct guest guest;
	char peer[ADDRESS_TEXT];  /* the client's address */
	char proxy[ADDRESS_TEXT]; /* whose PROXY header named it, or "" */
	struct proxy_header *proxied; /* the header is still to come */
};

/* arrival.c */
void session_greet(struct session *s);

/* input.c */
void session_on_io(evutil_socket_t fd, short what, void *arg);
/* The wait may be over: first what is already here, then the descriptor. */
void session_go_on(struct session *s);
/* Is a message or a part of it on its way to us? */
bool session_is_in_body(const struct session *s);

/* session.c */
void session_on_timer(evutil_socket_t fd, short what, void *arg);
void session_enter(struct session *s, enum smtp_state state);
/* Something is to be written, or the session is to be freed. */
void session_touch(struct session *s);
/* The wait is over: go on with the input at the end of this turn. */
void session_resume(struct session *s);
/* The last reply is queued: flush and close. `why` for the log. */
void session_finish(struct session *s, const char *why);
/* The `why` of a session that ended by QUIT. */
extern const char session_quit[];
/* No more words: close. */
void session_die(struct session *s, const char *why);
void session_set_deadline(struct session *s, int64_t ms_from_now);
bool session_is_tls(const struct session *s);
bool session_is_logged_in(const struct session *s);
/* What the upstreams offer that his mail would go to; before the login, all.
 * size and rcptmax: what a message may have, by them and by us. */
void session_offer(const struct session *s, struct smtp_offer *to);

/* One complete line or less is in `input`; returns bytes used, 0: needs more. */
size_t session_command(struct session *s, struct str input); /* dispatch.c */
size_t session_body(struct session *s, struct str input);    /* body.c */
size_t session_chunk(struct session *s, struct str input);   /* chunk.c */

/* hello.c */
void cmd_ehlo(struct session *s, struct str args);
void cmd_helo(struct session *s, struct str args);

/* dispatch.c: RSET and what means the same. */
void transaction_end(struct session *s);

/* chunk.c */
void cmd_bdat(struct session *s, struct str args);
/* The octets of the chunk are here. */
void chunk_end(struct session *s);
/* The first one begins, its group is done: octets follow, or none. */
void chunk_start(struct session *s);
/* Is the reply in the making one to a chunk whose octets are to come? */
bool chunk_holds_reply(const struct session *s);
/* What was held is due: the octets are read, or nobody will read them. */
void chunk_release_reply(struct session *s);

/* auth.c */
void cmd_auth(struct session *s, struct str args);
void auth_response(struct session *s, struct str line);
void auth_delay_over(struct session *s);
void auth_forget(struct session *s);
/* The policies have said whether the login in s->sasl may be tried. */
void auth_judged(struct session *s, const struct attempt_answer *a);

/* attempt.c: policies that watch logins. */
bool attempt_is_watched(const struct session *s);
/* auth_judged() gets the answer. -1: could not be sent. */
int attempt_ask(struct session *s);
/* What became of the login in s->sasl; nobody waits. */
void attempt_tell(struct session *s, enum portero_attempt attempt,
    uint16_t tag);

/* judge.c: what may a message of this person have? Into s->max_size, then
 * `answered`. -1: could not be sent. */
int judge_hello(struct session *s, void (*answered)(struct session *s));
/* judge.c: the session leaves; a question in flight goes on without it. */
void judge_forget(struct session *s);

/* group.c: MAIL, RCPT, DATA. Returns bytes used. */
size_t group_start(struct session *s, struct str input);
void group_free(struct session *s);

/* log of this session: begins a line with s= and, in a transaction, t= */
void session_log(struct session *s, struct log_line *l, enum log_level level,
    const char *event);

#endif
