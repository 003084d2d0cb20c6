/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * `limits show`, `limits reset`, `limits top` and `store status`: questions to
 * the policy pool, as a session worker would ask.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include "base/clock.h"
#include "control/control.h"
#include "ipc/question.h"
#include "ipc/top.h"

#define STORE_SLACK_MS 500 /* for the answer's way back */
#define STORE_LATE "the store did not answer"

/* ---- the question ------------------------------------------------------- */

/* A walk through the store goes on for a client with several questions. */
static struct walk {
	uint64_t id; /* of the question under way; 0: free */
	struct top top;
} walks[SERVER_CLIENTS];

static struct walk *
walk_of(uint64_t id)
{
	for (size_t i = 0; i < SERVER_CLIENTS; i++)
		if (walks[i].id == id)
			return &walks[i];
	return NULL;
}

/* One that is free; else one whose client must be gone, for there are no more
 * clients than walks. */
static struct walk *
walk_start(void)
{
	struct walk *w = walk_of(0);

	for (size_t i = 0; i < SERVER_CLIENTS; i++)
		if (w == NULL || w->id > walks[i].id)
			w = &walks[i];
	top_start(&w->top);
	return w;
}

/* -1: the queue is full. */
static int
send_question(
    struct control *c, uint64_t id, const struct store_question *q)
{
	static uint8_t record[RECORD_MAX];
	const struct record_header h = control_header(
	    c, id, c->config->policy_deadline_ms);
	size_t len = store_question_encode(record, sizeof record, &h, q);

	return send(ROLE_FD_POLICY_QUEUE, record, len,
		   MSG_DONTWAIT | MSG_NOSIGNAL) == -1
		   ? -1
		   : 0;
}

int
limits_send(struct control *c, uint64_t id, struct str person)
{
	const struct store_question q = { .ask = STORE_SHOW,
		.scope = PORTERO_PERSON,
		.key = person };

	return send_question(c, id, &q);
}

/* Returns the question's id; 0: the client was told that it cannot be. */
static uint64_t
ask(struct control *c, struct client *client, const struct store_question *q)
{
	uint64_t id = control_next_id(c);

	if (c->board.npolicy == 0) {
		client_answer(client,
		    answer_error(REASON_FAILED, "no limits are configured"));
		return 0;
	}
	if (send_question(c, id, q) == -1) {
		client_answer(
		    client, answer_error(REASON_FAILED,
				"the policy workers are busy; try again"));
		return 0;
	}
	client_wait(client, id, c->config->policy_deadline_ms + STORE_SLACK_MS,
	    STORE_LATE);
	return id;
}

static enum store_ask
ask_of(enum verb_id verb)
{
	switch (verb) {
	case VERB_LIMITS_RESET:
		return STORE_RESET;
	case VERB_LIMITS_TOP:
		return STORE_TOP;
	case VERB_STORE_STATUS:
		return STORE_STATUS;
	default:
		return STORE_SHOW;
	}
}

void
limits_ask(struct control *c, struct client *client, const struct request *r)
{
	struct store_question q = {
		.ask = ask_of(r->verb->id),
		.scope = PORTERO_PERSON,
		.key = str_of(r->person),
	};
	uint64_t id = ask(c, client, &q);

	if (q.ask == STORE_TOP && id != 0)
		walk_start()->id = id;
}

/* ---- the answer --------------------------------------------------------- */

static json_t *
row_json(const struct store_row *row)
{
	static const char *const units[PORTERO_NUNITS] = { "messages",
		"recipients", "bytes" };
	char until[24];
	json_t *json = json_object();

	if (row->key.len > 0)
		json_object_set_new(json, "person", answer_string(row->key));
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

static json_t *
lines_json(const struct store_answer *a)
{
	json_t *lines = json_array(), *line;

	for (uint32_t i = 0; i < a->nlines; i++) {
		line = json_object();
		json_object_set_new(line, "name",
		    answer_string(a->lines[i].name));
		json_object_set_new(line, "value",
		    answer_string(a->lines[i].value));
		json_array_append_new(lines, line);
	}
	return lines;
}

/* A reset answers without rows; so does the report of somebody unknown,
 * which porteroctl tells apart by the verb it sent. */
static json_t *
store_answer_json(const struct store_answer *a)
{
	json_t *answer, *rows;

	if (a->failed)
		return answer_error(REASON_FAILED, "that failed: %.*s",
		    (int)a->error.len, a->error.ptr);
	answer = answer_ok();
	if (a->nlines > 0) {
		json_object_set_new(answer, "store", lines_json(a));
		return answer;
	}
	rows = json_array();
	for (uint32_t i = 0; i < a->nrows; i++)
		json_array_append_new(rows, row_json(&a->rows[i]));
	json_object_set_new(answer, "limits", rows);
	return answer;
}

/* One step of a walk: the next one, or what was found. */
static void
walk_on(struct control *c, struct client *client, struct walk *w,
    struct store_answer *a)
{
	struct store_question q = { .ask = STORE_TOP,
		.scope = PORTERO_PERSON,
		.cursor = a->cursor };
	struct store_row rows[TOP_ROWS];

	w->id = 0;
	for (uint32_t i = 0; i < a->nrows; i++)
		top_offer(&w->top, &a->rows[i]);
	if (!a->failed && a->cursor != 0) {
		w->id = ask(c, client, &q);
		return;
	}
	a->nrows = (uint32_t)top_rows(&w->top, rows);
	a->rows = rows;
	client_answer(client, store_answer_json(a));
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

static void
on_answer(struct control *c, uint64_t id, struct store_answer *a, bool broken)
{
	struct client *client;
	struct walk *w = walk_of(id);

	if (check_answered(c, id, a, broken))
		return;
	client = server_waiting(c->server, id);
	if (client == NULL)
		return; /* gone, or told that it is late */
	if (broken)
		client_answer(client, answer_error(REASON_FAILED,
				      "the store's answer is broken"));
	else if (w != NULL)
		walk_on(c, client, w, a);
	else
		client_answer(client, store_answer_json(a));
}

void
limits_on_answers(struct control *c)
{
	static uint8_t record[RECORD_MAX];
	struct record_header h;
	struct store_answer a;
	bool broken;
	ssize_t n;

	while ((n = recv(ROLE_FD_POLICY_ANSWERS, record, sizeof record,
		    MSG_DONTWAIT)) > 0) {
		if (record_header_decode(record, (size_t)n, &h) == -1 ||
		    h.type != RECORD_STORE_ANSWER)
			continue;
		broken = store_answer_decode(
			     record, (size_t)n, &a, c->scratch) == -1;
		on_answer(c, h.id, &a, broken);
	}
	if (n == 0) /* no worker is left, nor will be: the end is near */
		event_del(c->answers);
}
