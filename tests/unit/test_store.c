/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Hosts before one remote store, which is the model of the store's suite and
 * goes away as the test says: before it does anything, or after it did and
 * before it could say so. What was let through, what is charged in the end,
 * and what the log says are compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/conf.h"
#include "limit_model.h"
#include "policy/journal.h"
#include "policy/plugin.h"
#include "policy/store.h"

#define HOSTS 2
#define HOUR 3600
#define SECOND_NS INT64_C(1000000000)

/* ---- options ------------------------------------------------------------ */

enum { LOCAL, DEFER, ALLOW };

/* What the store's section says; the values of all hosts. */
static struct {
	int64_t on_store_failure, hosts, local_entries;
	const char *warn_at[4];
} options;

int64_t
config_get_int(const struct portero_conf *c, const char *name)
{
	(void)c;
	return strcmp(name, "hosts") == 0 ? options.hosts :
	    strcmp(name, "local_entries") == 0 ? options.local_entries :
						 options.on_store_failure;
}

size_t
config_list_length(const struct portero_conf *c, const char *name)
{
	size_t n = 0;

	(void)c;
	assert_string_equal(name, "warn_at");
	while (options.warn_at[n] != NULL)
		n++;
	return n;
}

const char *
config_list_item(const struct portero_conf *c, const char *name, size_t i)
{
	(void)c;
	(void)name;
	return options.warn_at[i];
}

/* The rest of what plugins may ask is not asked here. */
const char *
config_get_string(const struct portero_conf *c, const char *name)
{
	(void)c;
	(void)name;
	return NULL;
}

size_t
config_section_count(const struct portero_conf *c, const char *name)
{
	(void)c;
	(void)name;
	return 0;
}

const struct portero_conf *
config_section(const struct portero_conf *c, const char *name, size_t i)
{
	(void)name;
	(void)i;
	return c;
}

const char *
config_title(const struct portero_conf *c)
{
	(void)c;
	return "";
}

bool
config_is_set(const struct portero_conf *c, const char *name)
{
	(void)c;
	(void)name;
	return false;
}

/* ---- the remote store --------------------------------------------------- */

enum weather { FINE, AWAY, LOSES_ANSWERS, NONSENSE };

static struct limit_model *model;
static enum weather weather;
static unsigned asked; /* calls of the plugin */
/* Another worker, while one waits for the answer to that call. */
static void (*meanwhile)(void);
static unsigned meanwhile_at;

static int
remote_apply(void *ctx, struct portero_op *ops, size_t n)
{
	(void)ctx;
	if (++asked == meanwhile_at)
		meanwhile();
	limit_model_set_now(model, clock_wall_us());
	if (weather == AWAY) {
		for (size_t i = 0; i < n; i++)
			ops[i].result = PORTERO_OP_FAILED;
		return -1;
	}
	limit_model_apply(model, ops, n);
	if (weather == FINE)
		return 0;
	for (size_t i = 0; i < n; i++) {
		ops[i].result = PORTERO_OP_NONE;
		for (size_t k = 0; k < ops[i].ncharges; k++)
			ops[i].charges[k].used = -5;
	}
	return weather == NONSENSE ? 0 : -1;
}

static const char *
remote_trouble(void *ctx)
{
	(void)ctx;
	return "it rains";
}

static const struct portero_store remote_table = { .size = sizeof remote_table,
	.apply = remote_apply,
	.remote = true,
	.trouble = remote_trouble };
static const struct portero_plugin remote_plugin = { .store = &remote_table,
	.version = "1" };
static const struct portero_store near_table = { .size = sizeof near_table,
	.apply = remote_apply };
static const struct portero_plugin near_plugin = { .store = &near_table,
	.version = "1" };
static struct config_module module = { .kind = CONFIG_STORE,
	.plugin = (char *)(uintptr_t) "rain" };

/* ---- hosts -------------------------------------------------------------- */

/* Two workers of each host have its memory. */
struct host_rig {
	struct plugin plugin;
	size_t bytes;
	void *memory;
	struct store *worker[2];
};

