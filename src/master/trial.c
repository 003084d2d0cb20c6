/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Listens to a check process. It loads plugins after its first report, so
 * nothing that it says later can change the plan, and the text must be sealed
 * before.
 */
#include "master/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ipc/lifeline.h"
#include "ipc/wire.h"
#include "master/child.h"

#define TRIAL_MS 60000
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int
start_process(struct trial *t, const char *path, bool print, int start_fd,
    struct error *err)
{
	const struct role_args args = { .role = ROLE_CHECK,
		.print = print,
		.config_path = path };
	int from[ROLE_FD_FIRST + 1], pair[2];
	struct child_fds fds = { from, ROLE_FD_FIRST + 1 };

	if (child_lifeline(pair, err) == -1)
		return -1;
	memset(from, -1, sizeof(from));
	from[ROLE_FD_LIFELINE] = pair[1];
	from[ROLE_FD_CONFIG] = t->config_fd;
	from[ROLE_FD_START_CONFIG] = start_fd;
	t->lifeline = pair[0];
	t->pid = child_exec(&args, &fds, err);
	close(pair[1]);
	return t->pid == -1 ? -1 : 0;
}

struct trial *
trial_start(const char *path, bool print, int start_fd, struct error *err)
{
	struct trial *t = xcalloc(1, sizeof(*t));

	t->lifeline = -1;
	t->limit_ms = clock_mono_ms() + TRIAL_MS;
	t->config_fd = memfd_create("portero-config",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (t->config_fd == -1)
		error_set(err, ERROR_TEMPORARY, "memfd_create: %s",
		    strerror(errno));
	else if (start_process(t, path, print, start_fd, err) == 0)
		return t;
	trial_free(&t);
	return NULL;
}

void
trial_fail(struct trial *t, const char *why)
{
	t->is_over = true;
	t->errors++;
	buf_appendf(&t->messages, "%s\n", why);
}

static void
take_plan(struct trial *t, struct str text)
{
	if (t->has_plan)
		return;
	t->has_plan = true;
	if (plan_decode((const uint8_t *)text.ptr, text.len, &t->plan) == -1)
		trial_fail(t, "the check of the configuration sent a broken "
			      "plan");
	else if (fcntl(t->config_fd, F_GET_SEALS) != SEALS)
		trial_fail(t, "the check of the configuration did not seal "
			      "the text");
}

static void
take_shares(struct trial *t, struct str text)
{
	struct wire_in w = { .data = (const uint8_t *)text.ptr,
		.len = text.len };
	unsigned i, n = wire_get_u32(&w);

	for (i = 0; i < n && i < t->plan.nmodules; i++)
		t->plan.modules[i].share_bytes = wire_get_u64(&w);
	if (t->has_plan && n == t->plan.nmodules && wire_done(&w))
		t->has_shares = true;
	else
		trial_fail(t, "the check of the configuration sent broken "
			      "sizes of shared memory");
}

static void
take_verdict(struct trial *t, const struct lifeline_record *r)
{
	buf_append_str(&t->messages, r->text);
	t->errors = r->value;
	t->is_over = true;
	if (t->errors == 0 && !t->has_shares)
		trial_fail(t, "the check of the configuration is incomplete");
}

void
trial_read(struct trial *t)
{
	static uint8_t buf[LIFELINE_MAX + 32];
	struct lifeline_record r;
	int got = 0;

	while (!t->is_over &&
	    (got = lifeline_receive(t->lifeline, &r, buf, sizeof(buf))) == 1) {
		if (r.fd != -1)
			close(r.fd);
		if (r.type == REPORT_PLAN)
			take_plan(t, r.text);
		else if (r.type == REPORT_SHARES)
			take_shares(t, r.text);
		else if (r.type == REPORT_CHECKED)
			take_verdict(t, &r);
	}
	if (got == -1)
		trial_fail(t, "the check of the configuration crashed, most "
			      "likely in a plugin");
}

void
trial_wait(struct trial *t)
{
	struct pollfd p = { .fd = t->lifeline, .events = POLLIN };
	int64_t left;

	while (!t->is_over) {
		left = t->limit_ms - clock_mono_ms();
		if (left <= 0)
			trial_fail(t, "the check of the configuration took "
				      "too long");
		else if (poll(&p, 1, (int)left) > 0)
			trial_read(t);
	}
}

void
trial_free(struct trial **tp)
{
	struct trial *t = *tp;

	if (t == NULL)
		return;
	if (t->pid > 0) {
		kill(t->pid, SIGKILL); /* its last report was all we wait for */
		while (waitpid(t->pid, NULL, 0) == -1 && errno == EINTR)
			continue;
	}
	if (t->lifeline != -1)
		close(t->lifeline);
	if (t->config_fd != -1)
		close(t->config_fd);
	buf_free(&t->messages);
	free(t);
	*tp = NULL;
}
