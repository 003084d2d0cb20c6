/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * SipHash against vectors of its reference implementation: key and data are
 * the bytes 0, 1, 2, ...
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"

/* clang-format off */
static const struct {
	size_t len;
	uint64_t sip64;
	const char *sip128;
} vectors[] = {
	{ 0,  0x726fdb47dd0e0e31, "a3817f04ba25a8e66df67214c7550293" },
	{ 1,  0x74f839c593dc67fd, "da87c1d86b99af44347659119b22fc45" },
	{ 7,  0xab0200f58b01d137, "a1f1ebbed8dbc153c0b84aa61ff08239" },
	{ 8,  0x93f5f5799a932462, "3b62a9ba6258f5610f83e264f31497b4" },
	{ 15, 0xa129ca6149be45e5, "5493e99933b0a8117e08ec0f97cfc3d9" },
	{ 63, 0x958a324ceb064572, "5150d1772f50834a503e069a973fbd7c" },
};
/* clang-format on */

static void
count_up(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)i;
}

static void
test_hash_agrees_with_the_reference(void **state)
{
	uint8_t key[HASH_KEY_LEN], data[64], out[16];
	char text[33];

	(void)state;
	count_up(key, sizeof key);
	count_up(data, sizeof data);
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		assert_true(hash_sip64(key, data, vectors[i].len) ==
		    vectors[i].sip64);
		hash_sip128(key, data, vectors[i].len, out);
		for (size_t j = 0; j < sizeof out; j++)
			snprintf(text + 2 * j, 3, "%02x", out[j]);
		assert_string_equal(text, vectors[i].sip128);
	}
}

static void
test_hash_depends_on_key_data_and_length(void **state)
{
	uint8_t key[HASH_KEY_LEN] = { 0 }, data[9] = { 0 };
	uint64_t before = hash_sip64(key, data, 8);

	(void)state;
	assert_true(hash_sip64(key, data, 9) != before);
	data[7] ^= 0x80;
	assert_true(hash_sip64(key, data, 8) != before);
	data[7] ^= 0x80;
	key[15] ^= 1;
	assert_true(hash_sip64(key, data, 8) != before);
	key[15] ^= 1;
	assert_true(hash_sip64(key, data, 8) == before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_agrees_with_the_reference),
		cmocka_unit_test(test_hash_depends_on_key_data_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
