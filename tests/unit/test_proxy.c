/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Headers of the PROXY protocol: what is one, what is not, and that nothing
 * behind one is taken, in whatever pieces it comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/network.h"
#include "base/str.h"
#include "smtp/proxy.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\x11\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2" "\x9c\x40" "\1\xd1"
#define ADDRESSES6 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2" "\x9c\x40" "\1\xd1"

struct sample {
	struct str header;
	const char *client; /* NULL: local */
};

static const struct sample good[] = {
	{ STR("PROXY TCP4 192.0.2.1 192.0.2.2 40000 465\r\n"), "192.0.2.1" },
	{ STR("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"),
	    "2001:db8::1" },
	{ STR("PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n"), "192.0.2.9" },
	{ STR("PROXY UNKNOWN\r\n"), NULL },
	{ STR("PROXY UNKNOWN and whatever else\r\n"), NULL },
	/* the longest there is */
	{ STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    NULL },
	{ STR(V2 "\x21" TCP4), "192.0.2.1" },
	{ STR(V2 "\x21\x21\0\x24" ADDRESSES6), "2001:db8::1" },
	/* with a TLV behind the addresses */
	{ STR(V2 "\x21\x11\0\x14" "\xc0\0\2\1\xc0\0\2\2\x9c\x40\1\xd1"
	      "\x04\0\5noop."), "192.0.2.1" },
	{ STR(V2 "\x20\0\0\0"), NULL },
	{ STR(V2 "\x20" TCP4), NULL },
	{ STR(V2 "\x21\0\0\0"), NULL },
};

static const struct str bad[] = {
	STR("EHLO x\r\n"), STR("\x16\3\1\2\0\1\0\1"), STR("\0"),
	STR("Proxy TCP4"), STR("PROXY\r"), STR("PROXY \r\n"),
	STR("PROXY UNKNOWNS\r\n"), STR("PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n"),
	STR("PROXY TCP4\r\n"), STR("PROXY TCP4 192.0.2.1\r\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"),
	STR("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"),
	STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r "),
	STR("PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n"),
	STR("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"),
	STR("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"),
	STR("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"),
	STR("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"),
	STR("PROXY TCP6 fe80::1%lo ::1 1 2\r\n"),
	/* a byte longer than the longest */
	STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n"),
	STR("\r\n\r\n\0\r\nQUIT\r"),
	STR(V2 "\x11" TCP4), STR(V2 "\x31" TCP4), /* versions */
	STR(V2 "\x22" TCP4),                      /* command */
	STR(V2 "\x21\x12\0\x0c" "012345678901"),  /* UDP */
	STR(V2 "\x21\x31\0\0"),                   /* UNIX */
	STR(V2 "\x21\x11\0\x0b" "01234567890"),   /* addresses cut short */
	STR(V2 "\x21\x21\0\x0c" "012345678901"),
	STR(V2 "\x21\x11\x08\0"),                 /* too long in all */
};

static void
assert_good(const struct sample *s, size_t piece)
{
	struct proxy_header p = { 0 };
	enum proxy_result result = PROXY_MORE;
	char text[ADDRESS_TEXT], data[256];
	size_t len = s->header.len + 4, at = 0, used;
	struct ip_address a;

	memcpy(data, s->header.ptr, s->header.len);
	memcpy(data + s->header.len, "EHLO", 4);
	while (result == PROXY_MORE) {
		size_t n = len - at < piece ? len - at : piece;

		assert_true(n > 0);
		result = proxy_header_feed(&p, data + at, n, &used);
		at += used;
	}
	assert_int_equal(result, PROXY_DONE);
	assert_int_equal(at, s->header.len);
	assert_int_equal(p.is_local, s->client == NULL);
	if (p.is_local)
		return;
	address_of(&a, (struct sockaddr *)&p.client);
	address_text(&a, text);
	assert_string_equal(text, s->client);
}

static void
test_a_header_ends_where_it_ends_however_it_is_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		for (size_t piece = 1; piece < 128; piece++)
			assert_good(&good[i], piece);
}

static void
test_what_is_no_header_is_refused_at_its_last_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct proxy_header p = { 0 };
		size_t used;

		assert_int_equal(proxy_header_feed(&p, bad[i].ptr, bad[i].len,
				     &used),
		    PROXY_BAD);
	}
}

static void
test_long_tlvs_are_skipped_to_their_end(void **state)
{
	static const char head[] = V2 "\x21\x11\x07\xf0"
				      "\xc0\0\2\1\xc0\0\2\2\x9c\x40\1\xd1";
	char data[PROXY_V2_MAX + 10] = { 0 };
	struct proxy_header p = { 0 };
	size_t used;

	(void)state;
	memcpy(data, head, sizeof head - 1);
	assert_int_equal(proxy_header_feed(&p, data, PROXY_V2_MAX - 1, &used),
	    PROXY_MORE);
	assert_int_equal(used, PROXY_V2_MAX - 1);
	assert_int_equal(proxy_header_feed(&p, data, 10, &used), PROXY_DONE);
	assert_int_equal(used, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_a_header_ends_where_it_ends_however_it_is_split),
		cmocka_unit_test(
		    test_what_is_no_header_is_refused_at_its_last_byte),
		cmocka_unit_test(test_long_tlvs_are_skipped_to_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
