/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The scripted upstream of fake_upstream.h.
 */
#include "fake_upstream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

struct fake_conn {
	struct fake_upstream *fake;
	struct fake_conn *next;
	int fd;
	SSL *ssl;
	struct event *readable, *writable, *timer;
	const char *const *at; /* the line of the script */
	struct buf in, out;
	size_t dot_at; /* how much of CRLF.CRLF came last */
	bool ended, stalled, closed, paused;
};

static void complain(struct fake_upstream *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
complain(struct fake_upstream *f, const char *format, ...)
{
	size_t len = strlen(f->error);
	va_list ap;

	va_start(ap, format);
	vsnprintf(f->error + len, sizeof(f->error) - len, format, ap);
	va_end(ap);
}

static void
conn_close(struct fake_conn *c, bool reset)
{
	struct linger linger = { 1, 0 };

	if (c->closed)
		return;
	c->closed = true;
	c->fake->nopen--;
	event_free(c->readable);
	event_free(c->writable);
	event_free(c->timer);
	SSL_free(c->ssl);
	if (reset)
		setsockopt(
		    c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
}

static void
conn_write(struct fake_conn *c)
{
	ssize_t n = 1;

	while (buf_len(&c->out) > 0 && n > 0) {
		if (c->ssl == NULL)
			n = send(c->fd, buf_data(&c->out), buf_len(&c->out),
			    MSG_NOSIGNAL);
		else
			n = SSL_write(
			    c->ssl, buf_data(&c->out), (int)buf_len(&c->out));
		if (n > 0)
			buf_consume(&c->out, (size_t)n);
	}
	if (buf_len(&c->out) > 0)
		event_add(c->writable, NULL);
}

static void
count_dots(struct fake_conn *c, const char *data, size_t len)
{
	static const char end[] = "\r\n.\r\n";
	size_t i;

	for (i = 0; i < len; i++) {
		if (data[i] != end[c->dot_at])
			c->dot_at = 0;
		if (data[i] == end[c->dot_at])
			c->dot_at++;
		if (c->dot_at == 5) {
			c->fake->ndots++;
			c->dot_at = 2;
		}
	}
}

static void
conn_read(struct fake_conn *c)
{
	char block[65536];
	ssize_t n;

	for (;;) {
		if (c->ssl == NULL)
			n = recv(c->fd, block, sizeof(block), 0);
		else
			n = SSL_read(c->ssl, block, sizeof(block));
		if (n <= 0)
			break;
		buf_append(&c->in, block, (size_t)n);
		count_dots(c, block, (size_t)n);
	}
	if (c->ssl == NULL)
		c->ended = n == 0 || errno != EAGAIN;
	else
		c->ended = SSL_get_error(c->ssl, (int)n) != SSL_ERROR_WANT_READ;
	if (c->ssl != NULL && c->fake->sni[0] == '\0' &&
	    SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name) != NULL)
		snprintf(c->fake->sni, sizeof(c->fake->sni), "%s",
		    SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name));
}

/* Takes a line off what came, without CRLF; false: none is whole. */
static bool
take_line(struct fake_conn *c, char *to, size_t size)
{
	size_t len = buf_len(&c->in), n;
	const char *lf = len == 0 ? NULL : memchr(buf_data(&c->in), '\n', len);

	if (lf == NULL)
		return false;
	n = (size_t)(lf - buf_data(&c->in));
	snprintf(to, size, "%.*s", (int)(n > 0 ? n - 1 : 0), buf_data(&c->in));
	/* who looks for secrets that the relay has left finds none of ours */
	memset((char *)(uintptr_t)buf_data(&c->in), 0, n + 1);
	buf_consume(&c->in, n + 1);
	return true;
}

static bool
expect_line(struct fake_conn *c, const char *start)
{
	char line[1024];

	if (take_line(c, line, sizeof(line))) {
		if (strncmp(line, start, strlen(start)) != 0)
			complain(c->fake, "awaited \"%s\", got \"%s\"; ", start,
			    line);
		return true;
	}
	if (c->ended) {
		complain(c->fake, "awaited \"%s\", got the end; ", start);
		conn_close(c, false);
	}
	return false;
}

