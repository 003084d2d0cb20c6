/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * For tests of the configuration: reads a text or a file through both halves,
 * with plugins that only exist here.
 */
#ifndef CONFIG_RIG_H
#define CONFIG_RIG_H

#include "config/conf.h"

/* A configuration with nothing wrong in it, on lines 1 to 8. */
#define CONFIG_GOOD                                                            \
	"hostname = \"smtp.example.org\"\n"                                    \
	"tls { certificate = \"/c.crt\"  key = \"/c.key\" }\n"                 \
	"listen \"submissions\" { port = 465  tls = implicit }\n"              \
	"auth \"people\" { plugin = auth_file  file = \"/users\" }\n"          \
	"store { plugin = store_memory }\n"                                    \
	"policy \"quota\" { plugin = policy_rate\n"                            \
	" limit \"hourly\" { messages = 100  per = 1h } }\n"                   \
	"upstream { hosts = {\"mail.example.org\"} }\n"

/* Each returns a config (or NULL) and all messages in text, which belongs to
 * the rig until the next call. */
struct config *config_rig_text(const char *text, const char **messages_r);
struct config *config_rig_file(const char *path, const char **messages_r);
/* Frees what the rig holds. */
void config_rig_end(void);

/* auth_file, store_memory, policy_size, policy_rate, auth_secret; "unseen" is
 * a plugin whose options this role ignores. */
extern const struct config_resolver config_rig_resolver;

#endif
