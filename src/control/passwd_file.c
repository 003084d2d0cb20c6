/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "control/passwd_file.h"

#include <string.h>

#include "control/text.h"

#define NAME_MAX_BYTES 255

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str
trim(struct str s)
{
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = (struct str){ s.ptr + 1, s.len - 1 };
	while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
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

static bool
is_class(struct str key)
{
	return str_eq(trim(str_cut(&key, '=')), STR("class"));
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
		key = trim(str_cut(&keys, ','));
		if (key.len == 0 || is_class(key))
			continue;
		buf_append(out, before, 1);
		buf_append_str(out, key);
		before = ",";
	}
	buf_appendf(out, "%sclass=%s", before, class_name);
}

/* "*" is no hash either: "!" takes its place, not one before it. */
static void
append_locked(struct buf *out, struct str hash)
{
	if (hash.len > 0 && (hash.ptr[0] == '!' || hash.ptr[0] == '*'))
		hash = (struct str){ hash.ptr + 1, hash.len - 1 };
	buf_append(out, "!", 1);
	buf_append_str(out, hash);
}

static void
append_entry(struct buf *out, const struct passwd_edit *e, struct str name,
    struct str hash, struct str keys)
{
	if (e->change == PASSWD_DELETE)
		return;
	buf_append_str(out, name);
	buf_append(out, ":", 1);
	if (e->change == PASSWD_LOCK)
		append_locked(out, hash);
	else
		buf_append_str(out, str_of(e->hash));
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
		line = rest = str_cut(&text, '\n');
		number++;
		name = str_cut(&rest, ':');
		if (name.len == line.len ||
		    !str_case_eq(trim(name), str_of(e->name))) {
			buf_append_str(out, line);
			buf_append(out, "\n", 1);
			continue;
		}
		if (found != 0)
			return error_set(err, ERROR_INTERNAL,
			    "lines %u and %u both name \"%s\"", found, number,
			    e->name);
		found = number;
		hash = trim(str_cut(&rest, ':'));
		append_entry(out, e, name, hash, rest);
	}
	if (found == 0 && e->change != PASSWD_SET)
		return error_set(
		    err, ERROR_PERMANENT, "no entry \"%s\"", e->name);
	if (found == 0)
		append_entry(out, e, str_of(e->name), STR(""), STR(""));
	return 0;
}
