/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The auth sections in a row, with scripted plugins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "policy/login.h"

struct script {
	enum portero_verdict verdict, owns;
	struct portero_identity identity;
	struct portero_reply reply;
	unsigned asked;
};

static enum portero_verdict
script_login(void *ctx, const struct portero_creds *creds,
    struct portero_identity *identity, struct portero_reply *reply)
{
	struct script *s = ctx;

	assert_int_equal(creds->password.len, 6);
	s->asked++;
	*identity = s->identity;
	*reply = s->reply;
	return s->verdict;
}

static enum portero_verdict
script_owns(void *ctx, const struct portero_identity *identity,
    struct portero_str address)
{
	struct script *s = ctx;

	(void)address;
	assert_string_equal(identity->id, s->identity.id);
	s->asked++;
	return s->owns;
}

static const struct portero_auth auth = { .size = sizeof auth,
	.login = script_login,
	.owns = script_owns };
static const struct portero_plugin table = { .auth = &auth };

static struct script scripts[2];
static struct config_module modules[2];
static struct plugin plugins[2];
static struct shared *shared;
static struct login *login;
static struct login_question q;
static struct login_answer a;

static int
setup(void **state)
{
	static char titles[2][8] = { "people", "local" };
	struct plugin *list[2] = { &plugins[0], &plugins[1] };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		modules[i] = (struct config_module){ .kind = CONFIG_AUTH,
			.title = titles[i],
			.plugin = titles[i] };
		plugins[i] = (struct plugin){ .module = &modules[i],
			.table = &table,
			.ctx = &scripts[i] };
		scripts[i] = (struct script){ .verdict = PORTERO_UNKNOWN,
			.identity = { .id = "ana@example.org",
			    .class_name = "staff" } };
	}
	shared = calloc(1, sizeof *shared);
	login = login_new(list, 2, shared, 0, "+");
	q = (struct login_question){ .login = STR("Ana"),
		.password = STR("s3cret"),
		.session_id = STR("7Q3K9F2M") };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	login_free(&login);
	free(shared);
	return 0;
}

static void
assert_str(struct str s, const char *expected)
{
	char text[300];

	str_copy(text, sizeof text, s);
	assert_string_equal(text, expected);
}

