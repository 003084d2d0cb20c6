/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A line in the log when somebody's use of a limit passes one of the
 * percentages of warn_at: once for each counter, percentage and window.
 */
#ifndef POLICY_WARNING_H
#define POLICY_WARNING_H

#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "base/error.h"

struct warner;

size_t warner_size(void);
/* Are the percentages such? -1: reason in err. */
int warner_check(const struct portero_conf *options, struct error *err);
/* NULL: reason in err. */
struct warner *warner_open(const struct portero_conf *options, void *memory,
    size_t bytes, enum portero_share_state state, char err[256]);
void warner_close(struct warner **w);

/* Looks at a take that the store has done; at anything else not. */
void warner_look(struct warner *w, const struct portero_op *op);

#endif
