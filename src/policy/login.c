/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a plugin says of a person is checked before it becomes the identity
 * that everything later rests on: an id that is empty or cannot be logged, or
 * an entry that does not fit, counts as "cannot tell".
 *
 * A section that may be cached is asked only for what the cache does not know;
 * when nobody could be asked, what the cache knew before stands in.
 *
 * Words for the log (cause): ok, cached, cached_away, bad_password, no_user,
 * suspended, deferred, timeout, plugin; or for DENY and DEFER the plugin's own
 * (reply.reason).
 */
#include "policy/login.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/role.h"
#include "policy/host.h"
#include "policy/refusal.h"

/* An auth section. */
struct section {
	struct plugin *plugin;             /* borrowed */
	struct login_cache_section *cache; /* borrowed; NULL: not for it */
};

struct login {
	struct section sections[MAX_MODULES];
	size_t nsections;
	struct login_cache *cache; /* borrowed; NULL: none */
	struct shared *shared; /* borrowed */
	unsigned row;
	const char *delimiters; /* borrowed */
	/* what the answer points to */
	struct portero_identity identity;
	struct portero_reply reply;
	uint8_t blob[IDENTITY_MAX];
	struct login_recall recall;
};

struct login *
login_new(struct plugin *const *plugins, size_t n, struct shared *shared,
    unsigned row, const char *delimiters)
{
	struct login *l = xcalloc(1, sizeof *l);

	assert(n <= MAX_MODULES);
	for (size_t i = 0; i < n; i++)
		l->sections[i].plugin = plugins[i];
	l->nsections = n;
	l->shared = shared;
	l->row = row;
	l->delimiters = delimiters;
	return l;
}

static bool
may_cache(const struct section *s)
{
	const struct config_module *m = s->plugin->module;

	return s->plugin->table->auth->may_cache &&
	    (m->cache_time_s > 0 || m->cache_away_time_s > 0);
}

bool
login_wants_cache(const struct login *l)
{
	for (size_t i = 0; i < l->nsections; i++)
		if (may_cache(&l->sections[i]))
			return true;
	return false;
}

static void
add_to_cache(struct login *l, struct section *s)
{
	const struct config_module *m = s->plugin->module;
	struct login_cache_setup setup = { .title = plugin_name(m),
		.fresh_ms = m->cache_time_s * 1000,
		.away_ms = m->cache_away_time_s * 1000 };
	struct buf text = { .mem = NULL };

	config_print_section(m->options, &text);
	setup.settings = (struct str){ buf_data(&text), buf_len(&text) };
	s->cache = login_cache_add(l->cache, &setup);
	buf_free(&text);
}

void
login_use_cache(struct login *l, struct login_cache *c)
{
	l->cache = c;
	for (size_t i = 0; i < l->nsections; i++)
		if (may_cache(&l->sections[i]))
			add_to_cache(l, &l->sections[i]);
	login_cache_ready(c);
}

void
login_free(struct login **l)
{
	free(*l);
	*l = NULL;
}

/* Terminated, without control characters. */
static bool
is_text(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return len < size;
}

static const char *
identity_fault(const struct portero_identity *i)
{
	if (i->id[0] == '\0' || !is_text(i->id, sizeof i->id))
		return "an identity without a usable id";
	if (!is_text(i->class_name, sizeof i->class_name) ||
	    !is_text(i->language, sizeof i->language) || i->max_size < 0)
		return "an identity with an unusable class, language or size";
	if (i->nlimits > PORTERO_MAX_LIMITS)
		return "an identity with too many limits";
	for (uint32_t n = 0; n < i->nlimits; n++)
		if (!is_text(i->limits[n].name, sizeof i->limits[n].name) ||
		    i->limits[n].max < PORTERO_UNLIMITED)
			return "an identity with an unusable limit";
	return NULL;
}

