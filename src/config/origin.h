/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where each line of the resolved text came from. The table travels behind
 * the text, as comments:
 *
 *   #@ 1 1 /etc/portero/portero.conf       line 1 on: that file from line 1
 *   #@ 24 1 /etc/portero/conf.d/site.conf
 *   #@end 1187                             bytes of text before the table
 */
#ifndef CONFIG_ORIGIN_H
#define CONFIG_ORIGIN_H

#include "base/buf.h"
#include "config/conf.h"

struct origins;

struct origins *origins_new(void);
void origins_free(struct origins **o);
/* From this line of the resolved text on: that file, from that line on. */
void origins_add(struct origins *o, int resolved, const char *file, int line);
/* Where a line of the resolved text came from. The name lives as long as o. */
struct config_position origins_find(const struct origins *o, int resolved);
size_t origins_files(const struct origins *o);
const char *origins_file(const struct origins *o, size_t i);

void origins_write(const struct origins *o, struct buf *text);
/* NULL: no table there. *len_r gets the bytes before the table. */
struct origins *origins_read(const char *text, size_t len, size_t *len_r);

#endif
