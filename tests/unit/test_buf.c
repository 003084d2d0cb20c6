/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The byte queue against a plain model of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void
assert_holds(const struct buf *b, const char *text)
{
	assert_int_equal(buf_len(b), strlen(text));
	if (buf_len(b) > 0)
		assert_memory_equal(buf_data(b), text, buf_len(b));
}

static void
test_buf_gives_bytes_in_the_order_they_came(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_append(&b, "MAIL ", 5);
	buf_append_str(&b, STR("FROM:"));
	buf_appendf(&b, "<%s> SIZE=%d", "ana", 7);
	assert_holds(&b, "MAIL FROM:<ana> SIZE=7");
	buf_consume(&b, 5);
	assert_holds(&b, "FROM:<ana> SIZE=7");
	buf_free(&b);
}

static void
test_buf_owns_no_memory_when_empty(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_append(&b, NULL, 0);
	assert_null(b.mem);
	buf_appendf(&b, "%s", "");
	assert_null(b.mem);
	buf_append(&b, "abc", 3);
	assert_non_null(b.mem);
	buf_consume(&b, 3);
	assert_null(b.mem);
	assert_null(buf_data(&b));
	buf_append(&b, "abc", 3);
	buf_free(&b);
	assert_null(b.mem);
	buf_append(&b, "abc", 3);
	buf_wipe(&b);
	assert_null(b.mem);
	assert_int_equal(buf_len(&b), 0);
}

static void
test_buf_format_longer_than_the_room_is_whole(void **state)
{
	char text[5001];

	(void)state;
	memset(text, 'x', 5000);
	text[5000] = '\0';
	for (int len = 0; len <= 5000; len += 7) {
		struct buf b = { 0 };

		buf_append(&b, "a", 1);
		buf_appendf(&b, "%.*s", len, text);
		assert_int_equal(buf_len(&b), len + 1);
		assert_memory_equal(buf_data(&b) + 1, text, (size_t)len);
		buf_free(&b);
	}
}

static void
test_buf_agrees_with_a_model_over_many_steps(void **state)
{
	static unsigned char model[1 << 20];
	size_t first = 0, end = 0, len;
	struct buf b = { 0 };
	uint32_t r = 1;

	(void)state;
	while (end < sizeof model - 2000) {
		r = r * 1664525 + 1013904223;
		len = r >> 21;
		if ((r & 1) != 0) {
			for (size_t i = 0; i < len; i++)
				model[end + i] = (unsigned char)(r >> i % 24);
			buf_append(&b, model + end, len);
			end += len;
		} else {
			len = len < end - first ? len : end - first;
			buf_consume(&b, len);
			first += len;
		}
		assert_int_equal(buf_len(&b), end - first);
		if (end > first)
			assert_memory_equal(buf_data(&b), model + first,
			    end - first);
	}
	buf_free(&b);
}

static void
test_buf_room_in_front_is_used_again(void **state)
{
	struct buf b = { 0 };
	char block[100] = { 0 };

	(void)state;
	buf_append(&b, block, sizeof block);
	for (int i = 0; i < 1000; i++) {
		buf_append(&b, block, sizeof block);
		buf_consume(&b, sizeof block);
	}
	assert_in_range(b.cap, sizeof block, 512);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_gives_bytes_in_the_order_they_came),
		cmocka_unit_test(test_buf_owns_no_memory_when_empty),
		cmocka_unit_test(test_buf_format_longer_than_the_room_is_whole),
		cmocka_unit_test(test_buf_agrees_with_a_model_over_many_steps),
		cmocka_unit_test(test_buf_room_in_front_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
