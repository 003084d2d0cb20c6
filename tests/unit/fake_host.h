/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A host for testing one plugin without the rest: option values set by the
 * test, a clock that stands until the test moves it, the real shared tables,
 * and the last log line kept.
 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <portero/plugin.h>

extern const struct portero_host fake_host;
extern char fake_host_logged[512]; /* the last line */
extern unsigned fake_host_nlogged;

/* Sets the plugin's clock, and the tables' close to it. */
void fake_host_set_now(int64_t now_us);

/* The values of one section whose options are in the table. */
struct portero_conf *fake_conf_new(const struct portero_option *options,
    const char *title);
void fake_conf_free(struct portero_conf **c);
/* As in the file, numbers in plain units; for a list: adds one item. A name
 * that the table lacks ends the test. */
void fake_conf_set(struct portero_conf *c, const char *name,
    const char *value);
/* Adds a section; it is owned by c. */
struct portero_conf *fake_conf_section(struct portero_conf *c,
    const char *name, const char *title);

/* The plugin that the test is linked with: its options between setup and open;
 * where that fails the test ends. */
extern struct portero_conf *fake_conf;
extern void *fake_ctx; /* NULL while it is not open */
int fake_setup(void **state);
void fake_open(void);
int fake_teardown(void **state);

#endif
