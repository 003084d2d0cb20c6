/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Confinement: each case runs in a child, which gives its rights up and then
 * tries what must not work any more. What needs root is skipped without.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define NOBODY 65534

/* In the child: says what is wrong and ends. */
#define MUST(what) \
	do { \
		if (!(what)) { \
			dprintf(STDERR_FILENO, "%d: %s\n", __LINE__, #what); \
			_exit(1); \
		} \
	} while (0)

/* Runs body in a child; its wait status. */
static int
status_of(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		body();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool
is_root(void)
{
	if (geteuid() == 0)
		return true;
	skip();
	return false;
}

static uint64_t
capabilities(const char *name)
{
	unsigned long long set = ~0ull;
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), ": %llx", &set);
	if (f != NULL)
		fclose(f);
	return set;
}

static void
become_nobody(void)
{
	gid_t groups[] = { 1, 2, 3 };
	struct error err;
	struct rlimit core;
	uint32_t bits = 0;

	MUST(setgroups(3, groups) == 0);
	MUST(sandbox_drop(NULL, NOBODY, NOBODY, &bits, &err) == 0);
	MUST(bits == (SANDBOX_USER | SANDBOX_NO_NEW_PRIVS));
	MUST(getuid() == NOBODY && geteuid() == NOBODY);
	MUST(getgid() == NOBODY && getegid() == NOBODY);
	MUST(getgroups(0, NULL) == 0);
	MUST(seteuid(0) == -1 && setgid(0) == -1);
	MUST(prctl(PR_GET_DUMPABLE) == 0);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	MUST(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
}

static void
look_at_own_capabilities(void)
{
	uint32_t bits;

	MUST(sandbox_drop(NULL, NOBODY, NOBODY, &bits, NULL) == 0);
	prctl(PR_SET_DUMPABLE, 1); /* or /proc would be closed to us */
	MUST(capabilities("CapPrm") == 0);
	MUST(capabilities("CapEff") == 0);
	MUST(capabilities("CapAmb") == 0);
}

static void
test_sandbox_drop_leaves_no_way_back(void **state)
{
	(void)state;
	if (!is_root())
		return;
	assert_int_equal(status_of(become_nobody), 0);
	assert_int_equal(status_of(look_at_own_capabilities), 0);
}

static char jail[] = "/tmp/test_sandbox.XXXXXX";

static void
look_around_in_the_jail(void)
{
	char here[256], date[32], before[32];
	struct error err;
	uint32_t bits;

	setenv("TZ", "Europe/Madrid", 1);
	tzset();
	clock_format_rfc5322(before, sizeof before, 1795443600);
	unsetenv("TZ");
	setenv("TZ", ":Europe/Madrid", 1);
	MUST(sandbox_drop(jail, NOBODY, NOBODY, &bits, &err) == 0);
	MUST(bits ==
	    (SANDBOX_CHROOT | SANDBOX_USER | SANDBOX_NO_NEW_PRIVS));
	MUST(getcwd(here, sizeof here) != NULL && strcmp(here, "/") == 0);
	MUST(access("/proc", F_OK) == -1 && access("/etc", F_OK) == -1);
	MUST(chroot("/") == -1);
	/* The zone was read before. */
	clock_format_rfc5322(date, sizeof date, 1795443600);
	MUST(strcmp(date, before) == 0);
}

static void
test_sandbox_chroot_is_entered_and_the_zone_known(void **state)
{
	(void)state;
	if (is_root())
		assert_int_equal(status_of(look_around_in_the_jail), 0);
}

static void
ask_for_nonsense(void)
{
	struct error err = { 0 };
	uint32_t bits;

	MUST(sandbox_drop(NULL, 0, NOBODY, &bits, &err) == -1);
	MUST(sandbox_drop(NULL, NOBODY, 0, &bits, &err) == -1);
	MUST(sandbox_drop("/nonexistent", NOBODY, NOBODY, &bits, &err) == -1);
	MUST(strstr(err.text, "/nonexistent") != NULL);
	MUST(geteuid() == 0);
}

static void
test_sandbox_drop_to_root_or_into_nothing_is_an_error(void **state)
{
	(void)state;
	if (is_root())
		assert_int_equal(status_of(ask_for_nonsense), 0);
}

static void
be_the_master(void)
{
	/* CHOWN 0, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10,
	 * SYS_CHROOT 18 */
	const uint64_t kept = 1u << 5 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 18;
	struct error err;
	uint32_t bits;

	MUST(sandbox_master(&err) == 0);
	MUST((capabilities("CapPrm") & ~kept) == 0);
	MUST(capabilities("CapEff") == capabilities("CapPrm"));
	MUST((capabilities("CapBnd") & ~kept) == 0);
	MUST(chown(jail, NOBODY, NOBODY) == -1);
	/* and can still make workers */
	MUST(sandbox_drop(jail, NOBODY, NOBODY, &bits, &err) == 0);
}

static void
test_sandbox_master_keeps_what_it_needs_only(void **state)
{
	(void)state;
	if (is_root())
		assert_int_equal(status_of(be_the_master), 0);
}

/* ---- session workers --------------------------------------------------- */

static void
confine(void)
{
	struct error err = { 0 };
	uint32_t bits = 0;

	if (sandbox_drop(NULL, NOBODY, NOBODY, &bits, &err) == -1 ||
	    sandbox_session(&bits, &err) == -1) {
		dprintf(STDERR_FILENO, "%s\n", err.text);
		_exit(1);
	}
	MUST((bits & SANDBOX_SECCOMP) != 0);
}

static void
do_what_sessions_do(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int pair[2], ep, tcp;
	char text[64];
	void *p;

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	confine();
	ep = epoll_create1(EPOLL_CLOEXEC);
	MUST(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, pair[0], &ev) == 0);
	MUST(send(pair[1], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1);
	MUST(epoll_wait(ep, &ev, 1, 1000) == 1);
	MUST(recv(pair[0], text, sizeof text, 0) == 1);
	tcp = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(tcp >= 0 || errno == EAFNOSUPPORT);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(tcp >= 0 && fcntl(tcp, F_SETFL, O_NONBLOCK) == 0);
	MUST(dup3(tcp, pair[1], O_CLOEXEC) == pair[1] && close(tcp) == 0);
	p = malloc(1 << 24);
	MUST(p != NULL);
	memset(p, 1, 1 << 24);
	p = realloc(p, 1 << 25);
	MUST(p != NULL);
	free(p);
	id_random(text, sizeof text);
	clock_format_rfc5322(text, sizeof text, clock_wall_s());
	signal(SIGUSR1, SIG_IGN);
	log_say(LOG_LEVEL_INFO, "confined", "pid %d", (int)getpid());
}

static void
try_files(void)
{
	struct stat st;
	time_t t = 0;
	struct tm tm;

	confine();
	tzset(); /* libc may look for files; that must not kill */
	localtime_r(&t, &tm);
	if (SANITIZED)
		return; /* the filter only logs */
	MUST(open("/etc/passwd", O_RDONLY) == -1 && errno == EACCES);
	MUST(stat("/etc/passwd", &st) == -1 && errno == EPERM);
	MUST(access("/", F_OK) == -1 && errno == EACCES);
	MUST(prctl(PR_SET_DUMPABLE, 1) == -1 && errno == EPERM);
	MUST(!isatty(STDERR_FILENO));
}

static void
test_sandbox_session_can_work_but_sees_no_file(void **state)
{
	(void)state;
	assert_int_equal(status_of(do_what_sessions_do), 0);
	assert_int_equal(status_of(try_files), 0);
}

/* clang-format off */
static void try_fork(void) { confine(); if (fork() == 0) _exit(0); }
static void try_exec(void) { confine(); execl("/bin/true", "true", NULL); }
static void try_unix(void) { confine(); socket(AF_UNIX, SOCK_STREAM, 0); }
static void try_udp(void) { confine(); socket(AF_INET, SOCK_DGRAM, 0); }
static void try_raw(void) { confine(); socket(AF_INET, SOCK_RAW, 1); }
static void try_code(void) { confine();
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void try_kill(void) { confine(); kill(getppid(), 0); }
static void try_setuid(void) { confine(); if (setuid(NOBODY) == 0) _exit(0); }
static void try_bind(void) { struct sockaddr_in a = { .sin_family = AF_INET };
	int s = socket(AF_INET, SOCK_STREAM, 0);
	confine(); bind(s, (struct sockaddr *)&a, sizeof a); }
static void try_unlink(void) { confine(); unlink("/nonexistent"); }
/* clang-format on */

static void
test_sandbox_session_dies_of_what_it_never_does(void **state)
{
	void (*const tries[])(void) = { try_fork, try_exec, try_unix, try_udp,
		try_raw, try_code, try_kill, try_setuid, try_bind, try_unlink };

	(void)state;
	if (SANITIZED)
		skip();
	for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		int status = status_of(tries[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static void
abort_confined(void)
{
	confine();
	abort();
}

static void
test_sandbox_session_may_abort_itself(void **state)
{
	int status = status_of(abort_confined);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(jail) == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return rmdir(jail);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sandbox_drop_leaves_no_way_back),
		cmocka_unit_test(
		    test_sandbox_chroot_is_entered_and_the_zone_known),
		cmocka_unit_test(
		    test_sandbox_drop_to_root_or_into_nothing_is_an_error),
		cmocka_unit_test(test_sandbox_master_keeps_what_it_needs_only),
		cmocka_unit_test(
		    test_sandbox_session_can_work_but_sees_no_file),
		cmocka_unit_test(
		    test_sandbox_session_dies_of_what_it_never_does),
		cmocka_unit_test(test_sandbox_session_may_abort_itself),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
