/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records between session workers and pools. Each record of a filled struct
 * is read back, encoded again and compared; then every shortened form of it,
 * and one with a byte too many, must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/question.h"

static const struct record_header header = { .asker = 3,
	.id = 0x1122334455667788,
	.deadline_ns = 123456789012345,
	.generation = 7,
	.incarnation = 99,
	.reserved = 5 };

#define REPLY \
	{ .code = 450, \
		.enhanced = STR("4.7.1"), \
		.text = STR("Limit hourly: 5 of 5 messages used."), \
		.reason = STR("quota") }

static const struct str recipients[] = { STR("a@example.org"), STR(""),
	STR("\xc3\xb1@example.org") };

static const struct settle settles[] = {
	{ .txid = "0123456789abcde",
	    .outcome = PORTERO_ACCEPTED,
	    .actual = { 1, 2, 3 },
	    .id = STR("ana"),
	    .class_name = STR("staff"),
	    .domain = STR("example.org") },
	{ .outcome = PORTERO_LOST },
};

static const struct store_row rows[] = {
	{ .key = STR("ana"),
	    .limit = STR("hourly"),
	    .unit = PORTERO_BYTES,
	    .max = -1,
	    .used = 12,
	    .resets_at = 1795400000,
	    .window_s = 3600,
	    .open = 2 },
	{ .limit = STR("daily") },
};

static const struct store_line lines[] = { { STR("latency"), STR("0.2 ms") },
	{ STR("warning"), STR("") } };

static const struct login_question login_question = { .login = STR("ana"),
	.password = STR("s3cret"),
	.mechanism = STR("PLAIN"),
	.client_address = STR("192.0.2.1"),
	.listener = STR("submissions"),
	.session_id = STR("7Q3K9F2M") };
static const struct attempt_question attempt_question = {
	.attempt = PORTERO_ATTEMPT_NOBODY,
	.tag = 0x1234,
	.exempt = true,
	.login = STR("ana"),
	.client_address = STR("192.0.2.1"),
	.client_network = STR("192.0.2.0/24"),
	.listener = STR("submissions"),
	.session_id = STR("7Q3K9F2M")
};
static const struct forget_question forget_question = {
	.person = STR("ana")
};
static const struct owns_question owns_question = { .identity = STR("blob"),
	.address = STR("ana@example.org"),
	.session_id = STR("7Q3K9F2M") };
static const struct judge_mailbox mailboxes[] = {
	{ STR("ana@example.org"), PORTERO_OWNED_YES, false },
	{ STR("bob@example.org"), PORTERO_OWNED_NO, true },
};
static const struct judge_question judge_question = {
	.stages = PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA,
	.txid = "fedcba987654321",
	.sequence = 1,
	.identity = STR("blob"),
	.session_id = STR("7Q3K9F2M"),
	.listener = STR("submissions"),
	.client_address = STR("192.0.2.1"),
	.reverse_path = STR("ana@example.org"),
	.declared_size = 4096,
	.message_size = -1,
	.sender_owned = PORTERO_OWNED_NO,
	.owned_asked = true,
	.abandoned = true,
	.nrefused = 7,
	.naccepted = 4,
	.first_new = 1,
	.nrecipients = 3,
	.recipients = recipients,
	.nsettles = 2,
	.settles = settles,
	.nfrom = 1,
	.nsender = 2,
	.nreceived = 3,
	.header_flaw = STR("a flaw"),
	.mailboxes_asked = true,
	.nmailboxes = 2,
	.mailboxes = mailboxes
};
static const struct settle_question settle_question = { .nsettles = 2,
	.settles = settles };
static const struct store_question store_question = { .ask = STORE_TOP,
	.cursor = 1ull << 40,
	.scope = PORTERO_DOMAIN,
	.key = STR("example.org") };
static const struct login_answer login_answer = { .verdict = PORTERO_DENY,
	.suspended = true,
	.reply = REPLY,
	.plugin = STR("directory"),
	.cause = STR("suspended"),
	.id = STR("ana"),
	.class_name = STR("staff"),
	.domain = STR("example.org"),
	.identity = STR("blob"),
	.nobody = true,
	.tag = 0xfedc };
