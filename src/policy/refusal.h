/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The replies that the policy host makes itself, and the check of those that
 * plugins make. Session id and help link are added by the session worker.
 *
 * Words for the log and the help link: quota, size, store, plugin.
 */
#ifndef POLICY_REFUSAL_H
#define POLICY_REFUSAL_H

#include <stdbool.h>

#include <portero/plugin.h>

#include "ipc/question.h"

/* A limit said no: 450 4.7.1 or 550 5.7.1, by the limit's choice and by when
 * the amount will fit. Uses amount, used, max and fits_at. */
void refusal_limit(struct portero_reply *to, const struct portero_charge *c,
    int64_t now_s);
/* 454 4.7.0: too many attempts to log in. at_s: when one will do again. */
void refusal_attempts(struct portero_reply *to, int64_t at_s);
/* 552 5.3.4. size -1: not known yet. */
void refusal_too_large(struct portero_reply *to, int64_t size, int64_t max);
/* 451 4.7.0. */
void refusal_store(struct portero_reply *to);
void refusal_plugin(struct portero_reply *to);

/*
 * Makes a plugin's reply legal: printable ASCII in every field, an enhanced
 * code of the class of the code, a default where nothing was set. Returns
 * NULL, or what was wrong, for the log. *usable false: there is nothing to be
 * made of it.
 */
const char *refusal_clamp(struct portero_reply *r,
    enum portero_verdict verdict, bool *usable);

/* As it is carried; points into *r. */
struct answer_reply refusal_view(const struct portero_reply *r);

#endif
