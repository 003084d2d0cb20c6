/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads statements. It is needed beside libconfuse, which stops at the first
 * mistake, takes the last of two equal options silently, and has one table of
 * options for all sections of a name, where each plugin has its own.
 *
 * Two rules make mistakes plain: a value that is not a list begins on the line
 * of its "=", and names have no quotes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config/scan.h"
#include "config/tree.h"

#define ITEMS_MAX 2048 /* of a section; finding equals is quadratic */

struct reader {
	struct scan s; /* its token is the next one to use */
	const struct tree *tree;
	struct config_messages *m;
};

static struct config_position
here(const struct reader *r)
{
	return origins_find(r->tree->origins, r->s.line);
}

static bool
is_text(enum token t)
{
	return t == TOKEN_WORD || t == TOKEN_STRING;
}

/* Inside braces: goes on to the closing one, or to the end. */
static void
skip_to_close(struct reader *r)
{
	for (int depth = 0; r->s.token != TOKEN_END; scan_next(&r->s)) {
		if (r->s.token == TOKEN_OPEN)
			depth++;
		else if (r->s.token == TOKEN_CLOSE && depth-- == 0)
			return;
	}
}

/* After a mistake: the rest of the line. */
static void
skip_line(struct reader *r)
{
	int line = r->s.line;

	while (r->s.token != TOKEN_END && r->s.token != TOKEN_CLOSE &&
	       r->s.line == line) {
		if (r->s.token == TOKEN_OPEN) {
			scan_next(&r->s);
			skip_to_close(r);
			if (r->s.token == TOKEN_END)
				return;
		}
		scan_next(&r->s);
	}
}

/* Behind the opening brace: values with commas between them. */
static void
read_list(struct reader *r, struct statement *st)
{
	bool want_value = true;

	for (; r->s.token != TOKEN_END && r->s.token != TOKEN_CLOSE;
	     scan_next(&r->s)) {
		if (is_text(r->s.token) != want_value ||
		    (!want_value && r->s.token != TOKEN_COMMA)) {
			config_error(r->m, here(r),
			    want_value ? "a value is missing in list \"%.*s\""
				       : "a comma is missing in list \"%.*s\"",
			    (int)st->name.len, st->name.ptr);
			skip_to_close(r);
			break;
		}
		want_value = !want_value;
	}
	st->end = r->s.pos;
	scan_next(&r->s);
}

/* Behind "=", which is on that line. false: there is no value. */
static bool
read_value(struct reader *r, struct statement *st, int line)
{
	st->is_list = r->s.token == TOKEN_OPEN;
	if (!st->is_list && (!is_text(r->s.token) || r->s.line != line)) {
		config_error(r->m, st->at, "\"%.*s\" has no value",
		    (int)st->name.len, st->name.ptr);
		return false;
	}
	st->end = r->s.pos;
	scan_next(&r->s);
	if (st->is_list)
		read_list(r, st);
	return true;
}

static struct statement *
add_item(struct statement *section, const struct statement *item)
{
	section->items = xrealloc(
	    section->items, (section->nitems + 1) * sizeof *section->items);
	section->items[section->nitems] = *item;
	return &section->items[section->nitems++];
}

/* " at line 4" or " at site.conf:4". */
static const char *
other_place(struct config_position at, struct config_position other)
{
	static char text[320];

	if (at.file == other.file)
		snprintf(text, sizeof text, "at line %d", other.line);
	else
		snprintf(text, sizeof text, "at %s:%d", other.file, other.line);
	return text;
}

/* Complains when an equal one came before. `+=` adds to what came before. */
static bool
is_second(struct reader *r, const struct statement *section,
    const struct statement *st)
{
	const struct statement *old = NULL;

	for (size_t i = 0; i < section->nitems && old == NULL; i++)
		if (str_eq(section->items[i].name, st->name) &&
		    section->items[i].is_section == st->is_section &&
		    str_eq(section->items[i].title, st->title))
			old = &section->items[i];
	if (old == NULL)
		return false;
	if (!st->is_section)
		config_error(r->m, st->at, "\"%.*s\" is already set %s",
		    (int)st->name.len, st->name.ptr,
		    other_place(st->at, old->at));
	else if (st->title.len == 0)
		config_error(r->m, st->at,
		    "there is already a section \"%.*s\" %s", (int)st->name.len,
		    st->name.ptr, other_place(st->at, old->at));
	else
		config_error(r->m, st->at,
		    "there is already a section %.*s \"%.*s\" %s",
		    (int)st->name.len, st->name.ptr, (int)st->title.len,
		    st->title.ptr, other_place(st->at, old->at));
	return true;
}

