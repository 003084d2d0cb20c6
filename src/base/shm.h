/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shared memory segments: memfds (or a mapped file), made by the master,
 * inherited by descriptor, each beginning with magic, layout and size, so that
 * a process never maps what it does not understand.
 */
#ifndef BASE_SHM_H
#define BASE_SHM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct shm_header {
	uint32_t magic;
	uint32_t layout;
	uint64_t size;
};

/* A new zeroed segment with its header written; sealed against resizing.
 * Returns the descriptor (close-on-exec) or -1. */
int shm_create(const char *name, uint32_t magic, uint32_t layout, size_t size,
    struct error *err);
/* Maps it shared, after checking the header. NULL: reason in err. */
void *shm_map(int fd, uint32_t magic, uint32_t layout, size_t *size_r,
    struct error *err);
void shm_unmap(void **p, size_t size);

#endif
