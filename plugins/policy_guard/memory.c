/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "memory.h"

#include <string.h>

#define LAYOUT 1
#define SHARDS 64
#define ALIGNED(n) (((n) + 63) / 64 * 64)
#define HOME 'h'
#define FORGIVEN 'f'
#define HEAD ALIGNED(sizeof(struct memory_head))
#define FULL_S 60
#define TEXT_MAX 512

/* A network is a person's home, or a name's failures are forgiven. */
struct mark {
	int64_t until_s;
};

static struct portero_table_spec
spec_of(uint32_t record_size, uint32_t nrecords)
{
	return (struct portero_table_spec){
		.size = sizeof(struct portero_table_spec),
		.layout = LAYOUT,
		.record_size = record_size,
		.nrecords = nrecords,
		.nshards = SHARDS,
		.max_saves = 1
	};
}

size_t
memory_size(const struct portero_host *host, uint32_t nrecords)
{
	const struct portero_table_spec failures =
	    spec_of(sizeof(struct failures), nrecords);
	const struct portero_table_spec homes =
	    spec_of(sizeof(struct mark), nrecords);

	return HEAD + ALIGNED(host->table_size(&failures)) +
	    host->table_size(&homes);
}

int
memory_open(struct memory *m, const struct portero_host *host,
    uint32_t nrecords, void *share, size_t bytes,
    enum portero_share_state state, char err[256])
{
	const struct portero_table_spec failures =
	    spec_of(sizeof(struct failures), nrecords);
	const struct portero_table_spec homes =
	    spec_of(sizeof(struct mark), nrecords);
	size_t first = ALIGNED(host->table_size(&failures));

	m->host = host;
	m->head = share;
	m->failures = host->table_open((char *)share + HEAD, first, &failures,
	    state, err);
	if (m->failures == NULL)
		return -1;
	m->homes = host->table_open((char *)share + HEAD + first,
	    bytes - HEAD - first, &homes, state, err);
	return m->homes == NULL ? -1 : 0;
}

void
memory_close(struct memory *m)
{
	if (m->failures != NULL)
		m->host->table_close(m->failures);
	if (m->homes != NULL)
		m->host->table_close(m->homes);
}

/* ---- names of records --------------------------------------------------- */

static size_t
put(char to[TEXT_MAX], size_t at, struct portero_str s)
{
	size_t n = s.len < TEXT_MAX / 2 - 8 ? s.len : TEXT_MAX / 2 - 8;

	memcpy(to + at, s.ptr, n);
	to[at + n] = '\0'; /* neither names nor networks have one */
	return at + n + 1;
}

static struct portero_key
key_of(const struct memory *m, char kind, struct portero_str name,
    struct portero_str network)
{
	struct portero_key key;
	char text[TEXT_MAX];
	size_t at = 0;

	text[at++] = kind;
	if (kind != FAILURES_OF_NETWORK)
		at = put(text, at, name);
	if (kind != FAILURES_OF_NAME && kind != FORGIVEN)
		at = put(text, at, network);
	m->host->hash(m->host, text, at, &key);
	return key;
}

static int64_t
now_s(const struct memory *m)
{
	return m->host->now_us(m->host) / 1000000;
}

/* ---- marks -------------------------------------------------------------- */

/* When it ceases to be; 0: it is not there. */
static int64_t
mark_until(struct memory *m, const struct portero_key *key)
{
	const struct mark *found;
	int64_t until = 0;

	if (m->host->table_lock(m->homes, key) == -1)
		return 0;
	found = m->host->table_find(m->homes, key);
	if (found != NULL)
		until = found->until_s;
	m->host->table_abort(m->homes);
	return until;
}

static int
mark_set(struct memory *m, const struct portero_key *key, int64_t until_s)
{
	const struct mark mark = { .until_s = until_s };

	if (m->host->table_lock(m->homes, key) == -1)
		return -1;
	if (m->host->table_save(m->homes, key, &mark, until_s) == -1) {
		m->host->table_abort(m->homes);
		return -1;
	}
	m->host->table_commit(m->homes);
	return 0;
}

/* Failures of a name whose window ends by then count no more. */
static int64_t
forgiven_until(struct memory *m, enum failure_kind kind,
    struct portero_str name)
{
	struct portero_key key = key_of(m, FORGIVEN, name, name);
	int64_t until =
	    kind == FAILURES_OF_NETWORK ? 0 : mark_until(m, &key);

