/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The floor that Portero is measured against: two processes that end TLS and
 * pump bytes to the sink and back, one upstream connection a client, and look
 * at nothing. As fast as simple code can be, with the settings that Portero
 * has too: no tickets, no session cache, TCP_NODELAY, released buffers.
 *
 * Each direction has at most one block that could not be written yet; while
 * there is one, its source is not read.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "bench.h"

#define BLOCK 65536
#define RECORD 16384

struct block {
	char *mem; /* owned; NULL: nothing waits */
	size_t start, end;
};

struct end {
	struct pair *pair;
	int fd;
	uint32_t events;
	bool closed;     /* nothing more comes from there */
	SSL *ssl;        /* owned; NULL: in the clear */
	bool want_write; /* OpenSSL waits for room, whatever we wanted */
};

struct pair {
	struct end client, upstream;
	struct block up, down;
	bool established; /* the client's handshake is done */
	bool dead;
	struct pair *next_dead;
};

static int listen_port, sink_ports[2];
static bool wants_upstream_tls;
static const char *certificate, *key;
static int epoll;
static SSL_CTX *tls, *upstream_tls; /* NULL: in the clear */
static struct pair *dead;

static void
pair_kill(struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	p->next_dead = dead;
	dead = p;
}

static void
pair_free(struct pair *p)
{
	if (p->established)
		SSL_shutdown(p->client.ssl);
	SSL_free(p->client.ssl);
	SSL_free(p->upstream.ssl);
	close(p->client.fd);
	close(p->upstream.fd);
	free(p->up.mem);
	free(p->down.mem);
	free(p);
}

static SSL *
ssl_new(SSL_CTX *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		bench_die("new connection");
	return ssl;
}

/* With two sinks they take turns. */
static void
pair_new(int fd)
{
	static unsigned turn;
	struct pair *p = calloc(1, sizeof *p);
	int port = sink_ports[1] != 0 ? sink_ports[turn++ % 2] : sink_ports[0];

	if (p == NULL)
		bench_die("new connection");
	p->client = (struct end){ p, fd, EPOLLIN, false, ssl_new(tls, fd),
		false };
	SSL_set_accept_state(p->client.ssl);
	p->upstream = (struct end){ .pair = p, .fd = bench_connect(port) };
	if (upstream_tls != NULL) {
		p->upstream.ssl = ssl_new(upstream_tls, p->upstream.fd);
		SSL_set_connect_state(p->upstream.ssl);
	}
	bench_watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, &p->client);
	bench_watch(epoll, EPOLL_CTL_ADD, p->upstream.fd, 0, &p->upstream);
}

/* Keeps what could not be written. */
static void
keep(struct block *b, const char *data, size_t len)
{
	b->mem = malloc(len);
	if (b->mem == NULL)
		bench_die("malloc");
	memcpy(b->mem, data, len);
	b->start = 0;
	b->end = len;
}

static bool
block_gone(struct block *b, size_t n)
{
	b->start += n;
	if (b->start < b->end)
		return false;
	free(b->mem);
	*b = (struct block){ 0 };
	return true;
}

/* What an SSL call that returned n <= 0 means: 0 wait, -1 over. */
static int
tls_wait(struct end *e, int n)
{
	int error = SSL_get_error(e->ssl, n);

	if (error == SSL_ERROR_WANT_WRITE)
		e->want_write = true;
	return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ
	    ? 0
	    : -1;
}

