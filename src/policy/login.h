/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The auth sections, asked in the order of the file: the first answer that is
 * not "unknown here" holds, and "cannot tell" ends it too, so that a person
 * of an absent directory is never told that the password is wrong.
 */
#ifndef POLICY_LOGIN_H
#define POLICY_LOGIN_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/question.h"
#include "ipc/shared.h"
#include "policy/login_cache.h"
#include "policy/plugin.h"

struct login;

/* plugins: auth sections; borrowed, but not the array. shared: borrowed. */
struct login *login_new(struct plugin *const *plugins, size_t n,
    struct shared *shared, unsigned row,
    const char *delimiters);
void login_free(struct login **l);
/* May the answers of any section be remembered? */
bool login_wants_cache(const struct login *l);
/* From here on what may be remembered is. c: borrowed, nothing added yet. */
void login_use_cache(struct login *l, struct login_cache *c);

/* Strings in *a hold until the next call. */
void login_ask(struct login *l, const struct login_question *q,
    struct login_answer *a);
/* Asks the section the person came from. */
void login_owns(struct login *l, const struct owns_question *q,
    struct owns_answer *a);

/* Flushes the cache. */
void login_forget(struct login *l, const struct forget_question *q,
    struct forget_answer *a);

#endif
