/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records on a child's lifeline to the master: orders down, reports up. One
 * SOCK_SEQPACKET record each; some carry a descriptor (SCM_RIGHTS).
 */
#ifndef IPC_LIFELINE_H
#define IPC_LIFELINE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

#define LIFELINE_MAX 61440

enum lifeline_type {
	/* orders */
	ORDER_DRAIN = 1,    /* stop accepting, finish, exit; value: ms it may take */
	ORDER_STOP,         /* end at once */
	ORDER_LOG,          /* carries the new log descriptor */
	ORDER_VERDICT,      /* control: what became of request `id`; value 0 ok, text: for the operator */
	/* reports */
	REPORT_READY = 100, /* start finished */
	REPORT_LOG_LOST,    /* syslog went away: send a new descriptor */
	REPORT_SETTLED,     /* policy: a settle of the master's is done; id of the question */
	REPORT_PLAN,        /* check: struct plan, encoded (ipc/plan.h); before it drops its rights */
	REPORT_SHARES,      /* check: u32 count, then u64 bytes for each module in order of the file */
	REPORT_CHECKED,     /* check: value 0 good, else number of errors; text: all messages; last record */
	REPORT_RELOAD,      /* control: operator asks; id of the request */
	REPORT_STOP_ALL,    /* control: operator asks */
	REPORT_REOPEN       /* control: reopen log files */
};

struct lifeline_record {
	uint16_t type;
	uint64_t id;
	int64_t value;
	struct str text; /* when received: points into the receive buffer */
	int fd;          /* -1: none; when received: the receiver's */
};

/* 1 sent, 0 would block, -1 the other end is gone. */
int lifeline_send(int fd, const struct lifeline_record *r);
/* 1 received (text points into buf of LIFELINE_MAX + 32 bytes), 0 nothing there now, -1 end of
 * file or a broken record. */
int lifeline_receive(int fd, struct lifeline_record *r, uint8_t *buf, size_t size);

#endif
