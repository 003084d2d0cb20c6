/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and networks.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/network.h"

static struct ip_address
address(const char *text)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct ip_address a;

	if (inet_pton(AF_INET, text, &in4.sin_addr) == 1) {
		address_of(&a, (struct sockaddr *)&in4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
		address_of(&a, (struct sockaddr *)&in6);
	}
	return a;
}

static void
test_an_address_reads_the_same_however_it_came(void **state)
{
	static const char *const table[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "2001:db8::1", "2001:db8::1" },
		{ "::1", "::1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct ip_address a = address(table[i][0]);
		char text[ADDRESS_TEXT];

		address_text(&a, text);
		assert_string_equal(text, table[i][1]);
	}
}

static void
test_other_families_are_nobody(void **state)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	char text[ADDRESS_TEXT];
	struct ip_address a;

	(void)state;
	address_of(&a, &sa);
	address_text(&a, text);
	assert_string_equal(text, "::");
}

static void
test_networks_have_their_addresses(void **state)
{
	static const struct {
		const char *network, *address;
		bool is_in;
	} table[] = {
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.7", "192.0.2.7", true },
		{ "192.0.2.7", "192.0.2.6", false },
		{ "0.0.0.0/0", "203.0.113.1", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/32", "2001:db9::1", false },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "192.0.2.1", true },
		{ "::1", "::1", true },
		{ "127.0.0.0/8", "::1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct ip_address a = address(table[i].address);
		struct network n;

		assert_int_equal(network_parse(table[i].network, &n), 0);
		assert_int_equal(network_has(&n, &a), table[i].is_in);
	}
}

static void
test_what_is_no_network(void **state)
{
	static const char *const table[] = { "", "/", "/8", "192.0.2.0/",
		"192.0.2.0/33", "192.0.2.0/024", "192.0.2.0/-1", "192.0.2.0/8x",
		"192.0.2.0/ 8", "192.0.2.1/24", "192.0.2/24", "2001:db8::/129",
		"2001:db8::1/64", "example.org", "[::1]", "*",
		"192.0.2.0/99999999999999999999",
		"2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000/32" };
	struct network n;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(network_parse(table[i], &n), -1);
}

static void
test_hosts_and_sites(void **state)
{
	static const char *const table[][3] = {
		{ "192.0.2.77", "192.0.2.77/32", "192.0.2.0/24" },
		{ "2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct ip_address a = address(table[i][0]);
		char text[NETWORK_TEXT];
		struct network n;

		network_of_host(&a, &n);
		network_text(&n, text);
		assert_string_equal(text, table[i][1]);
		network_of_site(&a, &n);
		network_text(&n, text);
		assert_string_equal(text, table[i][2]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_address_reads_the_same_however_it_came),
		cmocka_unit_test(test_other_families_are_nobody),
		cmocka_unit_test(test_networks_have_their_addresses),
		cmocka_unit_test(test_what_is_no_network),
		cmocka_unit_test(test_hosts_and_sites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