static struct host_rig rigs[HOSTS];
static int log_fd;
static int64_t shifted_ns;

static void
pass(int64_t ms)
{
	shifted_ns += ms * CLOCK_NS_PER_MS;
	clock_shift(shifted_ns, shifted_ns / 1000);
}

static void
rig_start(struct host_rig *r, const struct portero_plugin *table)
{
	static const uint8_t key[HASH_KEY_LEN] = "fifteen letters";
	struct error err;

	r->plugin = (struct plugin){ .module = &module, .table = table };
	host_init(&r->plugin.host, "store", key);
	r->bytes = store_size(NULL, table->store->remote);
	r->memory = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->memory, MAP_FAILED);
	for (int i = 0; i < 2; i++) {
		r->worker[i] = store_open(&r->plugin, r->memory, r->bytes,
		    i == 0 ? PORTERO_SHARE_NEW : PORTERO_SHARE_IN_USE, &err);
		assert_non_null(r->worker[i]);
	}
}

static void
start(int64_t mode, int64_t hosts, const struct portero_plugin *table)
{
	options.on_store_failure = mode;
	options.hosts = hosts;
	for (int i = 0; i < HOSTS; i++)
		rig_start(&rigs[i], table);
}

static int
setup(void **state)
{
	(void)state;
	memset(&options, 0, sizeof options);
	options.local_entries = 1024;
	model = limit_model_new();
	weather = FINE;
	log_fd = memfd_create("log", MFD_CLOEXEC);
	log_open(log_fd, LOG_STREAM, LOG_LEVEL_INFO, "test");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < HOSTS; i++) {
		for (int k = 0; k < 2; k++)
			store_close(&rigs[i].worker[k]);
		if (rigs[i].memory != NULL)
			munmap(rigs[i].memory, rigs[i].bytes);
		memset(&rigs[i], 0, sizeof rigs[i]);
	}
	limit_model_free(&model);
	close(log_fd);
	return 0;
}

