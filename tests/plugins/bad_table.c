/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * bad_table: a plugin of another ABI.
 */
#include <portero/plugin.h>

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI + 1,
	.size = sizeof portero_plugin,
	.name = "bad_table",
	.version = "1",
};
