/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * EHLO and HELO. What is offered is the truth: what we do ourselves, what is
 * translated for the upstream, and what all upstreams have that the mail may
 * go to; less what the listener hides. The session remembers it: parameters
 * and commands of anything else are not known to it.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "session/session_private.h"
#include "session/transaction.h"

/* Done here, whatever the upstream can. AUTH is in the list until the login;
 * its parameter stays. */
#define OURS                                                                   \
	(SMTP_EXT_PIPELINING | SMTP_EXT_SIZE | SMTP_EXT_CHUNKING |              \
	    SMTP_EXT_ENHANCEDSTATUSCODES | SMTP_EXT_AUTH | SMTP_EXT_LIMITS)
/* Passed on to where it is offered as well. */
#define PASSED                                                                 \
	(SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_DSN |                \
	    SMTP_EXT_REQUIRETLS)

static uint32_t
what_is_offered(const struct session *s, uint32_t upstream)
{
	uint32_t on = (OURS | (upstream & PASSED)) & ~s->listen->hidden;

	if (!(on & SMTP_EXT_8BITMIME)) /* RFC 6531 section 3.1, item 8 */
		on &= ~(uint32_t)SMTP_EXT_SMTPUTF8;
	if (!session_is_tls(s))
		on = (on & ~(uint32_t)(SMTP_EXT_AUTH | SMTP_EXT_REQUIRETLS)) |
		    SMTP_EXT_STARTTLS;
	return on;
}

static void
put_line(struct session *s, const char *name, uint32_t extension,
    const struct smtp_offer *offer)
{
	struct buf *out = &s->io.out;

	switch (extension) {
	case SMTP_EXT_SIZE:
		buf_appendf(out, "250-SIZE %lld\r\n", (long long)offer->size);
		break;
	case SMTP_EXT_AUTH:
		if (!session_is_logged_in(s))
			buf_appendf(out, "250-AUTH PLAIN LOGIN\r\n");
		break;
	case SMTP_EXT_LIMITS:
		buf_appendf(
		    out, "250-LIMITS RCPTMAX=%d\r\n", (int)offer->rcptmax);
		break;
	default:
		buf_appendf(out, "250-%s\r\n", name);
	}
}

static bool
helo_take(struct session *s, struct str args)
{
	if (!smtp_helo_is_valid(args)) {
		reply_error(s, REPLY_BAD_HELO);
		return false;
	}
	/* RFC 5321 4.1.4: a later EHLO ends a transaction as RSET does. */
	transaction_end(s);
	free(s->helo);
	s->helo = xstrndup(args.ptr, args.len);
	session_enter(s, SMTP_READY);
	return true;
}

static void
ehlo_answer(struct session *s)
{
	struct smtp_offer offer;
	uint32_t extension;
	const char *name;

	session_offer(s, &offer);
	if (s->max_size > 0 && s->max_size < offer.size)
		offer.size = s->max_size;
	s->offered = what_is_offered(s, offer.extensions);
	buf_appendf(&s->io.out, "250-%s\r\n", s->worker->config->hostname);
	for (size_t i = 0; (name = smtp_extension_name(i, &extension)) != NULL;
	     i++)
		if (s->offered & extension)
			put_line(s, name, extension, &offer);
	buf_appendf(&s->io.out, "250 HELP\r\n");
	session_touch(s);
}

static void
on_person_known(struct session *s)
{
	ehlo_answer(s);
	session_resume(s);
}

void
cmd_ehlo(struct session *s, struct str args)
{
	if (!helo_take(s, args))
		return;
	/* SIZE is the person's own. Who cannot be asked now is told the
	 * listener's number: MAIL asks again, and that is what counts. */
	s->max_size = 0;
	if (session_is_logged_in(s) && s->worker->has_policies &&
	    judge_hello(s, on_person_known) == 0)
		return;
	ehlo_answer(s);
}

void
cmd_helo(struct session *s, struct str args)
{
	if (!helo_take(s, args))
		return;
	s->offered = 0;
	buf_appendf(&s->io.out, "250 %s\r\n", s->worker->config->hostname);
	session_touch(s);
}
