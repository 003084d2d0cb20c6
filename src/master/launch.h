/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Starts a process of a generation with the descriptors of its role.
 */
#ifndef MASTER_LAUNCH_H
#define MASTER_LAUNCH_H

#include "base/error.h"

struct child;
struct generation;

int launch(struct generation *g, struct child *c, struct error *err);

#endif
