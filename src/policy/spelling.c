/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/spelling.h"

#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/* RFC 4518 section 2.2 has the formatting characters; Active Directory also
 * overlooks accents and what its version of Unicode does not know. */
static bool
is_overlooked(ucs4_t c)
{
	return uc_is_general_category_withtable(c,
	    UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_C);
}

static bool
is_blank(ucs4_t c)
{
	return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Z);
}

/* A blank is written when something comes behind it. */
static size_t
squeeze(char *to, const uint8_t *from, size_t len)
{
	bool blank = false;
	size_t n = 0;
	ucs4_t c;

	for (size_t at = 0; at < len;) {
		uint8_t *end = (uint8_t *)to + n;
		int took = u8_mbtouc(&c, from + at, len - at), put;

		at += (size_t)took;
		if (is_overlooked(c) || is_blank(c)) {
			blank = blank || is_blank(c);
			continue;
		}
		if (blank && n > 0 && n < SPELLING_MAX)
			*end++ = ' ';
		put = u8_uctomb(end, c, (char *)to + SPELLING_MAX - (char *)end);
		if (put <= 0)
			break;
		n = (size_t)((char *)end + put - to);
		blank = false;
	}
	return n;
}

/* Decomposed before it is folded: what only looks like a capital becomes one
 * first. NULL: out of memory. The caller's. */
static uint8_t *
fold(struct str typed, size_t *len_r)
{
	size_t n = 0;
	uint8_t *plain = u8_normalize(UNINORM_NFKD,
	    (const uint8_t *)typed.ptr, typed.len, NULL, &n);
	uint8_t *folded = plain == NULL ? NULL :
	    u8_casefold(plain, n, NULL, UNINORM_NFKD, NULL, len_r);

	free(plain);
	return folded;
}

struct str
spelling_of(char to[SPELLING_MAX + 1], struct str typed)
{
	size_t n = 0;
	uint8_t *folded = fold(typed, &n);

	n = folded == NULL ? 0 : squeeze(to, folded, n);
	to[n] = '\0';
	free(folded);
	return (struct str){ to, n };
}
