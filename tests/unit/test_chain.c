/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The chain of policies with scripted ones and a store of a few lines, which
 * has no window but takes, settles and refuses as the contract says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/chain.h"
#include "policy/refusal.h"

#define FAR_NS (INT64_MAX / 2)
#define NPLUGINS 4

/* ---- a store ------------------------------------------------------------ */

struct counter_row {
	char key[64], limit[32];
	enum portero_unit unit;
	int64_t used, max;
};

struct taken {
	uint8_t txid[16];
	enum portero_scope scope;
	bool settled;
	struct counter_row *row;
	int64_t amount;
};

static struct {
	struct counter_row rows[32];
	size_t nrows;
	struct taken taken[64];
	size_t ntaken;
	bool away;
	int64_t fits_in_s;
	unsigned calls, settles;
	enum portero_scope refuse_settle_of; /* NSCOPES: none */
} store;

static struct counter_row *
row_of(struct portero_str key, const char *limit, enum portero_unit unit)
{
	struct counter_row *r;

	for (r = store.rows; r < store.rows + store.nrows; r++)
		if (strlen(r->key) == key.len &&
		    memcmp(r->key, key.ptr, key.len) == 0 &&
		    strcmp(r->limit, limit) == 0 && r->unit == unit)
			return r;
	assert_true(store.nrows < 32);
	store.nrows++;
	memset(r, 0, sizeof *r);
	memcpy(r->key, key.ptr, key.len);
	str_copy(r->limit, sizeof r->limit, str_of(limit));
	r->unit = unit;
	return r;
}

static int64_t
used(const char *key, const char *limit, enum portero_unit unit)
{
	return row_of((struct portero_str){ key, strlen(key) }, limit, unit)
	    ->used;
}

static bool
fits_all(struct portero_op *op)
{
	bool all = true;

	for (size_t i = 0; i < op->ncharges; i++) {
		struct portero_charge *c = &op->charges[i];
		struct counter_row *r = row_of(op->key, c->limit, c->unit);

		r->max = c->max;
		c->used = r->used;
		c->fits = c->max == PORTERO_UNLIMITED ||
		    r->used + c->amount <= c->max;
		c->fits_at = c->amount > c->max && c->max >= 0 ?
		    0 :
		    clock_wall_s() + (c->fits ? 0 : store.fits_in_s);
		all = all && (c->fits || c->monitor);
	}
	return all;
}

static enum portero_op_result
apply_take(struct portero_op *op)
{
	for (size_t i = 0; i < store.ntaken; i++)
		if (memcmp(store.taken[i].txid, op->txid, 16) == 0 &&
		    store.taken[i].scope == op->scope &&
		    store.taken[i].settled)
			return PORTERO_OP_SETTLED;
	assert_int_equal(op->lifetime_s, 1000);
	if (!fits_all(op))
		return PORTERO_OP_REFUSED;
	for (size_t i = 0; i < op->ncharges; i++) {
		struct counter_row *r = row_of(op->key, op->charges[i].limit,
		    op->charges[i].unit);
		struct taken *t = &store.taken[store.ntaken++];

		assert_true(store.ntaken < 64);
		memcpy(t->txid, op->txid, 16);
		t->scope = op->scope;
		t->settled = false;
		t->row = r;
		t->amount = op->charges[i].amount;
		r->used += op->charges[i].amount;
	}
	return PORTERO_OP_DONE;
}

static enum portero_op_result
apply_settle(struct portero_op *op)
{
	store.settles++;
	assert_int_equal(op->lifetime_s, 60);
	if (op->scope == store.refuse_settle_of)
		return PORTERO_OP_NONE;
	for (size_t i = 0; i < store.ntaken; i++) {
		struct taken *t = &store.taken[i];

		if (memcmp(t->txid, op->txid, 16) != 0 ||
		    t->scope != op->scope || t->settled)
			continue;
		t->settled = true;
		t->row->used += op->actual[t->row->unit] - t->amount;
	}
	return PORTERO_OP_DONE;
}

static int
store_apply(void *ctx, struct portero_op *ops, size_t n)
{
	(void)ctx;
	store.calls++;
	if (store.away)
		return -1;
	for (struct portero_op *op = ops; op < ops + n; op++) {
		op->result = PORTERO_OP_DONE;
		switch (op->kind) {
		case PORTERO_OP_PEEK:
			fits_all(op);
			break;
		case PORTERO_OP_TAKE:
			op->result = apply_take(op);
			break;
		case PORTERO_OP_SETTLE:
			op->result = apply_settle(op);
			break;
		case PORTERO_OP_REPORT:
			for (size_t i = 0; i < store.nrows; i++) {
				struct portero_row row = { .size = sizeof row,
					.unit = store.rows[i].unit,
					.used = store.rows[i].used,
					.max = store.rows[i].max };

				memcpy(row.limit, store.rows[i].limit, 32);
				op->row(op->row_arg, &row);
			}
			break;
		case PORTERO_OP_RESET:
			store.nrows = 0;
			break;
		default: /* what the chain does not ask for */
			op->result = PORTERO_OP_NONE;
		}
	}
	return 0;
}

/* ---- policies that do as they are told ---------------------------------- */

