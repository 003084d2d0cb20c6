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

#include "../../plugins/policy_guard/spelling.h"

#define ROOM 255
#define MANY_BLANKS "                                                        "

static size_t
spell(char to[ROOM + 1], const char *typed, size_t len)
{
	size_t n = spelling_of((struct portero_str){ typed, len }, to, ROOM);

	to[n] = '\0';
	return n;
}

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
	char to[ROOM + 1];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *typed = cases[i].typed;

		assert_int_equal(spell(to, typed, strlen(typed)),
		    strlen(cases[i].spelling));
		assert_string_equal(to, cases[i].spelling);
	}
}

static void
test_what_grows_is_cut_at_a_whole_character(void **state)
{
	char typed[3 * 85 + 1] = "", to[ROOM + 1];

	(void)state;
	for (size_t i = 0; i < 85; i++)
		strcat(typed, "\uac01"); /* three bytes become nine */
	assert_int_equal(spell(to, typed, strlen(typed)), 255 / 9 * 9 + 3);
	assert_int_equal(strlen(to), 255 / 9 * 9 + 3);
	/* the blank counts, too */
	memset(typed, 'a', ROOM);
	typed[ROOM - 1] = ' ';
	assert_int_equal(spell(to, typed, ROOM), ROOM - 1);
	typed[ROOM - 2] = ' ';
	typed[ROOM - 1] = 'b';
	assert_int_equal(spell(to, typed, ROOM), ROOM);
	assert_memory_equal(to + ROOM - 3, "a b", 4);
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
