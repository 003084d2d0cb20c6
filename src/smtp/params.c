/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One table of parameters: whose they are, which extension brings them, how
 * their values are read. Owns nothing; what is read points into the line.
 */
#include "smtp/params.h"

#include "base/ascii.h"
#include "smtp/command.h"
#include "smtp/ehlo.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct smtp_fault malformed =
	{ 501, "5.5.4", "Malformed parameter" };
static const struct smtp_fault unknown =
	{ 555, "5.5.4", "Parameter not known" };
/* clang-format on */

/* What a parameter fills in. */
union target {
	struct smtp_mail *mail;
	struct smtp_rcpt *rcpt;
};

/* A reader of a value; false: it is none. */
typedef bool read_value(union target to, struct str value);

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ptrdiff_t
smtp_xtext_decode(struct str in, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		int c = (unsigned char)in.ptr[i], high, low;

		if (c < 33 || c > 126 || c == '=')
			return -1;
		if (c == '+') {
			if (in.len - i < 3)
				return -1;
			high = hex_digit(in.ptr[i + 1]);
			low = hex_digit(in.ptr[i + 2]);
			c = high * 16 + low;
			if (high == -1 || low == -1 || c < 32 || c > 126)
				return -1;
			i += 2;
		}
		if (len == size)
			return -1;
		out[len++] = (char)c;
	}
	return (ptrdiff_t)len;
}

static bool
is_xtext(struct str s, size_t max)
{
	char decoded[SMTP_ORCPT_MAX];

	return s.len > 0 && smtp_xtext_decode(s, decoded, max) != -1;
}

static bool
read_size(union target to, struct str value)
{
	return smtp_size_parse(value, &to.mail->size);
}

static bool
read_body(union target to, struct str value)
{
	if (str_case_eq(value, STR("7BIT")))
		to.mail->body = SMTP_BODY_7BIT;
	else if (str_case_eq(value, STR("8BITMIME")))
		to.mail->body = SMTP_BODY_8BITMIME;
	else
		return false;
	return true;
}

/* "<>" or an address in xtext. */
static bool
read_auth(union target to, struct str value)
{
	to.mail->auth = value;
	return is_xtext(value, SMTP_AUTH_MAX);
}

static bool
read_utf8(union target to, struct str value)
{
	to.mail->is_utf8 = true;
	return value.len == 0;
}

static bool
read_requiretls(union target to, struct str value)
{
	to.mail->requires_tls = true;
	return value.len == 0;
}

static bool
read_ret(union target to, struct str value)
{
	if (str_case_eq(value, STR("FULL")))
		to.mail->ret = SMTP_RET_FULL;
	else if (str_case_eq(value, STR("HDRS")))
		to.mail->ret = SMTP_RET_HDRS;
	else
		return false;
	return true;
}

static bool
read_envid(union target to, struct str value)
{
	to.mail->envid = value;
	return is_xtext(value, SMTP_ENVID_MAX);
}

/* clang-format off */
static const struct {
	struct str word;
	enum smtp_notify bit;
} notifies[] = {
	{ STR("NEVER"),   SMTP_NOTIFY_NEVER },
	{ STR("SUCCESS"), SMTP_NOTIFY_SUCCESS },
	{ STR("FAILURE"), SMTP_NOTIFY_FAILURE },
	{ STR("DELAY"),   SMTP_NOTIFY_DELAY },
};
/* clang-format on */

/* NEVER alone, or the others, each once at most. */
static bool
read_notify(union target to, struct str value)
{
	bool more = true;

	while (more) {
		more = value.len > 0 &&
		    memchr(value.ptr, ',', value.len) != NULL;
		struct str word = str_cut(&value, ',');
		unsigned bit = 0;

		for (size_t i = 0; i < COUNT(notifies); i++)
			if (str_case_eq(word, notifies[i].word))
				bit = notifies[i].bit;
		if (bit == 0 || (to.rcpt->notify & bit) != 0)
			return false;
		to.rcpt->notify |= (uint8_t)bit;
	}
	return !(to.rcpt->notify & SMTP_NOTIFY_NEVER) ||
	    to.rcpt->notify == SMTP_NOTIFY_NEVER;
}

/* "rfc822;ana@example.org": a type, an address in xtext. */
static bool
read_orcpt(union target to, struct str value)
{
	struct str rest = value, type = str_cut(&rest, ';');

	to.rcpt->orcpt = value;
	for (size_t i = 0; i < type.len; i++)
		if (!is_alnum(type.ptr[i]) && type.ptr[i] != '-')
			return false;
	return type.len > 0 && value.len <= SMTP_ORCPT_MAX &&
	    is_xtext(rest, SMTP_ORCPT_MAX);
}

/* clang-format off */
static const struct param {
	struct str name;
	uint32_t extension;
	read_value *read;
	const char *fault;
} mail_table[] = {
	{ STR("SIZE"),       SMTP_EXT_SIZE,       read_size,       "SIZE= needs a number of bytes, once" },
	{ STR("BODY"),       SMTP_EXT_8BITMIME,   read_body,       "BODY= needs 7BIT or 8BITMIME, once" },
	{ STR("AUTH"),       SMTP_EXT_AUTH,       read_auth,       "AUTH= needs an address in xtext, once" },
	{ STR("SMTPUTF8"),   SMTP_EXT_SMTPUTF8,   read_utf8,       "SMTPUTF8 has no value" },
	{ STR("RET"),        SMTP_EXT_DSN,        read_ret,        "RET= needs FULL or HDRS, once" },
	{ STR("ENVID"),      SMTP_EXT_DSN,        read_envid,      "ENVID= needs xtext, once" },
	{ STR("REQUIRETLS"), SMTP_EXT_REQUIRETLS, read_requiretls, "REQUIRETLS has no value" },
}, rcpt_table[] = {
	{ STR("NOTIFY"),     SMTP_EXT_DSN,        read_notify,     "NOTIFY= needs NEVER, or some of SUCCESS, FAILURE and DELAY" },
	{ STR("ORCPT"),      SMTP_EXT_DSN,        read_orcpt,      "ORCPT= needs a type and an address in xtext, once" },
};
/* clang-format on */