static void
test_the_first_answer_that_is_not_unknown_holds(void **state)
{
	/* clang-format off */
	static const struct {
		enum portero_verdict first, second, result;
		const char *plugin, *cause;
		unsigned asked_second;
	} table_of[] = {
		{ PORTERO_NEXT,    PORTERO_DENY,    PORTERO_NEXT,  "people", "ok", 0 },
		{ PORTERO_DENY,    PORTERO_NEXT,    PORTERO_DENY,  "people", "bad_password", 0 },
		{ PORTERO_DEFER,   PORTERO_NEXT,    PORTERO_DEFER, "people", "deferred", 0 },
		{ PORTERO_NONE,    PORTERO_NEXT,    PORTERO_DEFER, "people", "plugin", 0 },
		{ (enum portero_verdict)9, PORTERO_NEXT, PORTERO_DEFER, "people", "plugin", 0 },
		{ PORTERO_UNKNOWN, PORTERO_NEXT,    PORTERO_NEXT,  "local", "ok", 1 },
		{ PORTERO_UNKNOWN, PORTERO_DENY,    PORTERO_DENY,  "local", "bad_password", 1 },
		{ PORTERO_UNKNOWN, PORTERO_UNKNOWN, PORTERO_DENY,  "", "no_user", 1 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < sizeof table_of / sizeof *table_of; i++) {
		scripts[0].verdict = table_of[i].first;
		scripts[1].verdict = table_of[i].second;
		scripts[1].asked = 0;
		login_ask(login, &q, &a);
		assert_int_equal(a.verdict, table_of[i].result);
		assert_str(a.plugin, table_of[i].plugin);
		assert_str(a.cause, table_of[i].cause);
		assert_int_equal(scripts[1].asked, table_of[i].asked_second);
		assert_int_equal(a.identity.len > 0,
		    a.verdict == PORTERO_NEXT);
		assert_false(a.suspended);
	}
	assert_int_equal(shared->rows[0].counter[COUNTER_PLUGIN_FAILED], 2);
}

static void
test_the_identity_is_the_plugins_and_knows_its_section(void **state)
{
	struct portero_identity i;
	struct str section;

	(void)state;
	scripts[1].verdict = PORTERO_NEXT;
	login_ask(login, &q, &a);
	assert_str(a.id, "ana@example.org");
	assert_str(a.class_name, "staff");
	assert_str(a.domain, "example.org");
	assert_int_equal(identity_decode_from(a.identity, &i, &section), 0);
	assert_str(section, "local");
	assert_string_equal(i.class_name, "staff");
}

static void
test_an_unusable_identity_is_cannot_tell(void **state)
{
	struct portero_identity good, *i = &scripts[0].identity;

	(void)state;
	good = *i;
	scripts[0].verdict = PORTERO_NEXT;
	for (int fault = 0; fault < 8; fault++) {
		*i = good;
		if (fault == 0)
			i->id[0] = '\0';
		else if (fault == 1)
			memset(i->id, 'x', sizeof i->id);
		else if (fault == 2)
			i->id[1] = '\n';
		else if (fault == 3)
			memset(i->class_name, 'x', sizeof i->class_name);
		else if (fault == 4)
			i->nlimits = PORTERO_MAX_LIMITS + 1;
		else if (fault == 5)
			i->addresses_len = sizeof i->addresses + 1;
		else if (fault == 6)
			i->max_size = -1;
		else
			memset(i, 0xff, sizeof *i);
		login_ask(login, &q, &a);
		assert_int_equal(a.verdict, PORTERO_DEFER);
		assert_str(a.cause, "plugin");
		assert_int_equal(a.identity.len, 0);
	}
	assert_int_equal(shared->rows[0].counter[COUNTER_PLUGIN_FAILED], 8);
}

static uint16_t
tag_of(const char *name, const char *password)
{
	q.login = str_of(name);
	q.password = str_of(password);
	login_ask(login, &q, &a);
	return a.tag;
}

static void
test_a_wrong_password_is_known_by_its_tag_only(void **state)
{
	uint16_t tag;

	(void)state;
	memset(shared->key, 7, sizeof shared->key);
	scripts[0].verdict = PORTERO_DENY;
	tag = tag_of("ana", "one-pw");
	assert_false(a.nobody);
	assert_int_equal(tag_of("ana", "one-pw"), tag);
	assert_int_not_equal(tag_of("ana", "two-pw"), tag);
	assert_int_not_equal(tag_of("eva", "one-pw"), tag);
	shared->key[sizeof shared->key - 1]++;
	assert_int_not_equal(tag_of("ana", "one-pw"), tag);
	scripts[0].verdict = PORTERO_UNKNOWN;
	assert_int_not_equal(tag_of("ana", "one-pw"), 0);
	assert_true(a.nobody);
	scripts[0].verdict = PORTERO_NEXT;
	assert_int_equal(tag_of("ana", "one-pw"), 0);
	scripts[0].verdict = PORTERO_DEFER;
	assert_int_equal(tag_of("ana", "one-pw"), 0);
}

static void
test_a_suspended_person_is_denied_with_the_reply(void **state)
{
	(void)state;
	scripts[0].verdict = PORTERO_DENY;
	portero_reply_set(&scripts[0].reply, 525, "5.7.13", "Come by.");
	login_ask(login, &q, &a);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_true(a.suspended);
	assert_str(a.cause, "suspended");
	assert_str(a.id, "ana@example.org");
	assert_int_equal(a.reply.code, 525);
	assert_str(a.reply.text, "Come by.");
	assert_int_equal(a.identity.len, 0);
}

static void
test_the_plugins_word_is_the_cause(void **state)
{
	static const struct {
		enum portero_verdict verdict;
		const char *reason, *cause;
	} table_of[] = {
		{ PORTERO_DENY, "locked", "locked" },
		{ PORTERO_DENY, "", "bad_password" },
		{ PORTERO_DENY, "not a word", "bad_password" },
		{ PORTERO_DEFER, "ldap_down", "ldap_down" },
		{ PORTERO_DEFER, "x\ny", "deferred" },
		{ PORTERO_NEXT, "locked", "ok" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table_of / sizeof *table_of; i++) {
		scripts[0].verdict = table_of[i].verdict;
		snprintf(scripts[0].reply.reason,
		    sizeof scripts[0].reply.reason, "%s", table_of[i].reason);
		login_ask(login, &q, &a);
		assert_str(a.cause, table_of[i].cause);
	}
	scripts[0].verdict = PORTERO_DENY;
	memset(scripts[0].reply.reason, 'x', sizeof scripts[0].reply.reason);
	login_ask(login, &q, &a);
	assert_str(a.cause, "bad_password");
}

static void
test_an_empty_password_reaches_no_plugin(void **state)
{
	(void)state;
	scripts[0].verdict = PORTERO_NEXT;
	q.password = STR("");
	login_ask(login, &q, &a);
	assert_int_equal(a.verdict, PORTERO_DENY);
	q.password = STR("s3\0ret");
	login_ask(login, &q, &a);
	assert_int_equal(a.verdict, PORTERO_DENY);
	q.password = STR("s3cret");
	q.login = STR("");
	login_ask(login, &q, &a);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_int_equal(scripts[0].asked, 0);
}

static void
test_the_section_of_the_person_says_whose_an_address_is(void **state)
{
	/* clang-format off */
	static const struct { enum portero_verdict says; enum portero_owned owned; } table_of[] = {
		{ PORTERO_NEXT, PORTERO_OWNED_YES },
		{ PORTERO_DENY, PORTERO_OWNED_NO },
		{ PORTERO_DEFER, PORTERO_OWNED_UNKNOWN },
		{ PORTERO_NONE, PORTERO_OWNED_UNKNOWN },
	};
	/* clang-format on */
	struct owns_question oq = { .address = STR("ana@example.org") };
	struct portero_identity *i = &scripts[1].identity;
	uint8_t blob[IDENTITY_MAX];
	struct owns_answer oa;
	size_t len;

	(void)state;
	len = identity_encode_from(blob, sizeof blob, i, STR("local"));
	oq.identity = (struct str){ (const char *)blob, len };
	for (size_t n = 0; n < sizeof table_of / sizeof *table_of; n++) {
		scripts[1].owns = table_of[n].says;
		login_owns(login, &oq, &oa);
		assert_int_equal(oa.owned, table_of[n].owned);
	}
	assert_int_equal(scripts[0].asked, 0);
	assert_int_equal(scripts[1].asked, 4);
	/* what the entry lists is not asked again */
	memcpy(i->addresses, "ana@example.org", 16);
	i->addresses_len = 16;
	len = identity_encode_from(blob, sizeof blob, i, STR("local"));
	oq.identity.len = len;
	login_owns(login, &oq, &oa);
	assert_int_equal(oa.owned, PORTERO_OWNED_YES);
	assert_int_equal(scripts[1].asked, 4);
	/* the section has gone with a reload */
	oq.address = STR("bob@example.org");
	oq.identity.len = identity_encode_from(blob, sizeof blob, i,
	    STR("gone"));
	login_owns(login, &oq, &oa);
	assert_int_equal(oa.owned, PORTERO_OWNED_UNKNOWN);
	oq.identity = STR("nonsense");
	login_owns(login, &oq, &oa);
	assert_int_equal(oa.owned, PORTERO_OWNED_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_first_answer_that_is_not_unknown_holds),
		TEST(test_the_identity_is_the_plugins_and_knows_its_section),
		TEST(test_an_unusable_identity_is_cannot_tell),
		TEST(test_a_wrong_password_is_known_by_its_tag_only),
		TEST(test_a_suspended_person_is_denied_with_the_reply),
		TEST(test_the_plugins_word_is_the_cause),
		TEST(test_an_empty_password_reaches_no_plugin),
		TEST(test_the_section_of_the_person_says_whose_an_address_is),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_STREAM,
	    LOG_LEVEL_DEBUG, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
