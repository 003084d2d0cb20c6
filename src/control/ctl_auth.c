/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * `porteroctl auth test`: a login by the auth sections of a configuration
 * file, in this process, which takes the way of an auth worker: it reads the
 * secrets with the rights it was started with, becomes user_auth, and only
 * then loads the plugins. So the password is seen by nobody but the directory,
 * and a configuration can be tried before it serves. The login cache has no
 * part in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "config/start.h"
#include "control/porteroctl.h"
#include "policy/host.h"
#include "policy/login.h"
#include "policy/plugin.h"
#include "policy/secrets.h"

struct auth_test {
	const char *path; /* of the configuration */
	int fd;           /* its text */
	struct config *config;
	struct secrets *secrets;
	char *folder; /* owned; the plugins' */
	struct plugin_set *plugins;
	struct shared *shared; /* for counters that nobody reads */
	struct login *login;
	json_t *steps;
	int64_t started_ns, step_ns;
};

/* ---- the way of an auth worker ------------------------------------------- */

static struct config *
load(int fd, const struct config_resolver *resolver,
    struct config_messages *m, struct error *err)
{
	struct config *c = config_load(fd, resolver, m);
	struct buf text = { .mem = NULL };

	if (c != NULL && config_errors(m) == 0)
		return c;
	config_messages_print(m, &text);
	error_set(err, ERROR_PERMANENT, "%.*s", (int)buf_len(&text),
	    buf_data(&text));
	buf_free(&text);
	config_free(&c);
	return NULL;
}

/* What is wrong with the file is told all at once. */
static struct config *
read_config(struct auth_test *t, const struct config_resolver *resolver,
    struct error *err)
{
	struct config_messages *m = config_messages_new();
	struct config *c = NULL;
	int ret = 0;

	if (resolver == NULL)
		ret = config_read(t->path, t->fd, m);
	if (ret == -1 && config_errors(m) == 0)
		error_set(err, ERROR_PERMANENT, "cannot read %s", t->path);
	else
		c = load(t->fd, resolver, m, err);
	config_messages_free(&m);
	return c;
}

static int
open_plugins(struct auth_test *t, struct error *err)
{
	struct plugin_shares shares = { .mask = 0 };
	struct config_resolver resolver;

	setenv("LDAPNOINIT", "1", 1); /* no ldaprc of whoever started us */
	memcpy(shares.key, t->shared->key, sizeof shares.key);
	t->folder = xstrdup(t->config->plugin_dir);
	t->plugins = plugin_set_new(t->folder, PLUGIN_KIND(CONFIG_AUTH));
	resolver = plugin_set_resolver(t->plugins);
	config_free(&t->config);
	t->config = read_config(t, &resolver, err);
	if (t->config == NULL ||
	    secrets_put_all(t->secrets, t->config, t->plugins, err) == -1)
		return -1;
	return plugin_set_open(t->plugins, t->config, &shares, err);
}

static int
start(struct auth_test *t, struct error *err)
{
	struct plugin *plugins[MAX_MODULES];
	uint32_t bits;
	size_t n;

	t->fd = memfd_create("config", MFD_CLOEXEC);
	if (t->fd == -1)
		return error_set(err, ERROR_INTERNAL, "memfd_create: %s",
		    strerror(errno));
	t->config = read_config(t, NULL, err);
	if (t->config == NULL || shared_create(&t->shared, err) == -1)
		return -1;
	t->secrets = secrets_read(t->config, PLUGIN_KIND(CONFIG_AUTH));
	if (start_become(t->config->user_auth, NULL, &bits, err) == -1 ||
	    host_start(err) == -1 || open_plugins(t, err) == -1)
		return -1;
	n = plugin_set_count(t->plugins);
	for (size_t i = 0; i < n; i++)
		plugins[i] = plugin_set_at(t->plugins, i);
	t->login = login_new(plugins, n, t->shared, 0,
	    t->config->sub_address_delimiters);
	return 0;
}

static void
finish(struct auth_test *t)
{
	login_free(&t->login);
	plugin_set_free(&t->plugins);
	secrets_free(&t->secrets);
	config_free(&t->config);
	json_decref(t->steps);
	free(t->folder);
	if (t->fd != -1)
		close(t->fd);
}

/* ---- steps --------------------------------------------------------------- */

static double
ms_since(int64_t *from_ns)
{
	int64_t now = clock_mono_ns(), took = now - *from_ns;

	*from_ns = now;
	return (double)(took / (CLOCK_NS_PER_MS / 10)) / 10;
}

