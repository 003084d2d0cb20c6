/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * `check --online`: does everything that mail needs answer now? All is tried
 * at once, each item by itself, as a client or a session worker would:
 *
 *   upstream  every address of every host: connect, TLS, EHLO; MAIL, RCPT
 *             and RSET for addresses that the operator names
 *   listen    our own sockets, from outside: connect, TLS, the certificate
 *   login     a name that nobody has, at the first of them: the people's
 *             directory must say that it knows it not
 *   store     the counters of a person whom nobody is
 *
 * One run at a time. It owns its items and their probes; the client that asked
 * waits at the server and may be gone when the answer is there.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/mem.h"
#include "control/control.h"
#include "ipc/question.h"
#include "relay/relay.h"

#define ONLINE_LIMIT_MS 12000 /* less than porteroctl waits */
#define CONNECT_MS 5000       /* to our own sockets, and the login */
#define EXPIRES_SOON_DAYS 14
#define NOBODY "portero-check"

enum item_result { ITEM_PENDING, ITEM_OK, ITEM_WARNING, ITEM_FAILED };

struct item {
	struct online *online; /* borrowed; its owner */
	const char *kind;
	char name[400];
	enum item_result result;
	char detail[600];
	struct relay_probe *probe;
	struct item *login; /* borrowed; answered by the same probe */
};

struct online {
	struct control *control; /* borrowed */
	uint64_t id;             /* of the answer that is awaited */
	uint64_t store_id;
	struct item *store;
	struct item **items; /* owned, each by itself: probes point to them */
	size_t nitems;
	struct event *limit, *finish;
	/* our own sockets, as if they were upstreams */
	struct config loop;
	struct relay_setup upstreams, sockets;
	struct relay_access **access; /* to our own */
	char *say_mail[RELAY_PROBE_SAY + 1], *say_login[2];
};

/* ---- items -------------------------------------------------------------- */

static struct item *item_new(struct online *o, const char *kind,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
static void item_end(struct item *item, enum item_result result,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

static struct item *
item_new(struct online *o, const char *kind, const char *format, ...)
{
	struct item *item = xcalloc(1, sizeof *item);
	va_list ap;

	item->online = o;
	item->kind = kind;
	va_start(ap, format);
	vsnprintf(item->name, sizeof item->name, format, ap);
	va_end(ap);
	o->items =
	    xrealloc(o->items, (o->nitems + 1) * sizeof(struct item *));
	o->items[o->nitems++] = item;
	return item;
}

static bool
is_pending(const struct online *o)
{
	for (size_t i = 0; i < o->nitems; i++)
		if (o->items[i]->result == ITEM_PENDING)
			return true;
	return false;
}

/* The last one's end is the end of all, in the next turn of the loop. */
static void
item_end(struct item *item, enum item_result result, const char *format, ...)
{
	struct online *o = item->online;
	va_list ap;

	if (item->result != ITEM_PENDING)
		return;
	item->result = result;
	va_start(ap, format);
	vsnprintf(item->detail, sizeof item->detail, format, ap);
	va_end(ap);
	if (!is_pending(o))
		event_active(o->finish, EV_TIMEOUT, 0);
}

/* ---- certificates ------------------------------------------------------- */

/* What is wrong with it; ITEM_OK: nothing, and until when it is valid. */
static enum item_result
judge_certificate(
    const X509 *x, const char *hostname, char *to, size_t size)
{
	int days = 0, seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) != 1) {
		snprintf(to, size, "the certificate's date cannot be read");
		return ITEM_FAILED;
	}
	if (days < 0 || seconds < 0) {
		snprintf(to, size, "the certificate expired %d days ago", -days);
		return ITEM_FAILED;
	}
	if (hostname != NULL &&
	    X509_check_host((X509 *)(uintptr_t)x, hostname, 0, 0, NULL) != 1) {
		snprintf(to, size, "the certificate does not cover %s",
		    hostname);
		return ITEM_WARNING;
	}
	snprintf(to, size, "certificate valid for %d days", days);
	return days < EXPIRES_SOON_DAYS ? ITEM_WARNING : ITEM_OK;
}

/* ---- upstreams ---------------------------------------------------------- */

static void
on_upstream(void *arg, const struct relay_probe_result *r)
{
	struct item *item = arg;
	enum item_result result = ITEM_OK;
	char text[500] = "no TLS";

	if (r->error != NULL) {
		item_end(item, ITEM_FAILED, "%s", r->error);
		return;
	}
	if (r->certificate != NULL)
		result = judge_certificate(
		    r->certificate, NULL, text, sizeof text);
	for (unsigned i = 0; i < r->nreplies; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof text - len, "; %s", r->reply[i]);
		if (r->code[i] / 100 != 2)
			result = ITEM_FAILED;
	}
	item_end(item, result, "%s", text);
}

