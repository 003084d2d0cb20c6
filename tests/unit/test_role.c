/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The arguments of a role.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/role.h"

static const struct role_args full = {
	.role = ROLE_AUTH,
	.slot = 255,
	.row = 511,
	.generation = UINT32_MAX,
	.incarnation = UINT32_MAX - 1,
	.nlisteners = 64,
	.naskers = 65,
	.nshares = 32,
	.share_mask = 0x80000001,
	.print = true,
	.config_path = "/etc/portero/portero.conf",
};

static int
count(char *argv[])
{
	int n = 0;

	while (argv[n] != NULL)
		n++;
	return n;
}

static void
test_arguments_come_back_as_they_were(void **state)
{
	struct role_args a;
	struct error err = { 0 };
	char *argv[16];

	(void)state;
	role_args_encode(&full, argv, "porterod");
	assert_string_equal(argv[0], "porterod");
	assert_string_equal(argv[1], "--role=auth");
	assert_int_equal(role_args_decode(count(argv), argv, &a, &err), 0);
	assert_int_equal(a.role, ROLE_AUTH);
	assert_int_equal(a.slot, 255);
	assert_int_equal(a.row, 511);
	assert_true(a.generation == UINT32_MAX);
	assert_true(a.incarnation == UINT32_MAX - 1);
	assert_int_equal(a.nlisteners, 64);
	assert_int_equal(a.naskers, 65);
	assert_int_equal(a.nshares, 32);
	assert_true(a.share_mask == 0x80000001);
	assert_true(a.print);
	assert_string_equal(a.config_path, full.config_path);
}

static void
test_no_path_stays_no_path(void **state)
{
	struct role_args a = { .role = ROLE_SESSION };
	struct error err;
	char *argv[16];

	(void)state;
	role_args_encode(&a, argv, "porterod");
	a.config_path = "x";
	assert_int_equal(role_args_decode(count(argv), argv, &a, &err), 0);
	assert_null(a.config_path);
}

static void
test_wrong_arguments_are_refused(void **state)
{
	static const struct {
		int at;
		const char *text;
	} wrong[] = {
		{ 1, "--role=master" },
		{ 1, "--role=" },
		{ 1, "-c" },
		{ 2, "--slot=-1" },
		{ 2, "--slot=256" },
		{ 2, "--slot=1x" },
		{ 2, "--slot=" },
		{ 2, "--row=1" },
		{ 4, "--generation=4294967296" },
		{ 4, "--generation=99999999999999999999" },
		{ 7, "--askers=66" },
		{ 10, "--print=2" },
	};
	struct role_args a;
	struct error err;
	char *argv[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		role_args_encode(&full, argv, "porterod");
		argv[wrong[i].at] = (char *)wrong[i].text;
		if (role_args_decode(count(argv), argv, &a, &err) != -1)
			fail_msg("%s was taken", wrong[i].text);
	}
	role_args_encode(&full, argv, "porterod");
	assert_int_equal(role_args_decode(count(argv) - 1, argv, &a, &err),
	    -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments_come_back_as_they_were),
		cmocka_unit_test(test_no_path_stays_no_path),
		cmocka_unit_test(test_wrong_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
