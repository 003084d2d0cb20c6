/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Plugins: loaded from the configured folder after strict checks, and opened
 * once for each section of the configuration.
 *
 * A role that uses them takes these steps:
 *
 *   set = plugin_set_new(folder, PLUGIN_KIND(CONFIG_AUTH));
 *   resolver = plugin_set_resolver(set);
 *   config = config_load(fd, &resolver, messages);    (loads the modules)
 *   plugin_set_open(set, config, &shares, &err);      (a worker)
 *   plugin_set_check(set, config, messages, bytes);   (the check role)
 */
#ifndef POLICY_PLUGIN_H
#define POLICY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "base/error.h"
#include "config/conf.h"
#include "policy/host.h"
#include "policy/share.h"

#define PLUGIN_KIND(kind) (1u << (kind))

/* One section at work. */
struct plugin {
	const struct config_module *module; /* borrowed from the config */
	const struct portero_plugin *table; /* in the loaded file */
	struct host host;
	struct share share;
	void *ctx; /* the plugin's */
	struct store *store; /* owned; a store at work has one */
};

/* Shared memory that the worker inherited. */
struct plugin_shares {
	int first_fd;
	uint32_t mask; /* which of the role's modules, in the file's order */
	uint8_t key[HASH_KEY_LEN]; /* of struct shared */
};

struct plugin_set;

/* folder: borrowed. kinds: PLUGIN_KIND(CONFIG_AUTH) | ...; the sections of
 * others are passed over. */
struct plugin_set *plugin_set_new(const char *folder, unsigned kinds);
/* Closes what is open. The code stays loaded until the process ends. */
void plugin_set_free(struct plugin_set **s);
/* Loads a plugin when the parser meets its section. */
struct config_resolver plugin_set_resolver(struct plugin_set *s);

/* Loads a plugin of any kind, to look at its table. NULL: reason in err. */
const struct portero_plugin *plugin_set_load(struct plugin_set *s,
    const char *name, struct error *err);
/* The table of a loaded plugin, or NULL. */
const struct portero_plugin *plugin_set_table(const struct plugin_set *s,
    const char *name);

/* Opens every section of the set's kinds. The config must outlive the set. */
int plugin_set_open(struct plugin_set *s, const struct config *c,
    const struct plugin_shares *shares, struct error *err);
/*
 * Check role: lets each plugin look at its options without touching anything
 * else; what is wrong is in m. bytes: of the shared memory of each module of
 * the config, all kinds, in the file's order; 0: none.
 */
void plugin_set_check(struct plugin_set *s, const struct config *c,
    struct config_messages *m, uint64_t *bytes);

size_t plugin_set_count(const struct plugin_set *s);
struct plugin *plugin_set_at(const struct plugin_set *s, size_t i);

/* The name for log and messages: the title, or "store". */
const char *plugin_name(const struct config_module *module);
/* Is the table as the contract says, and of that kind? -1: what is wrong. */
int plugin_table_check(const struct portero_plugin *t,
    enum config_module_kind kind, struct error *err);

#endif
