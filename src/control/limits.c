/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * `limits show` and `limits reset`: questions to the policy pool, as a
 * session worker would ask.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include "base/clock.h"
#include "control/control.h"
#include "ipc/question.h"

#define STORE_SLACK_MS 500 /* for the answer's way back */
#define STORE_LATE "the store did not answer"

/* ---- the question ------------------------------------------------------- */

/* -1: the queue is full. */
static int
ask(struct control *c, uint64_t id, const struct store_question *q)
{
	static uint8_t record[RECORD_MAX];
	int64_t deadline_ms = c->config->policy_deadline_ms;
	struct record_header h = {
		.asker = (uint16_t)c->board.nsession,
		.id = id,
		.deadline_ns = clock_mono_ns() + deadline_ms * CLOCK_NS_PER_MS,
		.generation = c->args->generation,
		.incarnation = c->args->incarnation,
	};
	size_t len = store_question_encode(record, sizeof record, &h, q);

	return send(ROLE_FD_POLICY_QUEUE, record, len,
		   MSG_DONTWAIT | MSG_NOSIGNAL) == -1
		   ? -1
		   : 0;
}

int
limits_send(struct control *c, uint64_t id, struct str person)
{
	const struct store_question q = { .scope = PORTERO_PERSON,
		.key = person };

	return ask(c, id, &q);
}

void
limits_ask(struct control *c, struct client *client, const struct request *r)
{
	const struct store_question q = {
		.reset = r->verb->id == VERB_LIMITS_RESET,
		.scope = PORTERO_PERSON,
		.key = str_of(r->person),
	};
	uint64_t id = control_next_id(c);

	if (c->board.npolicy == 0)
		client_answer(client,
		    answer_error(REASON_FAILED, "no limits are configured"));
	else if (ask(c, id, &q) == -1)
		client_answer(
		    client, answer_error(REASON_FAILED,
				"the policy workers are busy; try again"));
	else
		client_wait(client, id,
		    c->config->policy_deadline_ms + STORE_SLACK_MS, STORE_LATE);
}

/* ---- the answer --------------------------------------------------------- */

static json_t *
row_json(const struct store_row *row)
{
	static const char *const units[PORTERO_NUNITS] = { "messages",
		"recipients", "bytes" };
	char until[24];
	json_t *json = json_object();

	json_object_set_new(json, "limit", answer_string(row->limit));
	json_object_set_new(json, "unit",
	    json_string(
		(unsigned)row->unit < PORTERO_NUNITS ? units[row->unit] : "?"));
	json_object_set_new(json, "used", json_integer(row->used));
	json_object_set_new(json, "max",
	    row->max == PORTERO_UNLIMITED ? json_null()
					  : json_integer(row->max));
	json_object_set_new(json, "window_s", json_integer(row->window_s));
	json_object_set_new(json, "open", json_integer(row->open));
	clock_format(until, sizeof until, row->resets_at);
	json_object_set_new(json, "free_at",
	    row->resets_at > 0 ? json_string(until) : json_null());
	return json;
}

/* A reset answers without rows; so does the report of somebody unknown,
 * which porteroctl tells apart by the verb it sent. */
static json_t *
store_answer_json(const struct store_answer *a)
{
	json_t *answer, *rows;

	if (a->failed)
		return answer_error(REASON_FAILED, "the store failed: %.*s",
		    (int)a->error.len, a->error.ptr);
	answer = answer_ok();
	rows = json_array();
	for (uint32_t i = 0; i < a->nrows; i++)
		json_array_append_new(rows, row_json(&a->rows[i]));
	json_object_set_new(answer, "limits", rows);
	return answer;
}

/* A check waits for it, nobody else. */
static bool
check_answered(
    struct control *c, uint64_t id, const struct store_answer *a, bool broken)
{
	char error[200] = "the answer is broken";

	if (!broken)
		str_copy(error, sizeof error, a->error);
	return online_store_answered(
	    c->online, id, broken || a->failed ? error : NULL);
}

void
limits_on_answers(struct control *c)
{
	static uint8_t record[RECORD_MAX];
	struct record_header h;
	struct store_answer a;
	struct client *client;
	bool broken;
	ssize_t n;

	while ((n = recv(ROLE_FD_POLICY_ANSWERS, record, sizeof record,
		    MSG_DONTWAIT)) > 0) {
		if (record_header_decode(record, (size_t)n, &h) == -1 ||
		    h.type != RECORD_STORE_ANSWER)
			continue;
		broken = store_answer_decode(
			     record, (size_t)n, &a, c->scratch) == -1;
		if (check_answered(c, h.id, &a, broken))
			continue;
		client = server_waiting(c->server, h.id);
		if (client == NULL)
			continue; /* gone, or told that it is late */
		if (broken)
			client_answer(
			    client, answer_error(REASON_FAILED,
					"the store's answer is broken"));
		else
			client_answer(client, store_answer_json(&a));
	}
	if (n == 0) /* no worker is left, nor will be: the end is near */
		event_del(c->answers);
}
