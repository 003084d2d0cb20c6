/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The checks that need nothing but the configuration itself. Files and users
 * are looked at in files.c, by the one role that may.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "config/check.h"
#include "config/options.h"
#include "config/section.h"
#include "ipc/question.h"
#include "ipc/role.h"
#include "smtp/ehlo.h"
#include "smtp/sasl.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TITLE_MAX 40

static struct config_position
at_option(const struct portero_conf *s, const char *name)
{
	return section_slot(s, name)->at;
}

/* Letters, digits, hyphens and dots, as far as we care. */
static bool
is_host_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 253 && name[0] != '.' && name[0] != '-' &&
	       name[len - 1] != '.' && strstr(name, "..") == NULL &&
	       strspn(name, LETTERS "0123456789.-") == len;
}

/* Titles become names of shared memory, of files and in the log. */
static void
check_title(const char *kind, const char *title, struct config_position at,
    struct config_messages *m)
{
	size_t len = strlen(title);

	if (len > TITLE_MAX)
		config_error(m, at,
		    "the title of %s is longer than %d "
		    "characters",
		    kind, TITLE_MAX);
	else if (strspn(title, LETTERS "0123456789._-") != len ||
		 title[0] == '.')
		config_error(m, at,
		    "the title \"%.*s\" of %s may hold letters, "
		    "digits and ._-",
		    TITLE_MAX, title, kind);
}

/* ---- the top level ----------------------------------------------------- */

/* An absolute path shorter than max; "" where that means none. */
static void
check_path(const struct portero_conf *s, const char *name, size_t max,
    bool may_be_empty, struct config_messages *m)
{
	const char *path = config_get_string(s, name);

	if (path == NULL || (may_be_empty && *path == '\0'))
		return;
	if (*path != '/')
		config_error(m, at_option(s, name),
		    "%s = \"%.100s\" is not an absolute path", name, path);
	else if (strlen(path) >= max)
		config_error(m, at_option(s, name),
		    "%s is longer than %zu bytes", name, max - 1);
}

static void
check_paths(const struct config *c, struct config_messages *m)
{
	const struct portero_conf *log = config_section(c->root, "log", 0);

	check_path(c->root, "plugin_dir", 256, false, m);
	check_path(c->root, "control_socket", 108, false, m);
	check_path(c->root, "state_dir", 256, true, m);
	check_path(c->root, "chroot_dir", 256, false, m);
	check_path(c->root, "pid_file", 256, true, m);
	if (log == NULL)
		return;
	check_path(log, "file", 256, false, m);
	if (c->log_to == CONFIG_LOG_FILE && c->log_file == NULL)
		config_error(
		    m, at_option(log, "to"), "to = file needs file = \"...\"");
	if (c->log_to != CONFIG_LOG_FILE && c->log_file != NULL)
		config_warning(m, at_option(log, "file"),
		    "file is not used without to = file");
}

static void
check_names(const struct config *c, struct config_messages *m)
{
	static const char *const names[] = { "user", "user_auth", "user_policy",
		"group_control" };

	if (c->hostname != NULL && !is_host_name(c->hostname))
		config_error(m, at_option(c->root, "hostname"),
		    "hostname = \"%.100s\" is not the name of a host",
		    c->hostname);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (*config_get_string(c->root, names[i]) == '\0')
			config_error(m, at_option(c->root, names[i]),
			    "%s is empty", names[i]);
}

/* Characters that can stand in a local part, other than the dot. */
static void
check_delimiters(const struct config *c, struct config_messages *m)
{
	const char *all = c->sub_address_delimiters;

	if (strspn(all, "!#$%&'*+-/=?^_`{|}~") != strlen(all))
		config_error(m, at_option(c->root, "sub_address_delimiters"),
		    "sub_address_delimiters = \"%.20s\": neither letters, "
		    "digits, dots nor blanks begin a tag", all);
}

/* The link goes into replies: short, printable, no space. */
static void
check_help_url(struct config *c, struct config_messages *m)
{
	struct config_position at = at_option(c->root, "help_url");
	size_t len = c->help_url == NULL ? 0 : strlen(c->help_url);

	if (len == 0)
		return;
	if (strncmp(c->help_url, "https://", 8) != 0 &&
	    strncmp(c->help_url, "http://", 7) != 0)
		config_error(m, at,
		    "help_url must begin with https:// or "
		    "http://");
	if (len > 100)
		config_error(m, at, "help_url is longer than 100 characters");
	for (const char *p = c->help_url; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~') {
			config_error(m, at,
			    "help_url may hold visible ASCII "
			    "characters only");
			break;
		}
	while (len > 0 && c->help_url[len - 1] == '/')
		c->help_url[--len] = '\0';
}

