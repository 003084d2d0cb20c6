/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The master: parent of all other processes. It holds listening sockets and
 * shared memory, starts and replaces its children, and reads nothing that
 * came from the network.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <stdbool.h>

/* Runs until it is told to stop. Returns the exit status. */
int master_main(const char *config_path);
/* porterod -t and -T: tries a configuration and prints what is wrong with it
 * (print: the configuration, too). Returns the exit status. */
int master_try(const char *config_path, bool print);

#endif
