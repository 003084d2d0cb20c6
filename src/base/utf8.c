/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8, a character at a time.
 */
#include "base/utf8.h"

#include <stddef.h>

bool
utf8_take(struct str *s, uint32_t *c_r)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	unsigned char lead = (unsigned char)s->ptr[0];
	size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
	uint32_t c = more == 0 ? lead : lead & (0x3fu >> more);

	if ((lead >= 0x80 && lead < 0xc0) || lead >= 0xf8 || s->len <= more)
		return false;
	for (size_t i = 1; i <= more; i++) {
		if ((s->ptr[i] & 0xc0) != 0x80)
			return false;
		c = c << 6 | (s->ptr[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	*s = (struct str){ s->ptr + more + 1, s->len - more - 1 };
	*c_r = c;
	return true;
}

bool
utf8_is_text(struct str s)
{
	uint32_t c;

	while (s.len > 0)
		if (!utf8_take(&s, &c) || c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
	return true;
}
