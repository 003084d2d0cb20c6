/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The load generator: many SMTP clients in one event-driven process. Each of
 * c slots runs session after session: connect, TLS, EHLO, AUTH PLAIN, a
 * number of messages, QUIT. Prints one line of JSON.
 *
 * With --idle N it opens N sessions, logs them in, prints {"ready": N}, and
 * holds them until its standard input ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench.h"

#define RECORD 16384
#define ERRORS_SHOWN 5

/* What a slot waits for: the answer to that. */
enum step {
	STEP_CONNECT,
	STEP_PLAIN_GREETING, /* STARTTLS only: these three */
	STEP_PLAIN_EHLO,
	STEP_STARTTLS,
	STEP_HANDSHAKE,
	STEP_GREETING,
	STEP_EHLO,
	STEP_AUTH,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY,
	STEP_QUIT,
	STEP_HELD   /* idle, for good */
};

static const char *const step_names[] = { "connect", "greeting", "EHLO",
	"STARTTLS", "TLS", "greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA",
	"body", "QUIT", "idle" };

struct slot {
	int fd; /* -1: no session */
	uint32_t events;
	SSL *ssl;
	enum step step;
	bool want_write;
	struct buf out; /* commands not yet written */
	size_t body_left;
	char line[1024]; /* of an answer */
	size_t line_len;
	unsigned user;
	unsigned sent; /* messages in this session */
	int64_t began_ns, auth_ns, message_ns, active_ms;
};

/* A growing list of times in microseconds. */
struct times {
	uint32_t *us; /* owned */
	size_t n, cap;
};

static struct {
	int port;
	bool starttls, pipelining;
	unsigned concurrency, messages, users, idle, timeout_s;
	unsigned long size, count;
	double seconds;
	const char *password, *rcpt;
} opt = { .pipelining = true, .concurrency = 1, .messages = 1, .users = 1,
	.size = 4096, .timeout_s = 60, .password = "secret",
	.rcpt = "someone@bench.example" };

static struct {
	unsigned long long messages, in_time, sessions, failed, bytes;
	struct times tls, auth, message, session;
	int64_t began_ns, stop_ns; /* no new message or session after stop */
	unsigned long started;     /* messages (or sessions) begun */
	unsigned next_user, open, held;
	unsigned nerrors;
	char errors[ERRORS_SHOWN][160];
} run;

static int epoll;
static SSL_CTX *tls;
static char *body; /* headers, lines, and the final dot */

static void
times_add(struct times *t, int64_t since_ns)
{
	if (t->n == t->cap) {
		t->cap = t->cap > 0 ? t->cap * 2 : 4096;
		t->us = xrealloc(t->us, t->cap * sizeof *t->us);
	}
	t->us[t->n++] = (uint32_t)((clock_mono_ns() - since_ns) / 1000);
}

/* A failure counts as a try, or a dead server would be tried for ever. */
static bool
is_over(void)
{
	return (opt.seconds > 0 && clock_mono_ns() >= run.stop_ns) ||
	    (opt.count > 0 && run.started + run.failed >= opt.count);
}

/* ---- sessions ---------------------------------------------------------- */

static void
slot_close(struct slot *s)
{
	SSL_free(s->ssl);
	s->ssl = NULL;
	if (s->fd != -1) {
		close(s->fd);
		run.open--;
	}
	s->fd = -1;
	buf_free(&s->out);
}

static void
slot_start(struct slot *s)
{
	s->fd = bench_connect(opt.port);
	s->step = STEP_CONNECT;
	s->events = EPOLLOUT;
	s->want_write = false;
	s->body_left = s->line_len = 0;
	s->sent = 0;
	s->user = run.next_user++ % opt.users;
	s->began_ns = clock_mono_ns();
	run.open++;
	bench_watch(epoll, EPOLL_CTL_ADD, s->fd, s->events, s);
	if (opt.messages == 0)
		run.started++;
}

/* The session went wrong. The slot goes on with another one. */
static void
slot_fail(struct slot *s, const char *what)
{
	run.failed++;
	if (run.nerrors < ERRORS_SHOWN)
		snprintf(run.errors[run.nerrors++], sizeof run.errors[0],
		    "%s: %.120s", step_names[s->step], what);
	slot_close(s);
}

