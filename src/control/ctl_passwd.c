/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * `porteroctl passwd`. A reader of the users file sees the old or the new one,
 * whole; two writers take turns by a lock on the folder; passwords are wiped.
 */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/porteroctl.h"

#define FILE_MAX_BYTES (64 * 1024 * 1024)
#define FILE_MODE 0640
#define FILE_GROUP "portero-auth"

/* ---- the hash ----------------------------------------------------------- */

/* The yescrypt hash of a new password; the caller frees it. */
static char *
make_hash(struct error *err)
{
	static struct crypt_data data;
	struct password p;
	char *hash = NULL, salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *made;

	if (ctl_password(&p, "New password: ", "The same again: ", err) ==
	    0) {
		made = crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt);
		if (made != NULL)
			made = crypt_rn(p.text, salt, &data, sizeof data);
		if (made != NULL)
			hash = xstrdup(made);
		else
			error_set(err, ERROR_INTERNAL, "yescrypt: %s",
			    strerror(errno));
	}
	explicit_bzero(&p, sizeof p);
	explicit_bzero(&data, sizeof data);
	return hash;
}

/* ---- the file ----------------------------------------------------------- */

static int
file_error(struct error *err, const char *path)
{
	return error_set(err, ERROR_INTERNAL, "%s: %s", path, strerror(errno));
}

/* Its content, and in *st whose it is; a file that is not there is empty and
 * will be root's and the auth workers'. */
static int
read_file(
    const char *path, struct buf *text, struct stat *st, struct error *err)
{
	const struct group *group;
	char block[65536];
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1 && errno == ENOENT) {
		group = geteuid() == 0 ? getgrnam(FILE_GROUP) : NULL;
		*st = (struct stat){ .st_mode = FILE_MODE,
			.st_uid = geteuid(),
			.st_gid = group == NULL ? getegid() : group->gr_gid };
		return 0;
	}
	if (fd == -1)
		return file_error(err, path);
	errno = EINVAL; /* for what is no plain file */
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		while ((n = read(fd, block, sizeof block)) > 0 &&
		       buf_len(text) < FILE_MAX_BYTES)
			buf_append(text, block, (size_t)n);
	if (n == -1)
		file_error(err, path);
	else if (n > 0)
		n = error_set(err, ERROR_INTERNAL, "%s: more than %d bytes",
		    path, FILE_MAX_BYTES);
	close(fd);
	return n == 0 ? 0 : -1;
}

static int
write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (; len > 0; data += n, len -= (size_t)n) {
		n = write(fd, data, len);
		if (n == -1)
			return -1;
	}
	return 0;
}

/* Puts the text in the place of the file, with the owner and mode of st. */
static int
replace_file(const char *path, const struct buf *text, const struct stat *st,
    int folder, struct error *err)
{
	char *temporary = xasprintf("%s.XXXXXX", path);
	int fd = mkostemp(temporary, O_CLOEXEC), ret = -1;

	if (fd == -1) {
		file_error(err, temporary);
		goto out;
	}
	if (fchown(fd, st->st_uid, st->st_gid) == -1 ||
	    fchmod(fd, st->st_mode & 0777) == -1 ||
	    (buf_len(text) > 0 &&
		write_all(fd, buf_data(text), buf_len(text)) == -1) ||
	    fsync(fd) == -1 || rename(temporary, path) == -1) {
		file_error(err, temporary);
		unlink(temporary);
		goto out;
	}
	fsync(folder);
	ret = 0;
out:
	if (fd != -1)
		close(fd);
	free(temporary);
	return ret;
}

static int
change_file(const char *path, const struct passwd_edit *e, struct error *err)
{
	struct buf before = { .mem = NULL }, after = { .mem = NULL };
	char *real = realpath(path, NULL), *copy;
	struct stat st;
	int folder, ret = -1;

	if (real == NULL) /* not there: made under the given name */
		real = xstrdup(path);
	copy = xstrdup(real);
	folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder == -1 || flock(folder, LOCK_EX) == -1)
		file_error(err, copy);
	else if (read_file(real, &before, &st, err) == 0 &&
		 passwd_edit(
		     (struct str){
			 buf_len(&before) == 0 ? "" : buf_data(&before),
			 buf_len(&before) },
		     e, &after, err) == 0)
		ret = replace_file(real, &after, &st, folder, err);
	if (folder != -1)
		close(folder);
	buf_wipe(&before);
	buf_wipe(&after);
	free(copy);
	free(real);
	return ret;
}

json_t *
ctl_passwd(const char *path, struct passwd_edit e)
{
	static const char *const did[] = { [PASSWD_SET] = "password set",
		[PASSWD_DELETE] = "deleted",
		[PASSWD_LOCK] = "locked" };
	struct error err = { .kind = ERROR_NONE };
	char *hash = NULL, *text;
	json_t *answer;
	int ret = 0;

	if (!passwd_name_ok(e.name))
		return answer_error(REASON_USAGE,
		    "\"%s\" cannot be a name in a users file", e.name);
	if (e.class_name != NULL && !passwd_class_ok(e.class_name))
		return answer_error(REASON_USAGE,
		    "\"%s\" cannot be a class in a users file", e.class_name);
	if (e.change == PASSWD_SET) {
		e.hash = hash = make_hash(&err);
		ret = hash == NULL ? -1 : 0;
	}
	if (ret == 0)
		ret = change_file(path, &e, &err);
	free(hash);
	if (ret == -1)
		return answer_error(
		    e.change != PASSWD_SET && err.kind == ERROR_PERMANENT
			? REASON_NOT_FOUND
			: REASON_FAILED,
		    "%s", err.text);
	text = xasprintf("%s: %s in %s", e.name, did[e.change], path);
	answer = answer_text(str_of(text));
	free(text);
	return answer;
}
