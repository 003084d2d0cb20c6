/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Takes possession at the start, while the master still has all its rights.
 */
#include "master/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

#define CONTROL_BACKLOG 64

/* Whatever the umask: others must get through. */
static bool
make_one(const char *path)
{
	return (mkdir(path, 0755) == 0 && chmod(path, 0755) == 0) ||
	    errno == EEXIST;
}

/* With the folder it stands in, if need be. */
static int
make_folder(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];

	if (make_one(path))
		return 0;
	if (errno == ENOENT && slash != NULL && slash != path &&
	    str_copy(parent, sizeof(parent),
		(struct str){ path, (size_t)(slash - path) }) &&
	    make_one(parent) && make_one(path))
		return 0;
	return error_set(err, ERROR_PERMANENT, "cannot make %s: %s", path,
	    strerror(errno));
}

int
claim_chroot(const char *path, struct error *err)
{
	struct stat st;

	if (make_folder(path, err) == -1)
		return -1;
	if (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode))
		return error_set(err, ERROR_PERMANENT,
		    "chroot_dir %s is not a folder", path);
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return error_set(err, ERROR_PERMANENT,
		    "chroot_dir %s: others than root may write to it", path);
	return 0;
}

int
claim_pid_file(const char *path, struct error *err)
{
	char text[16];
	int n, fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd == -1)
		return error_set(err, ERROR_PERMANENT, "cannot open %s: %s",
		    path, strerror(errno));
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		error_set(err, ERROR_PERMANENT,
		    "%s is held by another porterod", path);
	else if (ftruncate(fd, 0) == -1 || write(fd, text, (size_t)n) != n)
		error_set(err, ERROR_PERMANENT, "cannot write %s: %s", path,
		    strerror(errno));
	else
		return fd;
	close(fd);
	return -1;
}

/* A socket that nobody answers on is left from a master that was killed. */
static int
remove_stale(const struct sockaddr_un *address, struct error *err)
{
	struct stat st;
	int fd, ret, saved;

	if (lstat(address->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return error_set(err, ERROR_PERMANENT, "%s is not a socket",
		    address->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return error_set(err, ERROR_TEMPORARY, "socket: %s",
		    strerror(errno));
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	saved = errno;
	close(fd);
	if (ret == 0 || saved == EAGAIN)
		return error_set(err, ERROR_PERMANENT,
		    "another porterod answers on %s", address->sun_path);
	if (saved == ECONNREFUSED && unlink(address->sun_path) == -1)
		return error_set(err, ERROR_PERMANENT, "cannot remove %s: %s",
		    address->sun_path, strerror(errno));
	return 0;
}

/* The file gets its group and mode when it is made: there is no moment at
 * which others could connect. */
static int
bind_as(int fd, const struct sockaddr_un *address, gid_t gid)
{
	const gid_t own = getegid();
	const mode_t mask = umask(0117);
	const bool change = geteuid() == 0 && gid != own;
	int ret = -1, saved;

	if (!change || setegid(gid) == 0)
		ret = bind(fd, (const struct sockaddr *)address,
		    sizeof(*address));
	saved = errno;
	umask(mask);
	if (change && setegid(own) == -1)
		ret = -1;
	errno = saved;
	return ret;
}

int
claim_control_socket(const char *path, gid_t gid, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *slash = strrchr(path, '/');
	char dir[sizeof(address.sun_path)];
	int fd;

	str_copy(address.sun_path, sizeof(address.sun_path), str_of(path));
	if (slash != NULL && slash != path) {
		str_copy(dir, sizeof(dir),
		    (struct str){ path, (size_t)(slash - path) });
		if (make_folder(dir, err) == -1)
			return -1;
	}
	if (remove_stale(&address, err) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd != -1 && bind_as(fd, &address, gid) == 0 &&
	    listen(fd, CONTROL_BACKLOG) == 0)
		return fd;
	error_set(err, ERROR_PERMANENT, "cannot listen on %s: %s", path,
	    strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}
