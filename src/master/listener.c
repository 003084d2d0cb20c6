/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Binds, keeps and closes listening sockets. All are non-blocking and close
 * on exec; children are given theirs by number.
 */
#include "master/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define GIVEN_FIRST_FD 3
#define GIVEN_MAX 1024

struct address_text {
	char text[80];
};

static struct address_text
show(const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *in6 = (const void *)address;
	const struct sockaddr_in *in = (const void *)address;
	char host[INET6_ADDRSTRLEN] = "?";
	struct address_text t;

	if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(t.text, sizeof(t.text), "[%s]:%u", host,
		    ntohs(in6->sin6_port));
	} else {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(t.text, sizeof(t.text), "%s:%u", host,
		    ntohs(in->sin_port));
	}
	return t;
}

static bool
is_same_address(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6)
		return a6->sin6_port == b6->sin6_port &&
		    a6->sin6_scope_id == b6->sin6_scope_id &&
		    memcmp(&a6->sin6_addr, &b6->sin6_addr,
			sizeof(a6->sin6_addr)) == 0;
	return a->ss_family == AF_INET && a4->sin_port == b4->sin_port &&
	    a4->sin_addr.s_addr == b4->sin_addr.s_addr;
}

static struct listener *
find(struct listeners *ls, const struct plan_listener *at)
{
	struct listener *l;

	for (l = ls->first; l != NULL; l = l->next)
		if (is_same_address(&l->at.address, &at->address) &&
		    (l->given || l->at.dual_stack == at->dual_stack))
			return l;
	return NULL;
}

static struct listener *
add(struct listeners *ls, const struct plan_listener *at)
{
	struct listener *l = xcalloc(1, sizeof(*l)), **end = &ls->first;

	l->at = *at;
	while (*end != NULL)
		end = &(*end)->next;
	*end = l;
	return l;
}

static void
add_socket(struct listener *l, int fd)
{
	l->fds = xrealloc(l->fds, (l->nfds + 1) * sizeof(*l->fds));
	l->fds[l->nfds++] = fd;
}

static void
shrink(struct listener *l, unsigned nfds)
{
	while (l->nfds > nfds)
		close(l->fds[--l->nfds]);
}

/* ---- given by the service manager --------------------------------------- */

static void
inherit(struct listeners *ls, int fd)
{
	struct plan_listener at = { .address_len = sizeof(at.address) };
	struct listener *l;
	int listening = 0;
	socklen_t len = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == -1 ||
	    !listening ||
	    getsockname(fd, (struct sockaddr *)&at.address,
		&at.address_len) == -1 ||
	    (at.address.ss_family != AF_INET &&
		at.address.ss_family != AF_INET6)) {
		log_say(LOG_LEVEL_WARNING, "listen",
		    "descriptor %d of LISTEN_FDS is no listening TCP socket; "
		    "closed", fd);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	l = find(ls, &at);
	if (l == NULL)
		l = add(ls, &at);
	l->given = true;
	add_socket(l, fd);
}

void
listeners_inherit(struct listeners *ls)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	long i, count = 0;

	if (pid != NULL && n != NULL && strtol(pid, NULL, 10) == getpid())
		count = strtol(n, NULL, 10);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (i = 0; i < count && i < GIVEN_MAX; i++)
		inherit(ls, GIVEN_FIRST_FD + (int)i);
}

/* ---- our own ------------------------------------------------------------- */

/* A bound socket, or -1 with errno. Only with `join` may others be bound to
 * the same address. */
static int
bind_one(const struct plan_listener *at, bool join)
{
	const int on = 1, off = 0;
	int fd, saved;

	fd = socket(at->address.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, join ? &on : &off,
		sizeof(on)) != -1 &&
	    (at->address.ss_family != AF_INET6 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		    at->dual_stack ? &off : &on, sizeof(on)) != -1) &&
	    bind(fd, (const struct sockaddr *)&at->address,
		at->address_len) != -1)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static unsigned
port_of(const struct listener *l)
{
	const struct sockaddr_in6 *in6 = (const void *)&l->at.address;
	const struct sockaddr_in *in = (const void *)&l->at.address;

	return l->at.address.ss_family == AF_INET6 ? in6->sin6_port
						   : in->sin_port;
}

