/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every operation is the plugin's or this host's. The host's are those that
 * the plugin failed, all while the store is away, and those of owners whose
 * entries are still in the journal.
 */
#include "policy/store_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "policy/host.h"
#include "policy/warning.h"

#define AGAIN_MS 1000 /* a store that is away is tried so often */
#define LEASE_MS 2000 /* of whoever tends the store, should it die */
#define COMPLAIN_EVERY_S 60
#define PROBE_LIFETIME_S 10
#define STATE_SIZE 128
_Static_assert(sizeof(struct store_state) <= STATE_SIZE, "the state");

/* ---- opening ------------------------------------------------------------ */

static uint32_t
mirror_entries(const struct portero_conf *options)
{
	return (uint32_t)config_get_int(options, "local_entries");
}

/* A message takes the room of four counters. */
static uint32_t
journal_entries(const struct portero_conf *options)
{
	return mirror_entries(options) / 4;
}

static size_t
page_aligned(size_t n)
{
	return (n + 4095) / 4096 * 4096;
}

size_t
store_size(const struct portero_conf *options, bool is_remote)
{
	size_t size = page_aligned(STATE_SIZE + warner_size());

	if (is_remote)
		size += page_aligned(mirror_size(mirror_entries(options))) +
		    page_aligned(journal_size(journal_entries(options)));
	return size;
}

int
store_check(const struct portero_conf *options, struct error *err)
{
	return warner_check(options, err);
}

static void
state_init(struct store_state *state, enum portero_share_state share)
{
	if (share == PORTERO_SHARE_IN_USE)
		return;
	atomic_store(&state->away, 0);
	atomic_store(&state->tend_at_ns, 0);
	atomic_store(&state->since_s, clock_wall_s());
	atomic_store(&state->complained_at_s, 0);
}

/* The mirror and the journal stand behind the page of the others. */
static int
open_remote(struct store *s, uint8_t *memory, size_t bytes,
    enum portero_share_state state, char why[256])
{
	const struct portero_conf *options = s->plugin->module->options;
	size_t first = page_aligned(STATE_SIZE + warner_size());
	size_t second = first +
	    page_aligned(mirror_size(mirror_entries(options)));

	s->mode = (enum store_mode)config_get_int(options, "on_store_failure");
	s->hosts = config_get_int(options, "hosts");
	s->mirror = mirror_open(memory + first, second - first,
	    mirror_entries(options), state, s->plugin->host.key, why);
	if (s->mirror == NULL)
		return -1;
	s->journal = journal_open(memory + second, bytes - second,
	    journal_entries(options), state, s->plugin->host.key, why);
	return s->journal == NULL ? -1 : 0;
}

struct store *
store_open(const struct plugin *p, void *memory, size_t bytes,
    enum portero_share_state state, struct error *err)
{
	struct store *s = xcalloc(1, sizeof *s);
	char why[256] = "";

	s->plugin = p;
	s->patience_ms = STORE_PATIENCE_MS;
	s->is_remote = p->table->store->remote;
	s->state = memory;
	state_init(s->state, state);
	s->warner = warner_open(p->module->options,
	    (uint8_t *)memory + STATE_SIZE, warner_size(), state, why);
	if (s->warner == NULL ||
	    (s->is_remote &&
		open_remote(s, memory, bytes, state, why) == -1)) {
		error_set(err, ERROR_PERMANENT, "%s", why);
		store_close(&s);
	}
	return s;
}

void
store_close(struct store **s)
{
	if (*s == NULL)
		return;
	warner_close(&(*s)->warner);
	mirror_close(&(*s)->mirror);
	journal_close(&(*s)->journal);
	free(*s);
	*s = NULL;
}

void
store_start(struct store *s, struct shared *shared, unsigned row,
    int64_t question_ms)
{
	s->shared = shared;
	s->row = row;
	if (question_ms / 2 < s->patience_ms)
		s->patience_ms = question_ms / 2;
}

void
store_count(const struct store *s, enum counter c, uint64_t n)
{
	if (s->shared != NULL)
		shared_add(s->shared, s->row, c, n);
}

/* Says what keeps limits from working, but not with every message. */
void
store_complain(struct store *s, const char *what)
{
	int64_t now_s = clock_wall_s();
	int64_t last = atomic_load(&s->state->complained_at_s);

	if (now_s - last < COMPLAIN_EVERY_S && now_s >= last)
		return;
	if (atomic_compare_exchange_strong(&s->state->complained_at_s, &last,
		now_s))
		log_say(LOG_LEVEL_ERROR, "store", "%s", what);
}

/* ---- away and back ------------------------------------------------------ */

bool
store_is_away(const struct store *s)
{
	return atomic_load(&s->state->away) != 0;
}