static int
fail(struct smtp_fault *to, struct smtp_fault fault)
{
	*to = fault;
	return -1;
}

/* One esmtp-param (RFC 5321 section 4.1.2), taken off *rest; no value: NULL. */
static bool
take_param(struct str *rest, struct str *name_r, struct str *value_r)
{
	struct str word = smtp_word_take(rest);
	size_t i = 0;

	while (i < word.len &&
	       (is_alnum(word.ptr[i]) || (i > 0 && word.ptr[i] == '-')))
		i++;
	*name_r = (struct str){ word.ptr, i };
	*value_r = (struct str){ NULL, 0 };
	if (i == 0 || i == word.len)
		return i > 0;
	if (word.ptr[i] != '=' || i + 1 == word.len)
		return false;
	*value_r = (struct str){ word.ptr + i + 1, word.len - i - 1 };
	for (i = 0; i < value_r->len; i++) {
		unsigned char c = (unsigned char)value_r->ptr[i];

		if (c <= 32 || c > 126 || c == '=')
			return false;
	}
	return true;
}

static int
parse(struct str rest, uint32_t offered, const struct param *table, size_t n,
    union target to, struct smtp_fault *fault)
{
	struct str name, value;
	unsigned seen = 0;
	size_t i;

	while (rest.len > 0) {
		if (!take_param(&rest, &name, &value))
			return fail(fault, malformed);
		for (i = 0; i < n; i++)
			if (str_case_eq(name, table[i].name))
				break;
		if (i == n || (table[i].extension & offered) == 0)
			return fail(fault, unknown);
		if ((seen & 1u << i) != 0 || !table[i].read(to, value))
			return fail(fault,
			    (struct smtp_fault){ 501, "5.5.4",
				table[i].fault });
		seen |= 1u << i;
	}
	return 0;
}

int
smtp_mail_params_parse(struct str rest, uint32_t offered,
    struct smtp_mail *mail, struct smtp_fault *fault)
{
	return parse(rest, offered, mail_table, COUNT(mail_table),
	    (union target){ .mail = mail }, fault);
}

int
smtp_rcpt_params_parse(struct str rest, uint32_t offered,
    struct smtp_rcpt *rcpt, struct smtp_fault *fault)
{
	return parse(rest, offered, rcpt_table, COUNT(rcpt_table),
	    (union target){ .rcpt = rcpt }, fault);
}

static void
put(struct buf *to, const char *name, struct str value)
{
	if (value.len > 0)
		buf_appendf(to, " %s=%.*s", name, (int)value.len, value.ptr);
}

void
smtp_mail_params(
    struct buf *to, const struct smtp_mail *mail, uint32_t offered)
{
	static const char *const bodies[] = { NULL, "7BIT", "8BITMIME" };
	static const char *const rets[] = { NULL, "FULL", "HDRS" };

	if (mail->size >= 0 && (offered & SMTP_EXT_SIZE))
		buf_appendf(to, " SIZE=%lld", (long long)mail->size);
	if (offered & SMTP_EXT_8BITMIME)
		put(to, "BODY", str_of(bodies[mail->body]));
	if (mail->is_utf8 && (offered & SMTP_EXT_SMTPUTF8))
		buf_appendf(to, " SMTPUTF8");
	if (offered & SMTP_EXT_DSN) {
		put(to, "RET", str_of(rets[mail->ret]));
		put(to, "ENVID", mail->envid);
	}
	if (offered & SMTP_EXT_AUTH)
		put(to, "AUTH", mail->auth);
	if (mail->requires_tls && (offered & SMTP_EXT_REQUIRETLS))
		buf_appendf(to, " REQUIRETLS");
}

void
smtp_rcpt_params(
    struct buf *to, const struct smtp_rcpt *rcpt, uint32_t offered)
{
	const char *between = " NOTIFY=";

	if (!(offered & SMTP_EXT_DSN))
		return;
	for (size_t i = 0; i < COUNT(notifies); i++) {
		if (!(rcpt->notify & notifies[i].bit))
			continue;
		buf_appendf(to, "%s%s", between, notifies[i].word.ptr);
		between = ",";
	}
	put(to, "ORCPT", rcpt->orcpt);
}

uint32_t
smtp_mail_needs(const struct smtp_mail *mail)
{
	uint32_t needs = 0;

	if (mail->body == SMTP_BODY_8BITMIME)
		needs |= SMTP_EXT_8BITMIME;
	if (mail->is_utf8)
		needs |= SMTP_EXT_SMTPUTF8;
	if (mail->ret != SMTP_RET_NONE || mail->envid.len > 0)
		needs |= SMTP_EXT_DSN;
	if (mail->requires_tls)
		needs |= SMTP_EXT_REQUIRETLS;
	return needs;
}

uint32_t
smtp_rcpt_needs(const struct smtp_rcpt *rcpt)
{
	return rcpt->notify != 0 || rcpt->orcpt.len > 0 ? SMTP_EXT_DSN : 0;
}