/* Bytes written, perhaps 0; -1: over. */
static ssize_t
tls_write(struct end *e, const char *data, size_t len)
{
	size_t done = 0;
	int n;

	while (done < len) {
		ERR_clear_error();
		n = SSL_write(e->ssl, data + done,
		    (int)(len - done < RECORD ? len - done : RECORD));
		if (n <= 0 && tls_wait(e, n) == -1)
			return -1;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Fills the block with whole records, as many as there are; 0: nothing there;
 * -1: the peer has gone. */
static ssize_t
tls_read(struct end *e, char *to)
{
	size_t len = 0;
	int n;

	while (BLOCK - len >= RECORD) {
		ERR_clear_error();
		n = SSL_read(e->ssl, to + len, RECORD);
		if (n <= 0 && tls_wait(e, n) == 0)
			break;
		if (n <= 0) {
			e->closed = true;
			break;
		}
		len += (size_t)n;
	}
	return len == 0 && e->closed ? -1 : (ssize_t)len;
}

static ssize_t
write_some(struct end *e, const char *data, size_t len)
{
	ssize_t n;

	if (e->ssl != NULL)
		return tls_write(e, data, len);
	n = send(e->fd, data, len, MSG_NOSIGNAL);
	/* not connected yet counts as no room */
	return n == -1 && (errno == EAGAIN || errno == ENOTCONN) ? 0 : n;
}

static ssize_t
read_some(struct end *e, char *to)
{
	ssize_t n;

	if (e->ssl != NULL)
		return e->closed ? -1 : tls_read(e, to);
	n = recv(e->fd, to, BLOCK, 0);
	if (n == -1 && errno == EAGAIN)
		return 0;
	return n == 0 ? -1 : n;
}

/* From one end to the other. */
static void
pump(struct end *from, struct end *to, struct block *waiting, char *room)
{
	struct pair *p = from->pair;
	ssize_t len, n;

	if (waiting->mem != NULL) {
		n = write_some(to, waiting->mem + waiting->start,
		    waiting->end - waiting->start);
		if (n == -1)
			pair_kill(p);
		if (n == -1 || !block_gone(waiting, (size_t)n))
			return;
	}
	do {
		len = read_some(from, room);
		if (len == -1)
			pair_kill(p);
		if (len <= 0)
			return;
		n = write_some(to, room, (size_t)len);
		if (n == -1)
			pair_kill(p);
		else if (n < len)
			keep(waiting, room + n, (size_t)(len - n));
	} while (n == len && from->ssl != NULL && len > BLOCK - RECORD);
}

static void
want(struct end *e, uint32_t events)
{
	if (events == e->events)
		return;
	bench_watch(epoll, EPOLL_CTL_MOD, e->fd, events, e);
	e->events = events;
}

/* Who waits for what, after everything that could be done was done. */
static void
set_events(struct pair *p)
{
	uint32_t client = 0, upstream = 0;

	if (p->up.mem == NULL)
		client |= EPOLLIN;
	else
		upstream |= EPOLLOUT;
	if (p->down.mem == NULL && p->established)
		upstream |= EPOLLIN;
	if (p->down.mem != NULL || p->client.want_write)
		client |= EPOLLOUT;
	if (p->upstream.want_write)
		upstream |= EPOLLOUT;
	want(&p->client, client);
	want(&p->upstream, upstream);
}

static void
shake_hands(struct pair *p)
{
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(p->client.ssl);
	p->established = n == 1;
	if (n != 1 && tls_wait(&p->client, n) == -1)
		pair_kill(p);
}

static void
on_event(struct end *e, uint32_t events)
{
	static char room[BLOCK];
	struct pair *p = e->pair;
	bool from_client = e == &p->client;
	bool fresh = false; /* the greeting may be here already */

	if (p->dead)
		return;
	e->want_write = false;
	if (from_client && !p->established) {
		shake_hands(p);
		fresh = p->established;
	}
	if (p->established && (from_client || (events & EPOLLOUT) != 0))
		pump(&p->client, &p->upstream, &p->up, room);
	if (p->established && !p->dead &&
	    (!from_client || fresh || p->down.mem != NULL))
		pump(&p->upstream, &p->client, &p->down, room);
	if (!from_client && (events & (EPOLLERR | EPOLLHUP)) != 0 &&
	    (events & EPOLLIN) == 0)
		pair_kill(p);
	if (!p->dead)
		set_events(p);
}

static SSL_CTX *
tls_new(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL ||
	    SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_file(ctx, certificate) != 1) {
		ERR_print_errors_fp(stderr);
		exit(2);
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
		SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
	return ctx;
}

static _Noreturn void
serve(int listener)
{
	struct epoll_event events[256];
	struct pair *p;
	int n, fd;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	bench_watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	for (;;) {
		n = epoll_wait(epoll, events, 256, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr != NULL)
				on_event(events[i].data.ptr, events[i].events);
			else if ((fd = bench_accept(listener)) != -1)
				pair_new(fd);
		}
		while ((p = dead) != NULL) {
			dead = p->next_dead;
			pair_free(p);
		}
	}
}

static void
on_option(char letter, const char *value)
{
	switch (letter) {
	case 'p':
		listen_port = (int)bench_number(value, 0, 65535);
		break;
	case 's':
	case 't':
		sink_ports[letter == 't'] = (int)bench_number(value, 1, 65535);
		break;
	case 'u':
		/* the sink's certificate is ours; verified as Portero does */
		wants_upstream_tls = strcmp(value, "tls") == 0;
		break;
	case 'c':
		certificate = value;
		break;
	default:
		key = value;
	}
}

int
main(int argc, char *argv[])
{
	static const struct bench_option options[] = {
		{ "port", "to listen on (any free one)", 'p' },
		{ "sink", "port of the sink", 's' },
		{ "sink2", "port of a second one", 't' },
		{ "upstream", "tls or plain (plain)", 'u' },
		{ "certificate", "PEM file", 'c' },
		{ "key", "PEM file", 'k' },
		{ 0 },
	};
	int first, second;

	bench_options(argc, argv, options, on_option);
	if (certificate == NULL || key == NULL || sink_ports[0] == 0) {
		fprintf(stderr, "floor: --sink, --certificate and --key\n");
		return 2;
	}
	bench_prepare();
	tls = tls_new(TLS_server_method());
	if (wants_upstream_tls) {
		upstream_tls = tls_new(TLS_client_method());
		SSL_CTX_set_verify(upstream_tls, SSL_VERIFY_PEER, NULL);
	}
	first = bench_listen(&listen_port, true);
	second = bench_listen(&listen_port, true);
	printf("{\"port\": %d}\n", listen_port);
	fflush(stdout);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(first);
		serve(second);
	}
	close(second);
	serve(first);
}