struct script {
	enum portero_verdict verdict[PORTERO_OUTCOME + 1]; /* NONE: NEXT */
	size_t at_recipient; /* RCPT: others are NEXT */
	struct portero_answer answer;
	uint32_t charge_stages;
	uint32_t scopes;
	unsigned asked[PORTERO_OUTCOME + 1];
	enum portero_owned owned_seen;
	size_t nmailboxes_seen;
	const char *sender; /* HEADER: to add; NULL: none */
	bool really_none;
};

static enum portero_verdict
script_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	struct script *s = ctx;
	enum portero_verdict v = s->verdict[facts->stage];

	s->asked[facts->stage]++;
	s->owned_seen = facts->sender_owned;
	s->nmailboxes_seen = facts->nmailboxes;
	if (s->sender != NULL)
		snprintf(answer->add_sender, sizeof answer->add_sender, "%s",
		    s->sender);
	if (facts->stage == PORTERO_RCPT && facts->recipient != s->at_recipient)
		v = PORTERO_NEXT;
	if (s->really_none)
		return PORTERO_NONE;
	answer->reply = s->answer.reply;
	answer->max_size = s->answer.max_size;
	if ((s->charge_stages & facts->stage) != 0) {
		memcpy(answer->charges, s->answer.charges,
		    sizeof answer->charges);
		answer->ncharges = s->answer.ncharges;
	}
	return v == PORTERO_NONE ? PORTERO_NEXT : v;
}

static uint32_t
script_scopes(const void *ctx)
{
	return ((const struct script *)ctx)->scopes;
}

#define EVERYWHERE \
	(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA | PORTERO_HEADER | \
	    PORTERO_END | \
	    PORTERO_OUTCOME)

static const struct portero_policy policy_table = {
	.size = sizeof policy_table,
	.stages = EVERYWHERE,
	.judge = script_judge,
	.scopes = script_scopes,
};
static const struct portero_policy owner_table = {
	.size = sizeof owner_table,
	.stages = PORTERO_MAIL,
	.needs = PORTERO_NEED_OWNED,
	.judge = script_judge,
};
static const struct portero_store store_table = { .size = sizeof store_table,
	.apply = store_apply };
static const struct portero_plugin policy_plugin = { .policy = &policy_table };
static const struct portero_plugin owner_plugin = { .policy = &owner_table };
static const struct portero_plugin store_plugin = { .store = &store_table };

static struct config_module modules[NPLUGINS];
static struct plugin plugins[NPLUGINS];
static struct script first, second, third;
static struct shared *shared;
static struct chain *chain;
static struct judge_question q;
static struct judge_answer a;
static uint8_t blob[IDENTITY_MAX];
static const struct str recipients[] = { STR("a@x.example"),
	STR("b@x.example"), STR("c@x.example") };

static void
set_identity(const struct portero_identity *i)
{
	size_t len = identity_encode(blob, sizeof blob, i);

	assert_true(len > 0);
	q.identity = (struct str){ (const char *)blob, len };
}

static void
build(void)
{
	static const struct chain_settings settings_of = {
		.hostname = "smtp.example.org",
		.delimiters = "+",
		.max_recipients = 100,
		.lifetime_s = 1000,
		.tombstone_s = 60
	};
	struct chain_settings settings = settings_of;
	struct plugin *list[NPLUGINS];

	settings.shared = shared;
	for (size_t i = 0; i < NPLUGINS; i++)
		list[i] = &plugins[i];
	chain_free(&chain);
	chain = chain_new(list, NPLUGINS, &settings);
}

static void
set_plugin(size_t i, enum config_module_kind kind, const char *title,
    const struct portero_plugin *table, void *ctx)
{
	modules[i] = (struct config_module){ .kind = kind,
		.title = (char *)(uintptr_t)title,
		.plugin = (char *)(uintptr_t) "scripted",
		.mode = CONFIG_ENFORCE };
	plugins[i] = (struct plugin){ .module = &modules[i],
		.table = table,
		.ctx = ctx };
}

static int
setup(void **state)
{
	static const struct portero_identity ana = { .id = "ana@example.org",
		.class_name = "staff" };

	(void)state;
	memset(&store, 0, sizeof store);
	store.fits_in_s = 60;
	store.refuse_settle_of = PORTERO_NSCOPES;
	memset(&first, 0, sizeof first);
	first.scopes = 1u << PORTERO_PERSON;
	second = third = first;
	set_plugin(0, CONFIG_POLICY, "first", &policy_plugin, &first);
	set_plugin(1, CONFIG_STORE, "", &store_plugin, NULL);
	set_plugin(2, CONFIG_POLICY, "second", &policy_plugin, &second);
	set_plugin(3, CONFIG_POLICY, "third", &policy_plugin, &third);
	shared = calloc(1, sizeof *shared);
	build();
	q = (struct judge_question){ .stages = PORTERO_MAIL | PORTERO_RCPT |
		    PORTERO_DATA,
		.txid = "0123456789abcde",
		.session_id = STR("7Q3K9F2M"),
		.reverse_path = STR("ana@example.org"),
		.declared_size = -1,
		.message_size = -1,
		.nrecipients = 3,
		.recipients = recipients };
	set_identity(&ana);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	chain_free(&chain);
	free(shared);
	return 0;
}

