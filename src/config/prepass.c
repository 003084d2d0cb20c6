/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Joins the main file, what it includes and conf.d/ to one text and keeps
 * account of where each line came from. Braces are balanced in each file by
 * itself, so that a forgotten one is reported where it was opened instead of
 * swallowing what follows (libconfuse 3.3 accepts it silently).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/clean.h"
#include "config/messages.h"
#include "config/origin.h"
#include "config/prepass.h"
#include "config/scan.h"
#include "config/tree.h"

#define TEXT_MAX ((size_t)1 << 20) /* of all files together */
#define FILES_MAX 256
#define INCLUDE_DEPTH_MAX 10

struct prepass {
	struct buf out;
	int line;      /* of out, where the next byte goes */
	bool may_open; /* files */
	size_t nfiles, nbytes;
	int depth;                 /* of includes */
	struct origins *origins;   /* owned */
	struct config_messages *m; /* borrowed */
};

/* A file being joined. */
struct joined {
	const char *name; /* borrowed */
	const char *text; /* clean */
	size_t copied;    /* bytes of text that went to out */
	struct brace {
		struct str name; /* in text */
		int line;
		bool list;
	} open[TREE_DEPTH_MAX];
	int nopen;
};

static struct config_position
position(const char *file, int line)
{
	return (struct config_position){ file, line };
}

static void
emit(struct prepass *pp, const char *text, size_t len)
{
	buf_append(&pp->out, text, len);
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			pp->line++;
}

/* ---- files ------------------------------------------------------------- */

/* Reads an open file to its end. NULL, or why not. */
static const char *
read_open(struct prepass *pp, int fd, struct buf *to)
{
	char block[4096];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if ((st.st_mode & S_IWOTH) != 0)
		return "anyone may write to it; chmod o-w would help";
	if (pp->nfiles++ >= FILES_MAX)
		return "too many files";
	while ((n = read(fd, block, sizeof block)) > 0) {
		pp->nbytes += (size_t)n;
		if (pp->nbytes > TEXT_MAX)
			return "too much configuration";
		buf_append(to, block, (size_t)n);
	}
	return n == -1 ? strerror(errno) : NULL;
}

static const char *
read_file(struct prepass *pp, const char *path, struct buf *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why;

	if (fd == -1)
		return strerror(errno);
	why = read_open(pp, fd, to);
	close(fd);
	return why;
}

static bool
has_control(const char *path)
{
	for (; *path != '\0'; path++)
		if ((unsigned char)*path < 0x20)
			return true;
	return false;
}

/* ---- joining ----------------------------------------------------------- */

static int join_path(
    struct prepass *pp, const char *path, struct config_position from);

/* The path of an included file: relative to the file that includes it. */
static char *
include_path(const char *from, struct str name)
{
	const char *slash = strrchr(from, '/');

	if (slash == NULL || *name.ptr == '/')
		return xstrndup(name.ptr, name.len);
	return xasprintf(
	    "%.*s/%.*s", (int)(slash - from), from, (int)name.len, name.ptr);
}

/* At the word include: `include("file")`. */
static void
join_include(struct prepass *pp, struct joined *j, struct scan *s)
{
	struct config_position at = position(j->name, s->line);
	size_t start = s->start;
	struct str name;
	char *path;
	bool good;

	good = scan_next(s) == TOKEN_OTHER && s->text[s->start] == '(' &&
	       scan_next(s) == TOKEN_STRING;
	name = scan_unquoted(s);
	good = good && name.len > 0 &&
	       memchr(name.ptr, '\\', name.len) == NULL &&
	       scan_next(s) == TOKEN_OTHER && s->text[s->start] == ')';
	if (!good) {
		config_error(pp->m, at, "write include(\"file\")");
		return;
	}
	emit(pp, j->text + j->copied, start - j->copied);
	emit(pp, "\n", 1);
	path = include_path(j->name, name);
	if (pp->depth >= INCLUDE_DEPTH_MAX)
		config_error(pp->m, at,
		    "files include each other more than %d deep",
		    INCLUDE_DEPTH_MAX);
	else if (!pp->may_open)
		config_error(pp->m, at, "include() cannot be used here");
	else
		join_path(pp, path, at);
	free(path);
	origins_add(pp->origins, pp->line, j->name, s->line);
	j->copied = s->pos;
}

static void
complain_open(struct prepass *pp, const struct joined *j, const struct brace *b)
{
	config_error(pp->m, position(j->name, b->line),
	    "%s \"%.*s\" opened here is never closed",
	    b->list ? "list" : "section", (int)b->name.len, b->name.ptr);
}

/* An opening brace: the two tokens before it say what it opens. */
static bool
open_brace(struct prepass *pp, struct joined *j, const struct scan *s,
    const struct scan before[2])
{
	struct brace *b = &j->open[j->nopen];
	const struct scan *name = &before[1];

	if (j->nopen == TREE_DEPTH_MAX) {
		config_error(pp->m, position(j->name, s->line),
		    "sections are nested more than %d deep", TREE_DEPTH_MAX);
		return false;
	}
	b->list = name->token == TOKEN_EQUALS || name->token == TOKEN_APPEND;
	if (b->list || name->token == TOKEN_STRING) /* a title */
		name = &before[0];
	b->name = name->text == NULL ? STR("{") : scan_str(name);
	b->line = name->text == NULL ? s->line : name->line;
	j->nopen++;
	return true;
}

