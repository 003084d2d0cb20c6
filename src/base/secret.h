/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A secret: wiped when freed, never in a log, a core dump or an error text.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

#define SECRET_MAX 4096

struct secret;

struct secret *secret_new(const void *data, size_t len);
/* Reads a file of at most SECRET_MAX bytes, without the final newline. The
 * file must not be readable or writable by others. NULL: reason in err. */
struct secret *secret_from_file(const char *path, struct error *err);
/* The same without looking at the content. -1: reason in err. */
int secret_check_file(const char *path, struct error *err);
struct str secret_str(const struct secret *s);
void secret_free(struct secret **s);

#endif
