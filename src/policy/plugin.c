/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The loader. What is checked is what is loaded: the folder and the file are
 * opened first, judged by their descriptors, and dlopen(3) is given the
 * descriptor's own name. Descriptors of loaded files stay open, because the
 * dynamic loader knows a file by the name it was given, and a number used
 * twice would name two files.
 */
#include "policy/plugin.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ipc/role.h"
#include "policy/store.h"

#define NAME_MAX_LEN 63
#define ALL_STAGES \
	(PORTERO_LOGIN | PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA | \
	    PORTERO_HEADER | PORTERO_END | PORTERO_OUTCOME | PORTERO_HELLO)

struct plugin_file {
	char name[NAME_MAX_LEN + 1];
	const struct portero_plugin *table; /* in the loaded file */
};

struct plugin_set {
	const char *folder; /* borrowed */
	unsigned kinds;
	struct plugin_file files[MAX_MODULES];
	size_t nfiles;
	struct plugin *plugins[MAX_MODULES]; /* owned; in the file's order */
	size_t nplugins;
};

static const struct portero_option no_options[] = { { .name = NULL } };

struct plugin_set *
plugin_set_new(const char *folder, unsigned kinds)
{
	struct plugin_set *s = xcalloc(1, sizeof *s);

	s->folder = folder;
	s->kinds = kinds;
	return s;
}

static void
plugin_free(struct plugin **p)
{
	store_close(&(*p)->store);
	if ((*p)->ctx != NULL && (*p)->table->close != NULL)
		(*p)->table->close((*p)->ctx);
	share_unmap(&(*p)->share);
	free(*p);
	*p = NULL;
}

void
plugin_set_free(struct plugin_set **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < (*s)->nplugins; i++)
		plugin_free(&(*s)->plugins[i]);
	free(*s);
	*s = NULL;
}

size_t
plugin_set_count(const struct plugin_set *s)
{
	return s->nplugins;
}

struct plugin *
plugin_set_at(const struct plugin_set *s, size_t i)
{
	assert(i < s->nplugins);
	return s->plugins[i];
}

const char *
plugin_name(const struct config_module *module)
{
	return module->kind == CONFIG_STORE ? "store" : module->title;
}

/* ---- the table ---------------------------------------------------------- */

static const char *
kind_name(enum config_module_kind kind)
{
	static const char *const names[] = { [CONFIG_AUTH] = "auth",
		[CONFIG_STORE] = "store",
		[CONFIG_POLICY] = "policy" };

	return names[kind];
}

static enum config_module_kind
table_kind(const struct portero_plugin *t)
{
	return t->auth != NULL ? CONFIG_AUTH :
	    t->store != NULL   ? CONFIG_STORE :
				 CONFIG_POLICY;
}

/* The functions of its kind. Members up to these exist since the first ABI. */
static const char *
missing_function(const struct portero_plugin *t)
{
	if (t->auth != NULL &&
	    (t->auth->size < sizeof *t->auth || t->auth->login == NULL))
		return "login";
	if (t->store != NULL &&
	    (t->store->size < sizeof *t->store || t->store->apply == NULL))
		return "apply";
	if (t->policy != NULL &&
	    (t->policy->size < sizeof *t->policy || t->policy->judge == NULL))
		return "judge";
	return t->open == NULL ? "open" : NULL;
}

static int
check_table(const struct portero_plugin *t, struct error *err)
{
	const char *missing;

	if (t->abi != PORTERO_ABI)
		return error_set(err, ERROR_PERMANENT,
		    "it was built for ABI %u, this is ABI %u: rebuild it",
		    t->abi, PORTERO_ABI);
	if (t->size < sizeof *t)
		return error_set(err, ERROR_PERMANENT,
		    "its table has %u bytes of at least %zu: rebuild it",
		    t->size, sizeof *t);
	if (t->name == NULL || t->version == NULL)
		return error_set(err, ERROR_PERMANENT,
		    "its table lacks name or version");
	if ((t->auth != NULL) + (t->store != NULL) + (t->policy != NULL) != 1)
		return error_set(err, ERROR_PERMANENT,
		    "its table must have exactly one of auth, store, policy");
	missing = missing_function(t);
	if (missing != NULL)
		return error_set(err, ERROR_PERMANENT,
		    "it has no function %s", missing);
	if (t->policy != NULL && (t->policy->stages == 0 ||
	    (t->policy->stages & ~(uint32_t)ALL_STAGES) != 0))
		return error_set(err, ERROR_PERMANENT,
		    "its stages are %#x, which this version does not know",
		    t->policy->stages);
	return 0;
}