/* ---- listeners and certificates ---------------------------------------- */

int
check_address(
    const char *text, int port, struct sockaddr_storage *to, socklen_t *len_r)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	char host[INET6_ADDRSTRLEN + 2];
	size_t len = strlen(text);

	memset(to, 0, sizeof *to);
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
		if (memchr(text, ':', len) == NULL)
			return -1;
	}
	if (!str_copy(host, sizeof host, (struct str){ text, len }))
		return -1;
	if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		*len_r = sizeof *in4;
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*len_r = sizeof *in6;
		return 0;
	}
	return -1;
}

/* The networks of a list; those that are none are named. */
static void
take_networks(struct network_list *to, const struct portero_conf *s,
    const char *name, struct config_messages *m)
{
	size_t n = config_list_length(s, name);

	to->networks = xcalloc(n, sizeof *to->networks);
	for (size_t i = 0; i < n; i++) {
		const char *text = config_list_item(s, name, i);

		if (network_parse(text, &to->networks[to->n]) == 0)
			to->n++;
		else
			config_error(m, at_option(s, name),
			    "%s = \"%.100s\" is neither an IP address nor a "
			    "network such as 192.0.2.0/24, without bits behind "
			    "the prefix",
			    name, text);
	}
}

static void
check_proxy(struct config_listen *l, const struct portero_conf *s,
    struct config_messages *m)
{
	size_t n = config_list_length(s, "proxy_from");

	take_networks(&l->proxy_from, s, "proxy_from", m);
	if (l->proxy && n == 0)
		config_error(m, at_option(s, "proxy"),
		    "proxy = required needs proxy_from = {\"...\"}: who may "
		    "say where clients come from");
	if (!l->proxy && n > 0)
		config_warning(m, at_option(s, "proxy_from"),
		    "proxy_from is not used without proxy = required");
}

/* TLS and login are not for hiding. */
static void
check_hide(const struct config_listen *l, const struct portero_conf *s,
    struct config_messages *m)
{
	for (size_t i = 0; i < config_list_length(s, "hide"); i++)
		if (smtp_extension_find(
			str_of(config_list_item(s, "hide", i))) == 0)
			config_error(m, at_option(s, "hide"),
			    "hide = \"%.100s\" is not an extension that EHLO "
			    "offers",
			    config_list_item(s, "hide", i));
	if (l->hidden & (SMTP_EXT_STARTTLS | SMTP_EXT_AUTH))
		config_error(m, at_option(s, "hide"),
		    "STARTTLS and AUTH cannot be hidden: nobody could send");
}

static void
check_listen(struct config_listen *l, const struct portero_conf *s,
    struct config_messages *m)
{
	struct sockaddr_storage ss;
	socklen_t len;

	check_title("listen", l->title, l->at, m);
	check_proxy(l, s, m);
	check_hide(l, s, m);
	if (l->address[0] == NULL)
		config_error(
		    m, l->at, "listen \"%s\" has no address", l->title);
	for (char **a = l->address; *a != NULL; a++)
		if (strcmp(*a, "*") != 0 &&
		    check_address(*a, l->port, &ss, &len) == -1)
			config_error(m, at_option(s, "address"),
			    "address = "
			    "\"%.100s\" is neither * nor an IP address",
			    *a);
}

