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
		struct secret *content; /* NULL: it cannot be a secret */
		struct error why;
	} *entries;
	size_t n;
};

static const struct entry *
find(const struct secrets *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->entries[i].path, path) == 0)
			return &s->entries[i];
	return NULL;
}

/* What is no secret is not private, or long: that matters only to secrets. */
static void
read_one(void *arg, const char *path)
{
	struct secrets *s = arg;
	struct entry *e;

	if (find(s, path) != NULL)
		return;
	s->entries = xrealloc(s->entries, (s->n + 1) * sizeof *s->entries);
	e = &s->entries[s->n++];
	e->path = xstrdup(path);
	e->content = secret_from_file(path, &e->why);
}

struct secrets *
secrets_read(const struct config *c, unsigned kinds)
{
	struct secrets *s = xcalloc(1, sizeof *s);

	for (int kind = CONFIG_AUTH; kind <= CONFIG_POLICY; kind++)
		if ((kinds & PLUGIN_KIND(kind)) != 0)
			config_each_file(c, (enum config_module_kind)kind,
			    read_one, s);
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
	const struct entry *e;

	if (path == NULL)
		return 0;
	e = find(s, path);
	if (e == NULL)
		return error_set(err, ERROR_PERMANENT,
		    "the secret of option %s was not read: its name must end "
		    "with _file, and it cannot have a default",
		    name);
	if (e->content == NULL)
		return error_set(err, e->why.kind, "%s", e->why.text);
	config_set_secret(conf, name, secret_str(e->content));
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

int
secrets_put_all(const struct secrets *s, struct config *c,
    const struct plugin_set *plugins, struct error *err)
{
	for (size_t i = 0; i < c->nmodules; i++) {
		const struct config_module *m = &c->modules[i];
		const struct portero_plugin *table =
		    plugin_set_table(plugins, m->plugin);

		if (table != NULL && m->options != NULL &&
		    secrets_put(s, m->options, table->options, err) == -1)
			return -1;
	}
	return 0;
}
