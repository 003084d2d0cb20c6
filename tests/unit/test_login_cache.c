/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The login cache in memory of its own, and the auth host in front of a
 * scripted directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/section.h"
#include "policy/login.h"
#include "policy/login_cache.h"
#include "policy/share.h"

#define S 1000
#define FRESH (60 * S)
#define AWAY (600 * S)

static const uint8_t start_key[LOGIN_CACHE_KEY_LEN] = "the key of a start";
static int fd;
static struct login_cache *cache;
static struct login_cache_section *people;
static struct login_recall got;
static int64_t shifted_ms;

static void
pass(int64_t ms)
{
	shifted_ms += ms;
	clock_shift(shifted_ms * CLOCK_NS_PER_MS, shifted_ms * 1000);
}

static struct login_cache *
open_with(const char *settings, const uint8_t *key,
    struct login_cache_section **s)
{
	const struct login_cache_setup setup = { .title = "people",
		.settings = str_of(settings),
		.fresh_ms = FRESH,
		.away_ms = AWAY };
	struct login_cache *c;
	struct error err;

	c = login_cache_open(fd, key, &err);
	assert_non_null(c);
	*s = login_cache_add(c, &setup);
	login_cache_ready(c);
	return c;
}

static int
setup(void **state)
{
	struct error err;

	(void)state;
	shifted_ms = 0;
	clock_shift(0, 0);
	fd = login_cache_create(&err);
	assert_true(fd >= 0);
	cache = open_with("uri", start_key, &people);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	login_cache_free(&cache);
	close(fd);
	clock_shift(0, 0);
	return 0;
}

/* A blob as the host makes it. */
static struct str
blob_of(const char *id, size_t naddresses)
{
	static uint8_t blob[IDENTITY_MAX];
	static struct portero_identity i;
	size_t len;

	memset(&i, 0, sizeof i);
	i.size = sizeof i;
	snprintf(i.id, sizeof i.id, "%s", id);
	for (size_t n = 0; n < naddresses; n++)
		i.addresses_len += (uint32_t)snprintf(
			i.addresses + i.addresses_len,
			sizeof i.addresses - i.addresses_len,
			"%zu@example.org", n) + 1;
	len = identity_encode_from(blob, sizeof blob, &i, STR("people"));
	assert_true(len > 0);
	return (struct str){ (const char *)blob, len };
}

static void
keep(const char *login, const char *password, const char *id)
{
	login_cache_keep_right(cache, people, str_of(login), str_of(password),
	    login_cache_epoch(cache), blob_of(id, 2));
}

static enum login_memory
find(const char *login, const char *password)
{
	memset(&got, 0xa5, sizeof got);
	return login_cache_find(cache, people, str_of(login),
	    str_of(password), &got);
}

static void
assert_found(struct str identity)
{
	assert_int_equal(got.identity_len, identity.len);
	assert_memory_equal(got.identity, identity.ptr, identity.len);
}

