/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The texts people see. Each says what, and where it helps, what to do.
 */
#include "session/replies.h"

#include <stdio.h>

#include "base/sizes.h"
#include "session/session_private.h"
#include "smtp/reply.h"

#define MAX_ERRORS 10

struct reply_text {
	int code;
	const char *enhanced, *text, *reason;
};

/* clang-format off */
static const struct reply_text replies[REPLY_NREPLIES] = {
	[REPLY_OK] =               { 250, "2.0.0", "Ok", "" },
	[REPLY_BYE] =              { 221, "2.0.0", "Bye", "" },
	[REPLY_NOOP] =             { 250, "2.0.0", "Ok", "" },
	[REPLY_RSET] =             { 250, "2.0.0", "Ok", "" },
	[REPLY_VRFY] =             { 252, "2.5.0", "Send the message and the mail server will tell", "" },
	[REPLY_HELP] =             { 214, "2.0.0", "Mail submission by RFC 6409: log in with AUTH, then MAIL, RCPT, DATA", "" },
	[REPLY_START_TLS] =        { 220, "2.0.0", "Ready to start TLS", "" },
	[REPLY_LOGGED_IN] =        { 235, "2.7.0", "Authentication successful", "" },
	[REPLY_SHUTTING_DOWN] =    { 421, "4.3.2", "This server is restarting; connect again", "later" },
	[REPLY_SESSION_OLD] =      { 421, "4.3.2", "This session has lasted long enough; connect again and log in", "later" },
	[REPLY_TIMEOUT] =          { 421, "4.4.2", "Waited too long for the next command", "timeout" },
	[REPLY_TIMEOUT_LOGIN] =    { 421, "4.4.2", "Waited too long for a login", "timeout" },
	[REPLY_LINE_TOO_LONG] =    { 500, "5.5.6", "Line too long", "protocol" },
	[REPLY_NOT_A_LINE] =       { 500, "5.5.2", "Lines end with CR LF", "protocol" },
	[REPLY_UNKNOWN_COMMAND] =  { 500, "5.5.2", "Command not recognized", "protocol" },
	[REPLY_UNSUPPORTED] =      { 502, "5.5.1", "Command not implemented", "protocol" },
	[REPLY_NO_ARGUMENTS] =     { 501, "5.5.4", "This command takes no argument", "protocol" },
	[REPLY_BAD_HELO] =         { 501, "5.5.4", "A host name or address is needed", "protocol" },
	[REPLY_HELO_FIRST] =       { 503, "5.5.1", "Send EHLO first", "protocol" },
	[REPLY_TLS_RUNNING] =      { 503, "5.5.1", "TLS is already active", "protocol" },
	[REPLY_TLS_NEEDED] =       { 530, "5.7.0", "Turn on SSL/TLS in your mail program: STARTTLS comes first", "tls" },
	[REPLY_AUTH_IN_CLEAR] =    { 538, "5.7.11", "Turn on SSL/TLS in your mail program before logging in", "tls" },
	[REPLY_AUTH_TWICE] =       { 503, "5.5.1", "Already logged in", "protocol" },
	[REPLY_LOGIN_NEEDED] =     { 530, "5.7.0", "Log in first: turn on authentication for outgoing mail", "auth" },
	[REPLY_LOGIN_WRONG] =      { 535, "5.7.8", "Wrong user name or password", "auth" },
	[REPLY_LOGIN_LATER] =      { 454, "4.7.0", "Cannot check your password right now; try again in a few minutes", "later" },
	[REPLY_LOGIN_TOO_MANY] =   { 454, "4.7.0", "Too many login attempts", "auth" },
	[REPLY_LOGIN_CLOSE] =      { 421, "4.7.0", "Too many login attempts", "auth" },
	[REPLY_SUSPENDED] =        { 525, "5.7.13", "This account is suspended", "blocked" },
	[REPLY_NESTED_MAIL] =      { 503, "5.5.1", "A transaction is already open", "protocol" },
	[REPLY_NEED_MAIL] =        { 503, "5.5.1", "Send MAIL first", "protocol" },
	[REPLY_NEED_RCPT] =        { 503, "5.5.1", "Send RCPT first", "protocol" },
	[REPLY_CHUNK] =            { 250, "2.0.0", "Ok so far", "" },
	[REPLY_CHUNKS] =           { 503, "5.5.1", "Only BDAT or RSET now", "protocol" },
	[REPLY_CHUNK_FAILED] =     { 503, "5.5.1", "The message has failed: send RSET", "protocol" },
	[REPLY_NO_RCPT] =          { 554, "5.5.1", "No valid recipients", "dest" },
	[REPLY_TOO_MANY_RCPTS] =   { 452, "4.5.3", "Too many recipients in one message", "recipients" },
	[REPLY_POLICY_LATER] =     { 451, "4.7.0", "Cannot check the sending rules right now; try again in a few minutes", "later" },
	[REPLY_UPSTREAM_AWAY] =    { 451, "4.4.1", "The mail server cannot be reached right now; try again in a few minutes", "later" },
	[REPLY_UPSTREAM_LOST] =    { 451, "4.4.2", "The connection to the mail server was lost; the message was not sent", "later" },
	[REPLY_UPSTREAM_UNKNOWN] = { 451, "4.4.2", "The mail server's answer was lost; the message may or may not have been sent", "unknown" },
	[REPLY_UPSTREAM_TLS] =     { 451, "4.7.5", "No secure connection to the mail server; try again later", "later" },
	[REPLY_UPSTREAM_BROKEN] =  { 451, "4.3.0", "The mail server cannot take the message right now; try again later", "later" },
	[REPLY_BARE_NEWLINE] =     { 550, "5.6.11", "The message has a bare CR, LF or NUL; lines must end with CR LF", "format" },
	[REPLY_HEADER_TOO_LARGE] = { 552, "5.3.4", "The header of the message is over 128 KB; write to fewer people at once", "size" },
	[REPLY_LOOP] =             { 554, "5.4.6", "The message has passed too many mail servers: it goes in circles", "loop" },
	[REPLY_TOO_MANY_ERRORS] =  { 421, "4.7.0", "Too many errors", "protocol" },
	[REPLY_IDLE] =             { 421, "4.7.0", "Too many commands without a message", "protocol" },
	[REPLY_CROWDED] =          { 421, "4.7.0", "Too many connections from your network; try again in a few minutes", "busy" },
	[REPLY_FULL] =             { 421, "4.3.2", "Too many connections; try again in a few minutes", "busy" },
	[REPLY_BUSY_PERSON] =      { 451, "4.7.1", "You are sending too many messages at the same moment; try again when they are through", "busy" },
};
/* clang-format on */