static void
try_host(struct online *o, unsigned index, const struct upstream_report *r)
{
	const struct upstream_state *s = &r->known;
	char host[300], address[80];

	relay_host_print(r->host, host, sizeof host);
	if (s->naddresses == 0)
		item_end(item_new(o, "upstream", "%s", host), ITEM_FAILED, "%s",
		    s->error[0] == '\0' ? "no address is known yet" : s->error);
	for (uint32_t i = 0; i < s->naddresses; i++) {
		struct item *item;

		upstream_address_print(
		    &s->address[i], s->address_len[i], address, sizeof address);
		item = item_new(o, "upstream",
		    strcmp(host, address) == 0 ? "%s" : "%s %s", host, address);
		item->probe = relay_probe_start(&o->upstreams, index,
		    &s->address[i], s->address_len[i],
		    (const char *const *)o->say_mail, on_upstream, item);
	}
}

static void
try_upstreams(struct online *o)
{
	struct upstream_report r;

	for (unsigned i = 0; upstream_report(o->control->watch, i, &r); i++)
		try_host(o, i, &r);
}

/* ---- our own sockets ---------------------------------------------------- */

/* 535 is what a name must get that nobody has. */
static void
judge_login(struct item *item, const struct relay_probe_result *r)
{
	if (r->error != NULL)
		item_end(item, ITEM_FAILED, "%s", r->error);
	else if (r->nreplies == 0)
		item_end(item, ITEM_FAILED, "no answer");
	else if (r->code[0] == 535)
		item_end(item, ITEM_OK, "a name that nobody has is refused");
	else if (r->code[0] == 235)
		item_end(item, ITEM_FAILED, "a made-up name can log in");
	else
		item_end(item, ITEM_FAILED, "%s", r->reply[0]);
}

static void
on_socket(void *arg, const struct relay_probe_result *r)
{
	struct item *item = arg;
	enum item_result result;
	char text[200];

	if (item->login != NULL)
		judge_login(item->login, r);
	if (r->certificate == NULL) {
		item_end(item, ITEM_FAILED, "%s",
		    r->error != NULL ? r->error : "no certificate was shown");
		return;
	}
	result = judge_certificate(r->certificate,
	    item->online->control->config->hostname, text, sizeof text);
	item_end(item, result, "%s", text);
}

/* Where a client on this host would go. */
static void
make_local(struct sockaddr_storage *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)a;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)a;

	if (a->ss_family == AF_INET && in->sin_addr.s_addr == INADDR_ANY)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (a->ss_family == AF_INET6 &&
		 IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		in6->sin6_addr = in6addr_loopback;
}

static void
add_socket(struct online *o, const struct config_socket *s)
{
	static struct config_host self = { .name = (char *)(uintptr_t) "self" };
	static char *nobody[] = { NULL };
	struct config_upstream *u = &o->loop.upstreams[o->loop.nupstreams++];

	*u = (struct config_upstream){ .hosts = &self,
		.nhosts = 1,
		.first = o->loop.nhosts++,
		.classes = nobody,
		.tls = s->listen->tls == CONFIG_TLS_IMPLICIT
		           ? CONFIG_UPSTREAM_IMPLICIT
		           : CONFIG_UPSTREAM_STARTTLS,
		.tls_name = o->control->config->hostname,
		.connect_timeout_ms = CONNECT_MS,
		.reply_timeout_ms = CONNECT_MS };
}

static void
try_socket(struct online *o, struct config_socket *s, unsigned index,
    bool *login_tried)
{
	static const char *const nothing[] = { NULL };
	bool login = !*login_tried && !s->listen->proxy;
	struct item *item;
	char address[80];

	make_local(&s->address);
	upstream_address_print(
	    &s->address, s->address_len, address, sizeof address);
	item = item_new(o, "listen", "%s %s", s->listen->title, address);
	if (s->listen->proxy) {
		item_end(item, ITEM_OK,
		    "not tried: clients come through a proxy");
		return;
	}
	if (login)
		item->login = item_new(o, "login", "%s", s->listen->title);
	*login_tried = *login_tried || login;
	item->probe = relay_probe_start(&o->sockets, index, &s->address,
	    s->address_len, login ? (const char *const *)o->say_login : nothing,
	    on_socket, item);
}

static void
try_sockets(struct online *o)
{
	struct control *c = o->control;
	struct config_socket sockets[MAX_LISTENERS];
	size_t n = config_sockets(c->config, sockets, MAX_LISTENERS);
	bool login_tried = false;
	struct error err;

	o->loop.hostname = c->config->hostname;
	o->loop.upstreams = xcalloc(n, sizeof *o->loop.upstreams);
	for (size_t i = 0; i < n; i++)
		add_socket(o, &sockets[i]);
	o->sockets = o->upstreams;
	o->sockets.config = &o->loop;
	o->access = relay_access_new(&o->loop, false, &err);
	if (o->access == NULL) {
		item_end(item_new(o, "listen", "TLS"), ITEM_FAILED, "%s",
		    err.text);
		return;
	}
	o->sockets.access = o->access;
	for (size_t i = 0; i < n; i++)
		try_socket(o, &sockets[i], (unsigned)i, &login_tried);
}

