/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A command line (RFC 5321 section 4.1.1) as values. Pure: bytes in, values
 * out, which point into the line.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "smtp/params.h"

/* A command line with its CRLF (RFC 5321 4.5.3.1.4 says 512, extensions more). */
#define SMTP_LINE_MAX_BEFORE_LOGIN 1024
#define SMTP_LINE_MAX 4096
/* A SASL response or an AUTH line with initial response (RFC 4954 section 4). */
#define SMTP_SASL_LINE_MAX 12288
/* A path without its angle brackets. RFC 5321 4.5.3.1.3 gives 256 with them. */
#define SMTP_PATH_MAX 254

enum smtp_verb {
	SMTP_UNKNOWN,
	SMTP_EHLO,
	SMTP_HELO,
	SMTP_STARTTLS,
	SMTP_AUTH,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA,
	SMTP_BDAT,
	SMTP_RSET,
	SMTP_NOOP,
	SMTP_VRFY,
	SMTP_HELP,
	SMTP_QUIT,
	SMTP_UNSUPPORTED, /* known to the field, not offered: EXPN, ETRN, ... */
	SMTP_FOREIGN,     /* not SMTP at all: GET, POST, CONNECT, ...: end the session */
	SMTP_NVERBS
};

/* What is wrong with a command: the reply it gets. Static strings. */
struct smtp_fault {
	int code;
	const char *enhanced;
	const char *text;
};

struct smtp_mail {
	struct str path; /* reverse-path without <>; empty: null reverse-path */
	int64_t size;    /* SIZE= in bytes (RFC 1870), -1: not given */
	enum smtp_body body; /* BODY= (RFC 6152) */
	bool is_utf8;        /* SMTPUTF8 (RFC 6531) */
	bool requires_tls;   /* REQUIRETLS (RFC 8689) */
	enum smtp_ret ret;   /* RET= (RFC 3461) */
	struct str envid;    /* ENVID= in xtext, or empty */
	struct str auth;     /* AUTH= in xtext (RFC 4954 section 5), or empty */
};

struct smtp_rcpt {
	struct str path;
	bool is_utf8;     /* the path has more than ASCII */
	uint8_t notify;   /* NOTIFY=: enum smtp_notify, 0: not given */
	struct str orcpt; /* ORCPT= as given: a type and xtext, or empty */
};

struct smtp_bdat {
	int64_t size; /* octets behind the command line */
	bool is_last;
};

/*
 * Splits a line (without CRLF) into verb and arguments; any letter case;
 * arguments without leading and trailing blanks. A line with NUL, a control
 * character other than TAB, or a byte above 126 in the verb is SMTP_UNKNOWN.
 */
enum smtp_verb smtp_command_parse(struct str line, struct str *args_r);

/* "FROM:<path> params" of MAIL; "TO:<path> params" of RCPT. Strict RFC 5321
 * grammar for paths (dot-string or quoted-string local part, domain or
 * address literal, source route refused with 553 5.1.3/501 5.1.7), tolerant
 * of blanks after the colon as old clients send. <postmaster> without domain
 * is legal for RCPT. Parameters as in smtp/params.h. UTF-8 in a path of MAIL
 * needs SMTPUTF8 (553 5.6.7); of RCPT it is taken, and is_utf8 tells: whether
 * its MAIL had SMTPUTF8 is not known here. 0 or -1 and *fault. */
int smtp_mail_parse(struct str args, uint32_t offered, struct smtp_mail *mail, struct smtp_fault *fault);
int smtp_rcpt_parse(struct str args, uint32_t offered, struct smtp_rcpt *rcpt, struct smtp_fault *fault);
/* Takes off what comes before the first blank, and the blanks. */
struct str smtp_word_take(struct str *s);
/* One to twenty digits (RFC 1870 section 3); a huge number stays huge. */
bool smtp_size_parse(struct str value, int64_t *size_r);
/* The fault of a path with UTF-8 where no SMTPUTF8 was given. */
extern const struct smtp_fault smtp_not_ascii;
/* "size" or "size LAST" of BDAT (RFC 3030 section 2). */
int smtp_bdat_parse(struct str args, struct smtp_bdat *bdat, struct smtp_fault *fault);
/* The name a client gave in EHLO/HELO: domain, address literal, or what
 * sloppy clients send; printable ASCII without blanks, 1 to 255. */
bool smtp_helo_is_valid(struct str name);
/* A domain name of RFC 5321 4.1.2 (letters, digits, hyphens, dots; labels of
 * 1 to 63). For the configuration. */
bool smtp_domain_is_valid(struct str name);

#endif