/* Follows the braces. false: there is no use in going on. */
static bool
balance(struct prepass *pp, struct joined *j, const struct scan *s,
    const struct scan before[2])
{
	const struct brace *inner =
	    j->nopen == 0 ? NULL : &j->open[j->nopen - 1];

	if (s->token == TOKEN_CLOSE) {
		if (inner == NULL)
			config_error(pp->m, position(j->name, s->line),
			    "this } closes nothing");
		return j->nopen-- > 0;
	}
	/* nothing else stands in a list: its brace was forgotten */
	if (inner != NULL && inner->list && s->token != TOKEN_WORD &&
	    s->token != TOKEN_STRING && s->token != TOKEN_COMMA) {
		complain_open(pp, j, inner);
		return false;
	}
	return s->token != TOKEN_OPEN || open_brace(pp, j, s, before);
}

static void
join_clean(struct prepass *pp, struct joined *j)
{
	struct scan s, before[2] = { { 0 }, { 0 } };

	scan_start(&s, j->text);
	while (scan_next(&s) != TOKEN_END) {
		struct scan ahead = s;

		if (s.token == TOKEN_WORD &&
		    str_eq(scan_str(&s), STR("include")) &&
		    scan_next(&ahead) == TOKEN_OTHER)
			join_include(pp, j, &s);
		else if (!balance(pp, j, &s, before))
			return;
		before[0] = before[1];
		before[1] = s;
	}
	if (j->nopen > 0 && j->open[j->nopen - 1].list)
		complain_open(pp, j, &j->open[j->nopen - 1]);
	else
		for (int i = 0; i < j->nopen; i++)
			complain_open(pp, j, &j->open[i]);
	emit(pp, j->text + j->copied, s.pos - j->copied);
	emit(pp, "\n", 1);
}

static void
join_bytes(struct prepass *pp, const char *name, const char *bytes, size_t len)
{
	struct buf clean = { 0 };
	struct joined j = { .name = name };

	config_messages_know(pp->m, name);
	origins_add(pp->origins, pp->line, name, 1);
	if (clean_text(name, bytes, len, &clean, pp->m) == 0) {
		buf_append(&clean, "", 1);
		j.text = buf_data(&clean);
		join_clean(pp, &j);
	}
	buf_free(&clean);
}

/* from: where it is included; no file there: the main file or of conf.d.
 * -1: it could not be read. */
static int
join_path(struct prepass *pp, const char *path, struct config_position from)
{
	struct buf bytes = { 0 };
	const char *why;

	if (from.file == NULL)
		from = position(path, 0);
	/* names stand in the table of origins, a line each */
	why = has_control(path) ? "control character in its name"
	                        : read_file(pp, path, &bytes);
	if (why != NULL)
		config_error(pp->m, from, "cannot read %s: %s", path, why);
	else {
		pp->depth++;
		join_bytes(pp, path, bytes.mem == NULL ? "" : buf_data(&bytes),
		    buf_len(&bytes));
		pp->depth--;
	}
	buf_free(&bytes);
	return why == NULL ? 0 : -1;
}

static int
is_part(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return d->d_name[0] != '.' && len > 5 &&
	       strcmp(d->d_name + len - 5, ".conf") == 0;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* in any locale */
}

/* conf.d/ beside the main file. */
static void
join_parts(struct prepass *pp, const char *main_path)
{
	char *folder = include_path(main_path, STR("conf.d"));
	struct dirent **parts = NULL;
	int n = scandir(folder, &parts, is_part, by_name);

	if (n == -1 && errno != ENOENT)
		config_error(pp->m, position(folder, 0), "cannot read: %s",
		    strerror(errno));
	for (int i = 0; i < n; i++) {
		char *path = xasprintf("%s/%s", folder, parts[i]->d_name);

		join_path(pp, path, position(NULL, 0));
		free(path);
		free(parts[i]);
	}
	free(parts);
	free(folder);
}

/* ---- the whole --------------------------------------------------------- */

static void
prepass_start(struct prepass *pp, bool may_open, struct config_messages *m)
{
	*pp = (struct prepass){ .line = 1,
		.may_open = may_open,
		.origins = origins_new(),
		.m = m };
}

/* Looks at the statements and adds the table of origins; ends pp. */
static void
prepass_finish(struct prepass *pp, struct buf *out)
{
	struct tree *tree;

	if (config_errors(pp->m) == 0) {
		buf_append(&pp->out, "", 1);
		tree = tree_read(buf_data(&pp->out), pp->origins, pp->m);
		tree_free(&tree);
		pp->out.len--;
	}
	origins_write(pp->origins, &pp->out);
	origins_free(&pp->origins);
	*out = pp->out;
}

void
prepass_bytes(const char *name, const char *bytes, size_t len, struct buf *out,
    struct config_messages *m)
{
	struct prepass pp;

	prepass_start(&pp, false, m);
	join_bytes(&pp, name, bytes, len);
	prepass_finish(&pp, out);
}

static int
write_all(int fd, const struct buf *b)
{
	size_t done = 0;

	if (ftruncate(fd, 0) == -1)
		return -1;
	while (done < buf_len(b)) {
		ssize_t n = pwrite(
		    fd, buf_data(b) + done, buf_len(b) - done, (off_t)done);

		if (n == -1)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

int
config_read(const char *path, int fd, struct config_messages *m)
{
	struct prepass pp;
	struct buf text;
	int ret = 0;

	prepass_start(&pp, true, m);
	if (join_path(&pp, path, position(NULL, 0)) == -1)
		ret = -1;
	else
		join_parts(&pp, path);
	prepass_finish(&pp, &text);
	if (write_all(fd, &text) == -1) {
		config_error(m, position(path, 0),
		    "cannot write the resolved text: %s", strerror(errno));
		ret = -1;
	}
	buf_free(&text);
	return ret;
}
