/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * evdns calls back at once or later, and also for what was cancelled; the
 * answer is always handed on by an event of ours, so that the asker is never
 * called from inside its own call.
 */
#include "control/resolve.h"

#include <assert.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#include "base/mem.h"
#include "ipc/shared.h"

struct resolver {
	struct event_base *base; /* borrowed */
	struct evdns_base *dns;
	struct event *limit;  /* the question takes too long */
	struct event *finish; /* the answer is there */
	resolve_done *done;
	void *arg;
	struct evdns_getaddrinfo_request *request; /* evdns's, while it runs */
	bool asked;                                /* and not yet answered */
	bool late;
	int code;
	struct evutil_addrinfo *list;
};

/* A name server answers within 2 s or is asked once more, or another is. */
static void
read_system_files(struct resolver *r)
{
	evdns_base_clear_nameservers_and_suspend(r->dns);
	evdns_base_clear_host_addresses(r->dns);
	evdns_base_search_clear(r->dns);
	/* without the file or a name server in it: 127.0.0.1, as resolv.conf(5)
	 * says */
	evdns_base_resolv_conf_parse(
	    r->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	if (evdns_base_count_nameservers(r->dns) == 0)
		evdns_base_nameserver_ip_add(r->dns, "127.0.0.1");
	evdns_base_set_option(r->dns, "timeout", "2");
	evdns_base_set_option(r->dns, "attempts", "2");
	evdns_base_resume(r->dns);
}

static void
on_addrinfo(int code, struct evutil_addrinfo *list, void *arg)
{
	struct resolver *r = arg;

	r->request = NULL;
	r->code = code;
	r->list = list;
	event_active(r->finish, EV_TIMEOUT, 0);
}

static void
on_limit(int fd, short what, void *arg)
{
	struct resolver *r = arg;

	(void)fd;
	(void)what;
	r->late = true;
	if (r->request != NULL)
		evdns_getaddrinfo_cancel(r->request); /* on_addrinfo follows */
}

static unsigned
collect(const struct evutil_addrinfo *list, struct address *to, unsigned max)
{
	unsigned n = 0, i;

	for (; list != NULL && n < max; list = list->ai_next) {
		if (list->ai_addrlen > sizeof to->name)
			continue;
		to[n] = (struct address){ .len = list->ai_addrlen };
		memcpy(&to[n].name, list->ai_addr, list->ai_addrlen);
		for (i = 0; i < n; i++)
			if (to[i].len == to[n].len &&
			    memcmp(&to[i].name, &to[n].name, to[n].len) == 0)
				break;
		if (i == n)
			n++;
	}
	return n;
}

static const char *
failure_text(const struct resolver *r)
{
	if (r->late)
		return "the name servers do not answer";
	switch (r->code) {
	case 0:
	case EVUTIL_EAI_NODATA:
		return "the name has no address";
	case EVUTIL_EAI_NONAME:
		return "there is no such name";
	case EVUTIL_EAI_AGAIN:
	case EVUTIL_EAI_FAIL:
		return "the name servers fail or do not answer";
	default:
		return evutil_gai_strerror(r->code);
	}
}

static void
on_finish(int fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct address addresses[UPSTREAM_MAX_ADDRESSES];
	unsigned n = 0;

	(void)fd;
	(void)what;
	evtimer_del(r->limit);
	r->asked = false;
	if (r->code == 0)
		n = collect(r->list, addresses, UPSTREAM_MAX_ADDRESSES);
	if (r->list != NULL)
		evutil_freeaddrinfo(r->list);
	r->list = NULL;
	r->done(r->arg, addresses, n, n > 0 ? NULL : failure_text(r));
}

struct resolver *
resolver_new(struct event_base *base, resolve_done *done, void *arg)
{
	struct resolver *r = xcalloc(1, sizeof *r);

	r->base = base;
	r->done = done;
	r->arg = arg;
	r->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	assert(r->dns != NULL);
	r->limit = evtimer_new(base, on_limit, r);
	r->finish = evtimer_new(base, on_finish, r);
	return r;
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	evtimer_del(r->limit);
	if (r->request != NULL) {
		evdns_getaddrinfo_cancel(r->request);
		event_base_loop(r->base, EVLOOP_NONBLOCK);
	}
	event_free(r->limit);
	event_free(r->finish);
	if (r->list != NULL)
		evutil_freeaddrinfo(r->list);
	evdns_base_free(r->dns, 0);
	free(r);
}

void
resolver_ask(struct resolver *r, const char *host, int port)
{
	static const struct timeval limit = { RESOLVE_TIMEOUT_MS / 1000,
		RESOLVE_TIMEOUT_MS % 1000 * 1000 };
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP };
	struct evdns_getaddrinfo_request *request;
	char service[8];

	assert(!r->asked);
	r->asked = true;
	r->late = false;
	snprintf(service, sizeof service, "%u", (unsigned)port & 0xffff);
	read_system_files(r);
	evtimer_add(r->limit, &limit);
	request =
	    evdns_getaddrinfo(r->dns, host, service, &hints, on_addrinfo, r);
	if (request != NULL) /* else on_addrinfo was called */
		r->request = request;
}