static void
command(struct slot *s, enum step step, const char *text)
{
	buf_append(&s->out, text, strlen(text));
	s->step = step;
}

static void
send_auth(struct slot *s)
{
	unsigned char plain[256], text[512];
	int len = snprintf((char *)plain, sizeof plain, "%cuser%05u%c%s", 0,
	    s->user, 0, opt.password);

	EVP_EncodeBlock(text, plain, len);
	buf_appendf(&s->out, "AUTH PLAIN %s\r\n", (char *)text);
	s->step = STEP_AUTH;
	s->auth_ns = clock_mono_ns();
}

static void
send_mail(struct slot *s)
{
	s->message_ns = clock_mono_ns();
	buf_appendf(&s->out, "MAIL FROM:<user%05u@bench.example> SIZE=%lu\r\n",
	    s->user, opt.size);
	if (opt.pipelining)
		buf_appendf(&s->out, "RCPT TO:<%s>\r\nDATA\r\n", opt.rcpt);
	s->step = STEP_MAIL;
	run.started++;
}

/* Logged in, or a message is done: the next one, or the end. */
static void
go_on(struct slot *s)
{
	if (opt.idle > 0) {
		s->step = STEP_HELD;
		run.held++;
	} else if (s->sent < opt.messages && !is_over()) {
		send_mail(s);
	} else {
		command(s, STEP_QUIT, "QUIT\r\n");
	}
}

static void
message_accepted(struct slot *s)
{
	times_add(&run.message, s->message_ns);
	run.messages++;
	run.bytes += opt.size;
	if (opt.seconds == 0 || clock_mono_ns() < run.stop_ns)
		run.in_time++;
	s->sent++;
	go_on(s);
}

static void
start_tls(struct slot *s)
{
	s->ssl = SSL_new(tls);
	if (s->ssl == NULL)
		bench_die("SSL_new");
	SSL_set_fd(s->ssl, s->fd);
	SSL_set_connect_state(s->ssl);
	s->step = STEP_HANDSHAKE;
}

static int
expected_code(enum step step)
{
	switch (step) {
	case STEP_GREETING:
	case STEP_PLAIN_GREETING:
	case STEP_STARTTLS:
		return 220;
	case STEP_AUTH:
		return 235;
	case STEP_DATA:
		return 354;
	case STEP_QUIT:
		return 221;
	default:
		return 250;
	}
}

/* The last line of an answer is in s->line. */
static void
on_answer(struct slot *s)
{
	if (atoi(s->line) != expected_code(s->step)) {
		slot_fail(s, s->line);
		return;
	}
	switch (s->step) {
	case STEP_PLAIN_GREETING:
		command(s, STEP_PLAIN_EHLO, "EHLO load.example\r\n");
		break;
	case STEP_PLAIN_EHLO:
		command(s, STEP_STARTTLS, "STARTTLS\r\n");
		break;
	case STEP_STARTTLS:
		start_tls(s);
		break;
	case STEP_GREETING:
		times_add(&run.tls, s->began_ns);
		command(s, STEP_EHLO, "EHLO load.example\r\n");
		break;
	case STEP_EHLO:
		send_auth(s);
		break;
	case STEP_AUTH:
		times_add(&run.auth, s->auth_ns);
		go_on(s);
		break;
	case STEP_MAIL:
		s->step = STEP_RCPT;
		if (!opt.pipelining)
			buf_appendf(&s->out, "RCPT TO:<%s>\r\n", opt.rcpt);
		break;
	case STEP_RCPT:
		s->step = STEP_DATA;
		if (!opt.pipelining)
			command(s, STEP_DATA, "DATA\r\n");
		break;
	case STEP_DATA:
		s->step = STEP_BODY;
		s->body_left = opt.size + 3;
		break;
	case STEP_BODY:
		if (s->body_left > 0)
			slot_fail(s, "answered before the end");
		else
			message_accepted(s);
		break;
	case STEP_QUIT:
		times_add(&run.session, s->began_ns);
		run.sessions++;
		SSL_shutdown(s->ssl);
		slot_close(s);
		break;
	default:
		slot_fail(s, s->line);
	}
}

