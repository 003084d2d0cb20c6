/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Binds sections. libconfuse reads the values (words, strings, lists) of one
 * section at a time, without the sections inside it; every value comes out as
 * text with its line. Types, ranges and missing options are looked at here,
 * so that all mistakes of a file are seen at once. Presets take the same way
 * after the section's own text: the parser knows no other values.
 */
#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/hint.h"
#include "config/options.h"
#include "config/section.h"
#include "config/value.h"

/* libconfuse has no place for a pointer of ours: what is being read. */
static struct binding {
	struct portero_conf *conf;
	const struct tree *tree;
	const struct statement *st;
	bool lenient;              /* other options are no error */
	struct config_messages *m; /* NULL: say nothing */
	bool presets; /* the second run; the first reads the section's text */
} * reading;

static struct slot *
find_slot(struct portero_conf *c, struct str name)
{
	for (size_t i = 0; i < c->nslots; i++)
		if (str_eq(str_of(c->slots[i].option->name), name))
			return &c->slots[i];
	return NULL;
}

const struct slot *
section_slot(const struct portero_conf *c, const char *name)
{
	for (size_t i = 0; i < c->nslots; i++)
		if (strcmp(c->slots[i].option->name, name) == 0)
			return &c->slots[i];
	return NULL;
}

struct config_position
section_at(const struct portero_conf *c, const char *name)
{
	return section_slot(c, name)->at;
}

/* ---- names ------------------------------------------------------------- */

static void
complain_unknown(const struct binding *b, const struct statement *item)
{
	struct hint h;
	const char *in = b->conf->name;

	hint_start(&h, item->name);
	for (size_t i = 0; i < b->conf->nslots; i++)
		hint_try(&h, b->conf->slots[i].option->name);
	config_error(b->m, item->at, "unknown %s \"%.*s\"%s%s%s%s",
	    item->is_section ? "section" : "option", (int)item->name.len,
	    item->name.ptr, *in == '\0' ? "" : " in section \"", in,
	    *in == '\0' ? "" : "\"", hint_text(&h));
}

static bool
is_one_value(const struct binding *b, const struct statement *item,
    const struct portero_option *o)
{
	if (o->type == PORTERO_OPT_LIST || (!item->is_list && !item->is_append))
		return true;
	if (b->m != NULL)
		config_error(b->m, item->at,
		    "\"%s\" takes one value: write %s = ...", o->name, o->name);
	return false;
}

/* Is the item an option to be read here? Complains when it is nothing. */
static bool
is_ours(const struct binding *b, const struct statement *item)
{
	const struct slot *slot = find_slot(b->conf, item->name);
	bool section;

	if (slot == NULL) {
		if (b->m != NULL && !b->lenient)
			complain_unknown(b, item);
		return false;
	}
	section = slot->option->type == PORTERO_OPT_SECTION;
	if (section == item->is_section)
		return section || is_one_value(b, item, slot->option);
	if (b->m != NULL)
		config_error(b->m, item->at,
		    section ? "\"%s\" is a section: write %s { ... }"
			    : "\"%s\" is an option: write %s = ...",
		    slot->option->name, slot->option->name);
	return false;
}

/* ---- values ------------------------------------------------------------ */

static struct config_position
line_position(const struct binding *b, const cfg_t *cfg)
{
	if (b->presets)
		return b->conf->at;
	return origins_find(b->tree->origins, b->st->body_line + cfg->line - 1);
}

static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct slot *slot = find_slot(reading->conf, str_of(opt->name));

	(void)cfg;
	slot->items =
	    xrealloc(slot->items, (slot->nitems + 1) * sizeof *slot->items);
	slot->items[slot->nitems++] = xstrdup(value);
	*(void **)result = NULL;
	return 0;
}

static void __attribute__((format(printf, 2, 0)))
on_error(cfg_t *cfg, const char *format, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof text, format, ap);
	reading->conf->broken = true;
	if (reading->m != NULL)
		config_error(
		    reading->m, line_position(reading, cfg), "%s", text);
}

