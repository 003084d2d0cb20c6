/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shared segments: what is mapped is what was made.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/shm.h"

#define MAGIC 0x54455354u

static void
test_shm_is_shared_zeroed_and_of_fixed_size(void **state)
{
	struct error err;
	size_t size = 0;
	char *a, *b;
	int fd = shm_create("test", MAGIC, 3, 10000, &err);

	(void)state;
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	a = shm_map(fd, MAGIC, 3, &size, &err);
	assert_non_null(a);
	assert_int_equal(size, 10000);
	b = shm_map(fd, MAGIC, 3, NULL, &err);
	assert_non_null(b);
	for (size_t i = sizeof(struct shm_header); i < size; i++)
		assert_int_equal(a[i], 0);
	a[9999] = 7;
	assert_int_equal(b[9999], 7);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_int_equal(ftruncate(fd, 20000), -1);
	shm_unmap((void **)&a, size);
	shm_unmap((void **)&b, size);
	assert_null(a);
	shm_unmap((void **)&a, size);
	close(fd);
}

static void
test_shm_of_another_kind_is_not_mapped(void **state)
{
	static const struct {
		uint32_t magic, layout;
		const char *why;
	} cases[] = {
		{ MAGIC + 1, 3, "magic" },
		{ MAGIC, 4, "layout" },
	};
	struct error err;
	int fd = shm_create("test", MAGIC, 3, 100, &err);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_null(shm_map(fd, cases[i].magic, cases[i].layout, NULL,
		    &err));
		assert_int_equal(err.kind, ERROR_PERMANENT);
		assert_non_null(strstr(err.text, cases[i].why));
	}
	close(fd);
}

static void
test_shm_file_with_a_wrong_size_is_not_mapped(void **state)
{
	struct shm_header h = { MAGIC, 3, 4096 };
	char path[] = "/tmp/test_shm.XXXXXX";
	struct error err;
	size_t size;
	int fd = mkstemp(path);
	void *p;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	assert_null(shm_map(fd, MAGIC, 3, NULL, &err)); /* empty */
	assert_int_equal(pwrite(fd, &h, sizeof h, 0), sizeof h);
	assert_null(shm_map(fd, MAGIC, 3, NULL, &err)); /* cut off */
	assert_non_null(strstr(err.text, "4096"));
	assert_int_equal(ftruncate(fd, 4096), 0);
	p = shm_map(fd, MAGIC, 3, &size, &err);
	assert_non_null(p);
	shm_unmap(&p, size);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_null(shm_map(fd, MAGIC, 3, NULL, &err));
	assert_null(shm_map(-1, MAGIC, 3, NULL, &err));
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shm_is_shared_zeroed_and_of_fixed_size),
		cmocka_unit_test(test_shm_of_another_kind_is_not_mapped),
		cmocka_unit_test(test_shm_file_with_a_wrong_size_is_not_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
