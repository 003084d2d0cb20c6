/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The body of a message in chunks (BDAT, RFC 3030), block by block. Nothing in
 * it marks its end and no dot is stuffed; for the rest the rules are those of
 * smtp/dots.h, and so is the state: only CRLF ends a line, a bare LF becomes
 * CRLF or is refused, bare CR and NUL are refused.
 */
#ifndef SMTP_CHUNKS_H
#define SMTP_CHUNKS_H

#include "smtp/dots.h"

/*
 * Looks at a block of a body begun by smtp_dots_start() and hands on what
 * goes on: dot-stuffed for an upstream that gets it after DATA, else as it
 * is. A CR is kept back until its LF is here.
 */
void smtp_chunks_feed(struct smtp_dots *d, bool stuff, const char *data,
    size_t len, smtp_dots_emit *emit, void *arg);
/* The last chunk was fed. After DATA a last line without CRLF gets it; a CR
 * that was kept back is a bare one. */
void smtp_chunks_end(
    struct smtp_dots *d, bool stuff, smtp_dots_emit *emit, void *arg);

#endif