/* Lines of the log that have all the words. */
static unsigned
lines_with(const char *words)
{
	static char text[65536];
	unsigned n = 0;
	ssize_t len;
	char *save, *line;

	log_flush();
	len = pread(log_fd, text, sizeof text - 1, 0);
	assert_true(len >= 0 && len < (ssize_t)sizeof text - 1);
	text[len] = '\0';
	for (line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		n += strstr(line, words) != NULL;
	return n;
}

/* Time enough for whoever tends to try again, and to be done. */
static void
tend(unsigned host)
{
	for (int i = 0; i < 4; i++) {
		pass(3000);
		store_tend(rigs[host].worker[i % 2]);
	}
	if (weather == FINE)
		assert_int_equal(store_tend(rigs[host].worker[0]), 0);
}

/* ---- operations --------------------------------------------------------- */

static struct portero_charge charge_of_take; /* as the last answer filled it */

static struct portero_op
operation(enum portero_op_kind kind, const char *person, unsigned tx)
{
	struct portero_op op = { .size = sizeof op,
		.kind = kind,
		.key = { person, strlen(person) },
		.lifetime_s = 2 * HOUR };

	memcpy(op.txid, &tx, sizeof tx);
	return op;
}

static enum portero_op_result
ask(unsigned host, enum portero_op_kind kind, const char *person, unsigned tx,
    int64_t amount, int64_t max)
{
	struct portero_op op = operation(kind, person, tx);

	charge_of_take = (struct portero_charge){ .size = sizeof charge_of_take,
		.limit = "hourly",
		.unit = PORTERO_MESSAGES,
		.amount = amount,
		.max = max,
		.window_s = HOUR };
	op.charges = &charge_of_take;
	op.ncharges = 1;
	store_apply(rigs[host].worker[tx % 2], &op, 1);
	return op.result;
}

static enum portero_op_result
take(unsigned host, unsigned tx, int64_t max)
{
	return ask(host, PORTERO_OP_TAKE, "ana", tx, 1, max);
}

static enum portero_op_result
settle(unsigned host, unsigned tx, int64_t messages)
{
	struct portero_op op = operation(PORTERO_OP_SETTLE, "ana", tx);

	op.actual[PORTERO_MESSAGES] = messages;
	store_apply(rigs[host].worker[tx / 2 % 2], &op, 1);
	return op.result;
}

/* As many as the host lets through, up to `limit`; their txids from *tx on. */
static unsigned
send_all(unsigned host, unsigned *tx, int64_t max, unsigned limit)
{
	unsigned n = 0;

	while (n < limit && take(host, *tx, max) == PORTERO_OP_DONE) {
		assert_int_equal(settle(host, (*tx)++, 1), PORTERO_OP_DONE);
		n++;
	}
	(*tx)++;
	return n;
}

/* What the store itself counts. */
static int64_t
charged(void)
{
	struct portero_op op = operation(PORTERO_OP_PEEK, "ana", 0);
	struct portero_charge c = { .size = sizeof c,
		.limit = "hourly",
		.unit = PORTERO_MESSAGES,
		.max = PORTERO_UNLIMITED,
		.window_s = HOUR };

	op.charges = &c;
	op.ncharges = 1;
	limit_model_set_now(model, clock_wall_us());
	limit_model_apply(model, &op, 1);
	return c.used;
}

/* ---- tests -------------------------------------------------------------- */

static void
test_hosts_that_know_what_is_used_let_through_n_together(void **state)
{
	unsigned tx = 1;

	(void)state;
	start(LOCAL, HOSTS, &remote_plugin);
	assert_int_equal(send_all(0, &tx, 20, 4), 4);
	assert_int_equal(send_all(1, &tx, 20, 4), 4);
	ask(0, PORTERO_OP_PEEK, "ana", 0, 1, 20); /* so it has heard of all 8 */
	weather = AWAY;
	assert_int_equal(send_all(0, &tx, 20, 99), 6);
	assert_int_equal(send_all(1, &tx, 20, 99), 6);
	assert_int_equal(charged(), 8);
	weather = FINE;
	tend(0);
	assert_int_equal(charged(), 14);
	tend(1);
	assert_int_equal(charged(), 20);
	assert_int_equal(send_all(0, &tx, 20, 99), 0);
	assert_int_equal(send_all(1, &tx, 20, 99), 0);
}

static void
test_what_a_host_has_not_heard_of_counts_once(void **state)
{
	unsigned tx = 1;

	(void)state;
	start(LOCAL, HOSTS, &remote_plugin);
	assert_int_equal(send_all(0, &tx, 20, 99), 20);
	/* The other host knows nothing: half of everything, and no more in
	 * however many outages of this window. */
	for (int outage = 0; outage < 4; outage++) {
		weather = AWAY;
		assert_int_equal(send_all(0, &tx, 20, 99), 0);
		assert_int_equal(send_all(1, &tx, 20, 99),
		    outage == 0 ? 10 : 0);
		weather = FINE;
		tend(0);
		tend(1);
		assert_int_equal(charged(), 30);
	}
	pass((HOUR + 61) * 1000);
	weather = AWAY;
	assert_int_equal(send_all(1, &tx, 20, 99), 10);
}

static void
test_a_refusal_for_the_part_alone_is_try_later(void **state)
{
	(void)state;
	start(LOCAL, HOSTS, &remote_plugin);
	assert_int_equal(take(0, 1, 4), PORTERO_OP_DONE);
	weather = AWAY;
	assert_int_equal(take(0, 2, 4), PORTERO_OP_DONE);
	assert_int_equal(take(0, 3, 4), PORTERO_OP_REFUSED);
	assert_int_equal(charge_of_take.reply, PORTERO_REPLY_TEMPORARY);
	assert_int_equal(charge_of_take.used, 4);
	assert_true(charge_of_take.fits_at > clock_wall_s());
	/* A look at the next one tells the same. */
	assert_int_equal(ask(0, PORTERO_OP_PEEK, "ana", 0, 1, 4),
	    PORTERO_OP_DONE);
	assert_false(charge_of_take.fits);
	/* More than there ever is. */
	assert_int_equal(ask(0, PORTERO_OP_TAKE, "ana", 9, 5, 4),
	    PORTERO_OP_REFUSED);
	assert_int_equal(charge_of_take.fits_at, 0);
	assert_int_equal(charge_of_take.reply, PORTERO_REPLY_AUTO);
}

static void
test_each_change_is_said_once_and_nobody_asks_meanwhile(void **state)
{
	unsigned tx = 1, before;

	(void)state;
	start(LOCAL, 1, &remote_plugin);
	for (int outage = 1; outage <= 3; outage++) {
		weather = AWAY;
		before = asked;
		assert_int_equal(send_all(0, &tx, 100, 10), 10);
		assert_int_equal(asked, before + 1);
		assert_int_equal(lines_with("ev=store state=away plugin=rain "
					    "error=\"it rains\""), outage);
		/* Tried again each second, by one of them. */
		pass(2000);
		store_tend(rigs[0].worker[0]);
		store_tend(rigs[0].worker[1]);
		assert_int_equal(asked, before + 2);
		weather = FINE;
		tend(0);
		assert_int_equal(lines_with("ev=store state=away"), outage);
		assert_int_equal(lines_with("ev=store state=up"), outage);
		assert_int_equal(lines_with("ev=store state=charged plugin=rain"
					    " n=10"), outage);
	}
	assert_int_equal(charged(), 30);
}

static void
test_a_take_of_unknown_fate_is_charged_once(void **state)
{
	(void)state;
	for (int64_t used = 0; used <= 1; used++) {
		start(LOCAL, 1, &remote_plugin);
		weather = LOSES_ANSWERS;
		assert_int_equal(take(0, 1, 5), PORTERO_OP_DONE);
		assert_int_equal(charged(), 1); /* it did come through */
		assert_int_equal(settle(0, 1, used), PORTERO_OP_DONE);
		weather = FINE;
		tend(0);
		assert_int_equal(charged(), used);
		assert_int_equal(settle(0, 1, used), PORTERO_OP_DONE);
		assert_int_equal(take(0, 1, 5), PORTERO_OP_SETTLED);
		assert_int_equal(charged(), used);
		teardown(NULL);
		setup(NULL);
	}
}

static void
test_a_refusal_after_a_lost_answer_leaves_nothing(void **state)
{
	(void)state;
	start(LOCAL, HOSTS, &remote_plugin);
	assert_int_equal(take(0, 1, 2), PORTERO_OP_DONE);
	weather = LOSES_ANSWERS;
	/* The store takes it, but as far as the host knows it does not fit. */
	assert_int_equal(take(0, 2, 2), PORTERO_OP_REFUSED);
	assert_int_equal(charged(), 2);
	weather = FINE;
	tend(0);
	assert_int_equal(charged(), 1);
}

/* The store has it, is told of it again, and is away before it says more. */
static void
test_a_take_that_is_charged_again_is_known_once(void **state)
{
	(void)state;
	start(LOCAL, 1, &remote_plugin);
	weather = LOSES_ANSWERS;
	assert_int_equal(take(0, 1, 2), PORTERO_OP_DONE);
	weather = FINE;
	tend(0);
	assert_int_equal(charged(), 1);
	weather = AWAY;
	assert_int_equal(take(0, 2, 2), PORTERO_OP_DONE);
	assert_int_equal(take(0, 3, 2), PORTERO_OP_REFUSED);
}

static void
test_settles_balance_before_during_and_after(void **state)
{
	(void)state;
	start(LOCAL, 1, &remote_plugin);
	assert_int_equal(take(0, 1, 9), PORTERO_OP_DONE);
	assert_int_equal(take(0, 2, 9), PORTERO_OP_DONE);
	weather = AWAY;
	/* The store's own takes are asked to be settled again. */
	assert_int_equal(settle(0, 1, 0), PORTERO_OP_NONE);
	assert_int_equal(take(0, 3, 9), PORTERO_OP_DONE);
	assert_int_equal(take(0, 4, 9), PORTERO_OP_DONE);
	assert_int_equal(take(0, 5, 9), PORTERO_OP_DONE);
	assert_int_equal(settle(0, 3, 0), PORTERO_OP_DONE);
	assert_int_equal(settle(0, 4, 1), PORTERO_OP_DONE);
	assert_int_equal(settle(0, 4, 0), PORTERO_OP_DONE); /* no more */
	/* What was given back may be taken again at once. */
	assert_int_equal(ask(0, PORTERO_OP_TAKE, "ana", 6, 5, 9),
	    PORTERO_OP_DONE);
	assert_int_equal(take(0, 7, 9), PORTERO_OP_REFUSED);
	assert_int_equal(settle(0, 6, 0), PORTERO_OP_DONE);
	weather = FINE;
	tend(0);
	assert_int_equal(charged(), 4); /* 1, 2, 4 and 5 */
	assert_int_equal(settle(0, 1, 0), PORTERO_OP_DONE);
	assert_int_equal(settle(0, 2, 1), PORTERO_OP_DONE);
	assert_int_equal(settle(0, 5, 0), PORTERO_OP_DONE);
	assert_int_equal(charged(), 2);
}

static void
settle_first(void)
{
	assert_int_equal(settle(0, 1, 0), PORTERO_OP_DONE);
}

static void
settle_second(void)
{
	assert_int_equal(settle(0, 2, 1), PORTERO_OP_DONE);
}

static void
test_what_is_settled_while_it_is_charged_is_settled_there(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		start(LOCAL, 1, &remote_plugin);
		weather = AWAY;
		assert_int_equal(take(0, 1, 9), PORTERO_OP_DONE);
		assert_int_equal(take(0, 2, 9), PORTERO_OP_DONE);
		pass(3000);
		store_tend(rigs[0].worker[0]); /* still away */
		weather = FINE;
		pass(3000);
		/* The probe is the first call, the charges are the second. */
		meanwhile = i == 0 ? settle_first : settle_second;
		meanwhile_at = asked + 2;
		tend(0);
		assert_int_equal(charged(), i == 0 ? 1 : 2);
		assert_int_equal(settle(0, 1, 1), PORTERO_OP_DONE);
		assert_int_equal(settle(0, 2, 1), PORTERO_OP_DONE);
		assert_int_equal(charged(), i == 0 ? 1 : 2);
		teardown(NULL);
		setup(NULL);
	}
}

