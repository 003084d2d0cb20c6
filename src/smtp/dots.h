/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The body of a message after DATA (RFC 5321 section 4.5.2), block by block.
 *
 * Only CRLF.CRLF ends it, under any splitting. What is dot-stuffed on its way
 * in stays so on its way out, so a clean block (only CRLF line ends, no NUL)
 * is handed on as it came, without a copy; only unclean blocks take the byte
 * path. A bare LF becomes CRLF or is refused; a dot that this puts at the
 * start of a line, or alone on one, is stuffed, so that it can neither end the
 * message nor get lost at the next hop. Bare CR and NUL are always refused.
 *
 * What was handed on never contains a dot or a CR that the next block may
 * turn into the end or into a fault: up to two bytes are kept back.
 */
#ifndef SMTP_DOTS_H
#define SMTP_DOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum smtp_bare_newline { SMTP_NEWLINE_NORMALIZE, SMTP_NEWLINE_REJECT };

enum smtp_dots_result {
	SMTP_DOTS_MORE, /* all bytes used, the end is not here yet */
	SMTP_DOTS_END,  /* CRLF.CRLF seen; what follows *used is not body */
};

enum smtp_dots_fault {
	SMTP_DOTS_CLEAN,
	SMTP_DOTS_BARE_LF, /* only when rejected */
	SMTP_DOTS_BARE_CR,
	SMTP_DOTS_NUL
};

struct smtp_dots {
	uint64_t size;   /* message size so far as RFC 1870 counts it: without
	                  * stuffed dots and without the final dot line; after
	                  * a fault every byte counts, so that the caller can
	                  * bound what it swallows */
	uint8_t state;   /* private */
	uint8_t newline; /* enum smtp_bare_newline */
	uint8_t fault;   /* enum smtp_dots_fault: the first one; sticky */
};

/* Takes a run of bytes of the outgoing, dot-stuffed body. */
typedef void smtp_dots_emit(void *arg, const char *data, size_t len);

void smtp_dots_start(struct smtp_dots *d, enum smtp_bare_newline newline);
/*
 * Looks at a block. Calls emit for what goes on (the last line's CRLF
 * included, the dot line not); after a fault nothing more is emitted, but the
 * end is still found by the same rule, so that the rest can be swallowed. A
 * message that does not end in CRLF cannot exist; an empty message has size 0.
 */
enum smtp_dots_result smtp_dots_feed(struct smtp_dots *d, const char *data,
    size_t len, size_t *used, smtp_dots_emit *emit, void *arg);

#endif
