/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "control/text.h"

size_t
text_point(struct str s, uint32_t *point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)s.ptr;
	size_t n = p[0] < 0x80   ? 1
	           : p[0] < 0xc2 ? 0
	           : p[0] < 0xe0 ? 2
	           : p[0] < 0xf0 ? 3
	           : p[0] < 0xf5 ? 4
	                         : 0;

	if (n == 0 || n > s.len)
		return 0;
	*point = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (p[i] & 0x3fu);
	}
	if (*point < least[n] || *point > 0x10ffff ||
	    (*point >= 0xd800 && *point <= 0xdfff))
		return 0;
	return n;
}

bool
text_is_control(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
	       point == 0x061c || point == 0x200e || point == 0x200f ||
	       (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

bool
text_is_clean(struct str s)
{
	uint32_t point;
	size_t n;

	for (; s.len > 0; s.ptr += n, s.len -= n) {
		n = text_point(s, &point);
		if (n == 0 || text_is_control(point))
			return false;
	}
	return true;
}

void
text_show(struct buf *out, struct str s, bool lines)
{
	uint32_t point;
	size_t n;

	for (; s.len > 0; s.ptr += n, s.len -= n) {
		n = text_point(s, &point);
		if (n == 0) {
			buf_appendf(out, "\\x%02x", (unsigned char)*s.ptr);
			n = 1;
		} else if (lines && (point == '\n' || point == '\t')) {
			buf_append(out, s.ptr, n);
		} else if (text_is_control(point)) {
			buf_appendf(out, point < 0x80 ? "\\x%02x" : "\\u{%04x}",
			    (unsigned)point);
		} else {
			buf_append(out, s.ptr, n);
		}
	}
}
