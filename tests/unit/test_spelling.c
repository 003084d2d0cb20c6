/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/spelling.h"

#define MANY_BLANKS "                                                        "

static void
test_what_directories_take_for_one_name_has_one_spelling(void **state)
{
	/* clang-format off */
	static const struct { const char *typed, *spelling; } cases[] = {
		{ "ana", "ana" },
		{ "Ana", "ana" },
		{ "ANA@Example.ORG", "ana@example.org" },
		{ " ana  sol ", "ana sol" },
		{ "ana-sol_1+x", "ana-sol_1+x" },
		{ MANY_BLANKS MANY_BLANKS MANY_BLANKS "ana", "ana" },
		{ "\u00a0ana\u2003\u3000sol", "ana sol" }, /* other blanks */
		{ "\uff21\uff4e\uff41", "ana" },           /* full width */
		{ "\U0001d400na", "ana" },                 /* bold A */
		{ "\u24b6na", "ana" },                     /* A in a circle */
		{ "\u212aarl", "karl" },                   /* sign of kelvin */
		{ "\u017fol", "sol" },                     /* long s */
		{ "an\u00aaa", "anaa" },
		{ "Jos\u00e9", "jose" },
		{ "JOSE\u0301", "jose" },
		{ "stra\u00dfe", "strasse" },
		{ "\u0391\u03a3", "\u03b1\u03c3" },        /* Greek: final or */
		{ "\u03b1\u03c2", "\u03b1\u03c3" },        /* not, one sigma */
		{ "a\u00adn\u200ba\u2060\ufeff", "ana" },  /* not to be seen */
		{ "an\u0378a", "ana" },                    /* not assigned */
		{ "\u7530\u4e2d", "\u7530\u4e2d" },
		{ "", "" },
		{ "   ", "" },
		{ "an\xff", "an\ufffd" },                  /* not UTF-8 */
	};
	/* clang-format on */
	char to[SPELLING_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct str s = spelling_of(to, str_of(cases[i].typed));

		assert_string_equal(to, cases[i].spelling);
		assert_true(str_eq(s, str_of(cases[i].spelling)));
	}
}

static void
test_what_grows_is_cut_at_a_whole_character(void **state)
{
	char typed[3 * 85 + 1] = "", to[SPELLING_MAX + 1];
	struct str s;

	(void)state;
	for (size_t i = 0; i < 85; i++)
		strcat(typed, "\uac01"); /* three bytes become nine */
	s = spelling_of(to, str_of(typed));
	assert_int_equal(s.len, 255 / 9 * 9 + 3);
	assert_int_equal(strlen(to), s.len);
	/* the blank counts, too */
	memset(typed, 'a', SPELLING_MAX);
	typed[SPELLING_MAX - 1] = ' ';
	s = spelling_of(to, (struct str){ typed, SPELLING_MAX });
	assert_int_equal(s.len, SPELLING_MAX - 1);
	typed[SPELLING_MAX - 2] = ' ';
	typed[SPELLING_MAX - 1] = 'b';
	s = spelling_of(to, (struct str){ typed, SPELLING_MAX });
	assert_int_equal(s.len, SPELLING_MAX);
	assert_memory_equal(to + SPELLING_MAX - 3, "a b", 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_what_directories_take_for_one_name_has_one_spelling),
		cmocka_unit_test(test_what_grows_is_cut_at_a_whole_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