int
plugin_table_check(const struct portero_plugin *t, enum config_module_kind kind,
    struct error *err)
{
	if (check_table(t, err) == -1)
		return -1;
	if (table_kind(t) != kind)
		return error_set(err, ERROR_PERMANENT,
		    "it is for section %s, not %s", kind_name(table_kind(t)),
		    kind_name(kind));
	return 0;
}

/* ---- the file ----------------------------------------------------------- */

/* Written by root or by us, and by nobody else. */
static int
check_owner(const struct stat *st, struct error *err)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return error_set(err, ERROR_PERMANENT,
		    "it belongs to user %u, not to root", (unsigned)st->st_uid);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return error_set(err, ERROR_PERMANENT,
		    "others may write to it (mode %04o)",
		    (unsigned)st->st_mode & 07777);
	return 0;
}

/* An open file of the folder, after the checks, or -1. */
static int
open_checked(const char *folder, const char *file, struct error *err)
{
	int dir = -1, fd = -1, ret = -1;
	struct error why;
	struct stat st;

	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1 || fstat(dir, &st) == -1) {
		error_set(err, ERROR_PERMANENT, "folder %s: %s", folder,
		    strerror(errno));
		goto out;
	}
	if (check_owner(&st, &why) == -1) {
		error_set(err, ERROR_PERMANENT, "folder %s: %s", folder,
		    why.text);
		goto out;
	}
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		error_set(err, ERROR_PERMANENT, "%s/%s: %s", folder, file,
		    errno == ELOOP ? "is a symbolic link" : strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(err, ERROR_PERMANENT, "%s/%s: is not a plain file",
		    folder, file);
		goto out;
	}
	if (check_owner(&st, &why) == -1) {
		error_set(err, ERROR_PERMANENT, "%s/%s: %s", folder, file,
		    why.text);
		goto out;
	}
	ret = fd;
	fd = -1;
out:
	if (dir != -1)
		close(dir);
	if (fd != -1)
		close(fd);
	return ret;
}

/* Loads it; the descriptor stays open with it. */
static const struct portero_plugin *
load_file(const char *folder, const char *name, struct error *err)
{
	const struct portero_plugin *table = NULL;
	char file[NAME_MAX_LEN + 4], path[32];
	void *handle;
	int fd;

	snprintf(file, sizeof file, "%s.so", name);
	fd = open_checked(folder, file, err);
	if (fd == -1)
		return NULL;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle != NULL)
		table = dlsym(handle, "portero_plugin");
	if (handle == NULL)
		error_set(err, ERROR_PERMANENT, "%s/%s: %s", folder, file,
		    dlerror());
	else if (table == NULL)
		error_set(err, ERROR_PERMANENT,
		    "%s/%s: is no plugin: it has no symbol portero_plugin",
		    folder, file);
	return table;
}

static bool
is_bare_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len > 0 && len <= NAME_MAX_LEN && name[len] == '\0';
}

const struct portero_plugin *
plugin_set_table(const struct plugin_set *s, const char *name)
{
	for (size_t i = 0; i < s->nfiles; i++)
		if (strcmp(s->files[i].name, name) == 0)
			return s->files[i].table;
	return NULL;
}

static const struct portero_plugin *
load_table(struct plugin_set *s, const char *name, struct error *err)
{
	const struct portero_plugin *table = plugin_set_table(s, name);

	if (table != NULL)
		return table;
	if (!is_bare_name(name)) {
		error_set(err, ERROR_PERMANENT,
		    "a plugin is a bare name, e.g. policy_size, found in %s",
		    s->folder);
		return NULL;
	}
	if (s->nfiles == MAX_MODULES) {
		error_set(err, ERROR_PERMANENT, "more than %d plugins",
		    MAX_MODULES);
		return NULL;
	}
	table = load_file(s->folder, name, err);
	if (table == NULL)
		return NULL;
	str_copy(s->files[s->nfiles].name, sizeof s->files->name,
	    str_of(name));
	s->files[s->nfiles++].table = table;
	return table;
}

