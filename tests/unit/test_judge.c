/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a session asks the policy pool, whose worker is this test, and what
 * stands in the ledger meanwhile and afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pool_rig.h"

#include "session/session_private.h"
#include "session/transaction.h"

#define DATA PORTERO_DATA
#define END PORTERO_END

struct fixture {
	struct pool_rig rig;
	struct config_listen listen;
	struct session s;
	struct transaction tx;
};

static int nanswered;
static enum portero_verdict verdict; /* of the last answer; NONE: nobody's */

static void
on_answered(struct session *s, const struct judge_answer *a)
{
	(void)s;
	nanswered++;
	verdict = a == NULL ? PORTERO_NONE : a->verdict;
}

static int
setup(void **state)
{
	static char ana[] = "ana", empty[] = "", from[] = "ana@example.org";
	struct fixture *f = calloc(1, sizeof *f);

	pool_rig_open(&f->rig, 50);
	f->s.worker = f->tx.worker = &f->rig.w;
	f->s.listen = &f->listen;
	f->listen.title = ana;
	f->s.tx = &f->tx;
	f->tx.session = &f->s;
	f->s.user = ana;
	f->s.class_name = f->s.domain = f->s.identity = empty;
	f->tx.reverse_path = from;
	f->tx.declared_size = -1;
	nanswered = 0;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ledger_drop(&f->tx.take);
	pool_rig_close(&f->rig);
	free(f);
	return 0;
}

/* The question as the policy worker reads it; stages 0: none is there. */
static struct judge_question
receive(struct fixture *f, struct record_header *h)
{
	static uint8_t record[RECORD_MAX];
	struct record_scratch *scratch = record_scratch_new();
	struct judge_question q = { 0 };
	ssize_t n = recv(f->rig.queue, record, sizeof record, MSG_DONTWAIT);

	if (n > 0) {
		assert_int_equal(record_header_decode(record, (size_t)n, h), 0);
		if (h->type == RECORD_JUDGE)
			assert_int_equal(judge_question_decode(record,
			    (size_t)n, &q, scratch), 0);
	}
	record_scratch_free(&scratch);
	return q;
}

static void
answer(struct fixture *f, const struct record_header *h,
    const struct judge_answer *a)
{
	uint8_t record[1024];
	size_t len = judge_answer_encode(record, sizeof record, h, a);

	pool_rig_answer(&f->rig, record, len);
}

/* Asks, and is answered so. */
static struct judge_question
play(struct fixture *f, uint32_t stages, enum portero_verdict v, bool taken)
{
	const struct judge_answer a = { .verdict = v, .taken = taken,
		.stage = v == PORTERO_NEXT ? 0 : (enum portero_stage)stages };
	struct judge_question q;
	struct record_header h;

	assert_int_equal(judge_ask(&f->s, stages, NULL, 0, on_answered), 0);
	assert_int_equal(f->s.wait, WAIT_POLICY);
	q = receive(f, &h);
	assert_int_equal(q.stages, stages);
	answer(f, &h, &a);
	assert_int_equal(f->s.wait, WAIT_NOBODY);
	assert_int_equal(verdict, v);
	return q;
}

static uint32_t
standing(const struct fixture *f)
{
	return f->rig.w.board.reservations[0].state;
}

static void
test_a_take_stands_in_the_ledger_from_before_it_is_sent(void **state)
{
	struct fixture *f = *state;
	struct record_header h;

	assert_int_equal(judge_ask(&f->s, DATA, NULL, 0, on_answered), 0);
	assert_int_equal(standing(f), RESERVATION_OPEN);
	assert_int_equal(receive(f, &h).sequence, 0);
	answer(f, &h, &(struct judge_answer){ .verdict = PORTERO_NEXT,
	    .taken = true });
	assert_non_null(f->tx.take);
	assert_int_equal(standing(f), RESERVATION_OPEN);
}