/* ---- the store ---------------------------------------------------------- */

static void
try_store(struct online *o)
{
	struct control *c = o->control;
	const struct config_module *m = c->config->modules;
	const struct config_module *end = m + c->config->nmodules;

	while (m < end && m->kind != CONFIG_STORE)
		m++;
	if (m == end)
		return;
	o->store = item_new(o, "store", "counters");
	o->store_id = control_next_id(c);
	if (limits_send(c, o->store_id, STR(NOBODY)) == -1)
		item_end(o->store, ITEM_FAILED, "the policy workers are busy");
}

bool
online_store_answered(struct online *o, uint64_t id, const char *error)
{
	if (o == NULL || o->store == NULL || id != o->store_id)
		return false;
	if (error == NULL)
		item_end(o->store, ITEM_OK, "it answers");
	else
		item_end(o->store, ITEM_FAILED, "%s", error);
	return true;
}

/* ---- begin and end ------------------------------------------------------ */

void
online_free(struct online **op)
{
	struct online *o = *op;

	if (o == NULL)
		return;
	*op = NULL;
	for (size_t i = 0; i < o->nitems; i++) {
		relay_probe_free(&o->items[i]->probe);
		free(o->items[i]);
	}
	for (int i = 0; i < RELAY_PROBE_SAY; i++)
		free(o->say_mail[i]);
	free(o->say_login[0]);
	relay_access_free(&o->access, &o->loop);
	free(o->loop.upstreams);
	free(o->items);
	event_free(o->limit);
	event_free(o->finish);
	free(o);
}

static json_t *
online_json(const struct online *o)
{
	static const char *const results[] = { [ITEM_PENDING] = "failed",
		[ITEM_OK] = "ok",
		[ITEM_WARNING] = "warning",
		[ITEM_FAILED] = "failed" };
	json_t *list = json_array(), *answer, *json;
	size_t nfailed = 0;

	for (size_t i = 0; i < o->nitems; i++) {
		const struct item *item = o->items[i];

		nfailed += item->result == ITEM_PENDING ||
		           item->result == ITEM_FAILED;
		json = json_pack("{s:s, s:s}", "check", item->kind, "result",
		    results[item->result]);
		json_object_set_new(
		    json, "name", answer_string(str_of(item->name)));
		json_object_set_new(json, "detail",
		    item->result == ITEM_PENDING
			? json_string("no end in time")
			: answer_string(str_of(item->detail)));
		json_array_append_new(list, json);
	}
	answer = nfailed == 0 ? answer_ok()
	                      : answer_error(REASON_FAILED,
				    "%zu of %zu checks failed", nfailed,
				    o->nitems);
	json_object_set_new(answer, "checks", list);
	return answer;
}

static void
on_limit(int fd, short what, void *arg)
{
	struct online *o = arg;
	struct control *c = o->control;
	struct client *client = server_waiting(c->server, o->id);

	(void)fd;
	(void)what;
	if (client != NULL)
		client_answer(client, online_json(o));
	online_free(&c->online);
}

/* Those that ended may have been all that there were then. */
static void
on_finish(int fd, short what, void *arg)
{
	if (!is_pending(arg))
		on_limit(fd, what, arg);
}

static char *
make_login(void)
{
	uint8_t random[8];
	unsigned char plain[64], text[100];
	int len;

	id_random(random, sizeof random);
	len = snprintf((char *)plain, sizeof plain, "%c%s-%02x%02x%02x%02x%c%s",
	    '\0', NOBODY, random[0], random[1], random[2], random[3], '\0',
	    "no password");
	EVP_EncodeBlock(text, plain, len);
	return xasprintf("AUTH PLAIN %s", (const char *)text);
}

void
online_start(
    struct control *c, struct client *client, const struct request *r)
{
	struct online *o;
	const struct timeval limit = { ONLINE_LIMIT_MS / 1000, 0 };

	if (c->online != NULL) {
		client_answer(client, answer_error(REASON_FAILED,
					  "a check is running; try again"));
		return;
	}
	c->online = o = xcalloc(1, sizeof *o);
	o->control = c;
	o->id = control_next_id(c);
	o->upstreams = (struct relay_setup){ .base = c->base,
		.config = c->config,
		.shared = c->shared,
		.row = c->args->row,
		.board = &c->board,
		.access = c->access };
	if (*r->from != '\0') {
		o->say_mail[0] = xasprintf("MAIL FROM:<%s>", r->from);
		o->say_mail[1] = xasprintf("RCPT TO:<%s>", r->to);
		o->say_mail[2] = xstrdup("RSET");
	}
	o->say_login[0] = make_login();
	o->limit = evtimer_new(c->base, on_limit, o);
	o->finish = evtimer_new(c->base, on_finish, o);
	evtimer_add(o->limit, &limit);
	client_wait(client, o->id, ONLINE_LIMIT_MS + 1000, "no end in time");
	try_upstreams(o);
	try_sockets(o);
	try_store(o);
}
