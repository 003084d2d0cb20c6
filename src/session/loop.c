/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The process of a session worker: start, loop and end. Everything that needs
 * rights or files happens in worker_prepare(); afterwards the process has a few
 * sockets, shared memory, and no way to anything else.
 */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "config/start.h"
#include "ipc/lifeline.h"
#include "ipc/log_care.h"
#include "session/ledger.h"
#include "session/session_private.h"
#include "session/tls.h"
#include "session/transaction.h"

#define ACCEPTS_PER_TURN 16
#define ACCEPT_PAUSE_MS 100
#define OWN_FDS 8 /* of the event loop and the like, beside those given */
#define TICK_S 1
/* Memory is handed back when the crowd has gone, not after every client. */
#define TRIM_EVERY_MS 30000

struct listener_event {
	struct session_worker *worker;
	const struct config_listen *listen; /* borrowed */
	struct event *event;
	int fd;
};

/* What the loop itself needs, beyond what sessions see. */
struct worker_loop {
	struct session_worker w;
	struct listener_event *listeners;
	size_t nlisteners;
	size_t max_sessions; /* what is left of the descriptors is upstream's */
	bool is_full;        /* which has been logged */
	struct event *lifeline, *tick, *accept_pause;
	int64_t drain_until_ms; /* while draining */
	int64_t trimmed_ms;
	bool is_over;
	uint8_t lifeline_buffer[LIFELINE_MAX + 64];
};

/* ---- accepting --------------------------------------------------------- */

static void
accept_pause(struct worker_loop *loop, int error)
{
	const struct timeval tv = { .tv_usec = ACCEPT_PAUSE_MS * 1000 };

	for (size_t i = 0; i < loop->nlisteners; i++)
		event_del(loop->listeners[i].event);
	evtimer_add(loop->accept_pause, &tv);
	if (!loop->is_full)
		log_say(LOG_LEVEL_WARNING, "accept",
		    "new clients wait, with %zu sessions: %s",
		    loop->w.nsessions, strerror(error));
	loop->is_full = true;
}

static void
on_accept_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct worker_loop *loop = arg;

	(void)fd;
	(void)what;
	if (loop->w.draining)
		return;
	for (size_t i = 0; i < loop->nlisteners; i++)
		event_add(loop->listeners[i].event, NULL);
}

static void
on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct listener_event *l = arg;
	struct worker_loop *loop = (struct worker_loop *)l->worker;
	struct sockaddr_storage peer;
	socklen_t len;
	int fd;

	(void)what;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		if (loop->w.nsessions >= loop->max_sessions &&
		    !arrival_make_room(&loop->w)) {
			accept_pause(loop, EMFILE);
			return;
		}
		len = sizeof peer;
		fd = accept4(listen_fd, (struct sockaddr *)&peer, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOMEM || errno == ENOBUFS)
				accept_pause(loop, errno);
			else
				loop->is_full = false;
			return;
		}
		session_open(l->worker, fd, l->listen, (struct sockaddr *)&peer);
	}
}

static void
accept_stop(struct worker_loop *loop)
{
	for (size_t i = 0; i < loop->nlisteners; i++) {
		event_free(loop->listeners[i].event);
		close(loop->listeners[i].fd);
	}
	loop->nlisteners = 0;
}

/* ---- orders and ticks -------------------------------------------------- */

static void
drain_start(struct worker_loop *loop, int64_t ms)
{
	loop->drain_until_ms = clock_mono_ms() + ms;
	if (loop->w.draining)
		return;
	accept_stop(loop);
	worker_drain(&loop->w);
}

static void
order_take(struct worker_loop *loop, const struct lifeline_record *r)
{
	switch (r->type) {
	case ORDER_DRAIN:
		drain_start(loop, r->value);
		break;
	case ORDER_STOP:
		loop->is_over = true;
		break;
	case ORDER_LOG:
		if (r->fd != -1)
			log_replace(r->fd);
		return;
	default:
		break;
	}
	if (r->fd != -1)
		close(r->fd);
}

