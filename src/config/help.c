/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Help on options, as plain text for the terminal and as mdoc for the manual,
 * from the tables that the parser uses.
 */
#include <stdio.h>
#include <string.h>

#include "config/conf.h"
#include "config/options.h"
#include "config/value.h"

#define COLUMNS 78
#define PREFIX_MAX 128
#define NO_OPTIONS "It has no options of its own.\n"

/* ---- what an option may hold ------------------------------------------- */

static void
write_choices(const struct portero_option *o, struct buf *out)
{
	for (size_t i = 0; o->choices[i] != NULL; i++)
		buf_appendf(out, "%s%s", i == 0 ? "" : " | ", o->choices[i]);
}

/* "port = number" or "log { ... }" */
static void
write_synopsis(
    const struct portero_option *o, const char *prefix, struct buf *out)
{
	static const char *const titles[] = { [TITLE_NONE] = "",
		[TITLE_MAY] = "[\"name\"] ",
		[TITLE_MUST] = "\"name\" " };

	buf_appendf(out, "%s%s ", prefix, o->name);
	if (o->type == PORTERO_OPT_SECTION)
		buf_appendf(out, "%s{ ... }", titles[options_title(o)]);
	else if (o->type == PORTERO_OPT_ENUM) {
		buf_appendf(out, "= ");
		write_choices(o, out);
	} else if (o->type == PORTERO_OPT_LIST)
		buf_appendf(out, "= {\"...\", ...}");
	else
		buf_appendf(out, "= %s", value_type_name(o));
}

/* "Default 60s, range 100ms to 1h." and what else holds. */
static void
write_facts(const struct portero_option *o, struct buf *out)
{
	if (o->required)
		buf_appendf(out, "Required. ");
	if (o->preset != NULL)
		buf_appendf(out, "Default: %s. ", o->preset);
	if (o->min != 0 || o->max != 0) {
		buf_appendf(out, "Range: ");
		value_write(o, o->min, out);
		buf_appendf(out, " to ");
		value_write(o, o->max, out);
		buf_appendf(out, ". ");
	}
	if (options_needs_restart(o))
		buf_appendf(out, "A change needs a restart. ");
}

/* ---- plain text -------------------------------------------------------- */

/* Indented words, no line longer than COLUMNS. */
static void
write_wrapped(const char *text, size_t len, struct buf *out)
{
	size_t column = 0;

	while (len > 0) {
		size_t n = 0;

		while (n < len && text[n] != ' ')
			n++;
		if (n > 0 && column > 0 && column + 1 + n > COLUMNS) {
			buf_appendf(out, "\n");
			column = 0;
		}
		if (n > 0) {
			buf_appendf(out, "%s%.*s", column == 0 ? "    " : " ",
			    (int)n, text);
			column += n + (column == 0 ? 4 : 1);
		}
		text += n < len ? n + 1 : n;
		len -= n < len ? n + 1 : n;
	}
	buf_appendf(out, "\n");
}

static void help_all(
    const struct portero_option *table, const char *prefix, struct buf *out);

/* prefix: of the sections it stands in, "upstream.". */
static void
help_option(const struct portero_option *o, const char *prefix, struct buf *out)
{
	struct buf facts = { 0 };
	char inner[PREFIX_MAX];

	write_synopsis(o, prefix, out);
	buf_appendf(out, "\n");
	write_wrapped(o->help, strlen(o->help), out);
	write_facts(o, &facts);
	if (buf_len(&facts) > 0)
		write_wrapped(buf_data(&facts), buf_len(&facts), out);
	buf_free(&facts);
	if (o->type != PORTERO_OPT_SECTION)
		return;
	snprintf(inner, sizeof inner, "%s%s.", prefix, o->name);
	help_all(o->section, inner, out);
}

static void
help_all(
    const struct portero_option *table, const char *prefix, struct buf *out)
{
	for (; table != NULL && table->name != NULL; table++)
		help_option(table, prefix, out);
}

static const struct portero_option *
find(const struct portero_option *table, struct str name)
{
	for (; table != NULL && table->name != NULL; table++)
		if (str_eq(str_of(table->name), name))
			return table;
	return NULL;
}