/* ---- bytes ------------------------------------------------------------- */

/* 0: wait; -1: the session failed and is closed. */
static int
tls_wait(struct slot *s, int n)
{
	int error = SSL_get_error(s->ssl, n);

	if (error == SSL_ERROR_WANT_READ)
		return 0;
	if (error == SSL_ERROR_WANT_WRITE) {
		s->want_write = true;
		return 0;
	}
	slot_fail(s, error == SSL_ERROR_ZERO_RETURN
		? "closed by the server"
		: error == SSL_ERROR_SYSCALL && errno != 0
		? strerror(errno)
		: "TLS failed or connection cut");
	return -1;
}

/* Bytes moved, 0: wait, -1: failed and closed. */
static ssize_t
slot_read(struct slot *s, char *to, size_t size)
{
	ssize_t n;

	if (s->ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		n = SSL_read(s->ssl, to, (int)size);
		return n > 0 ? n : tls_wait(s, (int)n);
	}
	n = recv(s->fd, to, size, 0);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		slot_fail(s, n == 0 ? "closed by the server" : strerror(errno));
		return -1;
	}
	return n;
}

static ssize_t
slot_write(struct slot *s, const char *data, size_t len)
{
	ssize_t n;

	if (s->ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		n = SSL_write(s->ssl, data, (int)(len < RECORD ? len : RECORD));
		return n > 0 ? n : tls_wait(s, (int)n);
	}
	n = send(s->fd, data, len, MSG_NOSIGNAL);
	if (n == -1 && errno != EAGAIN) {
		slot_fail(s, strerror(errno));
		return -1;
	}
	return n == -1 ? 0 : n;
}

/* Writes commands, then body, as far as it goes. */
static void
flush(struct slot *s)
{
	ssize_t n;

	while (buf_len(&s->out) > 0) {
		n = slot_write(s, buf_data(&s->out), buf_len(&s->out));
		if (n <= 0)
			return;
		buf_consume(&s->out, (size_t)n);
	}
	/* A bounded part a turn, so that all slots move. */
	for (int i = 0; s->body_left > 0 && i < 16; i++) {
		n = slot_write(s, body + opt.size + 3 - s->body_left,
		    s->body_left);
		if (n <= 0)
			return;
		s->body_left -= (size_t)n;
	}
}

/* Takes answers out of what was read. */
static void
on_bytes(struct slot *s, const char *p, size_t len)
{
	for (size_t i = 0; i < len && s->fd != -1; i++) {
		if (p[i] != '\n') {
			if (s->line_len < sizeof s->line - 1)
				s->line[s->line_len++] = p[i];
			continue;
		}
		s->line[s->line_len] = '\0';
		s->line[strcspn(s->line, "\r")] = '\0';
		s->line_len = 0;
		if (strlen(s->line) < 4 || s->line[3] != '-')
			on_answer(s);
	}
}

static void
set_events(struct slot *s)
{
	uint32_t events = EPOLLIN;

	if (s->step == STEP_CONNECT || s->want_write || s->body_left > 0 ||
	    buf_len(&s->out) > 0)
		events |= EPOLLOUT;
	if (events == s->events)
		return;
	bench_watch(epoll, EPOLL_CTL_MOD, s->fd, events, s);
	s->events = events;
}

static void
on_connected(struct slot *s)
{
	int error;
	socklen_t len = sizeof error;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 ||
	    error != 0)
		slot_fail(s, strerror(error));
	else if (opt.starttls)
		s->step = STEP_PLAIN_GREETING;
	else
		start_tls(s);
}

static void
shake_hands(struct slot *s)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_do_handshake(s->ssl);
	if (n != 1) {
		tls_wait(s, n);
		return;
	}
	if (opt.starttls) { /* no second greeting comes */
		times_add(&run.tls, s->began_ns);
		command(s, STEP_EHLO, "EHLO load.example\r\n");
	} else {
		s->step = STEP_GREETING;
	}
}

