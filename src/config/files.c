/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The files and users that a configuration names. Only the check role looks,
 * as root, so that a reload fails here and not in a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/secret.h"
#include "config/check.h"
#include "config/module.h"
#include "config/section.h"

#define EXPIRES_SOON_S ((time_t)30 * 86400)

/* The open file, or NULL after an error message. */
static FILE *
open_file(const char *path, bool secret, struct config_position at,
    struct config_messages *m)
{
	struct stat st;
	FILE *f = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1 || fstat(fd, &st) == -1)
		config_error(
		    m, at, "cannot read %s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		config_error(m, at, "%s is not a regular file", path);
	else if (secret && (st.st_mode & S_IRWXO) != 0)
		config_error(m, at,
		    "anyone may read or write %s; chmod o= "
		    "would help",
		    path);
	else
		f = fdopen(fd, "r");
	if (f == NULL && fd != -1)
		close(fd);
	return f;
}

/* ---- certificates ------------------------------------------------------ */

/* Without it OpenSSL would ask at the terminal. */
static int
no_password(char *to, int size, int rwflag, void *arg)
{
	(void)to;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static X509 *
read_certificate(
    const char *path, struct config_position at, struct config_messages *m)
{
	FILE *f = open_file(path, false, at, m);
	X509 *x;

	if (f == NULL)
		return NULL;
	x = PEM_read_X509(f, NULL, no_password, NULL);
	fclose(f);
	if (x == NULL)
		config_error(m, at, "%s holds no certificate in PEM", path);
	ERR_clear_error();
	return x;
}

static EVP_PKEY *
read_key(const char *path, struct config_position at, struct config_messages *m)
{
	FILE *f = open_file(path, true, at, m);
	EVP_PKEY *key;

	if (f == NULL)
		return NULL;
	key = PEM_read_PrivateKey(f, NULL, no_password, NULL);
	fclose(f);
	if (key == NULL)
		config_error(m, at,
		    "%s holds no private key in PEM without a "
		    "password",
		    path);
	ERR_clear_error();
	return key;
}

static void
check_dates(const char *path, X509 *x, struct config_position at,
    struct config_messages *m)
{
	time_t soon = time(NULL) + EXPIRES_SOON_S;

	if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		config_error(
		    m, at, "the certificate in %s is not valid yet", path);
	else if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		config_error(m, at, "the certificate in %s has expired", path);
	else if (X509_cmp_time(X509_get0_notAfter(x), &soon) < 0)
		config_warning(m, at,
		    "the certificate in %s expires in less "
		    "than 30 days",
		    path);
}

/* The certificate, after a look at its dates and at whether the key is its
 * own; NULL: it cannot be read. */
static X509 *
check_fit(const char *certificate, struct config_position at, const char *key,
    struct config_position key_at, struct config_messages *m)
{
	X509 *x = read_certificate(certificate, at, m);
	EVP_PKEY *pkey = read_key(key, key_at, m);

	if (x != NULL)
		check_dates(certificate, x, at, m);
	if (x != NULL && pkey != NULL && X509_check_private_key(x, pkey) != 1)
		config_error(m, key_at,
		    "the key in %s does not belong to the "
		    "certificate in %s",
		    key, certificate);
	ERR_clear_error();
	EVP_PKEY_free(pkey);
	return x;
}

static void
check_pair(const struct config *c, const struct config_tls *tls, size_t i,
    struct config_messages *m)
{
	const struct portero_conf *s =
	    config_section(c->root, "tls", (size_t)(tls - c->tls));
	struct config_position at = section_at(s, "certificate");
	X509 *x = check_fit(tls->certificate[i], at, tls->key[i],
	    section_at(s, "key"), m);

	/* only the first section serves clients that name no server */
	if (x != NULL && tls == c->tls && c->hostname != NULL &&
	    X509_check_host(x, c->hostname, 0, 0, NULL) != 1)
		config_warning(m, at,
		    "the certificate in %s does not cover "
		    "hostname %s",
		    tls->certificate[i], c->hostname);
	ERR_clear_error();
	X509_free(x);
}

/* What an upstream must show us, and what we show it. */
static void
check_access(const struct config_upstream *u, const struct portero_conf *s,
    struct config_messages *m)
{
	struct error err;

	if (u->ca_file != NULL)
		X509_free(read_certificate(
		    u->ca_file, section_at(s, "ca_file"), m));
	if (u->certificate != NULL && u->key != NULL)
		X509_free(check_fit(u->certificate,
		    section_at(s, "certificate"), u->key,
		    section_at(s, "key"), m));
	if (u->password_file != NULL &&
	    secret_check_file(u->password_file, &err) == -1)
		config_error(
		    m, section_at(s, "password_file"), "%s", err.text);
}

/* ---- files of modules -------------------------------------------------- */

/* Root has no more rights here than its files give it. The plugin opens its
 * file as the user of its role, and so learns what we cannot. */
static bool
is_closed_to_root(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd != -1)
		close(fd);
	if (fd != -1 || errno != EACCES || geteuid() != 0)
		return false;
	if (stat(path, &st) == -1)
		return errno == EACCES;
	return S_ISREG(st.st_mode);
}

