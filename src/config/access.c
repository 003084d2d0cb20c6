/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How plugins (through struct portero_host) and the core read bound values.
 * A name that the table lacks is a mistake in a program and ends the process.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/section.h"

static const struct slot *
slot_of(const struct portero_conf *c, const char *name)
{
	const struct slot *slot = section_slot(c, name);

	if (slot != NULL)
		return slot;
	log_say(LOG_LEVEL_ERROR, "fatal",
	    "the plugin of section %s \"%s\" asks "
	    "for \"%s\", which is not in its table of options",
	    c->name, c->title, name);
	log_flush();
	abort();
}

int64_t
config_get_int(const struct portero_conf *c, const char *name)
{
	return slot_of(c, name)->number;
}

const char *
config_get_string(const struct portero_conf *c, const char *name)
{
	const struct slot *slot = slot_of(c, name);

	if (slot->secret != NULL)
		return slot->secret;
	return slot->nitems == 0 ? NULL : slot->items[0];
}

size_t
config_list_length(const struct portero_conf *c, const char *name)
{
	return slot_of(c, name)->nitems;
}

const char *
config_list_item(const struct portero_conf *c, const char *name, size_t i)
{
	const struct slot *slot = slot_of(c, name);

	return i < slot->nitems ? slot->items[i] : NULL;
}

size_t
config_section_count(const struct portero_conf *c, const char *name)
{
	return slot_of(c, name)->nsections;
}

const struct portero_conf *
config_section(const struct portero_conf *c, const char *name, size_t i)
{
	const struct slot *slot = slot_of(c, name);

	return i < slot->nsections ? slot->sections[i] : NULL;
}

const char *
config_title(const struct portero_conf *c)
{
	return c->title;
}

bool
config_is_set(const struct portero_conf *c, const char *name)
{
	return slot_of(c, name)->is_set;
}

void
config_set_secret(struct portero_conf *c, const char *name, struct str content)
{
	struct slot *slot = &c->slots[slot_of(c, name) - c->slots];

	if (slot->secret != NULL)
		explicit_bzero(slot->secret, slot->secret_len);
	free(slot->secret);
	slot->secret =
	    xstrndup(content.len == 0 ? "" : content.ptr, content.len);
	slot->secret_len = strlen(slot->secret);
}
