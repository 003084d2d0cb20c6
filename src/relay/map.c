/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which of an upstream's replies a client may see. Those that speak of the
 * sender, a recipient or the message are passed on unchanged; those that speak
 * of the connection, of the protocol or of a login are addressed to us, and a
 * client who saw them would give up on a message for a fault that is ours.
 */
#include "relay/relay_private.h"

#define AT(step) (1u << (step))
#define ANYWHERE                                                               \
	(AT(RELAY_MAIL) | AT(RELAY_RCPT) | AT(RELAY_DATA) | AT(RELAY_DOT))

/* clang-format off */
/* The first that fits; anything else is passed. */
static const struct rule {
	int from, to;
	unsigned steps;
	enum relay_mapped result;
} rules[] = {
	{ 354, 354, AT(RELAY_DATA),                  MAP_PASS   },
	{ 200, 299, AT(RELAY_DATA),                  MAP_BROKEN },
	{ 300, 399, AT(RELAY_DATA) | AT(RELAY_DOT),  MAP_BROKEN },
	{ 300, 399, AT(RELAY_MAIL) | AT(RELAY_RCPT), MAP_ALERT  },
	{ 421, 421, ANYWHERE,                        MAP_ALERT  }, /* it closes */
	{ 500, 504, ANYWHERE,                        MAP_ALERT  }, /* syntax, sequence */
	{ 530, 538, ANYWHERE,                        MAP_ALERT  }, /* TLS, AUTH */
	{ 555, 555, ANYWHERE,                        MAP_ALERT  }, /* parameters */
};
/* clang-format on */

enum relay_mapped
relay_map(enum relay_step step, int code, bool orphan)
{
	const struct rule *r;

	if (orphan && code == 503)
		return MAP_PASS;
	for (r = rules; r < rules + sizeof(rules) / sizeof(rules[0]); r++)
		if (code >= r->from && code <= r->to &&
		    (r->steps & AT(step)) != 0)
			return r->result;
	return MAP_PASS;
}

bool
relay_map_accepts(enum relay_step step, int code)
{
	return step == RELAY_DATA ? code == 354 : code / 100 == 2;
}

const char *
relay_step_name(enum relay_step step)
{
	static const char *const names[] = {
		[RELAY_MAIL] = "MAIL",
		[RELAY_RCPT] = "RCPT",
		[RELAY_DATA] = "DATA",
		[RELAY_DOT] = "dot",
	};

	return names[step];
}
