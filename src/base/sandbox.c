/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Giving up rights. Every step that was asked for either happened and was
 * looked at afterwards, or the function fails and the process must end. Only
 * Landlock, which older kernels lack, is optional.
 */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sanitizers need more of the kernel than we do: they must be able to report. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static int
fail(struct error *err, const char *what)
{
	return error_set(err, ERROR_INTERNAL, "confinement: %s: %s", what,
	    strerror(errno));
}

void
sandbox_quiet(void)
{
	static const struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

/* ---- capabilities and users -------------------------------------------- */

static int
set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32),
		    .permitted = (uint32_t)(keep >> 32) },
	};

	return (int)syscall(SYS_capset, &header, data);
}

/* So that an exec as root does not bring the dropped ones back. */
static int
shrink_bounding_set(uint64_t keep)
{
	int cap = 0;

	for (; prctl(PR_CAPBSET_READ, cap) != -1; cap++)
		if ((keep >> cap & 1) == 0 &&
		    prctl(PR_CAPBSET_READ, cap) == 1 &&
		    prctl(PR_CAPBSET_DROP, cap) == -1)
			return -1;
	return 0;
}

int
sandbox_master(struct error *err)
{
	const uint64_t keep = 1u << CAP_SETUID | 1u << CAP_SETGID |
	    1u << CAP_SYS_CHROOT | 1u << CAP_KILL |
	    1u << CAP_NET_BIND_SERVICE;

	if (geteuid() != 0)
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		return fail(err, "clearing ambient capabilities");
	if (shrink_bounding_set(keep) == -1)
		return fail(err, "shrinking the capability bounding set");
	if (set_capabilities(keep) == -1)
		return fail(err, "dropping capabilities");
	return 0;
}

static int
enter_chroot(const char *dir, struct error *err)
{
	if (chroot(dir) == -1)
		return error_set(err, ERROR_PERMANENT,
		    "confinement: chroot to %s: %s", dir, strerror(errno));
	if (chdir("/") == -1)
		return fail(err, "chdir to / of the chroot");
	return 0;
}

/* Becomes uid and gid and makes sure that there is no way back. */
static int
become(uid_t uid, gid_t gid, struct error *err)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (setgroups(0, NULL) == -1)
		return fail(err, "setgroups");
	if (setresgid(gid, gid, gid) == -1)
		return fail(err, "setresgid");
	if (setresuid(uid, uid, uid) == -1)
		return fail(err, "setresuid");
	if (set_capabilities(0) == -1)
		return fail(err, "dropping capabilities");
	if (getresuid(&r, &e, &s) == -1 || r != uid || e != uid || s != uid ||
	    getresgid(&rg, &eg, &sg) == -1 || rg != gid || eg != gid ||
	    sg != gid || getgroups(0, NULL) != 0)
		return error_set(err, ERROR_INTERNAL,
		    "confinement: user or group did not change as asked");
	if (setuid(0) != -1 || setgid(0) != -1)
		return error_set(err, ERROR_INTERNAL,
		    "confinement: root could be had back");
	return 0;
}

int
sandbox_drop(const char *chroot_dir, uid_t uid, gid_t gid, uint32_t *bits_r,
    struct error *err)
{
	uint32_t bits = 0;

	tzset(); /* while the zone's file is in sight */
	if (geteuid() == 0) {
		if (uid == 0 || gid == 0)
			return error_set(err, ERROR_PERMANENT,
			    "confinement: a worker must not be root");
		if (chroot_dir != NULL) {
			if (enter_chroot(chroot_dir, err) == -1)
				return -1;
			bits |= SANDBOX_CHROOT;
		}
		if (become(uid, gid, err) == -1)
			return -1;
		bits |= SANDBOX_USER;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return fail(err, "no_new_privs");
	sandbox_quiet(); /* a change of user may have undone it */
	*bits_r = bits | SANDBOX_NO_NEW_PRIVS;
	return 0;
}

/* ---- system calls ------------------------------------------------------ */

/* clang-format off */
static const int allowed_calls[] = {
	/* descriptors */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev),
	SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(dup3), SCMP_SYS(lseek),
	/* the event loop */
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	/* sockets; socket(2) itself is below */
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(connect),
	SCMP_SYS(shutdown), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
	SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	/* time and chance */
	SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getrandom),
	/* memory; mmap(2) and mprotect(2) are below */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
	SCMP_SYS(futex), SCMP_SYS(sched_yield),
	/* itself */
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
};
/* clang-format on */

/* What libc may try on its own (zone data, message catalogues, terminals):
 * it copes with a refusal. */
