/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Policies about logins (stage LOGIN). They are asked before a password is
 * looked at and told what became of it; they never see one.
 *
 * An attempt has no identity yet: what is counted is counted for the typed
 * name and for the client's network. Before it the counters are looked at,
 * after it they are charged at once. A store that is away refuses nobody: a
 * policy has its own memory for that time.
 */
#ifndef POLICY_ATTEMPTS_H
#define POLICY_ATTEMPTS_H

#include "ipc/question.h"
#include "policy/chain.h"

struct attempts;

/* As chain_new(). */
struct attempts *attempts_new(struct plugin *const *plugins, size_t n,
    const struct chain_settings *settings);
void attempts_free(struct attempts **a);

/* Does any policy want to hear of them? */
bool attempts_are_watched(const struct attempts *a);

/* Strings in *answer hold until the next call. */
void attempts_judge(struct attempts *a, const struct attempt_question *q,
    struct attempt_answer *answer);
/* When the answer has left: monitors, and what became of the login. */
void attempts_afterwards(struct attempts *a, const struct attempt_question *q);

/* What policies hold against a name. false: one could not. */
bool attempts_forget(struct attempts *a, struct str name);

#endif
