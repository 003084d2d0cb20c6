/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * AUTH (RFC 4954). The password passes through: it is encoded into one record
 * to the auth pool and wiped. A wrong one is answered about a second after the
 * client's last word, so that the time tells nothing; the wait is a timer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session/session_private.h"

#define WRONG_LOGIN_MS 1000
#define MAX_FAILED_LOGINS 3

void
auth_forget(struct session *s)
{
	smtp_sasl_free(&s->sasl);
}

static void
log_auth(struct session *s, const char *result, const struct login_answer *a)
{
	struct log_line l;

	session_log(s, &l, LOG_LEVEL_INFO, "auth");
	log_adds(&l, "result", result);
	if (a->id.len > 0)
		log_add(&l, "user", a->id);
	if (s->sasl != NULL)
		log_add(&l, "login", smtp_sasl_login(s->sasl));
	log_adds(&l, "ip", s->peer);
	log_adds(&l, "listener", s->listen->title);
	if (s->sasl != NULL)
		log_adds(&l, "mech",
		    smtp_mechanism_name(smtp_sasl_mechanism(s->sasl)));
	if (a->plugin.len > 0)
		log_add(&l, "plugin", a->plugin);
	if (a->cause.len > 0)
		log_add(&l, "cause", a->cause);
	log_addn(&l, "ms", worker_now_ms(s->worker) - s->auth_started_ms);
	if (s->user != NULL) {
		char tag[17];

		worker_person_tag(s->worker, s->user, tag);
		log_adds(&l, "person", tag);
	}
	log_end(&l);
}

/* What was used of the input had the password in it. */
static void
input_wipe_used(struct session *s)
{
	struct buf rest = { 0 };

	buf_append(&rest, buf_data(&s->in), buf_len(&s->in));
	buf_wipe(&s->in);
	s->in = rest;
}

static void
login_ok(struct session *s, const struct login_answer *a)
{
	s->user = xstrndup(a->id.ptr, a->id.len);
	s->class_name = xstrndup(a->class_name.ptr, a->class_name.len);
	s->domain = xstrndup(a->domain.ptr, a->domain.len);
	s->identity = xmalloc(a->identity.len + 1);
	memcpy(s->identity, a->identity.ptr, a->identity.len);
	s->identity_len = a->identity.len;
	worker_count(s->worker, COUNTER_LOGIN_OK, 1);
	worker_count(s->worker, COUNTER_SESSIONS_LOGGED_IN, 1);
	session_io_forget_secrets(&s->io, false);
	input_wipe_used(s);
	arrival_settle(s);
	log_auth(s, "ok", a);
	attempt_tell(s, PORTERO_ATTEMPT_RIGHT, 0);
	reply(s, REPLY_LOGGED_IN);
	session_enter(s, SMTP_READY);
	auth_forget(s);
	session_resume(s);
}

/* The reply waits for the rest of the second. */
static void
login_denied(struct session *s, const struct login_answer *a)
{
	int64_t left = WRONG_LOGIN_MS -
	    (worker_now_ms(s->worker) - s->auth_started_ms);

	worker_count(s->worker, COUNTER_LOGIN_DENIED, 1);
	log_auth(s, "fail", a);
	s->nfailed_logins++;
	auth_forget(s);
	if (a->suspended) {
		reply(s, REPLY_SUSPENDED);
		session_enter(s, SMTP_READY);
		session_resume(s);
		return;
	}
	s->wait = WAIT_DELAY;
	session_set_deadline(s, left > 0 ? left : 1);
}

void
auth_delay_over(struct session *s)
{
	reply(s, REPLY_LOGIN_WRONG);
	session_enter(s, SMTP_READY);
	session_set_deadline(s, s->worker->config->idle_timeout_ms);
	session_resume(s);
}

static void
login_deferred(struct session *s, const struct login_answer *a)
{
	worker_count(s->worker, COUNTER_LOGIN_DEFERRED, 1);
	log_auth(s, "deferred", a);
	auth_forget(s);
	reply(s, REPLY_LOGIN_LATER);
	session_enter(s, SMTP_READY);
	session_resume(s);
}

static void
on_login_answer(void *owner, uint64_t id, const uint8_t *record, size_t len)
{
	struct session *s = owner;
	struct login_answer a = { 0 };

	(void)id;
	s->question_id = 0;
	if (record == NULL) {
		a.cause = STR("timeout");
	} else if (login_answer_decode(record, len, &a) == -1) {
		memset(&a, 0, sizeof a);
		a.cause = STR("broken");
	}
	if (a.verdict == PORTERO_DENY && !a.suspended)
		attempt_tell(s, a.nobody ? PORTERO_ATTEMPT_NOBODY
					 : PORTERO_ATTEMPT_WRONG, a.tag);
	if (a.verdict == PORTERO_NEXT && a.id.len > 0)
		login_ok(s, &a);
	else if (a.verdict == PORTERO_DENY)
		login_denied(s, &a);
	else
		login_deferred(s, &a);
}

