/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Modules' shared memory from generation to generation and start to start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/shares.h"
#include "policy/share.h"

#define BYTES 8192
#define MARK_AT (SHARE_HEADER_SIZE + 100)

static char dir[] = "/tmp/portero-shares-XXXXXX", path[64];
static struct shares shares;
static struct plan plan;

static int
setup(void **state)
{
	struct error err;

	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/policy-a.shm", dir);
	plan = (struct plan){ .nmodules = 2 };
	strncpy(plan.modules[0].name, "auth none", 63);
	strncpy(plan.modules[1].name, "policy a", 63);
	plan.modules[1].share_bytes = BYTES;
	return shares_open(&shares, dir, &err);
}

static int
teardown(void **state)
{
	(void)state;
	shares_close(&shares);
	unlink(path);
	return rmdir(dir);
}

static void
mark(int fd, char c)
{
	assert_int_equal(pwrite(fd, &c, 1, MARK_AT), 1);
}

static char
marked(int fd)
{
	char c = '?';

	assert_int_equal(pread(fd, &c, 1, MARK_AT), 1);
	return c;
}

static int
use(void)
{
	struct error err;
	int fds[2];

	assert_int_equal(shares_use(&shares, &plan, fds, &err), 0);
	assert_int_equal(fds[0], -1);
	assert_int_not_equal(fds[1], -1);
	return fds[1];
}

static void
test_generations_use_the_same_memory(void **state)
{
	int fd = use();

	(void)state;
	mark(fd, 'a');
	assert_int_equal(use(), fd);
	shares_release(&shares, &plan, 2);
	assert_int_equal(marked(fd), 'a');
	shares_release(&shares, &plan, 2);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
test_memory_is_kept_from_start_to_start(void **state)
{
	struct error err;

	(void)state;
	mark(use(), 'b');
	shares_close(&shares);
	assert_int_equal(shares_open(&shares, dir, &err), 0);
	assert_int_equal(marked(use()), 'b');
}

static void
test_another_size_is_new_memory_and_leaves_the_old_users_theirs(void **state)
{
	struct plan old = plan;
	int before = use(), now;

	(void)state;
	mark(before, 'c');
	plan.modules[1].share_bytes = 2 * BYTES;
	now = use();
	assert_int_not_equal(now, before);
	assert_int_equal(marked(now), 0);
	assert_int_equal(marked(before), 'c');
	shares_release(&shares, &old, 2);
	assert_int_equal(marked(now), 0);
}

static void
test_a_second_master_is_kept_out(void **state)
{
	struct shares other;
	struct error err;

	(void)state;
	assert_int_equal(shares_open(&other, dir, &err), -1);
	shares_close(&other);
}

static void
test_a_file_that_others_may_write_is_not_used(void **state)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_int_equal(ftruncate(fd, BYTES), 0);
	mark(fd, 'd');
	assert_int_equal(fchmod(fd, 0622), 0);
	assert_int_equal(marked(use()), 0);
	close(fd);
}

static void
test_a_link_is_not_followed(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(symlink("/tmp/portero-nowhere", path), 0);
	use(); /* in memory */
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(access("/tmp/portero-nowhere", F_OK), -1);
}

static void
test_no_folder_is_no_hindrance(void **state)
{
	struct shares memory;
	struct error err;
	int fds[2];

	(void)state;
	assert_int_equal(shares_open(&memory, "", &err), 0);
	assert_int_equal(shares_use(&memory, &plan, fds, &err), 0);
	mark(fds[1], 'e');
	assert_int_equal(marked(fds[1]), 'e');
	shares_close(&memory);
}

static void
test_a_folder_that_others_may_write_is_not_used(void **state)
{
	struct shares other;
	struct error err;

	(void)state;
	shares_close(&shares);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(shares_open(&other, dir, &err), 0);
	assert_int_equal(other.dir_fd, -1);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(shares_open(&shares, dir, &err), 0);
}

static void
fill(int fd)
{
	char page[4096] = "x";
	uint64_t at;

	for (at = SHARE_HEADER_SIZE; at < plan.modules[1].share_bytes;
	     at += sizeof(page))
		assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)at),
		    sizeof(page));
}

/* What was promised to workers is there when they come to use it. */
static void
test_a_full_disk_is_no_hindrance(void **state)
{
	struct error err;
	struct stat st;

	(void)state;
	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		skip();
	shares_close(&shares);
	assert_int_equal(
	    mount("tmpfs", dir, "tmpfs", 0, "size=32k,mode=700"), 0);
	assert_int_equal(shares_open(&shares, dir, &err), 0);
	plan.modules[1].share_bytes = 16 * BYTES;
	fill(use());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	shares_release(&shares, &plan, 2);
	plan.modules[1].share_bytes = 2 * BYTES;
	fill(use());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2 * BYTES);
	shares_close(&shares);
	assert_int_equal(umount(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_generations_use_the_same_memory),
		T(test_memory_is_kept_from_start_to_start),
		T(test_another_size_is_new_memory_and_leaves_the_old_users_theirs),
		T(test_a_second_master_is_kept_out),
		T(test_a_file_that_others_may_write_is_not_used),
		T(test_a_link_is_not_followed),
		T(test_no_folder_is_no_hindrance),
		T(test_a_folder_that_others_may_write_is_not_used),
		T(test_a_full_disk_is_no_hindrance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
