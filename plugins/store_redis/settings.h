/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The options of store_redis: their table, and what was read of them. All
 * strings are copies.
 */
#ifndef STORE_REDIS_SETTINGS_H
#define STORE_REDIS_SETTINGS_H

#include <portero/plugin.h>

#include "tls.h"

#define MAX_SERVERS 16

/* Where a server listens: a host and port, or a path. */
struct address {
	char *text; /* as written, for the log */
	char *host; /* NULL: a path */
	char *port;
	char *path;
	bool is_tls;
};

/* How to log in; both NULL: not at all. */
struct login {
	char *user;     /* NULL: the user "default" */
	char *password; /* wiped when freed */
};

struct settings {
	struct address servers[MAX_SERVERS]; /* with sentinel: Sentinels */
	size_t nservers;
	char *sentinel; /* name of the primary; NULL: no Sentinels */
	struct login login;
	struct login sentinel_login;
	struct tls_settings tls_files;
	struct tls *tls; /* owned; NULL: no server has TLS */
	int database;
	char *prefix;
	int connect_timeout_ms;
	int command_timeout_ms;
};

extern const struct portero_option settings_options[];

/* NULL: the reason is in err. */
struct settings *settings_new(const struct portero_host *host,
    const struct portero_conf *conf, char err[256]);
void settings_free(struct settings **s);

/* Reads redis://host[:port], rediss://... or unix:/path. false: the reason is
 * in err. What it holds is freed with address_clear() in any case. */
bool address_read(
    struct address *a, const char *text, const char *port, char err[256]);
void address_clear(struct address *a);

#endif
