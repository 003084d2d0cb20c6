/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a decoder of the pools' records accepts is exactly what its encoder
 * writes. Input: one record, or an identity blob.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t again[RECORD_MAX];

#define RECODE(name, ...) \
	do { \
		struct name x; \
		if (name##_decode(data, len, &x __VA_ARGS__) == -1) \
			return 0; \
		return name##_encode(again, sizeof again, h, &x); \
	} while (0)

/* 0: refused. */
static size_t
recode(const uint8_t *data, size_t len, const struct record_header *h,
    struct record_scratch *s)
{
	switch ((enum record_type)h->type) {
	case RECORD_LOGIN:
		RECODE(login_question, );
	case RECORD_OWNS:
		RECODE(owns_question, );
	case RECORD_JUDGE:
		RECODE(judge_question, , s);
	case RECORD_SETTLE:
		RECODE(settle_question, , s);
	case RECORD_STORE:
		RECODE(store_question, );
	case RECORD_LOGIN_ANSWER:
		RECODE(login_answer, );
	case RECORD_OWNS_ANSWER:
		RECODE(owns_answer, );
	case RECORD_JUDGE_ANSWER:
		RECODE(judge_answer, );
	case RECORD_SETTLE_ANSWER:
		RECODE(settle_answer, );
	case RECORD_STORE_ANSWER:
		RECODE(store_answer, , s);
	case RECORD_ATTEMPT:
		RECODE(attempt_question, );
	case RECORD_ATTEMPT_ANSWER:
		RECODE(attempt_answer, );
	case RECORD_FORGET:
		RECODE(forget_question, );
	case RECORD_FORGET_ANSWER:
		RECODE(forget_answer, );
	}
	abort(); /* record_header_decode() let an unknown type pass */
}

static void
check_identity(const uint8_t *data, size_t len)
{
	struct portero_identity i;
	struct str section;
	size_t n;

	if (identity_decode_from((struct str){ (const char *)data, len }, &i,
		&section) == -1)
		return;
	(void)identity_domain(&i);
	(void)identity_owns(&i, STR("ana@example.org"), "+");
	n = identity_encode_from(again, sizeof again, &i, section);
	assert(n == len && memcmp(again, data, len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct record_scratch *scratch;
	struct record_header h;
	size_t n;

	if (scratch == NULL)
		scratch = record_scratch_new();
	check_identity(data, len);
	if (record_header_decode(data, len, &h) == -1)
		return 0;
	n = recode(data, len, &h, scratch);
	assert(n == 0 || (n == len && memcmp(again, data, len) == 0));
	n = record_defer_encode(again, sizeof again, &h, "crash");
	assert((n > 0) == (h.type <= RECORD_FORGET));
	return 0;
}