static void
test_a_second_take_of_a_message_goes_to_its_first(void **state)
{
	struct portero_op op;
	struct portero_charge c;

	(void)state;
	start(LOCAL, 1, &remote_plugin);
	for (unsigned first = 0; first <= 1; first++) {
		unsigned tx = 1 + first;

		/* The first take is the store's, or the journal's. */
		weather = first == 0 ? FINE : AWAY;
		assert_int_equal(take(0, tx, 100), PORTERO_OP_DONE);
		c = charge_of_take;
		c.amount = 3;
		op = operation(PORTERO_OP_TAKE, "ana", tx);
		op.charges = &c;
		op.ncharges = 1;
		op.sequence = 1;
		weather = AWAY;
		store_apply(rigs[0].worker[0], &op, 1);
		assert_int_equal(op.result, PORTERO_OP_DONE);
		store_apply(rigs[0].worker[1], &op, 1);
		assert_int_equal(op.result, PORTERO_OP_DONE);
		weather = FINE;
		tend(0);
		assert_int_equal(charged(), 4);
		assert_int_equal(settle(0, tx, 0), PORTERO_OP_DONE);
		assert_int_equal(charged(), 0);
	}
}

static void
test_defer_lets_nothing_through_and_allow_everything(void **state)
{
	unsigned tx = 1;

	(void)state;
	start(DEFER, 1, &remote_plugin);
	weather = AWAY;
	assert_int_equal(take(0, 1, 9), PORTERO_OP_FAILED);
	assert_int_equal(ask(0, PORTERO_OP_PEEK, "ana", 0, 1, 9),
	    PORTERO_OP_NONE);
	weather = FINE;
	tend(0);
	assert_int_equal(take(0, 2, 9), PORTERO_OP_DONE);
	teardown(NULL);
	setup(NULL);

	start(ALLOW, 1, &remote_plugin);
	weather = AWAY;
	assert_int_equal(send_all(0, &tx, 5, 50), 50);
	weather = FINE;
	tend(0);
	assert_int_equal(charged(), 50);
	assert_int_equal(send_all(0, &tx, 5, 50), 0);
}

