/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * auth_ldap: people in an LDAP directory.
 *
 *   auth "directory" {
 *           plugin = auth_ldap
 *           uri = {"ldaps://ldap1.example.org", "ldaps://ldap2.example.org"}
 *           base = "ou=people,dc=example,dc=org"
 *   }
 *
 * A person is looked for by the typed name and then binds with the password;
 * who they are, with limits and addresses, comes from the same search. What
 * must hold: "wrong" is said only after the directory said something about
 * the person; everything else is "later".
 */
#include <stdlib.h>
#include <string.h>

#include <portero/plugin.h>

#include "result.h"
#include "settings.h"

struct auth_ldap {
	const struct portero_host *host; /* borrowed */
	struct settings *settings;
	struct servers *servers; /* NULL in the check role */
};

/* One login. */
struct login {
	struct auth_ldap *a;
	struct portero_identity *identity; /* NULL: only the DN is wanted */
	char name[NAME_SIZE];
	char dn[FILTER_SIZE];
	struct connection *person; /* bound as the person; borrowed */
	/* by group, if the entry names its groups */
	bool is_required, is_class[MAX_CLASSES];
};

static const struct result go_on = { PORTERO_NEXT, "ok" };
static const struct result later = { PORTERO_DEFER, "ldap_error" };

/* ---- reading ------------------------------------------------------------- */

/* Who binds by template with no login of the service reads as the person. */
static bool
reads_as_person(const struct login *l)
{
	const char *mechanism = l->a->settings->servers.service.mechanism;

	return l->person != NULL && l->a->settings->ndn_templates > 0 &&
	    mechanism != NULL && *mechanism == '\0';
}

/* *ld_r: reads what was found; NULL: nobody answered. */
static void
ask(struct login *l, const struct query *q, LDAP **ld_r, struct found *f,
    struct answer *answer)
{
	struct connection *c = l->person;

	if (!reads_as_person(l)) {
		servers_search(l->a->servers, q, &c, f, answer);
	} else {
		connection_search(c, q, f, answer);
		if (server_is_down(answer) || answer->is_open) {
			found_clear(f);
			servers_drop(l->a->servers, TO_BIND, !answer->is_open,
			    answer);
			l->person = NULL;
			c = NULL;
		}
	}
	*ld_r = c == NULL ? NULL : connection_handle(c);
}

static struct result
fail(const struct auth_ldap *a, const struct answer *answer, const char *on)
{
	a->host->log(a->host, PORTERO_LOG_WARNING, "%s: %s%s", on,
	    answer->text,
	    answer->code == LDAP_REFERRAL ? " (it is not followed)" : "");
	return result_of_search(answer);
}

/* No server could be asked: that says nothing of the person. */
static struct result
nobody_there(const struct auth_ldap *a, const struct answer *answer,
    const char *on)
{
	struct result r = fail(a, answer, on);

	r.verdict = PORTERO_AWAY;
	return r;
}

/* ---- the entry ----------------------------------------------------------- */

static void
look_at_groups(struct login *l, LDAP *ld, LDAPMessage *entry)
{
	const struct settings *s = l->a->settings;
	const char *attribute = s->attributes.group;

	if (attribute == NULL)
		return;
	if (s->required_group != NULL)
		l->is_required =
		    entry_is_in(ld, entry, attribute, s->required_group);
	for (size_t i = 0; i < s->nclasses; i++)
		l->is_class[i] =
		    entry_is_in(ld, entry, attribute, s->classes[i].group);
}

static struct result
take_entry(struct login *l, LDAP *ld, LDAPMessage *entry)
{
	const struct settings *s = l->a->settings;
	char *dn = ldap_get_dn(ld, entry);
	size_t len = dn == NULL ? 0 : strlen(dn);
	struct result r = later;

	/* A bind without a DN would be right with any password. */
	if (len > 0 && len < sizeof l->dn) {
		memcpy(l->dn, dn, len + 1);
		r = go_on;
	}
	ldap_memfree(dn);
	if (l->identity == NULL || r.verdict != PORTERO_NEXT)
		return r;
	if (!entry_identity(l->a->host, ld, entry, &s->attributes,
		s->addresses_complete, l->identity))
		return (struct result){ PORTERO_DEFER, "no_id" };
	look_at_groups(l, ld, entry);
	return r;
}

