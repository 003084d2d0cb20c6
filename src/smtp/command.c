/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Command lines to values (RFC 5321 sections 4.1.1 and 4.1.2). Owns nothing;
 * what it returns points into the line or is static. Everything in here is
 * input from outside: no byte sequence may do more than earn a fault.
 */
#include "smtp/command.h"

#include <arpa/inet.h>

#include "base/ascii.h"
#include "base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct {
	struct str word;
	enum smtp_verb verb;
} verbs[] = {
	{ STR("EHLO"),     SMTP_EHLO },
	{ STR("HELO"),     SMTP_HELO },
	{ STR("STARTTLS"), SMTP_STARTTLS },
	{ STR("AUTH"),     SMTP_AUTH },
	{ STR("MAIL"),     SMTP_MAIL },
	{ STR("RCPT"),     SMTP_RCPT },
	{ STR("DATA"),     SMTP_DATA },
	{ STR("BDAT"),     SMTP_BDAT },
	{ STR("RSET"),     SMTP_RSET },
	{ STR("NOOP"),     SMTP_NOOP },
	{ STR("VRFY"),     SMTP_VRFY },
	{ STR("HELP"),     SMTP_HELP },
	{ STR("QUIT"),     SMTP_QUIT },
	/* other extensions, other roles, and what RFC 821 had */
	{ STR("ATRN"),     SMTP_UNSUPPORTED },
	{ STR("BURL"),     SMTP_UNSUPPORTED },
	{ STR("ETRN"),     SMTP_UNSUPPORTED },
	{ STR("EXPN"),     SMTP_UNSUPPORTED },
	{ STR("LHLO"),     SMTP_UNSUPPORTED },
	{ STR("SAML"),     SMTP_UNSUPPORTED },
	{ STR("SEND"),     SMTP_UNSUPPORTED },
	{ STR("SOML"),     SMTP_UNSUPPORTED },
	{ STR("TURN"),     SMTP_UNSUPPORTED },
	{ STR("XCLIENT"),  SMTP_UNSUPPORTED },
	{ STR("XFORWARD"), SMTP_UNSUPPORTED },
	/* a browser or a scanner that was sent to the wrong port */
	{ STR("CONNECT"),  SMTP_FOREIGN },
	{ STR("DELETE"),   SMTP_FOREIGN },
	{ STR("GET"),      SMTP_FOREIGN },
	{ STR("HEAD"),     SMTP_FOREIGN },
	{ STR("OPTIONS"),  SMTP_FOREIGN },
	{ STR("PATCH"),    SMTP_FOREIGN },
	{ STR("POST"),     SMTP_FOREIGN },
	{ STR("PRI"),      SMTP_FOREIGN },
	{ STR("PUT"),      SMTP_FOREIGN },
	{ STR("TRACE"),    SMTP_FOREIGN },
};

/* The replies that differ between the two commands with a path. */
struct path_faults {
	struct smtp_fault command, syntax, too_long, route;
};

static const struct path_faults mail_faults = {
	.command  = { 501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]" },
	.syntax   = { 501, "5.1.7", "Sender address is not valid" },
	.too_long = { 501, "5.1.7", "Sender address is too long" },
	.route    = { 501, "5.1.7", "Sender address has a source route" },
};

static const struct path_faults rcpt_faults = {
	.command  = { 501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]" },
	.syntax   = { 501, "5.1.3", "Recipient address is not valid" },
	.too_long = { 501, "5.1.3", "Recipient address is too long" },
	.route    = { 553, "5.1.3", "Recipient address has a source route" },
};

const struct smtp_fault smtp_not_ascii =
	{ 553, "5.6.7", "Address has characters that are not ASCII" };
static const struct smtp_fault bad_bdat =
	{ 501, "5.5.4", "Syntax: BDAT size [LAST]" };
/* clang-format on */

static int
fault_set(struct smtp_fault *to, struct smtp_fault fault)
{
	*to = fault;
	return -1;
}

