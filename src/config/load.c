/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The second half of reading: from the resolved text to struct config. Every
 * role runs it on the same text and comes to the same values.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/check.h"
#include "config/load.h"
#include "config/messages.h"
#include "config/module.h"
#include "config/options.h"
#include "config/origin.h"
#include "config/section.h"
#include "config/tree.h"
#include "ipc/role.h"
#include "smtp/ehlo.h"

static char *
take_string(const struct portero_conf *s, const char *name)
{
	const char *text = config_get_string(s, name);

	return text == NULL ? NULL : xstrdup(text);
}

static char **
take_list(const struct portero_conf *s, const char *name)
{
	size_t n = config_list_length(s, name);
	char **list = xcalloc(n + 1, sizeof *list);

	for (size_t i = 0; i < n; i++)
		list[i] = xstrdup(config_list_item(s, name, i));
	return list;
}

/* ---- sections ---------------------------------------------------------- */

static void
take_tls(struct config_tls *tls, const struct portero_conf *s)
{
	tls->title = xstrdup(s->title);
	tls->at = s->at;
	tls->certificate = take_list(s, "certificate");
	tls->key = take_list(s, "key");
	tls->profile = (enum config_tls_profile)(
	    config_get_int(s, "profile") + CONFIG_PROFILE_INTERMEDIATE);
}

static void
take_listen(struct config_listen *l, const struct portero_conf *s)
{
	l->title = xstrdup(s->title);
	l->at = s->at;
	l->address = take_list(s, "address");
	l->port = (int)config_get_int(s, "port");
	l->tls = (enum config_listen_tls)(
	    config_get_int(s, "tls") + CONFIG_TLS_IMPLICIT);
	l->proxy = config_get_int(s, "proxy") != 0;
	l->max_size = config_get_int(s, "max_size");
	for (size_t i = 0; i < config_list_length(s, "hide"); i++)
		l->hidden |= smtp_extension_find(
		    str_of(config_list_item(s, "hide", i)));
	l->backlog = (int)config_get_int(s, "backlog");
}

static void
take_upstream(struct config_upstream *u, const struct portero_conf *s)
{
	u->title = xstrdup(s->title);
	u->at = s->at;
	u->classes = take_list(s, "classes");
	u->priority = (int)config_get_int(s, "priority");
	u->tls = (enum config_upstream_tls)(
	    config_get_int(s, "tls") + CONFIG_UPSTREAM_NONE);
	u->verify = config_get_int(s, "verify") != 0;
	u->ca_file = take_string(s, "ca_file");
	u->tls_name = take_string(s, "tls_name");
	u->fingerprints = take_list(s, "fingerprints");
	u->certificate = take_string(s, "certificate");
	u->key = take_string(s, "key");
	u->xforward = config_get_int(s, "xforward") != 0;
	u->xclient = (enum config_xclient)(
	    config_get_int(s, "xclient") + CONFIG_XCLIENT_NONE);
	u->user = take_string(s, "user");
	u->password_file = take_string(s, "password_file");
	u->connect_timeout_ms = config_get_int(s, "connect_timeout");
	u->reply_timeout_ms = config_get_int(s, "reply_timeout");
	u->dot_timeout_ms = config_get_int(s, "dot_timeout");
	u->resolve_every_s = config_get_int(s, "resolve_every");
	u->idle_connections = (int)config_get_int(s, "idle_connections");
}

static void
take_log(struct config *c)
{
	const struct portero_conf *s = config_section(c->root, "log", 0);

	c->log_to = CONFIG_LOG_STDERR;
	c->log_level = LOG_LEVEL_INFO;
	if (s == NULL)
		return;
	c->log_to = (enum config_log_to)config_get_int(s, "to");
	c->log_file = take_string(s, "file");
	c->log_level = (int)config_get_int(s, "level");
}

static void
take_sections(struct config *c)
{
	c->ntls = config_section_count(c->root, "tls");
	c->tls = xcalloc(c->ntls, sizeof *c->tls);
	for (size_t i = 0; i < c->ntls; i++)
		take_tls(&c->tls[i], config_section(c->root, "tls", i));
	c->nlistens = config_section_count(c->root, "listen");
	c->listens = xcalloc(c->nlistens, sizeof *c->listens);
	for (size_t i = 0; i < c->nlistens; i++)
		take_listen(
		    &c->listens[i], config_section(c->root, "listen", i));
	c->nupstreams = config_section_count(c->root, "upstream");
	c->upstreams = xcalloc(c->nupstreams, sizeof *c->upstreams);
	for (size_t i = 0; i < c->nupstreams; i++)
		take_upstream(
		    &c->upstreams[i], config_section(c->root, "upstream", i));
	take_log(c);
}

/* ---- the top level ----------------------------------------------------- */

static int
processors(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		n = CPU_COUNT(&set);
	return n > MAX_SESSION_WORKERS ? MAX_SESSION_WORKERS : n;
}

static void
take_processes(struct config *c)
{
	const struct portero_conf *r = c->root;

	c->session_workers = (int)config_get_int(r, "session_workers");
	if (c->session_workers == 0)
		c->session_workers = processors();
	c->auth_workers = (int)config_get_int(r, "auth_workers");
	c->policy_workers = (int)config_get_int(r, "policy_workers");
	c->plugin_dir = take_string(r, "plugin_dir");
	c->control_socket = take_string(r, "control_socket");
	c->state_dir = take_string(r, "state_dir");
	c->chroot_dir = take_string(r, "chroot_dir");
	c->pid_file = take_string(r, "pid_file");
	c->user = take_string(r, "user");
	c->user_auth = take_string(r, "user_auth");
	c->user_policy = take_string(r, "user_policy");
	c->group_control = take_string(r, "group_control");
}

