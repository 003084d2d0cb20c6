/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shares as files or memfds. A file is locked as long as any process has it
 * open (children inherit the lock with the descriptor), so that counters are
 * never kept by two masters at once. Another size is another file under the
 * same name: who still uses the old one keeps it.
 */
#include "master/shares.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/share.h"

#define SHARE_MAX_BYTES (UINT64_C(64) << 30)
#define LOCK_TRIES 50 /* 100 ms apart: an earlier master's children go */

struct share_entry {
	struct share_entry *next;
	char name[64];
	uint64_t bytes;
	int fd;
	unsigned users; /* generations */
};

static void
do_without(struct shares *s, const char *dir, const char *why)
{
	if (s->dir_fd != -1)
		close(s->dir_fd);
	s->dir_fd = -1;
	log_say(LOG_LEVEL_WARNING, "state_dir",
	    "cannot use %s: %s; counters do not outlive a restart", dir, why);
}

int
shares_open(struct shares *s, const char *dir, struct error *err)
{
	struct stat st;

	*s = (struct shares){ .dir_fd = -1 };
	if (*dir == '\0')
		return 0;
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd == -1 || fstat(s->dir_fd, &st) == -1)
		do_without(s, dir, strerror(errno));
	else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
	    (st.st_uid != 0 && st.st_uid != geteuid()))
		do_without(s, dir, "others may write to it");
	else if (flock(s->dir_fd, LOCK_EX | LOCK_NB) == -1)
		return error_set(err, ERROR_PERMANENT,
		    "the state folder %s is in use by another porterod", dir);
	return 0;
}

/* ---- files --------------------------------------------------------------- */

/* "policy quota" -> "policy-quota.shm". false: not a name for a file. */
static bool
file_name(char to[80], const char *name)
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ";
	char *p;

	if (*name == '\0' || strspn(name, allowed) != strlen(name))
		return false;
	snprintf(to, 80, "%.63s.shm", name);
	for (p = to; *p != '\0'; p++)
		if (*p == ' ')
			*p = '-';
	return true;
}

static void
tell_forgotten(const char *name)
{
	log_say(LOG_LEVEL_WARNING, "state_dir",
	    "%s has another size or owner than it had: what was counted in it "
	    "is forgotten", name);
}

/* Another size is for another file. -1 with errno. */
static int
open_file(int dir_fd, const char *file, uint64_t bytes)
{
	const int flags =
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	struct stat st;
	int fd = openat(dir_fd, file, flags, 0600);

	if (fd == -1 || fstat(fd, &st) == -1)
		return fd;
	if (S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid == geteuid() && (st.st_mode & 077) == 0 &&
	    (st.st_size == 0 || (uint64_t)st.st_size == bytes))
		return fd;
	close(fd);
	tell_forgotten(file);
	if (unlinkat(dir_fd, file, 0) == -1)
		return -1;
	return openat(dir_fd, file, flags | O_EXCL, 0600);
}

static int
lock_file(int fd)
{
	const struct timespec pause = { 0, 100 * CLOCK_NS_PER_MS };
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	return -1;
}

static void
do_without_file(const char *file, const char *why)
{
	log_say(LOG_LEVEL_WARNING, "state_dir",
	    "cannot use %s: %s; its counters do not outlive a restart", file,
	    why);
}

/* -1: reason in err; -2: no file is to be had, but memory would do. */
static int
open_kept(struct shares *s, const struct plan_module *m, struct error *err)
{
	char file[80];
	int fd;

	if (s->dir_fd == -1 || !file_name(file, m->name))
		return -2;
	fd = open_file(s->dir_fd, file, m->share_bytes);
	if (fd == -1) {
		do_without_file(file, strerror(errno));
		return -2;
	}
	if (lock_file(fd) == -1) {
		close(fd);
		return error_set(err, ERROR_TEMPORARY,
		    "%s in the state folder is in use by processes of another "
		    "or an earlier start", file);
	}
	if (share_header_init(fd, m->share_bytes, m->name, err) == 0)
		return fd;
	close(fd);
	do_without_file(file, err->text);
	return -2;
}

/* ---- entries ------------------------------------------------------------- */

static struct share_entry *
find(struct shares *s, const struct plan_module *m)
{
	struct share_entry *e;

	for (e = s->first; e != NULL; e = e->next)
		if (e->bytes == m->share_bytes && strcmp(e->name, m->name) == 0)
			return e;
	return NULL;
}

static int
open_memory(const struct shares *s, const struct plan_module *m,
    struct error *err)
{
	int fd = memfd_create(m->name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const struct share_entry *e;

	for (e = s->first; e != NULL; e = e->next)
		if (strcmp(e->name, m->name) == 0)
			tell_forgotten(m->name);
	if (fd == -1)
		return error_set(err, ERROR_TEMPORARY, "memfd_create: %s",
		    strerror(errno));
	if (share_header_init(fd, m->share_bytes, m->name, err) == -1) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

static struct share_entry *
add(struct shares *s, const struct plan_module *m, struct error *err)
{
	struct share_entry *e;
	int fd;

	if (m->share_bytes > SHARE_MAX_BYTES) {
		error_set(err, ERROR_PERMANENT,
		    "%s wants %llu bytes of shared memory", m->name,
		    (unsigned long long)m->share_bytes);
		return NULL;
	}
	fd = open_kept(s, m, err);
	if (fd == -2)
		fd = open_memory(s, m, err);
	if (fd == -1)
		return NULL;
	e = xcalloc(1, sizeof(*e));
	str_copy(e->name, sizeof(e->name), str_of(m->name));
	e->bytes = m->share_bytes;
	e->fd = fd;
	e->next = s->first;
	s->first = e;
	return e;
}

int
shares_use(struct shares *s, const struct plan *plan, int fds[],
    struct error *err)
{
	struct share_entry *e;
	unsigned i;

	for (i = 0; i < plan->nmodules; i++) {
		fds[i] = -1;
		if (plan->modules[i].share_bytes == 0)
			continue;
		e = find(s, &plan->modules[i]);
		if (e == NULL)
			e = add(s, &plan->modules[i], err);
		if (e == NULL) {
			shares_release(s, plan, i);
			return -1;
		}
		e->users++;
		fds[i] = e->fd;
	}
	return 0;
}

void
shares_release(struct shares *s, const struct plan *plan, unsigned n)
{
	struct share_entry **at, *e;
	unsigned i;

	for (i = 0; i < n; i++)
		if (plan->modules[i].share_bytes != 0) {
			e = find(s, &plan->modules[i]);
			if (e != NULL)
				e->users--;
		}
	at = &s->first;
	while ((e = *at) != NULL) {
		if (e->users > 0) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		close(e->fd);
		free(e);
	}
}

void
shares_close(struct shares *s)
{
	struct share_entry *e;

	while ((e = s->first) != NULL) {
		s->first = e->next;
		close(e->fd);
		free(e);
	}
	if (s->dir_fd != -1)
		close(s->dir_fd);
	s->dir_fd = -1;
}
