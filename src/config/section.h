/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A section's values, bound to a table of options: what plugins know as
 * struct portero_conf. The core's own options are bound the same way.
 */
#ifndef CONFIG_SECTION_H
#define CONFIG_SECTION_H

#include "config/conf.h"
#include "config/tree.h"

struct slot {
	const struct portero_option *option; /* borrowed from the table */
	bool is_set;                         /* in the file */
	struct config_position at; /* of the value, or of the section */
	char **items; /* owned, as the strings; no list: at most one */
	size_t nitems;
	int64_t number; /* of types with numbers */
	char *secret;   /* owned, wiped; in place of the path */
	size_t secret_len;
	struct portero_conf **sections; /* owned */
	size_t nsections;
};

/* A statement that no table explains, as it stands in the text. */
struct unread {
	char *text; /* owned */
	struct config_position at;
};

struct portero_conf {
	char *name, *title; /* owned; "" for the whole file, "" without */
	struct config_position at;
	struct slot *slots; /* owned; one for each option, in order */
	size_t nslots;
	struct unread *unread; /* owned; only after a lenient binding */
	size_t nunread;
	bool broken; /* libconfuse gave up: what is missing may be there */
};

/*
 * Reads the values of a statement that is a section, by two tables of options
 * (more may be NULL). Other options are an error, unless lenient. m may be
 * NULL: not a word about anything. Sections of modules are only glanced at:
 * whoever knows their plugin binds them again.
 */
struct portero_conf *section_bind(const struct tree *tree,
    const struct statement *st, const struct portero_option *options,
    const struct portero_option *more, bool lenient, struct config_messages *m);
void section_free(struct portero_conf **c);

/* NULL: no such option. */
const struct slot *section_slot(const struct portero_conf *c, const char *name);
/* Where it is set, or its section begins. */
struct config_position section_at(const struct portero_conf *c,
    const char *name);

#endif