static void
on_lifeline(evutil_socket_t fd, short what, void *arg)
{
	struct worker_loop *loop = arg;
	struct lifeline_record r;
	int ret;

	(void)what;
	while ((ret = lifeline_receive(fd, &r, loop->lifeline_buffer,
		    sizeof loop->lifeline_buffer)) == 1)
		order_take(loop, &r);
	if (ret == -1) {
		/* The master has gone: finish what runs, then go too. */
		event_del(loop->lifeline);
		drain_start(loop, loop->w.config->stop_timeout_ms);
	}
}

static void
memory_trim(struct worker_loop *loop)
{
	struct session_worker *w = &loop->w;

	if (w->nsessions * 2 >= w->peak_sessions ||
	    worker_now_ms(w) - loop->trimmed_ms < TRIM_EVERY_MS)
		return;
	loop->trimmed_ms = worker_now_ms(w);
	w->peak_sessions = w->nsessions;
	malloc_trim(0);
}

static void
drain_check(struct worker_loop *loop)
{
	struct session_worker *w = &loop->w;

	if (!w->draining)
		return;
	loop->is_over |= clock_mono_ms() >= loop->drain_until_ms ||
	    (w->nsessions == 0 && TAILQ_EMPTY(&w->detached) &&
		ledger_owed(w->ledger) == 0);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker_loop *loop = arg;
	struct session_worker *w = &loop->w;
	struct session *s;

	(void)fd;
	(void)what;
	if (w->draining)
		worker_drain(w);
	/* the oldest come first */
	TAILQ_FOREACH(s, &w->sessions, entry) {
		if (!session_is_old(s))
			break;
		session_retire(s);
	}
	atomic_store(&w->board.beats[w->args.slot].beat_ns, clock_mono_ns());
	log_care(w->shared, w->args.row);
	memory_trim(loop);
}

/* ---- the loop ---------------------------------------------------------- */

static void
loop_run(struct worker_loop *loop)
{
	while (!loop->is_over) {
		loop->w.now_ms = 0;
		event_base_loop(loop->w.base, EVLOOP_ONCE);
		worker_end_turn(&loop->w);
		drain_check(loop);
	}
}

/* Last words, and a line in the log for everything that was not finished. What
 * is open ends with the process: clients see a close, an upstream no dot, and
 * the master settles what is owed. */
static void
loop_end(struct worker_loop *loop)
{
	struct session_worker *w = &loop->w;
	struct transaction *tx;
	struct session *s;

	TAILQ_FOREACH(s, &w->sessions, entry)
		session_cut(s);
	worker_end_turn(w);
	while ((tx = TAILQ_FIRST(&w->detached)) != NULL)
		transaction_finish(tx, PORTERO_OUTCOME_UNKNOWN, "no answer");
	TAILQ_FOREACH(s, &w->sessions, entry)
		session_die(s, "stop");
	worker_end_turn(w);
}

/* ---- start and end ----------------------------------------------------- */

static void
fail(const char *what, const struct error *err)
{
	log_say(LOG_LEVEL_ERROR, "start", "session worker: %s: %s", what,
	    err->text);
	log_flush();
	exit(1);
}

static void
listeners_open(struct worker_loop *loop)
{
	struct session_worker *w = &loop->w;
	struct config_socket sockets[MAX_LISTENERS];
	size_t n = config_sockets(w->config, sockets, MAX_LISTENERS);
	const int on = 1;

	/* The descriptors come in rounds: one socket of each address. */
	loop->listeners = xcalloc(w->args.nlisteners, sizeof *loop->listeners);
	for (size_t i = 0; n > 0 && i < w->args.nlisteners; i++) {
		struct listener_event *l = &loop->listeners[i];

		l->worker = w;
		l->listen = sockets[i % n].listen;
		l->fd = ROLE_FD_FIRST + (int)i;
		evutil_make_socket_nonblocking(l->fd);
		/* Linux hands both on to what is accepted. */
		setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
		l->event = event_new(w->base, l->fd, EV_READ | EV_PERSIST,
		    on_accept, l);
		assert(l->event != NULL);
		event_add(l->event, NULL);
		loop->nlisteners++;
	}
}

