/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a message in chunks is made of and however it is cut, smtp_chunks
 * does what the model says; stuffed, it comes through smtp_dots unchanged and
 * ends where its end is and nowhere else.
 *
 * Input: 'r' (reject bare LF) or else; a seed for the cuts; the message.
 */
#include <stdint.h>

#include "../unit/chunks_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
assert_one_message(struct chunks_result *r)
{
	struct chunks_result again = { .out = malloc(r->len + 1) };
	struct smtp_dots d;
	size_t used;

	r->out = realloc(r->out, r->len + 3);
	memcpy(r->out + r->len, ".\r\n", 3);
	smtp_dots_start(&d, SMTP_NEWLINE_REJECT);
	assert(smtp_dots_feed(&d, r->out, r->len + 3, &used, chunks_collect,
		   &again) == SMTP_DOTS_END);
	assert(used == r->len + 3 && d.fault == SMTP_DOTS_CLEAN);
	assert(again.len == r->len && memcmp(again.out, r->out, r->len) == 0);
	free(again.out);
}

static void
check(const char *text, size_t len, bool reject, bool stuff, unsigned seed)
{
	struct chunks_result want = chunks_model(text, len, reject, stuff);
	struct chunks_result whole =
	    chunks_scan(text, len, reject, stuff, 1, SIZE_MAX);
	struct chunks_result cut =
	    chunks_scan(text, len, reject, stuff, seed, 1 + seed);

	assert(chunks_same(&whole, &want));
	assert(chunks_same(&cut, &want));
	if (stuff && !whole.is_faulty)
		assert_one_message(&whole);
	free(want.out);
	free(whole.out);
	free(cut.out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data + 2;

	if (len < 2)
		return 0;
	check(text, len - 2, data[0] == 'r', true, data[1]);
	check(text, len - 2, data[0] == 'r', false, data[1]);
	return 0;
}