static void
check_sockets(const struct config *c, struct config_messages *m)
{
	struct config_socket *all;
	size_t n = config_sockets(c, NULL, 0);

	if (n > MAX_LISTENERS) {
		config_error(m, c->listens[c->nlistens - 1].at,
		    "more than %d addresses to listen on", MAX_LISTENERS);
		return;
	}
	all = xcalloc(n, sizeof *all);
	config_sockets(c, all, n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (all[i].address_len == all[k].address_len &&
			    memcmp(&all[i].address, &all[k].address,
				all[i].address_len) == 0) {
				config_error(m, all[i].listen->at,
				    "listen \"%s\" has an address and port "
				    "that listen \"%s\" has, too",
				    all[i].listen->title, all[k].listen->title);
				k = i;
			}
	free(all);
}

static void
check_listens(const struct config *c, struct config_messages *m)
{
	size_t before = config_errors(m);

	for (size_t i = 0; i < c->nlistens; i++)
		check_listen(
		    &c->listens[i], config_section(c->root, "listen", i), m);
	/* a port that was refused counts as 0 */
	for (size_t i = 0; i < c->nlistens; i++)
		if (c->listens[i].port == 0)
			return;
	if (config_errors(m) == before)
		check_sockets(c, m);
}

static size_t
list_length(char **list)
{
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	return n;
}

static void
check_tls(const struct config *c, struct config_messages *m)
{
	for (size_t i = 0; i < c->ntls; i++) {
		const struct config_tls *tls = &c->tls[i];
		const struct portero_conf *s =
		    config_section(c->root, "tls", i);
		size_t certificates = list_length(tls->certificate);
		size_t keys = list_length(tls->key);

		/* what is missing was said already */
		if (!config_is_set(s, "certificate") ||
		    !config_is_set(s, "key"))
			continue;
		if (certificates == 0)
			config_error(m, at_option(s, "certificate"),
			    "certificate is empty");
		else if (certificates != keys)
			config_error(m, at_option(s, "key"),
			    "%zu certificate%s and %zu key%s: they must be "
			    "pairs",
			    certificates, certificates == 1 ? "" : "s", keys,
			    keys == 1 ? "" : "s");
	}
}

/* ---- modules and upstream ---------------------------------------------- */

static void
check_modules(const struct config *c, struct config_messages *m)
{
	static const char *const kinds[] = { [CONFIG_AUTH] = "auth",
		[CONFIG_STORE] = "store",
		[CONFIG_POLICY] = "policy" };

	for (size_t i = 0; i < c->nmodules; i++)
		check_title(kinds[c->modules[i].kind], c->modules[i].title,
		    c->modules[i].at, m);
	if (c->nmodules > MAX_MODULES)
		config_error(m, c->modules[MAX_MODULES].at,
		    "more than %d sections auth, store and policy",
		    MAX_MODULES);
}

/* 1 to 65535, or -1. */
static int
read_port(const char *text)
{
	char *end;
	long port;

	if (strspn(text, "0123456789") != strlen(text) || *text == '0')
		return -1;
	errno = 0;
	port = strtol(text, &end, 10);
	return end == text || errno != 0 || port > 65535 ? -1 : (int)port;
}

/* "name", "name:port", "192.0.2.1:port", "[2001:db8::1]:port". NULL, or what
 * is wrong. */
static const char *
split_host(const char *text, char **host_r, int *port_r)
{
	struct sockaddr_storage ss;
	socklen_t len;
	const char *close = *text == '[' ? strchr(text, ']') : NULL;
	const char *colon = strchr(close == NULL ? text : close, ':');
	size_t n = colon == NULL ? strlen(text) : (size_t)(colon - text);

	if (close == NULL && colon != NULL && strchr(colon + 1, ':') != NULL)
		return "needs brackets around an IPv6 address";
	*port_r = colon == NULL ? 25 : read_port(colon + 1);
	if (*port_r == -1)
		return "has no port from 1 to 65535 behind its colon";
	*host_r = xstrndup(text, n);
	if (check_address(*host_r, 0, &ss, &len) == 0) {
		if (close == NULL)
			return NULL;
		free(*host_r); /* without the brackets */
		*host_r = xstrndup(text + 1, n - 2);
		return NULL;
	}
	if (close == NULL && is_host_name(*host_r))
		return NULL;
	free(*host_r);
	*host_r = NULL;
	return "is neither a host name nor an IP address";
}

static bool
is_local(const char *host)
{
	return strcmp(host, "localhost") == 0 ||
	       strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

static bool
has_host(const struct config_upstream *u, const struct config_host *host)
{
	for (size_t i = 0; i < u->nhosts; i++)
		if (u->hosts[i].port == host->port &&
		    strcasecmp(u->hosts[i].name, host->name) == 0)
			return true;
	return false;
}

static void
check_hosts(struct config_upstream *u, const struct portero_conf *s,
    struct config_messages *m)
{
	size_t n = config_list_length(s, "hosts");
	struct config_host host;
	const char *text, *why;

	if (n == 0 && section_slot(s, "hosts")->is_set)
		config_error(m, at_option(s, "hosts"), "hosts is empty");
	u->hosts = xcalloc(n, sizeof *u->hosts);
	for (size_t i = 0; i < n; i++) {
		text = config_list_item(s, "hosts", i);
		host = (struct config_host){ .name = NULL };
		why = split_host(text, &host.name, &host.port);
		if (why == NULL && has_host(u, &host))
			why = "stands there twice";
		if (why == NULL) {
			u->hosts[u->nhosts++] = host;
			continue;
		}
		config_error(m, at_option(s, "hosts"), "hosts = \"%.100s\" %s",
		    text, why);
		free(host.name);
	}
}

static bool
in_list(char **list, const char *item)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, item) == 0)
			return true;
	return false;
}

