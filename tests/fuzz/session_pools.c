/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The two pools of session_rig.h, and the book of takes: a settle speaks of a
 * take that was sent, a second one says the same, and none is accepted that
 * the upstream did not accept.
 */
#include "session_net.h"
#include "session_rig.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/question.h"
#include "ipc/role.h"
#include "session/session_private.h"

#define WAITING_MAX 64
#define TAKES_MAX 256

struct waiting {
	struct record_header header;
	uint32_t stages, nsettles;
	bool begins;
	uint8_t txid[TXID_LEN];
};

struct take {
	uint8_t txid[TXID_LEN];
	bool surely_not; /* an answer said that it was not done */
	bool is_settled;
	enum portero_outcome outcome;
	int64_t actual[PORTERO_NUNITS];
};

static struct {
	int queue[2], answers[2]; /* our ends; [0] auth */
	struct waiting waiting[WAITING_MAX];
	size_t nwaiting;
	struct take takes[TAKES_MAX];
	size_t ntakes;
	struct record_scratch *scratch;
	bool answers_all, is_planned;
	enum pool_answer plan;
	unsigned nlogins, naccepted;
} pools;

static uint8_t record[RECORD_MAX + 64];

static void
channels_open(void)
{
	pools.queue[0] = net_channel(ROLE_FD_AUTH_QUEUE);
	pools.queue[1] = net_channel(ROLE_FD_POLICY_QUEUE);
	pools.answers[0] = net_channel(ROLE_FD_AUTH_ANSWERS);
	pools.answers[1] = net_channel(ROLE_FD_POLICY_ANSWERS);
}

void
pools_open(struct session_worker *w, bool answer)
{
	(void)w;
	if (pools.scratch == NULL) {
		pools.scratch = record_scratch_new();
		channels_open();
	}
	pools.nwaiting = pools.ntakes = 0;
	pools.nlogins = pools.naccepted = 0;
	pools.answers_all = answer;
	pools.is_planned = false;
}

/* What nobody has read is not the next input's. */
void
pools_close(void)
{
	for (int i = 0; i < 2; i++) {
		while (recv(pools.queue[i], record, sizeof record, 0) > 0)
			continue;
		while (recv(ROLE_FD_AUTH_ANSWERS + i, record, sizeof record,
			   MSG_DONTWAIT) > 0)
			continue;
	}
}

void
pools_answer_all(bool on)
{
	pools.answers_all = on;
	pools.is_planned = false;
}

void
pools_plan(enum pool_answer answer)
{
	pools.plan = answer;
	pools.is_planned = true;
}

unsigned
pools_logins(void)
{
	return pools.nlogins;
}

/* ---- the book ----------------------------------------------------------- */

static struct take *
take_find(const uint8_t txid[TXID_LEN])
{
	for (size_t i = 0; i < pools.ntakes; i++)
		if (memcmp(pools.takes[i].txid, txid, TXID_LEN) == 0)
			return &pools.takes[i];
	return NULL;
}

/* An id comes again only if nothing was taken under it. */
static struct take *
take_note(const uint8_t txid[TXID_LEN])
{
	struct take *t = take_find(txid);

	if (t == NULL) {
		assert(pools.ntakes < TAKES_MAX);
		t = &pools.takes[pools.ntakes++];
		memset(t, 0, sizeof *t);
		memcpy(t->txid, txid, TXID_LEN);
	}
	assert(!t->is_settled);
	t->surely_not = false;
	return t;
}

static void
settle_note(const struct settle *s)
{
	struct take *t = take_find(s->txid);

	assert(t != NULL);
	assert(s->outcome != PORTERO_PENDING);
	if (t->is_settled) {
		assert(t->outcome == s->outcome);
		assert(memcmp(t->actual, s->actual, sizeof t->actual) == 0);
		return;
	}
	t->is_settled = true;
	t->outcome = s->outcome;
	memcpy(t->actual, s->actual, sizeof t->actual);
	if (s->outcome == PORTERO_ACCEPTED) {
		assert(s->actual[PORTERO_MESSAGES] == 1);
		assert(++pools.naccepted <= upstream_accepted());
	}
}

void
pools_assert_settled(void)
{
	for (size_t i = 0; i < pools.ntakes; i++)
		assert(pools.takes[i].is_settled || pools.takes[i].surely_not);
}

/* ---- questions ---------------------------------------------------------- */

static void
judge_note(struct waiting *q, size_t len)
{
	struct judge_question judge;
	int ret = judge_question_decode(record, len, &judge, pools.scratch);

	assert(ret == 0);
	for (uint32_t i = 0; i < judge.nsettles; i++)
		settle_note(&judge.settles[i]);
	q->stages = judge.stages;
	q->nsettles = judge.nsettles;
	q->begins = judge.sequence == 0 &&
	    (judge.stages & (PORTERO_DATA | PORTERO_END)) != 0;
	memcpy(q->txid, judge.txid, sizeof q->txid);
	if (q->begins)
		take_note(q->txid);
	/* Nobody asks for a person who was not let in. */
	assert(pools.nlogins > 0);
}

static void
settles_note(struct waiting *q, size_t len)
{
	struct settle_question settle;
	int ret = settle_question_decode(record, len, &settle, pools.scratch);

	assert(ret == 0);
	for (uint32_t i = 0; i < settle.nsettles; i++)
		settle_note(&settle.settles[i]);
	q->nsettles = settle.nsettles;
}

/* A password is asked about only behind TLS. The session may have ended since. */
static void
login_note(size_t len)
{
	struct login_question q;
	struct session *s;
	int ret = login_question_decode(record, len, &q);

	assert(ret == 0);
	TAILQ_FOREACH(s, &rig_worker()->sessions, entry)
		assert(!str_eq(q.session_id, str_of(s->sid)) ||
		    s->io.handshaken);
}

