/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/load.h"
#include "config/prepass.h"
#include "config_rig.h"

/* clang-format off */
static const struct portero_option limit_options[] = {
	{ "messages", PORTERO_OPT_COUNT, .help = "Messages." },
	{ "recipients", PORTERO_OPT_COUNT, .help = "Recipients." },
	{ "per", PORTERO_OPT_DURATION, .help = "Window.",
	  .min = 1, .max = 31 * 86400, .required = true },
	{ .name = NULL }
};
static const struct portero_option rate_options[] = {
	{ "limit", PORTERO_OPT_SECTION, .help = "A limit.",
	  .section = limit_options },
	{ .name = NULL }
};
static const struct portero_option size_options[] = {
	{ "max", PORTERO_OPT_SIZE, "25M", .help = "Size." },
	{ .name = NULL }
};
static const struct portero_option file_options[] = {
	{ "file", PORTERO_OPT_FILE, .help = "Users.", .required = true },
	{ .name = NULL }
};
static const struct portero_option secret_options[] = {
	{ "password_file", PORTERO_OPT_SECRET, .help = "Password." },
	{ "ca_file", PORTERO_OPT_FILE, .help = "Authorities." },
	{ "uri", PORTERO_OPT_LIST, "{\"ldap://a\", \"ldap://b\"}",
	  .help = "Servers." },
	{ .name = NULL }
};

static const struct plugin {
	const char *name;
	const struct portero_option *options;
} plugins[] = {
	{ "auth_file", file_options },
	{ "auth_secret", secret_options },
	{ "policy_guard", NULL },
	{ "policy_rate", rate_options },
	{ "policy_size", size_options },
	{ "store_memory", NULL },
};
/* clang-format on */

static const struct portero_option *
find_options(void *arg, enum config_module_kind kind, const char *title,
    const char *plugin, bool *ignore, struct error *err)
{
	(void)arg;
	(void)kind;
	(void)title;
	*ignore = strcmp(plugin, "unseen") == 0;
	for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
		if (strcmp(plugins[i].name, plugin) == 0)
			return plugins[i].options;
	if (!*ignore)
		error_set(
		    err, ERROR_PERMANENT, "there is no plugin %s", plugin);
	return NULL;
}

const struct config_resolver config_rig_resolver = { .options = find_options };

static struct buf shown;

static const char *
show(struct config_messages **m)
{
	buf_free(&shown);
	config_messages_print(*m, &shown);
	buf_append(&shown, "", 1);
	config_messages_free(m);
	return buf_data(&shown);
}

struct config *
config_rig_text(const char *text, const char **messages_r)
{
	struct config_messages *m = config_messages_new();
	struct config *c = NULL;
	struct buf resolved = { 0 };

	prepass_bytes("x.conf", text, strlen(text), &resolved, m);
	if (config_errors(m) == 0)
		c = config_load_text(buf_data(&resolved), buf_len(&resolved),
		    &config_rig_resolver, m);
	buf_free(&resolved);
	*messages_r = show(&m);
	return c;
}

struct config *
config_rig_file(const char *path, const char **messages_r)
{
	struct config_messages *m = config_messages_new();
	struct config *c = NULL;
	int fd = memfd_create("configuration", MFD_CLOEXEC);

	if (config_read(path, fd, m) == 0 && config_errors(m) == 0)
		c = config_load(fd, &config_rig_resolver, m);
	close(fd);
	*messages_r = show(&m);
	return c;
}

void
config_rig_end(void)
{
	buf_free(&shown);
}