const struct portero_plugin *
plugin_set_load(struct plugin_set *s, const char *name, struct error *err)
{
	const struct portero_plugin *table = load_table(s, name, err);

	return table == NULL || check_table(table, err) == -1 ? NULL : table;
}

static const struct portero_option *
resolve(void *arg, enum config_module_kind kind, const char *title,
    const char *plugin, bool *ignore, struct error *err)
{
	struct plugin_set *s = arg;
	const struct portero_plugin *table;
	struct error why;

	(void)title;
	if ((s->kinds & PLUGIN_KIND(kind)) == 0) {
		*ignore = true;
		return NULL;
	}
	table = load_table(s, plugin, &why);
	if (table == NULL || plugin_table_check(table, kind, &why) == -1) {
		error_set(err, ERROR_PERMANENT, "plugin %s: %s", plugin,
		    why.text);
		return NULL;
	}
	return table->options == NULL ? no_options : table->options;
}

struct config_resolver
plugin_set_resolver(struct plugin_set *s)
{
	return (struct config_resolver){ .options = resolve, .arg = s };
}

/* ---- sections at work --------------------------------------------------- */

static int
call_open(struct plugin *p, void *share, size_t bytes,
    enum portero_share_state state, struct error *err)
{
	char text[256] = "";

	if (p->table->open(&p->host.api, p->module->options, share, bytes,
		state, &p->ctx, text) == 0)
		return 0;
	p->ctx = NULL;
	text[sizeof text - 1] = '\0';
	return error_set(err, ERROR_PERMANENT, "%s",
	    text[0] == '\0' ? "it gave no reason" : text);
}

/* Bytes that the plugin itself wants; a store's own memory begins behind. */
static size_t
own_size(const struct plugin *p)
{
	size_t size = p->table->share_size == NULL ? 0 :
	    p->table->share_size(&p->host.api, p->module->options);

	return p->table->store == NULL ? size : (size + 63) / 64 * 64;
}

static size_t
whole_size(const struct plugin *p)
{
	if (p->table->store == NULL)
		return own_size(p);
	return own_size(p) +
	    store_size(p->module->options, p->table->store->remote);
}

/* The plugin, and what stands before a store. */
static int
open_in(struct plugin *p, uint8_t *memory, size_t bytes,
    enum portero_share_state state, struct error *err)
{
	size_t own = own_size(p);

	if (p->table->store == NULL)
		return call_open(p, memory, bytes, state, err);
	if (bytes < whole_size(p))
		return error_set(err, ERROR_INTERNAL,
		    "its shared memory is too small");
	if (call_open(p, own == 0 ? NULL : memory, own,
		own == 0 ? PORTERO_SHARE_NEW : state, err) == -1)
		return -1;
	p->store = store_open(p, memory + own, bytes - own, state, err);
	return p->store == NULL ? -1 : 0;
}

static int
open_with_share(struct plugin *p, int fd, const uint8_t epoch[SHARE_EPOCH_LEN],
    struct error *err)
{
	enum portero_share_state state;
	size_t bytes;
	void *memory;
	int ret;

	if (share_map(&p->share, fd, err) == -1)
		return -1;
	state = share_lock(&p->share, epoch, err);
	if (state == PORTERO_SHARE_NONE)
		return -1;
	memcpy(p->host.key, share_key(&p->share), HASH_KEY_LEN);
	memory = share_memory(&p->share, &bytes);
	ret = open_in(p, memory, bytes, state, err);
	share_unlock(&p->share, epoch, ret == 0);
	return ret;
}

