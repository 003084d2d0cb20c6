/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Changes one entry in the text of a users file, as auth_file reads it:
 *
 *   name:hash[:key=value,...]
 *
 * Names are the same without regard to ASCII case; the file's way to write
 * one stays. Everything else in it (comments, order, other keys) stays as it
 * was.
 */
#ifndef CONTROL_PASSWD_FILE_H
#define CONTROL_PASSWD_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum passwd_change {
	PASSWD_SET = 1, /* new hash; adds the entry if it is not there */
	PASSWD_DELETE,
	PASSWD_LOCK /* "!" before the hash: suspended */
};

struct passwd_edit {
	enum passwd_change change;
	const char *name;
	const char *hash;       /* SET */
	const char *class_name; /* SET: replaces `class=`; NULL: as it was */
};

/* May stand in the first field: clean text without ':', no '#' or space at
 * its ends. */
bool passwd_name_ok(const char *name);
/* May stand behind `class=`. */
bool passwd_class_ok(const char *class_name);

/* Appends the changed text to out. -1: not done, the reason in err
 * (ERROR_PERMANENT: no such entry; ERROR_INTERNAL: the file is broken). */
int passwd_edit(struct str text, const struct passwd_edit *e, struct buf *out,
    struct error *err) __attribute__((warn_unused_result));

#endif
