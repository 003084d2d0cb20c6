/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * IP addresses and networks as values. An IPv4 address is kept in its mapped
 * form (::ffff:0:0/96), so that there is one kind, however a client came in.
 */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT 46
#define NETWORK_TEXT (ADDRESS_TEXT + 4)

struct ip_address {
	uint8_t byte[16];
};

struct network {
	struct ip_address base; /* the bits behind the prefix are zero */
	unsigned bits;       /* of 128 */
};

struct network_list {
	struct network *networks; /* owned */
	size_t n;
};

/* Anything but IPv4 and IPv6 is ::. */
void address_of(struct ip_address *a, const struct sockaddr *from);
bool address_is_v4(const struct ip_address *a);
void address_text(const struct ip_address *a, char to[ADDRESS_TEXT]);

/* "192.0.2.0/24", "2001:db8::/32", or one address. -1: not a network, or one
 * with bits behind its prefix. */
int network_parse(const char *text, struct network *n);
bool network_has(const struct network *n, const struct ip_address *a);
bool network_list_has(const struct network_list *l, const struct ip_address *a);
void network_list_free(struct network_list *l);

/* What one customer has at least: an IPv4 address, or the /64 of IPv6. */
void network_of_host(const struct ip_address *a, struct network *n);
/* Where neighbours of one operator sit: /24 of IPv4, /48 of IPv6. */
void network_of_site(const struct ip_address *a, struct network *n);
void network_text(const struct network *n, char to[NETWORK_TEXT]);

#endif
