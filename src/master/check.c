/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * check_main(): tries a configuration. With the master's rights it reads the
 * files, seals the resolved text and reports the plan; then it gives its
 * rights up, and only then loads plugins and lets them look at their options.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "config/start.h"
#include "ipc/lifeline.h"
#include "ipc/plan.h"
#include "ipc/role.h"
#include "ipc/wire.h"
#include "policy/plugin.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define ALL_KINDS \
	(PLUGIN_KIND(CONFIG_AUTH) | PLUGIN_KIND(CONFIG_STORE) | \
	    PLUGIN_KIND(CONFIG_POLICY))
#define MORE "and more\n"

struct check {
	const struct role_args *args;
	/* What is reported. Its positions point into the configurations. */
	struct config_messages *messages;
	struct config *start; /* of the running server; NULL: none */
	struct config *core;    /* without the modules' options */
	struct config *whole;
	struct plugin_set *plugins;
	struct plan plan;
};

static void
report(enum lifeline_type type, int64_t value, struct str text)
{
	struct lifeline_record r = { .type = (uint16_t)type,
		.value = value,
		.text = text,
		.fd = -1 };

	lifeline_send(ROLE_FD_LIFELINE, &r);
}

/* ---- the plan ------------------------------------------------------------ */

/* "*" became [::] where there is IPv6, and then stands for IPv4 as well. */
static void
plan_listeners(struct plan *p, const struct config *c)
{
	struct config_socket sockets[MAX_LISTENERS];
	struct plan_listener *l = p->listeners;
	size_t i, n = config_sockets(c, sockets, MAX_LISTENERS);
	char **address = NULL;

	for (i = 0; i < n; i++, l++, address++) {
		if (i == 0 || sockets[i].listen != sockets[i - 1].listen)
			address = sockets[i].listen->address;
		l->address = sockets[i].address;
		l->address_len = sockets[i].address_len;
		l->backlog = sockets[i].listen->backlog;
		l->dual_stack = l->address.ss_family == AF_INET6 &&
		    strcmp(*address, "*") == 0;
	}
	p->nlisteners = (unsigned)n;
}

static void
plan_modules(struct plan *p, const struct config *c)
{
	const struct config_module *from;
	size_t i;

	for (i = 0; i < c->nmodules; i++) {
		struct plan_module *to = &p->modules[i];

		from = &c->modules[i];
		to->role = from->kind == CONFIG_AUTH ? ROLE_AUTH : ROLE_POLICY;
		if (from->kind == CONFIG_STORE)
			str_copy(to->name, sizeof(to->name), STR("store"));
		else
			snprintf(to->name, sizeof(to->name), "%s %s",
			    from->kind == CONFIG_AUTH ? "auth" : "policy",
			    from->title);
	}
	p->nmodules = (unsigned)c->nmodules;
}

static int
plan_user(const char *name, uid_t *uid, gid_t *gid)
{
	if (start_find_user(name, uid, gid, NULL) == -1)
		return -1;
	return *uid == 0 ? -1 : 0;
}

/* -1: a user is missing. */
static int
plan_users(struct plan *p, const struct config *c)
{
	const struct group *g;

	if (plan_user(c->user, &p->session_uid, &p->session_gid) == -1 ||
	    plan_user(c->user_auth, &p->auth_uid, &p->auth_gid) == -1 ||
	    plan_user(c->user_policy, &p->policy_uid, &p->policy_gid) == -1)
		return -1;
	g = geteuid() == 0 ? getgrnam(c->group_control) : NULL;
	p->control_gid = g == NULL ? p->policy_gid : g->gr_gid;
	return 0;
}

static void
plan_rest(struct plan *p, const struct config *c)
{
	p->nsession = (unsigned)c->session_workers;
	p->nauth = (unsigned)c->auth_workers;
	p->npolicy = (unsigned)c->policy_workers;
	str_copy(p->chroot_dir, sizeof(p->chroot_dir), str_of(c->chroot_dir));
	str_copy(p->control_socket, sizeof(p->control_socket),
	    str_of(c->control_socket));
	str_copy(p->state_dir, sizeof(p->state_dir), str_of(c->state_dir));
	str_copy(p->pid_file, sizeof(p->pid_file), str_of(c->pid_file));
	p->log_kind = (int)c->log_to;
	p->log_level = c->log_level;
	str_copy(p->log_path, sizeof(p->log_path), str_of(c->log_file));
	p->drain_timeout_ms = c->drain_timeout_ms;
	p->stop_timeout_ms = c->stop_timeout_ms;
	p->auth_deadline_ms = c->auth_deadline_ms;
	p->policy_deadline_ms = c->policy_deadline_ms;
}

static void
report_plan(const struct plan *p)
{
	uint8_t *to = xmalloc(LIFELINE_MAX);
	size_t len = plan_encode(to, LIFELINE_MAX, p);

	report(REPORT_PLAN, 0, (struct str){ (const char *)to, len });
	free(to);
}

/* ---- with the master's rights -------------------------------------------- */

static struct config *
load_quietly(int fd, size_t *errors_r)
{
	struct config_messages *m = config_messages_new();
	struct config *c = config_load(fd, NULL, m);

	*errors_r = config_errors(m);
	config_messages_free(&m);
	return c;
}