struct buf *
reply_out(struct session *s)
{
	return chunk_holds_reply(s) ? &s->held : &s->io.out;
}

static void
make(const struct session_worker *w, struct buf *out, const struct reply_text *r,
    struct str text, const char *sid)
{
	const char *base = w->config->help_url;
	char link[160] = "";

	if (base != NULL && r->code >= 400 && r->reason[0] != '\0')
		snprintf(link, sizeof link, "%s/%s", base, r->reason);
	smtp_reply_make(out, r->code, r->enhanced, text, link, sid);
}

static void
queue(struct session *s, int code, const char *enhanced, struct str text,
    const char *reason)
{
	const struct reply_text r = { code, enhanced, NULL, reason };

	make(s->worker, reply_out(s), &r, text, s->sid);
	session_touch(s);
}

void
reply_greeting(const struct session_worker *w, struct buf *out,
    enum reply_name name, const char *sid)
{
	make(w, out, &replies[name], str_of(replies[name].text), sid);
}

void
reply(struct session *s, enum reply_name name)
{
	const struct reply_text *r = &replies[name];

	queue(s, r->code, r->enhanced, str_of(r->text), r->reason);
}

/* The tenth error is answered with the end of the session. */
static bool
has_errors_left(struct session *s)
{
	if (++s->nerrors < MAX_ERRORS)
		return true;
	reply(s, REPLY_TOO_MANY_ERRORS);
	session_finish(s, "errors");
	return false;
}

void
reply_error(struct session *s, enum reply_name name)
{
	if (has_errors_left(s))
		reply(s, name);
}

void
reply_fault(struct session *s, const struct smtp_fault *fault)
{
	if (has_errors_left(s))
		queue(s, fault->code, fault->enhanced, str_of(fault->text),
		    "protocol");
}

void
reply_answer(struct session *s, const struct answer_reply *r)
{
	char enhanced[16], reason[32];

	if (r->code < 400 || r->code > 599) {
		reply(s, REPLY_POLICY_LATER);
		return;
	}
	str_copy(enhanced, sizeof enhanced, r->enhanced);
	str_copy(reason, sizeof reason, r->reason);
	queue(s, r->code, enhanced, r->text, reason);
}

void
reply_too_large(struct session *s, int64_t size, int64_t max)
{
	char is[SIZE_TEXT], may[SIZE_TEXT], text[200];

	size_text_pair(is, size, may, max);
	snprintf(text, sizeof text, "This message is %s, the limit is %s. "
	    "Make attachments smaller or send it in parts.", is, may);
	queue(s, 552, "5.3.4", str_of(text), "size");
}

void
reply_code_text(enum reply_name name, char to[16])
{
	snprintf(to, 16, "%d %s", replies[name].code, replies[name].enhanced);
}
