/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * `cache flush`: a question to the auth pool, whose workers share the cache.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include "control/control.h"
#include "ipc/question.h"

#define SLACK_MS 500 /* for the answer's way back */
#define BUSY "the auth workers are busy; try again"

void
logins_flush(struct control *c, struct client *client, const struct request *r)
{
	uint8_t record[RECORD_HEADER_LEN + 8 + PERSON_MAX];
	int64_t deadline_ms = c->config->auth_deadline_ms;
	const struct record_header h = control_header(
	    c, control_next_id(c), deadline_ms);
	const struct forget_question q = { .person = str_of(r->person) };
	size_t len = forget_question_encode(record, sizeof record, &h, &q);

	if (send(ROLE_FD_AUTH_QUEUE, record, len,
		MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		client_answer(client, answer_error(REASON_FAILED, BUSY));
	else
		client_wait(client, h.id, deadline_ms + SLACK_MS, BUSY);
}

static json_t *
answer_json(const uint8_t *record, size_t len)
{
	struct forget_answer a;
	json_t *json;

	if (forget_answer_decode(record, len, &a) == -1 || a.failed)
		return answer_error(REASON_FAILED,
		    "the auth worker could not flush it; try again");
	json = answer_ok();
	json_object_set_new(json, "logins", json_integer(a.nlogins));
	return json;
}

void
logins_on_answers(struct control *c)
{
	uint8_t record[1024];
	struct record_header h;
	struct client *client;
	ssize_t n;

	while ((n = recv(ROLE_FD_AUTH_ANSWERS, record, sizeof record,
		    MSG_DONTWAIT)) > 0) {
		if (record_header_decode(record, (size_t)n, &h) == -1 ||
		    h.type != RECORD_FORGET_ANSWER)
			continue;
		client = server_waiting(c->server, h.id);
		if (client != NULL)
			client_answer(client, answer_json(record, (size_t)n));
	}
	if (n == 0) /* no worker is left, nor will be: the end is near */
		event_del(c->auth_answers);
}
