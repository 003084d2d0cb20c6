/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Maps 64-bit ids to pointers: answers that come later find their question,
 * if it still has an owner. Ids are never zero and never reused.
 */
#ifndef BASE_IDMAP_H
#define BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap;

struct idmap *idmap_new(void);
void idmap_free(struct idmap **m);
void idmap_put(struct idmap *m, uint64_t id, void *value);
/* NULL if absent. take removes. */
void *idmap_get(const struct idmap *m, uint64_t id);
void *idmap_take(struct idmap *m, uint64_t id);
size_t idmap_count(const struct idmap *m);

#endif
