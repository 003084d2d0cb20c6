/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The words of a configuration text, cut as libconfuse 3.3 cuts them. The
 * text has no comments any more and its strings end on their line.
 */
#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum token {
	TOKEN_END,
	TOKEN_WORD,   /* bare */
	TOKEN_STRING, /* with its quotes */
	TOKEN_EQUALS, /* = */
	TOKEN_APPEND, /* += */
	TOKEN_OPEN,   /* { */
	TOKEN_CLOSE,  /* } */
	TOKEN_COMMA,
	TOKEN_OTHER /* ( ) + */
};

struct scan {
	const char *text; /* borrowed, NUL-terminated */
	size_t pos;       /* behind the token */
	int next_line;    /* at pos */
	/* the token */
	enum token token;
	size_t start;
	int line;
};

/* Is c part of a bare word? */
bool scan_is_word(char c);
/* Starts before the first token. */
void scan_start(struct scan *s, const char *text);
enum token scan_next(struct scan *s);
/* The bytes of the token. */
struct str scan_str(const struct scan *s);
/* A string without its quotes. */
struct str scan_unquoted(const struct scan *s);

#endif