static void
judge(uint32_t stages)
{
	q.stages = stages;
	chain_judge(chain, &q, FAR_NS, &a);
}

static void
charge(struct script *s, enum portero_scope scope, enum portero_unit unit,
    const char *limit, int64_t amount, int64_t max)
{
	struct portero_charge *c = &s->answer.charges[s->answer.ncharges++];

	*c = (struct portero_charge){ .size = sizeof *c,
		.scope = scope,
		.unit = unit,
		.amount = amount,
		.max = max,
		.window_s = 3600 };
	str_copy(c->limit, sizeof c->limit, str_of(limit));
	s->charge_stages = PORTERO_MAIL | PORTERO_DATA;
}

static uint64_t
counted(enum counter c)
{
	return shared->rows[0].counter[c];
}

static void
assert_str(struct str s, const char *expected)
{
	char text[512];

	str_copy(text, sizeof text, s);
	assert_string_equal(text, expected);
}

/* ---- verdicts ----------------------------------------------------------- */

static void
test_all_are_asked_in_order_and_may_all_agree(void **state)
{
	(void)state;
	judge(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(first.asked[PORTERO_MAIL], 1);
	assert_int_equal(third.asked[PORTERO_RCPT], 3);
	assert_int_equal(third.asked[PORTERO_DATA], 1);
	assert_false(a.taken);
	assert_int_equal(a.wants,
	    PORTERO_RCPT | PORTERO_DATA | PORTERO_HEADER | PORTERO_END |
		PORTERO_OUTCOME);
}

static void
test_the_first_refusal_ends_the_question(void **state)
{
	(void)state;
	second.verdict[PORTERO_RCPT] = PORTERO_DENY;
	second.at_recipient = 1;
	portero_reply_set(&second.answer.reply, 550, "5.7.1", "Not %s.",
	    "there");
	str_copy(second.answer.reply.reason, 32, STR("place"));
	judge(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_int_equal(a.stage, PORTERO_RCPT);
	assert_int_equal(a.recipient, 1);
	assert_int_equal(a.reply.code, 550);
	assert_str(a.reply.text, "Not there.");
	assert_str(a.reply.reason, "place");
	assert_str(a.plugin, "second");
	assert_int_equal(third.asked[PORTERO_MAIL], 1);
	assert_int_equal(third.asked[PORTERO_RCPT], 1);
	assert_int_equal(third.asked[PORTERO_DATA], 0);
}

static void
test_only_new_recipients_are_judged(void **state)
{
	(void)state;
	q.first_new = 2;
	judge(PORTERO_RCPT);
	assert_int_equal(first.asked[PORTERO_RCPT], 1);
}

static void
test_nonsense_counts_as_try_later(void **state)
{
	/* clang-format off */
	static const struct { enum portero_verdict v; int code; int64_t max_size; } table[] = {
		{ (enum portero_verdict)77, 0, 0 },
		{ PORTERO_UNKNOWN, 550, 0 },
		{ PORTERO_DENY, 250, 0 },
		{ PORTERO_DENY, 600, 0 },
		{ PORTERO_DENY, -450, 0 },
		{ PORTERO_DEFER, 550, 0 },
		{ PORTERO_NEXT, 0, -5 },
	};
	/* clang-format on */
	size_t n = sizeof table / sizeof *table;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		second.verdict[PORTERO_MAIL] = table[i].v;
		second.answer.reply.code = table[i].code;
		second.answer.max_size = table[i].max_size;
		judge(PORTERO_MAIL | PORTERO_DATA);
		assert_int_equal(a.verdict, PORTERO_DEFER);
		assert_int_equal(a.stage, PORTERO_MAIL);
		assert_int_equal(a.reply.code, 451);
		assert_str(a.reply.enhanced, "4.7.0");
		assert_str(a.reply.reason, "plugin");
	}
	second.really_none = true;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_int_equal(counted(COUNTER_PLUGIN_FAILED), n + 1);
}

static void
test_an_illegal_charge_counts_as_try_later(void **state)
{
	struct portero_charge good, *c = &second.answer.charges[0];

	(void)state;
	charge(&second, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	good = *c;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	for (int fault = 0; fault < 10; fault++) {
		*c = good;
		second.answer.ncharges = 1;
		if (fault == 0)
			c->scope = PORTERO_CLASS; /* not declared */
		else if (fault == 1)
			c->unit = PORTERO_NUNITS;
		else if (fault == 2)
			c->limit[0] = '\0';
		else if (fault == 3)
			memset(c->limit, 'x', sizeof c->limit);
		else if (fault == 4)
			c->limit[2] = ' ';
		else if (fault == 5)
			c->amount = -1;
		else if (fault == 6)
			c->max = -2;
		else if (fault == 7)
			c->window_s = 0;
		else if (fault == 8)
			second.answer.ncharges = PORTERO_MAX_CHARGES + 1;
		else
			c->reply = (enum portero_reply_kind)9;
		judge(PORTERO_MAIL);
		assert_int_equal(a.verdict, PORTERO_DEFER);
		assert_int_equal(counted(COUNTER_PLUGIN_FAILED), fault + 1);
	}
}

static void
test_an_ugly_reply_is_made_legal_and_still_refuses(void **state)
{
	(void)state;
	second.verdict[PORTERO_MAIL] = PORTERO_DENY;
	portero_reply_set(&second.answer.reply, 550, "4.7.1",
	    "no\r\n250 ok\x80");
	str_copy(second.answer.reply.reason, 32, STR("../x"));
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_int_equal(a.reply.code, 550);
	assert_str(a.reply.enhanced, "5.7.1");
	assert_str(a.reply.text, "no??250 ok?");
	assert_str(a.reply.reason, "policy");
	assert_int_equal(counted(COUNTER_PLUGIN_FAILED), 1);
	memset(&second.answer.reply, 'y', sizeof second.answer.reply);
	second.answer.reply.code = 450;
	judge(PORTERO_MAIL);
	assert_int_equal(a.reply.text.len, 255);
	assert_str(a.reply.enhanced, "4.7.0");
}

static void
test_a_verdict_without_a_reply_gets_one(void **state)
{
	(void)state;
	second.verdict[PORTERO_MAIL] = PORTERO_DENY;
	judge(PORTERO_MAIL);
	assert_int_equal(a.reply.code, 550);
	assert_true(a.reply.text.len > 0);
	second.verdict[PORTERO_MAIL] = PORTERO_DEFER;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_int_equal(a.reply.code, 451);
	assert_int_equal(counted(COUNTER_PLUGIN_FAILED), 0);
}

static void
test_a_broken_identity_is_try_later(void **state)
{
	(void)state;
	q.identity = STR("nonsense");
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_int_equal(first.asked[PORTERO_MAIL], 0);
	chain_afterwards(chain, &q, &a);
}

/* ---- sizes -------------------------------------------------------------- */

static void
test_the_smallest_size_holds_and_names_both(void **state)
{
	(void)state;
	first.answer.max_size = 50 << 20;
	third.answer.max_size = 25 << 20;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(a.max_size, 25 << 20);
	q.declared_size = (38 << 20) + 300000;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_str(a.plugin, "third");
	assert_str(a.reply.enhanced, "5.3.4");
	assert_str(a.reply.text,
	    "This message is 38.2 MB, the limit is 25 MB. Make attachments "
	    "smaller or send it in parts.");
	q.declared_size = 25 << 20;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	third.answer.max_size += 100;
	q.declared_size = third.answer.max_size + 1;
	judge(PORTERO_MAIL);
	assert_str(a.reply.text,
	    "This message is 26214501 bytes, the limit is 26214500 bytes. "
	    "Make attachments smaller or send it in parts.");
}

/* ---- limits ------------------------------------------------------------- */

static void
test_a_group_takes_everything_once(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	charge(&third, PORTERO_PERSON, PORTERO_RECIPIENTS, "hourly", 3, 10);
	judge(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_true(a.taken);
	assert_int_equal(store.calls, 1); /* no look ahead of a take */
	assert_int_equal(used("ana@example.org", "hourly", PORTERO_MESSAGES),
	    1);
	assert_int_equal(used("ana@example.org", "hourly", PORTERO_RECIPIENTS),
	    3);
	assert_true(a.reserved_bytes == INT64_MAX);
}

static void
test_a_limit_that_is_used_up_refuses_the_take(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_RECIPIENTS, "daily", 3, 10);
	charge(&third, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 1);
	judge(PORTERO_DATA);
	assert_true(a.taken);
	q.txid[0]++;
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_int_equal(a.stage, PORTERO_DATA);
	assert_false(a.taken);
	assert_str(a.plugin, "third");
	assert_str(a.limit, "hourly");
	assert_int_equal(a.used, 1);
	assert_int_equal(a.max, 1);
	assert_true(a.until_s > clock_wall_s());
	assert_int_equal(a.reply.code, 450);
	assert_str(a.reply.reason, "quota");
	assert_int_equal(used("ana@example.org", "daily", PORTERO_RECIPIENTS),
	    3);
}

static void
test_a_refusal_of_a_policy_leaves_nothing_taken(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	third.verdict[PORTERO_DATA] = PORTERO_DEFER;
	judge(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_false(a.taken);
	assert_int_equal(store.calls, 0);
}

static void
test_wider_scopes_are_given_back_when_one_refuses(void **state)
{
	(void)state;
	first.scopes = 15;
	build();
	charge(&first, PORTERO_HOST, PORTERO_MESSAGES, "host", 1, 0);
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "own", 1, 5);
	charge(&first, PORTERO_DOMAIN, PORTERO_MESSAGES, "domain", 1, 5);
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_str(a.limit, "host");
	assert_false(a.taken);
	assert_int_equal(used("ana@example.org", "own", PORTERO_MESSAGES), 0);
	assert_int_equal(used("example.org", "domain", PORTERO_MESSAGES), 0);
	first.answer.charges[0].max = 5;
	q.txid[0]++;
	judge(PORTERO_DATA);
	assert_true(a.taken);
	assert_int_equal(used("smtp.example.org", "host", PORTERO_MESSAGES), 1);
	assert_int_equal(used("example.org", "domain", PORTERO_MESSAGES), 1);
}

static void
test_what_could_not_be_given_back_is_owed_a_settle(void **state)
{
	(void)state;
	first.scopes = 3;
	build();
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "own", 1, 5);
	charge(&first, PORTERO_CLASS, PORTERO_MESSAGES, "class", 1, 0);
	store.refuse_settle_of = PORTERO_PERSON;
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_true(a.taken);
}

static void
test_a_store_that_is_away_is_try_later(void **state)
{
	static const struct settle s = { .outcome = PORTERO_LOST };

	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	store.away = true;
	q.nsettles = 1;
	q.settles = &s;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_int_equal(a.reply.code, 451);
	assert_str(a.reply.reason, "store");
	assert_false(a.taken);
	assert_int_equal(a.nsettled, 0);
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_true(a.taken); /* nobody knows */
}

static void
test_mail_looks_ahead_and_takes_nothing(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 1);
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(used("ana@example.org", "hourly", PORTERO_MESSAGES),
	    0);
	judge(PORTERO_DATA);
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_int_equal(a.stage, PORTERO_MAIL);
	assert_str(a.limit, "hourly");
}

