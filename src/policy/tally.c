/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One operation of the store is atomic within one scope. Wider scopes are
 * taken after the person's in a fixed order, and given back when a later one
 * refuses, so that all in all it is everything or nothing.
 */
#include "policy/tally.h"

#include <assert.h>
#include <string.h>

#include "policy/store.h"


/* ---- the pages ---------------------------------------------------------- */

static struct portero_str
lend(struct str s)
{
	return (struct portero_str){ s.ptr, s.len };
}

/* Persons without a class or a domain share a counter. */
static struct str
scope_key(const struct tally *t, enum portero_scope scope, struct str id,
    struct str class_name, struct str domain)
{
	struct str key = scope == PORTERO_PERSON ? id :
	    scope == PORTERO_CLASS		 ? class_name :
	    scope == PORTERO_DOMAIN		 ? domain :
						   t->host_key;

	return key.len == 0 ? STR("-") : key;
}

void
tally_clear(struct tally *t)
{
	for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
		t->pages[scope].n = 0;
}

static void
set_key(struct tally *t, int scope, struct str key)
{
	if (t->monitor) {
		snprintf(t->monitor_keys[scope], TALLY_KEY_MAX, "%.*s%s",
		    (int)key.len, key.ptr, TALLY_MONITOR);
		key = str_of(t->monitor_keys[scope]);
	}
	t->keys[scope] = lend(key);
}

void
tally_open(struct tally *t, struct str id, struct str class_name,
    struct str domain, bool monitor)
{
	t->monitor = monitor;
	for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
		set_key(t, scope, scope_key(t, (enum portero_scope)scope, id,
				      class_name, domain));
	tally_clear(t);
}

void
tally_open_login(struct tally *t, struct str login, struct str network,
    bool monitor)
{
	tally_open(t, login, STR(""), STR(""), monitor);
	set_key(t, PORTERO_NETWORK, network);
}

