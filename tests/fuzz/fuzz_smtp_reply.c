/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever an upstream sends, the parser stays within its bounds, finds the
 * same replies under any splitting, and what is passed on is legal SMTP.
 *
 * Input: a seed for the cuts; what the upstream sends.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/ehlo.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Everything found, as a client would be told it. */
struct found {
	struct buf text;
	unsigned nreplies;
	enum smtp_reply_result last;
};

static void
assert_legal(struct str text, int code, size_t nlines)
{
	for (size_t i = 1; i <= nlines; i++) {
		const char *end = memmem(text.ptr, text.len, "\r\n", 2);
		size_t len;

		assert(end != NULL);
		len = (size_t)(end - text.ptr);
		assert(len >= 4 && len <= SMTP_REPLY_MAX_LINE + 7);
		assert(atoi(text.ptr) == code);
		assert(text.ptr[3] == (i < nlines ? '-' : ' '));
		if (code / 100 != 3 && i == 1)
			assert(smtp_enhanced_length(
				   (struct str){ text.ptr + 4, len - 4 },
				   code) > 0);
		for (size_t k = 0; k < len; k++)
			assert(text.ptr[k] >= 32 && text.ptr[k] <= 126);
		text = (struct str){ end + 2, text.len - len - 2 };
	}
	assert(text.len == 0);
}

static void
take(struct found *f, struct smtp_reply_parser *p)
{
	struct smtp_reply r = smtp_reply_parser_take(p);
	struct smtp_offer offer;
	char summary[80];
	size_t before = buf_len(&f->text);

	assert(r.code >= 200 && r.code <= 599);
	assert(r.nlines >= 1 && r.nlines <= SMTP_REPLY_MAX_LINES);
	assert(buf_len(&r.text) <= SMTP_REPLY_MAX_BYTES);
	smtp_offer_parse(&offer, &r);
	assert(offer.size >= 0);
	smtp_reply_summary(summary, sizeof summary, &r);
	assert(strlen(summary) >= 3);
	smtp_reply_pass(&f->text, &r);
	assert_legal((struct str){ buf_data(&f->text) + before,
			 buf_len(&f->text) - before },
	    r.code, r.nlines);
	smtp_reply_free(&r);
	f->nreplies++;
}

static struct found
parse(const uint8_t *data, size_t len, unsigned seed, size_t max)
{
	struct smtp_reply_parser p = { 0 };
	struct found f = { .last = SMTP_REPLY_MORE };

	while (len > 0 && f.last != SMTP_REPLY_BROKEN) {
		size_t n, used;
		char *block;

		seed = seed * 1103515245 + 12345;
		n = 1 + (seed >> 8) % max;
		if (n > len)
			n = len;
		block = malloc(n);
		memcpy(block, data, n);
		f.last = smtp_reply_feed(&p, block, n, &used);
		free(block);
		assert(used <= n && (used == n || f.last != SMTP_REPLY_MORE));
		assert(buf_len(&p.line) <= SMTP_REPLY_MAX_LINE + 2);
		assert(p.bytes <= SMTP_REPLY_MAX_BYTES);
		if (f.last == SMTP_REPLY_DONE)
			take(&f, &p);
		data += used;
		len -= used;
	}
	smtp_reply_parser_free(&p);
	return f;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct found whole, cut;

	if (len < 1)
		return 0;
	whole = parse(data + 1, len - 1, 1, SIZE_MAX);
	cut = parse(data + 1, len - 1, data[0], 1 + data[0]);
	assert(whole.nreplies == cut.nreplies);
	assert((whole.last == SMTP_REPLY_BROKEN) ==
	       (cut.last == SMTP_REPLY_BROKEN));
	assert(buf_len(&whole.text) == buf_len(&cut.text));
	if (buf_len(&whole.text) > 0)
		assert(memcmp(buf_data(&whole.text), buf_data(&cut.text),
			   buf_len(&whole.text)) == 0);
	buf_free(&whole.text);
	buf_free(&cut.text);
	return 0;
}
