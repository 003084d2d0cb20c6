/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A mistake that the directory would tell only at somebody's login (a broken
 * filter, a DN that is none) is found here, when the configuration is read.
 */
#include "settings.h"

#include <stdlib.h>
#include <string.h>

/* ---- options ------------------------------------------------------------- */

/* The orders of their values below. */
static const char *const balances[] = { "order", "spread", NULL };
static const char *const scopes[] = { "sub", "one", NULL };
static const char *const cases[] = { "lower", "keep", NULL };

/* clang-format off */
static const struct portero_option class_options[] = {
	{ "group", PORTERO_OPT_STRING,
	  .help = "DN of the group whose members are of the class.",
	  .required = true },
	{ 0 },
};

const struct portero_option settings_options[] = {
	{ "uri", PORTERO_OPT_LIST,
	  .help = "Servers: ldaps://host, ldap://host:port or "
	    "ldapi://%2Fpath%2Fof%2Fsocket. All hold the same directory. Each "
	    "has its own connections; one that fails is left out for a while "
	    "and the next one is asked.",
	  .required = true },
	{ "balance", PORTERO_OPT_ENUM, "order",
	  .help = "Which server is asked: the first one that is up, or "
	    "(spread) by each worker another one.",
	  .choices = balances },
	{ "starttls", PORTERO_OPT_BOOL, "no",
	  .help = "Begin TLS on ldap:// connections before anything else is "
	    "said, or do without the server." },
	{ "tls_verify", PORTERO_OPT_BOOL, "yes",
	  .help = "The server's certificate must be valid and name the host of "
	    "the URI. With no, anybody in between can read passwords." },
	{ "ca_file", PORTERO_OPT_FILE,
	  .help = "Authorities that may sign the servers' certificates. "
	    "Without: those of the system." },
	{ "certificate", PORTERO_OPT_FILE,
	  .help = "Our certificate, for servers that want one." },
	{ "key", PORTERO_OPT_FILE,
	  .help = "Its key, readable by user_auth." },
	{ "bind_dn", PORTERO_OPT_STRING,
	  .help = "The service's own login, for reading. Without it and "
	    "sasl_external people are looked for anonymously." },
	{ "bind_password_file", PORTERO_OPT_SECRET,
	  .help = "File with its password." },
	{ "sasl_external", PORTERO_OPT_BOOL, "no",
	  .help = "The service logs in by what the server knows of it anyway: "
	    "its Unix user (ldapi) or its certificate (SASL EXTERNAL)." },
	{ "base", PORTERO_OPT_STRING,
	  .help = "DN below which people are looked for. Needed unless "
	    "dn_template is set." },
	{ "scope", PORTERO_OPT_ENUM, "sub",
	  .help = "All levels below base, or one.",
	  .choices = scopes },
	{ "filter", PORTERO_OPT_STRING, "(uid=%u)",
	  .help = "How a person is found by the name that was typed: %u all "
	    "of it, %n its local part, %d its domain, %% a "
	    "percent sign. Its attributes should be indexed, also "
	    "objectClass if it is named." },
	{ "dn_template", PORTERO_OPT_LIST,
	  .help = "The person's DN, made of the name as in filter: saves the "
	    "search. Of several the first holds under which the password is "
	    "right; each one before it is tried, so a name should be in one "
	    "place only. The entry is read after the login, by the person if "
	    "the service has no login of its own. A name that does not exist "
	    "looks like a wrong password then, so that no auth section "
	    "behind this one is asked." },
	{ "name_case", PORTERO_OPT_ENUM, "lower",
	  .help = "Whether capitals in the typed name become small letters.",
	  .choices = cases },
	{ "default_domain", PORTERO_OPT_STRING,
	  .help = "Domain that is added to a typed name without one." },
	{ "id_attribute", PORTERO_OPT_STRING, "uid",
	  .help = "The attribute that names the person in counters, logs and "
	    "to the other options. It must have one value, and nobody else "
	    "that value." },
	{ "address_attributes", PORTERO_OPT_LIST, "{mail}",
	  .help = "Attributes with the person's own addresses." },
	{ "class_attribute", PORTERO_OPT_STRING,
	  .help = "The attribute with the person's class. It goes before "
	    "class sections." },
	{ "limit_attribute", PORTERO_OPT_STRING,
	  .help = "The attribute with the person's own limits: name=value or "
	    "name=value/window, e.g. hourly=500 or hourly=unlimited." },
	{ "size_attribute", PORTERO_OPT_STRING,
	  .help = "The attribute with the largest message that the person may "
	    "send, e.g. 25M." },
	{ "language_attribute", PORTERO_OPT_STRING, "preferredLanguage",
	  .help = "The attribute with the person's language." },
	{ "group_attribute", PORTERO_OPT_STRING, "memberOf",
	  .help = "The attribute in which the entry names its groups by their "
	    "DNs." },
	{ "group_filter", PORTERO_OPT_STRING,
	  .help = "Instead of group_attribute: what the group's entry must "
	    "match, e.g. (member=%D) or (memberUid=%u). %D is the person's "
	    "DN, the others are as in filter." },
	{ "required_group", PORTERO_OPT_STRING,
	  .help = "DN of the group that one must be in to log in." },
	{ "class", PORTERO_OPT_SECTION,
	  .help = "A class by group; its title is the class. The first that "
	    "fits holds.",
	  .section = class_options },
	{ "owns_filter", PORTERO_OPT_LIST,
	  .help = "When an address is not in the person's entry: it is theirs "
	    "if an entry matches one of these filters. %a is the address, %n "
	    "and %d its parts, %i the person's id, %D the DN of the entry "
	    "below base that has this id (one search more). E.g. "
	    "(&(mail=%a)(member=%D))." },
	{ "owns_base", PORTERO_OPT_STRING,
	  .help = "DN below which owns_filter is looked for. Without: base." },
	{ "connect_timeout", PORTERO_OPT_DURATION, "2s",
	  .help = "For a connection with TLS. It and timeout together should "
	    "leave time for a second server within auth_timeout.",
	  .min = 1, .max = 60 },
	{ "timeout", PORTERO_OPT_DURATION, "2s",
	  .help = "For each answer of a server.",
	  .min = 1, .max = 60 },
	{ "retry_after", PORTERO_OPT_DURATION, "10s",
	  .help = "How long a server that failed is not asked while others are "
	    "up.",
	  .min = 1, .max = 3600 },
	{ "idle_timeout", PORTERO_OPT_DURATION, "5m",
	  .help = "A connection that was idle longer is not used again. Less "
	    "than that of the servers and firewalls.",
	  .min = 1, .max = 86400 },
	{ 0 },
};
/* clang-format on */