static const char *
trouble(const struct store *s)
{
	const struct portero_store *table = s->plugin->table->store;
	const char *why = NULL;

	if (table->trouble != NULL)
		why = table->trouble(s->plugin->ctx);
	return why == NULL ? "it did not answer" : why;
}

void
store_log_state(const struct store *s, enum log_level level, const char *state,
    const char *error, int64_t away_s, int64_t n)
{
	struct log_line l;

	log_begin(&l, level, "store");
	log_adds(&l, "state", state);
	log_adds(&l, "plugin", s->plugin->module->plugin);
	if (error != NULL)
		log_adds(&l, "error", error);
	if (away_s >= 0)
		log_addn(&l, "away_s", away_s);
	if (n >= 0)
		log_addn(&l, "n", n);
	log_end(&l);
}

/* Not always the same, so that hosts do not come at once. */
static int64_t
again_ns(void)
{
	uint8_t byte;

	id_random(&byte, 1);
	return clock_mono_ns() + (AGAIN_MS + byte) * CLOCK_NS_PER_MS;
}

static void
turn_away(struct store *s)
{
	uint32_t up = 0;

	atomic_store(&s->state->tend_at_ns, again_ns());
	if (!atomic_compare_exchange_strong(&s->state->away, &up, 1))
		return; /* another worker has said so */
	atomic_store(&s->state->since_s, clock_wall_s());
	store_count(s, COUNTER_STORE_OUTAGES, 1);
	store_log_state(s, LOG_LEVEL_ERROR, "away", trouble(s), -1, -1);
}

static void
turn_up(struct store *s)
{
	int64_t since_s = atomic_load(&s->state->since_s);
	uint32_t away = 1;

	if (!atomic_compare_exchange_strong(&s->state->away, &away, 0))
		return;
	atomic_store(&s->state->since_s, clock_wall_s());
	store_log_state(s, LOG_LEVEL_WARNING, "up", NULL,
	    clock_wall_s() - since_s, -1);
}

/* ---- asking the plugin -------------------------------------------------- */

static void
forget_results(struct portero_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].result = PORTERO_OP_NONE;
}

/* No longer than the patience; a store that did not even have that long is
 * not thought to be away. */
int
store_ask(struct store *s, struct portero_op *ops, size_t n)
{
	bool was_hurried = host_hurry(s->patience_ms);
	int ret;

	forget_results(ops, n);
	ret = s->plugin->table->store->apply(s->plugin->ctx, ops, n);
	host_hurry_over();
	if (ret == -1 && was_hurried)
		turn_away(s);
	return ret;
}

bool
store_is_take(const struct portero_op *op)
{
	return op->kind == PORTERO_OP_TAKE || op->kind == PORTERO_OP_CHARGE;
}

bool
store_is_answered(const struct portero_op *op)
{
	for (size_t i = 0; i < op->ncharges; i++)
		if (op->charges[i].used < 0)
			return false;
	switch (op->kind) {
	case PORTERO_OP_TAKE:
		return op->result == PORTERO_OP_DONE ||
		    op->result == PORTERO_OP_REFUSED ||
		    op->result == PORTERO_OP_SETTLED;
	case PORTERO_OP_SETTLE:
	case PORTERO_OP_CHARGE:
		return op->result == PORTERO_OP_DONE ||
		    op->result == PORTERO_OP_SETTLED;
	default:
		return op->result == PORTERO_OP_DONE;
	}
}

/* ---- one question ------------------------------------------------------- */

/* true: the host must answer it, or did. */
static bool
is_ours(struct store *s, struct portero_op *op)
{
	if (store_is_away(s))
		return true;
	if (!journal_any(s->journal))
		return false;
	if (op->kind == PORTERO_OP_PEEK || store_is_take(op))
		return s->mode != STORE_DEFER && store_has_entries(s, op);
	return op->kind == PORTERO_OP_SETTLE && store_settle_here(s, op);
}

static void
ask_remote(struct store *s, struct portero_op *ops, size_t n)
{
	int64_t asked_us = clock_wall_us();

	store_ask(s, ops, n);
	for (size_t i = 0; i < n; i++) {
		struct portero_op *op = &ops[i];

		if (store_is_answered(op)) {
			store_note(s, op, asked_us);
			warner_look(s->warner, op);
		} else {
			store_answer_here(s, op,
			    store_is_take(op) &&
				op->result != PORTERO_OP_FAILED);
		}
	}
}

int
store_apply(struct store *s, struct portero_op *ops, size_t n)
{
	size_t end;
	int ret;

	if (!s->is_remote) {
		ret = s->plugin->table->store->apply(s->plugin->ctx, ops, n);
		for (size_t i = 0; i < n; i++)
			warner_look(s->warner, &ops[i]);
		return ret;
	}
	forget_results(ops, n);
	for (size_t i = 0; i < n; i = end) {
		end = i;
		while (end < n && ops[end].result == PORTERO_OP_NONE &&
		    !is_ours(s, &ops[end]))
			end++;
		if (end > i)
			ask_remote(s, ops + i, end - i);
		else if (ops[end++].result == PORTERO_OP_NONE)
			store_answer_here(s, &ops[i], false);
	}
	return 0;
}

