/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * auth_file: persons in a file, with crypt(3) hashes (users.h tells how it is
 * written). For tests, small sites, and the way in when the directory is
 * away.
 *
 *   auth "local" { plugin = auth_file  file = "/etc/portero/users" }
 *
 * The file is read again when it has changed. What holds: a file that is
 * broken, or readable by everybody, changes nothing; and while there has never
 * been a good one the answer is "cannot tell", not "wrong password".
 */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <portero/plugin.h>

#include "users.h"

/* Which state of the file was looked at last, good or not. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct auth_file {
	const struct portero_host *host; /* borrowed */
	char *path;
	struct users *users; /* the last good content; NULL: none yet */
	struct stamp stamp;
	int last_errno; /* of the last stat(2), so that it is logged once */
	struct crypt_data crypt;
};

static const struct portero_option options[] = {
	{ .name = "file",
	    .type = PORTERO_OPT_FILE,
	    .help = "The file of persons, readable by user_auth and not by "
		    "everybody. Lines: name:hash[:key=value,...] with keys "
		    "class, lang, size, limit and addresses. Changed by "
		    "porteroctl passwd.",
	    .required = true },
	{ .name = NULL },
};

/* ---- the file ----------------------------------------------------------- */

static bool
is_same(const struct stamp *s, const struct stat *st)
{
	return s->dev == st->st_dev && s->ino == st->st_ino &&
	    s->size == st->st_size &&
	    memcmp(&s->mtime, &st->st_mtim, sizeof s->mtime) == 0 &&
	    memcmp(&s->ctime, &st->st_ctim, sizeof s->ctime) == 0;
}

static void
set_stamp(struct stamp *s, const struct stat *st)
{
	s->dev = st->st_dev;
	s->ino = st->st_ino;
	s->size = st->st_size;
	s->mtime = st->st_mtim;
	s->ctime = st->st_ctim;
}

/* The bytes of a file of that size, or NULL. */
static char *
read_all(int fd, size_t size, char err[256])
{
	char *text = malloc(size + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (text != NULL && len < size && n > 0) {
		n = read(fd, text + len, size - len);
		if (n > 0)
			len += (size_t)n;
		else if (n == -1 && errno == EINTR)
			n = 1;
	}
	if (text != NULL && len == size)
		return text;
	snprintf(err, 256, "%s", n == -1 ? strerror(errno) :
					   "it changes while it is read");
	free(text);
	return NULL;
}

/* Hashes are worth guessing at. */
static bool
is_acceptable(const struct stat *st, char err[256])
{
	if (!S_ISREG(st->st_mode))
		snprintf(err, 256, "it is not a plain file");
	else if ((st->st_mode & S_IRWXO) != 0)
		snprintf(err, 256,
		    "everybody may read or write it (mode %04o): chmod o= it",
		    (unsigned)st->st_mode & 07777);
	else if (st->st_size > USERS_FILE_MAX)
		snprintf(err, 256, "it is larger than 64 MB");
	else
		return true;
	return false;
}

/* *st: what was read, or tried. */
static struct users *
load(const char *path, struct stat *st, char err[256])
{
	struct users *users = NULL;
	char *text = NULL;
	int fd;

	memset(st, 0, sizeof *st);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1 || fstat(fd, st) == -1) {
		snprintf(err, 256, "%s", strerror(errno));
		goto out;
	}
	if (!is_acceptable(st, err))
		goto out;
	text = read_all(fd, (size_t)st->st_size, err);
	if (text == NULL)
		goto out;
	users = users_parse(text, (size_t)st->st_size, err);
	explicit_bzero(text, (size_t)st->st_size);
out:
	free(text);
	if (fd != -1)
		close(fd);
	return users;
}

/* Takes a changed file over, or says once why not. */
static void
refresh(struct auth_file *a)
{
	char err[256] = "out of memory";
	struct users *users;
	struct stat st;

	if (stat(a->path, &st) == -1) {
		if (errno != a->last_errno)
			a->host->log(a->host, PORTERO_LOG_ERROR,
			    "%s: %s; %s", a->path, strerror(errno),
			    a->users == NULL ? "nobody can log in" :
					       "what was read before holds");
		a->last_errno = errno;
		return;
	}
	if (is_same(&a->stamp, &st) && a->last_errno == 0)
		return;
	users = load(a->path, &st, err);
	set_stamp(&a->stamp, &st);
	a->last_errno = 0;
	if (users == NULL) {
		a->host->log(a->host, PORTERO_LOG_ERROR, "%s: %s; %s", a->path,
		    err,
		    a->users == NULL ? "nobody can log in" :
				       "what was read before holds");
		return;
	}
	a->host->log(a->host, PORTERO_LOG_DEBUG, "%s: %zu persons", a->path,
	    users->n);
	users_free(&a->users);
	a->users = users;
}