static void
test_a_recipient_limit_never_refuses_mail(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_RECIPIENTS, "daily", 1, 2000);
	judge(PORTERO_MAIL);
	assert_int_equal(a.rcpt_left, RCPT_LEFT_UNLIMITED); /* out of reach */
	charge(&first, PORTERO_PERSON, PORTERO_RECIPIENTS, "hourly", 1, 10);
	row_of((struct portero_str){ "ana@example.org", 15 }, "hourly",
	    PORTERO_RECIPIENTS)
	    ->used = 8;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(a.rcpt_left, 2);
	assert_int_equal(a.rcpt_reply.code, 450);
	assert_memory_equal(a.rcpt_reply.text.ptr,
	    "Limit hourly: 10 of 10 recipients used. You can go on at 20", 59);
	/* what the log says of the recipient that does not fit */
	assert_str(a.plugin, "first");
	assert_str(a.limit, "hourly");
	assert_int_equal(a.used, 10);
	assert_int_equal(a.max, 10);
	assert_true(a.until_s > 0);
	first.answer.charges[1].max = 0;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(a.rcpt_left, 0);
	assert_int_equal(a.rcpt_reply.code, 550);
}

static void
test_bytes_beyond_the_declared_are_taken_at_the_end(void **state)
{
	(void)state;
	q.declared_size = 1000;
	charge(&first, PORTERO_PERSON, PORTERO_BYTES, "daily", 1000, 1500);
	judge(PORTERO_DATA);
	assert_int_equal(a.reserved_bytes, 1000);
	first.answer.charges[0].amount = 500;
	first.charge_stages = PORTERO_END;
	q.sequence = 1;
	q.message_size = 1500;
	judge(PORTERO_END);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(a.reserved_bytes, 1500);
	assert_int_equal(used("ana@example.org", "daily", PORTERO_BYTES), 1500);
	q.sequence = 2;
	judge(PORTERO_END);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_int_equal(a.stage, PORTERO_END);
	/* the take before it stands until the session settles it */
	assert_int_equal(used("ana@example.org", "daily", PORTERO_BYTES), 1500);
}