/* All options but sections, as libconfuse wants them. */
static cfg_opt_t *
make_opts(const struct portero_conf *c)
{
	static const cfg_opt_t end = CFG_END();
	cfg_opt_t *opts = xcalloc(c->nslots + 1, sizeof *opts);
	size_t n = 0;

	for (size_t i = 0; i < c->nslots; i++) {
		const struct portero_option *o = c->slots[i].option;
		cfg_opt_t one =
		    CFG_PTR_CB(o->name, NULL, CFGF_NODEFAULT, on_value, NULL);

		if (o->type == PORTERO_OPT_SECTION)
			continue;
		if (o->type == PORTERO_OPT_LIST)
			one.flags |= CFGF_LIST;
		opts[n++] = one;
	}
	opts[n] = end;
	return opts;
}

static bool
has_item(const struct statement *st, const char *name)
{
	for (size_t i = 0; i < st->nitems; i++)
		if (str_eq(st->items[i].name, str_of(name)))
			return true;
	return false;
}

/* A preset is written as in the file; words may do without quotes. */
static void
write_preset(const struct portero_option *o, struct buf *text)
{
	buf_appendf(text, "%s = ", o->name);
	if (o->type == PORTERO_OPT_LIST || *o->preset == '"')
		buf_appendf(text, "%s", o->preset);
	else
		value_write_string(o->preset, text);
	buf_appendf(text, "\n");
}

static void
mark_set(struct slot *slot, const struct statement *item)
{
	if (!slot->is_set) /* += comes later */
		slot->at = item->at;
	slot->is_set = true;
}

/* The section's text with nothing in it but options of ours. Lines stay. */
static void
write_body(const struct binding *b, struct buf *text)
{
	const struct statement *st = b->st;

	buf_append(text, b->tree->text + st->body, st->body_end - st->body);
	for (size_t i = 0; i < st->nitems; i++) {
		const struct statement *item = &st->items[i];
		char *body = text->mem + text->start;

		if (is_ours(b, item) && !item->is_section) {
			mark_set(find_slot(b->conf, item->name), item);
			continue;
		}
		for (size_t k = item->start; k < item->end; k++)
			if (body[k - st->body] != '\n')
				body[k - st->body] = ' ';
	}
}

/* Presets for what has no value; an empty list is one. */
static void
write_presets(const struct binding *b, struct buf *text)
{
	for (size_t i = 0; i < b->conf->nslots; i++) {
		const struct slot *slot = &b->conf->slots[i];
		const struct portero_option *o = slot->option;
		bool empty = slot->is_set && o->type == PORTERO_OPT_LIST &&
		             !b->conf->broken;

		if (o->preset != NULL && slot->nitems == 0 && !empty)
			write_preset(o, text);
	}
}

static void
parse(struct binding *b, struct buf *text)
{
	cfg_opt_t *opts = make_opts(b->conf);
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);

	buf_append(text, "\n", 2); /* with the NUL */
	reading = b;
	cfg_set_error_function(cfg, on_error);
	cfg_parse_buf(cfg, buf_data(text));
	cfg_free(cfg);
	reading = NULL;
	free(opts);
	buf_free(text);
}

static void
read_values(struct binding *b)
{
	struct buf text = { 0 };

	write_body(b, &text);
	parse(b, &text);
	b->presets = true;
	write_presets(b, &text);
	parse(b, &text);
}

/* ---- checks ------------------------------------------------------------ */

static void
check_number(const struct binding *b, struct slot *slot)
{
	const char *why;

	if (value_read(slot->option, slot->items[0], &slot->number, &why) == 0)
		return;
	if (b->m != NULL)
		config_error(b->m, slot->at, "%s = %.100s %s",
		    slot->option->name, slot->items[0], why);
	/* further checks shall not stumble over it */
	slot->number = 0;
	if (slot->option->preset != NULL)
		value_read(
		    slot->option, slot->option->preset, &slot->number, &why);
}

static void
check_missing(const struct binding *b, const struct slot *slot)
{
	const struct portero_conf *c = b->conf;

	if (b->m == NULL || c->broken || !slot->option->required ||
	    has_item(b->st, slot->option->name))
		return;
	if (*c->name == '\0')
		config_error(b->m, c->at, "%s \"%s\" is missing",
		    slot->option->type == PORTERO_OPT_SECTION ? "section"
							      : "option",
		    slot->option->name);
	else
		config_error(b->m, c->at, "section \"%s\" needs \"%s\"",
		    c->name, slot->option->name);
}