static const struct attempt_answer attempt_answer = {
	.verdict = PORTERO_DENY,
	.reply = REPLY,
	.plugin = STR("guard"),
	.limit = STR("guard.network"),
	.used = 30,
	.max = 30,
	.until_s = 1795400000
};
static const struct forget_answer forget_answer = { .failed = true,
	.nlogins = 2 };
static const struct owns_answer owns_answer = { .owned = PORTERO_OWNED_NO };
static const struct judge_answer judge_answer = { .verdict = PORTERO_DENY,
	.stage = PORTERO_RCPT,
	.recipient = 2,
	.taken = true,
	.needs_owned = true,
	.wants = PORTERO_RCPT | PORTERO_OUTCOME,
	.reply = REPLY,
	.plugin = STR("quota"),
	.limit = STR("hourly"),
	.used = 5,
	.max = 5,
	.until_s = 1795400000,
	.max_size = 26214400,
	.rcpt_left = 17,
	.rcpt_reply = REPLY,
	.reserved_bytes = INT64_MAX,
	.nsettled = 2 };
static const struct settle_answer settle_answer = { .nsettled = 1 };
static const struct store_answer store_answer = { .failed = true,
	.error = STR("gone"),
	.cursor = 77,
	.nrows = 2,
	.rows = rows,
	.nlines = 2,
	.lines = lines };

static size_t
encode(enum record_type type, uint8_t *to, size_t size)
{
	switch (type) {
	case RECORD_LOGIN:
		return login_question_encode(to, size, &header,
		    &login_question);
	case RECORD_OWNS:
		return owns_question_encode(to, size, &header, &owns_question);
	case RECORD_JUDGE:
		return judge_question_encode(to, size, &header,
		    &judge_question);
	case RECORD_SETTLE:
		return settle_question_encode(to, size, &header,
		    &settle_question);
	case RECORD_STORE:
		return store_question_encode(to, size, &header,
		    &store_question);
	case RECORD_ATTEMPT:
		return attempt_question_encode(to, size, &header,
		    &attempt_question);
	case RECORD_ATTEMPT_ANSWER:
		return attempt_answer_encode(to, size, &header,
		    &attempt_answer);
	case RECORD_FORGET:
		return forget_question_encode(to, size, &header,
		    &forget_question);
	case RECORD_FORGET_ANSWER:
		return forget_answer_encode(to, size, &header, &forget_answer);
	case RECORD_LOGIN_ANSWER:
		return login_answer_encode(to, size, &header, &login_answer);
	case RECORD_OWNS_ANSWER:
		return owns_answer_encode(to, size, &header, &owns_answer);
	case RECORD_JUDGE_ANSWER:
		return judge_answer_encode(to, size, &header, &judge_answer);
	case RECORD_SETTLE_ANSWER:
		return settle_answer_encode(to, size, &header, &settle_answer);
	case RECORD_STORE_ANSWER:
		return store_answer_encode(to, size, &header, &store_answer);
	}
	return 0;
}