static bool
question_read(int which)
{
	ssize_t n = recv(pools.queue[which], record, RECORD_MAX, 0);
	struct waiting *q = &pools.waiting[pools.nwaiting];
	int ret;

	if (n <= 0)
		return false;
	memset(q, 0, sizeof *q);
	ret = record_header_decode(record, (size_t)n, &q->header);
	assert(ret == 0);
	if (q->header.type == RECORD_JUDGE)
		judge_note(q, (size_t)n);
	else if (q->header.type == RECORD_SETTLE)
		settles_note(q, (size_t)n);
	else if (q->header.type == RECORD_LOGIN)
		login_note((size_t)n);
	pools.nwaiting++;
	return true;
}

/* ---- answers ------------------------------------------------------------ */

static struct answer_reply
reply_for(bool is_refused)
{
	return is_refused ? (struct answer_reply){ 550, STR("5.7.1"),
				    STR("No"), STR("no") }
			  : (struct answer_reply){ 0 };
}

static enum portero_verdict
verdict_of(enum pool_answer answer)
{
	return answer == POOL_DENY || answer == POOL_OWNED ? PORTERO_DENY
	    : answer == POOL_DEFER			   ? PORTERO_DEFER
							   : PORTERO_NEXT;
}

static size_t
login_answer(const struct waiting *q, enum pool_answer answer)
{
	const struct login_answer a = {
		.verdict = verdict_of(answer),
		.suspended = answer == POOL_OWNED,
		.reply = reply_for(answer == POOL_OWNED),
		.plugin = STR("test"),
		.cause = STR("ok"),
		.id = answer == POOL_DENY ? (struct str){ 0 } : STR("ana"),
		.domain = STR("example.org"),
		.identity = STR("somebody"),
	};

	return login_answer_encode(record, sizeof record, &q->header, &a);
}

static size_t
judge_answer_of(const struct waiting *q, enum pool_answer answer)
{
	const bool good = verdict_of(answer) == PORTERO_NEXT;
	const struct judge_answer a = {
		.verdict = verdict_of(answer),
		.stage = answer == POOL_DENY ? q->stages & -q->stages : 0,
		.taken = good && q->begins,
		.needs_owned = answer == POOL_OWNED,
		.wants = answer == POOL_ALL_STAGES
		    ? PORTERO_RCPT | PORTERO_DATA | PORTERO_END |
			PORTERO_OUTCOME
		    : PORTERO_DATA,
		.reply = reply_for(!good),
		.plugin = STR("test"),
		.rcpt_left = RCPT_LEFT_UNLIMITED,
		.reserved_bytes = answer == POOL_ALL_STAGES ? 10 : INT64_MAX,
		.nsettled = q->nsettles,
	};

	return judge_answer_encode(record, sizeof record, &q->header, &a);
}

static size_t
answer_make(const struct waiting *q, enum pool_answer answer)
{
	const struct attempt_answer attempt = {
		.verdict = verdict_of(answer),
		.reply = reply_for(verdict_of(answer) != PORTERO_NEXT),
	};
	const struct settle_answer settle = { .nsettled = q->nsettles };
	const struct owns_answer owns = { .owned = answer == POOL_DENY
		    ? PORTERO_OWNED_NO : PORTERO_OWNED_YES };

	switch (q->header.type) {
	case RECORD_LOGIN:
		return login_answer(q, answer);
	case RECORD_JUDGE:
		return judge_answer_of(q, answer);
	case RECORD_ATTEMPT:
		return attempt_answer_encode(record, sizeof record, &q->header,
		    &attempt);
	case RECORD_OWNS:
		return owns_answer_encode(record, sizeof record, &q->header,
		    &owns);
	default:
		return settle_answer_encode(record, sizeof record, &q->header,
		    &settle);
	}
}

static void
answer_note(const struct waiting *q, enum pool_answer answer)
{
	const bool whole = answer != POOL_GARBAGE && answer != POOL_CUT;
	struct take *t;

	if (whole && q->header.type == RECORD_LOGIN &&
	    verdict_of(answer) == PORTERO_NEXT)
		pools.nlogins++;
	if (!q->begins || !whole || verdict_of(answer) == PORTERO_NEXT)
		return;
	t = take_find(q->txid);
	assert(t != NULL);
	t->surely_not = true;
}

static void
answer_send(const struct waiting *q, enum pool_answer answer)
{
	int fd = pools.answers[q->header.type == RECORD_LOGIN ||
		q->header.type == RECORD_OWNS ? 0 : 1];
	size_t len;

	if (answer == POOL_NEVER)
		return;
	answer_note(q, answer);
	len = answer_make(q, answer);
	assert(len > RECORD_HEADER_LEN);
	if (answer == POOL_GARBAGE)
		memset(record + RECORD_HEADER_LEN, 0xa5,
		    len - RECORD_HEADER_LEN);
	if (answer == POOL_CUT)
		len--;
	for (int i = 0; i < (answer == POOL_TWICE ? 2 : 1); i++)
		(void)send(fd, record, len, MSG_NOSIGNAL);
}

bool
pools_turn(void)
{
	bool moved = false;
	enum pool_answer answer;
	struct waiting q;

	while (pools.nwaiting < WAITING_MAX &&
	    (question_read(0) || question_read(1)))
		moved = true;
	while (pools.nwaiting > 0 && (pools.is_planned || pools.answers_all)) {
		answer = pools.is_planned ? pools.plan : POOL_GOOD;
		pools.is_planned = false;
		q = pools.waiting[0];
		pools.nwaiting--;
		memmove(pools.waiting, pools.waiting + 1,
		    pools.nwaiting * sizeof q);
		answer_send(&q, answer);
		moved = true;
	}
	return moved;
}
