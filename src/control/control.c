/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * control_main(): the control process from its descriptors to its exit. What
 * it cannot do itself (reload, stop, reopen the log) it reports to the master
 * and passes the verdict on.
 */
#include "control/control.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "config/start.h"
#include "ipc/log_care.h"
#include "ipc/question.h"
#include "relay/relay.h"

#define RELOAD_TIMEOUT_MS 160000 /* trial, old workers, start */
#define RELOAD_LATE "no verdict on the new configuration yet; see the log"

/* The incarnation makes it different from those of an earlier process, whose
 * answers may still come. */
uint64_t
control_next_id(struct control *c)
{
	return (uint64_t)c->args->incarnation << 32 | ++c->last_id;
}

/* Behind the session workers there is one asker more. */
struct record_header
control_header(const struct control *c, uint64_t id, int64_t deadline_ms)
{
	return (struct record_header){
		.asker = (uint16_t)c->board.nsession,
		.id = id,
		.deadline_ns = clock_mono_ns() + deadline_ms * CLOCK_NS_PER_MS,
		.generation = c->args->generation,
		.incarnation = c->args->incarnation,
	};
}

/* ---- requests ----------------------------------------------------------- */

/* The name of a uid for the log, from /etc/passwd alone: nothing that could
 * wait for a directory. */
static void
log_add_user(struct log_line *l, uid_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p = NULL;

	while (f != NULL && (p = fgetpwent(f)) != NULL && p->pw_uid != uid)
		continue;
	if (p != NULL)
		log_adds(l, "by", p->pw_name);
	if (f != NULL)
		fclose(f);
}

static void
log_request(const struct client *client, const struct request *r)
{
	const struct peer *peer = client_peer(client);
	struct log_line l;

	log_begin(&l, LOG_LEVEL_INFO, "control");
	log_adds(&l, "verb", r->verb->name);
	if (*r->person != '\0')
		log_adds(&l, "user", r->person);
	if (*r->host != '\0')
		log_adds(&l, "host", r->host);
	log_addn(&l, "uid", peer->uid);
	log_add_user(&l, peer->uid);
	log_addn(&l, "pid", peer->pid);
	if (!peer->trusted)
		log_adds(&l, "result", "refused");
	log_end(&l);
}

/* Tells the master; true: it knows. Else the client has its answer. */
static bool
report(struct client *client, enum lifeline_type type, uint64_t id)
{
	struct lifeline_record r = {
		.type = (uint16_t)type, .id = id, .fd = -1
	};

	if (lifeline_send(ROLE_FD_LIFELINE, &r) == 1)
		return true;
	client_answer(
	    client, answer_error(REASON_FAILED,
			"the master process does not listen; try again"));
	return false;
}

static void
config_show(struct control *c, struct client *client, bool all)
{
	struct buf text = { .mem = NULL };

	config_print(c->config, all, &text);
	client_answer(client,
	    answer_text((struct str){ buf_data(&text), buf_len(&text) }));
	buf_free(&text);
}

static void
upstream_list(struct control *c, struct client *client)
{
	json_t *answer = answer_ok();

	json_object_set_new(answer, "upstreams", upstreams_json(c));
	client_answer(client, answer);
}

static void
upstream_set(struct control *c, struct client *client, const struct request *r)
{
	bool drained = r->verb->id == VERB_UPSTREAM_DRAIN;

	if (upstream_drain(c->watch, r->host, drained) == 0)
		client_answer(
		    client, answer_error(REASON_NOT_FOUND,
				"no upstream has the host %s", r->host));
	else
		client_answer(client, answer_text(drained ? STR("drained")
							  : STR("in use")));
}

