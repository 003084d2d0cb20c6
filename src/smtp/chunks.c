/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Line by line: memchr() finds the LF, then whatever else the line may not
 * have. Owns nothing. What must hold: output, size and fault depend on the
 * bytes alone, never on how they were cut into blocks or chunks. (Of several
 * faults in one line, which is found may; all earn the same answer.)
 */
#include "smtp/chunks.h"

#include <string.h>

enum { AT_LINE, IN_LINE, AFTER_CR }; /* smtp_dots_start() makes it 0 */

/* A run of a block that goes on as it is. */
struct run {
	const char *at;
	size_t len;
	smtp_dots_emit *emit;
	void *arg;
};

static void
run_flush(struct smtp_dots *d, struct run *r)
{
	if (r->len > 0)
		r->emit(r->arg, r->at, r->len);
	d->size += r->len;
	r->at += r->len;
	r->len = 0;
}

static size_t
fail(struct smtp_dots *d, struct run *r, enum smtp_dots_fault fault)
{
	run_flush(d, r);
	d->fault = (uint8_t)fault;
	return 0;
}

/* The LF at r->at, as CR LF. */
static size_t
emit_line_end(struct smtp_dots *d, struct run *r)
{
	r->emit(r->arg, "\r\n", 2);
	d->size += 2;
	d->state = AT_LINE;
	r->at++;
	return 1;
}

/* A CR waits for its LF, which is here or is not. */
static size_t
take_lf(struct smtp_dots *d, struct run *r)
{
	if (*r->at != '\n')
		return fail(d, r, SMTP_DOTS_BARE_CR);
	return emit_line_end(d, r);
}

/* An LF behind what is in the run. */
static size_t
take_bare_lf(struct smtp_dots *d, struct run *r)
{
	if (d->newline == SMTP_NEWLINE_REJECT)
		return fail(d, r, SMTP_DOTS_BARE_LF);
	run_flush(d, r);
	return emit_line_end(d, r);
}

/* One line or the part of it that is here, behind the run; how many bytes of
 * it were used, 0 after a fault. */
static size_t
take_line(struct smtp_dots *d, struct run *r, bool stuff, size_t left)
{
	const char *line = r->at + r->len;
	const char *lf = memchr(line, '\n', left);
	size_t n = lf == NULL ? left : (size_t)(lf - line), used;
	const char *cr = memchr(line, '\r', n);

	if (memchr(line, '\0', n) != NULL)
		return fail(d, r, SMTP_DOTS_NUL);
	if (cr != NULL && (size_t)(cr - line) + 1 != n)
		return fail(d, r, SMTP_DOTS_BARE_CR);
	if (stuff && d->state == AT_LINE && *line == '.') {
		run_flush(d, r);
		r->emit(r->arg, ".", 1);
	}
	if (n > 0)
		d->state = IN_LINE;
	if (lf != NULL && cr != NULL) {
		r->len += n + 1;
		d->state = AT_LINE;
		return n + 1;
	}
	if (lf != NULL) {
		r->len += n;
		used = take_bare_lf(d, r);
		return used == 0 ? 0 : n + used;
	}
	r->len += n;
	if (cr != NULL) {
		r->len--;
		run_flush(d, r);
		d->state = AFTER_CR;
	}
	return n;
}

void
smtp_chunks_feed(struct smtp_dots *d, bool stuff, const char *data, size_t len,
    smtp_dots_emit *emit, void *arg)
{
	struct run r = { data, 0, emit, arg };
	uint64_t before = d->size;
	size_t at = 0, used;

	while (at < len && d->fault == SMTP_DOTS_CLEAN) {
		used = d->state == AFTER_CR
		    ? take_lf(d, &r)
		    : take_line(d, &r, stuff, len - at);
		if (used == 0)
			break;
		at += used;
	}
	if (d->fault == SMTP_DOTS_CLEAN)
		run_flush(d, &r);
	else
		d->size = before + len;
}

void
smtp_chunks_end(
    struct smtp_dots *d, bool stuff, smtp_dots_emit *emit, void *arg)
{
	if (d->fault != SMTP_DOTS_CLEAN)
		return;
	if (d->state == AFTER_CR)
		d->fault = SMTP_DOTS_BARE_CR;
	else if (stuff && d->state == IN_LINE)
		emit(arg, "\r\n", 2);
}
