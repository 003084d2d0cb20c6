/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "config/start.h"

#include <pwd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "ipc/role.h"

struct config *
start_config(const struct config_resolver *resolver, struct error *err)
{
	struct config_messages *m = config_messages_new();
	struct config *c = config_load(ROLE_FD_CONFIG, resolver, m);
	struct buf text = { .mem = NULL };

	if (c == NULL || config_errors(m) > 0) {
		config_messages_print(m, &text);
		error_set(err, ERROR_PERMANENT, "%.*s",
		    (int)buf_len(&text), buf_data(&text));
		buf_free(&text);
		config_free(&c);
	}
	config_messages_free(&m);
	return c;
}

void
start_log(const struct config *c, const char *ident)
{
	log_open(ROLE_FD_LOG,
	    c->log_to == CONFIG_LOG_SYSLOG ? LOG_SYSLOG : LOG_STREAM,
	    (enum log_level)c->log_level, ident);
}

int
start_find_user(const char *user, uid_t *uid, gid_t *gid, struct error *err)
{
	const struct passwd *pw;

	*uid = geteuid();
	*gid = getegid();
	if (*uid != 0)
		return 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return error_set(err, ERROR_PERMANENT, "no user \"%s\"", user);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

int
start_become(const char *user, const char *chroot_dir, uint32_t *bits_r,
    struct error *err)
{
	uid_t uid;
	gid_t gid;

	if (start_find_user(user, &uid, &gid, err) == -1)
		return -1;
	return sandbox_drop(chroot_dir, uid, gid, bits_r, err);
}
