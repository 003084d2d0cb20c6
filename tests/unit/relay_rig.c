/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The rig of relay_rig.h.
 */
#include "relay_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static void
on_want_flush(void *arg)
{
	struct rig *r = arg;

	r->wants_flush = true;
}

static char *no_classes[] = { NULL };

static void
rig_board_open(struct board *b)
{
	struct error err;
	int fd = board_create(b, 2, 1, 1, &err);

	assert_int_not_equal(fd, -1);
	close(fd);
}

void
rig_open(struct rig *r)
{
	static const size_t first = 0;

	memset(r, 0, sizeof(*r));
	signal(SIGPIPE, SIG_IGN);
	r->log = memfd_create("log", MFD_CLOEXEC);
	log_open(r->log, LOG_STREAM, LOG_LEVEL_DEBUG, "test");
	r->base = event_base_new();
	fake_open(&r->fake, r->base);
	r->shared = xcalloc(1, (sizeof(struct shared) + 63) / 64 * 64);
	rig_board_open(&r->board);
	r->host = (struct config_host){ "mx.example.net", 25 };
	r->config = (struct config_upstream){
		.title = "",
		.hosts = &r->host,
		.nhosts = 1,
		.classes = no_classes,
		.priority = 1,
		.tls = CONFIG_UPSTREAM_NONE,
		.xforward = true,
		.xclient = CONFIG_XCLIENT_LOGIN,
		.verify = true,
		.connect_timeout_ms = 4000,
		.reply_timeout_ms = 4000,
		.dot_timeout_ms = 4000,
		.idle_connections = 8,
	};
	r->whole = (struct config){ .hostname = "portero.example.org",
		.upstreams = &r->config,
		.nupstreams = 1,
		.nhosts = 1 };
	rig_publish(r, &first, 1);
}

void
rig_start(struct rig *r)
{
	struct relay_setup setup = {
		.base = r->base,
		.config = &r->whole,
		.shared = r->shared,
		.row = 3,
		.board = &r->board,
		.slot = 1,
		.want_flush = on_want_flush,
		.want_flush_arg = r,
	};

	struct error err;

	r->access = relay_access_new(&r->whole, true, &err);
	if (r->access == NULL)
		fail_msg("%s", err.text);
	setup.access = r->access;
	r->pool = relay_pool_new(&setup);
}

void
rig_close(struct rig *r)
{
	relay_pool_free(&r->pool);
	assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_CONNECTIONS), 0);
	fake_close(&r->fake);
	relay_access_free(&r->access, &r->whole);
	board_unmap(&r->board);
	SSL_CTX_free(r->fake.tls);
	event_base_free(r->base);
	free(r->shared);
	log_open(STDERR_FILENO, LOG_STREAM, LOG_LEVEL_INFO, "test");
	close(r->log);
}

int
rig_setup(void **state)
{
	*state = xcalloc(1, sizeof(struct rig));
	rig_open(*state);
	return 0;
}