/* Decodes, and encodes what came out to `to`. 0: refused. */
static size_t
recode(enum record_type type, const uint8_t *data, size_t len, uint8_t *to,
    struct record_scratch *s)
{
#define RECODE(name, ...) \
	do { \
		struct name x; \
		if (name##_decode(data, len, &x __VA_ARGS__) == -1) \
			return 0; \
		return name##_encode(to, RECORD_MAX, &header, &x); \
	} while (0)

	switch (type) {
	case RECORD_LOGIN:
		RECODE(login_question, );
	case RECORD_OWNS:
		RECODE(owns_question, );
	case RECORD_JUDGE:
		RECODE(judge_question, , s);
	case RECORD_SETTLE:
		RECODE(settle_question, , s);
	case RECORD_STORE:
		RECODE(store_question, );
	case RECORD_LOGIN_ANSWER:
		RECODE(login_answer, );
	case RECORD_OWNS_ANSWER:
		RECODE(owns_answer, );
	case RECORD_JUDGE_ANSWER:
		RECODE(judge_answer, );
	case RECORD_SETTLE_ANSWER:
		RECODE(settle_answer, );
	case RECORD_STORE_ANSWER:
		RECODE(store_answer, , s);
	case RECORD_ATTEMPT:
		RECODE(attempt_question, );
	case RECORD_ATTEMPT_ANSWER:
		RECODE(attempt_answer, );
	case RECORD_FORGET:
		RECODE(forget_question, );
	case RECORD_FORGET_ANSWER:
		RECODE(forget_answer, );
	}
	return 0;
#undef RECODE
}

static const enum record_type types[] = { RECORD_LOGIN, RECORD_OWNS,
	RECORD_JUDGE, RECORD_SETTLE, RECORD_STORE, RECORD_LOGIN_ANSWER,
	RECORD_OWNS_ANSWER, RECORD_JUDGE_ANSWER, RECORD_SETTLE_ANSWER,
	RECORD_STORE_ANSWER, RECORD_ATTEMPT, RECORD_ATTEMPT_ANSWER,
	RECORD_FORGET, RECORD_FORGET_ANSWER };
#define NTYPES (sizeof types / sizeof *types)

static uint8_t one[RECORD_MAX + 1], two[RECORD_MAX];

static void
set_length(uint8_t *record, size_t len)
{
	record[4] = (uint8_t)len;
	record[5] = (uint8_t)(len >> 8);
}

static void
test_every_record_is_read_back_as_it_was(void **state)
{
	struct record_scratch *s = record_scratch_new();

	(void)state;
	for (size_t i = 0; i < NTYPES; i++) {
		size_t len = encode(types[i], one, sizeof one);

		assert_true(len > RECORD_HEADER_LEN);
		assert_int_equal(recode(types[i], one, len, two, s), len);
		assert_memory_equal(one, two, len);
	}
	record_scratch_free(&s);
}

static void
test_fields_arrive_where_they_belong(void **state)
{
	struct record_scratch *s = record_scratch_new();
	struct judge_question q;
	struct judge_answer a;
	struct record_header h;
	size_t len;

	(void)state;
	len = encode(RECORD_JUDGE, one, sizeof one);
	assert_int_equal(record_header_decode(one, len, &h), 0);
	assert_int_equal(h.type, RECORD_JUDGE);
	assert_int_equal(h.asker, 3);
	assert_int_equal(h.length, len);
	assert_true(h.id == header.id && h.deadline_ns == header.deadline_ns);
	assert_int_equal(h.generation, 7);
	assert_int_equal(h.incarnation, 99);
	assert_int_equal(judge_question_decode(one, len, &q, s), 0);
	assert_true(str_eq(q.recipients[2], recipients[2]));
	assert_true(str_eq(q.settles[0].domain, STR("example.org")));
	assert_int_equal(q.settles[1].outcome, PORTERO_LOST);
	assert_true(q.owned_asked);
	len = encode(RECORD_JUDGE_ANSWER, one, sizeof one);
	assert_int_equal(judge_answer_decode(one, len, &a), 0);
	assert_true(str_eq(a.rcpt_reply.text,
	    STR("Limit hourly: 5 of 5 messages used.")));
	assert_true(a.reserved_bytes == INT64_MAX);
	record_scratch_free(&s);
}

static void
test_a_record_cut_or_with_more_behind_it_is_refused(void **state)
{
	struct record_scratch *s = record_scratch_new();

	(void)state;
	for (size_t i = 0; i < NTYPES; i++) {
		size_t len = encode(types[i], one, sizeof one);

		for (size_t cut = 0; cut < len; cut++) {
			assert_int_equal(recode(types[i], one, cut, two, s), 0);
			if (cut < RECORD_HEADER_LEN)
				continue;
			/* even if the header says so */
			set_length(one, cut);
			assert_int_equal(recode(types[i], one, cut, two, s), 0);
			set_length(one, len);
		}
		one[len] = 0;
		set_length(one, len + 1);
		assert_int_equal(recode(types[i], one, len + 1, two, s), 0);
	}
	record_scratch_free(&s);
}

static void
test_a_record_of_another_type_or_version_is_refused(void **state)
{
	struct record_scratch *s = record_scratch_new();
	size_t len = encode(RECORD_SETTLE, one, sizeof one);
	struct record_header h;

	(void)state;
	assert_int_equal(recode(RECORD_JUDGE, one, len, two, s), 0);
	one[1] = 77;
	assert_int_equal(record_header_decode(one, len, &h), -1);
	one[1] = RECORD_SETTLE;
	one[0] = RECORD_VERSION + 1;
	assert_int_equal(record_header_decode(one, len, &h), -1);
	record_scratch_free(&s);
}

static void
test_stages_that_do_not_go_together_are_refused(void **state)
{
	static const uint32_t bad[] = { 0, 1, PORTERO_END | PORTERO_DATA,
		PORTERO_OUTCOME | PORTERO_MAIL, PORTERO_HELLO | PORTERO_MAIL,
		256 };
	struct record_scratch *s = record_scratch_new();
	struct judge_question q = judge_question, r;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		q.stages = bad[i];
		len = judge_question_encode(one, sizeof one, &header, &q);
		assert_int_equal(judge_question_decode(one, len, &r, s), -1);
	}
	q.stages = PORTERO_RCPT;
	q.first_new = q.nrecipients + 1;
	len = judge_question_encode(one, sizeof one, &header, &q);
	assert_int_equal(judge_question_decode(one, len, &r, s), -1);
	record_scratch_free(&s);
}

