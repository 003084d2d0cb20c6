/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Everything stands in one shard: an operation takes microseconds, and one
 * shard is full only when the whole table is.
 */
#include "books.h"

#include <assert.h>
#include <string.h>

#define KEY_MAX 1024  /* of an owner */
#define GROUP_SHARE 4 /* so many records to one group of tombstones */

_Static_assert(sizeof(struct record) == sizeof(uint64_t) +
	sizeof(struct counter_record), "a counter is the largest record");

static struct portero_table_spec
table_spec(uint32_t nrecords)
{
	return (struct portero_table_spec){
		.size = sizeof(struct portero_table_spec),
		.layout = BOOKS_LAYOUT,
		.record_size = sizeof(struct record),
		.nrecords = nrecords,
		.nshards = 1,
		.max_saves = MAX_SAVES,
	};
}

size_t
books_size(const struct portero_host *host, uint32_t nrecords)
{
	struct portero_table_spec spec = table_spec(nrecords);

	return host->table_size(&spec);
}

int
books_open(struct books *b, const struct portero_host *host, uint32_t nrecords,
    void *memory, size_t bytes, enum portero_share_state state, char err[256])
{
	struct portero_table_spec spec = table_spec(nrecords);

	*b = (struct books){ .host = host, .ngroups = nrecords / GROUP_SHARE };
	b->table = host->table_open(memory, bytes, &spec, state, err);
	return b->table == NULL ? -1 : 0;
}

void
books_close(struct books *b)
{
	b->host->table_close(b->table);
}

/* ---- keys -------------------------------------------------------------- */

/* What is hashed: numbers and strings, each string behind its length, so
 * that two different lists never have the same bytes. */
struct name {
	size_t len;
	uint8_t bytes[KEY_MAX + 64];
};

static void
name_add(struct name *n, const void *data, size_t len)
{
	assert(n->len + len <= sizeof n->bytes);
	if (len > 0)
		memcpy(n->bytes + n->len, data, len);
	n->len += len;
}

static void
name_add_number(struct name *n, uint32_t number)
{
	name_add(n, &number, sizeof number);
}

static struct portero_key
name_hash(const struct books *b, const struct name *n)
{
	struct portero_key key;

	b->host->hash(b->host, n->bytes, n->len, &key);
	return key;
}

static struct portero_key
owner_key(const struct books *b, enum portero_scope scope,
    struct portero_str key)
{
	struct name n;

	n.len = 0;
	name_add(&n, "owner", 5);
	name_add_number(&n, scope);
	name_add_number(&n, (uint32_t)key.len);
	name_add(&n, key.ptr, key.len);
	return name_hash(b, &n);
}

static uint64_t
head_of(const struct portero_key *key)
{
	uint64_t head;

	memcpy(&head, key->byte, sizeof head);
	return head;
}

struct portero_key
books_entry_key(const struct books *b, const struct entry *e)
{
	struct portero_key key = b->owner;

	memcpy(key.byte + 8, &e->tail, sizeof e->tail);
	return key;
}

struct portero_key
books_counter_key(const struct books *b, const struct portero_charge *c)
{
	size_t len = strlen(c->limit);
	struct portero_key hash;
	struct name n;

	n.len = 0;
	name_add(&n, "limit", 5);
	name_add(&n, b->owner.byte, sizeof b->owner.byte);
	name_add_number(&n, c->unit);
	name_add_number(&n, (uint32_t)len);
	name_add(&n, c->limit, len);
	hash = name_hash(b, &n);
	return books_entry_key(b, &(struct entry){ .tail = head_of(&hash) });
}

struct portero_key
books_txid_key(const struct books *b, const uint8_t txid[16])
{
	struct name n;

	n.len = 0;
	name_add(&n, "txid", 4);
	name_add(&n, b->owner.byte, sizeof b->owner.byte);
	name_add(&n, txid, 16);
	return name_hash(b, &n);
}

/* ---- transactions ------------------------------------------------------ */