/* SO_REUSEPORT would let us share an address with a stranger of the same
 * user. So the first socket of a port is tried without; a port where we
 * listen already may be bound again ("*" became an address). */
static bool
is_taken(const struct listeners *ls, const struct listener *l)
{
	const struct listener *other;
	int fd;

	for (other = ls->first; other != NULL; other = other->next)
		if (other->nfds > 0 && port_of(other) == port_of(l))
			return false;
	fd = bind_one(&l->at, false);
	if (fd == -1)
		return true;
	close(fd);
	return false;
}

static int
widen(struct listeners *ls, struct listener *l, unsigned width,
    struct error *err)
{
	int fd;

	while (!l->given && l->nfds < width) {
		fd = is_taken(ls, l) ? -1 : bind_one(&l->at, true);
		if (fd == -1)
			return error_set(err, ERROR_PERMANENT,
			    "cannot listen on %s: %s",
			    show(&l->at.address).text, strerror(errno));
		add_socket(l, fd);
	}
	return 0;
}

static unsigned
larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

int
listeners_use(struct listeners *ls, const struct plan *plan,
    struct listener *used[], unsigned *width_r, struct error *err)
{
	unsigned width = larger(plan->nsession, ls->width), i;
	struct listener *l;

	for (l = ls->first; l != NULL; l = l->next)
		if (l->given)
			width = larger(width, l->nfds);
	for (i = 0; i < plan->nlisteners; i++) {
		l = find(ls, &plan->listeners[i]);
		if (l == NULL)
			l = add(ls, &plan->listeners[i]);
		l->users++;
		used[i] = l;
		if (widen(ls, l, width, err) == -1) {
			listeners_abandon(ls);
			listeners_release(ls, used, i + 1);
			return -1;
		}
	}
	*width_r = width;
	return 0;
}

int
listeners_listen(struct listener *const used[], const struct plan *plan,
    struct error *err)
{
	unsigned i, j;

	for (i = 0; i < plan->nlisteners; i++)
		for (j = 0; j < used[i]->nfds && !used[i]->given; j++)
			if (listen(used[i]->fds[j],
				plan->listeners[i].backlog) == -1)
				return error_set(err, ERROR_PERMANENT,
				    "cannot listen on %s: %s",
				    show(&used[i]->at.address).text,
				    strerror(errno));
	return 0;
}

static bool
is_among(struct listener *const used[], unsigned nused,
    const struct listener *l)
{
	unsigned i;

	for (i = 0; i < nused; i++)
		if (used[i] == l)
			return true;
	return false;
}

void
listeners_commit(struct listeners *ls, struct listener *const used[],
    unsigned nused, unsigned width)
{
	struct listener *l;

	ls->width = width;
	for (l = ls->first; l != NULL; l = l->next) {
		if (l->nfds == 0 || is_among(used, nused, l))
			continue;
		if (l->given)
			log_say(LOG_LEVEL_WARNING, "listen",
			    "nothing listens on %s, which the service manager "
			    "opened; closed", show(&l->at.address).text);
		shrink(l, 0);
	}
}

void
listeners_shut(struct listeners *ls)
{
	struct listener *l;

	for (l = ls->first; l != NULL; l = l->next)
		shrink(l, 0);
}

void
listeners_abandon(struct listeners *ls)
{
	struct listener *l;

	for (l = ls->first; l != NULL; l = l->next)
		if (!l->given)
			shrink(l, larger(ls->width, 1));
}

void
listeners_release(struct listeners *ls, struct listener *used[],
    unsigned nused)
{
	struct listener **at = &ls->first, *l;
	unsigned i;

	for (i = 0; i < nused; i++)
		used[i]->users--;
	while ((l = *at) != NULL) {
		/* Those given are closed only once a generation is up. */
		if (l->users > 0 || (l->given && l->nfds > 0)) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		shrink(l, 0);
		free(l->fds);
		free(l);
	}
}

int
listener_socket(const struct listener *l, unsigned i)
{
	return l->fds[i % l->nfds];
}

unsigned
listeners_rounds(unsigned width, unsigned nslots, unsigned slot)
{
	return (width - slot + nslots - 1) / nslots;
}

void
listeners_close(struct listeners *ls)
{
	struct listener *l;

	while ((l = ls->first) != NULL) {
		ls->first = l->next;
		shrink(l, 0);
		free(l->fds);
		free(l);
	}
}
