/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What an upstream offers in its EHLO reply.
 */
#ifndef SMTP_EHLO_H
#define SMTP_EHLO_H

#include <stdint.h>

#include "smtp/reply.h"

enum smtp_extension {
	SMTP_EXT_PIPELINING = 1 << 0,
	SMTP_EXT_SIZE = 1 << 1,
	SMTP_EXT_8BITMIME = 1 << 2,
	SMTP_EXT_STARTTLS = 1 << 3,
	SMTP_EXT_ENHANCEDSTATUSCODES = 1 << 4,
	SMTP_EXT_CHUNKING = 1 << 5,
	SMTP_EXT_SMTPUTF8 = 1 << 6,
	SMTP_EXT_DSN = 1 << 7,
	SMTP_EXT_AUTH = 1 << 8,
	SMTP_EXT_REQUIRETLS = 1 << 9,
	SMTP_EXT_LIMITS = 1 << 10
};

/* The mechanisms of AUTH that we could use (RFC 4954 section 3). */
enum smtp_offered_mechanism {
	SMTP_OFFERS_PLAIN = 1 << 0,
	SMTP_OFFERS_LOGIN = 1 << 1
};

/* What Postfix's XFORWARD and XCLIENT can be told of a client. */
enum smtp_client_attribute {
	SMTP_CLIENT_NAME = 1 << 0,
	SMTP_CLIENT_ADDR = 1 << 1,
	SMTP_CLIENT_PROTO = 1 << 2,
	SMTP_CLIENT_HELO = 1 << 3,
	SMTP_CLIENT_IDENT = 1 << 4,
	SMTP_CLIENT_SOURCE = 1 << 5,
	SMTP_CLIENT_LOGIN = 1 << 6
};

struct smtp_offer {
	uint32_t extensions;
	uint32_t mechanisms; /* of AUTH */
	uint32_t xforward, xclient; /* attributes */
	int64_t size; /* SIZE's number, 0: none stated */
	int32_t rcptmax, mailmax; /* of LIMITS (RFC 9422), 0: none stated */
};

void smtp_offer_parse(struct smtp_offer *offer, const struct smtp_reply *ehlo);
/* The extension of a keyword in any letter case, 0: not known here. */
uint32_t smtp_extension_find(struct str keyword);
/* All of them, i = 0, 1, ...; NULL behind the last. */
const char *smtp_extension_name(size_t i, uint32_t *extension_r);

#endif