static void
on_event(struct slot *s)
{
	char text[4096];
	ssize_t n = 1;

	s->active_ms = clock_mono_ms();
	s->want_write = false;
	if (s->step == STEP_CONNECT)
		on_connected(s);
	if (s->fd != -1 && s->step == STEP_HANDSHAKE)
		shake_hands(s);
	while (s->fd != -1 && s->step != STEP_HANDSHAKE && n > 0) {
		n = slot_read(s, text, sizeof text);
		if (n > 0)
			on_bytes(s, text, (size_t)n);
	}
	if (s->fd != -1 && s->step == STEP_HANDSHAKE)
		shake_hands(s); /* STARTTLS was just answered */
	else if (s->fd != -1)
		flush(s);
	if (s->fd != -1)
		set_events(s);
}

/* ---- the whole run ----------------------------------------------------- */

static void
make_body(void)
{
	static const char headers[] =
	    "From: <user@bench.example>\r\nTo: <someone@bench.example>\r\n"
	    "Subject: bench\r\nDate: Mon, 23 Nov 2026 15:20:00 +0100\r\n"
	    "Message-ID: <1@bench.example>\r\n\r\n";
	size_t len = sizeof headers - 1;

	if (opt.size < len + 2)
		opt.size = len + 2;
	body = xmalloc(opt.size + 4);
	memset(body, 'x', opt.size);
	memcpy(body, headers, len);
	for (size_t i = len + 76; i + 80 < opt.size; i += 78)
		memcpy(body + i, "\r\n", 2);
	memcpy(body + opt.size - 2, "\r\n.\r\n", 6);
}

static SSL_CTX *
tls_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		bench_die("SSL_CTX_new");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
		SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ctx;
}

/* Sessions that stand still for too long have failed. */
static void
fail_stuck(struct slot *slots, unsigned n)
{
	int64_t limit_ms = clock_mono_ms() - opt.timeout_s * 1000;

	for (unsigned i = 0; i < n; i++)
		if (slots[i].fd != -1 && slots[i].step != STEP_HELD &&
		    slots[i].active_ms < limit_ms)
			slot_fail(&slots[i], "no answer in time");
}

static int
turn(int wait_ms)
{
	struct epoll_event events[256];
	int n = epoll_wait(epoll, events, 256, wait_ms);

	for (int i = 0; i < n; i++)
		on_event(events[i].data.ptr);
	return n;
}

static void
run_load(struct slot *slots)
{
	int64_t next_check_ms = 0;

	do {
		for (unsigned i = 0; i < opt.concurrency && !is_over(); i++)
			if (slots[i].fd == -1) {
				slots[i].active_ms = clock_mono_ms();
				slot_start(&slots[i]);
			}
		turn(100);
		if (clock_mono_ms() >= next_check_ms) {
			fail_stuck(slots, opt.concurrency);
			next_check_ms = clock_mono_ms() + 1000;
		}
	} while (run.open > 0 || !is_over());
}

