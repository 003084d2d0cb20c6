/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The ledger against a policy queue whose other end is this test.
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

#define ID "ana"

static const struct settle asked = {
	.txid = { 1, 2, 3 },
	.actual = { 1, 3, 500 },
	.id = { ID, 3 },
};

static int
setup(void **state)
{
	struct pool_rig *r = calloc(1, sizeof *r);

	pool_rig_open(r, 1000);
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	pool_rig_close(*state);
	free(*state);
	return 0;
}

/* What the policy worker would read; false: nothing is there. */
static bool
receive(struct pool_rig *r, struct record_header *h, struct settle *s)
{
	static uint8_t record[RECORD_MAX];
	struct record_scratch *scratch = record_scratch_new();
	struct settle_question q;
	ssize_t n = recv(r->queue, record, sizeof record, MSG_DONTWAIT);

	if (n > 0) {
		assert_int_equal(record_header_decode(record, (size_t)n, h), 0);
		assert_int_equal(settle_question_decode(record, (size_t)n, &q,
		    scratch), 0);
		assert_int_equal(q.nsettles, 1);
		*s = q.settles[0];
	}
	record_scratch_free(&scratch);
	return n > 0;
}

static void
answer(struct pool_rig *r, const struct record_header *h, uint32_t nsettled)
{
	const struct settle_answer a = { .nsettled = nsettled };
	uint8_t record[256];
	size_t len = settle_answer_encode(record, sizeof record, h, &a);

	pool_rig_answer(r, record, len);
}

static void
test_what_goes_back_is_sent_at_once_and_freed_when_acknowledged(void **state)
{
	static const int64_t none[PORTERO_NUNITS];
	struct pool_rig *r = *state;
	struct ledger_entry *e = ledger_open(r->w.ledger, &asked);
	struct record_header h;
	struct settle s;

	assert_non_null(e);
	ledger_settle(r->w.ledger, &e, PORTERO_LOST, none);
	assert_null(e);
	assert_true(receive(r, &h, &s));
	assert_int_equal(s.outcome, PORTERO_LOST);
	assert_memory_equal(s.txid, asked.txid, TXID_LEN);
	assert_int_equal(s.actual[PORTERO_MESSAGES], 0);
	assert_int_equal(ledger_owed(r->w.ledger), 1);
	answer(r, &h, 1);
	assert_int_equal(ledger_owed(r->w.ledger), 0);
	assert_int_equal(r->w.board.reservations[0].state, RESERVATION_FREE);
}

static void
test_what_is_kept_waits_for_a_ride(void **state)
{
	struct pool_rig *r = *state;
	struct ledger_entry *e = ledger_open(r->w.ledger, &asked);
	struct settle ride[SETTLES_MAX];
	struct record_header h;
	struct settle s;

	ledger_past_dot(e, asked.actual);
	ledger_settle(r->w.ledger, &e, PORTERO_ACCEPTED, asked.actual);
	assert_false(receive(r, &h, &s));
	assert_int_equal(ledger_ride(r->w.ledger, ride), 1);
	assert_int_equal(ride[0].outcome, PORTERO_ACCEPTED);
	assert_int_equal(ride[0].actual[PORTERO_RECIPIENTS], 3);
	assert_int_equal(ride[0].id.len, 3);
	ledger_rode(r->w.ledger, 99);
	ledger_answered(r->w.ledger, 99, 1);
	assert_int_equal(ledger_owed(r->w.ledger), 0);
}

static void
test_an_unanswered_settle_is_owed_again(void **state)
{
	struct pool_rig *r = *state;
	struct ledger_entry *e = ledger_open(r->w.ledger, &asked);
	struct settle ride[SETTLES_MAX];

	ledger_past_dot(e, asked.actual);
	ledger_settle(r->w.ledger, &e, PORTERO_ACCEPTED, asked.actual);
	assert_int_equal(ledger_ride(r->w.ledger, ride), 1);
	ledger_rode(r->w.ledger, 99);
	ledger_answered(r->w.ledger, 99, 0);
	assert_int_equal(ledger_owed(r->w.ledger), 1);
	/* and a ride that could not be sent is there at once */
	assert_int_equal(ledger_ride(r->w.ledger, ride), 1);
	ledger_rode(r->w.ledger, 0);
	assert_int_equal(ledger_ride(r->w.ledger, ride), 1);
	ledger_rode(r->w.ledger, 100);
	ledger_answered(r->w.ledger, 100, 1);
	assert_int_equal(ledger_owed(r->w.ledger), 0);
}

/* What the master would send if this process died now. */
static void
standing(const struct reservation *r, struct settle *s,
    struct record_scratch *scratch)
{
	int which = r->state == RESERVATION_PAST_DOT;
	struct settle_question q;

	assert_int_equal(settle_question_decode(r->record[which],
	    r->len[which], &q, scratch), 0);
	*s = q.settles[0];
}

static void
test_a_death_gives_back_before_the_dot_and_keeps_after_it(void **state)
{
	struct pool_rig *r = *state;
	struct record_scratch *scratch = record_scratch_new();
	const struct reservation *kept = &r->w.board.reservations[0];
	const int64_t real[PORTERO_NUNITS] = { 1, 2, 444 };
	struct ledger_entry *e = ledger_open(r->w.ledger, &asked);
	struct settle s;

	assert_int_equal(kept->state, RESERVATION_OPEN);
	assert_int_equal(kept->incarnation, 7);
	standing(kept, &s, scratch);
	assert_int_equal(s.outcome, PORTERO_LOST);
	ledger_past_dot(e, real);
	assert_int_equal(kept->state, RESERVATION_PAST_DOT);
	standing(kept, &s, scratch);
	assert_int_equal(s.outcome, PORTERO_OUTCOME_UNKNOWN);
	assert_int_equal(s.actual[PORTERO_RECIPIENTS], 2);
	assert_int_equal(s.actual[PORTERO_BYTES], 444);
	/* the upstream refused after all: now a death gives back */
	ledger_settle(r->w.ledger, &e, PORTERO_REFUSED, real);
	standing(kept, &s, scratch);
	assert_int_equal(s.outcome, PORTERO_REFUSED);
	assert_int_equal(s.actual[PORTERO_MESSAGES], 0);
	record_scratch_free(&scratch);
}

static void
test_a_full_slot_has_no_entry_to_give(void **state)
{
	struct pool_rig *r = *state;
	struct ledger_entry *e[RESERVATIONS_PER_SLOT], *more;

	for (int i = 0; i < RESERVATIONS_PER_SLOT; i++) {
		e[i] = ledger_open(r->w.ledger, &asked);
		assert_non_null(e[i]);
	}
	more = ledger_open(r->w.ledger, &asked);
	assert_null(more);
	for (int i = 0; i < RESERVATIONS_PER_SLOT; i++)
		ledger_drop(&e[i]);
	assert_int_equal(ledger_owed(r->w.ledger), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_what_goes_back_is_sent_at_once_and_freed_when_acknowledged,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_what_is_kept_waits_for_a_ride, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_an_unanswered_settle_is_owed_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_death_gives_back_before_the_dot_and_keeps_after_it,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_full_slot_has_no_entry_to_give, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
