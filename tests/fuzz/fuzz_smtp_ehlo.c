/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever an upstream offers: each line says the same alone as among the
 * others, in any letter case and in any order but for numbers, of which the
 * last holds; what is unknown changes nothing; numbers are within bounds.
 *
 * Input: a seed for letter case and order, then the lines of an EHLO reply.
 */
#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/ehlo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LINES_MAX 64

static struct smtp_offer
parse(const char *text, size_t len)
{
	struct smtp_reply reply = { .code = 250 };
	struct smtp_offer offer;

	/* the name, whatever it is, is no offer */
	buf_append_str(&reply.text, STR("SIZE 1\n"));
	buf_append(&reply.text, text, len);
	smtp_offer_parse(&offer, &reply);
	buf_free(&reply.text);
	return offer;
}

static void
assert_bounded(const struct smtp_offer *o)
{
	assert(o->size >= 0);
	assert(o->rcptmax >= 0 && o->rcptmax <= 999999);
	assert(o->mailmax >= 0 && o->mailmax <= 999999);
	assert(o->size == 0 || (o->extensions & SMTP_EXT_SIZE) != 0);
	assert((o->rcptmax == 0 && o->mailmax == 0) ||
	    (o->extensions & SMTP_EXT_LIMITS) != 0);
	assert(o->mechanisms == 0 || (o->extensions & SMTP_EXT_AUTH) != 0);
	assert((o->mechanisms & ~(SMTP_OFFERS_PLAIN | SMTP_OFFERS_LOGIN)) ==
	    0);
	assert((o->xforward | o->xclient) < SMTP_CLIENT_LOGIN << 1);
}

/* Field by field: the structure has holes. */
static void
assert_same(const struct smtp_offer *a, const struct smtp_offer *b)
{
	assert(a->extensions == b->extensions);
	assert(a->mechanisms == b->mechanisms);
	assert(a->xforward == b->xforward && a->xclient == b->xclient);
	assert(a->size == b->size);
	assert(a->rcptmax == b->rcptmax && a->mailmax == b->mailmax);
}

/* What a line offers, on top of those before it. */
static void
add(struct smtp_offer *to, const struct smtp_offer *line)
{
	to->extensions |= line->extensions;
	to->mechanisms |= line->mechanisms;
	to->xforward |= line->xforward;
	to->xclient |= line->xclient;
	if ((line->extensions & SMTP_EXT_SIZE) != 0)
		to->size = line->size;
	if (line->rcptmax != 0)
		to->rcptmax = line->rcptmax;
	if (line->mailmax != 0)
		to->mailmax = line->mailmax;
}

static size_t
split(const char *text, size_t len, struct str lines[LINES_MAX])
{
	size_t n = 0;

	while (len > 0 && n < LINES_MAX) {
		const char *end = memchr(text, '\n', len);
		size_t used = end == NULL ? len : (size_t)(end - text);

		lines[n++] = (struct str){ text, used };
		used += end != NULL;
		text += used;
		len -= used;
	}
	return n;
}

/* Without its numbers it does not depend on the order. */
static struct smtp_offer
without_numbers(struct smtp_offer o)
{
	o.size = 0;
	o.rcptmax = o.mailmax = 0;
	return o;
}

static struct smtp_offer
parse_backwards(const struct str *lines, size_t n, unsigned seed)
{
	struct smtp_offer offer;
	struct buf text = { 0 };

	while (n-- > 0) {
		for (size_t i = 0; i < lines[n].len; i++) {
			unsigned char c = (unsigned char)lines[n].ptr[i];
			char other = (char)((seed >> i % 8 & 1) != 0
				? toupper(c) : tolower(c));

			buf_append(&text, &other, 1);
		}
		buf_append(&text, "\nX-UNKNOWN 1\n", 13);
	}
	offer = parse(buf_data(&text), buf_len(&text));
	buf_free(&text);
	return offer;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct smtp_offer all, sum = { 0 }, one;
	struct str lines[LINES_MAX];
	size_t n;

	if (len < 1)
		return 0;
	n = split((const char *)data + 1, len - 1, lines);
	if (n == LINES_MAX)
		return 0;
	all = parse((const char *)data + 1, len - 1);
	assert_bounded(&all);
	for (size_t i = 0; i < n; i++) {
		one = parse(lines[i].ptr, lines[i].len);
		assert_bounded(&one);
		add(&sum, &one);
	}
	assert_same(&all, &sum);
	all = without_numbers(all);
	one = without_numbers(parse_backwards(lines, n, data[0]));
	assert_same(&all, &one);
	return 0;
}
