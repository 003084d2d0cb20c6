/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The header of the PROXY protocol, versions 1 and 2, by which a load
 * balancer says who the client is. It comes before everything else, TLS
 * included, so not one byte behind it may be taken.
 */
#ifndef SMTP_PROXY_H
#define SMTP_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROXY_V1_MAX 107  /* with CR LF */
#define PROXY_V2_FIXED 16 /* before addresses and TLVs */
#define PROXY_V2_MAX 2048 /* all of it; the addresses are kept, TLVs skipped */

enum proxy_result {
	PROXY_MORE = 1,
	PROXY_DONE,
	PROXY_BAD /* no such header: close without a word */
};

struct proxy_header {
	uint8_t head[PROXY_V1_MAX]; /* the line, or what is kept of version 2 */
	size_t len;                 /* taken so far */
	size_t total;               /* version 2: of the header, once known */
	/* PROXY_DONE */
	bool is_local; /* the proxy's own connection, or it does not know */
	struct sockaddr_storage client; /* unless is_local */
};

/* Begins with a zeroed header. *used: what of the data belongs to it. */
enum proxy_result proxy_header_feed(struct proxy_header *p, const void *data,
    size_t len, size_t *used);

#endif
