/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define MAPPED_BITS 96

static const uint8_t mapped[MAPPED_BITS / 8] = { [10] = 0xff, [11] = 0xff };

static void
address_of_v4(struct ip_address *a, const struct in_addr *v4)
{
	memcpy(a->byte, mapped, sizeof mapped);
	memcpy(a->byte + sizeof mapped, v4, sizeof *v4);
}

void
address_of(struct ip_address *a, const struct sockaddr *from)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	memset(a, 0, sizeof *a);
	if (from->sa_family == AF_INET) {
		memcpy(&in4, from, sizeof in4);
		address_of_v4(a, &in4.sin_addr);
	} else if (from->sa_family == AF_INET6) {
		memcpy(&in6, from, sizeof in6);
		memcpy(a->byte, &in6.sin6_addr, sizeof a->byte);
	}
}

bool
address_is_v4(const struct ip_address *a)
{
	return memcmp(a->byte, mapped, sizeof mapped) == 0;
}

void
address_text(const struct ip_address *a, char to[ADDRESS_TEXT])
{
	if (address_is_v4(a))
		inet_ntop(AF_INET, a->byte + sizeof mapped, to, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, a->byte, to, ADDRESS_TEXT);
}

/* The first bits of *a; zeroes behind them. */
static void
network_cut(struct network *n, const struct ip_address *a, unsigned bits)
{
	n->bits = bits;
	for (unsigned i = 0; i < sizeof a->byte; i++) {
		unsigned left = bits > 8 * i ? bits - 8 * i : 0;

		n->base.byte[i] = left >= 8
		    ? a->byte[i]
		    : (uint8_t)(a->byte[i] & (0xff00u >> left));
	}
}

/* 0 to max, in decimal and as one writes it; -1: it is not. */
static int
read_bits(const char *text, unsigned max)
{
	unsigned bits = 0;
	size_t len = strlen(text);

	if (len < 1 || len > 3 || strspn(text, "0123456789") != len ||
	    (text[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++)
		bits = bits * 10 + (unsigned)(text[i] - '0');
	return bits > max ? -1 : (int)bits;
}

int
network_parse(const char *text, struct network *n)
{
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	char host[ADDRESS_TEXT];
	struct ip_address a;
	struct in_addr v4;
	unsigned first = 0;
	int bits;

	if (!str_copy(host, sizeof host, (struct str){ text, len }))
		return -1;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		address_of_v4(&a, &v4);
		first = MAPPED_BITS;
	} else if (inet_pton(AF_INET6, host, a.byte) != 1) {
		return -1;
	}
	bits = slash == NULL ? (int)(128 - first)
			     : read_bits(slash + 1, 128 - first);
	if (bits == -1)
		return -1;
	network_cut(n, &a, first + (unsigned)bits);
	return memcmp(&n->base, &a, sizeof a) == 0 ? 0 : -1;
}

bool
network_has(const struct network *n, const struct ip_address *a)
{
	struct network of;

	network_cut(&of, a, n->bits);
	return memcmp(&of.base, &n->base, sizeof of.base) == 0;
}

bool
network_list_has(const struct network_list *l, const struct ip_address *a)
{
	for (size_t i = 0; i < l->n; i++)
		if (network_has(&l->networks[i], a))
			return true;
	return false;
}

void
network_list_free(struct network_list *l)
{
	free(l->networks);
	*l = (struct network_list){ NULL, 0 };
}

void
network_of_host(const struct ip_address *a, struct network *n)
{
	network_cut(n, a, address_is_v4(a) ? 128 : 64);
}

void
network_of_site(const struct ip_address *a, struct network *n)
{
	network_cut(n, a, address_is_v4(a) ? MAPPED_BITS + 24 : 48);
}

void
network_text(const struct network *n, char to[NETWORK_TEXT])
{
	char base[ADDRESS_TEXT];
	bool is_v4 = address_is_v4(&n->base) && n->bits >= MAPPED_BITS;

	address_text(&n->base, base);
	snprintf(to, NETWORK_TEXT, "%s/%u", base,
	    is_v4 ? n->bits - MAPPED_BITS : n->bits);
}
