/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a client sends as a command line is a verb with arguments inside
 * the line; whatever path and parameters are accepted are accepted again when
 * written anew, and mean the same.
 *
 * Input: a line.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
assert_inside(struct str part, struct str whole)
{
	assert(part.ptr >= whole.ptr);
	assert(part.ptr + part.len <= whole.ptr + whole.len);
}

static void
assert_fault(const struct smtp_fault *f)
{
	assert(f->code >= 500 && f->code < 560);
	assert(f->enhanced[0] == '5' && f->enhanced[1] == '.');
	for (const char *c = f->text; *c != '\0'; c++)
		assert(*c >= 32 && *c <= 126);
}

/* It may be put between angle brackets for the next hop. */
static void
assert_path(struct str path, struct str args)
{
	assert_inside(path, args);
	assert(path.len <= SMTP_PATH_MAX);
	for (size_t i = 0; i < path.len; i++)
		assert((unsigned char)path.ptr[i] >= 32 && path.ptr[i] != 127);
}

static struct str
whole(const struct buf *b)
{
	return (struct str){ buf_data(b), buf_len(b) };
}

/* What goes to the next hop is one line and has a bound. */
static void
assert_line(const struct buf *b)
{
	assert(buf_len(b) <= SMTP_PATH_MAX + 20 + SMTP_PARAMS_MAX);
	for (size_t i = 0; i < buf_len(b); i++)
		assert((unsigned char)buf_data(b)[i] >= 32);
}

static void
check_mail(struct str args)
{
	struct buf first = { 0 }, again = { 0 };
	struct smtp_fault fault = { 0 };
	struct smtp_mail mail, second;

	if (smtp_mail_parse(args, ~0u, &mail, &fault) == -1) {
		assert_fault(&fault);
		return;
	}
	assert(mail.size >= -1);
	assert_path(mail.path, args);
	buf_appendf(
	    &first, "FROM:<%.*s>", (int)mail.path.len, mail.path.ptr);
	smtp_mail_params(&first, &mail, ~0u);
	assert_line(&first);
	assert(smtp_mail_parse(whole(&first), ~0u, &second, &fault) == 0);
	assert(str_eq(second.path, mail.path) && second.size == mail.size);
	assert(smtp_mail_needs(&second) == smtp_mail_needs(&mail));
	buf_appendf(
	    &again, "FROM:<%.*s>", (int)second.path.len, second.path.ptr);
	smtp_mail_params(&again, &second, ~0u);
	assert(str_eq(whole(&first), whole(&again)));
	buf_free(&first);
	buf_free(&again);
}

static void
check_rcpt(struct str args)
{
	struct buf first = { 0 }, again = { 0 };
	struct smtp_fault fault = { 0 };
	struct smtp_rcpt rcpt, second;

	if (smtp_rcpt_parse(args, ~0u, &rcpt, &fault) == -1) {
		assert_fault(&fault);
		return;
	}
	assert_path(rcpt.path, args);
	assert(rcpt.path.len > 0);
	buf_appendf(&first, "TO:<%.*s>", (int)rcpt.path.len, rcpt.path.ptr);
	smtp_rcpt_params(&first, &rcpt, ~0u);
	assert_line(&first);
	assert(smtp_rcpt_parse(whole(&first), ~0u, &second, &fault) == 0);
	assert(str_eq(second.path, rcpt.path));
	buf_appendf(
	    &again, "TO:<%.*s>", (int)second.path.len, second.path.ptr);
	smtp_rcpt_params(&again, &second, ~0u);
	assert(str_eq(whole(&first), whole(&again)));
	buf_free(&first);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* of its own size and without NUL behind it */
	char *copy = malloc(len > 0 ? len : 1);
	struct str line = { copy, len }, args;
	enum smtp_verb verb;

	if (len > 0)
		memcpy(copy, data, len);
	verb = smtp_command_parse(line, &args);
	assert(verb < SMTP_NVERBS);
	assert_inside(args, line);
	if (verb == SMTP_UNKNOWN)
		assert(args.len == 0);
	if (args.len > 0) {
		assert(args.ptr[0] != ' ' && args.ptr[args.len - 1] != ' ');
		assert(memchr(args.ptr, '\0', args.len) == NULL);
		assert(memchr(args.ptr, '\n', args.len) == NULL);
	}
	if (smtp_domain_is_valid(args))
		assert(smtp_helo_is_valid(args));
	/* as they come, and without the care of the first step */
	check_mail(args);
	check_rcpt(args);
	check_mail(line);
	check_rcpt(line);
	free(copy);
	return 0;
}
