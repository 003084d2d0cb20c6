/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which replies of an upstream a client may see: every code at every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "relay/relay_private.h"

/* Of 200 to 599: those addressed to us wherever they come. */
static bool
is_ours(int code)
{
	static const int ours[] = { 421, 500, 501, 502, 503, 504, 530, 531, 532,
		533, 534, 535, 536, 537, 538, 555 };
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (ours[i] == code)
			return true;
	return false;
}

static void
test_every_code_at_every_step(void **state)
{
	enum relay_mapped expected;
	enum relay_step step;
	int code;

	(void)state;
	for (step = RELAY_MAIL; step <= RELAY_DOT; step++) {
		for (code = 200; code < 600; code++) {
			expected = is_ours(code) ? MAP_ALERT : MAP_PASS;
			if (code / 100 == 3)
				expected =
				    step <= RELAY_RCPT ? MAP_ALERT : MAP_BROKEN;
			if (code / 100 == 2 && step == RELAY_DATA)
				expected = MAP_BROKEN;
			if (code == 354 && step == RELAY_DATA)
				expected = MAP_PASS;
			if (relay_map(step, code, false) != expected)
				fail_msg(
				    "%d at %s", code, relay_step_name(step));
		}
	}
}

static void
test_bad_sequence_after_a_refusal_is_no_alert(void **state)
{
	(void)state;
	assert_int_equal(relay_map(RELAY_RCPT, 503, true), MAP_PASS);
	assert_int_equal(relay_map(RELAY_DATA, 503, true), MAP_PASS);
	assert_int_equal(relay_map(RELAY_DATA, 502, true), MAP_ALERT);
}

static void
test_what_accepts(void **state)
{
	(void)state;
	assert_true(relay_map_accepts(RELAY_MAIL, 250));
	assert_true(relay_map_accepts(RELAY_RCPT, 251));
	assert_true(relay_map_accepts(RELAY_DATA, 354));
	assert_false(relay_map_accepts(RELAY_DATA, 250));
	assert_true(relay_map_accepts(RELAY_DOT, 250));
	assert_false(relay_map_accepts(RELAY_DOT, 354));
	assert_false(relay_map_accepts(RELAY_RCPT, 450));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_code_at_every_step),
		cmocka_unit_test(test_bad_sequence_after_a_refusal_is_no_alert),
		cmocka_unit_test(test_what_accepts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
