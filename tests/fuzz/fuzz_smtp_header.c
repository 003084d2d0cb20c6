/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a header says, the addresses found in it lie inside it and are
 * addresses: alone they read as the same; and its end does not depend on how
 * the bytes came.
 *
 * Input: a header, perhaps with a body behind it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/command.h"
#include "smtp/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_address(struct str address, struct str block)
{
	char again[SMTP_PATH_MAX + 16] = "From: x <";
	struct smtp_header h;
	size_t len = 9;

	assert(address.ptr >= block.ptr);
	assert(address.ptr + address.len <= block.ptr + block.len);
	assert(address.len >= 3 && address.len <= SMTP_PATH_MAX);
	assert(memchr(address.ptr, '@', address.len) != NULL);
	assert(memchr(address.ptr, '\n', address.len) == NULL);
	memcpy(again + len, address.ptr, address.len);
	len += address.len;
	memcpy(again + len, ">\r\n", 3);
	smtp_header_scan((struct str){ again, len + 3 }, &h);
	assert(h.nfrom == 1 && h.nmailboxes == 1);
	assert(str_eq(h.mailboxes[0].address, address));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* of its own size and without NUL behind it */
	char *copy = malloc(len > 0 ? len : 1);
	struct str all = { copy, len }, block;
	struct smtp_header h;
	size_t end, senders = 0;

	if (len > 0)
		memcpy(copy, data, len);
	end = smtp_header_length(all, 0);
	assert(end <= len);
	for (size_t n = 0; n < end && n < 64; n++)
		assert(smtp_header_length((struct str){ copy, n }, 0) == 0 &&
		    smtp_header_length(all, n) == end);
	block = (struct str){ copy, end > 0 ? end : len };
	smtp_header_scan(block, &h);
	assert(h.nmailboxes <= SMTP_MAILBOXES_MAX);
	for (size_t i = 0; i < h.nmailboxes; i++) {
		senders += h.mailboxes[i].is_sender;
		/* controls in it are a flaw of the whole */
		if (h.flaw == NULL)
			check_address(h.mailboxes[i].address, block);
	}
	if (h.flaw == NULL)
		assert(senders == h.nsender);
	if (h.nfrom == 0)
		assert(senders == h.nmailboxes);
	free(copy);
	return 0;
}