/* ---- logging in --------------------------------------------------------- */

/* In the same time wherever they differ. */
static bool
is_equal(const char *a, const char *b)
{
	size_t len = strlen(a);
	unsigned char diff = 0;

	if (strlen(b) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

static bool
is_password(struct auth_file *a, const struct user *u,
    struct portero_str password)
{
	char text[CRYPT_MAX_PASSPHRASE_SIZE];
	const char *hash = NULL;
	bool right;

	if (u->hash[0] == '\0' || password.len >= sizeof text)
		return false;
	memcpy(text, password.ptr, password.len);
	text[password.len] = '\0';
	hash = crypt_rn(text, u->hash, &a->crypt, sizeof a->crypt);
	right = hash != NULL && is_equal(hash, u->hash);
	explicit_bzero(text, sizeof text);
	explicit_bzero(&a->crypt, sizeof a->crypt);
	return right;
}

static enum portero_verdict
auth_file_login(void *ctx, const struct portero_creds *creds,
    struct portero_identity *identity, struct portero_reply *reply)
{
	struct auth_file *a = ctx;
	const struct user *u;

	refresh(a);
	if (a->users == NULL)
		return PORTERO_DEFER;
	u = users_find(a->users, creds->login);
	if (u == NULL)
		return PORTERO_UNKNOWN;
	if (!is_password(a, u, creds->password))
		return PORTERO_DENY;
	*identity = u->identity;
	if (!u->suspended)
		return PORTERO_NEXT;
	portero_reply_set(reply, 525, "5.7.13",
	    "Your account is suspended. Ask your help desk.");
	snprintf(reply->reason, sizeof reply->reason, "blocked");
	return PORTERO_DENY;
}

static enum portero_verdict
auth_file_owns(void *ctx, const struct portero_identity *identity,
    struct portero_str address)
{
	const char *own = identity->addresses;
	size_t len;

	(void)ctx;
	if (strlen(identity->id) == address.len &&
	    strncasecmp(identity->id, address.ptr, address.len) == 0)
		return PORTERO_NEXT;
	for (uint32_t at = 0; at < identity->addresses_len; at += len + 1) {
		len = strlen(own + at);
		if (len == address.len &&
		    strncasecmp(own + at, address.ptr, len) == 0)
			return PORTERO_NEXT;
	}
	return PORTERO_DENY;
}

/* ---- open and close ----------------------------------------------------- */

static void
auth_file_close(void *ctx)
{
	struct auth_file *a = ctx;

	users_free(&a->users);
	free(a->path);
	free(a);
}

/* On trial another user looks, who as a rule may not read the file. */
static bool
is_broken(const char *path, char err[256])
{
	char why[256] = "out of memory";
	struct users *users;
	struct stat st;
	bool broken;

	if (access(path, R_OK) == -1 && errno == EACCES)
		return false;
	users = load(path, &st, why);
	broken = users == NULL;
	if (broken)
		snprintf(err, 256, "%.100s: %.150s", path, why);
	users_free(&users);
	return broken;
}

static int
auth_file_open(const struct portero_host *host,
    const struct portero_conf *conf, void *share, size_t share_bytes,
    enum portero_share_state state, void **ctx, char err[256])
{
	const char *path = host->get_string(conf, "file");
	struct auth_file *a;

	(void)share;
	(void)share_bytes;
	if (state == PORTERO_SHARE_NONE && is_broken(path, err))
		return -1;
	a = calloc(1, sizeof *a);
	if (a != NULL)
		a->path = strdup(path);
	if (a == NULL || a->path == NULL) {
		free(a);
		snprintf(err, 256, "out of memory");
		return -1;
	}
	a->host = host;
	if (state != PORTERO_SHARE_NONE)
		refresh(a); /* a bad file may be mended while we run */
	*ctx = a;
	return 0;
}

static const struct portero_auth auth = {
	.size = sizeof auth,
	.login = auth_file_login,
	.owns = auth_file_owns,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "auth_file",
	.version = "1",
	.options = options,
	.open = auth_file_open,
	.close = auth_file_close,
	.auth = &auth,
};
