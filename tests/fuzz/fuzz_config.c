/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a configuration file: they are refused with a message, or
 * loaded. What was loaded can be printed, read again, and then prints the
 * same values. Any bytes as a resolved text, too, do no harm.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../unit/config_rig.h"
#include "config/load.h"
#include "config/prepass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct config *
load(const char *bytes, size_t len, struct config_messages *m)
{
	struct buf resolved = { 0 };
	struct config *c = NULL;

	prepass_bytes("x.conf", bytes, len, &resolved, m);
	if (config_errors(m) == 0) {
		c = config_load_text(buf_data(&resolved), buf_len(&resolved),
		    &config_rig_resolver, m);
		assert(c != NULL);
	}
	buf_free(&resolved);
	return c;
}

/* Without the comments, which say where lines came from. */
static void
cut_origins(struct buf *text)
{
	struct config_messages *m = config_messages_new();
	struct buf clean = { 0 };

	prepass_bytes("x.conf", buf_data(text), buf_len(text), &clean, m);
	assert(config_errors(m) == 0);
	config_messages_free(&m);
	buf_free(text);
	*text = clean;
}

static void
check_printing(const struct config *c)
{
	struct config_messages *m = config_messages_new();
	struct buf first = { 0 }, second = { 0 };
	struct config *again;

	config_print(c, true, &first);
	again = load(buf_data(&first), buf_len(&first), m);
	assert(config_errors(m) == 0);
	config_print(again, true, &second);
	cut_origins(&first);
	cut_origins(&second);
	assert(buf_len(&first) == buf_len(&second));
	assert(
	    memcmp(buf_data(&first), buf_data(&second), buf_len(&first)) == 0);
	buf_free(&first);
	buf_free(&second);
	config_free(&again);
	config_messages_free(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config_messages *m = config_messages_new();
	struct buf said = { 0 };
	struct config *c;

	c = load((const char *)data, len, m);
	config_messages_print(m, &said);
	assert((config_errors(m) == 0 && config_warnings(m) == 0) ==
	       (buf_len(&said) == 0));
	if (c != NULL && config_errors(m) == 0)
		check_printing(c);
	config_free(&c);
	c = config_load_text((const char *)data, len, NULL, m);
	config_free(&c);
	buf_free(&said);
	config_messages_free(&m);
	return 0;
}
