/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Collects errors and warnings, so that the operator sees all of them at
 * once, in the order of the file. Owns copies of all texts and names.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/conf.h"
#include "config/messages.h"

#define MESSAGE_MAX 1024

struct message {
	size_t file; /* index in files */
	int line;
	size_t number; /* as they came: keeps the sorting stable */
	bool warning;
	char *text; /* owned */
};

struct config_messages {
	char **files; /* owned, as the strings */
	size_t nfiles;
	struct message *all; /* owned */
	size_t n, nwarnings;
};

struct config_messages *
config_messages_new(void)
{
	return xcalloc(1, sizeof(struct config_messages));
}

void
config_messages_free(struct config_messages **m)
{
	if (*m == NULL)
		return;
	for (size_t i = 0; i < (*m)->nfiles; i++)
		free((*m)->files[i]);
	for (size_t i = 0; i < (*m)->n; i++)
		free((*m)->all[i].text);
	free((*m)->files);
	free((*m)->all);
	free(*m);
	*m = NULL;
}

static size_t
file_index(struct config_messages *m, const char *file)
{
	for (size_t i = 0; i < m->nfiles; i++)
		if (strcmp(m->files[i], file) == 0)
			return i;
	m->files = xrealloc(m->files, (m->nfiles + 1) * sizeof *m->files);
	m->files[m->nfiles] = xstrdup(file);
	return m->nfiles++;
}

void
config_messages_know(struct config_messages *m, const char *file)
{
	file_index(m, file);
}

static void __attribute__((format(printf, 4, 0))) add(struct config_messages *m,
    struct config_position at, bool warning, const char *format, va_list ap)
{
	char text[MESSAGE_MAX];
	struct message *message;

	vsnprintf(text, sizeof text, format, ap);
	m->all = xrealloc(m->all, (m->n + 1) * sizeof *m->all);
	message = &m->all[m->n];
	message->file = file_index(m, at.file == NULL ? "" : at.file);
	message->line = at.line;
	message->number = m->n++;
	message->warning = warning;
	message->text = xstrdup(text);
	if (warning)
		m->nwarnings++;
}

void
config_error(struct config_messages *m, struct config_position at,
    const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(m, at, false, format, ap);
	va_end(ap);
}

void
config_warning(struct config_messages *m, struct config_position at,
    const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(m, at, true, format, ap);
	va_end(ap);
}

size_t
config_errors(const struct config_messages *m)
{
	return m->n - m->nwarnings;
}

size_t
config_warnings(const struct config_messages *m)
{
	return m->nwarnings;
}

static int
by_position(const void *left, const void *right)
{
	const struct message *a = left, *b = right;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->number < b->number ? -1 : 1;
}

/* Control characters would let a file's content forge lines. */
static void
append_visible(struct buf *out, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			buf_appendf(out, "\\x%02x", (unsigned char)*p);
		else
			buf_append(out, p, 1);
	}
}

void
config_messages_print(const struct config_messages *m, struct buf *out)
{
	struct message *sorted;
	size_t errors = config_errors(m);

	if (m->n == 0)
		return;
	sorted = xcalloc(m->n, sizeof *sorted);
	memcpy(sorted, m->all, m->n * sizeof *sorted);
	qsort(sorted, m->n, sizeof *sorted, by_position);
	for (size_t i = 0; i < m->n; i++) {
		const char *file = m->files[sorted[i].file];

		if (*file != '\0') {
			append_visible(out, file);
			if (sorted[i].line > 0)
				buf_appendf(out, ":%d", sorted[i].line);
			buf_appendf(out, ": ");
		}
		buf_appendf(out, sorted[i].warning ? "warning: " : "error: ");
		append_visible(out, sorted[i].text);
		buf_appendf(out, "\n");
	}
	free(sorted);
	buf_appendf(out, "%zu error%s, %zu warning%s\n", errors,
	    errors == 1 ? "" : "s", m->nwarnings, m->nwarnings == 1 ? "" : "s");
}
