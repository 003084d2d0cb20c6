/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first half of reading: comments, variables, includes, conf.d/, and the
 * account of where each line came from.
 */
#include <ftw.h>
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

#include "config/clean.h"
#include "config/origin.h"
#include "config/prepass.h"
#include "config_rig.h"

static char dir[] = "/tmp/test_config.XXXXXX";

/* clang-format off */
static const struct { const char *text, *clean; } clean_cases[] = {
	{ "a = b", "a = b" },
	{ "a = b # c\nd", "a = b \nd" },
	{ "a = b // c\nd", "a = b \nd" },
	{ "a = b#c\nd", "a = b\nd" },
	{ "a /* b\nc */ d", "a  \n d" },
	{ "a /* b // c */ d", "a   d" },
	{ "\"a # b // c /* d\"", "\"a # b // c /* d\"" },
	{ "'a # b' # c", "'a # b' " },
	{ "a = redis://b/*", "a = redis://b/*" },
	{ "# ' \"\na", "\na" },
	{ "\xef\xbb\xbf" "a", "a" },
	{ "a\r\nb\r\n", "a\nb\n" },
	{ "a\\\"b\" # c", "a\\\"b\" " },
	{ "\"a\\\"b\" # c", "\"a\\\"b\" " },
	{ "\"\\\\\" # c", "\"\\\\\" " },
	{ "\"${V}\"", "\"value\"" },
	{ "\"x${V}y\"", "\"xvaluey\"" },
	{ "${V}", "\"value\"" },
	{ "{${V},${V}}", "{\"value\",\"value\"}" },
	{ "\"${QUOTES}\"", "\"a\\\"b\\\\c\\${d}\"" },
	{ "'${V}'", "'${V}'" },
	{ "\"\\${V}\"", "\"\\${V}\"" },
	{ "\"$V\"", "\"$V\"" },
	{ "\"${UNSET:-other}\"", "\"other\"" },
	{ "\"${UNSET:-}\"", "\"\"" },
	{ "\"${EMPTY:-other}\"", "\"other\"" },
	{ "\"${EMPTY}\"", "\"\"" },
	{ "${UNSET:-1:-2}", "\"1:-2\"" },
	{ "\"${UNSET}\"", NULL },
	{ "\"${NEWLINE}\"", NULL },
	{ "\"${1}\"", NULL },
	{ "\"${}\"", NULL },
	{ "\"${V\"", NULL },
	{ "${V}x", NULL },
	{ "x${V}", NULL },
	{ "\"a\nb\"", NULL },
	{ "\"a\\\nb\"", NULL },
	{ "\"a\\x41\"", NULL },
	{ "'a", NULL },
	{ "\"a", NULL },
	{ "\"a\\", NULL },
	{ "/* a", NULL },
	{ "a\rb", NULL },
	{ "a \x7f", NULL },
	{ "", "" },
};
/* clang-format on */

static void
test_clean_text_keeps_lines_and_loses_comments(void **state)
{
	(void)state;
	setenv("V", "value", 1);
	setenv("QUOTES", "a\"b\\c${d}", 1);
	setenv("NEWLINE", "a\nb", 1);
	setenv("EMPTY", "", 1);
	unsetenv("UNSET");
	for (size_t i = 0; i < sizeof clean_cases / sizeof *clean_cases; i++) {
		struct config_messages *m = config_messages_new();
		const char *text = clean_cases[i].text;
		struct buf out = { 0 };
		int ret = clean_text("x", text, strlen(text), &out, m);

		buf_append(&out, "", 1);
		if (clean_cases[i].clean == NULL) {
			assert_int_equal(ret, -1);
			assert_true(config_errors(m) > 0);
		} else {
			assert_int_equal(ret, 0);
			assert_string_equal(
			    buf_data(&out), clean_cases[i].clean);
		}
		buf_free(&out);
		config_messages_free(&m);
	}
}

static void
test_a_nul_byte_is_refused(void **state)
{
	struct config_messages *m = config_messages_new();
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(clean_text("x", "a = \"b\\\0\"", 9, &out, m), -1);
	assert_int_equal(config_errors(m), 2);
	buf_free(&out);
	config_messages_free(&m);
}

static void
test_origins_survive_being_written(void **state)
{
	struct origins *o = origins_new();
	struct buf text = { 0 };
	size_t before;

	(void)state;
	buf_appendf(&text, "one\ntwo\nthree\nfour\n");
	origins_add(o, 1, "/etc/a b.conf", 1);
	origins_add(o, 2, "c", 10);
	origins_add(o, 4, "/etc/a b.conf", 2);
	origins_write(o, &text);
	origins_free(&o);
	o = origins_read(buf_data(&text), buf_len(&text), &before);
	assert_non_null(o);
	assert_int_equal(before, 19);
	assert_string_equal(origins_find(o, 1).file, "/etc/a b.conf");
	assert_int_equal(origins_find(o, 3).line, 11);
	assert_string_equal(origins_find(o, 3).file, "c");
	assert_int_equal(origins_find(o, 5).line, 3);
	assert_int_equal(origins_files(o), 2);
	origins_free(&o);
	for (size_t len = 0; len < buf_len(&text); len++)
		assert_null(origins_read(buf_data(&text), len, &before));
	buf_free(&text);
}

/* ---- files ------------------------------------------------------------- */

static const char *
put(const char *name, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return path;
}

