/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Random ids. Random bytes are fetched in blocks and overwritten when used,
 * so that none is given out twice or can be found later.
 */
#include "base/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

/* getrandom(2) never gives less than asked for up to this size. */
#define BLOCK_LEN 256

static uint8_t block[BLOCK_LEN];
static size_t left; /* unused bytes at the end of the block */

static void
refill(void)
{
	ssize_t n;

	do {
		n = getrandom(block, sizeof block, 0);
	} while (n == -1 && errno == EINTR);
	if (n != (ssize_t)sizeof block) {
		log_say(LOG_LEVEL_ERROR, "fatal",
		    "getrandom failed: %s; this process ends", strerror(errno));
		log_flush();
		abort();
	}
	left = sizeof block;
}

void
id_random(void *to, size_t len)
{
	char *p = to;

	while (len > 0) {
		size_t n;
		uint8_t *from;

		if (left == 0)
			refill();
		n = len < left ? len : left;
		from = block + sizeof block - left;
		memcpy(p, from, n);
		explicit_bzero(from, n);
		left -= n;
		p += n;
		len -= n;
	}
}

void
id_session(char to[ID_SESSION_LEN + 1])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t raw[ID_SESSION_LEN];

	id_random(raw, sizeof raw);
	for (size_t i = 0; i < ID_SESSION_LEN; i++)
		to[i] = digits[raw[i] & 31];
	to[ID_SESSION_LEN] = '\0';
}
