/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Editing a users file: one entry changes, nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/passwd_file.h"

#define FILE_TEXT "# people\nana:H1:class=staff,limit=5\n\nluis:H2\n"

static const struct passwd_edit set_ana = {
	.change = PASSWD_SET, .name = "ana", .hash = "NEW"
};

static void
check(const char *before, struct passwd_edit e, const char *after)
{
	struct buf out = { .mem = NULL };
	struct error err;

	assert_int_equal(passwd_edit(str_of(before), &e, &out, &err), 0);
	buf_append(&out, "", 1);
	assert_string_equal(buf_data(&out), after);
	buf_free(&out);
}

static void
test_set_changes_the_hash_and_keeps_the_keys(void **state)
{
	(void)state;
	check(FILE_TEXT, set_ana,
	    "# people\nana:NEW:class=staff,limit=5\n\nluis:H2\n");
}

static void
test_set_adds_who_is_not_there(void **state)
{
	struct passwd_edit e = set_ana;

	(void)state;
	check("", e, "ana:NEW\n");
	e.class_name = "staff";
	check("", e, "ana:NEW:class=staff\n");
	e.name = "eva";
	check(FILE_TEXT, e, FILE_TEXT "eva:NEW:class=staff\n");
}

static void
test_a_last_line_without_end_is_whole(void **state)
{
	struct passwd_edit e = set_ana;

	(void)state;
	check("luis:H2", e, "luis:H2\nana:NEW\n");
	check("ana:H1", e, "ana:NEW\n");
}

static void
test_class_takes_the_place_of_the_old_one(void **state)
{
	struct passwd_edit e = set_ana;

	(void)state;
	e.class_name = "boss";
	check("ana:H:class=a\n", e, "ana:NEW:class=boss\n");
	check("ana:H:x=1,class=a,y=2\n", e, "ana:NEW:x=1,y=2,class=boss\n");
	check("ana:H:classes=a\n", e, "ana:NEW:classes=a,class=boss\n");
	check("ana:H:\n", e, "ana:NEW:class=boss\n");
	check("ana:H: x=1 , class = a\n", e, "ana:NEW:x=1,class=boss\n");
}

static void
test_delete_takes_one_line_away(void **state)
{
	struct passwd_edit e = { .change = PASSWD_DELETE, .name = "ana" };

	(void)state;
	check(FILE_TEXT, e, "# people\n\nluis:H2\n");
	e.name = "luis";
	check(FILE_TEXT, e, "# people\nana:H1:class=staff,limit=5\n\n");
}

static void
test_lock_makes_the_hash_unusable_and_set_undoes_it(void **state)
{
	struct passwd_edit e = { .change = PASSWD_LOCK, .name = "luis" };

	(void)state;
	check("luis:H2:class=a\n", e, "luis:!H2:class=a\n");
	check("luis:!H2\n", e, "luis:!H2\n");
	check("luis:*\n", e, "luis:!\n");
	e.change = PASSWD_SET;
	e.hash = "NEW";
	check("luis:!H2\n", e, "luis:NEW\n");
}

static void
test_names_are_compared_whole_and_comments_are_no_names(void **state)
{
	struct passwd_edit e = set_ana;

	(void)state;
	check("anabel:H\n#ana:H\nan:H\nana\n", e,
	    "anabel:H\n#ana:H\nan:H\nana\nana:NEW\n");
	check("ANA : H : x=1\n", e, "ANA :NEW: x=1\n");
}

static void
test_what_is_missing_or_doubled_is_an_error(void **state)
{
	struct passwd_edit e = { .change = PASSWD_DELETE, .name = "eva" };
	struct buf out = { .mem = NULL };
	struct error err;

	(void)state;
	assert_int_equal(passwd_edit(STR(FILE_TEXT), &e, &out, &err), -1);
	assert_int_equal(err.kind, ERROR_PERMANENT);
	buf_free(&out);
	e.name = "ana";
	assert_int_equal(
	    passwd_edit(STR("ana:1\nx:2\nana:3\n"), &e, &out, &err), -1);
	assert_int_equal(err.kind, ERROR_INTERNAL);
	assert_string_equal(err.text, "lines 1 and 3 both name \"ana\"");
	buf_free(&out);
}

static void
test_names_that_the_file_cannot_hold_are_refused(void **state)
{
	(void)state;
	assert_true(passwd_name_ok("ana"));
	assert_true(passwd_name_ok("ana maría@example.org"));
	assert_false(passwd_name_ok(""));
	assert_false(passwd_name_ok("a:b"));
	assert_false(passwd_name_ok("#ana"));
	assert_false(passwd_name_ok(" ana"));
	assert_false(passwd_name_ok("ana "));
	assert_false(passwd_name_ok("a\nb"));
	assert_false(passwd_name_ok("a\xff"));
	assert_true(passwd_class_ok("staff"));
	assert_false(passwd_class_ok("a,b=c"));
	assert_false(passwd_class_ok(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_changes_the_hash_and_keeps_the_keys),
		cmocka_unit_test(test_set_adds_who_is_not_there),
		cmocka_unit_test(test_a_last_line_without_end_is_whole),
		cmocka_unit_test(test_class_takes_the_place_of_the_old_one),
		cmocka_unit_test(test_delete_takes_one_line_away),
		cmocka_unit_test(
		    test_lock_makes_the_hash_unusable_and_set_undoes_it),
		cmocka_unit_test(
		    test_names_are_compared_whole_and_comments_are_no_names),
		cmocka_unit_test(test_what_is_missing_or_doubled_is_an_error),
		cmocka_unit_test(
		    test_names_that_the_file_cannot_hold_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
