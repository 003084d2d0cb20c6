/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: one allocation, wiped before it is freed.
 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

struct secret {
	size_t len;
	char data[];
};

struct secret *
secret_new(const void *data, size_t len)
{
	struct secret *s = xmalloc(sizeof *s + len);

	s->len = len;
	if (len > 0)
		memcpy(s->data, data, len);
	return s;
}

/* Opens without waiting, whatever it is, and looks at what was opened. */
static int
open_checked(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd == -1)
		return error_set(err, ERROR_PERMANENT, "cannot read %s: %s",
		    path, strerror(errno));
	if (fstat(fd, &st) == -1)
		error_set(err, ERROR_INTERNAL, "cannot stat %s: %s", path,
		    strerror(errno));
	else if (!S_ISREG(st.st_mode))
		error_set(err, ERROR_PERMANENT, "%s is not a regular file",
		    path);
	else if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		error_set(err, ERROR_PERMANENT,
		    "%s holds a secret but its mode %04o is open to others; "
		    "chmod o-rw",
		    path, (unsigned)st.st_mode & 07777);
	else if (st.st_size == 0)
		error_set(err, ERROR_PERMANENT, "%s is empty", path);
	else
		return fd;
	close(fd);
	return -1;
}

/* Reads up to size bytes; the number, or -1. */
static ssize_t
read_all(int fd, char *to, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, to + len, size - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int
secret_check_file(const char *path, struct error *err)
{
	int fd = open_checked(path, err);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

struct secret *
secret_from_file(const char *path, struct error *err)
{
	char text[SECRET_MAX + 3]; /* room for CRLF, and to see one too many */
	struct secret *s = NULL;
	ssize_t len;
	int fd;

	fd = open_checked(path, err);
	if (fd == -1)
		return NULL;
	len = read_all(fd, text, sizeof text);
	if (len == -1) {
		error_set(err, ERROR_PERMANENT, "cannot read %s: %s", path,
		    strerror(errno));
		goto out;
	}
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (len == 0)
		error_set(err, ERROR_PERMANENT, "%s is empty", path);
	else if (len > SECRET_MAX)
		error_set(err, ERROR_PERMANENT,
		    "%s is too long for a secret (more than %d bytes)", path,
		    SECRET_MAX);
	else
		s = secret_new(text, (size_t)len);
out:
	explicit_bzero(text, sizeof text);
	close(fd);
	return s;
}

struct str
secret_str(const struct secret *s)
{
	return (struct str){ s->data, s->len };
}

void
secret_free(struct secret **s)
{
	if (*s == NULL)
		return;
	explicit_bzero((*s)->data, (*s)->len);
	free(*s);
	*s = NULL;
}
