/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The sections that a plugin stands behind: auth, store, policy.
 */
#ifndef CONFIG_MODULE_H
#define CONFIG_MODULE_H

#include "config/conf.h"
#include "config/tree.h"

/* The value of an option named `file` or `*_file`. */
struct module_file {
	char *path; /* owned */
	struct config_position at;
	bool has_suffix;
	char *fault; /* owned: why it cannot be a secret; NULL: it can */
};

/* Fills c->modules. resolver NULL: their options are left unread. */
void modules_load(struct config *c, const struct tree *tree,
    const struct config_resolver *resolver, struct config_messages *m);
void modules_free(struct config *c);

#endif
