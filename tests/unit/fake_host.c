/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here is kept from one test to the next but the clock and the log.
 */
#include "fake_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/shm_table.h"

#define MAX_VALUES 32

char fake_host_logged[512];
unsigned fake_host_nlogged;
struct portero_conf *fake_conf;
void *fake_ctx;

static int64_t now_us;

/* One option that was set: a value, or a section. */
struct value {
	const struct portero_option *option; /* borrowed */
	char *text;
	struct portero_conf *section; /* owned */
};

struct portero_conf {
	const struct portero_option *options; /* borrowed */
	char *title;
	struct value values[MAX_VALUES];
	size_t n;
};

/* ---- option values ----------------------------------------------------- */

static const struct portero_option *
option_of(const struct portero_conf *c, const char *name)
{
	for (const struct portero_option *o = c->options; o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	abort();
}

struct portero_conf *
fake_conf_new(const struct portero_option *options, const char *title)
{
	struct portero_conf *c = xcalloc(1, sizeof *c);

	c->options = options;
	c->title = xstrdup(title);
	return c;
}

void
fake_conf_free(struct portero_conf **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < (*c)->n; i++) {
		free((*c)->values[i].text);
		fake_conf_free(&(*c)->values[i].section);
	}
	free((*c)->title);
	free(*c);
	*c = NULL;
}

static struct value *
add(struct portero_conf *c, const char *name)
{
	if (c->n == MAX_VALUES)
		abort();
	c->values[c->n].option = option_of(c, name);
	return &c->values[c->n++];
}

void
fake_conf_set(struct portero_conf *c, const char *name, const char *value)
{
	add(c, name)->text = xstrdup(value);
}

struct portero_conf *
fake_conf_section(struct portero_conf *c, const char *name, const char *title)
{
	struct value *v = add(c, name);

	v->section = fake_conf_new(v->option->section, title);
	return v->section;
}

/* The i-th value of that name; NULL: not so many. */
static const struct value *
value_of(const struct portero_conf *c, const char *name, size_t i)
{
	const struct portero_option *o = option_of(c, name);

	for (size_t k = 0; k < c->n; k++)
		if (c->values[k].option == o && i-- == 0)
			return &c->values[k];
	return NULL;
}

static size_t
count_of(const struct portero_conf *c, const char *name)
{
	size_t n = 0;

	while (value_of(c, name, n) != NULL)
		n++;
	return n;
}

static const char *
get_string(const struct portero_conf *c, const char *name)
{
	const struct value *v = value_of(c, name, 0);

	return v != NULL ? v->text : option_of(c, name)->preset;
}

static int64_t
get_int(const struct portero_conf *c, const char *name)
{
	const struct portero_option *o = option_of(c, name);
	const char *text = get_string(c, name);

	if (text == NULL)
		return 0;
	if (o->type == PORTERO_OPT_BOOL)
		return strcmp(text, "yes") == 0;
	if (o->type == PORTERO_OPT_COUNT && strcmp(text, "unlimited") == 0)
		return PORTERO_UNLIMITED;
	if (o->type != PORTERO_OPT_ENUM)
		return strtoll(text, NULL, 10);
	for (int64_t i = 0; o->choices[i] != NULL; i++)
		if (strcmp(o->choices[i], text) == 0)
			return i;
	abort();
}

static const char *
list_item(const struct portero_conf *c, const char *name, size_t i)
{
	return value_of(c, name, i)->text;
}

static const struct portero_conf *
section(const struct portero_conf *c, const char *name, size_t i)
{
	return value_of(c, name, i)->section;
}

static const char *
title(const struct portero_conf *c)
{
	return c->title;
}

static bool
is_set(const struct portero_conf *c, const char *name)
{
	return value_of(c, name, 0) != NULL;
}

/* ---- the other services ------------------------------------------------ */

static void __attribute__((format(printf, 3, 4)))
log_line(const struct portero_host *host, enum portero_level level,
    const char *format, ...)
{
	va_list ap;

	(void)host;
	(void)level;
	va_start(ap, format);
	vsnprintf(fake_host_logged, sizeof fake_host_logged, format, ap);
	va_end(ap);
	fake_host_nlogged++;
}

static int64_t
time_left_ms(const struct portero_host *host)
{
	(void)host;
	return 1000;
}

static int
guard(const struct portero_host *host, int fd)
{
	(void)host;
	(void)fd;
	return 0;
}

static void
unguard(const struct portero_host *host, int fd)
{
	(void)host;
	(void)fd;
}

static void
hash(const struct portero_host *host, const void *data, size_t len,
    struct portero_key *out)
{
	static const uint8_t key[HASH_KEY_LEN] = "a key for tests";

	(void)host;
	hash_sip128(key, data, len, out->byte);
}

static int64_t
get_now_us(const struct portero_host *host)
{
	(void)host;
	return now_us;
}

void
fake_host_set_now(int64_t us)
{
	now_us = us;
	clock_shift(0, 0);
	clock_shift(0, us - clock_wall_us());
}

const struct portero_host fake_host = {
	.size = sizeof(struct portero_host),
	.abi = PORTERO_ABI,
	.log = log_line,
	.time_left_ms = time_left_ms,
	.guard = guard,
	.unguard = unguard,
	.get_int = get_int,
	.get_string = get_string,
	.list_length = count_of,
	.list_item = list_item,
	.section_count = count_of,
	.section = section,
	.title = title,
	.is_set = is_set,
	.hash = hash,
	.table_size = shm_table_size,
	.table_open = shm_table_open,
	.table_close = shm_table_close,
	.table_lock = shm_table_lock,
	.table_find = shm_table_find,
	.table_save = shm_table_save,
	.table_remove = shm_table_remove,
	.table_commit = shm_table_commit,
	.table_abort = shm_table_abort,
	.table_each = shm_table_each,
	.table_some = shm_table_some,
	.now_us = get_now_us,
};

/* ---- the plugin -------------------------------------------------------- */

int
fake_setup(void **state)
{
	(void)state;
	fake_conf = fake_conf_new(portero_plugin.options, "test");
	return 0;
}

void
fake_open(void)
{
	char err[256] = "";

	if (portero_plugin.open(&fake_host, fake_conf, NULL, 0,
		PORTERO_SHARE_NEW, &fake_ctx, err) != 0) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
}

int
fake_teardown(void **state)
{
	(void)state;
	if (fake_ctx != NULL)
		portero_plugin.close(fake_ctx);
	fake_ctx = NULL;
	fake_conf_free(&fake_conf);
	return 0;
}
