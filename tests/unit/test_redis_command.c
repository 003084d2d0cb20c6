/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/store_redis/command.h"

static void
check(struct command *c, const char *expected)
{
	const struct portero_str text = command_end(c);

	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.ptr, expected, text.len);
}

static void
test_words_are_counted_and_measured(void **state)
{
	const struct portero_str words[] = { { "GET", 3 }, { "a\r\nb", 4 },
		{ NULL, 0 } };
	struct command *c;

	(void)state;
	check(command_of(words, 3),
	    "*3\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
	check(command_of(words, 1), "*1\r\n$3\r\nGET\r\n");
	c = command_begin();
	for (int i = 0; i < 12; i++)
		command_add_text(c, "");
	assert_memory_equal(command_end(c).ptr, "*12\r\n$0\r\n\r\n", 11);
}

static void
test_a_word_may_have_parts(void **state)
{
	const struct portero_str parts[] = { { "p:{", 3 }, { "ana", 3 },
		{ "}:c", 3 } };
	struct command *c = command_begin();

	(void)state;
	command_join(c, parts, 3);
	check(c, "*1\r\n$9\r\np:{ana}:c\r\n");
}

static void
test_numbers(void **state)
{
	struct command *c = command_begin();

	(void)state;
	command_add_number(c, 0);
	command_add_number(c, -1);
	command_add_number(c, INT64_MAX);
	command_add_number(c, INT64_MIN);
	check(c, "*4\r\n$1\r\n0\r\n$2\r\n-1\r\n$19\r\n9223372036854775807\r\n"
		 "$20\r\n-9223372036854775808\r\n");
}

/* It is none, however little is added behind. */
static void
test_a_command_that_is_too_long_is_empty(void **state)
{
	static const char large[40000];
	struct command *c = command_begin();

	(void)state;
	command_add(c, large, sizeof large);
	assert_int_not_equal(command_end(c).len, 0);
	c = command_begin();
	command_add(c, large, sizeof large);
	command_add(c, large, sizeof large);
	command_add_text(c, "x");
	assert_int_equal(command_end(c).len, 0);
	c = command_begin();
	for (int i = 0; i < 70000; i++)
		command_add(c, large, 1);
	assert_int_equal(command_end(c).len, 0);
	check(command_of(&(struct portero_str){ "PING", 4 }, 1),
	    "*1\r\n$4\r\nPING\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_counted_and_measured),
		cmocka_unit_test(test_a_word_may_have_parts),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_a_command_that_is_too_long_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
