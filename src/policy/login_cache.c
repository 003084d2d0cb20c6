/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two tables behind the host's page: right logins, whose identity takes one or
 * more parts of equal size, and wrong ones, which are few and short-lived, so
 * that guessing cannot crowd out the right ones.
 *
 * What must hold: LOGIN_RIGHT is said only of the password that the section
 * itself called right, under the settings of now, and after no flush since.
 * Ages count on the monotonic clock; the tables' own expiry only makes room.
 */
#include "policy/login_cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/shm_table.h"
#include "ipc/role.h"
#include "ipc/wire.h"
#include "policy/share.h"
#include "smtp/sasl.h"

#define NAME "login cache"
#define NRIGHT 32768 /* parts; 16 MB, of which only what is used is there */
#define NWRONG 1024
#define PART_BYTES 448
#define MAX_PARTS ((IDENTITY_MAX + PART_BYTES - 1) / PART_BYTES)
#define FLUSH_AT_ONCE 1024
#define WRONG_MS 5000
#define AWAY_MS 5000 /* from one try of a directory that is away to the next */
#define MAC_LEN 32
#define SALT_LEN 16
#define LOGIN_TEXT_MAX (SALT_LEN + 4 + SMTP_LOGIN_MAX + SMTP_PASSWORD_MAX)

/* The shared memory begins with it. */
struct head {
	_Atomic uint64_t epoch;
	_Atomic uint64_t settings; /* of all sections; 0: nobody was here yet */
	_Atomic int64_t away_until_ms[MAX_MODULES]; /* 0: it is there */
};

struct proof {
	uint8_t salt[SALT_LEN];
	uint8_t mac[MAC_LEN];
};

/* Of a right login. The first part has the proof; its key is the login's. */
struct part {
	struct proof proof;
	int64_t checked_ms;
	uint32_t number;
	uint32_t identity_len; /* of all parts */
	uint8_t identity[PART_BYTES];
};

struct wrong {
	struct proof proof;
	int64_t checked_ms;
	char cause[32];
};

struct login_cache_section {
	unsigned index;
	uint8_t key[MAC_LEN];
	int64_t fresh_ms, away_ms;
};

struct login_cache {
	struct share share;
	struct head *head; /* in the share */
	struct portero_table *right, *wrong;
	uint8_t key[MAC_LEN];
	EVP_MD_CTX *settings; /* of the sections so far */
	struct login_cache_section sections[MAX_MODULES];
	size_t nsections;
	/* a flush */
	struct str person;
	struct portero_key found[FLUSH_AT_ONCE];
	size_t nfound;
	unsigned nlogins;
};

/* ---- the memory ---------------------------------------------------------- */

static const struct portero_table_spec right_spec = {
	.size = sizeof right_spec,
	.layout = 1,
	.record_size = sizeof(struct part),
	.nrecords = NRIGHT,
	.nshards = 1, /* held for a microsecond, and a flush must see all */
	.max_saves = FLUSH_AT_ONCE,
};
static const struct portero_table_spec wrong_spec = {
	.size = sizeof wrong_spec,
	.layout = 1,
	.record_size = sizeof(struct wrong),
	.nrecords = NWRONG,
	.nshards = 1,
	.max_saves = FLUSH_AT_ONCE,
};

static size_t
head_bytes(void)
{
	return (sizeof(struct head) + 63) / 64 * 64;
}

