/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The one trace line we add (RFC 5321 section 4.4, RFC 6409). The client's
 * address, name and login stay private; session id and a keyed tag of the
 * person are what the operator searches the log for.
 */
#ifndef SMTP_RECEIVED_H
#define SMTP_RECEIVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An upper bound on its length, for the SIZE we offer. */
#define SMTP_RECEIVED_MAX 512
/* The same with Date, Message-ID and Sender, which may be added, too. */
#define SMTP_ADDED_MAX (SMTP_RECEIVED_MAX + 768)

struct smtp_received {
	const char *hostname;  /* ours */
	const char *sid;       /* session id */
	unsigned transaction;  /* number within the session, from 1 */
	const char *person_tag; /* keyed hash, printable */
	bool is_utf8;          /* SMTPUTF8 was used (RFC 6531 section 4.3) */
	int64_t wall_s;
};

/* Writes the folded header field with its CRLF, every line under 78 characters where it can; returns its length. */
size_t smtp_received_make(char to[SMTP_RECEIVED_MAX], const struct smtp_received *r);

#endif
