/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "control/passwd_file.h"

#include <string.h>

#include "control/text.h"

#define NAME_MAX_BYTES 255

/* Cuts s at the first c: what is before it; s goes on behind it. */
static struct str
cut(struct str *s, char c)
{
	const char *at = s->len == 0 ? NULL : memchr(s->ptr, c, s->len);
	struct str head = *s;

	if (at != NULL)
		head.len = (size_t)(at - s->ptr);
	s->ptr += head.len + (at != NULL);
	s->len -= head.len + (at != NULL);
	return head;
}

bool
passwd_name_ok(const char *name)
{
	struct str s = str_of(name);

	return s.len > 0 && s.len <= NAME_MAX_BYTES && text_is_clean(s) &&
	       strchr(name, ':') == NULL && name[0] != '#' && name[0] != ' ' &&
	       name[s.len - 1] != ' ';
}

bool
passwd_class_ok(const char *class_name)
{
	struct str s = str_of(class_name);

	return s.len > 0 && s.len < 64 && text_is_clean(s) &&
	       strpbrk(class_name, ":,= ") == NULL;
}

/* The keys behind the hash, with the class put in place of the old one. */
static void
append_keys(struct buf *out, struct str keys, const char *class_name)
{
	const char *before = ":";
	struct str key;

	if (class_name == NULL) {
		if (keys.len > 0)
			buf_append(out, ":", 1);
		buf_append_str(out, keys);
		return;
	}
	while (keys.len > 0) {
		key = cut(&keys, ',');
		if (key.len == 0 ||
		    (key.len >= 6 && memcmp(key.ptr, "class=", 6) == 0))
			continue;
		buf_append(out, before, 1);
		buf_append_str(out, key);
		before = ",";
	}
	buf_appendf(out, "%sclass=%s", before, class_name);
}

static void
append_entry(struct buf *out, const struct passwd_edit *e, struct str hash,
    struct str keys)
{
	if (e->change == PASSWD_DELETE)
		return;
	buf_appendf(out, "%s:", e->name);
	if (e->change == PASSWD_SET)
		buf_append_str(out, str_of(e->hash));
	else if (hash.len == 0 || hash.ptr[0] != '!')
		buf_append(out, "!", 1);
	if (e->change == PASSWD_LOCK)
		buf_append_str(out, hash);
	append_keys(out, keys, e->change == PASSWD_SET ? e->class_name : NULL);
	buf_append(out, "\n", 1);
}

int
passwd_edit(struct str text, const struct passwd_edit *e, struct buf *out,
    struct error *err)
{
	struct str line, rest, name, hash;
	unsigned found = 0, number = 0;

	while (text.len > 0) {
		line = rest = cut(&text, '\n');
		number++;
		name = cut(&rest, ':');
		if (name.len == line.len || !str_eq(name, str_of(e->name))) {
			buf_append_str(out, line);
			buf_append(out, "\n", 1);
			continue;
		}
		if (found != 0)
			return error_set(err, ERROR_INTERNAL,
			    "lines %u and %u both name \"%s\"", found, number,
			    e->name);
		found = number;
		hash = cut(&rest, ':');
		append_entry(out, e, hash, rest);
	}
	if (found == 0 && e->change != PASSWD_SET)
		return error_set(
		    err, ERROR_PERMANENT, "no entry \"%s\"", e->name);
	if (found == 0)
		append_entry(out, e, STR(""), STR(""));
	return 0;
}