	/* the clock may have been set back */
	return until > now_s(m) + m->window_s ? 0 : until;
}

int
memory_forgive(struct memory *m, struct portero_str name)
{
	struct portero_key key = key_of(m, FORGIVEN, name, name);

	return mark_set(m, &key, now_s(m) + m->window_s);
}

/* ---- failures ----------------------------------------------------------- */

/* Of the locked shard; those of a window that is over, or has ended by
 * `after_s`, are none. */
static struct failures
load(struct memory *m, const struct portero_key *key, int64_t after_s)
{
	const struct failures *found = m->host->table_find(m->failures, key);
	struct failures f = { 0 };
	int64_t now = now_s(m);

	if (found == NULL)
		return f;
	f = *found;
	/* it may be a file that outlived a power cut, or another clock */
	if (f.until_s <= now || f.until_s <= after_s ||
	    f.until_s > now + m->window_s || f.ntags > MAX_TAGS)
		memset(&f, 0, sizeof f);
	return f;
}

int
memory_look(struct memory *m, enum failure_kind kind,
    struct portero_str name, struct portero_str network, struct failures *f)
{
	struct portero_key key = key_of(m, (char)kind, name, network);
	int64_t after_s = forgiven_until(m, kind, name);

	memset(f, 0, sizeof *f);
	if (m->host->table_lock(m->failures, &key) == -1)
		return -1;
	*f = load(m, &key, after_s);
	m->host->table_abort(m->failures);
	return 0;
}

bool
memory_is_full(const struct memory *m)
{
	int64_t until = atomic_load(&m->head->full_until_s);
	int64_t now = now_s(m);

	return until > now && until <= now + FULL_S;
}

static bool
has_tag(const struct failures *f, uint16_t tag)
{
	for (uint32_t i = 0; i < f->ntags; i++)
		if (f->tags[i] == tag)
			return true;
	return false;
}

/* The oldest makes room. */
static void
add_tag(struct failures *f, uint16_t tag)
{
	if (f->ntags == MAX_TAGS)
		memmove(f->tags, f->tags + 1, --f->ntags * sizeof f->tags[0]);
	f->tags[f->ntags++] = tag;
}

bool
memory_count(struct memory *m, enum failure_kind kind,
    struct portero_str name, struct portero_str network, uint16_t tag,
    struct failures *f)
{
	struct portero_key key = key_of(m, (char)kind, name, network);
	int64_t after_s = forgiven_until(m, kind, name);
	bool counts;

	memset(f, 0, sizeof *f);
	if (m->host->table_lock(m->failures, &key) == -1)
		return true;
	*f = load(m, &key, after_s);
	counts = kind != FAILURES_OF_PAIR || !has_tag(f, tag);
	if (!counts) {
		m->host->table_abort(m->failures);
		return false;
	}
	if (f->count == 0)
		f->until_s = now_s(m) + m->window_s;
	f->count++;
	if (kind == FAILURES_OF_PAIR)
		add_tag(f, tag);
	if (m->host->table_save(m->failures, &key, f, f->until_s) == 0) {
		m->host->table_commit(m->failures);
		return true;
	}
	m->host->table_abort(m->failures);
	atomic_store(&m->head->full_until_s, now_s(m) + FULL_S);
	return true;
}

void
memory_forget(struct memory *m, enum failure_kind kind,
    struct portero_str name, struct portero_str network)
{
	struct portero_key key = key_of(m, (char)kind, name, network);

	if (m->host->table_lock(m->failures, &key) == -1)
		return;
	m->host->table_remove(m->failures, &key);
	m->host->table_commit(m->failures);
}

/* ---- homes -------------------------------------------------------------- */

bool
memory_is_home(struct memory *m, struct portero_str name,
    struct portero_str network)
{
	struct portero_key key = key_of(m, HOME, name, network);

	return mark_until(m, &key) > now_s(m);
}

/* Written again only when half of its time is over. */
void
memory_set_home(struct memory *m, struct portero_str name,
    struct portero_str network)
{
	struct portero_key key = key_of(m, HOME, name, network);
	int64_t now = now_s(m);

	if (mark_until(m, &key) <= now + m->home_s / 2)
		mark_set(m, &key, now + m->home_s);
}
