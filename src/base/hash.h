/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-2-4 (Aumasson and Bernstein 2012) with 64 and 128 bits of output: a keyed hash for
 * tables that strangers can fill.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_KEY_LEN 16

uint64_t hash_sip64(const uint8_t key[HASH_KEY_LEN], const void *data, size_t len);
void hash_sip128(const uint8_t key[HASH_KEY_LEN], const void *data, size_t len,
    uint8_t out[16]);

#endif
