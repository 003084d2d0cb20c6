/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The header of a message (RFC 5322): who it claims to be from, and what a
 * submission server counts or adds. Pure: bytes in, values out, which point
 * into the block. One pass, no memory.
 *
 * It reads what is legal and everyday, and calls the rest a flaw: where two
 * readers of mail could see two different authors, nobody should guess which
 * one the recipient's is. Obsolete syntax that puts blanks or comments inside
 * an address is such a case, and so is a line that begins with a dot, which
 * the next hop may take for stuffing. Display names, encoded words in them and
 * bytes above 126 are left alone.
 */
#ifndef SMTP_HEADER_H
#define SMTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* More is not held: nobody's programs write so much. */
#define SMTP_HEADER_MAX (128u << 10)
#define SMTP_MAILBOXES_MAX 32

struct smtp_mailbox {
	struct str address; /* "ana@example.org", as it was written */
	bool is_sender;     /* of Sender, else of From */
};

struct smtp_header {
	const char *flaw; /* the first one, some static words; NULL: none */
	unsigned nfrom, nsender, nreceived; /* fields of that name */
	bool has_date, has_message_id, is_signed;
	size_t nmailboxes;
	struct smtp_mailbox mailboxes[SMTP_MAILBOXES_MAX];
};

/* Length of the header at the start, its empty line included; 0: its end is
 * not here. `from`: so much was looked at before. Dot-stuffed or not. */
size_t smtp_header_length(struct str data, size_t from);
/* Reads the block, with or without its empty line. */
void smtp_header_scan(struct str block, struct smtp_header *h);

#endif