static const struct {
	int call;
	int error;
} refused_calls[] = {
	{ SCMP_SYS(open), EACCES },
	{ SCMP_SYS(openat), EACCES },
	{ SCMP_SYS(openat2), EACCES },
	{ SCMP_SYS(stat), EPERM },
	{ SCMP_SYS(lstat), EPERM },
	{ SCMP_SYS(fstat), EPERM },
	{ SCMP_SYS(newfstatat), EPERM },
	{ SCMP_SYS(statx), EPERM },
	{ SCMP_SYS(access), EACCES },
	{ SCMP_SYS(faccessat), EACCES },
	{ SCMP_SYS(faccessat2), EACCES },
	{ SCMP_SYS(readlink), EACCES },
	{ SCMP_SYS(readlinkat), EACCES },
	{ SCMP_SYS(ioctl), ENOTTY },
	{ SCMP_SYS(prctl), EPERM },
	{ SCMP_SYS(prlimit64), EPERM },
	{ SCMP_SYS(sched_getaffinity), EPERM },
	{ SCMP_SYS(sysinfo), EPERM },
	{ SCMP_SYS(uname), EPERM },
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
/* The kernel looks at the lower half of an int's register only. */
#define INT_MASK ((scmp_datum_t)0xffffffff)
#define SOCKET_TYPE_MASK \
	(INT_MASK & ~(scmp_datum_t)(SOCK_NONBLOCK | SOCK_CLOEXEC))

/* The calls that are allowed for some arguments only. 0 or a negative errno. */
static int
add_conditional(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp not_exec =
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp myself =
	    SCMP_A0(SCMP_CMP_MASKED_EQ, INT_MASK, (scmp_datum_t)getpid());
	const struct scmp_arg_cmp stream =
	    SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, SOCK_STREAM);
	static const int families[] = { AF_INET, AF_INET6 };
	int rc;

	rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_exec);
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		    not_exec);
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		    myself); /* abort(3) */
	for (size_t i = 0; rc == 0 && i < COUNT(families); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, INT_MASK,
			(scmp_datum_t)families[i]),
		    stream);
	return rc;
}

static int
load_filter(struct error *err)
{
	scmp_filter_ctx f =
	    seccomp_init(SANITIZED ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
	int rc = 0;

	if (f == NULL)
		return error_set(err, ERROR_INTERNAL,
		    "confinement: seccomp_init failed");
	for (size_t i = 0; rc == 0 && i < COUNT(allowed_calls); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed_calls[i], 0);
	for (size_t i = 0; rc == 0 && i < COUNT(refused_calls); i++)
		rc = seccomp_rule_add(f,
		    SCMP_ACT_ERRNO((uint32_t)refused_calls[i].error),
		    refused_calls[i].call, 0);
	if (rc == 0)
		rc = add_conditional(f);
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	if (rc != 0) {
		errno = -rc;
		return fail(err, "loading the system call filter");
	}
	return 0;
}

/* ---- files ------------------------------------------------------------- */

/* As in <linux/landlock.h> of a newer kernel than that of our oldest
 * distribution; the kernel is told the size that its version knows. */
struct landlock_attr {
	uint64_t fs;
	uint64_t net;   /* since version 4 */
	uint64_t scope; /* since version 6 */
};

#define LANDLOCK_VERSION_FLAG 1u
#define LANDLOCK_NET_BIND_TCP 1u
#define LANDLOCK_SCOPES 3u /* abstract sockets and signals */

/* How many of the kinds of file access each version knows. */
static unsigned
landlock_fs_kinds(long version)
{
	return version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
}

/* No files, no binding of ports, no signals to others. false: the kernel has
 * no Landlock. */
static bool
enter_landlock(void)
{
	struct landlock_attr attr = { .net = LANDLOCK_NET_BIND_TCP,
		.scope = LANDLOCK_SCOPES };
	size_t size;
	long version;
	int fd, rc;

	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_VERSION_FLAG);
	if (version < 1)
		return false;
	attr.fs = (1u << landlock_fs_kinds(version)) - 1;
	size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd == -1)
		return false;
	rc = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
	return rc == 0;
}

int
sandbox_session(uint32_t *bits_r, struct error *err)
{
	uint32_t bits = 0;

	/* Both want it, and it may not have been set yet. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return fail(err, "no_new_privs");
	if (!SANITIZED && enter_landlock())
		bits |= SANDBOX_LANDLOCK;
	if (load_filter(err) == -1)
		return -1;
	*bits_r |= bits | SANDBOX_NO_NEW_PRIVS | SANDBOX_SECCOMP;
	return 0;
}