static void
carry_out(struct control *c, struct client *client, const struct request *r)
{
	uint64_t id;

	switch (r->verb->id) {
	case VERB_STATUS:
		client_answer(client, status_answer(c));
		break;
	case VERB_PING:
		client_answer(client, answer_text(STR("pong")));
		break;
	case VERB_RELOAD:
		id = control_next_id(c);
		if (report(client, REPORT_RELOAD, id))
			client_wait(client, id, RELOAD_TIMEOUT_MS, RELOAD_LATE);
		break;
	case VERB_STOP:
		if (report(client, REPORT_STOP_ALL, 0))
			client_answer(client, answer_text(STR("stopping")));
		break;
	case VERB_LOG_REOPEN:
		if (report(client, REPORT_REOPEN, 0))
			client_answer(client, answer_text(STR("reopening")));
		break;
	case VERB_CHECK:
		online_start(c, client, r);
		break;
	case VERB_LIMITS_SHOW:
	case VERB_LIMITS_RESET:
	case VERB_LIMITS_TOP:
	case VERB_STORE_STATUS:
		limits_ask(c, client, r);
		break;
	case VERB_CACHE_FLUSH:
		logins_flush(c, client, r);
		break;
	case VERB_UPSTREAM_LIST:
		upstream_list(c, client);
		break;
	case VERB_UPSTREAM_DRAIN:
	case VERB_UPSTREAM_UP:
		upstream_set(c, client, r);
		break;
	case VERB_CONFIG_SHOW:
		config_show(c, client, r->all);
		break;
	case VERB_CONFIG_HELP:
	case VERB_PASSWD:
	case VERB_AUTH_TEST:
		abort(); /* porteroctl's own: request_parse() refuses them */
	}
}

static void
on_line(void *arg, struct client *client, struct str line)
{
	struct control *c = arg;
	struct request r;
	struct error err;

	if (request_parse(line.ptr, line.len, &r, &err) == -1) {
		client_answer(
		    client, answer_error(REASON_USAGE, "%s", err.text));
		return;
	}
	if ((r.verb->flags & VERB_CHANGES) != 0)
		log_request(client, &r);
	if (!client_peer(client)->trusted && (r.verb->flags & VERB_OPEN) == 0)
		client_answer(
		    client, answer_error(REASON_REFUSED,
				"\"%s\" is for root and the control group",
				r.verb->name));
	else
		carry_out(c, client, &r);
}

/* ---- the master --------------------------------------------------------- */

static void
drain(struct control *c, int64_t limit_ms)
{
	struct timeval limit = { limit_ms / 1000, limit_ms % 1000 * 1000 };

	if (c->draining)
		return;
	c->draining = true;
	upstream_watch_stop(c->watch);
	evtimer_add(c->drain_limit, &limit);
	server_drain(c->server);
}

static void
pass_verdict(struct control *c, const struct lifeline_record *r)
{
	struct client *client = server_waiting(c->server, r->id);

	if (client == NULL)
		return;
	client_answer(client, r->value == 0
				  ? answer_text(r->text)
				  : answer_error(REASON_REFUSED, "%.*s",
					(int)r->text.len, r->text.ptr));
}

/* One order; -1: end now. */
static int
obey(struct control *c, const struct lifeline_record *r)
{
	switch (r->type) {
	case ORDER_STOP:
		return -1;
	case ORDER_DRAIN:
		drain(c, r->value);
		break;
	case ORDER_VERDICT:
		pass_verdict(c, r);
		break;
	case ORDER_LOG:
		if (r->fd != -1)
			log_replace(r->fd);
		return 0;
	}
	if (r->fd != -1)
		close(r->fd);
	return 0;
}

static void
on_lifeline(int fd, short what, void *arg)
{
	static uint8_t buf[LIFELINE_MAX + 32];
	struct control *c = arg;
	struct lifeline_record r;
	int got;

	(void)what;
	while ((got = lifeline_receive(fd, &r, buf, sizeof buf)) == 1) {
		got = obey(c, &r);
		if (got == -1)
			break;
	}
	if (got == -1)
		event_base_loopbreak(c->base);
}

static void
on_policy_answers(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	limits_on_answers(arg);
}

static void
on_auth_answers(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	logins_on_answers(arg);
}

static void
on_upstream_ready(void *arg)
{
	struct lifeline_record r = { .type = REPORT_READY, .fd = -1 };

	(void)arg;
	lifeline_send(ROLE_FD_LIFELINE, &r);
}

