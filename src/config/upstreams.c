/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The sections upstream: their hosts are taken apart, and what each says of
 * trust, accounts and classes must fit together, and with the others.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "config/check.h"
#include "config/section.h"
#include "ipc/question.h"
#include "ipc/role.h"
#include "smtp/command.h"
#include "smtp/sasl.h"

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
	if (close == NULL && smtp_domain_is_valid(str_of(*host_r)))
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
		config_error(m, section_at(s, "hosts"), "hosts is empty");
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
		config_error(m, section_at(s, "hosts"), "hosts = \"%.100s\" %s",
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
			config_error(m, section_at(s, options[i].name),
			    "%s means nothing with tls = %s", options[i].name,
			    u->tls == CONFIG_UPSTREAM_NONE ? "none"
			                                   : "opportunistic");
	for (size_t i = 0; u->fingerprints[i] != NULL; i++)
		if (!take_fingerprint(u->fingerprints[i]))
			config_error(m, section_at(s, "fingerprints"),
			    "\"%.100s\" is not a SHA-256 fingerprint: 64 "
			    "hexadecimal digits, with or without colons",
			    config_list_item(s, "fingerprints", i));
	if (u->fingerprints[0] != NULL && !u->verify)
		config_error(m, section_at(s, "verify"),
		    "verify = no and fingerprints contradict each other");
	else if (u->tls >= CONFIG_UPSTREAM_STARTTLS && !u->verify)
		config_warning(m, section_at(s, "verify"),
		    "the upstream's certificate is not verified: anybody on "
		    "the way can read and change the mail");
	if ((u->certificate == NULL) != (u->key == NULL))
		config_error(m,
		    section_at(s, u->key == NULL ? "certificate" : "key"),
		    "certificate and key belong together");
}

static void
check_account(const struct config_upstream *u, const struct portero_conf *s,
    struct config_messages *m)
{
	if ((u->user == NULL) != (u->password_file == NULL))
		config_error(m,
		    section_at(s, u->user == NULL ? "password_file" : "user"),
		    "user and password_file belong together");
	else if (u->user != NULL &&
		 (u->tls < CONFIG_UPSTREAM_STARTTLS || !u->verify))
		config_error(m, section_at(s, "user"),
		    "the password would go to whoever answers: user needs "
		    "tls = starttls or implicit, and verify");
	if (u->user != NULL &&
	    (*u->user == '\0' || strlen(u->user) > SMTP_LOGIN_MAX))
		config_error(m, section_at(s, "user"),
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
		config_error(m, section_at(s, "priority"),
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
		config_error(m, section_at(s, "classes"), "classes is empty");
	for (char **class = u->classes; *class != NULL; class++)
		if (**class == '\0' || strlen(*class) > PERSON_CLASS_MAX)
			config_error(m, section_at(s, "classes"),
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
			config_warning(m, section_at(s, "tls"),
			    "mail goes to %s in the clear", u->hosts[k].name);
	check_trust(u, s, m);
	check_account(u, s, m);
}

void
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
		config_warning(m, section_at(c->root, "drain_timeout"),
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