static void
test_what_cannot_be_noted_is_not_let_through(void **state)
{
	unsigned tx = 1, n;
	char person[32];

	(void)state;
	start(LOCAL, 1, &remote_plugin);
	weather = AWAY;
	/* Who sends much needs little room, while it is not under way. */
	assert_int_equal(send_all(0, &tx, 1000000, 1000), 1000);
	for (n = 1000; take(0, tx++, 1000000) == PORTERO_OP_DONE; n++)
		assert_true(n <= 1000 + 1024 / 4);
	assert_int_equal(take(0, tx++, 1000000), PORTERO_OP_FAILED);
	assert_int_equal(lines_with("no room to note"), 1);
	weather = FINE;
	tend(0);
	assert_int_equal(charged(), n);
	pass(61 * 1000); /* a complaint a minute */
	/* Nor what is used by people whom there was no room for. */
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(person, sizeof person, "person %u", i);
		assert_int_equal(ask(0, PORTERO_OP_TAKE, person, tx++, 1, 5),
		    PORTERO_OP_DONE);
	}
	assert_int_equal(lines_with("no room to know"), 1);
	weather = AWAY;
	assert_int_equal(ask(0, PORTERO_OP_TAKE, person, tx++, 1, 5),
	    PORTERO_OP_FAILED);
	assert_int_equal(ask(0, PORTERO_OP_TAKE, "person 0", tx++, 1, 5),
	    PORTERO_OP_DONE);
}

