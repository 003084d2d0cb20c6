/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cuts a text in tokens. Owns nothing; a copy of struct scan is a look ahead.
 */
#include "config/scan.h"

bool
scan_is_word(char c)
{
	return c != '\0' && strchr(" \t\r\n\f\v\"'{}()=+,#", c) == NULL;
}

void
scan_start(struct scan *s, const char *text)
{
	*s = (struct scan){ .text = text, .next_line = 1, .line = 1 };
}

static enum token
scan_string(struct scan *s, char quote)
{
	const char *p = s->text + s->start + 1;

	while (*p != quote && *p != '\0' && *p != '\n')
		p += *p == '\\' && p[1] != '\0' && p[1] != '\n' ? 2 : 1;
	s->pos = (size_t)(p - s->text) + (*p == quote);
	return *p == quote ? TOKEN_STRING : TOKEN_OTHER;
}

static enum token
scan_mark(struct scan *s, char c)
{
	s->pos = s->start + 1;
	switch (c) {
	case '=':
		return TOKEN_EQUALS;
	case '{':
		return TOKEN_OPEN;
	case '}':
		return TOKEN_CLOSE;
	case ',':
		return TOKEN_COMMA;
	case '+':
		if (s->text[s->pos] != '=')
			return TOKEN_OTHER;
		s->pos++;
		return TOKEN_APPEND;
	default:
		return TOKEN_OTHER;
	}
}

enum token
scan_next(struct scan *s)
{
	const char *p = s->text + s->pos;

	for (; *p != '\0' && strchr(" \t\r\n\f\v", *p) != NULL; p++)
		if (*p == '\n')
			s->next_line++;
	s->start = s->pos = (size_t)(p - s->text);
	s->line = s->next_line;
	if (*p == '\0')
		s->token = TOKEN_END;
	else if (*p == '"' || *p == '\'')
		s->token = scan_string(s, *p);
	else if (!scan_is_word(*p))
		s->token = scan_mark(s, *p);
	else {
		while (scan_is_word(*p))
			p++;
		s->pos = (size_t)(p - s->text);
		s->token = TOKEN_WORD;
	}
	return s->token;
}

struct str
scan_str(const struct scan *s)
{
	return (struct str){ s->text + s->start, s->pos - s->start };
}

struct str
scan_unquoted(const struct scan *s)
{
	struct str t = scan_str(s);

	if (s->token == TOKEN_STRING) {
		t.ptr++;
		t.len -= 2;
	}
	return t;
}