static struct plugin *
add_plugin(struct plugin_set *s, const struct config_module *module,
    const uint8_t key[HASH_KEY_LEN])
{
	struct plugin *p = xcalloc(1, sizeof *p);

	p->module = module;
	p->table = plugin_set_table(s, module->plugin);
	host_init(&p->host, plugin_name(module), key);
	s->plugins[s->nplugins++] = p;
	return p;
}

/* The next section that is the set's and has a plugin, from *i on. */
static const struct config_module *
next_module(const struct plugin_set *s, const struct config *c, size_t *i)
{
	while (*i < c->nmodules) {
		const struct config_module *m = &c->modules[(*i)++];

		if ((s->kinds & PLUGIN_KIND(m->kind)) != 0 &&
		    m->options != NULL && s->nplugins < MAX_MODULES)
			return m;
	}
	return NULL;
}

int
plugin_set_open(struct plugin_set *s, const struct config *c,
    const struct plugin_shares *shares, struct error *err)
{
	const struct config_module *module;
	uint8_t epoch[SHARE_EPOCH_LEN];
	int fd = shares->first_fd;
	struct error why;
	size_t i = 0;

	share_epoch(shares->key, epoch);
	while ((module = next_module(s, c, &i)) != NULL) {
		uint32_t bit = 1u << s->nplugins;
		struct plugin *p = add_plugin(s, module, shares->key);
		int ret;

		if ((shares->mask & bit) != 0)
			ret = open_with_share(p, fd++, epoch, &why);
		else
			ret = call_open(p, NULL, 0, PORTERO_SHARE_NEW, &why);
		if (ret == -1)
			return error_set(err, why.kind, "%s (plugin %s): %s",
			    plugin_name(module), module->plugin, why.text);
	}
	return 0;
}

static bool
counts(const struct plugin *p)
{
	return p->table->policy != NULL && p->table->policy->scopes != NULL &&
	    p->table->policy->scopes(p->ctx) != 0;
}

static void
check_cache(const struct plugin *p, struct config_messages *m)
{
	static const char *const of_cache[] = { "cache_time",
		"cache_away_time" };

	for (size_t i = 0; i < sizeof of_cache / sizeof *of_cache; i++)
		if (!p->table->auth->may_cache &&
		    config_is_set(p->module->options, of_cache[i]))
			config_warning(m, p->module->at,
			    "%s does nothing with %s, which is asked each time",
			    of_cache[i], p->module->plugin);
}

static bool
has_store(const struct config *c)
{
	for (size_t i = 0; i < c->nmodules; i++)
		if (c->modules[i].kind == CONFIG_STORE)
			return true;
	return false;
}

static void
check_store(const struct plugin *p, struct config_messages *m)
{
	static const char *const of_remote[] = { "on_store_failure", "hosts",
		"local_entries" };
	struct error why;

	if (store_check(p->module->options, &why) == -1)
		config_error(m, p->module->at, "%s", why.text);
	for (size_t i = 0; i < sizeof of_remote / sizeof *of_remote; i++)
		if (!p->table->store->remote &&
		    config_is_set(p->module->options, of_remote[i]))
			config_warning(m, p->module->at,
			    "%s does nothing with %s, which is a part of this "
			    "server", of_remote[i], p->module->plugin);
}

void
plugin_set_check(struct plugin_set *s, const struct config *c,
    struct config_messages *m, uint64_t *bytes)
{
	static const uint8_t key[HASH_KEY_LEN];
	const struct config_module *module;
	struct error why;
	size_t i = 0;

	memset(bytes, 0, c->nmodules * sizeof *bytes);
	while ((module = next_module(s, c, &i)) != NULL) {
		struct plugin *p = add_plugin(s, module, key);

		bytes[i - 1] = share_size(whole_size(p));
		if (p->table->store != NULL)
			check_store(p, m);
		if (p->table->auth != NULL)
			check_cache(p, m);
		if (call_open(p, NULL, 0, PORTERO_SHARE_NONE, &why) == -1)
			config_error(m, module->at, "plugin %s: %s",
			    module->plugin, why.text);
		else if (counts(p) && !has_store(c))
			config_error(m, module->at,
			    "plugin %s counts, but there is no store: add "
			    "store { plugin = store_memory }",
			    module->plugin);
	}
}