static void
test_what_took_nothing_owes_nothing(void **state)
{
	struct fixture *f = *state;
	const struct { uint32_t stage; enum portero_verdict v; } cases[] = {
		{ DATA, PORTERO_NEXT }, { DATA, PORTERO_DENY },
		{ END, PORTERO_NEXT }, { END, PORTERO_DENY },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		play(f, cases[i].stage, cases[i].v, false);
		assert_null(f->tx.take);
		assert_int_equal(standing(f), RESERVATION_FREE);
	}
}

static void
test_a_take_that_begins_at_the_end_is_settled_as_well(void **state)
{
	struct fixture *f = *state;
	struct judge_question q = play(f, END, PORTERO_NEXT, true);

	assert_int_equal(q.sequence, 0);
	assert_non_null(f->tx.take);
	assert_int_equal(standing(f), RESERVATION_OPEN);
}

static void
test_the_end_goes_on_with_the_take_of_data(void **state)
{
	struct fixture *f = *state;
	struct judge_question data = play(f, DATA, PORTERO_NEXT, true);
	struct judge_question end = play(f, END, PORTERO_DENY, false);

	assert_int_equal(end.sequence, 1);
	assert_memory_equal(end.txid, data.txid, TXID_LEN);
	/* refused: what DATA took still stands and is the message's */
	assert_non_null(f->tx.take);
	assert_int_equal(standing(f), RESERVATION_OPEN);
}

static void
test_a_refusal_that_may_have_taken_is_given_back(void **state)
{
	struct fixture *f = *state;
	struct judge_question first = play(f, DATA, PORTERO_DEFER, true);
	struct judge_question second;
	struct record_header h;

	assert_null(f->tx.take);
	receive(f, &h);
	assert_int_equal(h.type, RECORD_SETTLE);
	second = play(f, DATA, PORTERO_NEXT, true);
	assert_memory_not_equal(first.txid, second.txid, TXID_LEN);
}

static void
test_a_question_that_nobody_answers_is_given_back(void **state)
{
	struct fixture *f = *state;
	struct record_header h;

	verdict = PORTERO_NEXT;
	assert_int_equal(judge_ask(&f->s, DATA, NULL, 0, on_answered), 0);
	receive(f, &h);
	while (nanswered == 0)
		event_base_loop(f->rig.w.base, EVLOOP_ONCE);
	assert_int_equal(verdict, PORTERO_NONE);
	assert_null(f->tx.take);
	receive(f, &h);
	assert_int_equal(h.type, RECORD_SETTLE);
}

static void
test_a_full_queue_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;
	char filler[1024] = "";

	while (send(ROLE_FD_POLICY_QUEUE, filler, sizeof filler,
		   MSG_DONTWAIT) > 0)
		continue;
	assert_int_equal(judge_ask(&f->s, DATA, NULL, 0, on_answered), -1);
	assert_int_equal(f->s.wait, WAIT_NOBODY);
	assert_null(f->tx.take);
	assert_null(f->s.judging);
	assert_int_equal(standing(f), RESERVATION_FREE);
}

static void
test_an_answer_whose_session_has_gone_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct record_header h;

	assert_int_equal(judge_ask(&f->s, DATA, NULL, 0, on_answered), 0);
	receive(f, &h);
	judge_forget(&f->s);
	memset(&f->s, 0xee, sizeof f->s); /* as good as freed */
	answer(f, &h, &(struct judge_answer){ .verdict = PORTERO_NEXT,
	    .taken = true });
	assert_int_equal(nanswered, 0);
	/* its transaction is what settles */
	assert_int_equal(standing(f), RESERVATION_OPEN);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_a_take_stands_in_the_ledger_from_before_it_is_sent),
		WITH_FIXTURE(test_what_took_nothing_owes_nothing),
		WITH_FIXTURE(test_a_take_that_begins_at_the_end_is_settled_as_well),
		WITH_FIXTURE(test_the_end_goes_on_with_the_take_of_data),
		WITH_FIXTURE(test_a_refusal_that_may_have_taken_is_given_back),
		WITH_FIXTURE(test_a_question_that_nobody_answers_is_given_back),
		WITH_FIXTURE(test_a_full_queue_leaves_nothing_behind),
		WITH_FIXTURE(test_an_answer_whose_session_has_gone_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