static void
loop_open(struct worker_loop *loop, struct relay_access *const *access)
{
	struct session_worker *w = &loop->w;
	const struct timeval tick = { .tv_sec = TICK_S };

	worker_open(w, access);
	loop->lifeline = event_new(w->base, ROLE_FD_LIFELINE,
	    EV_READ | EV_PERSIST, on_lifeline, loop);
	loop->tick = event_new(w->base, -1, EV_PERSIST, on_tick, loop);
	loop->accept_pause = evtimer_new(w->base, on_accept_pause_over, loop);
	assert(loop->lifeline != NULL && loop->tick != NULL &&
	    loop->accept_pause != NULL);
	evutil_make_socket_nonblocking(ROLE_FD_LIFELINE);
	event_add(loop->lifeline, NULL);
	event_add(loop->tick, &tick);
	listeners_open(loop);
}

/* A client at work needs a second descriptor, for the upstream: not all of
 * them may go to those who only came. */
static size_t
session_limit(const struct role_args *args)
{
	const size_t own = ROLE_FD_FIRST + args->nlisteners + OWN_FDS;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 || r.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return r.rlim_cur > own + 4 ? (r.rlim_cur - own) / 4 * 3 : 1;
}

/* Everything that must be fetched while files are still within reach. */
static void
warm_up(struct session_worker *w)
{
	unsigned char byte;
	SSL *ssl = SSL_new(tls_server_context(w->tls));
	char date[64];

	assert(ssl != NULL);
	SSL_free(ssl);
	RAND_bytes(&byte, 1);
	tzset();
	clock_format_rfc5322(date, sizeof date, clock_wall_s());
}

static void
worker_prepare(struct worker_loop *loop, const struct role_args *args)
{
	struct session_worker *w = &loop->w;
	struct relay_access **access;
	struct error err = { 0 };
	uint32_t bits = 0;

	w->args = *args;
	loop->max_sessions = session_limit(args);
	w->config = start_config(NULL, &err);
	if (w->config == NULL)
		fail("configuration", &err);
	for (size_t i = 0; i < w->config->nmodules; i++)
		w->has_policies |= w->config->modules[i].kind == CONFIG_POLICY;
	start_log(w->config, "portero-session");
	log_buffered(true);
	w->shared = shared_map(ROLE_FD_SHARED, &err);
	if (w->shared == NULL || board_map(&w->board, ROLE_FD_BOARD, &err) == -1)
		fail("shared memory", &err);
	w->sheet = crowd_claim(&w->shared->crowd, args->incarnation);
	if (w->sheet == NULL)
		log_say(LOG_LEVEL_ERROR, "start",
		    "no room to count clients: limits on connections and "
		    "parallel messages do not hold in this worker");
	w->tls = tls_server_new(w->config, &err);
	if (w->tls == NULL)
		fail("certificates", &err);
	access = relay_access_new(w->config, true, &err);
	if (access == NULL)
		fail("access to the upstream", &err);
	warm_up(w);
	w->base = event_base_new();
	assert(w->base != NULL);
	if (start_become(w->config->user, w->config->chroot_dir, &bits,
		&err) == -1)
		fail("rights", &err);
	loop_open(loop, access);
	if (sandbox_session(&bits, &err) == -1)
		fail("sandbox", &err);
	atomic_store(&w->board.beats[args->slot].beat_ns, clock_mono_ns());
	atomic_store(&w->board.beats[args->slot].pid, (uint32_t)getpid());
	atomic_store(&w->board.beats[args->slot].sandbox, bits);
}

int
session_main(const struct role_args *args)
{
	struct worker_loop *loop = xcalloc(1, sizeof *loop);
	const struct lifeline_record ready = { .type = REPORT_READY, .fd = -1 };

	sandbox_quiet();
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
	worker_prepare(loop, args);
	lifeline_send(ROLE_FD_LIFELINE, &ready);
	loop_run(loop);
	loop_end(loop);
	return 0;
}
