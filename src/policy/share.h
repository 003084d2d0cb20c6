/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A module's shared memory: one page of the host's, then the module's own
 * bytes. The master makes it ready before any worker has it; the workers open
 * their plugin one after the other, under a lock in the host's page, so that
 * each learns whether it is the first.
 */
#ifndef POLICY_SHARE_H
#define POLICY_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

#include "base/error.h"
#include "base/hash.h"

#define SHARE_MAGIC 0x50525345u
#define SHARE_LAYOUT 1
#define SHARE_HEADER_SIZE 4096
#define SHARE_EPOCH_LEN 16

struct share_header;

/* What a worker has mapped. */
struct share {
	struct share_header *header; /* owned; NULL: the module has none */
	size_t size;
};

/* Bytes of a segment in which a module has `wanted`; 0 for 0. */
uint64_t share_size(uint64_t wanted);

/*
 * Master, once for each segment, before any worker has it: a new or empty
 * descriptor, or one kept from an earlier run (a file). It gets `size` bytes;
 * what it holds is kept only if it is this module's and was as long.
 */
int share_header_init(int fd, uint64_t size, const char *module,
    struct error *err);

/* Which start of the master this is; from struct shared's key, without
 * giving that away. */
void share_epoch(const uint8_t shared_key[HASH_KEY_LEN],
    uint8_t epoch[SHARE_EPOCH_LEN]);

/* Worker. */
int share_map(struct share *s, int fd, struct error *err);
void share_unmap(struct share *s);
/* The module's bytes. */
void *share_memory(const struct share *s, size_t *bytes_r);
const uint8_t *share_key(const struct share *s);
/* Waits for its turn. PORTERO_SHARE_NONE: it never came, reason in err. */
enum portero_share_state share_lock(struct share *s,
    const uint8_t epoch[SHARE_EPOCH_LEN], struct error *err);
/* opened: the plugin has taken the memory into use. */
void share_unlock(struct share *s, const uint8_t epoch[SHARE_EPOCH_LEN],
    bool opened);

#endif
