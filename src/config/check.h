/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Checks that look at several values, or at more than a type.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/conf.h"

/* Also takes upstream.hosts apart. */
void check_config(struct config *c, struct config_messages *m);
/* upstreams.c; part of it. */
void check_upstreams(struct config *c, struct config_messages *m);
/* Titles become names of shared memory, of files and in the log. */
void check_title(const char *kind, const char *title, struct config_position at,
    struct config_messages *m);
/* What the server makes when it starts; part of config_check_files(). */
void check_places(const struct config *c, struct config_messages *m);
/* An IP address, IPv6 with or without brackets. -1: it is none. */
int check_address(
    const char *text, int port, struct sockaddr_storage *to, socklen_t *len_r);

#endif