static void
test_what_does_not_fit_a_record_is_not_encoded(void **state)
{
	static struct str many[4000];
	struct judge_question q = judge_question;
	static const struct settle many_settles[SETTLES_MAX + 1];
	struct settle_question sq = { .nsettles = SETTLES_MAX + 1,
		.settles = many_settles };

	(void)state;
	for (size_t i = 0; i < 4000; i++)
		many[i] = STR("somebody@somewhere.example.org");
	q.recipients = many;
	q.nrecipients = 4000;
	assert_int_equal(judge_question_encode(one, sizeof one, &header, &q),
	    0);
	assert_int_equal(settle_question_encode(one, sizeof one, &header,
			     &sq),
	    0);
	assert_int_equal(encode(RECORD_LOGIN, one, 50), 0);
}

static void
test_a_settle_of_the_longest_names_fits_its_reservation(void **state)
{
	char id[255], class_name[63], domain[253];
	struct settle longest = { .outcome = PORTERO_ACCEPTED,
		.id = { id, sizeof id },
		.class_name = { class_name, sizeof class_name },
		.domain = { domain, sizeof domain } };
	struct settle_question q = { .nsettles = 1, .settles = &longest };

	(void)state;
	memset(id, 'i', sizeof id);
	memset(class_name, 'c', sizeof class_name);
	memset(domain, 'd', sizeof domain);
	/* SETTLE_RECORD_MAX of ipc/board.h */
	assert_in_range(settle_question_encode(one, sizeof one, &header, &q), 1,
	    768);
}

static void
test_a_settle_of_longer_names_is_broken(void **state)
{
	static const char name[256] = "a name";
	const struct settle wrong[] = {
		{ .outcome = PORTERO_ACCEPTED, .id = { name, 256 } },
		{ .outcome = PORTERO_ACCEPTED, .class_name = { name, 64 } },
		{ .outcome = PORTERO_ACCEPTED, .domain = { name, 256 } },
	};
	struct record_scratch *s = record_scratch_new();
	struct settle_question q, got;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		q = (struct settle_question){ .nsettles = 1,
			.settles = &wrong[i] };
		len = settle_question_encode(one, sizeof one, &header, &q);
		assert_int_not_equal(len, 0);
		assert_int_equal(settle_question_decode(one, len, &got, s),
		    -1);
	}
	record_scratch_free(&s);
}

static void
test_a_settle_is_readdressed_in_place(void **state)
{
	struct record_scratch *s = record_scratch_new();
	size_t len = encode(RECORD_SETTLE, one, sizeof one);
	struct settle_question q;
	struct record_header h;

	(void)state;
	record_readdress(one, ASKER_MASTER, 42, 1000, 8);
	assert_int_equal(record_header_decode(one, len, &h), 0);
	assert_int_equal(h.asker, ASKER_MASTER);
	assert_int_equal(h.id, 42);
	assert_int_equal(h.deadline_ns, 1000);
	assert_int_equal(h.generation, 8);
	assert_int_equal(h.incarnation, header.incarnation);
	assert_int_equal(settle_question_decode(one, len, &q, s), 0);
	assert_int_equal(q.nsettles, 2);
	record_scratch_free(&s);
}

