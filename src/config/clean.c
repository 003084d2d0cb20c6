/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first step of the pre-pass. libconfuse 3.3 counts lines wrongly after
 * comments and takes an unset variable for an empty one; and the workers,
 * which parse the text later, have another environment than the master. So
 * comments and variables end here. Strings end on their line: a forgotten
 * quote is then an error where it happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/clean.h"
#include "config/scan.h"

struct clean {
	const char *p, *end; /* borrowed */
	const char *file;    /* borrowed */
	int line;
	size_t errors;
	struct buf *out;           /* borrowed */
	struct config_messages *m; /* borrowed */
};

#define CLEAN_ERROR(c, ...)                                                    \
	((c)->errors++, config_error((c)->m, clean_position(c), __VA_ARGS__))

static struct config_position
clean_position(const struct clean *c)
{
	return (struct config_position){ c->file, c->line };
}

static bool
is_at(const struct clean *c, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(c->end - c->p) >= len && memcmp(c->p, word, len) == 0;
}

static bool
is_line_end(const struct clean *c)
{
	return c->p == c->end || *c->p == '\n' || is_at(c, "\r\n");
}

static bool
is_control(char byte)
{
	return ((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f;
}

/* A binary file would give an error for each byte: the first one will do. */
static void
refuse_byte(struct clean *c)
{
	CLEAN_ERROR(c, "control character 0x%02x; is this a text file?",
	    (unsigned char)*c->p);
	c->p = c->end;
}

static void
put(struct clean *c, char byte)
{
	buf_append(c->out, &byte, 1);
}

static void
clean_line_comment(struct clean *c)
{
	while (!is_line_end(c))
		c->p++;
}

static void
clean_block_comment(struct clean *c)
{
	struct config_position at = clean_position(c);

	put(c, ' ');
	for (c->p += 2; c->p < c->end; c->p++) {
		if (is_at(c, "*/")) {
			c->p += 2;
			return;
		}
		if (*c->p == '\n') {
			put(c, '\n');
			c->line++;
		}
	}
	c->errors++;
	config_error(c->m, at, "comment opened here is never closed");
}

/* Puts a value inside double quotes. */
static void
put_quoted(struct clean *c, const char *name, const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (is_control(value[i])) {
			CLEAN_ERROR(c,
			    "the value of ${%s} holds a control "
			    "character",
			    name);
			return;
		}
		if (strchr("\"\\$", value[i]) != NULL)
			put(c, '\\');
		put(c, value[i]);
	}
}

static bool
is_name(const char *name, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz_0123456789";

	return len > 0 && strspn(name, letters) >= len &&
	       (*name < '0' || *name > '9');
}

/* At "${NAME}" or "${NAME:-default}": puts the value in, to stand inside
 * double quotes. */
static void
clean_variable(struct clean *c)
{
	const char *body = c->p + 2, *close = body, *preset;
	const char *value;
	char *name;

	while (close < c->end && *close != '}' && *close != '\n')
		close++;
	if (close == c->end || *close != '}') {
		CLEAN_ERROR(c, "${ without its }");
		c->p = body;
		return;
	}
	preset = memmem(body, (size_t)(close - body), ":-", 2);
	name =
	    xstrndup(body, (size_t)((preset == NULL ? close : preset) - body));
	c->p = close + 1;
	value = getenv(name);
	if (!is_name(name, strlen(name)))
		CLEAN_ERROR(c, "\"%s\" cannot be the name of a variable", name);
	else if (preset != NULL && (value == NULL || *value == '\0'))
		put_quoted(c, name, preset + 2, (size_t)(close - preset) - 2);
	else if (value == NULL)
		CLEAN_ERROR(c,
		    "${%s} is not set in the environment; "
		    "${%s:-...} would give a default",
		    name, name);
	else
		put_quoted(c, name, value, strlen(value));
	free(name);
}

/* libconfuse would turn \0 into the end of the string and \n into a control
 * character that no option wants. */
static void
clean_escape(struct clean *c, char quote)
{
	if (c->p + 1 == c->end || is_control(c->p[1]))
		c->p++; /* the caller sees what comes now */
	else if (quote == '"' && strchr("\"\\$", c->p[1]) == NULL) {
		CLEAN_ERROR(c,
		    "\\%c in a string: only \\\" \\\\ and \\$ can be "
		    "written so; a backslash is \\\\",
		    c->p[1]);
		c->p += 2;
	} else {
		put(c, *c->p++);
		put(c, *c->p++);
	}
}

static void
clean_string(struct clean *c)
{
	char quote = *c->p++;

	put(c, quote);
	while (!is_line_end(c) && *c->p != quote) {
		if (*c->p == '\\')
			clean_escape(c, quote);
		else if (quote == '"' && is_at(c, "${"))
			clean_variable(c);
		else if (is_control(*c->p))
			refuse_byte(c);
		else
			put(c, *c->p++);
	}
	put(c, quote);
	if (is_line_end(c))
		CLEAN_ERROR(c, "string opened here is not closed on its line");
	else
		c->p++;
}

/* A bare word; ${VARIABLE} alone may stand for one. */
static void
clean_word(struct clean *c)
{
	bool first = is_at(c, "${");

	if (first) {
		put(c, '"');
		clean_variable(c);
		put(c, '"');
	}
	while (c->p < c->end && scan_is_word(*c->p) && !is_control(*c->p)) {
		if (first || is_at(c, "${")) {
			CLEAN_ERROR(c, "a value with ${...} in it needs double "
				       "quotes around it");
			clean_line_comment(c);
			return;
		}
		put(c, *c->p++);
	}
}

static void
clean_step(struct clean *c)
{
	if (is_at(c, "\r\n"))
		c->p++;
	else if (*c->p == '\n') {
		put(c, *c->p++);
		c->line++;
	} else if (*c->p == '#' || is_at(c, "//"))
		clean_line_comment(c);
	else if (is_at(c, "/*"))
		clean_block_comment(c);
	else if (*c->p == '"' || *c->p == '\'')
		clean_string(c);
	else if (is_control(*c->p))
		refuse_byte(c);
	else if (scan_is_word(*c->p))
		clean_word(c);
	else
		put(c, *c->p++);
}

int
clean_text(const char *file, const char *bytes, size_t len, struct buf *out,
    struct config_messages *m)
{
	struct clean c = { .p = bytes,
		.end = bytes + len,
		.file = file,
		.line = 1,
		.out = out,
		.m = m };

	if (is_at(&c, "\xef\xbb\xbf"))
		c.p += 3;
	while (c.p < c.end)
		clean_step(&c);
	return c.errors == 0 ? 0 : -1;
}
