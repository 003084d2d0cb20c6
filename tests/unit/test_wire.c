/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The wire cursors: what is written is read back, and nothing is read or
 * written past the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/wire.h"

static void
test_what_is_put_is_read_back_in_order(void **state)
{
	uint8_t mem[128], raw[3];
	char text[8];
	struct wire_out out = { .data = mem, .cap = sizeof mem };
	struct wire_in in = { .data = mem };

	(void)state;
	wire_put_u8(&out, 0xab);
	wire_put_u16(&out, 0x1234);
	wire_put_u32(&out, 0xdeadbeef);
	wire_put_u64(&out, UINT64_MAX - 1);
	wire_put_i64(&out, INT64_MIN);
	wire_put_str(&out, STR("a\0b"));
	wire_put_cstr(&out, "hello");
	wire_put_cstr(&out, NULL);
	wire_put_raw(&out, "xyz", 3);
	assert_false(out.bad);

	in.len = out.len;
	assert_int_equal(wire_get_u8(&in), 0xab);
	assert_int_equal(wire_get_u16(&in), 0x1234);
	assert_int_equal(wire_get_u32(&in), 0xdeadbeef);
	assert_true(wire_get_u64(&in) == UINT64_MAX - 1);
	assert_true(wire_get_i64(&in) == INT64_MIN);
	assert_true(str_eq(wire_get_str(&in), STR("a\0b")));
	wire_get_cstr(&in, text, sizeof text);
	assert_string_equal(text, "hello");
	assert_true(str_eq(wire_get_str(&in), STR("")));
	assert_false(wire_done(&in));
	wire_get_raw(&in, raw, sizeof raw);
	assert_memory_equal(raw, "xyz", 3);
	assert_true(wire_done(&in));
}

static void
test_numbers_are_little_endian(void **state)
{
	uint8_t mem[4];
	struct wire_out out = { .data = mem, .cap = sizeof mem };

	(void)state;
	wire_put_u32(&out, 0x01020304);
	assert_memory_equal(mem, "\4\3\2\1", 4);
}

static void
test_a_full_cursor_stays_bad_and_writes_nothing_more(void **state)
{
	uint8_t mem[8];
	struct wire_out out = { .data = mem, .cap = 6 };

	(void)state;
	memset(mem, '.', sizeof mem);
	wire_put_u32(&out, 0);
	wire_put_u32(&out, 0);
	assert_true(out.bad);
	wire_put_u8(&out, 7); /* would fit, but comes too late */
	assert_int_equal(out.len, 4);
	assert_memory_equal(mem, "\0\0\0\0....", 8);
}

static void
test_a_dry_cursor_stays_bad_and_gives_zeros(void **state)
{
	static const uint8_t mem[] = { 1, 2, 3 };
	struct wire_in in = { .data = mem, .len = sizeof mem };

	(void)state;
	assert_int_equal(wire_get_u32(&in), 0);
	assert_true(in.bad);
	assert_int_equal(wire_get_u8(&in), 0);
	assert_false(wire_done(&in));
}

static void
test_a_string_longer_than_the_rest_is_refused(void **state)
{
	static const uint8_t mem[] = { 5, 0, 0, 0, 'a', 'b', 'c', 'd' };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
	struct wire_in in = { .data = mem, .len = sizeof mem };
	struct wire_in big = { .data = huge, .len = sizeof huge };

	(void)state;
	assert_int_equal(wire_get_str(&in).len, 0);
	assert_true(in.bad);
	assert_int_equal(wire_get_str(&big).len, 0);
	assert_true(big.bad);
}

static void
test_a_c_string_must_fit_and_hold_no_nul(void **state)
{
	/* clang-format off */
	static const struct { struct str wire; bool good; } table[] = {
		{ STR("\3\0\0\0abc"), true },
		{ STR("\4\0\0\0abcd"), false },
		{ STR("\3\0\0\0a\0c"), false },
		{ STR("\0\0\0\0"), true },
	};
	/* clang-format on */
	char to[4];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct wire_in in = { .data = (const uint8_t *)
					  table[i].wire.ptr,
			.len = table[i].wire.len };

		wire_get_cstr(&in, to, sizeof to);
		assert_int_equal(wire_done(&in), table[i].good);
		if (!table[i].good)
			assert_string_equal(to, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_put_is_read_back_in_order),
		cmocka_unit_test(test_numbers_are_little_endian),
		cmocka_unit_test(
		    test_a_full_cursor_stays_bad_and_writes_nothing_more),
		cmocka_unit_test(test_a_dry_cursor_stays_bad_and_gives_zeros),
		cmocka_unit_test(test_a_string_longer_than_the_rest_is_refused),
		cmocka_unit_test(test_a_c_string_must_fit_and_hold_no_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