/* Do both serve the same people, at least some? */
static bool
classes_meet(const struct config_upstream *a, const struct config_upstream *b)
{
	for (char **class = a->classes; *class != NULL; class++)
		if (in_list(b->classes, *class))
			return true;
	return a->classes[0] == NULL && b->classes[0] == NULL;
}

/* Without colons and in small letters, in its place; false: it is none. */
static bool
take_fingerprint(char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (const char *p = text; *p != '\0'; p++) {
		int digit = tolower((unsigned char)*p);

		if (strchr(digits, digit) != NULL)
			text[n++] = (char)digit;
		else if (*p != ':' || n % 2 != 0)
			return false;
	}
	text[n] = '\0';
	return n == 64;
}

/* What the upstream must show, and what we show it. */
static void
check_trust(struct config_upstream *u, const struct portero_conf *s,
    struct config_messages *m)
{
	static const struct {
		const char *name;
		enum config_upstream_tls from; /* where it has a meaning */
	} options[] = {
		{ "certificate", CONFIG_UPSTREAM_OPPORTUNISTIC },
		{ "key", CONFIG_UPSTREAM_OPPORTUNISTIC },
		{ "verify", CONFIG_UPSTREAM_STARTTLS },
		{ "ca_file", CONFIG_UPSTREAM_STARTTLS },
		{ "tls_name", CONFIG_UPSTREAM_STARTTLS },
		{ "fingerprints", CONFIG_UPSTREAM_STARTTLS },
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (u->tls < options[i].from &&
		    section_slot(s, options[i].name)->is_set)
			config_error(m, at_option(s, options[i].name),
			    "%s means nothing with tls = %s", options[i].name,
			    u->tls == CONFIG_UPSTREAM_NONE ? "none"
			                                   : "opportunistic");
	for (size_t i = 0; u->fingerprints[i] != NULL; i++)
		if (!take_fingerprint(u->fingerprints[i]))
			config_error(m, at_option(s, "fingerprints"),
			    "\"%.100s\" is not a SHA-256 fingerprint: 64 "
			    "hexadecimal digits, with or without colons",
			    config_list_item(s, "fingerprints", i));
	if (u->fingerprints[0] != NULL && !u->verify)
		config_error(m, at_option(s, "verify"),
		    "verify = no and fingerprints contradict each other");
	else if (u->tls >= CONFIG_UPSTREAM_STARTTLS && !u->verify)
		config_warning(m, at_option(s, "verify"),
		    "the upstream's certificate is not verified: anybody on "
		    "the way can read and change the mail");
	if ((u->certificate == NULL) != (u->key == NULL))
		config_error(m,
		    at_option(s, u->key == NULL ? "certificate" : "key"),
		    "certificate and key belong together");
}

static void
check_account(const struct config_upstream *u, const struct portero_conf *s,
    struct config_messages *m)
{
	if ((u->user == NULL) != (u->password_file == NULL))
		config_error(m,
		    at_option(s, u->user == NULL ? "password_file" : "user"),
		    "user and password_file belong together");
	else if (u->user != NULL &&
		 (u->tls < CONFIG_UPSTREAM_STARTTLS || !u->verify))
		config_error(m, at_option(s, "user"),
		    "the password would go to whoever answers: user needs "
		    "tls = starttls or implicit, and verify");
	if (u->user != NULL &&
	    (*u->user == '\0' || strlen(u->user) > SMTP_LOGIN_MAX))
		config_error(m, at_option(s, "user"),
		    "user must have 1 to %d bytes", SMTP_LOGIN_MAX);
}

static void
check_priority(const struct config *c, size_t i, const struct portero_conf *s,
    struct config_messages *m)
{
	const struct config_upstream *u = &c->upstreams[i], *other;

