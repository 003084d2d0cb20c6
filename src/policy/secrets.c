/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "policy/plugin.h"

struct secrets {
	struct entry {
		char *path;
		struct secret *content;
	} *entries;
	size_t n;
	struct error *err; /* borrowed while reading */
	bool failed;
};

static const struct secret *
find(const struct secrets *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->entries[i].path, path) == 0)
			return s->entries[i].content;
	return NULL;
}

static void
read_one(void *arg, const char *path)
{
	struct secrets *s = arg;
	struct secret *content;

	if (s->failed || find(s, path) != NULL)
		return;
	content = secret_from_file(path, s->err);
	if (content == NULL) {
		s->failed = true;
		return;
	}
	s->entries = xrealloc(s->entries, (s->n + 1) * sizeof *s->entries);
	s->entries[s->n].path = xstrdup(path);
	s->entries[s->n++].content = content;
}

struct secrets *
secrets_read(const struct config *c, unsigned kinds, struct error *err)
{
	struct secrets *s = xcalloc(1, sizeof *s);

	s->err = err;
	for (int kind = CONFIG_AUTH; kind <= CONFIG_POLICY; kind++)
		if ((kinds & PLUGIN_KIND(kind)) != 0)
			config_each_file(c, (enum config_module_kind)kind,
			    read_one, s);
	s->err = NULL;
	if (s->failed)
		secrets_free(&s);
	return s;
}

void
secrets_free(struct secrets **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < (*s)->n; i++) {
		free((*s)->entries[i].path);
		secret_free(&(*s)->entries[i].content);
	}
	free((*s)->entries);
	free(*s);
	*s = NULL;
}

static int
put_one(const struct secrets *s, struct portero_conf *conf, const char *name,
    struct error *err)
{
	const char *path = config_get_string(conf, name);
	const struct secret *content;

	if (path == NULL)
		return 0;
	content = find(s, path);
	if (content == NULL)
		return error_set(err, ERROR_PERMANENT,
		    "option %s is a secret, so its name must end with _file",
		    name);
	config_set_secret(conf, name, secret_str(content));
	return 0;
}

int
secrets_put(const struct secrets *s, struct portero_conf *conf,
    const struct portero_option *options, struct error *err)
{
	const struct portero_option *o;

	for (o = options; o != NULL && o->name != NULL; o++) {
		if (o->type == PORTERO_OPT_SECRET &&
		    put_one(s, conf, o->name, err) == -1)
			return -1;
		if (o->type != PORTERO_OPT_SECTION)
			continue;
		for (size_t i = 0; i < config_section_count(conf, o->name); i++)
			/* ours: const is for plugins */
			if (secrets_put(s,
				(struct portero_conf *)config_section(conf,
				    o->name, i),
				o->section, err) == -1)
				return -1;
	}
	return 0;
}