/* Opens the sessions, opt.concurrency at a time, and holds them. */
static void
hold_idle(struct slot *slots)
{
	unsigned started = 0;
	char c;

	while (run.held + run.failed < opt.idle) {
		while (started < opt.idle &&
		    started - run.held - run.failed < opt.concurrency) {
			slots[started].active_ms = clock_mono_ms();
			slot_start(&slots[started++]);
		}
		turn(100);
		fail_stuck(slots, started);
	}
	printf("{\"ready\": %u}\n", run.held);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	while (turn(0) > 0)
		; /* who was thrown out meanwhile counts as failed */
	for (unsigned i = 0; i < started; i++)
		slot_close(&slots[i]);
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
print_times(const char *name, struct times *t)
{
	static const double points[] = { 0.5, 0.9, 0.99, 1 };
	static const char *const names[] = { "p50", "p90", "p99", "max" };

	if (t->n > 0)
		qsort(t->us, t->n, sizeof *t->us, compare);
	printf(", \"%s_ms\": {", name);
	for (size_t i = 0; i < 4 && t->n > 0; i++)
		printf("%s\"%s\": %.3f", i > 0 ? ", " : "", names[i],
		    t->us[(size_t)((double)(t->n - 1) * points[i])] / 1000.0);
	printf("}");
}

static void
print_results(void)
{
	double wall_s = (double)(clock_mono_ns() - run.began_ns) / 1e9;
	double timed_s = opt.seconds > 0 ? opt.seconds : wall_s;

	printf("{\"messages\": %llu, \"sessions\": %llu, \"failed\": %llu, "
	       "\"bytes\": %llu, \"wall_s\": %.3f, \"messages_per_s\": %.2f",
	    run.messages, run.sessions, run.failed, run.bytes, wall_s,
	    (double)run.in_time / timed_s);
	print_times("tls", &run.tls);
	print_times("auth", &run.auth);
	print_times("message", &run.message);
	print_times("session", &run.session);
	printf(", \"errors\": [");
	for (unsigned i = 0; i < run.nerrors; i++) {
		for (char *p = run.errors[i]; *p != '\0'; p++)
			if (*p == '"' || *p == '\\' || *p < ' ')
				*p = '?';
		printf("%s\"%s\"", i > 0 ? ", " : "", run.errors[i]);
	}
	printf("]}\n");
}

static const struct bench_option options[] = {
	{ "port", "of the server on 127.0.0.1", 'p' },
	{ "tls", "implicit (default) or starttls", 't' },
	{ "concurrency", "sessions at a time (1)", 'c' },
	{ "messages", "in each session (1); 0: only log in", 'm' },
	{ "size", "bytes of a message (4096)", 's' },
	{ "pipelining", "yes (default) or no", 'l' },
	{ "users", "how many (1): user00000, user00001, ...", 'u' },
	{ "password", "of all of them (secret)", 'w' },
	{ "rcpt", "address of the recipient", 'r' },
	{ "seconds", "how long", 'd' },
	{ "count", "how many messages, or sessions without any", 'n' },
	{ "idle", "open so many sessions and hold them", 'i' },
	{ "timeout", "seconds without progress (60)", 'o' },
	{ 0 },
};

static void
on_option(char letter, const char *value)
{
	switch (letter) {
	case 'p':
		opt.port = (int)bench_number(value, 1, 65535);
		break;
	case 't':
		opt.starttls = strcmp(value, "starttls") == 0;
		break;
	case 'c':
		opt.concurrency = (unsigned)bench_number(value, 1, 60000);
		break;
	case 'm':
		opt.messages = (unsigned)bench_number(value, 0, 1000000);
		break;
	case 's':
		opt.size = (unsigned long)bench_number(value, 1, 1 << 30);
		break;
	case 'l':
		opt.pipelining = strcmp(value, "no") != 0;
		break;
	case 'u':
		opt.users = (unsigned)bench_number(value, 1, 100000);
		break;
	case 'w':
		opt.password = value;
		break;
	case 'r':
		opt.rcpt = value;
		break;
	case 'd':
		opt.seconds = strtod(value, NULL);
		break;
	case 'n':
		opt.count = (unsigned long)bench_number(value, 1, 1 << 30);
		break;
	case 'i':
		opt.idle = (unsigned)bench_number(value, 1, 60000);
		break;
	case 'o':
		opt.timeout_s = (unsigned)bench_number(value, 1, 3600);
		break;
	}
}

int
main(int argc, char *argv[])
{
	struct slot *slots;
	unsigned nslots;

	bench_options(argc, argv, options, on_option);
	if (opt.port == 0 ||
	    (opt.idle == 0 && opt.count == 0 && opt.seconds <= 0)) {
		fprintf(stderr,
		    "load: --port, and --seconds, --count or --idle\n");
		return 2;
	}
	bench_prepare();
	make_body();
	tls = tls_new();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	nslots = opt.idle > 0 ? opt.idle : opt.concurrency;
	slots = xcalloc(nslots, sizeof *slots);
	for (unsigned i = 0; i < nslots; i++)
		slots[i].fd = -1;
	run.began_ns = clock_mono_ns();
	run.stop_ns = run.began_ns + (int64_t)(opt.seconds * 1e9);
	if (opt.idle > 0)
		hold_idle(slots);
	else
		run_load(slots);
	print_results();
	free(slots);
	return 0;
}
