/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A pool worker's two sources, the question queue and the lifeline, awaited
 * by one blocking recv(2): poll(2) would wake all workers of the pool for
 * every question, where recv(2) wakes one.
 *
 * So the lifeline is watched by a signal (SIGIO). Its handler puts a socket at
 * end of file in the queue's place: a recv(2) that has not begun finds that,
 * and one that waits is restarted by the kernel and finds it too. No order is
 * lost between a look at a flag and the call.
 *
 * The kernel wakes another worker for each question, although the one that
 * has the last in hand would be done with it before the other runs. So, where
 * questions take no time, all but one rest: they do not wait at the queue, but
 * for a call (ipc/board.h), which session workers give when a question has
 * waited. Who is called works till the queue is empty. Each second they look
 * without a call, for those who do not give any.
 */
#ifndef POLICY_QUEUE_H
#define POLICY_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum queue_event {
	QUEUE_RECORD = 1,
	QUEUE_ORDER,  /* the lifeline has something to say */
	QUEUE_EMPTY,  /* only without wait */
	QUEUE_WOKEN,  /* by an alarm */
	QUEUE_CLOSED  /* nobody is left who could ask */
};

/*
 * One queue for each process. Both descriptors are borrowed. The first
 * head_len bytes of a record are received into `head` (NULL: nowhere) and then
 * copied: shared memory there tells of a record that was handed out to a
 * process that died before it could do anything.
 */
int queue_open(int queue_fd, int lifeline_fd, uint8_t *head, size_t head_len,
    struct error *err);
/* From here on it rests till it is called; calls is borrowed. */
void queue_rest(_Atomic uint32_t *calls);
/* For tests: closes what queue_open() made and leaves the signal alone. */
void queue_close(void);
/* The next event; a record is in buf, *len_r its true length, which may be
 * more than size: then it was cut. size is head_len at least. */
enum queue_event queue_next(uint8_t *buf, size_t size, bool wait,
    size_t *len_r);

#endif
