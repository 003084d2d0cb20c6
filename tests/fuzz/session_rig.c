/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The worker of session_rig.h, with the clock and the TLS that it sees.
 */
#include "session_net.h"
#include "session_rig.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/ledger.h"
#include "session/questions.h"
#include "session/session_private.h"
#include "session/tls.h"

#define ROW 3
#define INCARNATION 7
#define TURNS_MAX 400 /* for one token: more is a busy loop */

static struct session_worker worker;
static struct config config;
static struct relay_access **access_;
static int64_t mono_ns = 1000000000000;

/* ---- the clock ---------------------------------------------------------- */

/* Instead of libc's, in every library of this process. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ||
	    id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = mono_ns / 1000000000;
	ts->tv_nsec = mono_ns % 1000000000;
	return 0;
}

void
rig_advance(long ms)
{
	mono_ns += ms * 1000000LL;
	worker.now_ms = 0;
}

/* ---- TLS ---------------------------------------------------------------- */

static int tls_error;

int __wrap_SSL_do_handshake(SSL *ssl);
int __wrap_SSL_read(SSL *ssl, void *to, int size);
int __wrap_SSL_write(SSL *ssl, const void *from, int len);
int __wrap_SSL_has_pending(const SSL *ssl);
int __wrap_SSL_get_error(const SSL *ssl, int ret);
int __wrap_SSL_shutdown(SSL *ssl);

static int
tls_result(ssize_t n)
{
	tls_error = n > 0 ? SSL_ERROR_NONE
	    : n == 0      ? SSL_ERROR_ZERO_RETURN
	    : errno == EAGAIN ? SSL_ERROR_WANT_READ
			      : SSL_ERROR_SYSCALL;
	return n > 0 ? (int)n : -1;
}

int
__wrap_SSL_do_handshake(SSL *ssl)
{
	unsigned char byte = 0;
	int ret = tls_result(recv(SSL_get_fd(ssl), &byte, 1, MSG_DONTWAIT));

	if (ret == 1 && byte != TLS_HELLO) {
		tls_error = SSL_ERROR_SSL;
		ret = -1;
	}
	return ret;
}

int
__wrap_SSL_read(SSL *ssl, void *to, int size)
{
	return tls_result(
	    recv(SSL_get_fd(ssl), to, (size_t)size, MSG_DONTWAIT));
}

int
__wrap_SSL_write(SSL *ssl, const void *from, int len)
{
	int ret = tls_result(send(SSL_get_fd(ssl), from, (size_t)len,
	    MSG_DONTWAIT | MSG_NOSIGNAL));

	if (tls_error == SSL_ERROR_WANT_READ)
		tls_error = SSL_ERROR_WANT_WRITE;
	return ret;
}

int
__wrap_SSL_has_pending(const SSL *ssl)
{
	(void)ssl;
	return 0;
}

int
__wrap_SSL_get_error(const SSL *ssl, int ret)
{
	(void)ssl;
	(void)ret;
	return tls_error;
}

int
__wrap_SSL_shutdown(SSL *ssl)
{
	(void)ssl;
	return 1;
}

/* ---- the worker --------------------------------------------------------- */

struct session_worker *
rig_worker(void)
{
	return &worker;
}

static char *nothing[] = { NULL };
static char hostname[] = "portero.example.org", title[] = "test", empty[] = "";
static char host_name[] = "mx.example.net";
static struct config_tls tls = { .title = empty,
	.certificate = nothing,
	.key = nothing,
	.profile = CONFIG_PROFILE_INTERMEDIATE };
static struct config_listen listens[] = {
	{ .title = title, .tls = CONFIG_TLS_STARTTLS, .max_size = 2000 },
	{ .title = title, .tls = CONFIG_TLS_IMPLICIT, .max_size = 2000 },
};
static struct config_host host = { host_name, 25 };
static struct config_upstream upstream = {
	.title = empty,
	.hosts = &host,
	.nhosts = 1,
	.classes = nothing,
	.priority = 1,
	.tls = CONFIG_UPSTREAM_NONE,
	.connect_timeout_ms = 5000,
	.reply_timeout_ms = 60000,
	.dot_timeout_ms = 600000,
	.idle_connections = 2,
};