/* The identity goes into the answer. NULL, or what is wrong with it. */
static const char *
accept_identity(struct login *l, const struct plugin *p, struct login_answer *a)
{
	const char *fault = identity_fault(&l->identity);
	size_t len;

	if (fault != NULL)
		return fault;
	len = identity_encode_from(l->blob, sizeof l->blob, &l->identity,
	    str_of(plugin_name(p->module)));
	if (len == 0)
		return "an identity that does not fit 4 KiB";
	a->id = str_of(l->identity.id);
	a->class_name = str_of(l->identity.class_name);
	a->domain = identity_domain(&l->identity);
	a->identity = (struct str){ (const char *)l->blob, len };
	return NULL;
}

static void
plugin_failed(const struct login *l, const struct plugin *p, struct str sid,
    const char *what)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "plugin_failed");
	log_add(&line, "s", sid);
	log_adds(&line, "plugin", plugin_name(p->module));
	log_adds(&line, "stage", "login");
	log_adds(&line, "module", p->module->plugin);
	log_adds(&line, "cause", what);
	log_end(&line);
	shared_add(l->shared, l->row, COUNTER_PLUGIN_FAILED, 1);
}

/* The plugin's word, if it gave a usable one. */
static struct str
cause_or(const struct login *l, struct str otherwise)
{
	const char *reason = l->reply.reason;
	size_t len = strnlen(reason, sizeof l->reply.reason);

	if (len == 0 || len == sizeof l->reply.reason ||
	    strspn(reason, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
		return otherwise;
	return str_of(reason);
}

static void
fill_denied(struct login *l, struct login_answer *a)
{
	bool usable;

	a->verdict = PORTERO_DENY;
	a->cause = cause_or(l, STR("bad_password"));
	if (l->reply.code != 525)
		return;
	a->cause = STR("suspended");
	a->suspended = true;
	if (identity_fault(&l->identity) == NULL) /* for the log */
		a->id = str_of(l->identity.id);
	refusal_clamp(&l->reply, PORTERO_DENY, &usable);
	a->reply = refusal_view(&l->reply);
}

static void
fill_deferred(struct login *l, struct login_answer *a)
{
	bool usable;

	a->verdict = PORTERO_DEFER;
	a->cause = host_is_late() ? STR("timeout") :
			      cause_or(l, STR("deferred"));
	if (l->reply.code == 0)
		return;
	refusal_clamp(&l->reply, PORTERO_DEFER, &usable);
	if (usable)
		a->reply = refusal_view(&l->reply);
}

/* ---- what is remembered -------------------------------------------------- */

static struct str
view(struct portero_str s)
{
	return (struct str){ s.ptr, s.len };
}

/* An identity of the cache goes into the answer. */
static bool
recall_right(struct login *l, const struct section *s, const char *cause,
    struct login_answer *a)
{
	const struct str blob = { (const char *)l->recall.identity,
		l->recall.identity_len };

	if (identity_decode(blob, &l->identity) == -1 ||
	    accept_identity(l, s->plugin, a) != NULL)
		return false;
	a->verdict = PORTERO_NEXT;
	a->cause = str_of(cause);
	return true;
}

/* true: the cache knows the answer. */
static bool
recall(struct login *l, const struct section *s,
    const struct portero_creds *creds, struct login_answer *a)
{
	if (s->cache == NULL)
		return false;
	switch (login_cache_find(l->cache, s->cache, view(creds->login),
	    view(creds->password), &l->recall)) {
	case LOGIN_RIGHT:
		if (!recall_right(l, s, "cached", a))
			return false;
		break;
	case LOGIN_RIGHT_AWAY:
		if (!recall_right(l, s, "cached_away", a))
			return false;
		shared_add(l->shared, l->row, COUNTER_LOGIN_CACHE_AWAY, 1);
		return true;
	case LOGIN_WRONG:
		a->verdict = PORTERO_DENY;
		a->cause = str_of(l->recall.cause);
		break;
	case LOGIN_NOT_KNOWN:
		return false;
	}
	shared_add(l->shared, l->row, COUNTER_LOGIN_CACHE_HIT, 1);
	return true;
}

/* What the section said of a login when it was asked: v, and in *a. */
static void
remember(struct login *l, const struct section *s,
    const struct portero_creds *creds, uint64_t epoch,
    enum portero_verdict v, const struct login_answer *a)
{
	const struct str login = view(creds->login);
	const struct str password = view(creds->password);

	if (s->cache == NULL)
		return;
	shared_add(l->shared, l->row, COUNTER_LOGIN_CACHE_MISS, 1);
	if (v == PORTERO_NEXT || v == PORTERO_DENY || v == PORTERO_UNKNOWN)
		login_cache_set_away(l->cache, s->cache, false);
	if (v == PORTERO_UNKNOWN)
		login_cache_forget(l->cache, s->cache, login, NULL);
	else if (a->verdict == PORTERO_NEXT)
		login_cache_keep_right(l->cache, s->cache, login, password,
		    epoch, a->identity);
	else if (a->suspended)
		login_cache_forget(l->cache, s->cache, login, &password);
	else if (a->verdict == PORTERO_DENY)
		login_cache_keep_wrong(l->cache, s->cache, login, password,
		    epoch, a->cause);
}

/* Nobody could be asked: what was right before may do. */
static void
stand_in(struct login *l, const struct section *s,
    const struct portero_creds *creds, struct login_answer *a)
{
	if (s->cache == NULL)
		return;
	login_cache_set_away(l->cache, s->cache, true);
	recall(l, s, creds, a);
}

/* ---- asking -------------------------------------------------------------- */

static enum portero_verdict
ask_plugin(struct login *l, const struct plugin *p,
    const struct portero_creds *creds)
{
	memset(&l->identity, 0, sizeof l->identity);
	l->identity.size = sizeof l->identity;
	l->reply = (struct portero_reply){ .size = sizeof l->reply };
	return p->table->auth->login(p->ctx, creds, &l->identity, &l->reply);
}

static void
take_verdict(struct login *l, const struct plugin *p, enum portero_verdict v,
    struct str sid, struct login_answer *a)
{
	const char *fault = NULL;

	switch (v) {
	case PORTERO_UNKNOWN:
		return;
	case PORTERO_NEXT:
		fault = accept_identity(l, p, a);
		a->verdict = PORTERO_NEXT;
		a->cause = STR("ok");
		break;
	case PORTERO_DENY:
		fill_denied(l, a);
		break;
	case PORTERO_DEFER:
	case PORTERO_AWAY:
		fill_deferred(l, a);
		if (host_is_late())
			plugin_failed(l, p, sid, "deadline");
		break;
	default:
		fault = "no verdict";
	}
	if (fault != NULL) {
		plugin_failed(l, p, sid, fault);
		a->verdict = PORTERO_DEFER;
		a->cause = STR("plugin");
	}
}

static void
say_verdict(const struct section *s, enum portero_verdict v)
{
	static const char *const words[] = {
		[PORTERO_NEXT] = "the login is right",
		[PORTERO_DENY] = "the login is wrong",
		[PORTERO_DEFER] = "cannot tell now",
		[PORTERO_UNKNOWN] = "knows nobody of this name",
		[PORTERO_AWAY] = "nobody is there who could be asked",
	};
	const size_t n = sizeof words / sizeof *words;

	host_say(plugin_name(s->plugin->module), PORTERO_LOG_DEBUG,
	    (size_t)v < n && words[v] != NULL ? words[v] : "no verdict");
}

/* Asks one section. false: it does not know the person. */
static bool
ask(struct login *l, const struct section *s,
    const struct portero_creds *creds, struct str sid, struct login_answer *a)
{
	enum portero_verdict v;
	uint64_t epoch = 0;

	a->plugin = str_of(plugin_name(s->plugin->module));
	if (recall(l, s, creds, a))
		return true;
	if (s->cache != NULL)
		epoch = login_cache_epoch(l->cache);
	v = ask_plugin(l, s->plugin, creds);
	say_verdict(s, v);
	take_verdict(l, s->plugin, v, sid, a);
	remember(l, s, creds, epoch, v, a);
	if (v == PORTERO_AWAY)
		stand_in(l, s, creds, a);
	return v != PORTERO_UNKNOWN;
}

static void
ask_all(struct login *l, const struct login_question *q,
    struct login_answer *a)
{
	const struct portero_creds creds = { .size = sizeof creds,
		.login = { q->login.ptr, q->login.len },
		.password = { q->password.ptr, q->password.len },
		.mechanism = { q->mechanism.ptr, q->mechanism.len },
		.client_address = { q->client_address.ptr,
		    q->client_address.len },
		.listener = { q->listener.ptr, q->listener.len } };

	*a = (struct login_answer){ .verdict = PORTERO_DENY };
	/* Some directories call an empty password correct (RFC 4513 5.1.2). */
	if (q->password.len > 0 && q->login.len > 0 &&
	    memchr(q->password.ptr, '\0', q->password.len) == NULL)
		for (size_t i = 0; i < l->nsections; i++)
			if (ask(l, &l->sections[i], &creds, q->session_id, a))
				return;
	a->plugin = STR("");
	a->cause = STR("no_user");
	a->nobody = true;
}

/* Tells two passwords of one login apart, nearly always, and nothing else
 * about them: the key is secret and new with every start. */
static uint16_t
password_tag(const struct login *l, const struct login_question *q)
{
	const uint8_t *key = l->shared->key + HASH_KEY_LEN;
	uint8_t text[2 * sizeof(uint64_t)];
	uint64_t of_login = hash_sip64(key, q->login.ptr, q->login.len);
	uint64_t of_password = hash_sip64(key, q->password.ptr,
	    q->password.len);

	memcpy(text, &of_login, sizeof of_login);
	memcpy(text + sizeof of_login, &of_password, sizeof of_password);
	return (uint16_t)hash_sip64(key, text, sizeof text);
}

void
login_ask(struct login *l, const struct login_question *q,
    struct login_answer *a)
{
	ask_all(l, q, a);
	if (a->verdict == PORTERO_DENY && !a->suspended)
		a->tag = password_tag(l, q);
}

static const struct plugin *
find_section(const struct login *l, struct str section)
{
	for (size_t i = 0; i < l->nsections; i++) {
		const struct plugin *p = l->sections[i].plugin;

		if (str_eq(str_of(plugin_name(p->module)), section))
			return p;
	}
	return NULL; /* a reload removed it */
}

static enum portero_owned
ask_owned(struct login *l, const struct plugin *p,
    const struct owns_question *q, struct str address)
{
	const struct portero_str lent = { address.ptr, address.len };

	switch (p->table->auth->owns(p->ctx, &l->identity, lent)) {
	case PORTERO_NEXT:
		return PORTERO_OWNED_YES;
	case PORTERO_DENY:
		return PORTERO_OWNED_NO;
	case PORTERO_DEFER:
	case PORTERO_AWAY:
		return PORTERO_OWNED_UNKNOWN;
	default:
		plugin_failed(l, p, q->session_id, "no verdict on an address");
		return PORTERO_OWNED_UNKNOWN;
	}
}

void
login_owns(struct login *l, const struct owns_question *q,
    struct owns_answer *a)
{
	char plain[ADDRESS_MAX + 1];
	const struct plugin *p;
	struct str section;

	a->owned = PORTERO_OWNED_UNKNOWN;
	if (identity_decode_from(q->identity, &l->identity, &section) == -1)
		return;
	a->owned = identity_owns(&l->identity, q->address, l->delimiters);
	p = find_section(l, section);
	if (a->owned != PORTERO_OWNED_UNKNOWN || p == NULL ||
	    p->table->auth->owns == NULL)
		return;
	a->owned = ask_owned(l, p, q, q->address);
	if (a->owned == PORTERO_OWNED_NO &&
	    address_plain(plain, q->address, l->delimiters) > 0)
		a->owned = ask_owned(l, p, q, str_of(plain));
}

void
login_forget(struct login *l, const struct forget_question *q,
    struct forget_answer *a)
{
	int n = l->cache == NULL ? 0 : login_cache_flush(l->cache, q->person);

	a->failed = n == -1;
	a->nlogins = n == -1 ? 0 : (uint32_t)n;
}
