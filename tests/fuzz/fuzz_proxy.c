/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever comes where a header of the PROXY protocol is due: the end is found
 * at the same byte and the same client under any splitting, within the bound;
 * a line that names a client is written the way it is read.
 *
 * Input: a seed for the cuts; what the proxy sends.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/network.h"
#include "smtp/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum proxy_result
parse(struct proxy_header *p, const uint8_t *data, size_t len, unsigned seed,
    size_t *used_r)
{
	enum proxy_result result = PROXY_MORE;
	size_t used;

	*used_r = 0;
	while (result == PROXY_MORE && *used_r < len) {
		size_t n = len - *used_r;

		if (seed > 0 && n > seed % 7 + 1)
			n = seed % 7 + 1;
		seed = seed * 1103515245u + (seed > 0 ? 12345u : 0);
		result = proxy_header_feed(p, data + *used_r, n, &used);
		assert(used > 0 && used <= n);
		assert(result != PROXY_MORE || used == n);
		*used_r += used;
	}
	assert(*used_r <= PROXY_V2_MAX);
	return result;
}

/* The same as version 1 would say it. */
static void
assert_says_the_same(const struct proxy_header *p)
{
	struct proxy_header again = { 0 };
	struct ip_address a, b;
	char text[ADDRESS_TEXT], line[PROXY_V1_MAX + 1];
	bool is_v4;
	size_t used;
	int n;

	address_of(&a, (const struct sockaddr *)&p->client);
	is_v4 = address_is_v4(&a);
	address_text(&a, text);
	n = snprintf(line, sizeof line, "PROXY TCP%c %s %s 1 2\r\n",
	    is_v4 ? '4' : '6', text, text);
	assert(proxy_header_feed(&again, line, (size_t)n, &used) == PROXY_DONE);
	address_of(&b, (const struct sockaddr *)&again.client);
	assert(memcmp(&a, &b, sizeof a) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct proxy_header whole = { 0 }, cut = { 0 };
	size_t used, used_cut;
	enum proxy_result result;

	if (len < 1)
		return 0;
	result = parse(&whole, data + 1, len - 1, 0, &used);
	assert(parse(&cut, data + 1, len - 1, data[0] | 1u, &used_cut) ==
	    result);
	assert(used == used_cut && whole.is_local == cut.is_local);
	assert(memcmp(&whole.client, &cut.client, sizeof cut.client) == 0);
	if (result == PROXY_DONE && !whole.is_local)
		assert_says_the_same(&whole);
	return 0;
}
