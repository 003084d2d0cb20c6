/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A table of fixed-size records in memory shared by several processes, any of
 * which may be killed at any instruction.
 *
 * Records are grouped in shards, each under a robust mutex. A transaction
 * locks one shard, plans its changes in the shard's journal and commits: the
 * journal is marked whole, copied to the records, and cleared. Who finds the
 * owner of a lock dead repeats a journal that was whole and drops one that was
 * not: a change is seen entirely or not at all, also over several records.
 * Nothing in it is a pointer.
 *
 * Beyond the contract: find and each see what the transaction itself planned;
 * a record is absent from the second in which it expires; what find returned
 * is valid until commit or abort; lock gives up after half a second; a commit after a
 * removal that the journal had no room for does nothing.
 *
 * The interface is the `table_*` group of struct portero_host
 * (include/portero/plugin.h), whose comments are the contract; these functions
 * have the same signatures.
 */
#ifndef BASE_SHM_TABLE_H
#define BASE_SHM_TABLE_H

#include <portero/plugin.h>

size_t shm_table_size(const struct portero_table_spec *spec);
struct portero_table *shm_table_open(void *memory, size_t bytes,
    const struct portero_table_spec *spec, enum portero_share_state state,
    char err[256]);
void shm_table_close(struct portero_table *t);
int shm_table_lock(struct portero_table *t, const struct portero_key *place);
const void *shm_table_find(struct portero_table *t, const struct portero_key *key);
int shm_table_save(struct portero_table *t, const struct portero_key *key,
    const void *record, int64_t expires_at);
void shm_table_remove(struct portero_table *t, const struct portero_key *key);
void shm_table_commit(struct portero_table *t);
void shm_table_abort(struct portero_table *t);
void shm_table_each(struct portero_table *t,
    void (*each)(void *arg, const struct portero_key *, const void *record),
    void *arg);
uint32_t shm_table_some(struct portero_table *t, uint32_t from, uint32_t places,
    void (*each)(void *arg, const struct portero_key *, const void *record),
    void *arg);

#endif
