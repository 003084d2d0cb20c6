/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a plugin says of a person is checked before it becomes the identity
 * that everything later rests on: an id that is empty or cannot be logged, or
 * an entry that does not fit, counts as "cannot tell".
 *
 * Words for the log (cause): ok, bad_password, no_user, suspended, deferred,
 * timeout, plugin; or for DENY and DEFER the plugin's own (reply.reason).
 */
#include "policy/login.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/role.h"
#include "policy/refusal.h"

struct login {
	struct plugin *plugins[MAX_MODULES]; /* borrowed */
	size_t nplugins;
	struct shared *shared; /* borrowed */
	unsigned row;
	/* what the answer points to */
	struct portero_identity identity;
	struct portero_reply reply;
	uint8_t blob[IDENTITY_MAX];
};

struct login *
login_new(struct plugin *const *plugins, size_t n, struct shared *shared,
    unsigned row)
{
	struct login *l = xcalloc(1, sizeof *l);

	assert(n <= MAX_MODULES);
	memcpy(l->plugins, plugins, n * sizeof *plugins);
	l->nplugins = n;
	l->shared = shared;
	l->row = row;
	return l;
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

/* Asks one section. false: it does not know the person. */
static bool
ask(struct login *l, const struct plugin *p, const struct portero_creds *creds,
    struct str sid, struct login_answer *a)
{
	const char *fault = NULL;

	memset(&l->identity, 0, sizeof l->identity);
	l->identity.size = sizeof l->identity;
	l->reply = (struct portero_reply){ .size = sizeof l->reply };
	a->plugin = str_of(plugin_name(p->module));
	switch (p->table->auth->login(p->ctx, creds, &l->identity, &l->reply)) {
	case PORTERO_UNKNOWN:
		return false;
	case PORTERO_NEXT:
		fault = accept_identity(l, p, a);
		a->verdict = PORTERO_NEXT;
		a->cause = STR("ok");
		break;
	case PORTERO_DENY:
		fill_denied(l, a);
		break;
	case PORTERO_DEFER:
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
	return true;
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
		for (size_t i = 0; i < l->nplugins; i++)
			if (ask(l, l->plugins[i], &creds, q->session_id, a))
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
	for (size_t i = 0; i < l->nplugins; i++)
		if (str_eq(str_of(plugin_name(l->plugins[i]->module)), section))
			return l->plugins[i];
	return NULL; /* a reload removed it */
}

void
login_owns(struct login *l, const struct owns_question *q,
    struct owns_answer *a)
{
	const struct portero_str address = { q->address.ptr, q->address.len };
	const struct plugin *p;
	enum portero_verdict v;
	struct str section;

	a->owned = PORTERO_OWNED_UNKNOWN;
	if (identity_decode_from(q->identity, &l->identity, &section) == -1)
		return;
	a->owned = identity_owns(&l->identity, q->address);
	p = find_section(l, section);
	if (a->owned != PORTERO_OWNED_UNKNOWN || p == NULL ||
	    p->table->auth->owns == NULL)
		return;
	v = p->table->auth->owns(p->ctx, &l->identity, address);
	if (v == PORTERO_NEXT)
		a->owned = PORTERO_OWNED_YES;
	else if (v == PORTERO_DENY)
		a->owned = PORTERO_OWNED_NO;
	else if (v != PORTERO_DEFER)
		plugin_failed(l, p, q->session_id, "no verdict on an address");
}