static bool
is_limit_name(const char name[32])
{
	size_t len = strnlen(name, 32);

	return len > 0 && len < 32 &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

static const char *
charge_fault(const struct portero_charge *c, uint32_t owner_scopes)
{
	if ((unsigned)c->scope >= PORTERO_NSCOPES ||
	    (unsigned)c->unit >= PORTERO_NUNITS ||
	    (unsigned)c->reply > PORTERO_REPLY_PERMANENT)
		return "a charge of an unknown scope, unit or reply";
	if ((owner_scopes & (1u << c->scope)) == 0)
		return "a charge of a scope that scopes() does not name";
	if (!is_limit_name(c->limit))
		return "a charge whose limit has no usable name";
	if (c->amount < 0 || c->max < PORTERO_UNLIMITED)
		return "a charge with a negative amount or maximum";
	if (c->window_s < 1 || c->window_s > PORTERO_MAX_WINDOW_S)
		return "a charge whose window is not 1 s to 31 d";
	return NULL;
}

const char *
tally_add(struct tally *t, const struct plugin *owner, uint32_t owner_scopes,
    const struct portero_charge *c)
{
	const char *fault = charge_fault(c, owner_scopes);
	struct tally_page *page;

	if (fault != NULL)
		return fault;
	page = &t->pages[c->scope];
	if (page->n == TALLY_PAGE)
		return "too many charges of one scope";
	for (size_t i = 0; i < page->n; i++)
		if (page->charges[i].unit == c->unit &&
		    strcmp(page->charges[i].limit, c->limit) == 0)
			return "a limit of a name that another one has already";
	page->charges[page->n] = *c;
	page->charges[page->n].monitor = c->monitor || t->monitor;
	page->owners[page->n++] = owner;
	return NULL;
}

bool
tally_is_empty(const struct tally *t)
{
	for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
		if (t->pages[scope].n > 0)
			return false;
	return true;
}

/* a refuses longer than b; 0 is for ever. */
static bool
is_worse(const struct portero_charge *a, const struct portero_charge *b)
{
	if (b == NULL || a->fits_at == 0)
		return b == NULL || b->fits_at != 0;
	return b->fits_at != 0 && a->fits_at > b->fits_at;
}

struct tally_entry
tally_worst(const struct tally *t, uint32_t units, bool monitor)
{
	struct tally_entry worst = { 0 };

	for (int scope = 0; scope < PORTERO_NSCOPES; scope++) {
		const struct tally_page *page = &t->pages[scope];

		for (size_t i = 0; i < page->n; i++) {
			const struct portero_charge *c = &page->charges[i];

			if (c->fits || c->monitor != monitor ||
			    (units & (1u << c->unit)) == 0 ||
			    !is_worse(c, worst.charge))
				continue;
			worst = (struct tally_entry){ c, page->owners[i] };
		}
	}
	return worst;
}

struct tally_entry
tally_fewest_left(const struct tally *t, int64_t *left_r)
{
	struct tally_entry fewest = { 0 };

	for (int scope = 0; scope < PORTERO_NSCOPES; scope++) {
		const struct tally_page *page = &t->pages[scope];

		for (size_t i = 0; i < page->n; i++) {
			const struct portero_charge *ch = &page->charges[i];
			int64_t left = ch->max - ch->used;

			if (ch->unit != PORTERO_RECIPIENTS || ch->monitor ||
			    ch->max == PORTERO_UNLIMITED ||
			    (fewest.charge != NULL && left >= *left_r))
				continue;
			fewest = (struct tally_entry){ ch, page->owners[i] };
			*left_r = left > 0 ? left : 0;
		}
	}
	return fewest;
}

void
tally_set_recipients(struct tally *t, int64_t amount)
{
	for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
		for (size_t i = 0; i < t->pages[scope].n; i++)
			if (t->pages[scope].charges[i].unit ==
			    PORTERO_RECIPIENTS)
				t->pages[scope].charges[i].amount = amount;
}

int64_t
tally_bytes(const struct tally *t)
{
	int64_t least = INT64_MAX;

	for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
		for (size_t i = 0; i < t->pages[scope].n; i++)
			if (t->pages[scope].charges[i].unit == PORTERO_BYTES &&
			    t->pages[scope].charges[i].amount < least)
				least = t->pages[scope].charges[i].amount;
	return least;
}

/* ---- the store ---------------------------------------------------------- */

static struct portero_op *
queue(struct tally *t, enum portero_op_kind kind, enum portero_scope scope,
    struct portero_str key)
{
	struct portero_op *op;

	assert(t->nops < TALLY_OPS);
	op = &t->ops[t->nops++];
	*op = (struct portero_op){ .size = sizeof *op,
		.kind = kind,
		.scope = scope,
		.key = key,
		.lifetime_s = t->lifetime_s };
	return op;
}

static void
queue_settle(struct tally *t, enum portero_scope scope, struct portero_str key,
    const struct settle *s)
{
	struct portero_op *op = queue(t, PORTERO_OP_SETTLE, scope, key);
	bool keeps = s->outcome == PORTERO_ACCEPTED ||
	    s->outcome == PORTERO_OUTCOME_UNKNOWN;

	op->lifetime_s = t->tombstone_s;
	memcpy(op->txid, s->txid, TXID_LEN);
	for (int unit = 0; unit < PORTERO_NUNITS && keeps; unit++)
		op->actual[unit] = s->actual[unit] > 0 ? s->actual[unit] : 0;
}

static bool
is_settled(const struct portero_op *op)
{
	return op->result == PORTERO_OP_DONE ||
	    op->result == PORTERO_OP_SETTLED; /* a second time */
}

/* Counts the settles that stand at the head of the queue. */
static void
count_settled(struct tally *t)
{
	size_t each = t->nsettles == 0 ? 0 : t->nsettle_ops / t->nsettles;
	size_t done = 0;

	while (done < t->nsettle_ops && is_settled(&t->ops[done]))
		done++;
	t->nsettled = each == 0 ? t->nsettles : (uint32_t)(done / each);
	t->nsettle_ops = 0;
	t->nsettles = 0;
}

/* The tests' stores have nothing before them. */
static int
apply(const struct plugin *p, struct portero_op *ops, size_t n)
{
	return p->store == NULL ? p->table->store->apply(p->ctx, ops, n) :
				  store_apply(p->store, ops, n);
}

/* Sends the queue. The results stay in t->ops; the queue is empty then. */
static int
run(struct tally *t)
{
	int ret = -1;

	if (t->store != NULL)
		ret = apply(t->store, t->ops, t->nops);
	if (t->nsettles > 0)
		count_settled(t);
	t->nops = 0;
	return ret;
}

static void
set_charges(struct portero_op *op, struct tally_page *page)
{
	op->charges = page->charges;
	op->ncharges = page->n;
	for (size_t i = 0; i < page->n; i++) {
		page->charges[i].fits = false;
		page->charges[i].used = 0;
		page->charges[i].fits_at = 0;
	}
}

enum tally_result
tally_peek(struct tally *t)
{
	size_t first = t->nops, end;

	for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
		if (t->pages[scope].n > 0)
			set_charges(queue(t, PORTERO_OP_PEEK,
					(enum portero_scope)scope,
					t->keys[scope]),
			    &t->pages[scope]);
	end = t->nops;
	if (end == first)
		return TALLY_DONE;
	if (run(t) == -1)
		return TALLY_FAILED;
	for (size_t i = first; i < end; i++)
		if (t->ops[i].result != PORTERO_OP_DONE)
			return TALLY_FAILED;
	return TALLY_DONE;
}

/* Ends the take in these scopes as if it had never been. */
static bool
give_back(struct tally *t, const uint8_t txid[TXID_LEN], uint32_t scopes)
{
	struct settle s = { .outcome = PORTERO_REFUSED };
	size_t n;

	if (scopes == 0)
		return true;
	memcpy(s.txid, txid, TXID_LEN);
	for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
		if ((scopes & (1u << scope)) != 0)
			queue_settle(t, (enum portero_scope)scope,
			    t->keys[scope], &s);
	n = t->nops;
	if (run(t) == -1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_settled(&t->ops[i]))
			return false;
	return true;
}

/* Takes one scope. *may_stand: it is taken, or nobody knows. */
static enum tally_result
take_scope(struct tally *t, enum portero_scope scope,
    const uint8_t txid[TXID_LEN], uint32_t sequence, bool *may_stand)
{
	struct portero_op *op = queue(t, PORTERO_OP_TAKE, scope,
	    t->keys[scope]);

	memcpy(op->txid, txid, TXID_LEN);
	op->sequence = sequence;
	set_charges(op, &t->pages[scope]);
	run(t);
	*may_stand = op->result == PORTERO_OP_DONE ||
	    op->result == PORTERO_OP_NONE;
	if (op->result == PORTERO_OP_DONE)
		return TALLY_DONE;
	return op->result == PORTERO_OP_REFUSED ? TALLY_REFUSED :
						  TALLY_FAILED;
}

enum tally_result
tally_take(struct tally *t, const uint8_t txid[TXID_LEN], uint32_t sequence,
    bool *stands)
{
	enum tally_result result = TALLY_DONE;
	uint32_t taken = 0;
	bool may_stand;

	*stands = false;
	if (t->store == NULL && !tally_is_empty(t))
		return TALLY_FAILED;
	for (int scope = 0; scope < PORTERO_NSCOPES; scope++) {
		if (t->pages[scope].n == 0)
			continue;
		result = take_scope(t, (enum portero_scope)scope, txid,
		    sequence, &may_stand);
		if (may_stand)
			taken |= 1u << scope;
		if (result != TALLY_DONE)
			break;
	}
	*stands = taken != 0;
	if (result != TALLY_DONE && sequence == 0)
		*stands = !give_back(t, txid, taken);
	/* a refusal of the first take says that nothing stands */
	return result == TALLY_REFUSED && *stands && sequence == 0 ?
	    TALLY_FAILED : result;
}

enum tally_result
tally_charge(struct tally *t, const uint8_t txid[TXID_LEN])
{
	size_t first = t->nops, end;

	for (int scope = 0; scope < PORTERO_NSCOPES; scope++) {
		struct tally_page *page = &t->pages[scope];
		struct settle s = { .outcome = PORTERO_ACCEPTED };
		struct portero_op *op;

		if (page->n == 0)
			continue;
		op = queue(t, PORTERO_OP_CHARGE, (enum portero_scope)scope,
		    t->keys[scope]);
		memcpy(op->txid, txid, TXID_LEN);
		memcpy(s.txid, txid, TXID_LEN);
		set_charges(op, page);
		for (size_t i = 0; i < page->n; i++)
			if (s.actual[page->charges[i].unit] <
			    page->charges[i].amount)
				s.actual[page->charges[i].unit] =
				    page->charges[i].amount;
		queue_settle(t, (enum portero_scope)scope, t->keys[scope], &s);
	}
	end = t->nops;
	if (end > first && run(t) == -1)
		return TALLY_FAILED;
	for (size_t i = first; i < end; i++)
		if (t->ops[i].result != PORTERO_OP_DONE)
			return TALLY_FAILED;
	return TALLY_DONE;
}

/* ---- settles ------------------------------------------------------------ */

void
tally_settle(struct tally *t, const struct settle *settles, uint32_t n)
{
	assert(t->nops == 0 && n <= SETTLES_MAX);
	for (uint32_t i = 0; i < n; i++)
		for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
			if ((t->scopes & (1u << scope)) != 0)
				queue_settle(t, (enum portero_scope)scope,
				    lend(scope_key(t, (enum portero_scope)scope,
					settles[i].id, settles[i].class_name,
					settles[i].domain)),
				    &settles[i]);
	t->nsettle_ops = t->nops;
	t->nsettles = n;
	t->nsettled = 0;
}

uint32_t
tally_flush(struct tally *t)
{
	if (t->nops > 0)
		run(t);
	else if (t->nsettles > 0)
		count_settled(t); /* nothing is counted: nothing to settle */
	return t->nsettled;
}

void
tally_settle_monitor(struct tally *t, const struct settle *settles,
    uint32_t n)
{
	if (t->monitor_scopes == 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		const struct settle *s = &settles[i];

		tally_open(t, s->id, s->class_name, s->domain, true);
		for (int scope = 0; scope < PORTERO_NSCOPES; scope++)
			if ((t->monitor_scopes & (1u << scope)) != 0)
				queue_settle(t, (enum portero_scope)scope,
				    t->keys[scope], s);
		run(t); /* a trial's books may miss one: it expires */
	}
}

int
tally_apply(struct tally *t, struct portero_op *op)
{
	if (t->store == NULL || apply(t->store, op, 1) == -1)
		return -1;
	return op->result == PORTERO_OP_DONE ? 0 : -1;
}
