/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "redis_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGUMENTS 32
#define START_MS 10000

static void
path_of(const struct redis_rig *r, const char *name, char to[64])
{
	snprintf(to, 64, "%s/%s", r->folder, name);
}

static void
make_clock(struct redis_rig *r)
{
	char path[64];
	int fd;

	path_of(r, "clock", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, sizeof *r->now_us), 0);
	r->now_us = mmap(
	    NULL, sizeof *r->now_us, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(r->now_us, MAP_FAILED);
	close(fd);
	*r->now_us = INT64_C(1795000000) * 1000000;
}

/* In the child. */
static void
run_server(const struct redis_rig *r, const char *const *arguments)
{
	const char *argv[MAX_ARGUMENTS + 16] = { "redis-server", "--port", "0",
		"--unixsocket", strchr(r->uri, '/'), "--dir", r->folder,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
		"--logfile", "log" };
	size_t n = 15;
	char clock[64];

	for (; arguments != NULL && *arguments != NULL && n < MAX_ARGUMENTS;
	     arguments++)
		argv[n++] = *arguments;
	path_of(r, "clock", clock);
	setenv("STAND_CLOCK", clock, 1);
	setenv("LD_PRELOAD", STAND_CLOCK_SO, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static bool
connect_to(struct redis_rig *r)
{
	const char *path = strchr(r->uri, '/');
	redisReply *reply;
	bool good;

	r->redis = redisConnectUnix(path);
	if (r->redis == NULL || r->redis->err != 0) {
		redisFree(r->redis);
		r->redis = NULL;
		return false;
	}
	reply = redisCommand(r->redis, "PING");
	good = reply != NULL;
	freeReplyObject(reply);
	return good;
}

struct redis_rig *
redis_rig_new(const char *const *arguments)
{
	const struct timespec pause = { 0, 5000000 };
	struct redis_rig *r = calloc(1, sizeof *r);
	int waited_ms = 0;

	assert_non_null(r);
	snprintf(r->folder, sizeof r->folder, "/tmp/redis_rig.XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->uri, sizeof r->uri, "unix:%s/socket", r->folder);
	make_clock(r);
	r->pid = fork();
	assert_int_not_equal(r->pid, -1);
	if (r->pid == 0)
		run_server(r, arguments);
	while (!connect_to(r)) {
		nanosleep(&pause, NULL);
		waited_ms += 5;
		assert_int_equal(waitpid(r->pid, NULL, WNOHANG), 0);
		assert_in_range(waited_ms, 0, START_MS);
	}
	return r;
}

void
redis_rig_free(struct redis_rig **r)
{
	static const char *const files[] = { "socket", "clock", "log",
		"nodes.conf" };
	char path[64];

	kill((*r)->pid, SIGKILL);
	waitpid((*r)->pid, NULL, 0);
	redisFree((*r)->redis);
	munmap((*r)->now_us, sizeof *(*r)->now_us);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		path_of(*r, files[i], path);
		unlink(path);
	}
	rmdir((*r)->folder);
	free(*r);
	*r = NULL;
}

redisReply *
redis_rig_ask(struct redis_rig *r, const char *format, ...)
{
	redisReply *reply;
	va_list ap;

	va_start(ap, format);
	reply = redisvCommand(r->redis, format, ap);
	va_end(ap);
	assert_non_null(reply);
	return reply;
}
