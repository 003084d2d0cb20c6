/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replies (RFC 5321 section 4.2): those we make, and those an upstream sends,
 * which are hostile until parsed.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

#define SMTP_REPLY_MAX_BYTES 65536
#define SMTP_REPLY_MAX_LINES 100
#define SMTP_REPLY_MAX_LINE 2048 /* RFC 5321 says 512; others send more */
#define SMTP_OUR_REPLY_MAX 300   /* without CRLF */

/*
 * Appends a reply of ours: "CODE ENHANCED text link [sid]\r\n". `enhanced`
 * may be NULL (greeting, EHLO, 354, 334). For 4xx and 5xx the link ("" or
 * NULL: none) and the session id in brackets are added; the whole is at most
 * SMTP_OUR_REPLY_MAX characters, the text being cut first; bytes that are not
 * printable ASCII become '?'.
 */
void smtp_reply_make(struct buf *out, int code, const char *enhanced,
    struct str text, const char *link, const char *sid);

/* A whole reply of an upstream. Lines without code, separator and CRLF. */
struct smtp_reply {
	int code;
	size_t nlines;
	struct buf text; /* lines joined by '\n'; owned */
};

enum smtp_reply_result {
	SMTP_REPLY_MORE,   /* needs more bytes */
	SMTP_REPLY_DONE,   /* one reply complete */
	SMTP_REPLY_BROKEN  /* not SMTP, or past a bound: drop the connection */
};

/* Incremental parser: one at a time, reset by taking the reply. */
struct smtp_reply_parser {
	struct smtp_reply reply;
	struct buf line; /* unfinished line */
	size_t bytes;
};

/*
 * Reads from data until one reply is complete. *used tells the bytes taken
 * (the rest belongs to the next reply). Codes 200-599; every line must carry the
 * same code; a line may end with CRLF or LF; control characters and bytes above 126
 * become '?'; a code without text is legal ("250\r\n").
 */
enum smtp_reply_result smtp_reply_feed(struct smtp_reply_parser *p,
    const char *data, size_t len, size_t *used);
/* What has come of a reply that is not complete, for the log; "": nothing. */
void smtp_reply_partial(
    char *to, size_t size, const struct smtp_reply_parser *p);
/* Moves the complete reply out; the caller frees it. */
struct smtp_reply smtp_reply_parser_take(struct smtp_reply_parser *p);
void smtp_reply_parser_free(struct smtp_reply_parser *p);
void smtp_reply_free(struct smtp_reply *r);

/* Appends it as it is passed to the client: every line, unchanged; where the first
 * line has no enhanced code (RFC 3463) of the reply's class and code is 2xx, 4xx or 5xx,
 * "<class>.0.0 " is put before the text of each line. */
void smtp_reply_pass(struct buf *out, const struct smtp_reply *r);
/* Length of a leading enhanced status code of that class ("5.1.1"), or 0. */
size_t smtp_enhanced_length(struct str text, int code);
/* The first line for the log: "250 2.0.0 Ok: queued as X". */
void smtp_reply_summary(char *to, size_t size, const struct smtp_reply *r);

#endif