/* Names the options that a reload cannot change. */
static void
compare(struct check *k)
{
	size_t errors;

	if (fcntl(ROLE_FD_START_CONFIG, F_GETFD) == -1)
		return;
	k->start = load_quietly(ROLE_FD_START_CONFIG, &errors);
	if (k->start != NULL)
		config_needs_restart(k->start, k->core, k->messages);
}

/* With nothing wrong so far the plan goes to the master: before any plugin
 * is loaded, so that none can forge it. */
static void
look_at_files(struct check *k)
{
	config_check_files(k->core, k->messages);
	compare(k);
	if (config_errors(k->messages) > 0)
		return;
	plan_listeners(&k->plan, k->core);
	plan_modules(&k->plan, k->core);
	plan_rest(&k->plan, k->core);
	report_plan(&k->plan);
}

/* ---- without ------------------------------------------------------------- */

static int
drop_rights(const struct check *k, struct error *err)
{
	uint32_t bits;

	setenv("LDAPNOINIT", "1", 1);
	return sandbox_drop(NULL, k->plan.policy_uid, k->plan.policy_gid, &bits,
	    err);
}

static void
report_shares(const uint64_t *bytes, size_t n)
{
	uint8_t text[4 + 8 * MAX_MODULES];
	struct wire_out w = { .data = text, .cap = sizeof(text) };
	size_t i;

	wire_put_u32(&w, (uint32_t)n);
	for (i = 0; i < n; i++)
		wire_put_u64(&w, bytes[i]);
	report(REPORT_SHARES, 0, (struct str){ (const char *)text, w.len });
}

/* The same text once more, now with the options of all modules. Repeats the
 * errors of the core. */
static void
look_at_plugins(struct check *k)
{
	struct config_resolver resolver;
	uint64_t bytes[MAX_MODULES];

	k->plugins = plugin_set_new(k->core->plugin_dir, ALL_KINDS);
	resolver = plugin_set_resolver(k->plugins);
	k->whole = config_load(ROLE_FD_CONFIG, &resolver, k->messages);
	if (k->whole == NULL || config_errors(k->messages) > 0)
		return;
	config_check_secrets(k->core, k->whole, k->messages);
	plugin_set_check(k->plugins, k->whole, k->messages, bytes);
	if (config_errors(k->messages) == 0)
		report_shares(bytes, k->whole->nmodules);
}

static void
print(const struct check *k)
{
	struct buf text = { 0 };

	config_print(k->whole, true, &text);
	fwrite(buf_data(&text), 1, buf_len(&text), stdout);
	fflush(stdout);
	buf_free(&text);
}

/* ---- all of it ----------------------------------------------------------- */

static void
internal_error(struct check *k, const char *what, const char *why)
{
	const struct config_position at = { k->args->config_path, 0 };

	config_error(k->messages, at, "%s: %s", what, why);
}

static void
examine(struct check *k)
{
	struct error err;
	size_t errors = 0;
	bool has_users;

	/* To see no more than the workers of a reduced master will. */
	if (sandbox_master(&err) == -1) {
		internal_error(k, "giving up rights", err.text);
		return;
	}
	if (config_read(k->args->config_path, ROLE_FD_CONFIG, k->messages) ==
		-1 ||
	    config_errors(k->messages) > 0)
		return;
	if (fcntl(ROLE_FD_CONFIG, F_ADD_SEALS, SEALS) == -1) {
		internal_error(k, "sealing the text", strerror(errno));
		return;
	}
	k->core = load_quietly(ROLE_FD_CONFIG, &errors);
	has_users = k->core != NULL && plan_users(&k->plan, k->core) == 0;
	if (errors == 0 && k->core != NULL)
		look_at_files(k);
	if (!has_users) {
		/* As far as we get. A missing user was named already. */
		if (errors > 0 || k->core == NULL)
			k->whole = config_load(ROLE_FD_CONFIG, NULL,
			    k->messages);
		return;
	}
	if (drop_rights(k, &err) == -1) {
		internal_error(k, "giving up rights", err.text);
		return;
	}
	look_at_plugins(k);
	if (k->args->print && config_errors(k->messages) == 0)
		print(k);
}

/* Cut at a line's end if there is too much of it. */
static void
report_messages(const struct check *k)
{
	struct buf text = { 0 };
	struct str s;

	config_messages_print(k->messages, &text);
	s = (struct str){ buf_data(&text), buf_len(&text) };
	if (s.len > LIFELINE_MAX) {
		struct buf cut = { 0 };

		s.len = LIFELINE_MAX - sizeof(MORE);
		while (s.ptr[s.len - 1] != '\n')
			s.len--;
		buf_append_str(&cut, s);
		buf_append_str(&cut, STR(MORE));
		buf_free(&text);
		text = cut;
		s = (struct str){ buf_data(&text), buf_len(&text) };
	}
	report(REPORT_CHECKED, (int64_t)config_errors(k->messages), s);
	buf_free(&text);
}

int
check_main(const struct role_args *a)
{
	struct check k = { .args = a, .messages = config_messages_new() };

	log_open(STDERR_FILENO, LOG_STREAM, LOG_LEVEL_WARNING,
	    "portero-check");
	examine(&k);
	report_messages(&k);
	plugin_set_free(&k.plugins);
	config_messages_free(&k.messages);
	config_free(&k.whole);
	config_free(&k.core);
	config_free(&k.start);
	return EXIT_SUCCESS;
}
