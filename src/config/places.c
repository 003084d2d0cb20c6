/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The files and folders that the server makes when it starts: what would keep
 * it from that is found here. Only the check role looks, with the rights that
 * the master keeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/check.h"
#include "config/section.h"

#define PATH_ROOM 256

/* May something be made there, and so many folders on the way? -1: errno.
 * The path is absolute. */
static int
can_make(const char *path, unsigned folders)
{
	char place[PATH_ROOM], *slash;
	int ret;

	str_copy(place, sizeof place, str_of(path));
	do {
		slash = strrchr(place, '/');
		slash[slash == place] = '\0';
		ret = access(place, W_OK | X_OK);
	} while (ret == -1 && errno == ENOENT && folders-- > 0);
	return ret;
}

static void
complain(const struct portero_conf *s, const char *option, const char *path,
    struct config_messages *m)
{
	config_error(m, section_at(s, option), "%s: cannot make %s: %s",
	    option, path, strerror(errno));
}

/* What is there already is judged by whoever takes it over. */
static void
check_made(const struct portero_conf *s, const char *option, const char *path,
    unsigned folders, struct config_messages *m)
{
	struct stat st;

	if (lstat(path, &st) == -1 && can_make(path, folders) == -1)
		complain(s, option, path, m);
}

static void
check_chroot(const struct config *c, struct config_messages *m)
{
	struct config_position at = section_at(c->root, "chroot_dir");
	struct stat st;

	if (geteuid() != 0)
		return; /* nobody is locked in */
	if (lstat(c->chroot_dir, &st) == -1)
		check_made(c->root, "chroot_dir", c->chroot_dir, 1, m);
	else if (!S_ISDIR(st.st_mode))
		config_error(
		    m, at, "chroot_dir %s is not a folder", c->chroot_dir);
	else if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		config_error(m, at,
		    "chroot_dir %s: others than root may write to it",
		    c->chroot_dir);
}

static void
check_log(const struct config *c, struct config_messages *m)
{
	const struct portero_conf *s = config_section(c->root, "log", 0);
	int fd;

	if (c->log_to != CONFIG_LOG_FILE)
		return;
	fd = open(c->log_file,
	    O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd != -1)
		close(fd);
	else if (errno != ENOENT)
		config_error(m, section_at(s, "file"),
		    "cannot write to %s: %s", c->log_file, strerror(errno));
	else if (can_make(c->log_file, 0) == -1)
		complain(s, "file", c->log_file, m);
}

/* Without it counters live in memory, and that is told. */
static void
check_state(const struct config *c, struct config_messages *m)
{
	struct stat st;
	bool exists;

	if (*c->state_dir == '\0')
		return;
	exists = lstat(c->state_dir, &st) == 0;
	if (!exists && can_make(c->state_dir, 0) == 0)
		return;
	if (exists && !S_ISDIR(st.st_mode))
		errno = ENOTDIR;
	else if (exists && access(c->state_dir, W_OK | X_OK) == 0)
		return;
	config_warning(m, section_at(c->root, "state_dir"),
	    "cannot use state_dir %s: %s; counters will not outlive a restart",
	    c->state_dir, strerror(errno));
}

void
check_places(const struct config *c, struct config_messages *m)
{
	check_made(c->root, "control_socket", c->control_socket, 2, m);
	check_chroot(c, m);
	if (*c->pid_file != '\0')
		check_made(c->root, "pid_file", c->pid_file, 0, m);
	check_log(c, m);
	check_state(c, m);
}
