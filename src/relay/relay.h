/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The upstream side inside a session worker (and, for probes, in control): a
 * pool of connections to the upstreams' hosts, and one transaction at a time on
 * each. Which host a transaction goes to is the relay's choice.
 *
 * The session speaks in whole steps; the relay pipelines them, keeps the
 * answers in order, bounds everything the upstream sends, and decides what of
 * it may be shown to the client. Nothing here blocks. Callbacks come from the
 * event loop, never from inside a call of the session.
 *
 *   relay_open -> relay_mail -> relay_rcpt* -> relay_data -> (354)
 *     -> relay_body* -> relay_dot -> (final reply) -> relay_close
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "config/conf.h"
#include "ipc/board.h"
#include "ipc/shared.h"
#include "smtp/command.h"
#include "smtp/reply.h"

struct event_base;
struct x509_st;

struct relay_pool; /* one in each session worker */
struct relay;      /* one transaction */
struct relay_access;

enum relay_step { RELAY_MAIL, RELAY_RCPT, RELAY_DATA, RELAY_DOT };

/* Why a transaction cannot go on. The session maps them to replies (design: 451 4.4.1, 4.4.2, 4.7.5, 4.3.0). */
enum relay_failure {
	RELAY_AWAY,    /* no connection could be had, or lost before DATA and the replay failed */
	RELAY_LOST,    /* lost after 354, before the write of the dot was tried */
	RELAY_UNKNOWN, /* anything that goes wrong after it was tried */
	RELAY_TLS,     /* TLS to the upstream not good enough */
	RELAY_BROKEN   /* the upstream does not speak SMTP as agreed */
};

struct relay_callbacks {
	/* The answer to the oldest unanswered step. reply is what the client
	 * may see (already mapped; borrowed for the call); accepted: 2xx, or 354 to
	 * DATA. alert: it was addressed to us and mapped to 451 4.3.0 (the relay
	 * has logged it); the session shows its own text then. */
	void (*on_reply)(void *owner, enum relay_step step,
	    const struct smtp_reply *reply, bool accepted, bool alert);
	/* The upstream takes bytes again, or drops them: go on reading. May come
	 * to who did not wait for it. */
	void (*on_room)(void *owner);
	/* The transaction is over; no further callback; relay_close() it. */
	void (*on_failure)(void *owner, enum relay_failure why, const char *detail);
};

/* "mx1.example.net:25", with brackets around an IPv6 address. */
void relay_host_print(const struct config_host *h, char *to, size_t size);

/* The pool's surroundings, all borrowed. */
struct relay_setup {
	struct event_base *base;
	const struct config *config; /* its upstreams, and our name for EHLO */
	struct shared *shared;
	unsigned row;
	struct board *board;
	unsigned slot;              /* the worker's on the board; not for probes */
	struct relay_access *const *access; /* one for each upstream */
	/* called when output waits: the owner calls relay_pool_flush() at the end of the loop turn */
	void (*want_flush)(void *arg);
	void *want_flush_arg;
};

/* What it takes to be let in, one for each upstream: certificates, keys and,
 * with_account, the password of user. Made before rights are dropped; outlives
 * all connections. NULL: reason in err. */
struct relay_access **relay_access_new(
    const struct config *c, bool with_account, struct error *err);
void relay_access_free(struct relay_access ***access, const struct config *c);

struct relay_pool *relay_pool_new(const struct relay_setup *setup);
/* Closes idle connections (QUIT) and frees; no transaction may be open. */
void relay_pool_free(struct relay_pool **p);
/* Writes what waits: one write for each connection and turn. */
void relay_pool_flush(struct relay_pool *p);
/* Generation drains: no connection is kept for reuse any more. */
void relay_pool_drain(struct relay_pool *p);
size_t relay_pool_idle(const struct relay_pool *p);
/* What all hosts offer that a message of that class would go to now; NULL:
 * whatever its class. The size is the smallest. */
void relay_pool_offer(struct relay_pool *p, const char *class_name, struct smtp_offer *to);

/* For whom a transaction is; borrowed until the body has begun. */
struct relay_ticket {
	const char *sid;        /* for the log, and for the upstream's */
	const char *login;      /* the person's canonical id */
	const char *address;    /* the client's: "192.0.2.1" */
	const char *helo;       /* what it calls itself */
	const char *class_name; /* where it may go; borrowed as long as the transaction */
	uint32_t needs;         /* SMTP_EXT_*: hosts without them are passed over */
};

/* A transaction for owner. Takes an idle connection or starts one; steps may
 * be queued at once, before it is connected. */
struct relay *relay_open(struct relay_pool *p, const struct relay_callbacks *cb,
    void *owner, const struct relay_ticket *ticket);
/* Strings are copied. size < 0: no SIZE=. SIZE= and BODY= are sent only where offered there. */
void relay_mail(struct relay *r, const struct smtp_mail *mail, int64_t size_added);
void relay_rcpt(struct relay *r, const struct smtp_rcpt *rcpt);
void relay_data(struct relay *r);
/* The same for a message that may go up in chunks (RFC 3030): where the
 * upstream takes them, the answer is a 354 of ours once the recipients are
 * answered, and the end of the message goes with the last chunk. */
void relay_chunks(struct relay *r);
/* After 354: does the body go up in chunks? Then it is not dot-stuffed. */
bool relay_is_chunked(const struct relay *r);
/* Body bytes as they go out. Large runs are written at once where possible. */
void relay_body(struct relay *r, const char *data, size_t len);
/* false: the upstream takes no more for now and a rest is queued; wait for
 * on_room before reading more of the client. */
bool relay_has_room(const struct relay *r);
/* ".CRLF". The reply may take dot_timeout. A loss is RELAY_UNKNOWN, unless
 * the dot still waited behind the body and no write of it was tried. */
void relay_dot(struct relay *r);
/* Ends the transaction and sets *r to NULL. After the final reply, or with
 * nothing sent, the connection is kept for reuse by the rules (design 6: 3 errors, 100 messages, 5 s idle, any
 * time-out or stray byte retires it); before DATA and between two chunks it is reset by RSET; in a body it is
 * closed without the dot. */
void relay_close(struct relay **r);
/* "mx1.example.net:25", for the log; "" before a connection was had. */
const char *relay_peer(const struct relay *r);

/* A probe by control: connect, greeting, TLS, EHLO, whatever else is to be said,
 * QUIT; one at a time. done is called once. */
#define RELAY_PROBE_SAY 3

struct relay_probe_result {
	const char *error;              /* NULL: all was answered, for good or bad */
	struct smtp_offer offer;
	const struct x509_st *certificate; /* borrowed; NULL: none was shown */
	unsigned nreplies;              /* to what was said behind EHLO */
	int code[RELAY_PROBE_SAY];
	char reply[RELAY_PROBE_SAY][200]; /* "250 2.1.0 Ok" */
};

struct relay_probe;
/* say: at most RELAY_PROBE_SAY lines without ends, the last is NULL; borrowed
 * until the end; NULL: nothing. */
struct relay_probe *relay_probe_start(const struct relay_setup *setup,
    unsigned host, const struct sockaddr_storage *address, socklen_t len,
    const char *const *say,
    void (*done)(void *arg, const struct relay_probe_result *result), void *arg);
void relay_probe_free(struct relay_probe **p);

#endif
