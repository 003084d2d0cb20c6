/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * auth_file: what its file may say, and what happens when it changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "fake_host.h"

#include "../../plugins/auth_file/users.h"

static char path[] = "/tmp/portero-users-XXXXXX";
static char hash[CRYPT_OUTPUT_SIZE]; /* of "s3cret" */
static struct portero_conf *conf;
static void *ctx;
static struct portero_identity who;
static struct portero_reply said;

/* Replaces the file as porteroctl does: a new one takes the name. */
__attribute__((format(printf, 1, 2))) static void
put(const char *format, ...)
{
	char fresh[sizeof path + 4];
	va_list ap;
	FILE *f;

	snprintf(fresh, sizeof fresh, "%s.new", path);
	f = fopen(fresh, "w");
	assert_non_null(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fclose(f);
	chmod(fresh, 0600);
	assert_int_equal(rename(fresh, path), 0);
}

static int
open_plugin(enum portero_share_state state, char err[256])
{
	return portero_plugin.open(&fake_host, conf, NULL, 0, state, &ctx, err);
}

static int
setup(void **state)
{
	char err[256] = "";

	(void)state;
	close(mkstemp(path));
	put("# people\n\n"
	    " Ana@Example.org : %s : class=staff, lang=es,size=50M,"
	    "limit=hourly=500/1h,limit=daily=unlimited, addresses= a@x.example "
	    " b@x.example \r\n"
	    "bob:!%s\n"
	    "eve:!\n"
	    "mal:*",
	    hash, hash);
	conf = fake_conf_new(portero_plugin.options, "local");
	fake_conf_set(conf, "file", path);
	fake_host_nlogged = 0;
	assert_int_equal(open_plugin(PORTERO_SHARE_NEW, err), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	portero_plugin.close(ctx);
	fake_conf_free(&conf);
	unlink(path);
	memcpy(path + sizeof path - 7, "XXXXXX", 6);
	return 0;
}

static enum portero_verdict
login(const char *name, const char *password)
{
	struct portero_creds creds = { .size = sizeof creds,
		.login = { name, strlen(name) },
		.password = { password, strlen(password) } };

	memset(&who, 0, sizeof who);
	memset(&said, 0, sizeof said);
	return portero_plugin.auth->login(ctx, &creds, &who, &said);
}

static enum portero_verdict
owns(const char *address)
{
	struct portero_str s = { address, strlen(address) };

	return portero_plugin.auth->owns(ctx, &who, s);
}

static void
test_the_right_password_brings_the_whole_entry(void **state)
{
	(void)state;
	assert_int_equal(login(" ANA@example.ORG ", "s3cret"), PORTERO_NEXT);
	assert_string_equal(who.id, "Ana@Example.org");
	assert_string_equal(who.class_name, "staff");
	assert_string_equal(who.language, "es");
	assert_int_equal(who.max_size, 50 << 20);
	assert_int_equal(who.nlimits, 2);
	assert_string_equal(who.limits[0].name, "hourly");
	assert_int_equal(who.limits[0].max, 500);
	assert_int_equal(who.limits[0].window_s, 3600);
	assert_int_equal(who.limits[1].max, PORTERO_UNLIMITED);
	assert_int_equal(who.limits[1].window_s, 0);
	assert_true(who.addresses_complete);
	assert_int_equal(who.addresses_len, 40);
	assert_memory_equal(who.addresses,
	    "Ana@Example.org\0a@x.example\0b@x.example", 40);
}

static void
test_a_wrong_password_is_not_an_unknown_person(void **state)
{
	char longest[600];

	(void)state;
	assert_int_equal(login("ana@example.org", "s3creT"), PORTERO_DENY);
	assert_int_equal(login("ana@example.org", "s3cret "), PORTERO_DENY);
	assert_int_equal(login("ana@example.org", hash), PORTERO_DENY);
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(login("ana@example.org", longest), PORTERO_DENY);
	assert_int_equal(login("ana", "s3cret"), PORTERO_UNKNOWN);
	assert_int_equal(login("", "s3cret"), PORTERO_UNKNOWN);
	assert_int_equal(login(longest, "s3cret"), PORTERO_UNKNOWN);
	assert_string_equal(who.id, "");
}

static void
test_a_suspended_person_hears_of_it_only_with_the_password(void **state)
{
	(void)state;
	assert_int_equal(login("bob", "wrong"), PORTERO_DENY);
	assert_int_equal(said.code, 0);
	assert_int_equal(login("bob", "s3cret"), PORTERO_DENY);
	assert_int_equal(said.code, 525);
	assert_string_equal(said.enhanced, "5.7.13");
	assert_int_equal(login("eve", "s3cret"), PORTERO_DENY);
	assert_int_equal(said.code, 0);
	assert_int_equal(login("mal", "s3cret"), PORTERO_DENY);
	assert_int_equal(login("mal", "*"), PORTERO_DENY);
}

static void
test_own_addresses_are_the_name_and_the_listed(void **state)
{
	(void)state;
	login("ana@example.org", "s3cret");
	assert_int_equal(owns("ana@example.org"), PORTERO_NEXT);
	assert_int_equal(owns("B@X.example"), PORTERO_NEXT);
	assert_int_equal(owns("c@x.example"), PORTERO_DENY);
	assert_int_equal(owns("b@x.exampl"), PORTERO_DENY);
	assert_int_equal(owns(""), PORTERO_DENY);
}

static void
test_a_changed_file_is_read_again(void **state)
{
	(void)state;
	assert_int_equal(login("new", "s3cret"), PORTERO_UNKNOWN);
	put("new:%s\n", hash);
	assert_int_equal(login("new", "s3cret"), PORTERO_NEXT);
	assert_int_equal(login("bob", "s3cret"), PORTERO_UNKNOWN);
}

static void
test_a_broken_file_changes_nothing_and_is_logged_once(void **state)
{
	(void)state;
	fake_host_nlogged = 0;
	put("ana:%s\nbroken\n", hash);
	assert_int_equal(login("bob", "s3cret"), PORTERO_DENY);
	assert_int_equal(said.code, 525);
	assert_non_null(strstr(fake_host_logged, "line 2: no password hash"));
	login("bob", "s3cret");
	assert_int_equal(fake_host_nlogged, 1);
	unlink(path);
	login("bob", "s3cret");
	assert_int_equal(login("ana@example.org", "s3cret"), PORTERO_NEXT);
	assert_int_equal(fake_host_nlogged, 2);
	put("bob:%s\n", hash);
	assert_int_equal(login("bob", "s3cret"), PORTERO_NEXT);
}

static void
test_a_file_that_everybody_may_read_is_not_used(void **state)
{
	(void)state;
	put("new:%s\n", hash);
	chmod(path, 0604);
	assert_int_equal(login("new", "s3cret"), PORTERO_UNKNOWN);
	assert_non_null(strstr(fake_host_logged, "everybody may read"));
	chmod(path, 0600); /* mended: no new time, but a new state */
	assert_int_equal(login("new", "s3cret"), PORTERO_NEXT);
}

static void
test_without_any_good_file_nobody_can_tell(void **state)
{
	char err[256] = "";

	(void)state;
	portero_plugin.close(ctx);
	put("broken\n");
	assert_int_equal(open_plugin(PORTERO_SHARE_NEW, err), 0);
	assert_int_equal(login("bob", "s3cret"), PORTERO_DEFER);
	put("bob:%s\n", hash);
	assert_int_equal(login("bob", "s3cret"), PORTERO_NEXT);
}

static void
test_a_trial_reports_a_broken_file(void **state)
{
	char err[256] = "";

	(void)state;
	portero_plugin.close(ctx);
	put("bob:%s\nbroken\n", hash);
	assert_int_equal(open_plugin(PORTERO_SHARE_NONE, err), -1);
	assert_non_null(strstr(err, "line 2"));
	unlink(path);
	assert_int_equal(open_plugin(PORTERO_SHARE_NONE, err), -1);
	assert_non_null(strstr(err, "No such file"));
	put("bob:%s\n", hash);
	assert_int_equal(open_plugin(PORTERO_SHARE_NONE, err), 0);
}

static void
test_lines_that_are_wrong_are_told_apart(void **state)
{
	/* clang-format off */
	static const struct { const char *line, *says; } table[] = {
		{ ":*", "no name" },
		{ "ana", "no password hash" },
		{ "ana:", "no password hash" },
		{ "ana:secret!", "crypt(3) does not know" },
		{ "ana:*x", "crypt(3) does not know" },
		{ "ana:*:color=red", "a key that is none of" },
		{ "ana:*:class=", "class=" },
		{ "ana:*:size=0", "size=" },
		{ "ana:*:size=5T", "size=" },
		{ "ana:*:size=99999999999999999999", "size=" },
		{ "ana:*:size=9007199254740993G", "size=" },
		{ "ana:*:limit=hourly", "unlimited" },
		{ "ana:*:limit==5", "NAME=MAX" },
		{ "ana:*:limit=hourly=-5", "unlimited" },
		{ "ana:*:limit=hourly=5x", "unlimited" },
		{ "ana:*:limit=hourly=5/0s", "window" },
		{ "ana:*:limit=hourly=5/32d", "window" },
		{ "ana:*:addresses=a\tb", "addresses=" },
		{ "ana:*\nANA:*", "two entries" },
		{ "a\001na:*", "no name" },
	};
	/* clang-format on */
	char err[256];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const char *line = table[i].line;
		struct users *u = users_parse(line, strlen(line), err);

		assert_null(u);
		if (strstr(err, table[i].says) == NULL)
			fail_msg("%s: %s", line, err);
	}
}

static void
test_many_persons_are_all_found(void **state)
{
	char text[16384], name[16], err[256];
	struct users *u;
	size_t len = 0;

	(void)state;
	for (int i = 999; i >= 0; i--)
		len += (size_t)snprintf(text + len, sizeof text - len,
		    "p%d:*\n", i);
	u = users_parse(text, len, err);
	assert_non_null(u);
	assert_int_equal(u->n, 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "P%d", i);
		assert_non_null(users_find(u,
		    (struct portero_str){ name, strlen(name) }));
	}
	assert_null(users_find(u, (struct portero_str){ "p1000", 5 }));
	users_free(&u);
	u = users_parse("", 0, err);
	assert_int_equal(u->n, 0);
	users_free(&u);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static struct crypt_data data;
	const struct CMUnitTest tests[] = {
		TEST(test_the_right_password_brings_the_whole_entry),
		TEST(test_a_wrong_password_is_not_an_unknown_person),
		TEST(test_a_suspended_person_hears_of_it_only_with_the_password),
		TEST(test_own_addresses_are_the_name_and_the_listed),
		TEST(test_a_changed_file_is_read_again),
		TEST(test_a_broken_file_changes_nothing_and_is_logged_once),
		TEST(test_a_file_that_everybody_may_read_is_not_used),
		TEST(test_without_any_good_file_nobody_can_tell),
		TEST(test_a_trial_reports_a_broken_file),
		cmocka_unit_test(test_lines_that_are_wrong_are_told_apart),
		cmocka_unit_test(test_many_persons_are_all_found),
	};

	/* the cheapest that is still a hash */
	str_copy(hash, sizeof hash,
	    str_of(crypt_rn("s3cret", "$5$rounds=1000$portero$", &data,
		(int)sizeof data)));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
