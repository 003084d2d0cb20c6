/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What an upstream offers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/ehlo.h"

static void
test_ehlo_offers_are_found(void **state)
{
	static const struct {
		const char *reply;
		uint32_t extensions;
		int64_t size;
	} table[] = {
		{ "250-mx\r\n250-PIPELINING\r\n250-SIZE 35882577\r\n"
		  "250-8BITMIME\r\n250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n",
		    SMTP_EXT_PIPELINING | SMTP_EXT_SIZE | SMTP_EXT_8BITMIME |
			SMTP_EXT_STARTTLS | SMTP_EXT_ENHANCEDSTATUSCODES,
		    35882577 },
		{ "250-mx\r\n250-pipelining\r\n250-vrfy\r\n250 size\r\n",
		    SMTP_EXT_PIPELINING | SMTP_EXT_SIZE, 0 },
		{ "250-mx\r\n250 SIZE 0\r\n", SMTP_EXT_SIZE, 0 },
		{ "250-mx\r\n250 SIZE 10 20\r\n", SMTP_EXT_SIZE, 10 },
		{ "250-mx\r\n250 SIZE 1k\r\n", SMTP_EXT_SIZE, 0 },
		{ "250-mx\r\n250 SIZE -1\r\n", SMTP_EXT_SIZE, 0 },
		{ "250-mx\r\n250 SIZE 9223372036854775807\r\n", SMTP_EXT_SIZE,
		    INT64_MAX },
		{ "250-mx\r\n250 SIZE 9223372036854775808\r\n", SMTP_EXT_SIZE,
		    0 },
		{ "250-mx\r\n250-AUTH=LOGIN\r\n250-SIZEX 5\r\n250 "
		  "STARTTLSX\r\n",
		    0, 0 },
		{ "250-mx\r\n250-\r\n250- PIPELINING\r\n250 x PIPELINING\r\n",
		    0, 0 },
		/* the first line is a name, whatever it says */
		{ "250-PIPELINING\r\n250 SIZE 5\r\n", SMTP_EXT_SIZE, 5 },
		{ "250 PIPELINING\r\n", 0, 0 },
		{ "250\r\n", 0, 0 },
		/* not a yes */
		{ "550-mx\r\n550 PIPELINING\r\n", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct smtp_reply_parser p = { 0 };
		struct smtp_offer offer = { .size = 77 };
		size_t used;

		assert_int_equal(smtp_reply_feed(&p, table[i].reply,
				     strlen(table[i].reply), &used),
		    SMTP_REPLY_DONE);
		smtp_offer_parse(&offer, &p.reply);
		assert_int_equal(offer.extensions, table[i].extensions);
		assert_int_equal(offer.size, table[i].size);
		assert_int_equal(offer.mechanisms, 0);
		smtp_reply_parser_free(&p);
	}
}

static void
test_mechanisms_that_we_could_use_are_found(void **state)
{
	static const struct {
		const char *reply;
		uint32_t mechanisms;
	} table[] = {
		{ "250-mx\r\n250-AUTH GSSAPI login\r\n250 auth Plain\r\n",
		    SMTP_OFFERS_LOGIN | SMTP_OFFERS_PLAIN },
		{ "250-mx\r\n250 AUTH  PLAIN \r\n", SMTP_OFFERS_PLAIN },
		{ "250-mx\r\n250-AUTH\r\n250 AUTH XLOGIN PLAINX\r\n", 0 },
		{ "250-mx\r\n250 AUTH=PLAIN\r\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct smtp_reply_parser p = { 0 };
		struct smtp_offer offer;
		size_t used;

		assert_int_equal(smtp_reply_feed(&p, table[i].reply,
				     strlen(table[i].reply), &used),
		    SMTP_REPLY_DONE);
		smtp_offer_parse(&offer, &p.reply);
		assert_int_equal(offer.mechanisms, table[i].mechanisms);
		smtp_reply_parser_free(&p);
	}
}

static void
test_ehlo_limits(void **state)
{
	static const struct {
		const char *line;
		int rcptmax, mailmax;
	} table[] = {
		{ "LIMITS RCPTMAX=100 MAILMAX=5", 100, 5 },
		{ "limits mailmax=999999", 0, 999999 },
		{ "LIMITS RCPTDOMAINMAX=1 RCPTMAX=7", 7, 0 },
		{ "LIMITS", 0, 0 },
		{ "LIMITS RCPTMAX", 0, 0 },
		{ "LIMITS RCPTMAX=", 0, 0 },
		{ "LIMITS RCPTMAX=0", 0, 0 },
		{ "LIMITS RCPTMAX=05", 0, 0 },
		{ "LIMITS RCPTMAX=1000000", 0, 0 },
		{ "LIMITS RCPTMAX=1x MAILMAX=2", 0, 2 },
		{ "LIMITS RCPTMAX=-1", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct smtp_reply_parser p = { 0 };
		struct smtp_offer offer;
		char reply[100];
		size_t used;

		snprintf(reply, sizeof reply, "250-mx\r\n250 %s\r\n",
		    table[i].line);
		smtp_reply_feed(&p, reply, strlen(reply), &used);
		smtp_offer_parse(&offer, &p.reply);
		assert_int_equal(offer.extensions, SMTP_EXT_LIMITS);
		assert_int_equal(offer.rcptmax, table[i].rcptmax);
		assert_int_equal(offer.mailmax, table[i].mailmax);
		smtp_reply_parser_free(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ehlo_offers_are_found),
		cmocka_unit_test(test_mechanisms_that_we_could_use_are_found),
		cmocka_unit_test(test_ehlo_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