static void
test_nonsense_is_an_outage_of_that_call_only(void **state)
{
	(void)state;
	start(LOCAL, 1, &remote_plugin);
	weather = NONSENSE;
	assert_int_equal(take(0, 1, 5), PORTERO_OP_DONE);
	assert_int_equal(lines_with("ev=store state="), 0);
	weather = FINE;
	/* Others are the store's, she is the host's until she is charged. */
	assert_int_equal(ask(0, PORTERO_OP_TAKE, "bob", 2, 1, 5),
	    PORTERO_OP_DONE);
	tend(0);
	assert_int_equal(settle(0, 1, 1), PORTERO_OP_DONE);
	assert_int_equal(charged(), 1);
}

static void
test_what_is_charged_anyway_is_noted_too(void **state)
{
	(void)state;
	start(LOCAL, 1, &remote_plugin);
	weather = AWAY;
	for (unsigned tx = 1; tx <= 5; tx++) {
		assert_int_equal(ask(0, PORTERO_OP_CHARGE, "ana", tx, 1, 3),
		    PORTERO_OP_DONE);
		assert_int_equal(settle(0, tx, 1), PORTERO_OP_DONE);
	}
	ask(0, PORTERO_OP_PEEK, "ana", 0, 1, 3);
	assert_false(charge_of_take.fits);
	weather = FINE;
	tend(0);
	assert_int_equal(charged(), 5);
}

static void
test_a_reset_is_heard_of(void **state)
{
	struct portero_op op;

	(void)state;
	start(LOCAL, 1, &remote_plugin);
	assert_int_equal(ask(0, PORTERO_OP_TAKE, "ana", 1, 5, 5),
	    PORTERO_OP_DONE);
	op = operation(PORTERO_OP_RESET, "ana", 0);
	store_apply(rigs[0].worker[0], &op, 1);
	assert_int_equal(op.result, PORTERO_OP_DONE);
	weather = AWAY;
	assert_int_equal(take(0, 2, 5), PORTERO_OP_DONE);
}