static void
test_only_the_same_name_and_password_are_known(void **state)
{
	(void)state;
	assert_int_equal(find("ana", "s3cret"), LOGIN_NOT_KNOWN);
	keep("ana", "s3cret", "ana");
	assert_int_equal(find("ana", "s3cret"), LOGIN_RIGHT);
	assert_found(blob_of("ana", 2));
	assert_int_equal(find("ana", "s3cre"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("ana", "s3cret "), LOGIN_NOT_KNOWN);
	assert_int_equal(find("anas", "3cret"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("an", "as3cret"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("Ana", "s3cret"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("", "s3cret"), LOGIN_NOT_KNOWN);
}

static void
test_a_newer_success_takes_the_place_of_an_older(void **state)
{
	(void)state;
	keep("ana", "old", "ana");
	keep("ana", "new", "ana");
	assert_int_equal(find("ana", "new"), LOGIN_RIGHT);
	assert_int_equal(find("ana", "old"), LOGIN_NOT_KNOWN);
}

static void
test_identities_of_all_lengths_come_back(void **state)
{
	(void)state;
	for (size_t n = 0; n < 120; n += 7) {
		login_cache_keep_right(cache, people, STR("ana"), STR("x"),
		    login_cache_epoch(cache), blob_of("ana", n));
		assert_int_equal(find("ana", "x"), LOGIN_RIGHT);
		assert_found(blob_of("ana", n));
	}
	/* a shorter one behind a longer */
	keep("ana", "x", "ana");
	assert_int_equal(find("ana", "x"), LOGIN_RIGHT);
	assert_found(blob_of("ana", 2));
}

static void
test_a_right_login_is_old_after_its_time(void **state)
{
	(void)state;
	keep("ana", "s3cret", "ana");
	pass(FRESH - S);
	assert_int_equal(find("ana", "s3cret"), LOGIN_RIGHT);
	pass(S);
	assert_int_equal(find("ana", "s3cret"), LOGIN_NOT_KNOWN);
}

static void
test_an_old_one_is_used_only_while_the_directory_is_away(void **state)
{
	(void)state;
	keep("ana", "s3cret", "ana");
	pass(FRESH);
	assert_int_equal(find("ana", "s3cret"), LOGIN_NOT_KNOWN);
	login_cache_set_away(cache, people, true);
	assert_int_equal(find("ana", "s3cret"), LOGIN_RIGHT_AWAY);
	assert_found(blob_of("ana", 2));
	assert_int_equal(find("ana", "wrong"), LOGIN_NOT_KNOWN);
	login_cache_set_away(cache, people, false);
	assert_int_equal(find("ana", "s3cret"), LOGIN_NOT_KNOWN);
	/* now and then one must try the directory, the others go on */
	login_cache_set_away(cache, people, true);
	pass(6 * S);
	assert_int_equal(find("ana", "s3cret"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("ana", "s3cret"), LOGIN_RIGHT_AWAY);
	/* and not for ever */
	pass(AWAY - 6 * S);
	login_cache_set_away(cache, people, true);
	assert_int_equal(find("ana", "s3cret"), LOGIN_NOT_KNOWN);
}

static void
test_a_wrong_password_is_known_for_five_seconds(void **state)
{
	uint64_t epoch = login_cache_epoch(cache);

	(void)state;
	keep("ana", "s3cret", "ana");
	login_cache_keep_wrong(cache, people, STR("ana"), STR("guess"), epoch,
	    STR("bad_password"));
	assert_int_equal(find("ana", "guess"), LOGIN_WRONG);
	assert_string_equal(got.cause, "bad_password");
	assert_int_equal(find("ana", "another"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("ana", "s3cret"), LOGIN_RIGHT);
	pass(5 * S);
	assert_int_equal(find("ana", "guess"), LOGIN_NOT_KNOWN);
	/* what was right and is wrong now is right no more */
	login_cache_keep_wrong(cache, people, STR("ana"), STR("s3cret"), epoch,
	    STR("bad_password"));
	pass(5 * S);
	assert_int_equal(find("ana", "s3cret"), LOGIN_NOT_KNOWN);
}

static void
test_a_flush_is_of_a_person_or_of_all(void **state)
{
	uint64_t before = login_cache_epoch(cache);

	(void)state;
	keep("ana", "x", "ana");
	keep("ana@example.org", "x", "ana");
	keep("luis", "x", "luis");
	login_cache_keep_wrong(cache, people, STR("eva"), STR("y"), before,
	    STR("bad_password"));
	assert_int_equal(login_cache_flush(cache, STR("nobody")), 0);
	assert_int_equal(find("ana", "x"), LOGIN_RIGHT);
	assert_int_equal(login_cache_flush(cache, STR("ana")), 2);
	assert_int_equal(find("ana", "x"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("ana@example.org", "x"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("luis", "x"), LOGIN_RIGHT);
	assert_int_equal(login_cache_flush(cache, STR("")), 1);
	assert_int_equal(find("luis", "x"), LOGIN_NOT_KNOWN);
	/* what was asked before the flush is not kept after it */
	login_cache_keep_right(cache, people, STR("ana"), STR("x"), before,
	    blob_of("ana", 2));
	login_cache_keep_wrong(cache, people, STR("ana"), STR("z"), before,
	    STR("bad_password"));
	assert_int_equal(find("ana", "x"), LOGIN_NOT_KNOWN);
	assert_int_equal(find("ana", "z"), LOGIN_NOT_KNOWN);
}

/* How often the bytes are in the shared memory. */
static unsigned
count_in_memory(const void *bytes, size_t len)
{
	size_t size = (size_t)lseek(fd, 0, SEEK_END);
	uint8_t *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), *at = p;
	unsigned n = 0;

	assert_ptr_not_equal(p, MAP_FAILED);
	while ((at = memmem(at, (size_t)(p + size - at), bytes, len)) != NULL) {
		n++;
		at++;
	}
	munmap(p, size);
	return n;
}

static void
test_no_password_is_in_the_memory_and_a_wipe_takes_all(void **state)
{
	char login[32];

	(void)state;
	keep("ana", "a-password-to-find", "somebody-to-find");
	assert_int_equal(count_in_memory("a-password-to-find", 18), 0);
	assert_true(count_in_memory("somebody-to-find", 16) > 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(login, sizeof login, "p%d", i);
		keep(login, "x", "somebody-to-find");
	}
	assert_int_equal(login_cache_flush(cache, STR("")), 3001);
	assert_int_equal(count_in_memory("somebody-to-find", 16), 0);
	assert_int_equal(find("p2999", "x"), LOGIN_NOT_KNOWN);
}

static void
test_workers_share_it(void **state)
{
	struct login_cache *other;
	struct login_cache_section *s;

	(void)state;
	keep("ana", "x", "ana");
	other = open_with("uri", start_key, &s);
	assert_int_equal(login_cache_find(other, s, STR("ana"), STR("x"),
			     &got), LOGIN_RIGHT);
	assert_int_equal(login_cache_flush(other, STR("ana")), 1);
	assert_int_equal(find("ana", "x"), LOGIN_NOT_KNOWN);
	login_cache_free(&other);
}

static void
test_other_settings_wipe_it(void **state)
{
	struct login_cache *other;
	struct login_cache_section *s;

	(void)state;
	keep("ana", "x", "ana");
	other = open_with("another uri", start_key, &s);
	assert_int_equal(login_cache_find(other, s, STR("ana"), STR("x"),
			     &got), LOGIN_NOT_KNOWN);
	assert_int_equal(find("ana", "x"), LOGIN_NOT_KNOWN);
	/* what the old workers still keep is nothing to the new ones */
	keep("ana", "x", "ana");
	assert_int_equal(login_cache_find(other, s, STR("ana"), STR("x"),
			     &got), LOGIN_NOT_KNOWN);
	login_cache_free(&other);
}

static void
test_the_key_is_of_the_start_and_of_the_memory(void **state)
{
	static const uint8_t other_key[LOGIN_CACHE_KEY_LEN] = "another start";
	struct login_cache_section *s;
	struct login_cache *other;

	(void)state;
	keep("ana", "x", "ana");
	other = open_with("uri", other_key, &s);
	assert_int_equal(login_cache_find(other, s, STR("ana"), STR("x"),
			     &got), LOGIN_NOT_KNOWN);
	login_cache_free(&other);
}

static void
test_a_full_cache_knows_what_it_has(void **state)
{
	char login[32];

	(void)state;
	keep("first", "x", "ana");
	for (int i = 0; i < 33000; i++) {
		snprintf(login, sizeof login, "p%d", i);
		keep(login, "x", "ana");
	}
	assert_int_equal(find("first", "x"), LOGIN_RIGHT);
	assert_int_equal(find("p32999", "x"), LOGIN_NOT_KNOWN);
	pass(FRESH + AWAY + 2 * S); /* then its room is used again */
	keep("p32999", "x", "ana");
	assert_int_equal(find("p32999", "x"), LOGIN_RIGHT);
}

/* ---- with the host ------------------------------------------------------- */

static struct {
	enum portero_verdict verdict;
	int code;
	unsigned asked;
} script;

static enum portero_verdict
script_login(void *ctx, const struct portero_creds *creds,
    struct portero_identity *identity, struct portero_reply *reply)
{
	(void)ctx;
	(void)creds;
	script.asked++;
	snprintf(identity->id, sizeof identity->id, "ana");
	snprintf(identity->class_name, sizeof identity->class_name, "staff");
	reply->code = script.code;
	return script.verdict;
}

/* After `first` and so many seconds: the answer to `then`, asked or not. */
static void
test_what_the_host_makes_of_it(void **state)
{
	/* clang-format off */
	static const struct {
		enum portero_verdict first; int code; int seconds;
		enum portero_verdict then, result;
		const char *cause; bool asked;
	} table_of[] = {
		{ PORTERO_NEXT,    0,   10,  PORTERO_DENY,    PORTERO_NEXT,  "cached", false },
		{ PORTERO_NEXT,    0,   61,  PORTERO_DENY,    PORTERO_DENY,  "bad_password", true },
		{ PORTERO_NEXT,    0,   61,  PORTERO_UNKNOWN, PORTERO_DENY,  "no_user", true },
		{ PORTERO_NEXT,    0,   61,  PORTERO_AWAY,    PORTERO_NEXT,  "cached_away", true },
		{ PORTERO_NEXT,    0,   61,  PORTERO_DEFER,   PORTERO_DEFER, "deferred", true },
		{ PORTERO_NEXT,    0,   61,  PORTERO_NONE,    PORTERO_DEFER, "plugin", true },
		{ PORTERO_NEXT,    0,   661, PORTERO_AWAY,    PORTERO_DEFER, "deferred", true },
		{ PORTERO_DENY,    0,   4,   PORTERO_NEXT,    PORTERO_DENY,  "bad_password", false },
		{ PORTERO_DENY,    0,   5,   PORTERO_NEXT,    PORTERO_NEXT,  "ok", true },
		{ PORTERO_DENY,    525, 0,   PORTERO_NEXT,    PORTERO_NEXT,  "ok", true },
		{ PORTERO_UNKNOWN, 0,   0,   PORTERO_NEXT,    PORTERO_NEXT,  "ok", true },
		{ PORTERO_DEFER,   0,   0,   PORTERO_NEXT,    PORTERO_NEXT,  "ok", true },
		{ PORTERO_AWAY,    0,   0,   PORTERO_AWAY,    PORTERO_DEFER, "deferred", true },
	};
	/* clang-format on */
	static char title[] = "people";
	static const struct portero_auth auth = { .size = sizeof auth,
		.login = script_login,
		.may_cache = true };
	static const struct portero_plugin table = { .auth = &auth };
	struct portero_conf none = { .nslots = 0 };
	struct config_module module = { .kind = CONFIG_AUTH,
		.options = &none,
		.title = title,
		.plugin = title,
		.cache_time_s = 60,
		.cache_away_time_s = 600 };
	struct plugin plugin = { .module = &module, .table = &table };
	struct plugin *list[] = { &plugin };
	struct shared *shared = calloc(1, sizeof *shared);
	const struct login_question q = { .login = STR("ana"),
		.password = STR("s3cret") };
	struct login *login;
	struct login_answer a;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof table_of / sizeof *table_of; i++) {
		struct login_cache *c = login_cache_open(fd, start_key, &err);
		char cause[64];

		login = login_new(list, 1, shared, 0, "+");
		assert_true(login_wants_cache(login));
		login_use_cache(login, c);
		login_cache_flush(c, STR(""));
		script.verdict = table_of[i].first;
		script.code = table_of[i].code;
		login_ask(login, &q, &a);
		pass(table_of[i].seconds * S);
		script.verdict = table_of[i].then;
		script.code = script.asked = 0;
		login_ask(login, &q, &a);
		str_copy(cause, sizeof cause, a.cause);
		assert_int_equal(a.verdict, table_of[i].result);
		assert_string_equal(cause, table_of[i].cause);
		assert_int_equal(script.asked, table_of[i].asked);
		if (a.verdict == PORTERO_NEXT) {
			assert_true(str_eq(a.id, STR("ana")));
			assert_true(str_eq(a.class_name, STR("staff")));
			assert_true(str_eq(a.plugin, STR("people")));
		}
		login_free(&login);
		login_cache_free(&c);
	}
	assert_int_equal(shared->rows[0].counter[COUNTER_LOGIN_CACHE_HIT], 2);
	assert_int_equal(shared->rows[0].counter[COUNTER_LOGIN_CACHE_AWAY], 1);
	assert_true(shared->rows[0].counter[COUNTER_LOGIN_CACHE_MISS] > 20);
	module.cache_time_s = 0;
	login = login_new(list, 1, shared, 0, "+");
	assert_true(login_wants_cache(login));
	login_free(&login);
	module.cache_away_time_s = 0;
	login = login_new(list, 1, shared, 0, "+");
	assert_false(login_wants_cache(login));
	login_free(&login);
	free(shared);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_the_same_name_and_password_are_known),
		TEST(test_a_newer_success_takes_the_place_of_an_older),
		TEST(test_identities_of_all_lengths_come_back),
		TEST(test_a_right_login_is_old_after_its_time),
		TEST(test_an_old_one_is_used_only_while_the_directory_is_away),
		TEST(test_a_wrong_password_is_known_for_five_seconds),
		TEST(test_a_flush_is_of_a_person_or_of_all),
		TEST(test_no_password_is_in_the_memory_and_a_wipe_takes_all),
		TEST(test_workers_share_it),
		TEST(test_other_settings_wipe_it),
		TEST(test_the_key_is_of_the_start_and_of_the_memory),
		TEST(test_a_full_cache_knows_what_it_has),
		TEST(test_what_the_host_makes_of_it),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_STREAM,
	    LOG_LEVEL_DEBUG, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