/* prefix and name: "" and "upstream.hosts", then "upstream." and "hosts". */
static int
help_one(const struct portero_option *table, const char *prefix,
    const char *name, struct buf *out)
{
	size_t len = strcspn(name, ".");
	const struct portero_option *o = find(table, (struct str){ name, len });
	char inner[PREFIX_MAX];

	if (o == NULL)
		return -1;
	if (name[len] == '\0') {
		help_option(o, prefix, out);
		return 0;
	}
	if (o->type != PORTERO_OPT_SECTION)
		return -1;
	snprintf(inner, sizeof inner, "%s%s.", prefix, o->name);
	return help_one(o->section, inner, name + len + 1, out);
}

int
config_help(const char *name, struct buf *out)
{
	if (name != NULL)
		return help_one(options_root, "", name, out);
	help_all(options_root, "", out);
	return 0;
}

int
config_help_plugin(const char *plugin, const struct portero_option *options,
    const char *name, struct buf *out)
{
	char prefix[PREFIX_MAX];

	snprintf(prefix, sizeof prefix, "%s.", plugin);
	if (name != NULL)
		return help_one(options, prefix, name, out);
	if (options == NULL || options->name == NULL)
		buf_appendf(out, "%s", NO_OPTIONS);
	help_all(options, prefix, out);
	return 0;
}

/* ---- mdoc -------------------------------------------------------------- */

/* A macro line: quotes would be taken as mdoc's own. */
static void
write_macro(const char *macro, const struct portero_option *o, struct buf *out)
{
	struct buf synopsis = { 0 };

	write_synopsis(o, "", &synopsis);
	buf_appendf(out, ".%s ", macro);
	for (size_t i = 0; i < buf_len(&synopsis); i++) {
		char c = buf_data(&synopsis)[i];

		if (c == '"')
			buf_appendf(out, "\\(dq");
		else
			buf_append(out, &c, 1);
	}
	buf_appendf(out, "\n");
	buf_free(&synopsis);
}

static void
write_word(const char *word, size_t len, struct buf *out)
{
	if (*word == '.' || *word == '\'')
		buf_appendf(out, "\\&");
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			buf_appendf(out, "\\e");
		else
			buf_append(out, &word[i], 1);
	}
}

/* Text lines: each sentence begins a line, none is longer than COLUMNS. */
static void
write_text(const char *text, size_t len, struct buf *out)
{
	const char *end = text + len;
	size_t column = 0;

	while (text < end) {
		size_t n = 0;

		while (text + n < end && text[n] != ' ')
			n++;
		if (n > 0 && column > 0) {
			bool wrap = column + 1 + n > COLUMNS || text[-2] == '.';

			buf_appendf(out, wrap ? "\n" : " ");
			column = wrap ? 0 : column + 1;
		}
		if (n > 0)
			write_word(text, n, out);
		column += n;
		text += n + (text + n < end);
	}
	buf_appendf(out, "\n");
}

static void
manual_options(const struct portero_option *table, struct buf *out)
{
	struct buf facts = { 0 };
	const struct portero_option *o;

	buf_appendf(out, ".Bl -tag -width Ds\n");
	for (o = table; o->name != NULL; o++) {
		if (table == options_root && o->type == PORTERO_OPT_SECTION)
			continue;
		write_macro("It Ic", o, out);
		write_text(o->help, strlen(o->help), out);
		write_facts(o, &facts);
		if (buf_len(&facts) > 0)
			write_text(buf_data(&facts), buf_len(&facts), out);
		buf_free(&facts);
		if (o->type == PORTERO_OPT_SECTION)
			manual_options(o->section, out);
	}
	buf_appendf(out, ".El\n");
}

void
config_manual(struct buf *out)
{
	const struct portero_option *o;

	buf_appendf(out, ".Ss Outside of sections\n");
	manual_options(options_root, out);
	for (o = options_root; o->name != NULL; o++) {
		if (o->type != PORTERO_OPT_SECTION)
			continue;
		write_macro("Ss", o, out);
		write_text(o->help, strlen(o->help), out);
		if (o->required)
			write_text("Required.", 9, out);
		manual_options(o->section, out);
	}
}

void
config_manual_plugin(const struct portero_option *options, struct buf *out)
{
	if (options != NULL && options->name != NULL)
		manual_options(options, out);
	else
		buf_appendf(out, "%s", NO_OPTIONS);
}