static void
test_a_wider_limit_that_refuses_at_the_end_says_so(void **state)
{
	(void)state;
	first.scopes = 3;
	build();
	q.declared_size = 1000;
	charge(&first, PORTERO_PERSON, PORTERO_BYTES, "own", 1000, 5000);
	charge(&first, PORTERO_CLASS, PORTERO_BYTES, "class", 1000, 1200);
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	first.answer.charges[0].amount = 500;
	first.answer.charges[1].amount = 500;
	first.charge_stages = PORTERO_END;
	q.sequence = 1;
	q.message_size = 1500;
	judge(PORTERO_END);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_str(a.limit, "class");
	assert_true(a.taken); /* the session settles it */
}

static void
test_who_counts_bytes_is_asked_at_the_end_for_more_only(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_BYTES, "a", 0, 1500);
	charge(&second, PORTERO_PERSON, PORTERO_BYTES, "b", 0, 1500);
	judge(PORTERO_DATA);
	assert_true((a.wants & PORTERO_END) != 0); /* third counts none */
	charge(&third, PORTERO_PERSON, PORTERO_BYTES, "c", 0, 1500);
	judge(PORTERO_DATA);
	assert_true((a.wants & PORTERO_END) == 0);
	assert_int_equal(a.reserved_bytes, 0);
}

static void
test_after_the_deadline_nothing_is_taken(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	q.stages = PORTERO_DATA;
	chain_judge(chain, &q, clock_mono_ns(), &a);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_false(a.taken);
	assert_int_equal(store.calls, 0);
}

static void
test_two_limits_of_one_name_are_a_fault(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	charge(&third, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 9);
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_str(a.plugin, "third");
	assert_int_equal(used("ana@example.org", "hourly", PORTERO_MESSAGES),
	    0);
}

/* ---- replies of limits -------------------------------------------------- */

