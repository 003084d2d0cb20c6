/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the configuration share about messages.
 */
#ifndef CONFIG_MESSAGES_H
#define CONFIG_MESSAGES_H

#include "config/conf.h"

/* Messages are sorted by file in the order in which files become known here
 * or by a first message: the order in which they were read. */
void config_messages_know(struct config_messages *m, const char *file);

#endif