int
books_lock(struct books *b, enum portero_scope scope, struct portero_str key)
{
	if (key.len > KEY_MAX)
		return -1;
	b->owner = owner_key(b, scope, key);
	if (b->host->table_lock(b->table, &b->owner) == -1)
		return -1;
	/* Read under the lock, the clock goes back only if it is set back. */
	b->now_us = b->host->now_us(b->host);
	if (b->now_us < 0)
		b->now_us = 0;
	b->now_s = b->now_us / 1000000;
	return 0;
}

void
books_commit(struct books *b)
{
	b->host->table_commit(b->table);
}

void
books_abort(struct books *b)
{
	b->host->table_abort(b->table);
}

static const struct record *
find(const struct books *b, const struct portero_key *key,
    enum record_kind kind)
{
	const struct record *r = b->host->table_find(b->table, key);

	return r != NULL && r->kind == kind ? r : NULL;
}

static int
save(const struct books *b, const struct portero_key *key,
    const struct record *r, int64_t expires_at)
{
	return b->host->table_save(b->table, key, r, expires_at);
}

bool
books_load_counter(const struct books *b, const struct portero_key *key,
    struct record *r)
{
	const struct record *found = find(b, key, RECORD_COUNTER);

	if (found == NULL || !counter_is_sound(&found->counter.counter) ||
	    found->counter.unit >= PORTERO_NUNITS)
		return false;
	*r = *found;
	return true;
}

int
books_save_counter(const struct books *b, const struct portero_key *key,
    struct record *r, int64_t keep_until)
{
	struct counter_record *c = &r->counter;
	int64_t passes_at = counter_passes_at(&c->counter);

	if (c->expires_at < passes_at)
		c->expires_at = passes_at;
	if (c->expires_at < keep_until)
		c->expires_at = keep_until;
	return save(b, key, r, c->expires_at);
}

bool
books_is_owner(const struct books *b, const struct portero_key *owner)
{
	return memcmp(owner, &b->owner, sizeof *owner) == 0;
}

struct victims {
	const struct books *books;
	struct portero_key keys[MAX_SAVES];
	size_t n;
};

static void
add_victim(void *arg, const struct portero_key *key, const void *record)
{
	const struct record *r = record;
	struct victims *v = arg;

	if (r->kind == RECORD_COUNTER &&
	    books_is_owner(v->books, &r->counter.owner) && v->n < MAX_SAVES)
		v->keys[v->n++] = *key;
}

int
books_reset(struct books *b)
{
	struct victims v = { .books = b };

	for (;;) {
		v.n = 0;
		b->host->table_each(b->table, add_victim, &v);
		for (size_t i = 0; i < v.n; i++)
			b->host->table_remove(b->table, &v.keys[i]);
		books_commit(b);
		if (v.n < MAX_SAVES)
			return 0;
		if (b->host->table_lock(b->table, &b->owner) == -1)
			return -1;
	}
}

/* ---- reservations ------------------------------------------------------ */

static struct portero_key
part_key(const struct portero_key *txid_key, uint32_t part)
{
	struct portero_key key = *txid_key;

	key.byte[0] = (uint8_t)(key.byte[0] + part);
	return key;
}

static uint32_t
nparts(const struct reservation *r)
{
	return r->nentries == 0 ? 1 :
	    (r->nentries + PART_ENTRIES - 1) / PART_ENTRIES;
}

static uint32_t
part_length(const struct reservation *r, uint32_t part)
{
	uint32_t left = r->nentries - part * PART_ENTRIES;

	return left < PART_ENTRIES ? left : PART_ENTRIES;
}

bool
books_load_reservation(const struct books *b,
    const struct portero_key *txid_key, struct reservation *r)
{
	const struct record *found = find(b, txid_key, RECORD_PART);

	r->taken = 0;
	r->expires_at = 0;
	r->nentries = 0;
	if (found == NULL || found->part.nentries > MAX_ENTRIES)
		return false;
	r->taken = found->part.taken;
	r->expires_at = found->part.expires_at;
	r->nentries = found->part.nentries;
	for (uint32_t part = 0; part < nparts(r); part++) {
		struct portero_key key = part_key(txid_key, part);

		found = find(b, &key, RECORD_PART);
		if (found == NULL) { /* lost with a power cut */
			r->nentries = part * PART_ENTRIES;
			break;
		}
		memcpy(r->entries + part * PART_ENTRIES, found->part.entries,
		    part_length(r, part) * sizeof(struct entry));
	}
	return true;
}