static void
test_replies_of_limits_say_how_much_and_when(void **state)
{
	/* clang-format off */
	static const struct {
		struct portero_charge c;
		int code;
		const char *text;
	} table[] = {
		{ { .unit = PORTERO_MESSAGES, .limit = "hourly", .amount = 1,
		    .used = 100, .max = 100, .fits_at = 1795443541 }, 450,
		  "Limit hourly: 100 of 100 messages used. You can go on at "
		  "2026-11-23 14:20 UTC." },
		{ { .unit = PORTERO_RECIPIENTS, .limit = "daily", .amount = 3,
		    .used = 98, .max = 100, .fits_at = 1795443600 }, 450,
		  "Limit daily: 98 of 100 recipients used, 3 more do not fit. "
		  "You can go on at 2026-11-23 14:20 UTC." },
		{ { .unit = PORTERO_BYTES, .limit = "daily", .amount = 25 << 20,
		    .used = 90 << 20, .max = 100 << 20, .fits_at = 1795483200 }, 550,
		  "Limit daily: 90 MB of 100 MB used, 25 MB more do not fit. "
		  "You can go on at 2026-11-24 01:20 UTC." },
		{ { .unit = PORTERO_MESSAGES, .limit = "x", .amount = 1, .used = 5,
		    .max = 5, .fits_at = 1795483200,
		    .reply = PORTERO_REPLY_TEMPORARY }, 450, NULL },
		{ { .unit = PORTERO_MESSAGES, .limit = "x", .amount = 1, .used = 5,
		    .max = 5, .fits_at = 1795443000,
		    .reply = PORTERO_REPLY_PERMANENT }, 550, NULL },
		{ { .unit = PORTERO_BYTES, .limit = "daily", .amount = 150 << 20,
		    .max = 100 << 20 }, 550,
		  "Limit daily: the message is too big for it: 150 MB of at most "
		  "100 MB. Send it in parts." },
		{ { .unit = PORTERO_BYTES, .limit = "daily",
		    .amount = (1 << 20) + 1, .max = 1 << 20 }, 550,
		  "Limit daily: the message is too big for it: 1048577 bytes of "
		  "at most 1048576 bytes. Send it in parts." },
		{ { .unit = PORTERO_RECIPIENTS, .limit = "daily", .amount = 150,
		    .max = 100, .reply = PORTERO_REPLY_TEMPORARY }, 550,
		  "Limit daily: the message is too big for it: 150 of at most 100 "
		  "recipients. Send it to fewer at once." },
		{ { .unit = PORTERO_MESSAGES, .limit = "daily", .amount = 1 }, 550,
		  "Limit daily: you may not send mail (it is 0 messages)." },
	};
	/* clang-format on */
	struct portero_reply r;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		memset(&r, 0, sizeof r);
		refusal_limit(&r, &table[i].c, 1795440000);
		assert_int_equal(r.code, table[i].code);
		assert_string_equal(r.enhanced,
		    table[i].code == 450 ? "4.7.1" : "5.7.1");
		assert_string_equal(r.reason, "quota");
		if (table[i].text != NULL)
			assert_string_equal(r.text, table[i].text);
	}
}

/* ---- settles ------------------------------------------------------------ */

static void
test_settles_go_first_and_free_what_the_take_needs(void **state)
{
	struct settle settles[2] = { { .txid = "0123456789abcde",
					 .outcome = PORTERO_REFUSED,
					 .actual = { 1, 1, 1 },
					 .id = STR("ana@example.org") },
		{ .txid = "unknown",
		    .outcome = PORTERO_ACCEPTED,
		    .id = STR("bob") } };

	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 1);
	judge(PORTERO_DATA);
	assert_true(a.taken);
	q.txid[0]++;
	q.nsettles = 2;
	q.settles = settles;
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(a.nsettled, 2);
	assert_int_equal(store.calls, 2); /* they rode on the take */
	assert_int_equal(used("ana@example.org", "hourly", PORTERO_MESSAGES),
	    1);
}

static void
test_settles_are_done_also_when_nothing_else_is(void **state)
{
	struct settle s = { .outcome = PORTERO_ACCEPTED, .id = STR("ana") };
	struct settle_question sq = { .nsettles = 1, .settles = &s };
	struct settle_answer sa;

	(void)state;
	q.nsettles = 1;
	q.settles = &s;
	first.verdict[PORTERO_MAIL] = PORTERO_DENY;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_DENY);
	assert_int_equal(a.nsettled, 1);
	assert_int_equal(store.settles, 1);
	chain_settle(chain, &sq, &sa);
	assert_int_equal(sa.nsettled, 1);
	store.refuse_settle_of = PORTERO_PERSON;
	chain_settle(chain, &sq, &sa);
	assert_int_equal(sa.nsettled, 0);
}

static void
test_a_settle_goes_to_every_scope_in_use(void **state)
{
	struct settle settles[2] = {
		{ .txid = "1", .outcome = PORTERO_LOST, .id = STR("ana") },
		{ .txid = "2", .outcome = PORTERO_LOST, .id = STR("ana") }
	};
	struct settle_question sq = { .nsettles = 2, .settles = settles };
	struct settle_answer sa;

	(void)state;
	first.scopes = 15;
	build();
	chain_settle(chain, &sq, &sa);
	assert_int_equal(sa.nsettled, 2);
	assert_int_equal(store.settles, 8);
	store.refuse_settle_of = PORTERO_HOST;
	chain_settle(chain, &sq, &sa);
	assert_int_equal(sa.nsettled, 0);
}