static void
test_a_dead_workers_answer_says_try_later(void **state)
{
	struct record_scratch *s = record_scratch_new();
	struct record_header h = header;
	struct login_answer login;
	struct owns_answer owns;
	struct judge_answer judge;
	struct settle_answer settle;
	struct store_answer store;
	size_t len;

	(void)state;
	h.type = RECORD_LOGIN;
	len = record_defer_encode(one, sizeof one, &h, "crash");
	assert_int_equal(login_answer_decode(one, len, &login), 0);
	assert_int_equal(login.verdict, PORTERO_DEFER);
	assert_true(str_eq(login.cause, STR("crash")));
	h.type = RECORD_OWNS;
	len = record_defer_encode(one, sizeof one, &h, "crash");
	assert_int_equal(owns_answer_decode(one, len, &owns), 0);
	assert_int_equal(owns.owned, PORTERO_OWNED_UNKNOWN);
	h.type = RECORD_JUDGE;
	len = record_defer_encode(one, sizeof one, &h, "timeout");
	assert_int_equal(judge_answer_decode(one, len, &judge), 0);
	assert_int_equal(judge.verdict, PORTERO_DEFER);
	assert_int_equal(judge.reply.code, 451);
	assert_true(judge.taken);
	assert_int_equal(judge.nsettled, 0);
	h.type = RECORD_SETTLE;
	len = record_defer_encode(one, sizeof one, &h, "crash");
	assert_int_equal(settle_answer_decode(one, len, &settle), 0);
	assert_int_equal(settle.nsettled, 0);
	h.type = RECORD_STORE;
	len = record_defer_encode(one, sizeof one, &h, "crash");
	assert_int_equal(store_answer_decode(one, len, &store, s), 0);
	assert_true(store.failed);
	h.type = RECORD_STORE_ANSWER;
	assert_int_equal(record_defer_encode(one, sizeof one, &h, "crash"), 0);
	record_scratch_free(&s);
}

static const struct portero_identity ana = { .size = sizeof ana,
	.id = "ana",
	.class_name = "staff",
	.language = "es",
	.max_size = 50000000,
	.nlimits = 1,
	.limits = { { .name = "hourly", .max = -1, .window_s = 60 } },
	.addresses_complete = true,
	.addresses_len = 39,
	.addresses = "ana@example.org\0a.garcia@example.org\0x" };

static void
test_an_identity_is_read_back_with_its_section(void **state)
{
	struct portero_identity i;
	struct str section;
	size_t len;

	(void)state;
	len = identity_encode_from(one, sizeof one, &ana, STR("directory"));
	assert_true(len > 0);
	assert_int_equal(identity_decode_from((struct str){ (char *)one, len },
			     &i, &section),
	    0);
	assert_true(str_eq(section, STR("directory")));
	assert_memory_equal(&i, &ana, sizeof i);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(identity_decode((struct str){ (char *)one,
						     cut },
				     &i),
		    -1);
}

static void
test_an_identity_that_is_broken_or_too_big_is_not_encoded(void **state)
{
	struct portero_identity i = ana;

	(void)state;
	i.nlimits = PORTERO_MAX_LIMITS + 1;
	assert_int_equal(identity_encode(one, sizeof one, &i), 0);
	i = ana;
	i.addresses_len = 38; /* the last byte is no NUL */
	assert_int_equal(identity_encode(one, sizeof one, &i), 0);
	assert_int_equal(identity_encode(one, 20, &ana), 0);
	/* the largest that a plugin can fill fits */
	memset(&i, 'x', sizeof i);
	i.id[255] = i.class_name[63] = i.language[15] = '\0';
	i.nlimits = PORTERO_MAX_LIMITS;
	for (size_t n = 0; n < PORTERO_MAX_LIMITS; n++)
		i.limits[n].name[31] = '\0';
	i.addresses_complete = false;
	i.addresses_len = sizeof i.addresses;
	i.addresses[sizeof i.addresses - 1] = '\0';
	assert_in_range(identity_encode(one, sizeof one, &i), 2048,
	    IDENTITY_MAX);
}

