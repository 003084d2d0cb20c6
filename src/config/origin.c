/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The table of origins: runs of lines, sorted by their line in the resolved
 * text. Owns the names of the files, each held once.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/origin.h"

struct run {
	int resolved, line;
	size_t file;
};

struct origins {
	char **files; /* owned, as the strings */
	size_t nfiles;
	struct run *runs; /* owned */
	size_t nruns;
};

struct origins *
origins_new(void)
{
	return xcalloc(1, sizeof(struct origins));
}

void
origins_free(struct origins **o)
{
	if (*o == NULL)
		return;
	for (size_t i = 0; i < (*o)->nfiles; i++)
		free((*o)->files[i]);
	free((*o)->files);
	free((*o)->runs);
	free(*o);
	*o = NULL;
}

static size_t
file_index(struct origins *o, const char *file)
{
	for (size_t i = 0; i < o->nfiles; i++)
		if (strcmp(o->files[i], file) == 0)
			return i;
	o->files = xrealloc(o->files, (o->nfiles + 1) * sizeof *o->files);
	o->files[o->nfiles] = xstrdup(file);
	return o->nfiles++;
}

void
origins_add(struct origins *o, int resolved, const char *file, int line)
{
	struct run run = { resolved, line, file_index(o, file) };

	/* nothing of the last run was used: it is replaced */
	if (o->nruns > 0 && o->runs[o->nruns - 1].resolved == resolved)
		o->nruns--;
	o->runs = xrealloc(o->runs, (o->nruns + 1) * sizeof *o->runs);
	o->runs[o->nruns++] = run;
}

struct config_position
origins_find(const struct origins *o, int resolved)
{
	size_t low = 0, high = o->nruns; /* the run is in [low, high) */
	const struct run *run;

	if (o->nruns == 0)
		return (struct config_position){ NULL, 0 };
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (o->runs[middle].resolved <= resolved)
			low = middle;
		else
			high = middle;
	}
	run = &o->runs[low];
	return (struct config_position){ o->files[run->file],
		run->line + (resolved - run->resolved) };
}

size_t
origins_files(const struct origins *o)
{
	return o->nfiles;
}

const char *
origins_file(const struct origins *o, size_t i)
{
	return o->files[i];
}

void
origins_write(const struct origins *o, struct buf *text)
{
	size_t end = buf_len(text);

	for (size_t i = 0; i < o->nruns; i++)
		buf_appendf(text, "#@ %d %d %s\n", o->runs[i].resolved,
		    o->runs[i].line, o->files[o->runs[i].file]);
	buf_appendf(text, "#@end %zu\n", end);
}

/* A number from 0 to INT_MAX and the byte behind it. -1: not so. */
static int
read_number(const char **p, char behind, int *number_r)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(*p, &end, 10);
	if (end == *p || errno != 0 || number < 0 || number > INT_MAX ||
	    *end != behind)
		return -1;
	*p = end + 1;
	*number_r = (int)number;
	return 0;
}

/* One "#@ resolved line file"; p ends in NUL. */
static int
read_run(struct origins *o, const char *p)
{
	int resolved, line;

	if (strncmp(p, "#@ ", 3) != 0)
		return -1;
	p += 3;
	if (read_number(&p, ' ', &resolved) == -1 ||
	    read_number(&p, ' ', &line) == -1 || *p == '\0')
		return -1;
	if (o->nruns > 0 && resolved <= o->runs[o->nruns - 1].resolved)
		return -1;
	origins_add(o, resolved, p, line);
	return 0;
}

/* The table, NUL-terminated, each line ending in a newline; cut up here. */
static struct origins *
read_table(char *table, size_t before)
{
	struct origins *o = origins_new();
	int end = -1;

	while (*table != '\0') {
		char *newline = strchr(table, '\n');
		const char *p;

		if (newline == NULL)
			break;
		*newline = '\0';
		if (strncmp(table, "#@end ", 6) == 0) {
			p = table + 6;
			if (read_number(&p, '\0', &end) == -1)
				end = -1;
			break;
		}
		if (read_run(o, table) == -1)
			break;
		table = newline + 1;
	}
	if (o->nruns == 0 || end < 0 || (size_t)end != before)
		origins_free(&o);
	return o;
}

struct origins *
origins_read(const char *text, size_t len, size_t *len_r)
{
	struct origins *o = NULL;
	char *copy = xstrndup(len == 0 ? "" : text, len);
	const char *last, *p;
	int before;

	/* the last line says where the table begins */
	if (strlen(copy) != len || len < 2 || copy[len - 1] != '\n')
		goto out;
	last = copy + len - 1;
	while (last > copy && last[-1] != '\n')
		last--;
	if (strncmp(last, "#@end ", 6) != 0)
		goto out;
	p = last + 6;
	if (read_number(&p, '\n', &before) == -1 || (size_t)before >= len)
		goto out;
	o = read_table(copy + before, (size_t)before);
	*len_r = (size_t)before;
out:
	free(copy);
	return o;
}
