/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What every role does with its configuration when it starts.
 */
#ifndef CONFIG_START_H
#define CONFIG_START_H

#include <sys/types.h>

#include "config/conf.h"

/* The configuration of ROLE_FD_CONFIG, with the options that the resolver
 * knows. NULL: it is not good, all messages are in err. */
struct config *start_config(const struct config_resolver *resolver,
    struct error *err);
/* The log of ROLE_FD_LOG. */
void start_log(const struct config *c, const char *ident);
/* Who a user is; without root everybody is the running user. */
int start_find_user(const char *user, uid_t *uid, gid_t *gid,
    struct error *err);
/* Gives the rights of root up (see sandbox_drop()). chroot_dir may be NULL. */
int start_become(const char *user, const char *chroot_dir, uint32_t *bits_r,
    struct error *err);

#endif