	for (other = c->upstreams; other < u; other++) {
		if (other->priority != u->priority || !classes_meet(other, u))
			continue;
		config_error(m, at_option(s, "priority"),
		    "upstream \"%s\" has the priority of upstream \"%s\" for "
		    "the same people: give it another, or put all hosts into "
		    "one section",
		    u->title, other->title);
		return;
	}
}

static void
check_classes(const struct config_upstream *u, const struct portero_conf *s,
    struct config_messages *m)
{
	if (u->classes[0] == NULL && section_slot(s, "classes")->is_set)
		config_error(m, at_option(s, "classes"), "classes is empty");
	for (char **class = u->classes; *class != NULL; class++)
		if (**class == '\0' || strlen(*class) > PERSON_CLASS_MAX)
			config_error(m, at_option(s, "classes"),
			    "classes = \"%.100s\" is not the name of a class",
			    *class);
}

static void
check_upstream(struct config *c, size_t i, struct config_messages *m)
{
	struct config_upstream *u = &c->upstreams[i];
	const struct portero_conf *s = config_section(c->root, "upstream", i);

	if (*u->title != '\0')
		check_title("upstream", u->title, u->at, m);
	check_hosts(u, s, m);
	check_classes(u, s, m);
	check_priority(c, i, s, m);
	for (size_t k = 0; k < u->nhosts; k++)
		if (u->tls == CONFIG_UPSTREAM_NONE &&
		    !is_local(u->hosts[k].name))
			config_warning(m, at_option(s, "tls"),
			    "mail goes to %s in the clear", u->hosts[k].name);
	check_trust(u, s, m);
	check_account(u, s, m);
}

static void
check_upstreams(struct config *c, struct config_messages *m)
{
	bool others = c->nupstreams == 0; /* which was told */

	for (size_t i = 0; i < c->nupstreams; i++) {
		struct config_upstream *u = &c->upstreams[i];

		check_upstream(c, i, m);
		u->first = c->nhosts;
		c->nhosts += u->nhosts;
		if (u->dot_timeout_ms > c->dot_timeout_ms)
			c->dot_timeout_ms = u->dot_timeout_ms;
		others = others || u->classes[0] == NULL;
	}
	if (c->drain_timeout_ms < c->dot_timeout_ms)
		config_warning(m, at_option(c->root, "drain_timeout"),
		    "drain_timeout is shorter than upstream.dot_timeout: a "
		    "reload may cut messages whose answer is awaited");
	if (!others)
		config_error(m, c->upstreams[0].at,
		    "all sections upstream have classes: mail of everybody "
		    "else has nowhere to go");
	if (c->nhosts > MAX_UPSTREAM_HOSTS)
		config_error(m, c->upstreams[c->nupstreams - 1].at,
		    "more than %d hosts in the sections upstream",
		    MAX_UPSTREAM_HOSTS);
}

void
check_config(struct config *c, struct config_messages *m)
{
	check_names(c, m);
	take_networks(&c->exempt, c->root, "exempt_networks", m);
	check_paths(c, m);
	check_help_url(c, m);
	check_delimiters(c, m);
	check_tls(c, m);
	check_listens(c, m);
	check_modules(c, m);
	check_upstreams(c, m);
}

/* ---- reload ------------------------------------------------------------ */

static bool
is_same(const struct slot *a, const struct slot *b)
{
	if (a->nitems != b->nitems)
		return false;
	for (size_t i = 0; i < a->nitems; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

size_t
config_needs_restart(const struct config *old, const struct config *new,
    struct config_messages *m)
{
	size_t n = 0;

	/* both have the same table: slots stand at the same places */
	for (size_t i = 0; i < new->root->nslots; i++) {
		const struct slot *slot = &new->root->slots[i];

		if (!options_needs_restart(slot->option) ||
		    is_same(slot, &old->root->slots[i]))
			continue;
		config_warning(m, slot->at,
		    "%s changed: needs a restart; the "
		    "old value stays until then",
		    slot->option->name);
		n++;
	}
	return n;
}
