/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The host's page of a module's shared memory. The key for the module's
 * hashes lives in it, because what was hashed lives as long as it. The mutex
 * is robust: a worker that dies while its plugin opens leaves the memory as
 * it was before, new or kept, to the next one.
 */
#include "policy/share.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "base/shm.h"
#include "base/str.h"

#define LOCK_WAIT_S 10

struct share_header {
	struct shm_header shm; /* size: of the whole segment */
	pthread_mutex_t turn;
	uint8_t epoch[SHARE_EPOCH_LEN]; /* of the start that last opened it */
	uint8_t key[HASH_KEY_LEN];
	uint32_t used; /* 0: the module's bytes are still zero */
	char module[64];
};

_Static_assert(sizeof(struct share_header) <= SHARE_HEADER_SIZE,
    "the host's page");

uint64_t
share_size(uint64_t wanted)
{
	const uint64_t page = SHARE_HEADER_SIZE;

	return wanted == 0 ? 0 : page + (wanted + page - 1) / page * page;
}

static void
mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

/* Ours of an earlier run, whole. */
static bool
is_kept(const struct share_header *h, uint64_t old_size, uint64_t size,
    const char *module)
{
	return old_size == size && h->shm.magic == SHARE_MAGIC &&
	    h->shm.layout == SHARE_LAYOUT && h->shm.size == size &&
	    strncmp(h->module, module, sizeof h->module) == 0;
}

/* The descriptor's old length, and `size` now. A file gets its place on the
 * disk: to touch a page that has none, when the disk is full, would be the
 * end of whoever does. What has no name is memory, found page by page. */
static int
resize(int fd, uint64_t size, uint64_t *old_r)
{
	struct stat st;
	int saved;

	if (fstat(fd, &st) == -1)
		return -1;
	*old_r = (uint64_t)st.st_size;
	if (*old_r != size && ftruncate(fd, (off_t)size) == -1)
		return -1;
	if (st.st_nlink == 0 || fallocate(fd, 0, 0, (off_t)size) == 0 ||
	    errno == EOPNOTSUPP)
		return 0;
	saved = errno;
	if (*old_r != size && ftruncate(fd, st.st_size) == -1)
		return -1;
	errno = saved;
	return -1;
}

int
share_header_init(int fd, uint64_t size, const char *module, struct error *err)
{
	struct share_header *h;
	uint64_t old;

	assert(size > SHARE_HEADER_SIZE);
	if (resize(fd, size, &old) == -1)
		return error_set(err, ERROR_TEMPORARY,
		    "shared memory of %s: cannot set it to %llu bytes: %s",
		    module, (unsigned long long)size, strerror(errno));
	h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return error_set(err, ERROR_TEMPORARY,
		    "shared memory of %s: mmap: %s", module, strerror(errno));
	if (!is_kept(h, old, size, module)) {
		if (old != 0)
			log_say(LOG_LEVEL_WARNING, "state_dir",
			    "the file of %s holds something else; it begins "
			    "anew", module);
		memset(h, 0, old < size ? old : size);
		h->shm.magic = SHARE_MAGIC;
		h->shm.layout = SHARE_LAYOUT;
		h->shm.size = size;
		id_random(h->key, sizeof h->key);
		str_copy(h->module, sizeof h->module, str_of(module));
	}
	mutex_init(&h->turn); /* who held it is long gone */
	munmap(h, size);
	return 0;
}

void
share_epoch(const uint8_t shared_key[HASH_KEY_LEN],
    uint8_t epoch[SHARE_EPOCH_LEN])
{
	static const char text[] = "epoch of a share";

	hash_sip128(shared_key, text, sizeof text, epoch);
}

int
share_map(struct share *s, int fd, struct error *err)
{
	s->header = shm_map(fd, SHARE_MAGIC, SHARE_LAYOUT, &s->size, err);
	if (s->header == NULL)
		return -1;
	if (s->size > SHARE_HEADER_SIZE)
		return 0;
	share_unmap(s);
	return error_set(err, ERROR_PERMANENT,
	    "shared memory: nothing behind the header");
}

void
share_unmap(struct share *s)
{
	void *p = s->header;

	shm_unmap(&p, s->size);
	s->header = NULL;
}

void *
share_memory(const struct share *s, size_t *bytes_r)
{
	*bytes_r = s->size - SHARE_HEADER_SIZE;
	return (uint8_t *)s->header + SHARE_HEADER_SIZE;
}

const uint8_t *
share_key(const struct share *s)
{
	return s->header->key;
}

enum portero_share_state
share_lock(struct share *s, const uint8_t epoch[SHARE_EPOCH_LEN],
    struct error *err)
{
	struct share_header *h = s->header;
	struct timespec until;
	size_t bytes;
	void *memory = share_memory(s, &bytes);
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOCK_WAIT_S;
	ret = pthread_mutex_clocklock(&h->turn, CLOCK_MONOTONIC, &until);
	if (ret == EOWNERDEAD) {
		pthread_mutex_consistent(&h->turn);
		if (h->used == 0) /* it may have begun to write */
			memset(memory, 0, bytes);
	} else if (ret != 0) {
		error_set(err, ERROR_TEMPORARY,
		    "shared memory: another worker has been opening it for "
		    "%d s: %s",
		    LOCK_WAIT_S, strerror(ret));
		return PORTERO_SHARE_NONE;
	}
	if (h->used == 0)
		return PORTERO_SHARE_NEW;
	if (memcmp(h->epoch, epoch, SHARE_EPOCH_LEN) != 0)
		return PORTERO_SHARE_KEPT;
	return PORTERO_SHARE_IN_USE;
}

void
share_unlock(struct share *s, const uint8_t epoch[SHARE_EPOCH_LEN], bool opened)
{
	struct share_header *h = s->header;
	size_t bytes;
	void *memory = share_memory(s, &bytes);

	if (opened) {
		memcpy(h->epoch, epoch, SHARE_EPOCH_LEN);
		h->used = 1;
	} else if (h->used == 0) {
		memset(memory, 0, bytes);
	}
	pthread_mutex_unlock(&h->turn);
}