static void
on_nothing_left(void *arg)
{
	struct control *c = arg;

	event_base_loopbreak(c->base);
}

static void
on_drain_limit(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	on_nothing_left(arg);
}

/* ---- start and end ------------------------------------------------------ */

/* What libevent has to say; a name server that does not answer is told by us.
 */
static void
on_event_log(int severity, const char *text)
{
	log_say(severity == EVENT_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG,
	    "libevent", "%s", text);
}

static int
prepare(struct control *c, gid_t *group, struct error *err)
{
	const struct config *config;
	const struct group *g;
	uid_t uid;
	gid_t gid;

	c->root = geteuid() == 0;
	config = c->config = start_config(NULL, err);
	if (config == NULL)
		return -1;
	start_log(config, "portero-control");
	if (start_find_user(config->user_policy, &uid, &gid, err) == -1)
		return -1;
	g = getgrnam(config->group_control);
	*group = g == NULL ? gid : g->gr_gid; /* as the socket's */
	c->shared = shared_map(ROLE_FD_SHARED, err);
	if (c->shared == NULL || board_map(&c->board, ROLE_FD_BOARD, err) == -1)
		return -1;
	/* a probe does not log in */
	c->access = relay_access_new(config, false, err);
	if (c->access == NULL)
		return -1;
	return start_become(config->user_policy, NULL, &c->sandbox, err);
}

static void
start(struct control *c, gid_t group)
{
	struct server_setup server = { .fd = ROLE_FD_CONTROL,
		.group = group,
		.on_line = on_line,
		.on_empty = on_nothing_left,
		.arg = c };
	struct upstream_setup upstream = { .config = c->config,
		.shared = c->shared,
		.board = &c->board,
		.row = c->args->row,
		.generation = c->args->generation,
		.access = c->access,
		.on_ready = on_upstream_ready,
		.arg = c };

	event_set_log_callback(on_event_log);
	c->base = event_base_new();
	if (c->base == NULL)
		abort();
	c->scratch = record_scratch_new();
	c->lifeline = event_new(
	    c->base, ROLE_FD_LIFELINE, EV_READ | EV_PERSIST, on_lifeline, c);
	c->answers = event_new(c->base, ROLE_FD_POLICY_ANSWERS,
	    EV_READ | EV_PERSIST, on_policy_answers, c);
	c->drain_limit = evtimer_new(c->base, on_drain_limit, c);
	event_add(c->lifeline, NULL);
	c->auth_answers = event_new(c->base, ROLE_FD_AUTH_ANSWERS,
	    EV_READ | EV_PERSIST, on_auth_answers, c);
	event_add(c->answers, NULL);
	event_add(c->auth_answers, NULL);
	server.base = upstream.base = c->base;
	c->server = server_new(&server);
	c->watch = upstream_watch_new(&upstream);
}

static void
finish(struct control *c)
{
	online_free(&c->online);
	server_free(&c->server);
	event_free(c->lifeline);
	event_free(c->answers);
	event_free(c->auth_answers);
	event_free(c->drain_limit);
	upstream_watch_free(&c->watch);
	event_base_free(c->base);
	record_scratch_free(&c->scratch);
	relay_access_free(&c->access, c->config);
	board_unmap(&c->board);
	config_free(&c->config);
}

int
control_main(const struct role_args *a)
{
	struct control c = { .args = a };
	struct error err;
	gid_t group;

	sandbox_quiet();
	signal(SIGPIPE, SIG_IGN);
	/* the lifeline says when to go, not the terminal */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (prepare(&c, &group, &err) == -1) {
		log_say(LOG_LEVEL_ERROR, "start", "control: %s", err.text);
		return EXIT_FAILURE;
	}
	start(&c, group);
	while (!event_base_got_break(c.base)) {
		event_base_loop(c.base, EVLOOP_ONCE);
		log_care(c.shared, a->row);
	}
	finish(&c);
	return EXIT_SUCCESS;
}
