/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The secrets of a role's modules: read by the still privileged process, and
 * put in place of their paths when the plugins' options are known.
 */
#ifndef POLICY_SECRETS_H
#define POLICY_SECRETS_H

#include "base/error.h"
#include "config/conf.h"

struct plugin_set;
struct secrets;

/* Reads the `*_file` options of the modules of these kinds (PLUGIN_KIND); one
 * that turns out to be a secret and could not be read as such fails later. */
struct secrets *secrets_read(const struct config *c, unsigned kinds);
void secrets_free(struct secrets **s);
/* Puts them into every option of type PORTERO_OPT_SECRET of the section. */
int secrets_put(const struct secrets *s, struct portero_conf *conf,
    const struct portero_option *options, struct error *err);

/* The same for all modules whose plugins' options are known. */
int secrets_put_all(const struct secrets *s, struct config *c,
    const struct plugin_set *plugins, struct error *err);

#endif
