/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shared memory segments. What is mapped was checked: a segment of another
 * kind, layout or length is refused, and a memfd cannot change its length
 * afterwards, so that no access to it ever faults.
 */
#include "base/shm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int
write_header(int fd, uint32_t magic, uint32_t layout, size_t size)
{
	struct shm_header h = { .magic = magic, .layout = layout, .size = size };

	if (ftruncate(fd, (off_t)size) == -1)
		return -1;
	if (pwrite(fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
		return -1;
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int
shm_create(const char *name, uint32_t magic, uint32_t layout, size_t size,
    struct error *err)
{
	int fd;

	assert(size >= sizeof(struct shm_header));
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return error_set(err, ERROR_INTERNAL,
		    "shared memory %s: memfd_create: %s", name,
		    strerror(errno));
	if (write_header(fd, magic, layout, size) == -1) {
		error_set(err, ERROR_INTERNAL,
		    "shared memory %s: cannot set it to %zu bytes: %s", name,
		    size, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int
check(const struct shm_header *h, uint32_t magic, uint32_t layout, size_t size,
    struct error *err)
{
	if (h->magic != magic)
		return error_set(err, ERROR_PERMANENT,
		    "shared memory: magic is %08x, expected %08x", h->magic,
		    magic);
	if (h->layout != layout)
		return error_set(err, ERROR_PERMANENT,
		    "shared memory: layout is %u, expected %u", h->layout,
		    layout);
	if (h->size != size)
		return error_set(err, ERROR_PERMANENT,
		    "shared memory: header says %llu bytes, it has %zu",
		    (unsigned long long)h->size, size);
	return 0;
}

void *
shm_map(int fd, uint32_t magic, uint32_t layout, size_t *size_r,
    struct error *err)
{
	struct shm_header h;
	struct stat st;
	size_t size;
	void *p;

	if (fstat(fd, &st) == -1) {
		error_set(err, ERROR_INTERNAL, "shared memory: fstat: %s",
		    strerror(errno));
		return NULL;
	}
	size = (size_t)st.st_size;
	if (pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h) {
		error_set(err, ERROR_PERMANENT,
		    "shared memory: %zu bytes cannot hold a header", size);
		return NULL;
	}
	if (check(&h, magic, layout, size, err) == -1)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		error_set(err, ERROR_INTERNAL, "shared memory: mmap: %s",
		    strerror(errno));
		return NULL;
	}
	if (size_r != NULL)
		*size_r = size;
	return p;
}

void
shm_unmap(void **p, size_t size)
{
	if (*p == NULL)
		return;
	munmap(*p, size);
	*p = NULL;
}