static void
on_step(void *arg, const char *section, enum portero_level level,
    const char *text)
{
	static const char *const levels[] = { "error", "warning", "info",
		"debug" };
	struct auth_test *t = arg;
	json_t *step = json_object();

	json_object_set_new(step, "ms", json_real(ms_since(&t->step_ns)));
	json_object_set_new(step, "section", answer_string(str_of(section)));
	json_object_set_new(step, "level", json_string(levels[level]));
	json_object_set_new(step, "text", answer_string(str_of(text)));
	json_array_append_new(t->steps, step);
}

static void
ask(struct auth_test *t, const char *name, const struct password *p,
    struct login_answer *a)
{
	const struct login_question q = { .login = str_of(name),
		.password = str_of(p->text),
		.mechanism = STR("PLAIN") };

	t->started_ns = t->step_ns = clock_mono_ns();
	host_begin(t->started_ns +
		t->config->auth_deadline_ms * CLOCK_NS_PER_MS, STR(""));
	host_trace(on_step, t);
	login_ask(t->login, &q, a);
	host_trace(NULL, NULL);
	host_end();
}

/* ---- the answer ---------------------------------------------------------- */

static json_t *
limits_json(const struct portero_identity *i)
{
	json_t *list = json_array(), *limit;

	for (uint32_t n = 0; n < i->nlimits; n++) {
		limit = json_object();
		json_object_set_new(limit, "limit",
		    answer_string(str_of(i->limits[n].name)));
		json_object_set_new(limit, "max",
		    i->limits[n].max == PORTERO_UNLIMITED ?
			json_null() :
			json_integer(i->limits[n].max));
		json_object_set_new(limit, "window_s",
		    i->limits[n].window_s == 0 ?
			json_null() :
			json_integer(i->limits[n].window_s));
		json_array_append_new(list, limit);
	}
	return list;
}

static json_t *
identity_json(struct str blob)
{
	struct portero_identity i;
	json_t *json, *list = json_array();
	struct str own;

	if (identity_decode(blob, &i) == -1)
		return json_null();
	for (uint32_t at = 0; at < i.addresses_len; at += own.len + 1) {
		own = str_of(i.addresses + at);
		json_array_append_new(list, answer_string(own));
	}
	json = json_object();
	json_object_set_new(json, "id", answer_string(str_of(i.id)));
	json_object_set_new(json, "class",
	    answer_string(str_of(i.class_name)));
	json_object_set_new(json, "domain",
	    answer_string(identity_domain(&i)));
	json_object_set_new(json, "language",
	    answer_string(str_of(i.language)));
	json_object_set_new(json, "max_size",
	    i.max_size == 0 ? json_null() : json_integer(i.max_size));
	json_object_set_new(json, "limits", limits_json(&i));
	json_object_set_new(json, "addresses", list);
	json_object_set_new(json, "addresses_complete",
	    json_boolean(i.addresses_complete));
	return json;
}

static json_t *
make_answer(struct auth_test *t, const struct login_answer *a)
{
	const char *what = a->verdict == PORTERO_DENY ? "refused" : "put off";
	json_t *answer;

	if (a->verdict == PORTERO_NEXT)
		answer = answer_ok();
	else
		answer = answer_error(REASON_REFUSED, "the login is %s: %.*s",
		    what, (int)a->cause.len, a->cause.ptr);
	json_object_set_new(answer, "cause", answer_string(a->cause));
	json_object_set_new(answer, "section", answer_string(a->plugin));
	json_object_set_new(answer, "ms",
	    json_real(ms_since(&t->started_ns)));
	json_object_set(answer, "steps", t->steps);
	if (a->verdict == PORTERO_NEXT)
		json_object_set_new(answer, "identity",
		    identity_json(a->identity));
	return answer;
}

json_t *
ctl_auth_test(const char *config, const char *name)
{
	struct auth_test t = { .path = config,
		.fd = -1,
		.steps = json_array() };
	struct login_answer a;
	struct password p;
	struct error err;
	json_t *answer;

	if (!request_person_ok(str_of(name)))
		return answer_error(REASON_USAGE, "\"%s\" cannot be a name",
		    name);
	sandbox_quiet();
	/* what there is to say comes as steps */
	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_STREAM,
	    LOG_LEVEL_ERROR, "porteroctl");
	if (start(&t, &err) == -1 ||
	    ctl_password(&p, "Password: ", NULL, &err) == -1) {
		answer = answer_error(REASON_FAILED, "%s", err.text);
	} else {
		ask(&t, name, &p, &a);
		explicit_bzero(&p, sizeof p);
		answer = make_answer(&t, &a);
	}
	finish(&t);
	return answer;
}
