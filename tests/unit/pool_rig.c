/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The pools' descriptors have fixed numbers: one rig at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "pool_rig.h"

#include "ipc/shared.h"

static void
pair(int ours, int *theirs)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_int_equal(dup2(fds[0], ours), ours);
	close(fds[0]);
	*theirs = fds[1];
}

void
pool_rig_open(struct pool_rig *r, int64_t policy_deadline_ms)
{
	struct error err;
	int unused, fd;

	/* room below for the fixed descriptors */
	for (fd = 3; fd < 32; fd++)
		dup2(2, fd);
	r->config.auth_deadline_ms = 1000;
	r->config.policy_deadline_ms = policy_deadline_ms;
	r->w.config = &r->config;
	r->w.base = event_base_new();
	assert_int_not_equal(board_create(&r->w.board, 1, 1, 1, &err), -1);
	assert_int_not_equal(shared_create(&r->w.shared, &err), -1);
	pair(ROLE_FD_AUTH_QUEUE, &unused);
	pair(ROLE_FD_AUTH_ANSWERS, &unused);
	pair(ROLE_FD_POLICY_QUEUE, &r->queue);
	pair(ROLE_FD_POLICY_ANSWERS, &r->answers);
	r->w.args.incarnation = 7;
	r->w.questions = questions_new(&r->w);
	r->w.ledger = ledger_new(&r->w);
}

void
pool_rig_close(struct pool_rig *r)
{
	ledger_free(&r->w.ledger);
	questions_free(&r->w.questions);
	board_unmap(&r->w.board);
	event_base_free(r->w.base);
}

void
pool_rig_answer(struct pool_rig *r, const uint8_t *record, size_t len)
{
	assert_int_equal(send(r->answers, record, len, 0), len);
	event_base_loop(r->w.base, EVLOOP_ONCE);
}
