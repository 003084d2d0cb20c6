/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The trace field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "smtp/received.h"

static void
test_received_is_folded_and_tells_no_address(void **state)
{
	const struct smtp_received r = {
		.hostname = "smtp.example.org",
		.sid = "7Q3K9F2M",
		.transaction = 2,
		.person_tag = "k3v9w2c8n4d7m5x1",
		.wall_s = 1795443600,
	};
	static const char want[] =
	    "Received: by smtp.example.org\r\n"
	    "\twith ESMTPSA id 7Q3K9F2M.2 (person k3v9w2c8n4d7m5x1);\r\n"
	    "\tMon, 23 Nov 2026 15:20:00 +0100\r\n";
	char to[SMTP_RECEIVED_MAX];

	(void)state;
	assert_int_equal(setenv("TZ", "CET-1", 1), 0);
	tzset();
	assert_int_equal(smtp_received_make(to, &r), strlen(want));
	assert_string_equal(to, want);
}

static void
test_received_keeps_its_bound(void **state)
{
	struct smtp_received r = { .transaction = UINT32_MAX,
		.wall_s = INT64_C(253402300799) };
	char to[SMTP_RECEIVED_MAX];
	char text[1000];
	size_t len;

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	r.hostname = r.sid = r.person_tag = text;
	len = smtp_received_make(to, &r);
	assert_true(len < SMTP_RECEIVED_MAX);
	assert_int_equal(strlen(to), len);
	assert_string_equal(to + len - 2, "\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received_is_folded_and_tells_no_address),
		cmocka_unit_test(test_received_keeps_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
