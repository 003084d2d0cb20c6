/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The lines of an EHLO reply (RFC 5321 section 4.1.1.1). Owns nothing. What
 * we do not know is passed over; what is broken counts as not offered.
 */
#include "smtp/ehlo.h"

/* clang-format off */
static const struct {
	struct str keyword;
	enum smtp_extension extension;
} extensions[] = {
	{ STR("PIPELINING"),          SMTP_EXT_PIPELINING },
	{ STR("SIZE"),                SMTP_EXT_SIZE },
	{ STR("8BITMIME"),            SMTP_EXT_8BITMIME },
	{ STR("STARTTLS"),            SMTP_EXT_STARTTLS },
	{ STR("ENHANCEDSTATUSCODES"), SMTP_EXT_ENHANCEDSTATUSCODES },
	{ STR("CHUNKING"),            SMTP_EXT_CHUNKING },
	{ STR("SMTPUTF8"),            SMTP_EXT_SMTPUTF8 },
	{ STR("DSN"),                 SMTP_EXT_DSN },
	{ STR("AUTH"),                SMTP_EXT_AUTH },
	{ STR("REQUIRETLS"),          SMTP_EXT_REQUIRETLS },
	{ STR("LIMITS"),              SMTP_EXT_LIMITS },
};
/* clang-format on */

/* A maximum message size; 0 (none stated) for what is not a number. */
static int64_t
parse_size(struct str s)
{
	int64_t size = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9' ||
		    __builtin_mul_overflow(size, 10, &size) ||
		    __builtin_add_overflow(size, s.ptr[i] - '0', &size))
			return 0;
	}
	return size;
}

struct word {
	struct str text;
	uint32_t bit;
};

static const struct word mechanisms[] = {
	{ STR("PLAIN"), SMTP_OFFERS_PLAIN },
	{ STR("LOGIN"), SMTP_OFFERS_LOGIN },
	{ { NULL, 0 }, 0 },
};

static const struct word attributes[] = {
	{ STR("NAME"), SMTP_CLIENT_NAME },
	{ STR("ADDR"), SMTP_CLIENT_ADDR },
	{ STR("PROTO"), SMTP_CLIENT_PROTO },
	{ STR("HELO"), SMTP_CLIENT_HELO },
	{ STR("IDENT"), SMTP_CLIENT_IDENT },
	{ STR("SOURCE"), SMTP_CLIENT_SOURCE },
	{ STR("LOGIN"), SMTP_CLIENT_LOGIN },
	{ { NULL, 0 }, 0 },
};

/* The bits of those words of the line that are in the table. */
static uint32_t
parse_words(struct str line, const struct word *table)
{
	uint32_t bits = 0;

	while (line.len > 0) {
		struct str word = str_cut(&line, ' ');

		for (const struct word *w = table; w->bit != 0; w++)
			if (str_case_eq(word, w->text))
				bits |= w->bit;
	}
	return bits;
}

/* "RCPTMAX=100 MAILMAX=20": one to six digits, not beginning with 0. What we
 * do not know or cannot read is passed over, as RFC 9422 section 4 says. */
static void
take_limits(struct smtp_offer *offer, struct str line)
{
	while (line.len > 0) {
		struct str value = str_cut(&line, ' ');
		struct str name = str_cut(&value, '=');
		int64_t n = parse_size(value);

		if (value.len > 6 || n == 0 || value.ptr[0] == '0')
			continue;
		if (str_case_eq(name, STR("RCPTMAX")))
			offer->rcptmax = (int32_t)n;
		else if (str_case_eq(name, STR("MAILMAX")))
			offer->mailmax = (int32_t)n;
	}
}

uint32_t
smtp_extension_find(struct str keyword)
{
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
		if (str_case_eq(keyword, extensions[i].keyword))
			return extensions[i].extension;
	return 0;
}

const char *
smtp_extension_name(size_t i, uint32_t *extension_r)
{
	if (i >= sizeof extensions / sizeof *extensions)
		return NULL;
	*extension_r = extensions[i].extension;
	return extensions[i].keyword.ptr;
}

void
smtp_offer_parse(struct smtp_offer *offer, const struct smtp_reply *ehlo)
{
	struct str rest = { NULL, 0 };

	*offer = (struct smtp_offer){ 0 };
	if (ehlo->code != 250 || buf_len(&ehlo->text) == 0)
		return;
	rest = (struct str){ buf_data(&ehlo->text), buf_len(&ehlo->text) };
	str_cut(&rest, '\n'); /* its name */
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		struct str keyword = str_cut(&line, ' ');

		offer->extensions |= smtp_extension_find(keyword);
		if (str_case_eq(keyword, STR("LIMITS")))
			take_limits(offer, line);
		if (str_case_eq(keyword, STR("SIZE")))
			offer->size = parse_size(str_cut(&line, ' '));
		else if (str_case_eq(keyword, STR("AUTH")))
			offer->mechanisms |= parse_words(line, mechanisms);
		else if (str_case_eq(keyword, STR("XFORWARD")))
			offer->xforward |= parse_words(line, attributes);
		else if (str_case_eq(keyword, STR("XCLIENT")))
			offer->xclient |= parse_words(line, attributes);
	}
}
