/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What only one master can have, and what it must not take from others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/claim.h"

static char dir[] = "/tmp/portero-claim-XXXXXX", path[64];

static int
setup(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/it", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	rmdir(path);
	return rmdir(dir);
}

static mode_t
mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(name, &st), 0);
	return st.st_mode;
}

static void
test_a_control_socket_is_for_its_owner_and_group(void **state)
{
	struct error err;
	struct stat st;
	mode_t old = umask(0);
	int fd = claim_control_socket(path, getegid(), &err);

	(void)state;
	umask(old);
	assert_int_not_equal(fd, -1);
	assert_int_equal(mode_of(path), S_IFSOCK | 0660);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_gid, getegid());
	close(fd);
}

static void
test_a_socket_of_a_dead_master_is_replaced(void **state)
{
	struct error err;
	int fd = claim_control_socket(path, getegid(), &err);

	(void)state;
	close(fd);
	fd = claim_control_socket(path, getegid(), &err);
	assert_int_not_equal(fd, -1);
	close(fd);
}

static void
test_a_socket_of_a_living_master_is_left_alone(void **state)
{
	struct error err;
	int fd = claim_control_socket(path, getegid(), &err);

	(void)state;
	assert_int_equal(claim_control_socket(path, getegid(), &err), -1);
	assert_non_null(strstr(err.text, "another porterod answers on"));
	assert_int_equal(mode_of(path), S_IFSOCK | 0660);
	close(fd);
}

static void
test_another_file_in_the_sockets_place_is_left_alone(void **state)
{
	struct error err;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, "kept", 4), 4);
	close(fd);
	assert_int_equal(claim_control_socket(path, getegid(), &err), -1);
	assert_non_null(strstr(err.text, "is not a socket"));
	assert_int_equal(mode_of(path), S_IFREG | 0600);
}

static void
test_a_pid_file_is_held_by_one_master(void **state)
{
	char text[16] = "", pid[16];
	struct error err;
	int fd = claim_pid_file(path, &err);

	(void)state;
	assert_int_not_equal(fd, -1);
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	assert_int_not_equal(pread(fd, text, sizeof(text) - 1, 0), -1);
	assert_string_equal(text, pid);
	assert_int_equal(claim_pid_file(path, &err), -1);
	assert_non_null(strstr(err.text, "is held by another porterod"));
	close(fd);
	fd = claim_pid_file(path, &err);
	assert_int_not_equal(fd, -1);
	close(fd);
}

static void
test_a_chroot_folder_is_made_and_nobody_else_may_write_there(void **state)
{
	struct error err;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(claim_chroot(path, &err), 0);
	assert_int_equal(mode_of(path), S_IFDIR | 0755);
	assert_int_equal(claim_chroot(path, &err), 0);
	assert_int_equal(chmod(path, 0775), 0);
	assert_int_equal(claim_chroot(path, &err), -1);
	assert_non_null(strstr(err.text, "others than root may write"));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/", path), 0);
	assert_int_equal(claim_chroot(path, &err), -1);
	assert_non_null(strstr(err.text, "is not a folder"));
}

#define IN_A_FOLDER(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(test_a_control_socket_is_for_its_owner_and_group),
		IN_A_FOLDER(test_a_socket_of_a_dead_master_is_replaced),
		IN_A_FOLDER(test_a_socket_of_a_living_master_is_left_alone),
		IN_A_FOLDER(
		    test_another_file_in_the_sockets_place_is_left_alone),
		IN_A_FOLDER(test_a_pid_file_is_held_by_one_master),
		IN_A_FOLDER(
		    test_a_chroot_folder_is_made_and_nobody_else_may_write_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
