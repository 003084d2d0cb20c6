/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Secrets from files: what is taken, what is refused and why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secret.h"

static char dir[] = "/tmp/test_secret.XXXXXX";
static char path[64];

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/secret", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void
write_file(const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
assert_refused(const char *where, const char *why)
{
	struct error err = { 0 };

	assert_null(secret_from_file(where, &err));
	assert_int_equal(err.kind, ERROR_PERMANENT);
	assert_non_null(strstr(err.text, where));
	assert_non_null(strstr(err.text, why));
}

static void
test_secret_is_the_file_without_its_final_newline(void **state)
{
	static const struct {
		struct str file, secret;
	} cases[] = {
		{ STR("s3cret"), STR("s3cret") },
		{ STR("s3cret\n"), STR("s3cret") },
		{ STR("s3cret\r\n"), STR("s3cret") },
		{ STR("s3cret\n\n"), STR("s3cret\n") },
		{ STR(" a\nb "), STR(" a\nb ") },
		{ STR("a\0b\n"), STR("a\0b") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct error err = { 0 };
		struct secret *s;

		write_file(cases[i].file.ptr, cases[i].file.len, 0640);
		s = secret_from_file(path, &err);
		assert_non_null(s);
		assert_true(str_eq(secret_str(s), cases[i].secret));
		secret_free(&s);
		assert_null(s);
		secret_free(&s);
	}
}

static void
test_secret_open_to_others_is_refused(void **state)
{
	(void)state;
	write_file("x\n", 2, 0644);
	assert_refused(path, "open to others");
	write_file("x\n", 2, 0602);
	assert_refused(path, "0602");
}

static void
test_secret_absent_empty_or_not_a_file_is_refused(void **state)
{
	(void)state;
	assert_refused("/nonexistent/secret", "No such file");
	assert_refused(dir, "not a regular file");
	write_file("", 0, 0600);
	assert_refused(path, "empty");
	write_file("\n", 1, 0600);
	assert_refused(path, "empty");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(path, "not a regular file");
	unlink(path);
}

static void
test_secret_length_is_bounded_exactly(void **state)
{
	char text[SECRET_MAX + 10];
	struct error err;
	struct secret *s;

	(void)state;
	memset(text, 'x', sizeof text);
	text[SECRET_MAX] = '\n';
	write_file(text, SECRET_MAX + 1, 0600);
	s = secret_from_file(path, &err);
	assert_non_null(s);
	assert_int_equal(secret_str(s).len, SECRET_MAX);
	secret_free(&s);
	text[SECRET_MAX] = 'x';
	write_file(text, SECRET_MAX + 1, 0600);
	assert_refused(path, "too long");
	write_file(text, sizeof text, 0600);
	assert_refused(path, "too long");
}

static void
test_secret_is_a_copy_and_may_be_empty(void **state)
{
	char text[] = "abc";
	struct secret *s = secret_new(text, 3);

	(void)state;
	text[0] = 'x';
	assert_true(str_eq(secret_str(s), STR("abc")));
	secret_free(&s);
	s = secret_new(NULL, 0);
	assert_int_equal(secret_str(s).len, 0);
	secret_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_secret_is_the_file_without_its_final_newline),
		cmocka_unit_test(test_secret_open_to_others_is_refused),
		cmocka_unit_test(
		    test_secret_absent_empty_or_not_a_file_is_refused),
		cmocka_unit_test(test_secret_length_is_bounded_exactly),
		cmocka_unit_test(test_secret_is_a_copy_and_may_be_empty),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
