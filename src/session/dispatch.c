/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One command line: what is allowed when is a table; the handlers of the
 * commands that need no more than a few lines are here.
 */
#include <stdlib.h>
#include <string.h>

#include "session/session_private.h"
#include "session/transaction.h"
#include "smtp/received.h"

/* clang-format off */
#define IN(state)    (1u << (state))
#define ANY          (~0u)
#define AFTER_HELO   (IN(SMTP_READY) | IN(SMTP_IN_MAIL))
#define EXCEPT_SASL  (AFTER_HELO | IN(SMTP_CHUNKS))

enum needs { NEED_TLS = 1, NEED_LOGIN = 2, NO_ARGS = 4, IDLE = 8 };

/* Commands that lead to no message, one after the other: NOOPs of a client
 * that wants to stay for hours are fine. */
#define IDLE_MAX 100

struct command {
	unsigned states;         /* where it is allowed */
	unsigned needs;
	enum reply_name elsewhere; /* the reply where it is not */
	void (*handler)(struct session *s, struct str args);
};

static void cmd_starttls(struct session *s, struct str args);
static void cmd_rset(struct session *s, struct str args);
static void cmd_noop(struct session *s, struct str args);
static void cmd_vrfy(struct session *s, struct str args);
static void cmd_help(struct session *s, struct str args);
static void cmd_quit(struct session *s, struct str args);

/* MAIL, RCPT, DATA and the first BDAT are worked on in groups (group.c), not
 * by a handler. */
static const struct command commands[SMTP_NVERBS] = {
	/* verb            allowed in       needs                   else it is            handler */
	[SMTP_EHLO] =     { ANY,            IDLE,                   0,                    cmd_ehlo },
	[SMTP_HELO] =     { ANY,            IDLE,                   0,                    cmd_helo },
	[SMTP_STARTTLS] = { IN(SMTP_READY), NO_ARGS,                REPLY_HELO_FIRST,     cmd_starttls },
	[SMTP_AUTH] =     { IN(SMTP_READY), 0,                      REPLY_HELO_FIRST,     cmd_auth },
	[SMTP_MAIL] =     { AFTER_HELO,     NEED_TLS | NEED_LOGIN,  REPLY_HELO_FIRST,     NULL },
	[SMTP_RCPT] =     { AFTER_HELO,     NEED_TLS | NEED_LOGIN,  REPLY_HELO_FIRST,     NULL },
	[SMTP_DATA] =     { AFTER_HELO,     NEED_TLS | NEED_LOGIN,  REPLY_HELO_FIRST,     NULL },
	[SMTP_BDAT] =     { EXCEPT_SASL,    NEED_TLS | NEED_LOGIN,  REPLY_HELO_FIRST,     cmd_bdat },
	[SMTP_RSET] =     { ANY,            NO_ARGS | IDLE,         0,                    cmd_rset },
	[SMTP_NOOP] =     { ANY,            IDLE,                   0,                    cmd_noop },
	[SMTP_VRFY] =     { EXCEPT_SASL,    NEED_TLS | NEED_LOGIN | IDLE, REPLY_HELO_FIRST,     cmd_vrfy },
	[SMTP_HELP] =     { ANY,            IDLE,                   0,                    cmd_help },
	[SMTP_QUIT] =     { ANY,            NO_ARGS,                0,                    cmd_quit },
};
/* clang-format on */

void
transaction_end(struct session *s)
{
	s->norphans = 0;
	transaction_leave(&s->tx);
	if (s->state == SMTP_IN_MAIL || s->state == SMTP_CHUNKS)
		session_enter(s, SMTP_READY);
}

/* What came before TLS is forgotten: nothing learnt in clear survives. */
static void
cmd_starttls(struct session *s, struct str args)
{
	(void)args;
	s->offered = 0;
	reply(s, REPLY_START_TLS);
	session_enter(s, SMTP_GREETED);
	s->wait = WAIT_TLS;
}

static void
cmd_rset(struct session *s, struct str args)
{
	(void)args;
	transaction_end(s);
	reply(s, REPLY_RSET);
}

static void
cmd_noop(struct session *s, struct str args)
{
	(void)args;
	reply(s, REPLY_NOOP);
}

static void
cmd_vrfy(struct session *s, struct str args)
{
	if (args.len == 0)
		reply_fault(s, &(struct smtp_fault){ 501, "5.5.4",
		    "An address is needed" });
	else
		reply(s, REPLY_VRFY);
}

static void
cmd_help(struct session *s, struct str args)
{
	(void)args;
	reply(s, REPLY_HELP);
}

static void
cmd_quit(struct session *s, struct str args)
{
	(void)args;
	transaction_end(s);
	reply(s, REPLY_BYE);
	session_finish(s, session_quit);
}

/* The longest line that is legal now. */
static size_t
line_max(const struct session *s, struct str input)
{
	if (s->state == SMTP_SASL)
		return SMTP_SASL_LINE_MAX;
	if (session_is_logged_in(s))
		return SMTP_LINE_MAX;
	if (input.len >= 4 && strncasecmp(input.ptr, "AUTH", 4) == 0)
		return SMTP_SASL_LINE_MAX;
	return SMTP_LINE_MAX_BEFORE_LOGIN;
}