static void
config_make(const struct rig_choice *choice)
{
	const struct config_crowding any = { PORTERO_UNLIMITED,
		PORTERO_UNLIMITED };

	config = (struct config){
		.hostname = hostname,
		.sub_address_delimiters = empty,
		.bare_newline = choice->rejects_bare_newlines
		    ? SMTP_NEWLINE_REJECT : SMTP_NEWLINE_NORMALIZE,
		.max_recipients = 4,
		.max_connections = 100,
		.host = any,
		.network = any,
		.max_transactions = 2,
		.login_timeout_ms = 60000,
		.idle_timeout_ms = 300000,
		.max_session_ms = 3600000,
		.data_timeout_ms = 180000,
		.auth_deadline_ms = 5000,
		.policy_deadline_ms = 1000,
		.dot_timeout_ms = 600000,
		.tls = &tls,
		.ntls = 1,
		.listens = listens,
		.nlistens = 2,
		.upstreams = &upstream,
		.nupstreams = 1,
		.nhosts = 1,
	};
}

/* What all inputs share. */
static void
world_make(void)
{
	struct error err;
	int fd;

	if (worker.shared != NULL)
		return;
	signal(SIGPIPE, SIG_IGN);
	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_STREAM,
	    LOG_LEVEL_INFO, "test");
	log_buffered(true);
	worker.shared = xcalloc(1, (sizeof(struct shared) + 63) / 64 * 64);
	worker.sheet = crowd_claim(&worker.shared->crowd, INCARNATION);
	fd = board_create(&worker.board, 1, 1, 1, &err);
	assert(fd != -1 && worker.sheet != NULL);
	close(fd);
	worker.base = event_base_new();
	assert(worker.base != NULL);
	worker.tls = tls_server_new(&config, &err);
	access_ = relay_access_new(&config, true, &err);
	assert(worker.tls != NULL && access_ != NULL);
}

void
rig_open(const struct rig_choice *choice)
{
	struct session_worker *w = &worker;

	upstream.xforward = choice->has_xforward;
	config_make(choice);
	world_make();
	w->args = (struct role_args){ .row = ROW, .generation = 1,
		.incarnation = INCARNATION };
	w->config = &config;
	w->has_policies = choice->has_policies;
	w->needs_owned = w->draining = false;
	w->nsessions = 0;
	memset(&w->shared->rows[ROW], 0, sizeof w->shared->rows[ROW]);
	/* none is used before those in front of it */
	for (struct reservation *r = w->board.reservations;
	     r->incarnation != 0; r++)
		memset(r, 0, sizeof *r);
	upstream_open(w, choice->has_chunking, choice->upstream_answers);
	pools_open(w, choice->pools_answer);
	worker_open(w, access_);
	config.listens = &listens[choice->is_implicit];
}

void
rig_close(void)
{
	struct session_worker *w = &worker;

	relay_pool_free(&w->pool);
	ledger_free(&w->ledger);
	questions_free(&w->questions);
	pools_close();
	upstream_close();
	log_flush();
	assert(net_is_empty());
	assert(event_base_get_num_events(w->base,
		   EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE) == 0);
}

int
rig_connect(void)
{
	struct sockaddr_in peer = { .sin_family = AF_INET };
	int fds[2];

	peer.sin_addr.s_addr = htonl(0xc0000201);
	net_pair(fds);
	session_open(&worker, fds[0], config.listens,
	    (const struct sockaddr *)&peer);
	return fds[1];
}

static void
turn(void)
{
	event_base_loop(worker.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	worker_end_turn(&worker);
}

void
rig_settle(void)
{
	unsigned quiet = 0, n;
	bool moved;

	for (n = 0; quiet < 2; n++) {
		turn();
		moved = pools_turn();
		moved |= upstream_turn();
		quiet = moved ? 0 : quiet + 1;
		assert(n < TURNS_MAX);
	}
}

void
rig_drain(void)
{
	worker_drain(&worker);
}

void
rig_answer_all(bool on)
{
	pools_answer_all(on);
	upstream_answer_all(on);
}

static uint64_t
counter(enum counter c)
{
	return atomic_load(&worker.shared->rows[ROW].counter[c]);
}

bool
rig_is_quiet(bool all_answered)
{
	return worker.nsessions == 0 && TAILQ_EMPTY(&worker.detached) &&
	    relay_pool_idle(worker.pool) == 0 && upstream_is_empty() &&
	    (!all_answered || ledger_owed(worker.ledger) == 0);
}

void
rig_assert_quiet(bool all_answered)
{
	struct session_worker *w = &worker;

	assert(rig_is_quiet(all_answered));
	assert(TAILQ_EMPTY(&w->sessions) && TAILQ_EMPTY(&w->newcomers));
	for (int c = 0; c < COUNTER_NGAUGES; c++)
		assert(counter((enum counter)c) == 0);
	assert(counter(COUNTER_MESSAGES_ACCEPTED) <= upstream_accepted());
	if (!all_answered)
		return;
	for (const struct reservation *r = w->board.reservations;
	     r->incarnation != 0; r++)
		assert(atomic_load(&r->state) == RESERVATION_FREE);
	pools_assert_settled();
}
