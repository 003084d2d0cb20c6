/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The master's start and end: tries the configuration, takes what needs the
 * rights of the start, gives those up, and hands over to the loop.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/shm.h"
#include "master/claim.h"
#include "master/generation.h"
#include "master/master_private.h"
#include "master/trial.h"
#include "policy/login_cache.h"

/* Descriptors 0 to 2 are open, and nothing reads the terminal. */
static void
settle_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd != -1 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd == -1)
		return;
	dup2(fd, STDIN_FILENO);
	close(fd);
}

static int
catch_signals(void)
{
	static const int caught[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT,
		SIGUSR1 };
	sigset_t set;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* For ourselves and our children, which have a descriptor for each client. */
static void
raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	/* for workers that keep secrets in memory; if not, a little will do */
	r.rlim_cur = r.rlim_max = RLIM_INFINITY;
	setrlimit(RLIMIT_MEMLOCK, &r);
}

/* All that outlives generations. */
static int
acquire(struct master *m, const struct plan *plan, struct error *err)
{
	m->first = *plan;
	if (plan->pid_file[0] != '\0') {
		m->pid_file_fd = claim_pid_file(plan->pid_file, err);
		if (m->pid_file_fd == -1)
			return -1;
	}
	if (shares_open(&m->shares, plan->state_dir, err) == -1)
		return -1;
	m->control_fd = claim_control_socket(plan->control_socket,
	    plan->control_gid, err);
	if (m->control_fd == -1)
		return -1;
	m->shared_fd = shared_create(&m->shared, err);
	m->login_cache_fd = login_cache_create(err);
	if (m->shared_fd == -1 || m->login_cache_fd == -1)
		return -1;
	return queue_stock_fill(&m->queues, err);
}

/* From the good plan of a trial to the first generation. */
static int
start(struct master *m, struct trial *t, struct error *err)
{
	raise_limits();
	if (m->signal_fd == -1)
		return error_set(err, ERROR_TEMPORARY, "signalfd: %s",
		    strerror(errno));
	if (log_target_open(&m->log, &t->plan, err) == -1)
		return -1;
	log_open(m->log.fd, log_target_kind(&m->log),
	    (enum log_level)t->plan.log_level, "portero-master");
	if (acquire(m, &t->plan, err) == -1)
		return -1;
	m->first_config_fd = fcntl(t->config_fd, F_DUPFD_CLOEXEC, 3);
	m->newest = generation_new(m, &t->plan, t->config_fd, err);
	t->config_fd = -1; /* the generation's */
	if (m->newest == NULL || sandbox_master(err) == -1)
		return -1;
	reload_log_messages(buf_data(&t->messages), buf_len(&t->messages));
	if (!m->root)
		log_say(LOG_LEVEL_WARNING, "start",
		    "not started as root: no chroot, and all processes run as "
		    "one user");
	return 0;
}

/* What stands in the file system goes; the rest is for leak checkers. */
static void
leave(struct master *m)
{
	void *shared = m->shared;

	if (m->control_fd != -1)
		unlink(m->first.control_socket);
	if (m->pid_file_fd != -1)
		unlink(m->first.pid_file);
	if (m->owed.count > 0)
		log_say(LOG_LEVEL_WARNING, "stop",
		    "%zu reservations of limits could not be settled; they "
		    "stay charged until they expire", m->owed.count);
	generation_free(&m->newest); /* only if the start failed */
	reload_free(&m->reload);
	listeners_close(&m->listeners);
	shares_close(&m->shares);
	queue_stock_close(&m->queues);
	owed_free(&m->owed);
	shm_unmap(&shared, sizeof(struct shared));
	free(m->polled);
	free(m->polled_child);
	log_flush();
}

static void
print_messages(const struct trial *t)
{
	if (buf_len(&t->messages) > 0)
		fwrite(buf_data(&t->messages), 1, buf_len(&t->messages),
		    stderr);
}

/* NULL: said why. */
static struct trial *
try(const char *config_path, bool print)
{
	struct trial *t;
	struct error err;

	t = trial_start(config_path, print, -1, &err);
	if (t == NULL) {
		fprintf(stderr, "porterod: %s\n", err.text);
		return NULL;
	}
	trial_wait(t);
	if (t->errors > 0) {
		print_messages(t);
		trial_free(&t);
	}
	return t;
}

int
master_try(const char *config_path, bool print)
{
	struct trial *t;

	signal(SIGPIPE, SIG_IGN);
	t = try(config_path, print);
	if (t == NULL)
		return EXIT_FAILURE;
	print_messages(t);
	if (!print)
		printf("%s is good\n", config_path);
	trial_free(&t);
	return EXIT_SUCCESS;
}

int
master_main(const char *config_path)
{
	struct master m = { .config_path = config_path,
		.root = geteuid() == 0,
		.pid_file_fd = -1,
		.control_fd = -1,
		.shares.dir_fd = -1,
		.log.fd = -1 };
	struct trial *t;
	struct error err;

	memset(m.queues.pairs, -1, sizeof(m.queues.pairs));
	settle_stdio();
	sandbox_quiet();
	listeners_inherit(&m.listeners);
	m.signal_fd = catch_signals();
	t = try(config_path, false);
	if (t == NULL)
		return EXIT_FAILURE;
	if (start(&m, t, &err) == 0) {
		trial_free(&t);
		master_loop(&m);
	} else {
		fprintf(stderr, "porterod: %s\n", err.text);
		m.failed = true;
		trial_free(&t);
	}
	leave(&m);
	return m.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