/* A character of an atom (RFC 5322 section 3.2.3). */
static bool
is_atext(char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* A byte of a character beyond ASCII, which RFC 6531 section 3.3 adds to atoms,
 * quoted strings and domains. Whether it is one, utf8_is_text() has said. */
static bool
is_beyond_ascii(char c)
{
	return (unsigned char)c > 127;
}

static bool
is_printable(char c)
{
	return c >= 32 && c <= 126;
}

static struct str
skip(struct str s, size_t n)
{
	return (struct str){ s.ptr + n, s.len - n };
}

static struct str
skip_blanks(struct str s)
{
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = skip(s, 1);
	return s;
}

struct str
smtp_word_take(struct str *s)
{
	struct str word = { s->ptr, 0 };

	while (word.len < s->len && !is_blank(s->ptr[word.len]))
		word.len++;
	*s = skip_blanks(skip(*s, word.len));
	return word;
}

enum smtp_verb
smtp_command_parse(struct str line, struct str *args_r)
{
	struct str args = skip_blanks(line), word;

	*args_r = (struct str){ line.ptr, 0 };
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if ((c < 32 && c != '\t') || c == 127)
			return SMTP_UNKNOWN;
	}
	while (args.len > 0 && is_blank(args.ptr[args.len - 1]))
		args.len--;
	word = smtp_word_take(&args);
	for (size_t i = 0; i < COUNT(verbs); i++) {
		if (str_case_eq(word, verbs[i].word)) {
			*args_r = args;
			return verbs[i].verb;
		}
	}
	return SMTP_UNKNOWN;
}

static bool
domain_is_valid(struct str name, bool may_be_utf8)
{
	size_t label = 0; /* length of the label so far */

	if (name.len == 0 || name.len > 255)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c == '.') {
			if (label == 0 || name.ptr[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_alnum(c) && (c != '-' || label == 0) &&
		    !(may_be_utf8 && is_beyond_ascii(c)))
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0 && name.ptr[name.len - 1] != '-';
}

bool
smtp_domain_is_valid(struct str name)
{
	return domain_is_valid(name, false);
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
static bool
literal_is_valid(struct str s)
{
	struct str tag = STR("IPv6:");
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	int family = AF_INET;

	if (s.len < 2 || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']')
		return false;
	s = (struct str){ s.ptr + 1, s.len - 2 };
	if (s.len > tag.len &&
	    str_case_eq((struct str){ s.ptr, tag.len }, tag)) {
		s = skip(s, tag.len);
		family = AF_INET6;
	}
	if (memchr(s.ptr, '\0', s.len) != NULL ||
	    !str_copy(text, sizeof text, s))
		return false;
	return inet_pton(family, text, &address) == 1;
}

bool
smtp_helo_is_valid(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!is_printable(name.ptr[i]) || name.ptr[i] == ' ')
			return false;
	}
	return name.len >= 1 && name.len <= 255;
}

/* Length of the quoted string at the start, quotes included; 0: none. */
static size_t
quoted_length(struct str s)
{
	if (s.len == 0 || s.ptr[0] != '"')
		return 0;
	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '"')
			return i + 1;
		if (s.ptr[i] == '\\' && ++i == s.len)
			return 0;
		if (!is_printable(s.ptr[i]) && !is_beyond_ascii(s.ptr[i]))
			return 0;
	}
	return 0;
}

/* Length of the atoms with dots between them at the start; 0: none. */
static size_t
dot_string_length(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] == '.' && i > 0 && s.ptr[i - 1] != '.')
			continue;
		if (!is_atext(s.ptr[i]) && !is_beyond_ascii(s.ptr[i]))
			break;
	}
	return i > 0 && s.ptr[i - 1] == '.' ? 0 : i;
}

static bool
mailbox_is_valid(struct str path)
{
	size_t local = quoted_length(path);

	if (local == 0)
		local = dot_string_length(path);
	if (local == 0 || local == path.len || path.ptr[local] != '@')
		return false;
	path = skip(path, local + 1);
	return domain_is_valid(path, true) || literal_is_valid(path);
}

