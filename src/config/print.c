/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The configuration as text that could be read again. Paths of secrets are
 * printed, what is in them never.
 */
#include <stdio.h>
#include <string.h>

#include "config/section.h"
#include "config/value.h"

#define ORIGIN_COLUMN 48

struct printer {
	bool all; /* defaults, too */
	bool no_origins;
	struct buf *out;
	struct buf line; /* being built */
	int depth;
};

static void
end_line(struct printer *p, const char *origin, int number)
{
	int room = ORIGIN_COLUMN - (int)buf_len(&p->line) - 8 * p->depth;

	for (int i = 0; i < p->depth; i++)
		buf_appendf(p->out, "\t");
	buf_append(p->out, buf_data(&p->line), buf_len(&p->line));
	buf_free(&p->line);
	if (p->no_origins)
		origin = NULL;
	if (origin != NULL)
		buf_appendf(p->out, "%*s# %s", room > 0 ? room : 1, "", origin);
	if (origin != NULL && number > 0)
		buf_appendf(p->out, ":%d", number);
	buf_appendf(p->out, "\n");
}

static void
print_value(struct printer *p, const struct slot *slot)
{
	bool list = slot->option->type == PORTERO_OPT_LIST;

	buf_appendf(&p->line, "%s = %s", slot->option->name, list ? "{" : "");
	for (size_t i = 0; i < slot->nitems; i++) {
		if (i > 0)
			buf_appendf(&p->line, ", ");
		if (value_is_number(slot->option))
			value_write(slot->option, slot->number, &p->line);
		else
			value_write_string(slot->items[i], &p->line);
	}
	if (list)
		buf_appendf(&p->line, "}");
	if (slot->is_set)
		end_line(p, slot->at.file, slot->at.line);
	else
		end_line(p, "default", 0);
}

/* White space of any length becomes one space. */
static void
print_unread(struct printer *p, const struct unread *u)
{
	bool space = false;

	for (const char *c = u->text; *c != '\0'; c++) {
		if (strchr(" \t\n", *c) != NULL) {
			space = true;
			continue;
		}
		if (space)
			buf_appendf(&p->line, " ");
		space = false;
		buf_append(&p->line, c, 1);
	}
	end_line(p, u->at.file, u->at.line);
}

static void
print_section(struct printer *p, const struct portero_conf *c)
{
	for (size_t i = 0; i < c->nslots; i++) {
		const struct slot *slot = &c->slots[i];

		if (slot->option->type != PORTERO_OPT_SECTION &&
		    (slot->is_set || (p->all && slot->nitems > 0)))
			print_value(p, slot);
	}
	for (size_t i = 0; i < c->nunread; i++)
		print_unread(p, &c->unread[i]);
	for (size_t i = 0; i < c->nslots; i++)
		for (size_t k = 0; k < c->slots[i].nsections; k++) {
			const struct portero_conf *s = c->slots[i].sections[k];

			buf_appendf(&p->line, "%s ", s->name);
			if (*s->title != '\0')
				buf_appendf(&p->line, "\"%s\" ", s->title);
			buf_appendf(&p->line, "{");
			end_line(p, s->at.file, s->at.line);
			p->depth++;
			print_section(p, s);
			p->depth--;
			buf_appendf(&p->line, "}");
			end_line(p, NULL, 0);
		}
}

void
config_print(const struct config *c, bool all, struct buf *out)
{
	struct printer p = { .all = all, .out = out };

	print_section(&p, c->root);
}

void
config_print_section(const struct portero_conf *c, struct buf *out)
{
	struct printer p = { .all = true, .no_origins = true, .out = out };

	print_section(&p, c);
}
