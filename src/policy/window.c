/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * store_memory's counter once more, for the mirror: what a host knows of a
 * sliding window is counted as a store counts it.
 */
#include "../../plugins/store_memory/counter.c"