int
login_cache_create(struct error *err)
{
	uint64_t bytes = share_size(head_bytes() +
	    shm_table_size(&right_spec) + shm_table_size(&wrong_spec));
	int fd;

	fd = memfd_create("portero-logins", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return error_set(err, ERROR_TEMPORARY, "memfd_create: %s",
		    strerror(errno));
	if (share_header_init(fd, bytes, NAME, err) == -1) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

static int
open_tables(struct login_cache *c, enum portero_share_state state,
    struct error *err)
{
	const size_t right = shm_table_size(&right_spec);
	char why[256] = "it is too small";
	uint8_t *memory;
	size_t bytes, used = head_bytes();

	memory = share_memory(&c->share, &bytes);
	c->head = (struct head *)memory;
	if (bytes >= used + right)
		c->right = shm_table_open(memory + used, right, &right_spec,
		    state, why);
	if (c->right != NULL)
		c->wrong = shm_table_open(memory + used + right,
		    bytes - used - right, &wrong_spec, state, why);
	if (c->wrong == NULL)
		return error_set(err, ERROR_INTERNAL, NAME ": %s", why);
	return 0;
}

/* Not to be swapped out, as far as we are let: all of it as it comes into use,
 * or at least what keys are made of. */
static void
keep_in_memory(const struct login_cache *c)
{
	(void)mlock(c, sizeof *c);
	if (mlock2(c->share.header, c->share.size, MLOCK_ONFAULT) == -1)
		(void)mlock(c->share.header, SHARE_HEADER_SIZE);
}

/* Half of it from the memory itself, half from the start's own segment. */
static void
make_key(struct login_cache *c, const uint8_t start_key[LOGIN_CACHE_KEY_LEN])
{
	unsigned len;

	if (HMAC(EVP_sha256(), start_key, LOGIN_CACHE_KEY_LEN,
		share_key(&c->share), HASH_KEY_LEN, c->key, &len) == NULL)
		abort();
}

struct login_cache *
login_cache_open(int fd, const uint8_t start_key[LOGIN_CACHE_KEY_LEN],
    struct error *err)
{
	struct login_cache *c = xcalloc(1, sizeof *c);
	enum portero_share_state state = PORTERO_SHARE_NONE;
	uint8_t epoch[SHARE_EPOCH_LEN];
	int ret = -1;

	share_epoch(start_key, epoch);
	if (share_map(&c->share, fd, err) == 0)
		state = share_lock(&c->share, epoch, err);
	if (state != PORTERO_SHARE_NONE) {
		ret = open_tables(c, state, err);
		share_unlock(&c->share, epoch, ret == 0);
	}
	c->settings = EVP_MD_CTX_new();
	if (ret == 0 && c->settings != NULL &&
	    EVP_DigestInit_ex(c->settings, EVP_sha256(), NULL) == 1) {
		keep_in_memory(c);
		make_key(c, start_key);
		return c;
	}
	login_cache_free(&c);
	return NULL;
}

void
login_cache_free(struct login_cache **c)
{
	if (*c == NULL)
		return;
	EVP_MD_CTX_free((*c)->settings);
	if ((*c)->right != NULL)
		shm_table_close((*c)->right);
	if ((*c)->wrong != NULL)
		shm_table_close((*c)->wrong);
	if ((*c)->share.header != NULL)
		share_unmap(&(*c)->share);
	explicit_bzero(*c, sizeof **c);
	free(*c);
	*c = NULL;
}

/* ---- sections ------------------------------------------------------------ */

struct login_cache_section *
login_cache_add(struct login_cache *c, const struct login_cache_setup *setup)
{
	struct login_cache_section *s = &c->sections[c->nsections];
	struct buf text = { .mem = NULL };
	unsigned len;

	assert(c->nsections < MAX_MODULES);
	buf_append(&text, setup->title, strlen(setup->title) + 1);
	buf_append_str(&text, setup->settings);
	buf_append(&text, "", 1);
	s->index = (unsigned)c->nsections++;
	s->fresh_ms = setup->fresh_ms;
	s->away_ms = setup->away_ms;
	if (HMAC(EVP_sha256(), c->key, sizeof c->key,
		(const uint8_t *)buf_data(&text), buf_len(&text), s->key,
		&len) == NULL ||
	    EVP_DigestUpdate(c->settings, buf_data(&text), buf_len(&text)) != 1)
		abort();
	buf_free(&text);
	return s;
}

void
login_cache_ready(struct login_cache *c)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	uint64_t settings;

	if (EVP_DigestFinal_ex(c->settings, digest, NULL) != 1)
		abort();
	memcpy(&settings, digest, sizeof settings);
	if (atomic_exchange(&c->head->settings, settings) == settings)
		return;
	for (size_t i = 0; i < MAX_MODULES; i++)
		atomic_store(&c->head->away_until_ms[i], 0);
	login_cache_flush(c, STR(""));
}

uint64_t
login_cache_epoch(const struct login_cache *c)
{
	return atomic_load(&c->head->epoch);
}

void
login_cache_set_away(struct login_cache *c,
    const struct login_cache_section *s, bool away)
{
	_Atomic int64_t *until = &c->head->away_until_ms[s->index];

	if (away)
		atomic_store(until, clock_mono_ms() + AWAY_MS);
	else if (atomic_load(until) != 0)
		atomic_store(until, 0);
}

/* When it is time to try it again, the first who looks does, and the others
 * go on with what they know. */
static bool
is_away(struct login_cache *c, const struct login_cache_section *s)
{
	_Atomic int64_t *at = &c->head->away_until_ms[s->index];
	int64_t until = atomic_load(at), now = clock_mono_ms();

	return until != 0 &&
	    (now < until ||
		!atomic_compare_exchange_strong(at, &until, now + AWAY_MS));
}

/* ---- records ------------------------------------------------------------- */

/* MAC of salt, name and password. false: too long to be one we know. */
static bool
make_mac(const struct login_cache_section *s, const uint8_t salt[SALT_LEN],
    struct str login, struct str password, uint8_t mac[MAC_LEN])
{
	uint8_t text[LOGIN_TEXT_MAX];
	struct wire_out w = { .data = text, .cap = sizeof text };
	unsigned len;
	bool made;

	wire_put_raw(&w, salt, SALT_LEN);
	wire_put_str(&w, login);
	wire_put_raw(&w, password.ptr, password.len);
	made = !w.bad &&
	    HMAC(EVP_sha256(), s->key, sizeof s->key, text, w.len, mac,
		&len) != NULL;
	explicit_bzero(text, sizeof text);
	return made;
}

static bool
proof_make(struct proof *p, const struct login_cache_section *s,
    struct str login, struct str password)
{
	id_random(p->salt, sizeof p->salt);
	return make_mac(s, p->salt, login, password, p->mac);
}

static bool
proof_fits(const struct proof *p, const struct login_cache_section *s,
    struct str login, struct str password)
{
	uint8_t mac[MAC_LEN];

	return make_mac(s, p->salt, login, password, mac) &&
	    CRYPTO_memcmp(mac, p->mac, sizeof mac) == 0;
}

/* Of the first part; a password is never in it. */
static struct portero_key
key_of(const struct login_cache_section *s, struct str login)
{
	static const uint8_t no_salt[SALT_LEN];
	uint8_t mac[MAC_LEN] = { 0 };
	struct portero_key key;

	make_mac(s, no_salt, login, STR(""), mac);
	memcpy(key.byte, mac, sizeof key.byte);
	return key;
}

static struct portero_key
key_of_part(struct portero_key key, uint32_t number)
{
	key.byte[0] ^= (uint8_t)number;
	return key;
}

static uint32_t
nparts(uint32_t identity_len)
{
	return identity_len == 0 ?
	    1 :
	    (identity_len + PART_BYTES - 1) / PART_BYTES;
}

static size_t
part_len(uint32_t identity_len, uint32_t number)
{
	size_t left = identity_len - (size_t)number * PART_BYTES;

	return left < PART_BYTES ? left : PART_BYTES;
}

/* ---- looking ------------------------------------------------------------- */

/* The identity of the locked table's record. */
static bool
collect(struct login_cache *c, struct portero_key key, uint32_t len,
    struct login_recall *r)
{
	const struct part *part;

	if (len > sizeof r->identity)
		return false;
	for (uint32_t i = 0; i < nparts(len); i++) {
		struct portero_key k = key_of_part(key, i);

		part = shm_table_find(c->right, &k);
		if (part == NULL || part->number != i ||
		    part->identity_len != len)
			return false;
		memcpy(r->identity + (size_t)i * PART_BYTES, part->identity,
		    part_len(len, i));
	}
	r->identity_len = len;
	return true;
}

static enum login_memory
find_right(struct login_cache *c, const struct login_cache_section *s,
    struct str login, struct str password, struct login_recall *r)
{
	struct portero_key key = key_of(s, login);
	int64_t age = INT64_MAX;
	struct proof proof = { 0 };
	const struct part *first;
	bool whole = false;

	if (shm_table_lock(c->right, &key) == -1)
		return LOGIN_NOT_KNOWN;
	first = shm_table_find(c->right, &key);
	if (first != NULL && first->number == 0) {
		proof = first->proof;
		age = clock_mono_ms() - first->checked_ms;
		whole = collect(c, key, first->identity_len, r);
	}
	shm_table_abort(c->right);
	if (!whole || age >= s->fresh_ms + s->away_ms ||
	    !proof_fits(&proof, s, login, password))
		return LOGIN_NOT_KNOWN;
	if (age < s->fresh_ms)
		return LOGIN_RIGHT;
	return is_away(c, s) ? LOGIN_RIGHT_AWAY : LOGIN_NOT_KNOWN;
}

static enum login_memory
find_wrong(struct login_cache *c, const struct login_cache_section *s,
    struct str login, struct str password, struct login_recall *r)
{
	struct portero_key key = key_of(s, login);
	const struct wrong *found;
	struct wrong w = { 0 };

	if (shm_table_lock(c->wrong, &key) == -1)
		return LOGIN_NOT_KNOWN;
	found = shm_table_find(c->wrong, &key);
	if (found != NULL)
		w = *found;
	shm_table_abort(c->wrong);
	if (found == NULL || clock_mono_ms() - w.checked_ms >= WRONG_MS ||
	    !proof_fits(&w.proof, s, login, password))
		return LOGIN_NOT_KNOWN;
	memcpy(r->cause, w.cause, sizeof r->cause);
	return LOGIN_WRONG;
}

enum login_memory
login_cache_find(struct login_cache *c, const struct login_cache_section *s,
    struct str login, struct str password, struct login_recall *r)
{
	enum login_memory m = find_wrong(c, s, login, password, r);

	return m == LOGIN_NOT_KNOWN ? find_right(c, s, login, password, r) : m;
}

/* ---- keeping ------------------------------------------------------------- */

static int64_t
expiry(int64_t ms)
{
	return clock_wall_s() + ms / 1000 + 1;
}

/* false: a flush came in between, or there is no room. */
static bool
plan_parts(struct login_cache *c, struct portero_key key, struct part *p,
    uint64_t epoch, struct str identity, int64_t expires_at)
{
	if (login_cache_epoch(c) != epoch)
		return false;
	for (uint32_t i = 0; i < nparts(p->identity_len); i++) {
		struct portero_key k = key_of_part(key, i);

		p->number = i;
		memset(p->identity, 0, sizeof p->identity);
		memcpy(p->identity, identity.ptr + (size_t)i * PART_BYTES,
		    part_len(p->identity_len, i));
		if (shm_table_save(c->right, &k, p, expires_at) == -1)
			return false;
		memset(&p->proof, 0, sizeof p->proof); /* in the first only */
	}
	return true;
}

static void
end(struct portero_table *t, bool good)
{
	if (good)
		shm_table_commit(t);
	else
		shm_table_abort(t);
}

void
login_cache_keep_right(struct login_cache *c,
    const struct login_cache_section *s, struct str login,
    struct str password, uint64_t epoch, struct str identity)
{
	struct portero_key key = key_of(s, login);
	struct part p = { .checked_ms = clock_mono_ms(),
		.identity_len = (uint32_t)identity.len };

	if (identity.len > IDENTITY_MAX ||
	    !proof_make(&p.proof, s, login, password) ||
	    shm_table_lock(c->right, &key) == -1)
		return;
	end(c->right, plan_parts(c, key, &p, epoch, identity,
			  expiry(s->fresh_ms + s->away_ms)));
}

void
login_cache_keep_wrong(struct login_cache *c,
    const struct login_cache_section *s, struct str login,
    struct str password, uint64_t epoch, struct str cause)
{
	struct portero_key key = key_of(s, login);
	struct wrong w = { .checked_ms = clock_mono_ms() };

	login_cache_forget(c, s, login, &password);
	str_copy(w.cause, sizeof w.cause, cause);
	if (s->fresh_ms == 0 || !proof_make(&w.proof, s, login, password) ||
	    shm_table_lock(c->wrong, &key) == -1)
		return;
	end(c->wrong, login_cache_epoch(c) == epoch &&
		shm_table_save(c->wrong, &key, &w, expiry(WRONG_MS)) == 0);
}

void
login_cache_forget(struct login_cache *c, const struct login_cache_section *s,
    struct str login, const struct str *password)
{
	static const struct part nothing;
	struct portero_key key = key_of(s, login);
	const struct part *first;
	bool is_it;

	if (shm_table_lock(c->right, &key) == -1)
		return;
	first = shm_table_find(c->right, &key);
	is_it = first != NULL &&
	    (password == NULL ||
		proof_fits(&first->proof, s, login, *password));
	end(c->right,
	    is_it && shm_table_save(c->right, &key, &nothing, 0) == 0);
}

/* ---- flushing ------------------------------------------------------------ */

static void
add_found(struct login_cache *c, struct portero_key key)
{
	if (c->nfound < FLUSH_AT_ONCE)
		c->found[c->nfound++] = key;
}

/* The identity begins with its section and the canonical id. */
static void
on_part(void *arg, const struct portero_key *key, const void *record)
{
	const struct part *p = record;
	struct login_cache *c = arg;
	struct wire_in w = { .data = p->identity, .len = sizeof p->identity };
	struct str id;

	if (p->number == 0 && c->nfound < FLUSH_AT_ONCE - MAX_PARTS) {
		(void)wire_get_str(&w);
		id = wire_get_str(&w);
		if (c->person.len > 0 && (w.bad || !str_eq(id, c->person)))
			return;
		c->nlogins++;
		for (uint32_t i = 0; i < nparts(p->identity_len); i++)
			add_found(c, key_of_part(*key, i));
	} else if (p->number != 0 && c->person.len == 0) {
		add_found(c, *key); /* of a login that has a shorter one now */
	}
}

static void
on_wrong(void *arg, const struct portero_key *key, const void *record)
{
	(void)record;
	add_found(arg, *key);
}

/* A record is overwritten, not only removed: nothing of it stays. */
static int
wipe(struct login_cache *c, struct portero_table *t,
    void (*each)(void *arg, const struct portero_key *key, const void *record))
{
	static const struct part nothing; /* the largest record */
	static const struct portero_key any;
	bool good;

	do {
		if (shm_table_lock(t, &any) == -1)
			return -1;
		c->nfound = 0;
		shm_table_each(t, each, c);
		good = true;
		for (size_t i = 0; i < c->nfound && good; i++)
			good = shm_table_save(t, &c->found[i], &nothing, 0) ==
			    0;
		end(t, good);
	} while (c->nfound > 0 && good);
	return good ? 0 : -1;
}

int
login_cache_flush(struct login_cache *c, struct str person)
{
	atomic_fetch_add(&c->head->epoch, 1);
	c->person = person;
	c->nlogins = 0;
	if (wipe(c, c->right, on_part) == -1 ||
	    wipe(c, c->wrong, on_wrong) == -1)
		return -1;
	return (int)c->nlogins;
}
