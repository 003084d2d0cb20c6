/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What stands between the limits and the plugin of the store section: what
 * becomes of them while a remote store is away (on_store_failure), and the
 * warnings when a person nears a maximum.
 *
 * With `local` each host knows what the store said last about every counter
 * (the mirror) and notes what it lets through without the store (the
 * journal). Of n hosts each lets through at most the n-th part of what is
 * left as far as it knows:
 *
 *   n * (journal + amount) + mirror <= maximum
 *
 * When the store is back the journal is charged there, each message at its
 * time and once; until a person's entries are with the store that person is
 * judged by the host alone.
 *
 * All workers of the host share what is known of the store: the first that
 * finds it away says so, the others do not ask; each second one of them tries
 * again, beside the questions.
 */
#ifndef POLICY_STORE_H
#define POLICY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "base/error.h"
#include "ipc/shared.h"

struct plugin;
struct store;

/* Bytes of shared memory that a store section needs beside its plugin's. */
size_t store_size(const struct portero_conf *options, bool is_remote);
/* Check role: what is wrong with the core's options of the section. */
int store_check(const struct portero_conf *options, struct error *err);

/* p: borrowed, its plugin is open. memory: of store_size() bytes. */
struct store *store_open(const struct plugin *p, void *memory, size_t bytes,
    enum portero_share_state state, struct error *err);
void store_close(struct store **s);
/* Whose counters are written, and how long a question to the policies may
 * take; shared is borrowed. */
void store_start(struct store *s, struct shared *shared, unsigned row,
    int64_t question_ms);

/* As portero_store.apply(), but of a remote store the results alone tell: 0
 * always. Nobody waits for it longer than STORE_PATIENCE_MS, nor longer than
 * half a question. */
#define STORE_PATIENCE_MS 200
int store_apply(struct store *s, struct portero_op *ops, size_t n);

bool store_needs_tending(const struct store *s);
/* Between questions: tries a store that is away, charges what is in the
 * journal. Returns when (monotonic) to call it again, 0: no need. */
int64_t store_tend(struct store *s);

/* The lines of `porteroctl store status`. */
void store_status(struct store *s,
    void (*row)(void *arg, const char *name, const char *value), void *arg);

#endif