static void
test_an_older_answer_makes_nothing_smaller(void **state)
{
	struct portero_charge c = { .size = sizeof c,
		.limit = "hourly",
		.unit = PORTERO_MESSAGES,
		.max = 5,
		.window_s = HOUR };
	struct portero_op op = operation(PORTERO_OP_PEEK, "ana", 0);

	(void)state;
	start(LOCAL, 1, &remote_plugin);
	assert_int_equal(ask(0, PORTERO_OP_TAKE, "ana", 1, 5, 5),
	    PORTERO_OP_DONE);
	/* Given back, and heard of by the next question. */
	assert_int_equal(settle(0, 1, 0), PORTERO_OP_DONE);
	op.charges = &c;
	op.ncharges = 1;
	pass(10);
	store_apply(rigs[0].worker[0], &op, 1);
	weather = AWAY;
	assert_int_equal(ask(0, PORTERO_OP_TAKE, "ana", 2, 5, 5),
	    PORTERO_OP_DONE);
}

/* Random traffic and outages: never more than the manual says, and in the end
 * the store counts exactly what was sent. */
static void
storm(unsigned seed)
{
	enum { N = 24, STEPS = 300, OPEN = 8 };
	struct { unsigned tx, host; } open[OPEN];
	unsigned nopen = 0, sent = 0, tx = 1, unsettled = 0;
	struct { unsigned tx, host; int64_t used; } owed[STEPS];

	start(LOCAL, HOSTS, &remote_plugin);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned host = (unsigned)rand_r(&seed) % HOSTS;
		unsigned what = (unsigned)rand_r(&seed) % 20;

		if (what == 0)
			weather = (enum weather)(rand_r(&seed) % 3);
		else if (what < 4)
			store_tend(rigs[host].worker[what % 2]);
		else if (what < 12 && nopen < OPEN) {
			if (take(host, tx, N) == PORTERO_OP_DONE) {
				open[nopen].tx = tx;
				open[nopen++].host = host;
			} else if (settle(host, tx, 0) != PORTERO_OP_DONE) {
				owed[unsettled].tx = tx;
				owed[unsettled].host = host;
				owed[unsettled++].used = 0;
			}
			tx++;
		} else if (nopen > 0) {
			unsigned i = (unsigned)rand_r(&seed) % nopen;
			int64_t used = rand_r(&seed) % 3 != 0;

			sent += (unsigned)used;
			if (settle(open[i].host, open[i].tx, used) !=
			    PORTERO_OP_DONE) {
				owed[unsettled].tx = open[i].tx;
				owed[unsettled].host = open[i].host;
				owed[unsettled++].used = used;
			}
			open[i] = open[--nopen];
		}
		pass(rand_r(&seed) % 1000);
		assert_true(sent <= N + N / 2);
	}
	weather = FINE;
	tend(0);
	tend(1);
	for (unsigned i = 0; i < unsettled; i++)
		assert_int_equal(settle(owed[i].host, owed[i].tx,
		    owed[i].used), PORTERO_OP_DONE);
	for (unsigned i = 0; i < nopen; i++) {
		sent++;
		assert_int_equal(settle(open[i].host, open[i].tx, 1),
		    PORTERO_OP_DONE);
	}
	assert_int_equal(charged(), sent);
}

static void
test_storms_balance_to_the_last_message(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		storm(seed);
		teardown(NULL);
		setup(NULL);
	}
}

/* As a power cut may leave a file: charges of no known unit. */
static unsigned
spoil_units(struct host_rig *r)
{
	static const char limit[32] = "hourly";
	uint8_t *memory = r->memory, *end = memory + r->bytes;
	unsigned n = 0;

	for (uint8_t *at = memory; at + sizeof(struct journal_charge) <= end;
	     at += 4) {
		if (memcmp(at, limit, sizeof limit) != 0)
			continue;
		memset(at + offsetof(struct journal_charge, unit), 0x7f, 4);
		n++;
	}
	return n;
}

static void
test_a_spoilt_entry_of_the_journal_is_none(void **state)
{
	(void)state;
	start(LOCAL, 1, &remote_plugin);
	weather = AWAY;
	assert_int_equal(take(0, 1, 10), PORTERO_OP_DONE);
	assert_true(spoil_units(&rigs[0]) > 0);
	assert_int_equal(settle(0, 1, 1), PORTERO_OP_NONE);
	weather = FINE;
	assert_int_equal(take(0, 2, 10), PORTERO_OP_DONE);
}