/* Where the '>' of "<path>" is, quoted strings left aside; 0: none. */
static size_t
path_end(struct str s)
{
	bool is_quoted = false;

	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '"')
			is_quoted = !is_quoted;
		else if (is_quoted && s.ptr[i] == '\\')
			i++;
		else if (!is_quoted && s.ptr[i] == '>')
			return i;
	}
	return 0;
}

/*
 * "FROM:<path> parameters": checks all but the path's own grammar. *rest_r
 * gets the parameters.
 */
static int
take_path(struct str args, struct str word, const struct path_faults *faults,
    struct str *path_r, bool *is_utf8_r, struct str *rest_r,
    struct smtp_fault *fault)
{
	size_t end;

	if (args.len < word.len ||
	    !str_case_eq((struct str){ args.ptr, word.len }, word))
		return fault_set(fault, faults->command);
	args = skip_blanks(skip(args, word.len));
	if (args.len == 0)
		return fault_set(fault, faults->command);
	end = path_end(args);
	if (args.ptr[0] != '<' || end == 0)
		return fault_set(fault, faults->syntax);
	*path_r = (struct str){ args.ptr + 1, end - 1 };
	*rest_r = skip(args, end + 1);
	if (rest_r->len > 0 && !is_blank(rest_r->ptr[0]))
		return fault_set(fault, faults->syntax);
	*rest_r = skip_blanks(*rest_r);
	*is_utf8_r = false;
	for (size_t i = 0; i < path_r->len; i++)
		if ((unsigned char)path_r->ptr[i] > 126)
			*is_utf8_r = true;
	if (!utf8_is_text(*path_r))
		return fault_set(fault, faults->syntax);
	if (path_r->len > SMTP_PATH_MAX)
		return fault_set(fault, faults->too_long);
	if (path_r->len > 0 && path_r->ptr[0] == '@')
		return fault_set(fault, faults->route);
	return 0;
}

/* One to twenty digits (RFC 1870 section 3); a huge number stays huge. */
bool
smtp_size_parse(struct str value, int64_t *size_r)
{
	int64_t size = 0;

	if (value.len == 0 || value.len > 20)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (!is_digit(value.ptr[i]))
			return false;
		if (__builtin_mul_overflow(size, 10, &size) ||
		    __builtin_add_overflow(size, value.ptr[i] - '0', &size))
			size = INT64_MAX;
	}
	*size_r = size;
	return true;
}

int
smtp_mail_parse(struct str args, uint32_t offered, struct smtp_mail *mail,
    struct smtp_fault *fault)
{
	struct str rest;
	bool is_utf8;

	*mail = (struct smtp_mail){ .size = -1 };
	if (take_path(args, STR("FROM:"), &mail_faults, &mail->path, &is_utf8,
		&rest, fault) == -1)
		return -1;
	if (mail->path.len > 0 && !mailbox_is_valid(mail->path))
		return fault_set(fault, mail_faults.syntax);
	if (smtp_mail_params_parse(rest, offered, mail, fault) == -1)
		return -1;
	if (is_utf8 && !mail->is_utf8)
		return fault_set(fault, smtp_not_ascii);
	return 0;
}

int
smtp_rcpt_parse(struct str args, uint32_t offered, struct smtp_rcpt *rcpt,
    struct smtp_fault *fault)
{
	struct str rest;

	*rcpt = (struct smtp_rcpt){ 0 };
	if (take_path(args, STR("TO:"), &rcpt_faults, &rcpt->path,
		&rcpt->is_utf8, &rest, fault) == -1)
		return -1;
	if (!mailbox_is_valid(rcpt->path) &&
	    !str_case_eq(rcpt->path, STR("postmaster")))
		return fault_set(fault, rcpt_faults.syntax);
	return smtp_rcpt_params_parse(rest, offered, rcpt, fault);
}

int
smtp_bdat_parse(
    struct str args, struct smtp_bdat *bdat, struct smtp_fault *fault)
{
	struct str size = smtp_word_take(&args);

	*bdat = (struct smtp_bdat){ .is_last = args.len > 0 };
	if (!smtp_size_parse(size, &bdat->size) ||
	    (bdat->is_last && !str_case_eq(args, STR("LAST"))))
		return fault_set(fault, bad_bdat);
	return 0;
}