int
books_save_reservation(const struct books *b,
    const struct portero_key *txid_key, const struct reservation *r)
{
	struct record record = { .kind = RECORD_PART };

	for (uint32_t part = 0; part < nparts(r); part++) {
		struct portero_key key = part_key(txid_key, part);

		record.part = (struct part_record){ .owner = b->owner,
			.taken = r->taken,
			.expires_at = r->expires_at,
			.nentries = part == 0 ? r->nentries :
						part_length(r, part) };
		memcpy(record.part.entries, r->entries + part * PART_ENTRIES,
		    part_length(r, part) * sizeof(struct entry));
		if (save(b, &key, &record, r->expires_at) == -1)
			return -1;
	}
	return 0;
}

/* ---- tombstones -------------------------------------------------------- */

static struct portero_key
group_key(const struct books *b, const struct portero_key *txid_key)
{
	struct portero_key key = { .byte = "settled" };
	uint64_t group;

	memcpy(&group, txid_key->byte + 8, sizeof group);
	group %= b->ngroups;
	memcpy(key.byte + 8, &group, sizeof group);
	return key;
}

bool
books_is_settled(const struct books *b, const struct portero_key *txid_key)
{
	struct portero_key key = group_key(b, txid_key);
	const struct record *found = find(b, txid_key, RECORD_PART);

	if (found != NULL && found->part.settled != 0)
		return true;
	found = find(b, &key, RECORD_SETTLED);
	if (found == NULL)
		return false;
	for (uint32_t i = 0; i < found->settled.n && i < SETTLED_IN_GROUP; i++)
		if (found->settled.tag[i] == head_of(txid_key) &&
		    found->settled.expires_at[i] > b->now_s)
			return true;
	return false;
}

/* Leaves out what has expired. Returns when the last of the rest will. */
static int64_t
settled_prune(struct settled_record *s, int64_t now_s)
{
	int64_t last = 0;
	uint32_t n = s->n < SETTLED_IN_GROUP ? s->n : SETTLED_IN_GROUP;

	s->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (s->expires_at[i] <= now_s)
			continue;
		s->tag[s->n] = s->tag[i];
		s->expires_at[s->n++] = s->expires_at[i];
		if (s->expires_at[i] > last)
			last = s->expires_at[i];
	}
	return last;
}

/* -1: the group is full of tombstones that must live, or the table. */
static int
group_add(const struct books *b, const struct portero_key *txid_key,
    int64_t expires_at)
{
	struct portero_key key = group_key(b, txid_key);
	const struct record *found = find(b, &key, RECORD_SETTLED);
	struct record r = { .kind = RECORD_SETTLED };
	int64_t last;

	if (found != NULL)
		r = *found;
	last = settled_prune(&r.settled, b->now_s);
	if (r.settled.n == SETTLED_IN_GROUP)
		return -1;
	r.settled.tag[r.settled.n] = head_of(txid_key);
	r.settled.expires_at[r.settled.n++] = expires_at;
	return save(b, &key, &r, last > expires_at ? last : expires_at);
}

int
books_bury(const struct books *b, const struct portero_key *txid_key,
    const struct reservation *r, int64_t expires_at)
{
	struct record record = { .kind = RECORD_PART };
	bool is_grouped = group_add(b, txid_key, expires_at) == 0;

	for (uint32_t part = 0; r != NULL && part < nparts(r); part++) {
		struct portero_key key = part_key(txid_key, part);

		b->host->table_remove(b->table, &key);
	}
	if (is_grouped)
		return 0;
	if (r == NULL)
		return -1;
	record.part.owner = b->owner;
	record.part.expires_at = expires_at;
	record.part.settled = 1;
	return save(b, txid_key, &record, expires_at);
}
