/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The checks that need nothing but the configuration itself. Files and users
 * are looked at in files.c, by the one role that may.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/check.h"
#include "config/options.h"
#include "config/section.h"
#include "ipc/role.h"
#include "smtp/command.h"
#include "smtp/ehlo.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TITLE_MAX 40

void
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
		config_error(m, section_at(s, name),
		    "%s = \"%.100s\" is not an absolute path", name, path);
	else if (strlen(path) >= max)
		config_error(m, section_at(s, name),
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
		    m, section_at(log, "to"), "to = file needs file = \"...\"");
	if (c->log_to != CONFIG_LOG_FILE && c->log_file != NULL)
		config_warning(m, section_at(log, "file"),
		    "file is not used without to = file");
}

static void
check_names(const struct config *c, struct config_messages *m)
{
	static const char *const names[] = { "user", "user_auth", "user_policy",
		"group_control" };

	if (c->hostname != NULL && !smtp_domain_is_valid(str_of(c->hostname)))
		config_error(m, section_at(c->root, "hostname"),
		    "hostname = \"%.100s\" is not the name of a host",
		    c->hostname);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (*config_get_string(c->root, names[i]) == '\0')
			config_error(m, section_at(c->root, names[i]),
			    "%s is empty", names[i]);
}

/* Characters that can stand in a local part, other than the dot. */
static void
check_delimiters(const struct config *c, struct config_messages *m)
{
	const char *all = c->sub_address_delimiters;

	if (strspn(all, "!#$%&'*+-/=?^_`{|}~") != strlen(all))
		config_error(m, section_at(c->root, "sub_address_delimiters"),
		    "sub_address_delimiters = \"%.20s\": neither letters, "
		    "digits, dots nor blanks begin a tag", all);
}

/* The link goes into replies: short, printable, no space. */
static void
check_help_url(struct config *c, struct config_messages *m)
{
	struct config_position at = section_at(c->root, "help_url");
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
			config_error(m, section_at(s, name),
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
		config_error(m, section_at(s, "proxy"),
		    "proxy = required needs proxy_from = {\"...\"}: who may "
		    "say where clients come from");
	if (!l->proxy && n > 0)
		config_warning(m, section_at(s, "proxy_from"),
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
			config_error(m, section_at(s, "hide"),
			    "hide = \"%.100s\" is not an extension that EHLO "
			    "offers",
			    config_list_item(s, "hide", i));
	if (l->hidden & (SMTP_EXT_STARTTLS | SMTP_EXT_AUTH))
		config_error(m, section_at(s, "hide"),
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
			config_error(m, section_at(s, "address"),
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
			config_error(m, section_at(s, "certificate"),
			    "certificate is empty");
		else if (certificates != keys)
			config_error(m, section_at(s, "key"),
			    "%zu certificate%s and %zu key%s: they must be "
			    "pairs",
			    certificates, certificates == 1 ? "" : "s", keys,
			    keys == 1 ? "" : "s");
	}
}

/* ---- modules ----------------------------------------------------------- */

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