static bool
take_body(struct fake_conn *c)
{
	char line[65536];

	while (take_line(c, line, sizeof(line))) {
		buf_appendf(&c->fake->body, "%s\n", line);
		if (strcmp(line, ".") == 0)
			return true;
	}
	if (c->ended)
		complain(c->fake, "awaited a dot, got the end; ");
	return false;
}

static bool
take_bytes(struct fake_conn *c, size_t n)
{
	if (buf_len(&c->in) < n)
		return false;
	buf_append(&c->fake->body, buf_data(&c->in), n);
	buf_consume(&c->in, n);
	return true;
}

static bool
take_end(struct fake_conn *c)
{
	if (c->ended && buf_len(&c->in) > 0)
		complain(c->fake, "not the end but \"%.*s\"; ",
		    (int)buf_len(&c->in), buf_data(&c->in));
	return c->ended;
}

static void
flood(struct fake_conn *c)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	while (buf_len(&c->out) < 200000)
		buf_append(&c->out, block, sizeof(block));
}

static void
start_tls(struct fake_conn *c)
{
	c->ssl = SSL_new(c->fake->tls);
	SSL_set_fd(c->ssl, c->fd);
	SSL_set_accept_state(c->ssl);
	conn_read(c);
}

static bool
take_pause(struct fake_conn *c)
{
	struct timeval tv = { 0, 2000 };

	if (!c->paused) {
		c->paused = true;
		evtimer_add(c->timer, &tv);
		return false;
	}
	if (event_pending(c->timer, EV_TIMEOUT, NULL) != 0)
		return false;
	c->paused = false;
	return true;
}

/* Plays one line of the script; false: it must wait. */
static bool
play(struct fake_conn *c, const char *line)
{
	if (isdigit((unsigned char)line[0]))
		buf_appendf(&c->out, "%s\r\n", line);
	else if (line[0] == '>')
		buf_append_str(&c->out, str_of(line + 2));
	else if (line[0] == '<')
		return expect_line(c, line + 2);
	else if (strcmp(line, "alone") == 0 && buf_len(&c->in) > 0)
		complain(c->fake, "more than one step at a time; ");
	else if (strcmp(line, "body") == 0)
		return take_body(c);
	else if (strncmp(line, "bytes ", 6) == 0)
		return take_bytes(c, strtoul(line + 6, NULL, 10));
	else if (strcmp(line, "stall") == 0)
		c->stalled = true;
	else if (strcmp(line, "pause") == 0)
		return take_pause(c);
	else if (strcmp(line, "tls") == 0)
		start_tls(c);
	else if (strcmp(line, "flood") == 0)
		flood(c);
	else if (strcmp(line, "end") == 0)
		return take_end(c);
	else if (strcmp(line, "close") == 0 || strcmp(line, "reset") == 0)
		conn_close(c, line[0] == 'r');
	return true;
}