static void
check_file(
    const char *path, struct config_position at, struct config_messages *m)
{
	FILE *f = open_file(path, false, at, m);

	if (f != NULL)
		fclose(f);
}

/* Whose options nobody knows yet. What ends with _file may turn out to be a
 * secret, which the host reads as root. */
static void
check_module(const struct config_module *module, struct config_messages *m)
{
	struct error err;

	for (size_t k = 0; k < module->nfiles; k++) {
		struct module_file *file = &module->files[k];

		if (!is_closed_to_root(file->path))
			check_file(file->path, file->at, m);
		if (file->has_suffix &&
		    secret_check_file(file->path, &err) == -1)
			file->fault = xstrdup(err.text);
	}
}

static const struct module_file *
find_file(const struct config_module *module, const char *path)
{
	for (size_t k = 0; k < module->nfiles; k++)
		if (module->files[k].has_suffix &&
		    strcmp(module->files[k].path, path) == 0)
			return &module->files[k];
	return NULL;
}

static void
check_secrets(const struct config_module *module, const struct portero_conf *s,
    struct config_messages *m)
{
	for (size_t i = 0; i < s->nslots; i++) {
		const struct slot *slot = &s->slots[i];
		const struct module_file *file;

		for (size_t k = 0; k < slot->nsections; k++)
			check_secrets(module, slot->sections[k], m);
		if (slot->option->type != PORTERO_OPT_SECRET ||
		    slot->nitems == 0)
			continue;
		file = find_file(module, slot->items[0]);
		if (file == NULL)
			config_error(m, slot->at,
			    "plugin %s: %s is a secret, so its name must end "
			    "with _file, and it cannot have a default",
			    module->plugin, slot->option->name);
		else if (file->fault != NULL)
			config_error(m, slot->at, "%s", file->fault);
	}
}

void
config_check_secrets(const struct config *seen, const struct config *c,
    struct config_messages *m)
{
	/* both come from one text: modules stand at the same places */
	for (size_t i = 0; i < c->nmodules && i < seen->nmodules; i++)
		if (c->modules[i].options != NULL)
			check_secrets(
			    &seen->modules[i], c->modules[i].options, m);
}

/* ---- folders and users ------------------------------------------------- */

static void
check_plugin_dir(const struct config *c, struct config_messages *m)
{
	struct config_position at = section_at(c->root, "plugin_dir");
	struct stat st;

	if (stat(c->plugin_dir, &st) == -1)
		config_error(m, at, "cannot use plugin_dir %s: %s",
		    c->plugin_dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		config_error(
		    m, at, "plugin_dir %s is not a folder", c->plugin_dir);
}

static void
check_user(
    const struct config *c, const char *option, struct config_messages *m)
{
	const char *user = config_get_string(c->root, option);
	const struct passwd *pw = getpwnam(user);
	struct config_position at = section_at(c->root, option);

	if (pw == NULL)
		config_error(m, at, "%s: there is no user %s", option, user);
	else if (pw->pw_uid == 0)
		config_error(m, at,
		    "%s: %s has all rights; the worker must "
		    "have none",
		    option, user);
}

static void
check_users(const struct config *c, struct config_messages *m)
{
	if (geteuid() != 0)
		return; /* all roles run as whoever we are */
	check_user(c, "user", m);
	check_user(c, "user_auth", m);
	check_user(c, "user_policy", m);
	if (config_is_set(c->root, "group_control") &&
	    getgrnam(c->group_control) == NULL)
		config_warning(m, section_at(c->root, "group_control"),
		    "there is no group %s; the control socket is for the group "
		    "of %s",
		    c->group_control, c->user_policy);
}

void
config_check_files(const struct config *c, struct config_messages *m)
{
	for (size_t i = 0; i < c->ntls; i++)
		for (size_t k = 0; c->tls[i].certificate[k] != NULL &&
				   c->tls[i].key[k] != NULL;
		     k++)
			check_pair(c, &c->tls[i], k, m);
	for (size_t i = 0; i < c->nupstreams; i++)
		check_access(&c->upstreams[i],
		    config_section(c->root, "upstream", i), m);
	for (size_t i = 0; i < c->nmodules; i++)
		check_module(&c->modules[i], m);
	check_plugin_dir(c, m);
	check_places(c, m);
	check_users(c, m);
}