/* ---- between questions -------------------------------------------------- */

/* Writes something, for a store may be readable and yet of no use. */
static bool
probe(struct store *s)
{
	struct portero_charge c = { .size = sizeof c,
		.scope = PORTERO_HOST,
		.unit = PORTERO_MESSAGES,
		.limit = "probe",
		.max = PORTERO_UNLIMITED,
		.window_s = 1 };
	struct portero_op ops[2] = { { .size = sizeof *ops,
					 .kind = PORTERO_OP_TAKE,
					 .scope = PORTERO_HOST,
					 .key = { " probe", 6 },
					 .lifetime_s = PROBE_LIFETIME_S,
					 .charges = &c,
					 .ncharges = 1 } };

	id_random(ops[0].txid, sizeof ops[0].txid);
	ops[1] = ops[0];
	ops[1].kind = PORTERO_OP_SETTLE;
	ops[1].ncharges = 0;
	return store_ask(s, ops, 2) == 0 && store_is_answered(&ops[0]) &&
	    store_is_answered(&ops[1]);
}

static int64_t
tend(struct store *s)
{
	int64_t next_ns = again_ns();

	host_begin(clock_mono_ns() + 2 * STORE_PATIENCE_MS * CLOCK_NS_PER_MS,
	    STR(""));
	if (store_is_away(s) && probe(s))
		turn_up(s);
	if (!store_is_away(s) && store_charge_journal(s))
		next_ns = clock_mono_ns();
	host_end();
	return next_ns;
}

bool
store_needs_tending(const struct store *s)
{
	return s->is_remote && (store_is_away(s) || journal_any(s->journal));
}

int64_t
store_tend(struct store *s)
{
	int64_t due_ns, now_ns;

	if (!store_needs_tending(s))
		return 0;
	now_ns = clock_mono_ns();
	due_ns = atomic_load(&s->state->tend_at_ns);
	if (now_ns < due_ns)
		return due_ns;
	/* One worker does it; should that die, another one after a while. */
	if (!atomic_compare_exchange_strong(&s->state->tend_at_ns, &due_ns,
		now_ns + LEASE_MS * CLOCK_NS_PER_MS))
		return due_ns;
	due_ns = tend(s);
	atomic_store(&s->state->tend_at_ns, due_ns);
	return due_ns;
}

/* ---- status ------------------------------------------------------------- */

static void __attribute__((format(printf, 4, 5)))
rowf(void (*row)(void *arg, const char *name, const char *value), void *arg,
    const char *name, const char *format, ...)
{
	char value[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(value, sizeof value, format, ap);
	va_end(ap);
	row(arg, name, value);
}

static void
remote_status(struct store *s,
    void (*row)(void *arg, const char *name, const char *value), void *arg)
{
	static const char *const modes[] = { "local", "defer", "allow" };
	int64_t asked_ns = clock_mono_ns();
	bool is_there = probe(s);
	char since[24];

	if (is_there && store_is_away(s))
		turn_up(s);
	clock_format(since, sizeof since, atomic_load(&s->state->since_s));
	rowf(row, arg, "state", "%s since %s", store_is_away(s) ? "away" : "up",
	    since);
	rowf(row, arg, "on_store_failure", "%s, hosts = %" PRId64,
	    modes[s->mode], s->hosts);
	if (is_there)
		rowf(row, arg, "write latency", "%.1f ms",
		    (double)(clock_mono_ns() - asked_ns) / CLOCK_NS_PER_MS);
	else
		row(arg, "error", trouble(s));
	rowf(row, arg, "to be charged", "%zu messages",
	    journal_count(s->journal));
	if (clock_wall_s() < atomic_load(&s->state->unknown_until_s))
		row(arg, "warning", "there was no room to know what all "
		    "persons have used: raise local_entries");
}

void
store_status(struct store *s,
    void (*row)(void *arg, const char *name, const char *value), void *arg)
{
	const struct portero_store *table = s->plugin->table->store;

	rowf(row, arg, "plugin", "%s %s", s->plugin->module->plugin,
	    s->plugin->table->version);
	if (s->is_remote)
		remote_status(s, row, arg);
	if (table->status == NULL || (s->is_remote && store_is_away(s)))
		return;
	host_hurry(s->patience_ms);
	if (table->status(s->plugin->ctx, row, arg) == -1)
		row(arg, "warning", trouble(s));
	host_hurry_over();
}