int
rig_teardown(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

void
rig_publish(struct rig *r, const size_t *ports, size_t n)
{
	rig_publish_host(r, 0, ports, n);
}

void
rig_publish_host(
    struct rig *r, unsigned host, const size_t *ports, size_t n)
{
	struct upstream_state up = { .naddresses = (uint32_t)n,
		.up_since_ms = 1 };
	size_t i;

	for (i = 0; i < n; i++) {
		up.address[i] = r->fake.ports[ports[i]].address;
		up.address_len[i] = sizeof(struct sockaddr_in);
	}
	shared_upstream_write(&r->shared->upstreams[host], &up);
	atomic_store(&r->board.hosts[host].slot, host + 1);
}

static void
flush(struct rig *r)
{
	if (!r->wants_flush)
		return;
	r->wants_flush = false;
	relay_pool_flush(r->pool);
}

void
rig_turn(struct rig *r)
{
	flush(r); /* what the test asked for outside of the loop */
	event_base_loop(r->base, EVLOOP_ONCE);
	flush(r);
}

static void
on_alarm(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

static void
run(struct rig *r, const bool *flag, int ms, bool *late)
{
	struct event *alarm_event = evtimer_new(r->base, on_alarm, late);
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	*late = false;
	evtimer_add(alarm_event, &tv);
	while (!*late && !(flag != NULL && *flag && fake_is_done(&r->fake)))
		rig_turn(r);
	event_free(alarm_event);
}

void
rig_run(struct rig *r, const bool *flag)
{
	bool late;

	run(r, flag, 5000, &late);
	if (late)
		fail_msg(
		    "not done after 5 seconds; upstream: %s", r->fake.error);
}

void
rig_wait(struct rig *r, int ms)
{
	bool late;

	run(r, NULL, ms, &late);
}

uint64_t
rig_counter(const struct rig *r, enum counter c)
{
	return r->shared->rows[3].counter[c];
}

const char *
rig_log(struct rig *r)
{
	static char text[8192];
	ssize_t n;

	log_flush();
	n = pread(r->log, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void note(struct owner *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
note(struct owner *o, const char *format, ...)
{
	size_t len = strlen(o->said);
	va_list ap;

	if (len > 0)
		o->said[len++] = ' ';
	va_start(ap, format);
	vsnprintf(o->said + len, sizeof(o->said) - len, format, ap);
	va_end(ap);
}

static void
over(struct owner *o)
{
	o->is_over = true;
	if (!o->keeps_open)
		relay_close(&o->relay);
	if (o->next != NULL)
		owner_begin(o->next, o->rig, 1, true);
}

static void
on_reply(void *owner, enum relay_step step, const struct smtp_reply *reply,
    bool accepted, bool alert)
{
	static const char *const steps[] = { "MAIL", "RCPT", "DATA", "DOT" };
	struct owner *o = owner;

	note(o, "%s %d%s", steps[step], reply->code, alert ? "!" : "");
	smtp_reply_summary(o->reply, sizeof(o->reply), reply);
	assert_int_equal(
	    accepted, reply->code / 100 == (step == RELAY_DATA ? 3 : 2));
	if (step == RELAY_DOT || (!accepted && step != RELAY_RCPT)) {
		over(o);
	} else if (step == RELAY_DATA && o->body != NULL) {
		relay_body(o->relay, o->body, strlen(o->body));
		relay_dot(o->relay);
	}
}

static void
on_room(void *owner)
{
	note(owner, "room");
}

static void
on_failure(void *owner, enum relay_failure why, const char *detail)
{
	static const char *const names[] = { "away", "lost", "unknown", "tls",
		"broken" };
	struct owner *o = owner;

	note(o, "%s", names[why]);
	snprintf(o->detail, sizeof(o->detail), "%s", detail);
	over(o);
}

static const struct relay_callbacks callbacks = {
	.on_reply = on_reply,
	.on_room = on_room,
	.on_failure = on_failure,
};

void
owner_begin(struct owner *o, struct rig *r, unsigned recipients, bool data)
{
	static const char *const names[] = { "a@x.test", "b@x.test",
		"c@x.test" };
	struct smtp_mail mail = { .path = STR("ana@example.org"),
		.size = 1000,
		.body = SMTP_BODY_8BITMIME };
	const struct relay_ticket ticket = { .sid = "7Q3K9F2M",
		.login = o->login == NULL ? "ana" : o->login,
		.address = o->address == NULL ? "192.0.2.7" : o->address,
		.helo = o->helo == NULL ? "[192.168.1.5]" : o->helo,
		.class_name = o->class_name == NULL ? "" : o->class_name,
		.needs = o->needs };
	struct smtp_rcpt rcpt = { .notify = 0 };
	unsigned i;

	o->rig = r;
	o->is_over = false;
	o->said[0] = '\0';
	o->relay = relay_open(r->pool, &callbacks, o, &ticket);
	relay_mail(o->relay, &mail, 200);
	for (i = 0; i < recipients; i++) {
		rcpt.path = str_of(names[i % 3]);
		relay_rcpt(o->relay, &rcpt);
	}
	if (data)
		relay_data(o->relay);
}

const char *
rig_send(struct rig *r, struct owner *o, unsigned recipients)
{
	o->body = "Subject: x\r\n\r\nhello\r\n";
	owner_begin(o, r, recipients, true);
	rig_run(r, &o->is_over);
	return o->said;
}

void
rig_expect(struct rig *r, const struct owner *o, const char *said)
{
	if (r->fake.error[0] != '\0' || strcmp(o->said, said) != 0)
		fail_msg("said \"%s\" (%s), upstream: %s", o->said, o->detail,
		    r->fake.error);
}
