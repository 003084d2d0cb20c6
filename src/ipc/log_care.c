/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ipc/log_care.h"

#include "base/log.h"
#include "ipc/lifeline.h"
#include "ipc/role.h"

void
log_care(struct shared *s, unsigned row)
{
	const struct lifeline_record lost = { .type = REPORT_LOG_LOST,
		.fd = -1 };
	uint64_t dropped = log_take_dropped();

	if (dropped > 0)
		shared_add(s, row, COUNTER_LOG_DROPPED, dropped);
	if (log_take_lost())
		lifeline_send(ROLE_FD_LIFELINE, &lost);
}
