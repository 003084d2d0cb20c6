/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Owns nothing. Everything in here is written by who may want to look like
 * somebody else: what is not understood to the last byte is a flaw.
 */
#include "smtp/header.h"

#include <string.h>

#include "smtp/command.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What is still to be read of a field's body. */
struct cursor {
	const char *at, *end;
};

size_t
smtp_header_length(struct str data, size_t from)
{
	const char *found;

	if (data.len >= 2 && memcmp(data.ptr, "\r\n", 2) == 0)
		return 2;
	from = from > 3 ? from - 3 : 0;
	if (data.len < from + 4)
		return 0;
	found = memmem(data.ptr + from, data.len - from, "\r\n\r\n", 4);
	return found == NULL ? 0 : (size_t)(found - data.ptr) + 4;
}

static void
set_flaw(struct smtp_header *h, const char *flaw)
{
	if (h->flaw == NULL)
		h->flaw = flaw;
}

/* ---- addresses (section 3.4) --------------------------------------------- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_atext(char c)
{
	return (unsigned char)c > 126 || (c >= '0' && c <= '9') ||
	    (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static void
skip_blanks(struct cursor *c)
{
	while (c->at < c->end && is_blank(*c->at))
		c->at++;
}

/* Behind a comment, which may hold others; false: it has no end. */
static bool
skip_comment(struct cursor *c)
{
	size_t depth = 0;

	for (; c->at < c->end; c->at++) {
		if (*c->at == '\\' && c->end - c->at > 1)
			c->at++;
		else if (*c->at == '(')
			depth++;
		else if (*c->at == ')' && --depth == 0) {
			c->at++;
			return true;
		}
	}
	c->at = c->end;
	return false;
}

/* Blanks and comments; false: a comment has no end. */
static bool
skip_cfws(struct cursor *c)
{
	skip_blanks(c);
	while (c->at < c->end && *c->at == '(') {
		if (!skip_comment(c))
			return false;
		skip_blanks(c);
	}
	return true;
}

/* Length of the quoted string at the start, 0: none. */
static size_t
quoted_length(const char *s, size_t len)
{
	for (size_t i = 1; i < len && s[0] == '"'; i++) {
		if (s[i] == '"')
			return i + 1;
		if (s[i] == '\\')
			i++;
	}
	return 0;
}

static size_t
dot_atom_length(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && (is_atext(s[i]) ||
			      (s[i] == '.' && i > 0 && s[i - 1] != '.')))
		i++;
	return i > 0 && s[i - 1] == '.' ? 0 : i;
}

static size_t
domain_length(const char *s, size_t len)
{
	const char *legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789.:-";
	size_t i = 1;

	if (len == 0 || s[0] != '[')
		return dot_atom_length(s, len);
	while (i < len && s[i] != '\0' && strchr(legal, s[i]) != NULL)
		i++;
	return i > 1 && i < len && s[i] == ']' ? i + 1 : 0;
}

/* An address without a blank in it: in a quoted local part only spaces. */
static size_t
address_length(const struct cursor *c)
{
	size_t len = (size_t)(c->end - c->at), local, domain;

	local = quoted_length(c->at, len);
	for (size_t i = 0; i < local; i++)
		if (c->at[i] != ' ' && is_blank(c->at[i]))
			return 0;
	if (local == 0)
		local = dot_atom_length(c->at, len);
	if (local == 0 || local == len || c->at[local] != '@')
		return 0;
	domain = domain_length(c->at + local + 1, len - local - 1);
	return domain == 0 ? 0 : local + 1 + domain;
}

/* Takes the address at the cursor; false: there is none. */
static bool
take_address(struct cursor *c, bool is_sender, struct smtp_header *h)
{
	size_t len = address_length(c);

	if (len == 0)
		return false;
	if (len > SMTP_PATH_MAX)
		set_flaw(h, "an address that is too long");
	else if (h->nmailboxes == SMTP_MAILBOXES_MAX)
		set_flaw(h, "too many addresses in From");
	else
		h->mailboxes[h->nmailboxes++] = (struct smtp_mailbox){
			.address = { c->at, len }, .is_sender = is_sender
		};
	c->at += len;
	return true;
}

/* Words up to what is no word: a display name, or a group's. */
static bool
skip_phrase(struct cursor *c)
{
	for (;;) {
		size_t n = 0;

		if (!skip_cfws(c))
			return false;
		while (c->at + n < c->end &&
		       (is_atext(c->at[n]) || c->at[n] == '.'))
			n++;
		if (n == 0)
			n = quoted_length(c->at, (size_t)(c->end - c->at));
		if (n == 0)
			return true;
		c->at += n;
	}
}

/* "name <address>" from the '<' on. */
static bool
take_angle(struct cursor *c, bool is_sender, struct smtp_header *h)
{
	c->at++;
	skip_blanks(c);
	if (!take_address(c, is_sender, h))
		return false;
	skip_blanks(c);
	if (c->at == c->end || *c->at != '>')
		return false;
	c->at++;
	return true;
}