static void
take_smtp(struct config *c)
{
	const struct portero_conf *r = c->root;

	c->hostname = take_string(r, "hostname");
	c->help_url = take_string(r, "help_url");
	c->add_missing_headers = config_get_int(r, "add_missing_headers") != 0;
	c->sub_address_delimiters = take_string(r, "sub_address_delimiters");
	c->bare_newline =
	    (enum smtp_bare_newline)config_get_int(r, "bare_newline");
	c->max_recipients = (int)config_get_int(r, "max_recipients");
	c->max_connections = (int)config_get_int(r, "max_connections");
	c->host.connections = config_get_int(r, "max_host_connections");
	c->host.rate = config_get_int(r, "max_host_rate");
	c->network.connections = config_get_int(r, "max_network_connections");
	c->network.rate = config_get_int(r, "max_network_rate");
	c->max_transactions = config_get_int(r, "max_transactions");
	c->login_timeout_ms = config_get_int(r, "login_timeout");
	c->idle_timeout_ms = config_get_int(r, "idle_timeout");
	c->max_session_ms = config_get_int(r, "max_session");
	c->data_timeout_ms = config_get_int(r, "data_timeout");
	c->auth_deadline_ms = config_get_int(r, "auth_timeout");
	c->policy_deadline_ms = config_get_int(r, "policy_timeout");
	c->drain_timeout_ms = config_get_int(r, "drain_timeout");
	c->stop_timeout_ms = config_get_int(r, "stop_timeout");
}

struct config *
config_load_text(const char *text, size_t len,
    const struct config_resolver *resolver, struct config_messages *m)
{
	struct config *c = xcalloc(1, sizeof *c);
	struct tree *tree = NULL;
	char *copy = NULL;
	size_t before = 0;

	c->origins = origins_read(text, len, &before);
	if (c->origins == NULL) {
		config_error(m, (struct config_position){ NULL, 0 },
		    "this is not a resolved configuration");
		config_free(&c);
		return NULL;
	}
	for (size_t i = 0; i < origins_files(c->origins); i++)
		config_messages_know(m, origins_file(c->origins, i));
	copy = xstrndup(text, before);
	tree = tree_read(copy, c->origins, m);
	c->root = section_bind(tree, &tree->root, options_root, NULL, false, m);
	take_processes(c);
	take_smtp(c);
	take_sections(c);
	modules_load(c, tree, resolver, m);
	check_config(c, m);
	tree_free(&tree);
	free(copy);
	return c;
}

static int
read_all(int fd, struct buf *to)
{
	char block[4096];
	ssize_t n;

	while ((n = pread(fd, block, sizeof block, (off_t)buf_len(to))) > 0)
		buf_append(to, block, (size_t)n);
	return n == -1 ? -1 : 0;
}

struct config *
config_load(
    int fd, const struct config_resolver *resolver, struct config_messages *m)
{
	struct buf text = { 0 };
	struct config *c = NULL;

	if (read_all(fd, &text) == -1)
		config_error(m, (struct config_position){ NULL, 0 },
		    "cannot read the configuration: %s", strerror(errno));
	else
		c = config_load_text(
		    buf_data(&text), buf_len(&text), resolver, m);
	buf_free(&text);
	return c;
}

/* ---- the end ----------------------------------------------------------- */

static void
free_list(char ***list)
{
	for (char **p = *list; p != NULL && *p != NULL; p++)
		free(*p);
	free(*list);
	*list = NULL;
}

static void
free_sections(struct config *c)
{
	for (size_t i = 0; i < c->ntls; i++) {
		free(c->tls[i].title);
		free_list(&c->tls[i].certificate);
		free_list(&c->tls[i].key);
	}
	for (size_t i = 0; i < c->nlistens; i++) {
		free(c->listens[i].title);
		free_list(&c->listens[i].address);
		network_list_free(&c->listens[i].proxy_from);
	}
	free(c->tls);
	free(c->listens);
	modules_free(c);
}

static void
free_upstreams(struct config *c)
{
	for (size_t i = 0; i < c->nupstreams; i++) {
		struct config_upstream *u = &c->upstreams[i];

		for (size_t k = 0; k < u->nhosts; k++)
			free(u->hosts[k].name);
		free(u->hosts);
		free(u->title);
		free_list(&u->classes);
		free(u->ca_file);
		free(u->tls_name);
		free_list(&u->fingerprints);
		free(u->certificate);
		free(u->key);
		free(u->user);
		free(u->password_file);
	}
	free(c->upstreams);
}

void
config_free(struct config **c_r)
{
	struct config *c = *c_r;

	if (c == NULL)
		return;
	free_sections(c);
	network_list_free(&c->exempt);
	free_upstreams(c);
	free(c->hostname);
	free(c->plugin_dir);
	free(c->control_socket);
	free(c->state_dir);
	free(c->chroot_dir);
	free(c->pid_file);
	free(c->user);
	free(c->user_auth);
	free(c->user_policy);
	free(c->group_control);
	free(c->help_url);
	free(c->sub_address_delimiters);
	free(c->log_file);
	section_free(&c->root);
	origins_free(&c->origins);
	free(c);
	*c_r = NULL;
}
