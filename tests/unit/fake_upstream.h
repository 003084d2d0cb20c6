/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * An upstream for tests, on loopback sockets and the test's own event base:
 * each connection to one of its ports plays a script, line by line.
 *
 *   "220 hi"     sends the line and CRLF (a digit comes first)
 *   "> bytes"    sends the bytes as they are; lines that are sent one after
 *                the other go out in one write
 *   "pause"      what was sent until now arrives alone
 *   "< MAIL"     awaits a line that begins so
 *   "alone"      nothing may be there behind the line just read
 *   "body"       awaits lines up to the dot; keeps them in fake.body
 *   "bytes 100"  awaits that many bytes of a body; kept there too
 *   "stall"      reads no more until fake_resume()
 *   "tls"        TLS from here on
 *   "flood"      sends an endless line
 *   "end"        awaits the end of the connection
 *   "close", "reset"
 *
 * Behind the last line it stays open and silent. What does not fit the script
 * is kept in fake.error.
 */
#ifndef TESTS_FAKE_UPSTREAM_H
#define TESTS_FAKE_UPSTREAM_H

#include <stdbool.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "base/buf.h"

#define FAKE_PORTS 3
#define FAKE_SCRIPTS 32

struct event;
struct event_base;
struct fake_conn;

struct fake_upstream {
	struct event_base *base; /* borrowed */
	struct fake_port {
		struct fake_upstream *fake;
		int fd;
		struct event *event;
		struct sockaddr_storage address;
		const char *const *scripts[FAKE_SCRIPTS];
		size_t nscripts, naccepted;
	} ports[FAKE_PORTS];
	SSL_CTX *tls; /* borrowed; for "tls" */
	struct fake_conn *conns;
	size_t nopen;
	size_t ndots; /* ends of data that came, on all connections */
	struct buf body;
	char error[512];
	char sni[128]; /* the name that a client asked for */
};

void fake_open(struct fake_upstream *f, struct event_base *base);
void fake_close(struct fake_upstream *f);
/* The next connection to that port plays the script (ended by NULL). */
void fake_script(
    struct fake_upstream *f, size_t port, const char *const *lines);
/* Every script was begun and has come to its end. */
bool fake_is_done(const struct fake_upstream *f);
void fake_resume(struct fake_upstream *f);
/* Says something out of turn, also while it is stalled. */
void fake_say(struct fake_upstream *f, const char *words);
/* Says the last words (NULL: none) on every connection and closes it. */
void fake_hang_up(struct fake_upstream *f, const char *words);
size_t fake_accepted(const struct fake_upstream *f);

/* A server's context with a fresh self-signed certificate for name (an IP
 * address or a host), which is also written to ca_file unless that is NULL. */
SSL_CTX *fake_tls_new(const char *name, const char *ca_file);

#endif