static void
check_title(const struct binding *b, const struct statement *item,
    const struct portero_option *o)
{
	enum title_rule rule = options_title(o);
	bool has = item->title.len > 0;

	if (has && rule == TITLE_NONE)
		config_error(b->m, item->at,
		    "section \"%s\" has no title: write %s { ... }", o->name,
		    o->name);
	else if (!has && rule == TITLE_MUST)
		config_error(b->m, item->at,
		    "section \"%s\" needs a title: write %s \"name\" { ... }",
		    o->name, o->name);
}

/* ---- sections ---------------------------------------------------------- */

/* Keeps what a lenient binding leaves, for printing. */
static void
keep_unread(const struct binding *b)
{
	struct portero_conf *c = b->conf;

	for (size_t i = 0; i < b->st->nitems; i++) {
		const struct statement *item = &b->st->items[i];

		if (find_slot(c, item->name) != NULL)
			continue;
		c->unread =
		    xrealloc(c->unread, (c->nunread + 1) * sizeof *c->unread);
		c->unread[c->nunread++] =
		    (struct unread){ xstrndup(b->tree->text + item->start,
					 item->end - item->start),
			    item->at };
	}
}

static void
bind_sections(const struct binding *b)
{
	for (size_t i = 0; i < b->st->nitems; i++) {
		const struct statement *item = &b->st->items[i];
		struct slot *slot = find_slot(b->conf, item->name);

		if (!item->is_section || slot == NULL ||
		    slot->option->type != PORTERO_OPT_SECTION)
			continue;
		check_title(b, item, slot->option);
		mark_set(slot, item);
		slot->sections = xrealloc(slot->sections,
		    (slot->nsections + 1) * sizeof(struct portero_conf *));
		slot->sections[slot->nsections++] =
		    section_bind(b->tree, item, slot->option->section, NULL,
			false, options_is_module(slot->option) ? NULL : b->m);
	}
}

static struct portero_conf *
conf_new(const struct statement *st, const struct portero_option *tables[2])
{
	struct portero_conf *c = xcalloc(1, sizeof *c);

	c->name = xstrndup(st->name.len == 0 ? "" : st->name.ptr, st->name.len);
	c->title =
	    xstrndup(st->title.len == 0 ? "" : st->title.ptr, st->title.len);
	c->at = st->at;
	for (int i = 0; i < 2; i++)
		for (const struct portero_option *o = tables[i];
		     o != NULL && o->name != NULL; o++) {
			c->slots = xrealloc(
			    c->slots, (c->nslots + 1) * sizeof *c->slots);
			c->slots[c->nslots++] =
			    (struct slot){ .option = o, .at = st->at };
		}
	return c;
}

struct portero_conf *
section_bind(const struct tree *tree, const struct statement *st,
    const struct portero_option *options, const struct portero_option *more,
    bool lenient, struct config_messages *m)
{
	const struct portero_option *tables[2] = { options, more };
	struct binding b = { .conf = conf_new(st, tables),
		.tree = tree,
		.st = st,
		.lenient = lenient,
		.m = m };

	read_values(&b);
	if (lenient)
		keep_unread(&b);
	if (m != NULL)
		bind_sections(&b);
	for (size_t i = 0; i < b.conf->nslots; i++) {
		struct slot *slot = &b.conf->slots[i];

		if (slot->nitems > 0 && value_is_number(slot->option))
			check_number(&b, slot);
		check_missing(&b, slot);
	}
	return b.conf;
}

void
section_free(struct portero_conf **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < (*c)->nslots; i++) {
		struct slot *slot = &(*c)->slots[i];

		for (size_t k = 0; k < slot->nitems; k++)
			free(slot->items[k]);
		for (size_t k = 0; k < slot->nsections; k++)
			section_free(&slot->sections[k]);
		if (slot->secret != NULL)
			explicit_bzero(slot->secret, slot->secret_len);
		free(slot->secret);
		free(slot->items);
		free(slot->sections);
	}
	for (size_t i = 0; i < (*c)->nunread; i++)
		free((*c)->unread[i].text);
	free((*c)->unread);
	free((*c)->name);
	free((*c)->title);
	free((*c)->slots);
	free(*c);
	*c = NULL;
}
