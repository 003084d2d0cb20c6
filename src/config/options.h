/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The core's own options. This table is all there is: parser, checks, help
 * and manual read it.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>

#include <portero/plugin.h>

extern const struct portero_option options_root[];

enum title_rule { TITLE_NONE, TITLE_MAY, TITLE_MUST };

/* Of a section; those of plugins must have a title. */
enum title_rule options_title(const struct portero_option *section);
/* Is it auth, store or policy, whose other options are a plugin's? */
bool options_is_module(const struct portero_option *section);
/* Does a change of this top-level option wait for a restart? */
bool options_needs_restart(const struct portero_option *o);

#endif
