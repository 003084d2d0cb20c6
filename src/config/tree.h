/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The statements of a resolved text: which options and sections stand where.
 * Values are not looked at; libconfuse reads them, section by section.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "config/conf.h"
#include "config/origin.h"

#define TREE_DEPTH_MAX 8

struct statement {
	struct str name;   /* in the text */
	size_t start, end; /* bytes of the text it takes */
	struct config_position at;
	/* options */
	bool is_list, is_append; /* = { ... }, += ... */
	/* sections */
	bool is_section;
	struct str title;        /* in the text; empty for `tls { }` */
	size_t body, body_end;   /* between the braces */
	int body_line;           /* of the text, at body */
	struct statement *items; /* owned */
	size_t nitems;
};

struct tree {
	const char *text;              /* borrowed */
	const struct origins *origins; /* borrowed */
	struct statement root;         /* the whole text as a section */
};

/* Reports what is not a statement and what stands there twice. Always
 * returns a tree, of the statements that are good. */
struct tree *tree_read(
    const char *text, const struct origins *origins, struct config_messages *m);
void tree_free(struct tree **t);

#endif