/* May the command be worked on? Else the refusal is queued. */
static bool
is_allowed(struct session *s, enum smtp_verb verb, struct str args)
{
	const struct command *c = &commands[verb];

	if ((c->needs & NEED_TLS) && !session_is_tls(s))
		reply_error(s, REPLY_TLS_NEEDED);
	else if (verb == SMTP_AUTH && !session_is_tls(s))
		reply_error(s, REPLY_AUTH_IN_CLEAR);
	else if (verb == SMTP_AUTH && session_is_logged_in(s))
		reply_error(s, REPLY_AUTH_TWICE);
	else if (verb == SMTP_STARTTLS && session_is_tls(s))
		reply_error(s, REPLY_TLS_RUNNING);
	else if (verb == SMTP_BDAT && !(s->offered & SMTP_EXT_CHUNKING))
		reply_error(s, REPLY_UNSUPPORTED);
	else if ((c->needs & NEED_LOGIN) && !session_is_logged_in(s))
		reply_error(s, REPLY_LOGIN_NEEDED);
	else if (!(c->states & IN(s->state)))
		reply_error(s,
		    s->state == SMTP_CHUNKS ? REPLY_CHUNKS : c->elsewhere);
	else if ((c->needs & NO_ARGS) && args.len > 0)
		reply_error(s, REPLY_NO_ARGUMENTS);
	else
		return true;
	return false;
}

/* One too many that leads nowhere? Before the login time alone limits them. */
static bool
is_idling(struct session *s, enum smtp_verb verb)
{
	return session_is_logged_in(s) && (commands[verb].needs & IDLE) &&
	    ++s->nidle > IDLE_MAX;
}

static void
command_run(struct session *s, enum smtp_verb verb, struct str args)
{
	switch (verb) {
	case SMTP_UNKNOWN:
		reply_error(s, REPLY_UNKNOWN_COMMAND);
		return;
	case SMTP_UNSUPPORTED:
		reply_error(s, REPLY_UNSUPPORTED);
		return;
	case SMTP_FOREIGN:
		reply(s, REPLY_UNKNOWN_COMMAND);
		session_finish(s, "not smtp");
		return;
	default:
		if (is_idling(s, verb)) {
			reply(s, REPLY_IDLE);
			session_finish(s, "idle commands");
		} else if (is_allowed(s, verb, args))
			commands[verb].handler(s, args);
		else if (verb == SMTP_DATA || verb == SMTP_BDAT)
			s->data_refused = true;
	}
}

/* A line without its end: true if it is legal. */
static bool
line_find(struct session *s, struct str input, struct str *line, size_t *used)
{
	size_t max = line_max(s, input);
	const char *lf = memchr(input.ptr, '\n',
	    input.len < max ? input.len : max);

	*used = 0;
	if (lf == NULL) {
		if (input.len < max)
			return false;
		/* The rest would be read as commands. */
		reply(s, REPLY_LINE_TOO_LONG);
		session_finish(s, "line too long");
		return false;
	}
	*used = (size_t)(lf - input.ptr) + 1;
	if (lf == input.ptr || lf[-1] != '\r') {
		/* A sender that ends lines otherwise disagrees with us about
		 * where they end: no further word. */
		reply(s, REPLY_NOT_A_LINE);
		session_finish(s, "bare newline");
		return false;
	}
	*line = (struct str){ input.ptr, *used - 2 };
	return true;
}

size_t
session_command(struct session *s, struct str input)
{
	struct str line, args;
	enum smtp_verb verb;
	size_t used;

	if (!line_find(s, input, &line, &used))
		return used;
	if (s->state == SMTP_SASL) {
		auth_response(s, line);
		return used;
	}
	verb = smtp_command_parse(line, &args);
	/* whoever pipelines the next message is never idle */
	if (verb == SMTP_MAIL && s->tx == NULL && session_is_old(s)) {
		reply(s, REPLY_SESSION_OLD);
		session_finish(s, "max session");
		return used;
	}
	if ((verb == SMTP_MAIL || verb == SMTP_RCPT || verb == SMTP_DATA ||
		(verb == SMTP_BDAT && (s->offered & SMTP_EXT_CHUNKING))) &&
	    session_is_logged_in(s) && (AFTER_HELO & IN(s->state)))
		return group_start(s, input);
	command_run(s, verb, args);
	/* RFC 3207: nothing may follow STARTTLS before the handshake. What
	 * does was put there by somebody who must not speak inside TLS. */
	if (s->wait == WAIT_TLS && used < input.len) {
		struct log_line l;

		session_log(s, &l, LOG_LEVEL_WARNING, "starttls");
		log_adds(&l, "error", "bytes behind STARTTLS");
		log_adds(&l, "ip", s->peer);
		log_end(&l);
		session_die(s, "bytes behind starttls");
	}
	return used;
}