/* One element of a list; opens or closes a group. */
static bool
take_element(struct cursor *c, bool is_sender, bool *in_group,
    struct smtp_header *h)
{
	if (*c->at == ';' && *in_group) {
		*in_group = false;
		c->at++;
	} else if (!take_address(c, is_sender, h)) {
		if (!skip_phrase(c) || c->at == c->end)
			return false;
		if (*c->at == ':' && !*in_group) {
			*in_group = true;
			c->at++;
			return true;
		}
		if (*c->at != '<' || !take_angle(c, is_sender, h))
			return false;
	}
	return skip_cfws(c) &&
	    (c->at == c->end || *c->at == ',' || (*c->at == ';' && *in_group));
}

static bool
take_list(struct cursor *c, bool is_sender, struct smtp_header *h)
{
	bool in_group = false;

	for (;;) {
		if (!skip_cfws(c))
			return false;
		if (c->at == c->end)
			return !in_group;
		if (*c->at == ',')
			c->at++;
		else if (!take_element(c, is_sender, &in_group, h))
			return false;
	}
}

static void
from_found(struct smtp_header *h, struct cursor body)
{
	h->nfrom++;
	if (!take_list(&body, false, h))
		set_flaw(h, "a From that cannot be read");
}

static void
sender_found(struct smtp_header *h, struct cursor body)
{
	size_t before = h->nmailboxes;

	h->nsender++;
	if (!take_list(&body, true, h) || h->nmailboxes != before + 1)
		set_flaw(h, "a Sender that cannot be read");
}

static void
received_found(struct smtp_header *h, struct cursor body)
{
	(void)body;
	h->nreceived++;
}

static void
date_found(struct smtp_header *h, struct cursor body)
{
	(void)body;
	h->has_date = true;
}

static void
message_id_found(struct smtp_header *h, struct cursor body)
{
	(void)body;
	h->has_message_id = true;
}

static void
signature_found(struct smtp_header *h, struct cursor body)
{
	(void)body;
	h->is_signed = true;
}

/* ---- fields (section 2.2) ------------------------------------------------ */

/* The end of the field at the start: its last line has no continuation. */
static const char *
field_end(const char *at, const char *end)
{
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		at = lf == NULL ? end : lf + 1;
		if (at == end || (*at != ' ' && *at != '\t'))
			break;
	}
	return at;
}

/* Bytes that some readers take for the end of a line or of the text, and lines
 * of a field that hold nothing. */
static void
check_bytes(struct smtp_header *h, const char *at, const char *end)
{
	bool is_line_empty = false;

	for (; at < end; at++) {
		unsigned char b = (unsigned char)*at;

		if ((b < ' ' && !is_blank(*at)) || b == 127)
			set_flaw(h, "a control character");
		if (b == '\n' && is_line_empty)
			set_flaw(h, "an empty line that is no end");
		if (b == '\n')
			is_line_empty = true;
		else if (!is_blank(*at))
			is_line_empty = false;
	}
}

static void
scan_field(struct smtp_header *h, const char *at, const char *end)
{
	/* clang-format off */
	static const struct {
		struct str name;
		void (*found)(struct smtp_header *, struct cursor);
	} fields[] = {
		{ STR("From"),           from_found },
		{ STR("Sender"),         sender_found },
		{ STR("Received"),       received_found },
		{ STR("Date"),           date_found },
		{ STR("Message-ID"),     message_id_found },
		{ STR("DKIM-Signature"), signature_found },
	};
	/* clang-format on */
	const char *colon = memchr(at, ':', (size_t)(end - at));
	struct str name = { at, colon == NULL ? 0 : (size_t)(colon - at) };

	check_bytes(h, at, end);
	if (*at == '.') /* the next hop takes it away, or does not */
		set_flaw(h, "a field whose name is none");
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)at[i] <= ' ' || (unsigned char)at[i] > 126)
			set_flaw(h, "a field whose name is none");
	if (name.len == 0)
		set_flaw(h, "a line that is no field");
	while (name.len > 0 && is_blank(name.ptr[name.len - 1]))
		name.len--;
	for (size_t i = 0; i < COUNT(fields); i++)
		if (str_case_eq(name, fields[i].name))
			fields[i].found(h, (struct cursor){ colon + 1, end });
}

void
smtp_header_scan(struct str block, struct smtp_header *h)
{
	/* of a message without any bytes there is no pointer */
	const char *at = block.len == 0 ? "" : block.ptr;
	const char *end = at + block.len, *next;

	*h = (struct smtp_header){ .flaw = NULL };
	for (; at < end; at = next) {
		if (end - at >= 2 && memcmp(at, "\r\n", 2) == 0)
			return;
		next = field_end(at, end);
		scan_field(h, at, next);
	}
}