static void
login_ask(struct session *s)
{
	struct questions *q = s->worker->questions;
	struct record_header h = questions_header(q, POOL_AUTH);
	uint8_t record[SMTP_LOGIN_MAX + SMTP_PASSWORD_MAX + 1024];
	const struct login_question ask = {
		.login = smtp_sasl_login(s->sasl),
		.password = smtp_sasl_password(s->sasl),
		.mechanism = str_of(
		    smtp_mechanism_name(smtp_sasl_mechanism(s->sasl))),
		.client_address = str_of(s->peer),
		.listener = str_of(s->listen->title),
		.session_id = str_of(s->sid),
	};
	size_t len = login_question_encode(record, sizeof record, &h, &ask);

	s->question_id = questions_send(q, POOL_AUTH, record, len,
	    on_login_answer, s);
	explicit_bzero(record, sizeof record);
	if (s->question_id == 0) {
		const struct login_answer busy = { .cause = STR("busy") };

		login_deferred(s, &busy);
		return;
	}
	s->wait = WAIT_AUTH;
}

/* Too many attempts: the password was not even looked at. The next one ends
 * the session. */
static void
login_limited(struct session *s, const struct attempt_answer *said)
{
	struct login_answer a = { .plugin = said->plugin,
		.cause = said->limit.len > 0 ? said->limit
					     : said->reply.reason };

	worker_count(s->worker, COUNTER_LOGIN_LIMITED, 1);
	log_auth(s, "limited", &a);
	s->nfailed_logins = MAX_FAILED_LOGINS + 1;
	auth_forget(s);
	reply_answer(s, &said->reply);
	session_enter(s, SMTP_READY);
	session_resume(s);
}

void
auth_judged(struct session *s, const struct attempt_answer *a)
{
	const struct login_answer later = { .plugin = a->plugin,
		.cause = STR("deferred") };

	if (a->verdict == PORTERO_DENY)
		login_limited(s, a);
	else if (a->verdict != PORTERO_NEXT)
		login_deferred(s, &later);
	else
		login_ask(s);
}

static void
login_begin(struct session *s)
{
	const struct login_answer busy = { .cause = STR("busy") };

	if (!attempt_is_watched(s))
		login_ask(s);
	else if (attempt_ask(s) == -1)
		login_deferred(s, &busy);
}

/* The attempt ended before there was anything to ask. An empty name or
 * password and the like get the answer of a wrong one, in the same time. */
static void
auth_failed(struct session *s, const struct smtp_fault *fault)
{
	const struct login_answer a = { .cause = STR("malformed") };

	if (fault->code == 535) {
		session_enter(s, SMTP_SASL);
		login_denied(s, &a);
		return;
	}
	auth_forget(s);
	session_enter(s, SMTP_READY);
	reply_fault(s, fault);
}

static void
auth_step(struct session *s, enum smtp_sasl_result result,
    struct str challenge, const struct smtp_fault *fault)
{
	s->auth_started_ms = worker_now_ms(s->worker);
	switch (result) {
	case SMTP_SASL_CHALLENGE:
		session_enter(s, SMTP_SASL);
		buf_appendf(&s->io.out, "334 %.*s\r\n", (int)challenge.len,
		    challenge.ptr == NULL ? "" : challenge.ptr);
		session_touch(s);
		return;
	case SMTP_SASL_DONE:
		session_enter(s, SMTP_SASL);
		login_begin(s);
		return;
	case SMTP_SASL_FAILED:
		auth_failed(s, fault);
	}
}

void
cmd_auth(struct session *s, struct str args)
{
	struct str challenge = { 0 };
	struct smtp_fault fault = { 0 };
	enum smtp_sasl_result result;

	if (s->nfailed_logins > MAX_FAILED_LOGINS) {
		reply(s, REPLY_LOGIN_CLOSE);
		session_finish(s, "too many logins");
		return;
	}
	if (s->nfailed_logins == MAX_FAILED_LOGINS) {
		s->nfailed_logins++;
		reply(s, REPLY_LOGIN_TOO_MANY);
		return;
	}
	result = smtp_sasl_start(args, &s->sasl, &challenge, &fault);
	auth_step(s, result, challenge, &fault);
}

void
auth_response(struct session *s, struct str line)
{
	struct str challenge = { 0 };
	struct smtp_fault fault = { 0 };
	enum smtp_sasl_result result =
	    smtp_sasl_step(s->sasl, line, &challenge, &fault);

	auth_step(s, result, challenge, &fault);
}