static struct result
take_only_entry(struct login *l, LDAP *ld, const struct found *f,
    const struct answer *answer, const char *on)
{
	const struct portero_host *host = l->a->host;

	if (answer->code != LDAP_SUCCESS && f->nentries < 2)
		return fail(l->a, answer, on);
	if (f->nreferences > 0)
		host->log(host, PORTERO_LOG_DEBUG,
		    "%s: references to other servers are not followed", on);
	if (f->nentries == 0)
		return (struct result){ PORTERO_UNKNOWN, "no_user" };
	if (f->nentries == 1)
		return take_entry(l, ld, f->entry);
	host->log(host, PORTERO_LOG_ERROR,
	    "%s: more than one person; nobody logs in by this name", on);
	return (struct result){ PORTERO_DEFER, "ambiguous" };
}

static struct result
read_entry(struct login *l, const char *base, int scope, const char *filter)
{
	char *attributes[MAX_ATTRIBUTES] = { (char[]){ LDAP_NO_ATTRS } };
	const struct query q = { .base = base,
		.scope = scope,
		.filter = filter,
		.attributes = attributes,
		.max_entries = 2 };
	struct found found;
	struct answer answer;
	struct result r;
	LDAP *ld;

	if (l->identity != NULL)
		entry_attribute_list(&l->a->settings->attributes, attributes);
	ask(l, &q, &ld, &found, &answer);
	if (ld == NULL)
		r = nobody_there(l->a, &answer, "search");
	else
		r = take_only_entry(l, ld, &found, &answer,
		    scope == LDAP_SCOPE_BASE ? base : filter);
	found_clear(&found);
	return r;
}

static struct result
search_entry(struct login *l)
{
	const struct settings *s = l->a->settings;
	struct name_value values[NAME_VALUES];
	char filter[FILTER_SIZE];

	name_values(l->name, values);
	if (!name_expand(s->filter, values, NAME_VALUES, filter_escape, filter,
		sizeof filter))
		return (struct result){ PORTERO_UNKNOWN, "no_user" };
	return read_entry(l, s->base, s->scope, filter);
}

/* ---- the password -------------------------------------------------------- */

/* The server says that it did not even look. */
static bool
is_untried(const struct answer *answer)
{
	return answer->code == LDAP_BUSY || answer->code == LDAP_UNAVAILABLE;
}

/*
 * A bind is repeated once, after a connection that was found dead at once,
 * and never after a time-out: the directory may have counted it.
 */
static struct result
bind_person(struct login *l, struct portero_str password)
{
	struct servers *servers = l->a->servers;
	struct answer answer;
	bool repeated = false;

	for (size_t i = 0; i <= servers_count(servers); i++) {
		l->person = servers_take(servers, TO_BIND, &answer);
		if (l->person == NULL)
			continue;
		connection_bind(l->person, l->dn, LDAP_SASL_SIMPLE, password,
		    &answer);
		if (!server_is_down(&answer)) {
			struct result r = result_of_bind(&answer);

			return r.verdict == PORTERO_DEFER ?
			    fail(l->a, &answer, l->dn) :
			    r;
		}
		servers_drop(servers, TO_BIND, repeated || !answer.at_once,
		    &answer);
		l->person = NULL;
		if (is_untried(&answer))
			continue;
		if (repeated || !answer.at_once)
			break;
		repeated = true;
	}
	return nobody_there(l->a, &answer, "bind");
}

/* ---- groups -------------------------------------------------------------- */

/* Does the group's entry match the filter for this person? */
static struct result
search_group(struct login *l, const char *group, bool *is_member)
{
	struct name_value values[NAME_VALUES + 1];
	char none[] = LDAP_NO_ATTRS, filter[2 * FILTER_SIZE];
	char *attributes[] = { none, NULL };
	const struct query q = { .base = group,
		.scope = LDAP_SCOPE_BASE,
		.filter = filter,
		.attributes = attributes };
	struct result r = go_on;
	struct found found;
	struct answer answer;
	LDAP *ld;

	name_values(l->name, values);
	values[NAME_VALUES] =
	    (struct name_value){ 'D', { l->dn, strlen(l->dn) } };
	if (!name_expand(l->a->settings->group_filter, values, NAME_VALUES + 1,
		filter_escape, filter, sizeof filter))
		return later;
	ask(l, &q, &ld, &found, &answer);
	if (ld == NULL)
		r = nobody_there(l->a, &answer, group);
	else if (answer.code != LDAP_SUCCESS)
		r = fail(l->a, &answer, group);
	else
		*is_member = found.nentries > 0;
	found_clear(&found);
	return r;
}

