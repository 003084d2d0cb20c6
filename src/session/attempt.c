/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Attempts to log in, for the policies that watch them: asked before the
 * password goes to the auth pool, told afterwards what became of it. The
 * password goes nowhere but there. Where no policy listens nobody is asked, so
 * that logins do not depend on the policy pool.
 */
#include <string.h>

#include "session/session_private.h"

/* Everything in it but the login is short. */
#define QUESTION_MAX (SMTP_LOGIN_MAX + 1024)

static size_t
encode(struct session *s, uint8_t *to, size_t size, enum portero_attempt attempt,
    uint16_t tag)
{
	struct session_worker *w = s->worker;
	struct record_header h = questions_header(w->questions, POOL_POLICY);
	char site_text[NETWORK_TEXT];
	struct network site;
	struct attempt_question q = {
		.attempt = attempt,
		.tag = tag,
		.exempt = network_list_has(&w->config->exempt,
		    &s->guest.address),
		.login = smtp_sasl_login(s->sasl),
		.client_address = str_of(s->peer),
		.listener = str_of(s->listen->title),
		.session_id = str_of(s->sid),
	};

	network_of_site(&s->guest.address, &site);
	network_text(&site, site_text);
	q.client_network = str_of(site_text);
	return attempt_question_encode(to, size, &h, &q);
}

static void
on_answer(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	struct session *s = owner;
	struct attempt_answer a = { 0 };

	(void)id;
	s->question_id = 0;
	s->wait = WAIT_NOBODY;
	if (record == NULL || attempt_answer_decode(record, len, &a) == -1)
		a = (struct attempt_answer){ .verdict = PORTERO_DEFER };
	auth_judged(s, &a);
}

bool
attempt_is_watched(const struct session *s)
{
	/* unknown only before the first policy worker is up: ask, it will */
	return s->worker->has_policies &&
	    board_hears(&s->worker->board) != BOARD_HEARS_NOTHING;
}

int
attempt_ask(struct session *s)
{
	uint8_t record[QUESTION_MAX];
	size_t len = encode(s, record, sizeof record, PORTERO_ATTEMPT_BEGINS, 0);

	s->question_id = questions_send(s->worker->questions, POOL_POLICY,
	    record, len, on_answer, s);
	if (s->question_id == 0)
		return -1;
	s->wait = WAIT_AUTH;
	return 0;
}

static void
on_told(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	(void)owner;
	(void)id;
	(void)record;
	(void)len;
}

void
attempt_tell(struct session *s, enum portero_attempt attempt, uint16_t tag)
{
	uint8_t record[QUESTION_MAX];
	size_t len;

	if (!attempt_is_watched(s))
		return;
	len = encode(s, record, sizeof record, attempt, tag);
	(void)questions_send(s->worker->questions, POOL_POLICY, record, len,
	    on_told, NULL);
}
