/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * hiredis can do that, but takes longer for it than for all the rest: a take
 * has some twenty words.
 */
#include "command.h"

#include <string.h>

#define COMMAND_MAX (64 * 1024) /* the script and the charges of a call */
#define HEAD_MAX 24             /* "*", a number, and the end of the line */

struct command {
	size_t nwords;
	size_t len; /* more than there is room for: it is too long */
	char bytes[HEAD_MAX + COMMAND_MAX];
};

static struct command the_command;

struct command *
command_begin(void)
{
	the_command.nwords = 0;
	the_command.len = HEAD_MAX; /* room for what is known in the end */
	return &the_command;
}

/* Writes a number backwards from its end; where it begins. */
static char *
digits(char *end, uint64_t n)
{
	do
		*--end = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	return end;
}

static void
put(struct command *c, const void *data, size_t len)
{
	if (len <= sizeof c->bytes - c->len && c->len <= sizeof c->bytes) {
		if (len > 0)
			memcpy(c->bytes + c->len, data, len);
		c->len += len;
	} else {
		c->len = sizeof c->bytes + 1;
	}
}

/* A line that says how much follows. */
static void
put_count(struct command *c, char kind, size_t n)
{
	char line[HEAD_MAX], *end = line + sizeof line - 2, *start;

	memcpy(end, "\r\n", 2);
	start = digits(end, n);
	*--start = kind;
	put(c, start, (size_t)(end + 2 - start));
}

void
command_join(struct command *c, const struct portero_str *parts, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += parts[i].len;
	put_count(c, '$', len);
	for (size_t i = 0; i < n; i++)
		put(c, parts[i].ptr, parts[i].len);
	put(c, "\r\n", 2);
	c->nwords++;
}

void
command_add(struct command *c, const void *data, size_t len)
{
	const struct portero_str word = { data, len };

	command_join(c, &word, 1);
}

void
command_add_text(struct command *c, const char *text)
{
	command_add(c, text, strlen(text));
}

void
command_add_number(struct command *c, int64_t number)
{
	char text[24], *end = text + sizeof text, *start;
	uint64_t n = (uint64_t)number;

	start = digits(end, number < 0 ? -n : n);
	if (number < 0)
		*--start = '-';
	command_add(c, start, (size_t)(end - start));
}

struct command *
command_of(const struct portero_str *words, size_t n)
{
	struct command *c = command_begin();

	for (size_t i = 0; i < n; i++)
		command_add(c, words[i].ptr, words[i].len);
	return c;
}

struct portero_str
command_end(struct command *c)
{
	const size_t end = c->len;
	size_t len;

	if (end > sizeof c->bytes)
		return (struct portero_str){ NULL, 0 };
	c->len = 0;
	put_count(c, '*', c->nwords);
	len = c->len;
	memmove(c->bytes + HEAD_MAX - len, c->bytes, len);
	return (struct portero_str){ c->bytes + HEAD_MAX - len,
		end - HEAD_MAX + len };
}
