/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Binds each module's section to the options of its plugin, once the plugin
 * is known. The bound section takes the place of the glance that the root's
 * binding had, so that all values of a configuration are in one tree.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/hint.h"
#include "config/module.h"
#include "config/options.h"
#include "config/section.h"

struct binder {
	struct config *c;
	const struct tree *tree;
	const struct config_resolver *resolver; /* may be NULL */
	struct config_messages *m;
};

static enum config_module_kind
kind_of(const struct statement *st)
{
	if (!st->is_section)
		return (enum config_module_kind)0;
	if (str_eq(st->name, STR("auth")))
		return CONFIG_AUTH;
	if (str_eq(st->name, STR("store")))
		return CONFIG_STORE;
	if (str_eq(st->name, STR("policy")))
		return CONFIG_POLICY;
	return (enum config_module_kind)0;
}

/* ---- files ------------------------------------------------------------- */

static bool
has_suffix(struct str name)
{
	return name.len > 5 && memcmp(name.ptr + name.len - 5, "_file", 5) == 0;
}

static void
add_files(struct config_module *module, const struct slot *slot)
{
	for (size_t i = 0; i < slot->nitems; i++) {
		module->files = xrealloc(module->files,
		    (module->nfiles + 1) * sizeof *module->files);
		module->files[module->nfiles++] =
		    (struct module_file){ .path = xstrdup(slot->items[i]),
			    .at = slot->at,
			    .has_suffix =
				has_suffix(str_of(slot->option->name)) };
	}
}

/* The files of a section whose table nobody knows: one is made up for the
 * occasion. */
static void
collect_files(const struct tree *tree, const struct statement *st,
    struct config_module *module)
{
	struct portero_option *table = xcalloc(st->nitems + 1, sizeof *table);
	struct portero_conf *found;
	size_t n = 0;

	for (size_t i = 0; i < st->nitems; i++) {
		const struct statement *item = &st->items[i];

		if (item->is_section)
			collect_files(tree, item, module);
		else if (has_suffix(item->name) ||
			 str_eq(item->name, STR("file"))) {
			table[n].type = PORTERO_OPT_LIST;
			table[n++].name =
			    xstrndup(item->name.ptr, item->name.len);
		}
	}
	found = section_bind(tree, st, table, NULL, true, NULL);
	for (size_t i = 0; i < n; i++)
		add_files(module, &found->slots[i]);
	section_free(&found);
	for (size_t i = 0; i < n; i++)
		free((char *)table[i].name);
	free(table);
}

void
config_each_file(const struct config *c, enum config_module_kind kind,
    void (*each)(void *arg, const char *path), void *arg)
{
	for (size_t i = 0; i < c->nmodules; i++) {
		const struct config_module *module = &c->modules[i];

		for (size_t k = 0; k < module->nfiles; k++)
			if (module->kind == kind && module->files[k].has_suffix)
				each(arg, module->files[k].path);
	}
}

/* ---- plugins ----------------------------------------------------------- */

/* The module in plugin_dir whose name is nearest. */
static void
complain_plugin(const struct binder *b, const struct config_module *module,
    struct config_position at, const struct error *err)
{
	DIR *folder = opendir(b->c->plugin_dir);
	const struct dirent *entry;
	char best[HINT_WORD_MAX + 1];
	struct hint h;

	hint_start(&h, str_of(module->plugin));
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		size_t len = strlen(entry->d_name), before = h.distance;
		char name[HINT_WORD_MAX + 1];

		if (len < 4 || len - 3 > HINT_WORD_MAX ||
		    strcmp(entry->d_name + len - 3, ".so") != 0)
			continue;
		str_copy(
		    name, sizeof name, (struct str){ entry->d_name, len - 3 });
		hint_try(&h, name);
		if (h.distance < before)
			memcpy(best, name, sizeof best);
	}
	if (folder != NULL)
		closedir(folder);
	if (h.best != NULL)
		h.best = best;
	/* it may be there, and have another fault */
	config_error(
	    b->m, at, "%s%s", err->text, h.distance == 0 ? "" : hint_text(&h));
}

static bool
is_plugin_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 48 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

/* NULL: the section's other options stay unread. */
static const struct portero_option *
resolve(const struct binder *b, const struct config_module *module,
    struct config_position at)
{
	static const struct portero_option none[] = { { .name = NULL } };
	const struct portero_option *options;
	struct error err = { .kind = ERROR_NONE };
	bool ignore = false;

	if (module->plugin == NULL)
		return NULL; /* binding complains */
	if (!is_plugin_name(module->plugin)) {
		config_error(b->m, at,
		    "plugin = %.100s is not the bare name of "
		    "a module in plugin_dir",
		    module->plugin);
		return NULL;
	}
	if (b->resolver == NULL)
		return NULL;
	options = b->resolver->options(b->resolver->arg, module->kind,
	    module->title, module->plugin, &ignore, &err);
	if (options != NULL || ignore)
		/* cppcheck-suppress returnDanglingLifetime ; the plugin's own */
		return options;
	if (err.kind == ERROR_NONE)
		return none; /* a plugin without options */
	complain_plugin(b, module, at, &err);
	return NULL;
}

static void
load_module(const struct binder *b, const struct statement *st,
    const struct portero_option *section, struct portero_conf **bound)
{
	struct config *c = b->c;
	struct config_module *module = &c->modules[c->nmodules++];
	const struct portero_option *options;

	module->kind = kind_of(st);
	module->title = xstrdup((*bound)->title);
	module->at = (*bound)->at;
	if (config_get_string(*bound, "plugin") != NULL)
		module->plugin = xstrdup(config_get_string(*bound, "plugin"));
	module->mode = CONFIG_ENFORCE;
	if (module->kind == CONFIG_POLICY)
		module->mode = (enum config_mode)(
		    config_get_int(*bound, "mode") + CONFIG_ENFORCE);
	if (module->kind == CONFIG_AUTH) {
		module->cache_time_s = config_get_int(*bound, "cache_time");
		module->cache_away_time_s =
		    config_get_int(*bound, "cache_away_time");
	}
	collect_files(b->tree, st, module);
	options = resolve(b, module, section_at(*bound, "plugin"));
	section_free(bound);
	*bound = section_bind(
	    b->tree, st, section->section, options, options == NULL, b->m);
	if (options != NULL)
		module->options = *bound;
}

void
modules_load(struct config *c, const struct tree *tree,
    const struct config_resolver *resolver, struct config_messages *m)
{
	const struct binder b = { c, tree, resolver, m };
	size_t seen[CONFIG_POLICY + 1] = { 0 }, total = 0;

	for (size_t i = 0; i < tree->root.nitems; i++)
		total += kind_of(&tree->root.items[i]) != 0;
	c->modules = xcalloc(total, sizeof *c->modules);
	for (size_t i = 0; i < tree->root.nitems; i++) {
		const struct statement *st = &tree->root.items[i];
		enum config_module_kind kind = kind_of(st);
		const struct slot *slot;
		char *name;

		if (kind == 0)
			continue;
		name = xstrndup(st->name.ptr, st->name.len);
		slot = section_slot(c->root, name);
		load_module(
		    &b, st, slot->option, &slot->sections[seen[kind]++]);
		free(name);
	}
}

void
modules_free(struct config *c)
{
	for (size_t i = 0; i < c->nmodules; i++) {
		struct config_module *module = &c->modules[i];

		for (size_t k = 0; k < module->nfiles; k++) {
			free(module->files[k].path);
			free(module->files[k].fault);
		}
		free(module->files);
		free(module->title);
		free(module->plugin);
	}
	free(c->modules);
}