/* ---- monitor and outcome ------------------------------------------------ */

static void
test_a_monitored_refusal_is_counted_and_ignored(void **state)
{
	(void)state;
	modules[2].mode = CONFIG_MONITOR;
	build();
	second.verdict[PORTERO_MAIL] = PORTERO_DENY;
	second.verdict[PORTERO_RCPT] = PORTERO_DEFER;
	judge(PORTERO_MAIL | PORTERO_RCPT | PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(second.asked[PORTERO_MAIL], 0); /* not yet */
	chain_afterwards(chain, &q, &a);
	assert_int_equal(second.asked[PORTERO_MAIL], 1);
	assert_int_equal(counted(COUNTER_MONITOR_DENIED), 2);
}

static void
test_monitored_charges_have_books_of_their_own(void **state)
{
	struct settle s = { .txid = "0123456789abcde",
		.outcome = PORTERO_ACCEPTED,
		.actual = { 1, 0, 0 },
		.id = STR("ana@example.org") };

	(void)state;
	modules[2].mode = CONFIG_MONITOR;
	build();
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	charge(&second, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 2, 1);
	judge(PORTERO_DATA);
	assert_true(a.taken);
	chain_afterwards(chain, &q, &a);
	assert_int_equal(used("ana@example.org", "hourly", PORTERO_MESSAGES),
	    1);
	assert_int_equal(used("ana@example.org (monitor)", "hourly",
			     PORTERO_MESSAGES),
	    2);
	assert_int_equal(counted(COUNTER_MONITOR_DENIED), 1);
	q.nsettles = 1;
	q.settles = &s;
	judge(PORTERO_OUTCOME);
	chain_afterwards(chain, &q, &a);
	assert_int_equal(used("ana@example.org (monitor)", "hourly",
			     PORTERO_MESSAGES),
	    1);
}

/* They are taken when the answer has gone: the session must know before. */
static void
test_what_only_monitors_take_is_to_be_settled(void **state)
{
	(void)state;
	modules[2].mode = CONFIG_MONITOR;
	build();
	charge(&second, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	judge(PORTERO_MAIL);
	assert_false(a.taken);
	judge(PORTERO_DATA);
	assert_true(a.taken);
	first.verdict[PORTERO_DATA] = PORTERO_DENY;
	judge(PORTERO_DATA);
	assert_false(a.taken);
}

static void
test_a_charge_that_only_counts_never_refuses(void **state)
{
	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 0);
	first.answer.charges[0].monitor = true;
	judge(PORTERO_MAIL);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(counted(COUNTER_MONITOR_DENIED), 1);
}

static void
test_everybody_hears_of_the_outcome_afterwards(void **state)
{
	(void)state;
	first.verdict[PORTERO_OUTCOME] = PORTERO_DENY;
	q.outcome = PORTERO_ACCEPTED;
	judge(PORTERO_OUTCOME);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(first.asked[PORTERO_OUTCOME], 0);
	chain_afterwards(chain, &q, &a);
	assert_int_equal(first.asked[PORTERO_OUTCOME], 1);
	assert_int_equal(third.asked[PORTERO_OUTCOME], 1);
}

/* ---- whose the sender is ------------------------------------------------ */

static void
test_the_directory_is_asked_once_if_a_policy_must_know(void **state)
{
	struct portero_identity i = { .id = "ana" };

	(void)state;
	plugins[2].table = &owner_plugin;
	build();
	judge(PORTERO_MAIL);
	assert_true(a.needs_owned);
	assert_int_not_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(first.asked[PORTERO_MAIL], 0);
	q.owned_asked = true;
	judge(PORTERO_MAIL);
	assert_false(a.needs_owned);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(second.owned_seen, PORTERO_OWNED_UNKNOWN);
	q.owned_asked = false;
	q.reverse_path = STR(""); /* nobody's */
	judge(PORTERO_MAIL);
	assert_false(a.needs_owned);
	q.reverse_path = STR("Ana@Example.org"); /* the entry tells */
	memcpy(i.addresses, "ana@example.org", 16);
	i.addresses_len = 16;
	set_identity(&i);
	judge(PORTERO_MAIL);
	assert_false(a.needs_owned);
	assert_int_equal(second.owned_seen, PORTERO_OWNED_YES);
	q.reverse_path = STR("bob@example.org");
	i.addresses_complete = true;
	set_identity(&i);
	judge(PORTERO_MAIL);
	assert_int_equal(second.owned_seen, PORTERO_OWNED_NO);
}

static void
test_the_directory_is_asked_for_authors_that_nobody_knows(void **state)
{
	struct judge_mailbox authors[] = {
		{ STR("Ana@example.org"), PORTERO_OWNED_UNKNOWN, false },
		{ STR("bob@example.org"), PORTERO_OWNED_YES, true },
	};
	struct portero_identity i = { .id = "ana" };

	(void)state;
	plugins[2].table = &owner_plugin;
	build();
	q.mailboxes = authors;
	q.nmailboxes = 2;
	judge(PORTERO_HEADER);
	assert_true(a.needs_owned);
	assert_int_equal(first.asked[PORTERO_HEADER], 0);
	memcpy(i.addresses, "ana@example.org", 16);
	i.addresses_len = 16;
	set_identity(&i); /* the entry tells */
	judge(PORTERO_HEADER);
	assert_false(a.needs_owned);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_int_equal(first.asked[PORTERO_HEADER], 1);
	assert_int_equal(first.nmailboxes_seen, 2);
	authors[0].address = STR("eva@example.org");
	judge(PORTERO_HEADER);
	assert_true(a.needs_owned);
	q.mailboxes_asked = true; /* and could not tell */
	judge(PORTERO_HEADER);
	assert_false(a.needs_owned);
	assert_int_equal(first.asked[PORTERO_HEADER], 2);
}

static void
test_a_sender_to_add_must_be_an_address(void **state)
{
	static const char *const bad[] = { "ana", "a@x>", "a@x\r\nBcc: b@y",
		"a b@x", "\xc3\xb1@x" };

	(void)state;
	judge(PORTERO_HEADER);
	assert_int_equal(a.add_sender.len, 0);
	first.sender = "ana@example.org";
	judge(PORTERO_HEADER);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_str(a.add_sender, "ana@example.org");
	for (size_t n = 0; n < sizeof bad / sizeof *bad; n++) {
		first.sender = bad[n];
		judge(PORTERO_HEADER);
		assert_int_equal(a.verdict, PORTERO_DEFER);
		assert_int_equal(a.add_sender.len, 0);
	}
}

/* ---- the operator's questions ------------------------------------------- */

static void
test_counters_are_reported_and_reset(void **state)
{
	struct store_question sq = { .ask = STORE_SHOW,
		.key = STR("ana@example.org") };
	struct store_answer sa;

	(void)state;
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	judge(PORTERO_DATA);
	chain_store(chain, &sq, &sa);
	assert_false(sa.failed);
	assert_int_equal(sa.nrows, 1);
	assert_str(sa.rows[0].limit, "hourly");
	assert_int_equal(sa.rows[0].used, 1);
	sq.ask = STORE_RESET;
	chain_store(chain, &sq, &sa);
	assert_int_equal(sa.nrows, 0);
	store.away = true;
	chain_store(chain, &sq, &sa);
	assert_true(sa.failed);
}

static void
test_charges_without_a_store_are_try_later(void **state)
{
	(void)state;
	set_plugin(1, CONFIG_POLICY, "no store", &policy_plugin, &second);
	build();
	charge(&first, PORTERO_PERSON, PORTERO_MESSAGES, "hourly", 1, 5);
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_DEFER);
	first.answer.ncharges = 0;
	judge(PORTERO_DATA);
	assert_int_equal(a.verdict, PORTERO_NEXT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_are_asked_in_order_and_may_all_agree),
		TEST(test_the_first_refusal_ends_the_question),
		TEST(test_only_new_recipients_are_judged),
		TEST(test_nonsense_counts_as_try_later),
		TEST(test_an_illegal_charge_counts_as_try_later),
		TEST(test_an_ugly_reply_is_made_legal_and_still_refuses),
		TEST(test_a_verdict_without_a_reply_gets_one),
		TEST(test_a_broken_identity_is_try_later),
		TEST(test_the_smallest_size_holds_and_names_both),
		TEST(test_a_group_takes_everything_once),
		TEST(test_a_limit_that_is_used_up_refuses_the_take),
		TEST(test_a_refusal_of_a_policy_leaves_nothing_taken),
		TEST(test_wider_scopes_are_given_back_when_one_refuses),
		TEST(test_what_could_not_be_given_back_is_owed_a_settle),
		TEST(test_a_store_that_is_away_is_try_later),
		TEST(test_mail_looks_ahead_and_takes_nothing),
		TEST(test_a_recipient_limit_never_refuses_mail),
		TEST(test_bytes_beyond_the_declared_are_taken_at_the_end),
		TEST(test_a_wider_limit_that_refuses_at_the_end_says_so),
		TEST(test_who_counts_bytes_is_asked_at_the_end_for_more_only),
		TEST(test_after_the_deadline_nothing_is_taken),
		TEST(test_two_limits_of_one_name_are_a_fault),
		TEST(test_replies_of_limits_say_how_much_and_when),
		TEST(test_settles_go_first_and_free_what_the_take_needs),
		TEST(test_settles_are_done_also_when_nothing_else_is),
		TEST(test_a_settle_goes_to_every_scope_in_use),
		TEST(test_a_monitored_refusal_is_counted_and_ignored),
		TEST(test_monitored_charges_have_books_of_their_own),
		TEST(test_what_only_monitors_take_is_to_be_settled),
		TEST(test_a_charge_that_only_counts_never_refuses),
		TEST(test_everybody_hears_of_the_outcome_afterwards),
		TEST(test_the_directory_is_asked_once_if_a_policy_must_know),
		TEST(test_the_directory_is_asked_for_authors_that_nobody_knows),
		TEST(test_a_sender_to_add_must_be_an_address),
		TEST(test_counters_are_reported_and_reset),
		TEST(test_charges_without_a_store_are_try_later),
	};

	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_STREAM,
	    LOG_LEVEL_DEBUG, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
