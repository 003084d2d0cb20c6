/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "spelling.h"

#include <stdbool.h>
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
squeeze(char *to, size_t room, const uint8_t *from, size_t len)
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
		if (blank && n > 0 && n < room)
			*end++ = ' ';
		put = u8_uctomb(end, c, (char *)to + room - (char *)end);
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
fold(struct portero_str typed, size_t *len_r)
{
	size_t n = 0;
	uint8_t *plain = u8_normalize(UNINORM_NFKD,
	    (const uint8_t *)typed.ptr, typed.len, NULL, &n);
	uint8_t *folded = plain == NULL ? NULL :
	    u8_casefold(plain, n, NULL, UNINORM_NFKD, NULL, len_r);

	free(plain);
	return folded;
}

size_t
spelling_of(struct portero_str typed, char *to, size_t room)
{
	size_t n = 0;
	uint8_t *folded = fold(typed, &n);

	n = folded == NULL ? 0 : squeeze(to, room, folded, n);
	free(folded);
	return n;
}