static void
test_a_percentage_is_told_once_in_a_window(void **state)
{
	unsigned tx = 1;

	(void)state;
	options.warn_at[0] = "80";
	options.warn_at[1] = "100%";
	start(LOCAL, 1, &near_plugin);
	assert_int_equal(send_all(0, &tx, 10, 7), 7);
	assert_int_equal(lines_with("ev=limit"), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(take(0, tx, 10), PORTERO_OP_DONE);
		assert_int_equal(lines_with("ev=limit user=ana limit=hourly "
		    "unit=messages percent=80 used=8 of=10"), 1);
		settle(0, tx++, 0);
	}
	assert_int_equal(lines_with("ev=limit"), 1);
	assert_int_equal(send_all(0, &tx, 10, 99), 3);
	assert_int_equal(lines_with("percent=100 used=10 of=10"), 1);
	assert_int_equal(lines_with("ev=limit"), 2);
	pass((HOUR + 61) * 1000);
	assert_int_equal(send_all(0, &tx, 10, 99), 10);
	assert_int_equal(lines_with("ev=limit"), 4);
}

static void
test_what_is_no_percentage_is_refused(void **state)
{
	static const char *const wrong[] = { "0", "101", "x", "", "80 %",
		"-1" };
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		options.warn_at[0] = wrong[i];
		assert_int_equal(store_check(NULL, &err), -1);
	}
	options.warn_at[0] = "1";
	assert_int_equal(store_check(NULL, &err), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What the status says under a name; "" if nothing. */
static char said[80];
static const char *asked_for;

static void
on_status(void *arg, const char *name, const char *value)
{
	(void)arg;
	if (strcmp(name, asked_for) == 0)
		snprintf(said, sizeof said, "%s", value);
}

static const char *
status(const char *name)
{
	said[0] = '\0';
	asked_for = name;
	store_status(rigs[0].worker[0], on_status, NULL);
	return said;
}

static void
test_the_status_says_why_it_is_away_and_finds_it_back(void **state)
{
	(void)state;
	start(LOCAL, 1, &remote_plugin);
	assert_string_equal(status("error"), "");
	weather = AWAY;
	assert_string_equal(status("error"), "it rains");
	assert_memory_equal(status("state"), "away", 4);
	weather = FINE;
	assert_memory_equal(status("state"), "up", 2);
	assert_string_not_equal(status("write latency"), "");
	assert_int_equal(lines_with("state=away"), 1);
	assert_int_equal(lines_with("state=up"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hosts_that_know_what_is_used_let_through_n_together),
		TEST(test_what_a_host_has_not_heard_of_counts_once),
		TEST(test_a_refusal_for_the_part_alone_is_try_later),
		TEST(test_each_change_is_said_once_and_nobody_asks_meanwhile),
		TEST(test_the_status_says_why_it_is_away_and_finds_it_back),
		TEST(test_a_take_of_unknown_fate_is_charged_once),
		TEST(test_a_take_that_is_charged_again_is_known_once),
		TEST(test_a_refusal_after_a_lost_answer_leaves_nothing),
		TEST(test_settles_balance_before_during_and_after),
		TEST(test_what_is_settled_while_it_is_charged_is_settled_there),
		TEST(test_a_second_take_of_a_message_goes_to_its_first),
		TEST(test_defer_lets_nothing_through_and_allow_everything),
		TEST(test_what_cannot_be_noted_is_not_let_through),
		TEST(test_nonsense_is_an_outage_of_that_call_only),
		TEST(test_what_is_charged_anyway_is_noted_too),
		TEST(test_a_reset_is_heard_of),
		TEST(test_an_older_answer_makes_nothing_smaller),
		TEST(test_storms_balance_to_the_last_message),
		TEST(test_a_spoilt_entry_of_the_journal_is_none),
		TEST(test_a_percentage_is_told_once_in_a_window),
		TEST(test_what_is_no_percentage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
