/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Our Received field. No "from": who reads the mail must not learn where its
 * author was. "ESMTPSA" (RFC 3848) is always true here: nobody gets as far as
 * a message without TLS and a login.
 */
#include "smtp/received.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"

size_t
smtp_received_make(char to[SMTP_RECEIVED_MAX], const struct smtp_received *r)
{
	char date[64];
	int n;

	clock_format_rfc5322(date, sizeof date, r->wall_s);
	n = snprintf(to, SMTP_RECEIVED_MAX,
	    "Received: by %.255s\r\n"
	    "\twith %s id %.32s.%u (person %.32s);\r\n"
	    "\t%s\r\n",
	    r->hostname, r->is_utf8 ? "UTF8SMTPSA" : "ESMTPSA", r->sid, r->transaction, r->person_tag, date);
	assert(n > 0 && n < SMTP_RECEIVED_MAX);
	return (size_t)n;
}
