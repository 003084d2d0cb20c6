/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Our own replies, in one table: code, enhanced code, text, and the word that
 * stands in the log (reason=) and at the end of the help link.
 */
#ifndef SESSION_REPLIES_H
#define SESSION_REPLIES_H

#include "ipc/question.h"
#include "smtp/command.h"

struct buf;
struct session;
struct session_worker;

enum reply_name {
	REPLY_OK,
	REPLY_BYE,
	REPLY_NOOP,
	REPLY_RSET,
	REPLY_VRFY,
	REPLY_HELP,
	REPLY_START_TLS,
	REPLY_LOGGED_IN,
	REPLY_SHUTTING_DOWN,
	REPLY_SESSION_OLD,
	REPLY_TIMEOUT,
	REPLY_TIMEOUT_LOGIN,
	REPLY_LINE_TOO_LONG,
	REPLY_NOT_A_LINE,
	REPLY_UNKNOWN_COMMAND,
	REPLY_UNSUPPORTED,
	REPLY_NO_ARGUMENTS,
	REPLY_BAD_HELO,
	REPLY_HELO_FIRST,
	REPLY_TLS_RUNNING,
	REPLY_TLS_NEEDED,
	REPLY_AUTH_IN_CLEAR,
	REPLY_AUTH_TWICE,
	REPLY_LOGIN_NEEDED,
	REPLY_LOGIN_WRONG,
	REPLY_LOGIN_LATER,
	REPLY_LOGIN_TOO_MANY,
	REPLY_LOGIN_CLOSE,
	REPLY_SUSPENDED,
	REPLY_NESTED_MAIL,
	REPLY_NEED_MAIL,
	REPLY_NEED_RCPT,
	REPLY_CHUNK,
	REPLY_CHUNKS,
	REPLY_CHUNK_FAILED,
	REPLY_NO_RCPT,
	REPLY_TOO_MANY_RCPTS,
	REPLY_POLICY_LATER,
	REPLY_UPSTREAM_AWAY,
	REPLY_UPSTREAM_LOST,
	REPLY_UPSTREAM_UNKNOWN,
	REPLY_UPSTREAM_TLS,
	REPLY_UPSTREAM_BROKEN,
	REPLY_BARE_NEWLINE,
	REPLY_HEADER_TOO_LARGE,
	REPLY_LOOP,
	REPLY_TOO_MANY_ERRORS,
	REPLY_IDLE,
	REPLY_CROWDED,
	REPLY_FULL,
	REPLY_BUSY_PERSON,
	REPLY_NREPLIES
};

/* Where a reply goes: to the client, or it is held (chunk.c). */
struct buf *reply_out(struct session *s);
/* Queues it. 4xx and 5xx carry session id and help link. */
void reply(struct session *s, enum reply_name name);
/* The same for a client that does not become a session. */
void reply_greeting(const struct session_worker *w, struct buf *out,
    enum reply_name name, const char *sid);
/* A fault found by the parser: counts as a protocol error. */
void reply_fault(struct session *s, const struct smtp_fault *fault);
/* What a policy or the host said. */
void reply_answer(struct session *s, const struct answer_reply *r);
/* 552 5.3.4 with both sizes. */
void reply_too_large(struct session *s, int64_t size, int64_t max);
/* Protocol errors end the session at the tenth. */
void reply_error(struct session *s, enum reply_name name);

/* "451 4.4.1" for the log. */
void reply_code_text(enum reply_name name, char to[16]);

#endif
