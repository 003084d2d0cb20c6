/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A command in the making, as Redis reads it: "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".
 */
#ifndef STORE_REDIS_COMMAND_H
#define STORE_REDIS_COMMAND_H

#include <stdint.h>

#include <portero/plugin.h>

struct command;

/* There is one for all: nobody makes two at a time. */
struct command *command_begin(void);
struct command *command_of(const struct portero_str *words, size_t n);
void command_add(struct command *c, const void *data, size_t len);
void command_add_text(struct command *c, const char *text);
void command_add_number(struct command *c, int64_t number);
/* A word of parts. */
void command_join(struct command *c, const struct portero_str *parts, size_t n);
/* The whole, until the next one begins. Empty: it was too long. */
struct portero_str command_end(struct command *c);

#endif