/* ---- reading ------------------------------------------------------------- */

struct reader {
	const struct portero_host *host;
	const struct portero_conf *conf;
	struct settings *s;
	char *err; /* 256 */
	bool failed;
};

static void __attribute__((format(printf, 2, 3)))
fail(struct reader *r, const char *format, ...)
{
	va_list ap;

	if (r->failed)
		return; /* the first reason is told */
	r->failed = true;
	va_start(ap, format);
	vsnprintf(r->err, 256, format, ap);
	va_end(ap);
}

static char *
keep(struct reader *r, const char *text)
{
	char *copy = text == NULL ? NULL : strdup(text);

	if (text != NULL && copy == NULL)
		fail(r, "out of memory");
	return copy;
}

/* NULL: not set, or empty. */
static char *
string(struct reader *r, const char *name)
{
	const char *text = r->host->get_string(r->conf, name);

	return keep(r, text == NULL || *text == '\0' ? NULL : text);
}

/* The items of a list; how many. */
static size_t
list(struct reader *r, const char *name, char **to, size_t max)
{
	size_t n = r->host->list_length(r->conf, name);

	if (n > max) {
		fail(r, "%s: more than %zu", name, max);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		to[i] = keep(r, r->host->list_item(r->conf, name, i));
	return n;
}

static int
number(struct reader *r, const char *name)
{
	return (int)r->host->get_int(r->conf, name);
}

/* A DN in the form for comparing. NULL: not set, or none. */
static char *
group(struct reader *r, const struct portero_conf *conf, const char *name)
{
	const char *text = r->host->get_string(conf, name);
	char *dn = NULL;

	if (text == NULL)
		return NULL;
	dn = *text == '\0' ? NULL : dn_normalize(text);
	if (dn == NULL)
		fail(r, "%s: \"%.100s\" is not a DN", name, text);
	return dn;
}

static void
read_servers(struct reader *r)
{
	struct settings *s = r->s;
	bool external = number(r, "sasl_external") != 0;
	struct servers_settings *servers = &s->servers;

	s->nuris = list(r, "uri", s->uris, MAX_SERVERS);
	s->bind_dn = string(r, "bind_dn");
	s->password = string(r, "bind_password_file");
	s->connection = (struct connection_settings){ .host = r->host,
		.starttls = number(r, "starttls") != 0,
		.verify = number(r, "tls_verify") != 0,
		.ca_file = string(r, "ca_file"),
		.certificate = string(r, "certificate"),
		.key = string(r, "key"),
		.connect_timeout_ms = 1000 * number(r, "connect_timeout"),
		.timeout_ms = 1000 * number(r, "timeout") };
	*servers = (struct servers_settings){
		.spread = number(r, "balance") == 1,
		.retry_after_s = number(r, "retry_after"),
		.idle_timeout_s = number(r, "idle_timeout"),
		.service = { .mechanism = s->bind_dn != NULL ?
			    LDAP_SASL_SIMPLE :
			    external ? "EXTERNAL" :
				       "",
		    .dn = s->bind_dn,
		    .password = s->password },
		.connection = &s->connection,
	};
	if (s->nuris == 0)
		fail(r, "uri is empty");
	if (external && s->bind_dn != NULL)
		fail(r, "bind_dn and sasl_external: only one can be");
	if ((s->bind_dn == NULL) != (s->password == NULL))
		fail(r, "bind_dn and bind_password_file: both or none");
	if ((s->connection.certificate == NULL) != (s->connection.key == NULL))
		fail(r, "certificate and key: both or none");
}

static void
read_person(struct reader *r)
{
	struct settings *s = r->s;
	struct entry_attributes *a = &s->attributes;

	s->base = string(r, "base");
	s->scope = number(r, "scope") == 1 ? LDAP_SCOPE_ONELEVEL :
					     LDAP_SCOPE_SUBTREE;
	s->filter = string(r, "filter");
	s->ndn_templates =
	    list(r, "dn_template", s->dn_templates, MAX_DN_TEMPLATES);
	s->default_domain = string(r, "default_domain");
	s->names = (struct name_rules){ .lower = number(r, "name_case") == 0,
		.default_domain = s->default_domain };
	a->id = string(r, "id_attribute");
	list(r, "address_attributes", a->addresses, MAX_ADDRESS_ATTRIBUTES);
	a->class_name = string(r, "class_attribute");
	a->limit = string(r, "limit_attribute");
	a->size = string(r, "size_attribute");
	a->language = string(r, "language_attribute");
	if (a->id == NULL)
		fail(r, "id_attribute is empty");
	if (s->ndn_templates == 0 && s->base == NULL)
		fail(r, "base is missing: the DN below which people are "
			"looked for");
	if (s->ndn_templates == 0 && s->filter == NULL)
		fail(r, "filter is empty");
}

static void
read_groups(struct reader *r)
{
	size_t n = r->host->section_count(r->conf, "class");
	struct settings *s = r->s;

	if (n > MAX_CLASSES) {
		fail(r, "more than %d class sections", MAX_CLASSES);
		return;
	}
	for (s->nclasses = 0; s->nclasses < n; s->nclasses++) {
		const struct portero_conf *c =
		    r->host->section(r->conf, "class", s->nclasses);

		s->classes[s->nclasses] = (struct group_class){
			.name = keep(r, r->host->title(c)),
			.group = group(r, c, "group"),
		};
	}
	s->required_group = group(r, r->conf, "required_group");
	s->group_filter = string(r, "group_filter");
	if (s->group_filter == NULL && (n > 0 || s->required_group != NULL))
		s->attributes.group = string(r, "group_attribute");
}

/* An address that did not fit the identity is still in the entry. */
static void
add_own_filter(struct reader *r)
{
	const struct entry_attributes *a = &r->s->attributes;
	char filter[1024];
	int n;

	if (r->failed || a->addresses[0] == NULL || r->s->owns_base == NULL)
		return;
	n = snprintf(filter, sizeof filter, "(&(%s=%%i)(|", a->id);
	for (size_t i = 0; a->addresses[i] != NULL; i++)
		if (n > 0 && (size_t)n < sizeof filter)
			n += snprintf(filter + n, sizeof filter - (size_t)n,
			    "(%s=%%a)", a->addresses[i]);
	if (n > 0 && (size_t)n < sizeof filter)
		n += snprintf(filter + n, sizeof filter - (size_t)n, "))");
	if (n < 0 || (size_t)n >= sizeof filter)
		fail(r, "address_attributes: too long");
	else
		r->s->owns_filters[r->s->nowns_filters++] = keep(r, filter);
}

static void
read_owns(struct reader *r)
{
	struct settings *s = r->s;

	s->nowns_filters =
	    list(r, "owns_filter", s->owns_filters, MAX_OWNS_FILTERS);
	s->addresses_complete = s->nowns_filters == 0;
	s->owns_base = string(r, "owns_base");
	if (s->owns_base == NULL)
		s->owns_base = keep(r, s->base);
	for (size_t i = 0; i < s->nowns_filters; i++)
		s->owns_by_dn = s->owns_by_dn ||
		    (s->owns_filters[i] != NULL &&
			name_is_in(s->owns_filters[i], "D"));
	if (s->owns_by_dn && s->base == NULL)
		fail(r, "owns_filter: %%D needs base");
	if (s->nowns_filters > 0 && s->owns_base == NULL)
		fail(r, "owns_filter needs owns_base or base");
	add_own_filter(r);
}

/* ---- checks -------------------------------------------------------------- */

static void
check_uri(struct reader *r, const char *uri)
{
	static const char *const schemes[] = { "ldap", "ldaps", "ldapi" };
	LDAPURLDesc *url = NULL;
	bool good = false;

	if (ldap_url_parse(uri, &url) != LDAP_URL_SUCCESS) {
		fail(r, "uri: \"%.150s\" is not a URI like ldaps://host", uri);
		return;
	}
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		good = good || strcmp(url->lud_scheme, schemes[i]) == 0;
	if (!good || url->lud_host == NULL || *url->lud_host == '\0' ||
	    (url->lud_dn != NULL && *url->lud_dn != '\0'))
		fail(r, "uri: \"%.150s\" must be ldap, ldaps or ldapi and a "
			"host, without a DN",
		    uri);
	ldap_free_urldesc(url);
}

static void
check_dn(struct reader *r, const char *name, const char *dn)
{
	char *normal = dn == NULL ? NULL : dn_normalize(dn);

	if (dn != NULL && normal == NULL)
		fail(r, "%s: \"%.150s\" is not a DN", name, dn);
	ldap_memfree(normal);
}

/* The template with a word in it for each of the letters. */
static bool
expand_sample(struct reader *r, const char *name, const char *template,
    const char *letters, char to[FILTER_SIZE])
{
	struct name_value values[8];
	size_t n = 0;

	for (; letters[n] != '\0'; n++)
		values[n] = (struct name_value){ letters[n], { "x", 1 } };
	if (name_expand(template, values, n, filter_escape, to, FILTER_SIZE))
		return true;
	fail(r, "%s: \"%.100s\" has a %% that is none of %%%s, or is too long",
	    name, template, letters);
	return false;
}

/* libldap looks at the filter before it looks for a server. */
static bool
is_filter(const char *filter)
{
	LDAP *nowhere = NULL;
	int id, rc;

	if (ldap_initialize(&nowhere, "ldapi://%2F") != LDAP_SUCCESS)
		return true;
	rc = ldap_search_ext(nowhere, "", LDAP_SCOPE_BASE, filter, NULL, 0,
	    NULL, NULL, NULL, 0, &id);
	ldap_unbind_ext(nowhere, NULL, NULL);
	return rc != LDAP_FILTER_ERROR;
}

static void
check_filter(struct reader *r, const char *name, const char *template,
    const char *letters)
{
	char filter[FILTER_SIZE];

	if (template != NULL &&
	    expand_sample(r, name, template, letters, filter) &&
	    (*filter != '(' || !is_filter(filter)))
		fail(r, "%s: \"%.150s\" is not a filter like (uid=%%u)", name,
		    template);
}

/* Else whoever comes is found, and all are one. */
static void
check_has_name(struct reader *r, const char *name, const char *template)
{
	if (!name_is_in(template, "un"))
		fail(r, "%s: \"%.150s\" has neither %%u nor %%n", name,
		    template);
}

static void
check_dn_template(struct reader *r, const char *template)
{
	char dn[FILTER_SIZE];

	check_has_name(r, "dn_template", template);
	if (expand_sample(r, "dn_template", template, "und", dn))
		check_dn(r, "dn_template", dn);
}

static void
check(struct reader *r)
{
	struct settings *s = r->s;

	for (size_t i = 0; i < s->nuris; i++)
		check_uri(r, s->uris[i]);
	check_dn(r, "bind_dn", s->bind_dn);
	check_dn(r, "base", s->base);
	check_dn(r, "owns_base", s->owns_base);
	check_filter(r, "filter", s->filter, "und");
	if (s->filter != NULL)
		check_has_name(r, "filter", s->filter);
	check_filter(r, "group_filter", s->group_filter, "undD");
	for (size_t i = 0; i < s->nowns_filters; i++)
		check_filter(r, "owns_filter", s->owns_filters[i], "andiD");
	for (size_t i = 0; i < s->ndn_templates; i++)
		check_dn_template(r, s->dn_templates[i]);
}

struct settings *
settings_new(const struct portero_host *host, const struct portero_conf *conf,
    char err[256])
{
	struct reader r = { .host = host, .conf = conf, .err = err };

	r.s = calloc(1, sizeof *r.s);
	if (r.s == NULL) {
		snprintf(err, 256, "out of memory");
		return NULL;
	}
	read_servers(&r);
	read_person(&r);
	read_groups(&r);
	read_owns(&r);
	if (!r.failed)
		check(&r);
	if (r.failed)
		settings_free(&r.s);
	return r.s;
}

void
settings_free(struct settings **s)
{
	struct entry_attributes *a;

	if (*s == NULL)
		return;
	a = &(*s)->attributes;
	if ((*s)->password != NULL)
		explicit_bzero((*s)->password, strlen((*s)->password));
	{
		char *const strings[] = { (*s)->bind_dn, (*s)->password,
			(*s)->base, (*s)->filter, (*s)->default_domain,
			 (*s)->group_filter,
			(*s)->owns_base, (*s)->connection.ca_file,
			(*s)->connection.certificate, (*s)->connection.key,
			a->id, a->class_name, a->limit, a->size, a->language,
			a->group };

		for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
			free(strings[i]);
	}
	for (size_t i = 0; i < MAX_SERVERS; i++)
		free((*s)->uris[i]);
	for (size_t i = 0; i < MAX_ADDRESS_ATTRIBUTES; i++)
		free(a->addresses[i]);
	for (size_t i = 0; i < MAX_CLASSES; i++) {
		free((*s)->classes[i].name);
		ldap_memfree((*s)->classes[i].group);
	}
	for (size_t i = 0; i < MAX_DN_TEMPLATES; i++)
		free((*s)->dn_templates[i]);
	for (size_t i = 0; i <= MAX_OWNS_FILTERS; i++)
		free((*s)->owns_filters[i]);
	ldap_memfree((*s)->required_group);
	tls_free(&(*s)->connection.tls);
	free(*s);
	*s = NULL;
}