static struct result
find_class(struct login *l)
{
	const struct settings *s = l->a->settings;
	struct result r = go_on;
	size_t i = 0;

	if (l->identity->class_name[0] != '\0')
		return r;
	for (; i < s->nclasses && r.verdict == PORTERO_NEXT; i++) {
		if (s->group_filter != NULL)
			r = search_group(l, s->classes[i].group,
			    &l->is_class[i]);
		if (l->is_class[i])
			break;
	}
	if (r.verdict == PORTERO_NEXT && i < s->nclasses)
		snprintf(l->identity->class_name,
		    sizeof l->identity->class_name, "%s", s->classes[i].name);
	return r;
}

static struct result
check_groups(struct login *l)
{
	const struct settings *s = l->a->settings;
	struct result r = go_on;

	if (s->required_group != NULL && s->group_filter != NULL)
		r = search_group(l, s->required_group, &l->is_required);
	if (r.verdict != PORTERO_NEXT)
		return r;
	if (s->required_group != NULL && !l->is_required)
		return (struct result){ PORTERO_DENY, "not_in_group" };
	return find_class(l);
}

/* ---- logging in ---------------------------------------------------------- */

static struct result
login_by_search(struct login *l, struct portero_str password)
{
	struct result r = search_entry(l);

	if (r.verdict == PORTERO_NEXT)
		r = bind_person(l, password);
	/* an entry that went away in between */
	if (r.verdict == PORTERO_UNKNOWN && l->dn[0] != '\0')
		r.verdict = PORTERO_DENY;
	return r;
}

static struct result
bind_by_template(struct login *l, const char *template,
    struct portero_str password)
{
	struct name_value values[NAME_VALUES];

	name_values(l->name, values);
	if (!name_expand(template, values, NAME_VALUES, dn_escape, l->dn,
		sizeof l->dn))
		return (struct result){ PORTERO_UNKNOWN, "no_user" };
	return bind_person(l, password);
}

/*
 * One DN after the other, until one is not simply wrong: a directory does not
 * tell a name that it lacks from a wrong password. Where it says more (locked,
 * or not now) the person is there, or nobody can tell: the rest would be no
 * better answer.
 */
static struct result
bind_by_templates(struct login *l, struct portero_str password)
{
	const struct settings *s = l->a->settings;
	struct result all = { PORTERO_UNKNOWN, "no_user" };

	for (size_t i = 0; i < s->ndn_templates; i++) {
		struct result r =
		    bind_by_template(l, s->dn_templates[i], password);

		if (!result_may_be_unknown(&r))
			return r;
		if (r.verdict != PORTERO_UNKNOWN)
			all = r;
	}
	return all;
}

static struct result
login_by_template(struct login *l, struct portero_str password)
{
	char dn[FILTER_SIZE];
	struct result r = bind_by_templates(l, password);

	if (r.verdict != PORTERO_NEXT)
		return r;
	memcpy(dn, l->dn, sizeof dn);
	r = read_entry(l, dn, LDAP_SCOPE_BASE, "(objectClass=*)");
	if (r.verdict != PORTERO_UNKNOWN)
		return r;
	l->a->host->log(l->a->host, PORTERO_LOG_ERROR,
	    "%s: may log in, but the entry may not be read", dn);
	return (struct result){ PORTERO_DEFER, "no_id" };
}

static enum portero_verdict
auth_ldap_login(void *ctx, const struct portero_creds *creds,
    struct portero_identity *identity, struct portero_reply *reply)
{
	struct auth_ldap *a = ctx;
	struct login l = { .a = a, .identity = identity };
	struct result r;

	/* An empty password makes an anonymous bind of any (RFC 4513 5.1.2). */
	if (creds->password.len == 0 ||
	    !name_normalize(&a->settings->names, creds->login, l.name))
		return PORTERO_UNKNOWN;
	if (a->settings->ndn_templates > 0)
		r = login_by_template(&l, creds->password);
	else
		r = login_by_search(&l, creds->password);
	if (r.verdict == PORTERO_NEXT)
		r = check_groups(&l);
	snprintf(reply->reason, sizeof reply->reason, "%s", r.cause);
	return r.verdict;
}

/* ---- whose address ------------------------------------------------------- */