static void
conn_turn(struct fake_conn *c)
{
	const char *line;

	while (!c->closed && !c->stalled && (line = *c->at) != NULL) {
		if (line[0] != '>' && !isdigit((unsigned char)line[0]) &&
		    buf_len(&c->out) > 0)
			conn_write(c);
		if (!play(c, line))
			break;
		c->at++;
	}
	if (c->closed)
		return;
	conn_write(c);
	if (c->stalled || (c->ended && *c->at == NULL))
		event_del(c->readable);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct fake_conn *c = arg;

	(void)fd;
	(void)what;
	conn_read(c);
	conn_turn(c);
	/* An end that the script does not speak of ends it. */
	if (!c->closed && c->ended && *c->at != NULL && !c->stalled)
		event_del(c->readable);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_turn(arg);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_write(arg);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	static const char *const nothing[] = { NULL };
	struct fake_port *port = arg;
	struct fake_upstream *f = port->fake;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int on = 1;
	struct fake_conn *c;

	(void)what;
	if (fd == -1)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = xcalloc(1, sizeof(*c));
	c->fake = f;
	c->fd = fd;
	c->at = nothing;
	if (port->naccepted < port->nscripts)
		c->at = port->scripts[port->naccepted];
	else
		complain(f, "one connection more than scripts; ");
	port->naccepted++;
	c->next = f->conns;
	f->conns = c;
	f->nopen++;
	c->readable =
	    event_new(f->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(f->base, fd, EV_WRITE, on_writable, c);
	c->timer = evtimer_new(f->base, on_timer, c);
	event_add(c->readable, NULL);
	conn_turn(c);
}

static void
port_open(struct fake_upstream *f, struct fake_port *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(port->address);
	int ok;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	port->fake = f;
	port->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ok =
	    bind(port->fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
	    listen(port->fd, 16) == 0 &&
	    getsockname(port->fd, (struct sockaddr *)&port->address, &len) == 0;
	assert(ok);
	port->event =
	    event_new(f->base, port->fd, EV_READ | EV_PERSIST, on_accept, port);
	event_add(port->event, NULL);
}

void
fake_open(struct fake_upstream *f, struct event_base *base)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	f->base = base;
	for (i = 0; i < FAKE_PORTS; i++)
		port_open(f, &f->ports[i]);
}

void
fake_close(struct fake_upstream *f)
{
	struct fake_conn *c;
	size_t i;

	while ((c = f->conns) != NULL) {
		f->conns = c->next;
		conn_close(c, false);
		free(c);
	}
	for (i = 0; i < FAKE_PORTS; i++) {
		event_free(f->ports[i].event);
		close(f->ports[i].fd);
	}
	buf_free(&f->body);
}

void
fake_script(struct fake_upstream *f, size_t port, const char *const *lines)
{
	struct fake_port *p = &f->ports[port];

	assert(p->nscripts < FAKE_SCRIPTS);
	p->scripts[p->nscripts++] = lines;
}

bool
fake_is_done(const struct fake_upstream *f)
{
	const struct fake_conn *c;
	size_t i;

	for (i = 0; i < FAKE_PORTS; i++)
		if (f->ports[i].naccepted < f->ports[i].nscripts)
			return false;
	for (c = f->conns; c != NULL; c = c->next)
		if (!c->closed && *c->at != NULL)
			return false;
	return true;
}

void
fake_resume(struct fake_upstream *f)
{
	struct fake_conn *c;

	for (c = f->conns; c != NULL; c = c->next) {
		if (c->closed || !c->stalled)
			continue;
		c->stalled = false;
		event_add(c->readable, NULL);
		conn_turn(c);
	}
}

void
fake_say(struct fake_upstream *f, const char *words)
{
	struct fake_conn *c;

	for (c = f->conns; c != NULL; c = c->next) {
		if (c->closed)
			continue;
		buf_append_str(&c->out, str_of(words));
		conn_write(c);
	}
}

void
fake_hang_up(struct fake_upstream *f, const char *words)
{
	struct fake_conn *c;

	if (words != NULL)
		fake_say(f, words);
	for (c = f->conns; c != NULL; c = c->next)
		conn_close(c, false);
}

size_t
fake_accepted(const struct fake_upstream *f)
{
	size_t i, n = 0;

	for (i = 0; i < FAKE_PORTS; i++)
		n += f->ports[i].naccepted;
	return n;
}

SSL_CTX *
fake_tls_new(const char *name, const char *ca_file)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_EXTENSION *ext;
	unsigned char address[16];
	char names[200];
	FILE *file;

	snprintf(names, sizeof(names), "%s:%s",
	    inet_pton(AF_INET, name, address) == 1 ? "IP" : "DNS", name);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
	    MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	X509_sign(cert, key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, cert);
	SSL_CTX_use_PrivateKey(ctx, key);
	if (ca_file != NULL) {
		file = fopen(ca_file, "w");
		PEM_write_X509(file, cert);
		fclose(file);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}