/* Reads main.conf and compares the messages; @ in them is the folder. */
static void
expect(const char *pattern)
{
	struct buf expected = { 0 };
	const char *said;
	char path[64];
	struct config *c;

	for (const char *p = pattern; *p != '\0'; p++)
		buf_appendf(
		    &expected, *p == '@' ? "%s" : "%.1s", *p == '@' ? dir : p);
	buf_append(&expected, "", 1);
	snprintf(path, sizeof path, "%s/main.conf", dir);
	c = config_rig_file(path, &said);
	assert_string_equal(said, buf_data(&expected));
	config_free(&c);
	config_rig_end();
	buf_free(&expected);
}

static int
set_up(void **state)
{
	char path[64];

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/test_config.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/conf.d", dir);
	return mkdir(path, 0755);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
test_conf_d_is_read_in_order_behind_the_main_file(void **state)
{
	(void)state;
	put("main.conf", CONFIG_GOOD);
	put("conf.d/20-b.conf", "help_url = \"no\"\n");
	put("conf.d/10-a.conf", "\nlog { to = fil }\n");
	put("conf.d/.30-hidden.conf", "nonsense\n");
	put("conf.d/40.conf~", "nonsense\n");
	expect("@/conf.d/10-a.conf:2: error: to = fil is not stderr, file or "
	       "syslog; did you mean \"file\"?\n"
	       "@/conf.d/20-b.conf:1: error: help_url must begin with https:// "
	       "or http://\n2 errors, 0 warnings\n");
}

static void
test_an_option_set_in_two_files_is_an_error(void **state)
{
	(void)state;
	put("main.conf", CONFIG_GOOD);
	put("conf.d/a.conf", "idle_timeout = 60s\nhostname = \"b\"\n");
	put("conf.d/b.conf", "\nidle_timeout = 90s\nstore { }\n");
	expect(
	    "@/conf.d/a.conf:2: error: \"hostname\" is already set at "
	    "@/main.conf:1\n"
	    "@/conf.d/b.conf:2: error: \"idle_timeout\" is already set at "
	    "@/conf.d/a.conf:1\n"
	    "@/conf.d/b.conf:3: error: there is already a section \"store\" at "
	    "@/main.conf:5\n3 errors, 0 warnings\n");
}

static void
test_include_is_relative_to_the_including_file(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "%s/sub", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	put("main.conf",
	    "# first\ninclude(\"sub/a.conf\")\nidle_timeout = 1\n");
	put("sub/a.conf", "include ( \"b.conf\" ) bare_newline = maybe\n");
	put("sub/b.conf", CONFIG_GOOD "data_timeout = 2");
	expect(
	    "@/main.conf:3: error: idle_timeout = 1 is not a duration like "
	    "90s or 1h\n"
	    "@/sub/a.conf:1: error: bare_newline = maybe is not normalize or "
	    "reject\n"
	    "@/sub/b.conf:9: error: data_timeout = 2 is not a duration like "
	    "90s or 1h\n3 errors, 0 warnings\n");
}

static void
test_an_included_file_may_be_the_inside_of_a_section(void **state)
{
	(void)state;
	put("main.conf",
	    CONFIG_GOOD "listen \"b\" { include(\"l.inc\") tls = implicit }\n");
	put("l.inc", "port = 466\naddress = \"::1\"\n");
	expect("");
	put("l.inc", "port = 466 }\n");
	expect("@/l.inc:1: error: this } closes nothing\n"
	       "1 error, 0 warnings\n");
}

static void
test_a_missing_include_is_named_where_it_is_included(void **state)
{
	(void)state;
	put("main.conf", CONFIG_GOOD "\ninclude(\"none.conf\")\n");
	expect("@/main.conf:10: error: cannot read @/none.conf: No such file "
	       "or directory\n1 error, 0 warnings\n");
	put("main.conf", CONFIG_GOOD "include \"none.conf\"\n");
	expect("@/main.conf:9: error: \"include\" needs \"=\" and a value, or "
	       "\"{\"\n1 error, 0 warnings\n");
	put("main.conf", CONFIG_GOOD "include(none.conf)\n");
	expect("@/main.conf:9: error: write include(\"file\")\n"
	       "1 error, 0 warnings\n");
}

static void
test_files_that_include_themselves_end(void **state)
{
	const char *said;
	struct config *c;
	char path[64];

	(void)state;
	put("main.conf", "include(\"main.conf\")\n");
	snprintf(path, sizeof path, "%s/main.conf", dir);
	c = config_rig_file(path, &said);
	assert_non_null(strstr(said, "more than 10 deep"));
	assert_null(c);
	config_rig_end();
}

static void
test_a_file_that_anyone_may_write_is_refused(void **state)
{
	(void)state;
	assert_int_equal(chmod(put("main.conf", CONFIG_GOOD), 0666), 0);
	expect("@/main.conf: error: cannot read @/main.conf: anyone may "
	       "write to it; chmod o-w would help\n1 error, 0 warnings\n");
}

static void
test_a_missing_main_file_is_told_apart(void **state)
{
	struct config_messages *m = config_messages_new();
	FILE *to = tmpfile();

	(void)state;
	assert_int_equal(config_read("/no/such/file", fileno(to), m), -1);
	assert_int_equal(config_errors(m), 1);
	config_messages_free(&m);
	fclose(to);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_clean_text_keeps_lines_and_loses_comments),
		cmocka_unit_test(test_a_nul_byte_is_refused),
		cmocka_unit_test(test_origins_survive_being_written),
		cmocka_unit_test_setup_teardown(
		    test_conf_d_is_read_in_order_behind_the_main_file, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    test_an_option_set_in_two_files_is_an_error, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    test_include_is_relative_to_the_including_file, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    test_an_included_file_may_be_the_inside_of_a_section,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_a_missing_include_is_named_where_it_is_included,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_files_that_include_themselves_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_a_file_that_anyone_may_write_is_refused, set_up,
		    tear_down),
		cmocka_unit_test(test_a_missing_main_file_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