static enum portero_verdict
matches(struct login *l, const char *template,
    const struct name_value *values, size_t n)
{
	char none[] = LDAP_NO_ATTRS, filter[2 * FILTER_SIZE];
	char *attributes[] = { none, NULL };
	const struct query q = { .base = l->a->settings->owns_base,
		.scope = LDAP_SCOPE_SUBTREE,
		.filter = filter,
		.attributes = attributes,
		.max_entries = 1 };
	const struct portero_host *host = l->a->host;
	enum portero_verdict v = PORTERO_DEFER;
	struct found found;
	struct answer answer;
	LDAP *ld;

	if (!name_expand(template, values, n, filter_escape, filter,
		sizeof filter)) {
		host->log(host, PORTERO_LOG_WARNING,
		    "owns_filter: with this person's names in it it has more "
		    "than %zu octets and is not asked", sizeof filter - 1);
		return v;
	}
	ask(l, &q, &ld, &found, &answer);
	if (ld != NULL && found.nentries > 0)
		v = PORTERO_NEXT;
	else if (ld != NULL && answer.code == LDAP_SUCCESS)
		v = PORTERO_DENY;
	else
		fail(l->a, &answer, filter);
	found_clear(&found);
	return v;
}

/* l->dn of the person, who may have moved since they logged in. */
static enum portero_verdict
find_dn(struct login *l, const char *id)
{
	const struct settings *s = l->a->settings;
	const struct name_value value = { 'i', { id, strlen(id) } };
	char template[256], filter[FILTER_SIZE];
	struct result r;

	snprintf(template, sizeof template, "(%s=%%i)", s->attributes.id);
	if (!name_expand(template, &value, 1, filter_escape, filter,
		sizeof filter))
		return PORTERO_DEFER;
	r = read_entry(l, s->base, s->scope, filter);
	return r.verdict == PORTERO_UNKNOWN ? PORTERO_DENY : r.verdict;
}

static enum portero_verdict
auth_ldap_owns(void *ctx, const struct portero_identity *identity,
    struct portero_str address)
{
	struct auth_ldap *a = ctx;
	const struct settings *s = a->settings;
	const struct name_rules as_it_is = { .lower = false };
	struct name_value values[NAME_VALUES + 2];
	enum portero_verdict v = PORTERO_NEXT;
	struct login l = { .a = a };

	if (!name_normalize(&as_it_is, address, l.name))
		return PORTERO_DENY;
	if (s->owns_by_dn)
		v = find_dn(&l, identity->id);
	if (v != PORTERO_NEXT)
		return v;
	name_values(l.name, values);
	values[0].letter = 'a';
	values[NAME_VALUES] = (struct name_value){ 'i',
		{ identity->id, strlen(identity->id) } };
	values[NAME_VALUES + 1] =
	    (struct name_value){ 'D', { l.dn, strlen(l.dn) } };
	v = PORTERO_DENY;
	for (size_t i = 0; i < s->nowns_filters && v == PORTERO_DENY; i++)
		v = matches(&l, s->owns_filters[i], values, NAME_VALUES + 2);
	return v;
}

/* ---- open and close ------------------------------------------------------ */

static size_t
auth_ldap_share_size(const struct portero_host *host,
    const struct portero_conf *conf)
{
	(void)conf;
	return servers_share_size(host);
}

static void
auth_ldap_close(void *ctx)
{
	struct auth_ldap *a = ctx;

	servers_free(&a->servers);
	settings_free(&a->settings);
	free(a);
}

static int
auth_ldap_open(const struct portero_host *host,
    const struct portero_conf *conf, void *share, size_t share_bytes,
    enum portero_share_state state, void **ctx, char err[256])
{
	struct auth_ldap *a = calloc(1, sizeof *a);
	const struct settings *s;

	if (a == NULL) {
		snprintf(err, 256, "out of memory");
		return -1;
	}
	a->host = host;
	a->settings = settings_new(host, conf, err);
	s = a->settings;
	if (s != NULL && state != PORTERO_SHARE_NONE)
		a->servers = servers_new(&s->servers,
		    (const char *const *)s->uris, s->nuris, share,
		    share_bytes, state, err);
	if (s == NULL || (state != PORTERO_SHARE_NONE && a->servers == NULL)) {
		auth_ldap_close(a);
		return -1;
	}
	*ctx = a;
	return 0;
}

static const struct portero_auth auth = {
	.size = sizeof auth,
	.login = auth_ldap_login,
	.owns = auth_ldap_owns,
	.may_cache = true,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "auth_ldap",
	.version = "1",
	.options = settings_options,
	.share_size = auth_ldap_share_size,
	.open = auth_ldap_open,
	.close = auth_ldap_close,
	.auth = &auth,
};
