/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Strict: what is not exactly as the protocol says is no header, since who may
 * write one can make himself anybody.
 */
#include "smtp/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/str.h"

#define COMMAND_LOCAL 0x20 /* version 2 in the high bits */
#define COMMAND_PROXY 0x21
#define FAMILY_UNSPEC 0x00
#define FAMILY_TCP4 0x11
#define FAMILY_TCP6 0x21
#define TCP4_LEN 12 /* two addresses, two ports */
#define TCP6_LEN 36

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const uint8_t v1_start[6] = "PROXY ";

/* ---- version 1 ---------------------------------------------------------- */

/* -1: not a port as one writes it. */
static int
read_port(struct str word)
{
	int port = 0;

	if (word.len < 1 || word.len > 5 || (word.ptr[0] == '0' && word.len > 1))
		return -1;
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] < '0' || word.ptr[i] > '9')
			return -1;
		port = port * 10 + (word.ptr[i] - '0');
	}
	return port > 65535 ? -1 : port;
}

static int
read_address(struct str word, int family, void *to)
{
	char text[INET6_ADDRSTRLEN];

	return str_copy(text, sizeof text, word) &&
		inet_pton(family, text, to) == 1
	    ? 0 : -1;
}

static void
set_client(struct proxy_header *p, int family, const void *address,
    uint16_t port)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };

	if (family == AF_INET) {
		memcpy(&in4.sin_addr, address, sizeof in4.sin_addr);
		memcpy(&p->client, &in4, sizeof in4);
	} else {
		memcpy(&in6.sin6_addr, address, sizeof in6.sin6_addr);
		memcpy(&p->client, &in6, sizeof in6);
	}
}

/* "PROXY TCP4 192.0.2.1 192.0.2.2 40000 465", without its CR LF. */
static enum proxy_result
v1_parse(struct proxy_header *p, struct str line)
{
	struct str rest = { line.ptr + sizeof v1_start,
		line.len - sizeof v1_start };
	struct str word = str_cut(&rest, ' ');
	uint8_t address[2][sizeof(struct in6_addr)];
	int family, port[2];

	if (str_eq(word, STR("UNKNOWN"))) {
		p->is_local = true; /* whatever else the line says */
		return PROXY_DONE;
	}
	if (str_eq(word, STR("TCP4")))
		family = AF_INET;
	else if (str_eq(word, STR("TCP6")))
		family = AF_INET6;
	else
		return PROXY_BAD;
	for (int i = 0; i < 2; i++)
		if (read_address(str_cut(&rest, ' '), family, address[i]) == -1)
			return PROXY_BAD;
	for (int i = 0; i < 2; i++)
		if ((port[i] = read_port(str_cut(&rest, ' '))) == -1)
			return PROXY_BAD;
	if (line.ptr[line.len - 1] == ' ' || rest.len > 0)
		return PROXY_BAD;
	set_client(p, family, address[0], (uint16_t)port[0]);
	return PROXY_DONE;
}

static enum proxy_result
v1_take(struct proxy_header *p, uint8_t byte)
{
	if (byte == '\n') {
		if (p->head[p->len - 2] != '\r')
			return PROXY_BAD;
		return v1_parse(p,
		    (struct str){ (const char *)p->head, p->len - 2 });
	}
	/* one CR, at the end */
	if (p->len == PROXY_V1_MAX || p->head[p->len - 2] == '\r' ||
	    (byte != '\r' && (byte < ' ' || byte > '~')))
		return PROXY_BAD;
	return PROXY_MORE;
}

/* ---- version 2 ---------------------------------------------------------- */

static enum proxy_result
v2_parse(struct proxy_header *p)
{
	const uint8_t *addresses = p->head + PROXY_V2_FIXED;
	size_t len = p->total - PROXY_V2_FIXED;
	uint8_t command = p->head[12], family = p->head[13];

	if (command == COMMAND_LOCAL || family == FAMILY_UNSPEC) {
		p->is_local = true;
		return PROXY_DONE;
	}
	if (family == FAMILY_TCP4 && len >= TCP4_LEN) {
		set_client(p, AF_INET, addresses,
		    (uint16_t)(addresses[8] << 8 | addresses[9]));
		return PROXY_DONE;
	}
	if (family == FAMILY_TCP6 && len >= TCP6_LEN) {
		set_client(p, AF_INET6, addresses,
		    (uint16_t)(addresses[32] << 8 | addresses[33]));
		return PROXY_DONE;
	}
	return PROXY_BAD;
}

static enum proxy_result
v2_take(struct proxy_header *p)
{
	if (p->len < PROXY_V2_FIXED)
		return PROXY_MORE;
	if (p->len == PROXY_V2_FIXED) {
		p->total = PROXY_V2_FIXED +
		    (size_t)(p->head[14] << 8 | p->head[15]);
		if (p->total > PROXY_V2_MAX ||
		    (p->head[12] != COMMAND_LOCAL &&
			p->head[12] != COMMAND_PROXY))
			return PROXY_BAD;
	}
	return p->len == p->total ? v2_parse(p) : PROXY_MORE;
}

/* ---- both --------------------------------------------------------------- */

static enum proxy_result
take(struct proxy_header *p, uint8_t byte)
{
	size_t at = p->len++;
	bool is_v1;

	if (at < sizeof p->head)
		p->head[at] = byte;
	is_v1 = p->head[0] == v1_start[0];
	if (is_v1 && at < sizeof v1_start)
		return byte == v1_start[at] ? PROXY_MORE : PROXY_BAD;
	if (!is_v1 && at < sizeof signature)
		return byte == signature[at] ? PROXY_MORE : PROXY_BAD;
	return is_v1 ? v1_take(p, byte) : v2_take(p);
}

enum proxy_result
proxy_header_feed(struct proxy_header *p, const void *data, size_t len,
    size_t *used)
{
	const uint8_t *bytes = data;
	enum proxy_result result = PROXY_MORE;

	for (*used = 0; *used < len && result == PROXY_MORE; (*used)++)
		result = take(p, bytes[*used]);
	return result;
}
