/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What no store is asked by a host in its senses.
 */
#ifndef PLUGINS_COMMON_OP_H
#define PLUGINS_COMMON_OP_H

#include <portero/plugin.h>

#define MAX_CHARGES 64 /* of one operation */
#define MAX_SEQUENCES 64

/* What is wrong with it; NULL: nothing. Kind, key and age are the store's. */
const char *op_fault(const struct portero_op *op);

#endif
