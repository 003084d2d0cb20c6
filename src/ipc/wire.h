/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encoding of records between our processes: fixed-width little endian
 * numbers and length-prefixed bytes, written and read by one cursor each. A
 * cursor that overflows or runs dry stays bad, so callers test once, at the
 * end; a decoder accepts exactly the length it was given.
 */
#ifndef IPC_WIRE_H
#define IPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct wire_out {
	uint8_t *data; /* borrowed */
	size_t len, cap;
	bool bad;
};

struct wire_in {
	const uint8_t *data; /* borrowed; strings read point into it */
	size_t len, at;
	bool bad;
};

void wire_put_u8(struct wire_out *w, uint8_t v);
void wire_put_u16(struct wire_out *w, uint16_t v);
void wire_put_u32(struct wire_out *w, uint32_t v);
void wire_put_u64(struct wire_out *w, uint64_t v);
void wire_put_i64(struct wire_out *w, int64_t v);
void wire_put_str(struct wire_out *w, struct str s); /* u32 length, bytes */
void wire_put_cstr(struct wire_out *w, const char *s); /* NULL as "" */
void wire_put_raw(struct wire_out *w, const void *p, size_t len); /* no length */

uint8_t wire_get_u8(struct wire_in *w);
uint16_t wire_get_u16(struct wire_in *w);
uint32_t wire_get_u32(struct wire_in *w);
uint64_t wire_get_u64(struct wire_in *w);
int64_t wire_get_i64(struct wire_in *w);
struct str wire_get_str(struct wire_in *w);
/* Copies a string of at most size - 1 bytes without NUL; else bad. */
void wire_get_cstr(struct wire_in *w, char *to, size_t size);
void wire_get_raw(struct wire_in *w, void *to, size_t len);
/* true: nothing went wrong and nothing is left. */
bool wire_done(const struct wire_in *w);

#endif
