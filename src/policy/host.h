/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The services that a plugin may call (struct portero_host), one host for
 * each module, and the deadline of the question in hand, one for the process.
 */
#ifndef POLICY_HOST_H
#define POLICY_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/str.h"

struct host {
	struct portero_host api; /* what the plugin sees */
	const char *section;     /* borrowed from the config; for the log */
	uint8_t key[HASH_KEY_LEN];
};

/* What a plugin or the host has to say of the question in hand. */
void host_say(const char *section, enum portero_level level, const char *text);
/* From here on all of it, debug lines too, goes to `step` as well. */
typedef void host_step(void *arg, const char *section,
    enum portero_level level, const char *text);
void host_trace(host_step *step, void *arg);

/* The host of one section. Its address must not change afterwards. */
void host_init(struct host *h, const char *section,
    const uint8_t key[HASH_KEY_LEN]);

/* Once for each worker: from here on deadlines hold. */
int host_start(struct error *err);
/*
 * A question is in hand until host_end(). Plugins are given a tenth to a fifth
 * less time than there is, so that their late answer still says why; then
 * guarded descriptors are shut down and calls that wait are interrupted, every
 * 100 ms again. session_id is borrowed.
 */
void host_begin(int64_t deadline_ns, struct str session_id);
void host_end(void);
/* The plugins have no longer than so much from now, or a tenth less. false:
 * they had even less left. Holds until host_hurry_over(). */
bool host_hurry(int64_t ms);
void host_hurry_over(void);
/* Ends the next wait for a question at that time (monotonic). */
void host_wake_at(int64_t at_ns);
/* A signal ended the wait for a question: no alarm is needed any more. */
void host_rest(void);
/* The plugins' time is over. */
bool host_is_late(void);

#endif