static void
test_own_addresses_are_found_whatever_their_case(void **state)
{
	struct portero_identity i = ana;

	(void)state;
	assert_int_equal(identity_owns(&i, STR("A.Garcia@Example.ORG"), "+"),
	    PORTERO_OWNED_YES);
	assert_int_equal(identity_owns(&i, STR("ana@example.or"), "+"),
	    PORTERO_OWNED_NO);
	i.addresses_complete = false;
	assert_int_equal(identity_owns(&i, STR("bob@example.org"), "+"),
	    PORTERO_OWNED_UNKNOWN);
}

static void
test_a_sub_address_belongs_to_whom_its_plain_one_does(void **state)
{
	/* clang-format off */
	static const struct {
		const char *address, *delimiters, *plain;
	} cases[] = {
		{ "ana+shop@example.org",    "+",  "ana@example.org" },
		{ "ana+a+b@example.org",     "+",  "ana@example.org" },
		{ "ana+@example.org",        "+",  "ana@example.org" },
		{ "ana-x+y@example.org",     "+-", "ana@example.org" },
		{ "ana-x@example.org",       "+",  "" },
		{ "ana+x@example.org",       "",   "" },
		{ "+x@example.org",          "+",  "" },
		{ "ana@a+b.example.org",     "+",  "" },
		{ "\"ana+x\"@example.org", "+",  "" },
		{ "ana+x",                   "+",  "" },
		{ "",                        "+",  "" },
	};
	/* clang-format on */
	char plain[ADDRESS_MAX + 1];
	struct portero_identity i = ana;

	(void)state;
	for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
		size_t len = address_plain(plain, str_of(cases[n].address),
		    cases[n].delimiters);

		assert_int_equal(len, strlen(cases[n].plain));
		if (len > 0)
			assert_string_equal(plain, cases[n].plain);
	}
	assert_int_equal(identity_owns(&i, STR("a.garcia+x@example.org"), "+"),
	    PORTERO_OWNED_YES);
	assert_int_equal(identity_owns(&i, STR("a.garcia+x@example.org"), ""),
	    PORTERO_OWNED_NO);
}

static void
test_the_domain_is_the_ids_else_the_first_addresss(void **state)
{
	struct portero_identity i = ana;

	(void)state;
	assert_true(str_eq(identity_domain(&i), STR("example.org")));
	str_copy(i.id, sizeof i.id, STR("ana@here@there.example"));
	assert_true(str_eq(identity_domain(&i), STR("there.example")));
	str_copy(i.id, sizeof i.id, STR("ana"));
	i.addresses_len = 0;
	assert_int_equal(identity_domain(&i).len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_record_is_read_back_as_it_was),
		cmocka_unit_test(test_fields_arrive_where_they_belong),
		cmocka_unit_test(
		    test_a_record_cut_or_with_more_behind_it_is_refused),
		cmocka_unit_test(
		    test_a_record_of_another_type_or_version_is_refused),
		cmocka_unit_test(
		    test_stages_that_do_not_go_together_are_refused),
		cmocka_unit_test(
		    test_what_does_not_fit_a_record_is_not_encoded),
		cmocka_unit_test(
		    test_a_settle_of_the_longest_names_fits_its_reservation),
		cmocka_unit_test(test_a_settle_of_longer_names_is_broken),
		cmocka_unit_test(test_a_settle_is_readdressed_in_place),
		cmocka_unit_test(test_a_dead_workers_answer_says_try_later),
		cmocka_unit_test(
		    test_an_identity_is_read_back_with_its_section),
		cmocka_unit_test(
		    test_an_identity_that_is_broken_or_too_big_is_not_encoded),
		cmocka_unit_test(
		    test_own_addresses_are_found_whatever_their_case),
		cmocka_unit_test(
		    test_a_sub_address_belongs_to_whom_its_plain_one_does),
		cmocka_unit_test(
		    test_the_domain_is_the_ids_else_the_first_addresss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