/* Behind the name, at "=" or "+=". */
static void
read_option(struct reader *r, struct statement *section, struct statement *st)
{
	int line = r->s.line;

	st->is_append = r->s.token == TOKEN_APPEND;
	scan_next(&r->s);
	if (read_value(r, st, line) &&
	    (st->is_append || !is_second(r, section, st)))
		add_item(section, st);
}

static void read_items(struct reader *r, struct statement *section, int depth);

/* Behind the name, at the title or the brace. */
static void
read_section(struct reader *r, struct statement *section, struct statement *st,
    int depth)
{
	struct statement *added;

	st->is_section = true;
	if (is_text(r->s.token)) {
		st->title = scan_unquoted(&r->s);
		if (memchr(st->title.ptr, '\\', st->title.len) != NULL)
			config_error(
			    r->m, here(r), "a title cannot hold a backslash");
		scan_next(&r->s);
	}
	st->body = r->s.pos;
	st->body_line = r->s.next_line;
	scan_next(&r->s);
	is_second(r, section, st); /* it is looked at all the same */
	added = add_item(section, st);
	if (depth < TREE_DEPTH_MAX)
		read_items(r, added, depth + 1);
	else
		skip_to_close(r);
	added->body_end = r->s.start;
	added->end = r->s.token == TOKEN_CLOSE ? r->s.pos : r->s.start;
	if (r->s.token == TOKEN_CLOSE)
		scan_next(&r->s);
}

static void
read_statement(struct reader *r, struct statement *section, int depth)
{
	struct statement st = {
		.name = scan_str(&r->s), .start = r->s.start, .at = here(r)
	};
	enum token first = r->s.token;
	struct scan ahead;

	if (first == TOKEN_WORD)
		scan_next(&r->s);
	ahead = r->s;
	if (is_text(ahead.token))
		scan_next(&ahead);
	if (first != TOKEN_WORD) {
		config_error(r->m, st.at,
		    first == TOKEN_STRING
			? "unexpected %.*s: names have no quotes"
			: "unexpected \"%.*s\"",
		    (int)st.name.len, st.name.ptr);
		skip_line(r);
	} else if (ahead.token == TOKEN_OPEN)
		read_section(r, section, &st, depth);
	else if (r->s.token == TOKEN_EQUALS || r->s.token == TOKEN_APPEND)
		read_option(r, section, &st);
	else {
		config_error(r->m, st.at,
		    "\"%.*s\" needs \"=\" and a value, "
		    "or \"{\"",
		    (int)st.name.len, st.name.ptr);
		skip_line(r);
	}
}

static void
read_items(struct reader *r, struct statement *section, int depth)
{
	while (r->s.token != TOKEN_END && r->s.token != TOKEN_CLOSE &&
	       section->nitems < ITEMS_MAX)
		read_statement(r, section, depth);
	if (section->nitems == ITEMS_MAX) {
		config_error(r->m, here(r), "more than %d options in a section",
		    ITEMS_MAX - 1);
		skip_to_close(r);
	}
}

struct tree *
tree_read(
    const char *text, const struct origins *origins, struct config_messages *m)
{
	struct tree *t = xcalloc(1, sizeof *t);
	struct reader r = { .tree = t, .m = m };

	t->text = text;
	t->origins = origins;
	t->root.is_section = true;
	t->root.body_line = 1;
	t->root.at = origins_find(origins, 1);
	scan_start(&r.s, text);
	scan_next(&r.s);
	read_items(&r, &t->root, 0);
	t->root.body_end = t->root.end = r.s.start;
	return t;
}

static void
free_items(struct statement *st)
{
	for (size_t i = 0; i < st->nitems; i++)
		free_items(&st->items[i]);
	free(st->items);
}

void
tree_free(struct tree **t)
{
	if (*t == NULL)
		return;
	free_items(&(*t)->root);
	free(*t);
	*t = NULL;
}
