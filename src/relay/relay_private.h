/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the relay share.
 *
 *   conn.c         one connection: socket, TLS, queue, timer
 *   hello.c        its first words: greeting, STARTTLS, EHLO, AUTH
 *   introduce.c    who is behind a transaction: XFORWARD and XCLIENT
 *   access.c       our account there, and all that TLS needs
 *   pool.c         all hosts, and what waits to be written
 *   host.c         one host: its connections at rest, and how it fares
 *   route.c        which host a transaction goes to
 *   dial.c         a fresh connection, by trying hosts and their addresses
 *   transaction.c  one transaction on a connection
 *   steps.c        what is said until 354, kept and said
 *   chunks.c       a body that goes up by BDAT
 *   map.c          which replies a client may see
 *
 * A connection has one user at a time: the search that opened it, a
 * transaction, the pool, or a probe. Its user alone closes it or hands it on.
 */
#ifndef RELAY_RELAY_PRIVATE_H
#define RELAY_RELAY_PRIVATE_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "relay/relay.h"

#define RELAY_DIAL_MS 15000   /* all hosts and addresses together */
#define RELAY_DIAL_POLL_MS 50 /* while no address is known */
#define RELAY_IDLE_MS 5000    /* at rest; also the answer to RSET */
#define RELAY_MAX_ERRORS 3    /* refusals on one connection */
#define RELAY_MAX_LOSSES 3    /* of connections in a row: the host is down */
#define RELAY_RETURN_MS 30000 /* a host that comes back gets more and more */
#define RELAY_MAX_MESSAGES 100
#define RELAY_DIRECT 8192 /* a body run that is worth its own write */
#define RELAY_GATHER 16384 /* small runs that may wait for the turn's end */
#define RELAY_CHUNK 32768  /* of a body: a chunk is at least this, but the last */
#define RELAY_CHUNKS 16    /* chunks that await their answers */
#define RELAY_DETAIL_MAX 320

enum conn_fault {
	CONN_LOST = 1, /* refused, closed, reset */
	CONN_LATE,     /* its time is over */
	CONN_TLS,      /* not good enough */
	CONN_BROKEN    /* not SMTP as agreed */
};

enum conn_phase {
	CONN_CONNECTING,
	CONN_HANDSHAKE, /* TLS */
	CONN_GREETING,  /* from here to CONN_XCLIENT the reply is awaited */
	CONN_EHLO,
	CONN_HELO,
	CONN_STARTTLS,
	CONN_AUTH,
	CONN_XCLIENT,
	CONN_READY, /* its user has the word */
	CONN_IDLE   /* nothing may come */
};

/*
 * What a user hears, from the event loop only, and what it may do then:
 * anything, closing and handing on the connection included. After on_down the
 * connection is of no use and must be closed, within the call.
 */
struct conn_user {
	void (*on_ready)(void *arg);
	/* The user may keep the reply by zeroing *reply. */
	void (*on_reply)(void *arg, struct smtp_reply *reply);
	/* Of what had to wait something was written. */
	void (*on_written)(void *arg);
	void (*on_down)(void *arg, enum conn_fault fault, const char *detail);
};

struct relay_conn {
	struct relay_host *host; /* borrowed from pool or probe */
	const struct conn_user *user;
	void *arg;
	enum conn_phase phase;
	int fd;
	SSL *ssl; /* owned; NULL: plain */
	struct event readable, writable, timer;
	struct buf out;
	/* Positions in the stream of bytes to the upstream: what was given to
	 * us, what was taken by the kernel or TLS, and how far a write was
	 * tried, whatever became of it. */
	uint64_t queued, sent, tried;
	int64_t reply_by; /* monotonic ms, 0: nothing is awaited */
	int64_t write_by; /* 0: nothing is blocked */
	int64_t timer_at; /* when the timer fires, 0: it does not run */
	struct smtp_reply_parser parser;
	struct smtp_offer offer;
	unsigned mails, messages, errors;
	unsigned unheard; /* answers that come before that to RSET */
	char *login; /* owned; whose connection XCLIENT made it; NULL: ours */
	bool named;  /* that name was told, and is a login there */
	unsigned auth_left; /* words of AUTH LOGIN that are still to be said */
	unsigned depth; /* event callbacks that are on the stack */
	bool retire;    /* not to be used again */
	bool blocked;   /* waits for the socket to take more */
	bool watching;  /* for writing */
	bool mute;      /* a write failed: listens for last words only */
	bool gone;      /* goes down in the next turn of the loop */
	bool closed;    /* free it when depth is back to 0 */
	bool dirty;     /* in the pool's list of what to flush */
	bool rests;     /* in the pool's list of idle or resetting ones */
	bool half;      /* a part of a reply has come */
	bool read_wants_write, write_wants_read; /* TLS */
	int error;     /* errno of what failed, 0: none */
	char peer[64]; /* "192.0.2.1:25" */
	TAILQ_ENTRY(relay_conn) dirty_link, rest_link;
};

TAILQ_HEAD(relay_conns, relay_conn);

/* Starts to connect; whatever goes wrong is told to the user from the event
 * loop, never from within this call. */
struct relay_conn *relay_conn_open(struct relay_host *host,
    const struct sockaddr_storage *address, socklen_t len,
    const struct conn_user *user, void *arg);
void relay_conn_close(struct relay_conn **c);
/* QUIT, if it can be written at once, and close. */
void relay_conn_quit(struct relay_conn **c);
void relay_conn_use(
    struct relay_conn *c, const struct conn_user *user, void *arg);
/* Queues; written at the end of the turn (a probe's: at once). */
void relay_conn_write(struct relay_conn *c, const void *data, size_t len);
/* The same for a run of a body, which may go out at once. */
void relay_conn_stream(struct relay_conn *c, const char *data, size_t len);
void relay_conn_flush(struct relay_conn *c);
/* An answer is due within ms; 0: none is awaited. */
void relay_conn_expect(struct relay_conn *c, int64_t ms);
/* For hello.c: tells the user, who closes. From the event loop only. */
void relay_conn_down(struct relay_conn *c, enum conn_fault fault,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Makes it go down as lost, in the next turn of the loop. */
void relay_conn_hang_up(struct relay_conn *c);

/* TLS stands: awaits the greeting, or says EHLO again after STARTTLS. */
void relay_hello_secured(struct relay_conn *c);
/* Not let in: tells the user. */
void relay_hello_refused(
    struct relay_conn *c, const char *what, const struct smtp_reply *reply);
/* A reply before CONN_READY. Leaves phase at CONN_HANDSHAKE when TLS is to
 * begin. */
void relay_hello_reply(struct relay_conn *c, const struct smtp_reply *reply);

struct relay_host {
	const struct relay_setup *setup; /* borrowed from pool or probe */
	struct relay_pool *pool;         /* borrowed; NULL: a probe's */
	const struct config_upstream *config; /* borrowed; its section */
	const struct config_host *name;       /* borrowed */
	struct relay_access *access;          /* borrowed */
	unsigned index;                  /* among the hosts of all sections */
	struct relay_conns idle;         /* the last used first */
	struct relay_conns resetting;    /* await the answer to RSET */
	size_t nidle;
	unsigned start;                  /* the address to try first */
	bool away;                       /* which has been logged */
	struct upstream_slot *slot;      /* borrowed; NULL: not known yet */
	struct upstream_state state;     /* of the slot, as of version */
	uint32_t version;
	char peer[280];                  /* "mx1.example.net:25" */
};

void relay_host_init(
    struct relay_host *h, const struct relay_setup *setup, unsigned index);
void relay_host_drain(struct relay_host *h);
void relay_host_close(struct relay_host *h);
/* An idle connection that offers what is needed, best one of that person, the
 * last used first, or NULL. */
struct relay_conn *relay_host_take(
    struct relay_host *h, const char *login, uint32_t needs);
/* Back to rest, if it may be used again; RSET first when reset says so. */
void relay_host_give(struct relay_host *h, struct relay_conn **c, bool reset);
/* It is closed: out of the list it rests in. */
void relay_host_forget(struct relay_host *h, struct relay_conn *c);

/* What control knows of it, read anew if that changed. */
const struct upstream_state *relay_host_state(struct relay_host *h);
/* The own cell on the board. */
struct board_cell *relay_host_cell(const struct relay_host *h);
/* No session worker has given it up since its last good probe. */
bool relay_host_is_up(struct relay_host *h);
bool relay_host_is_drained(struct relay_host *h);
/* It cannot be used: told once in the log, and to all workers. */
void relay_host_failed(struct relay_host *h, const char *detail);
/* A connection to it was lost: the third in a row is a failure. */
void relay_host_lost(struct relay_host *h, const char *detail);
void relay_host_works(struct relay_host *h);

struct relay_pool {
	struct relay_setup setup;  /* what it points to is borrowed */
	struct relay_conns dirty;  /* have something to write */
	struct relay_host *hosts;  /* owned, nhosts of them */
	size_t nhosts;
	const struct config_upstream **order; /* owned: by priority */
	size_t norder;
	size_t nrelays; /* open transactions */
	unsigned turn;  /* whose it is among equals */
	bool draining;
};

void relay_pool_mark(struct relay_pool *p, struct relay_conn *c);

/*
 * The host for a message of that class: the first section by priority that has
 * a host which is up, there the one with the fewest messages under way; else
 * one that is not up. Those in `excluded` (bits by index), drained ones and
 * those known to lack what is needed are passed over. NULL: none.
 */
struct relay_host *relay_route_pick(struct relay_pool *p,
    const char *class_name, uint32_t needs, uint64_t excluded);
/* None was found: for want of an address, which may come? why: the reason. */
bool relay_route_may_come(
    struct relay_pool *p, const char *class_name, const char **why);

enum relay_state {
	TXN_ADJOURNED, /* lost between two steps; sought anew at the next */
	TXN_SEEKING, /* no connection yet */
	TXN_STEPS,   /* MAIL to the answer to DATA */
	TXN_BODY,    /* 354 has come */
	TXN_DOT,     /* the dot is queued */
	TXN_REFUSED, /* refused within the body; what comes is dropped */
	TXN_DONE,    /* finally answered, or DATA was refused */
	TXN_FAILED
};

/* A step, kept until 354 in case it must be said again. */
struct relay_item {
	enum relay_step step;
	bool accepted;    /* and the client has been told so */
	uint32_t at, len; /* of RCPT: its arguments in relay.paths */
	uint32_t needs;   /* SMTP_EXT_* */
	uint64_t end;     /* its end in the connection's stream */
};

struct relay {
	struct relay_pool *pool;          /* borrowed */
	const struct relay_callbacks *cb; /* borrowed from owner */
	void *owner;                      /* borrowed */
	enum relay_state state;
	struct relay_conn *conn; /* NULL: not yet, or no more */
	struct relay_host *host; /* borrowed; the one in use or tried, or NULL */
	const struct relay_host *peer; /* borrowed; the last that was reached */
	struct event later;      /* what may not happen within a call */

	struct relay_item *items; /* owned; they and their strings by steps.c */
	uint32_t nitems, room, nsent, nanswered;
	struct buf paths; /* owned */
	struct smtp_mail mail; /* its strings in mail_text */
	char *mail_text;       /* owned */
	bool reused;    /* the connection was idle before */
	bool heard;     /* it has answered in this transaction */
	bool replayed;  /* a second loss is final */
	bool mailed;    /* MAIL is accepted: there is something to reset */
	bool refused;   /* MAIL is refused */
	bool recipient; /* a recipient is accepted */

	bool may_chunk; /* the client speaks BDAT */
	bool chunked;   /* and so do we to the upstream */
	struct buf chunk; /* of the body, until it is worth a chunk */
	uint64_t chunk_ends[RELAY_CHUNKS]; /* in the stream: those unanswered */
	unsigned nchunks;

	uint64_t dot_end; /* of the dot or the last chunk */
	struct smtp_reply early; /* TXN_REFUSED: the answer to give then */

	/* the search for a connection */
	uint64_t excluded; /* hosts that are not tried again, by index */
	unsigned first, tried; /* addresses of the host */
	int64_t dial_until;     /* monotonic ms */
	int64_t wait_until;     /* while no address is known */
	enum relay_failure why; /* the worst until now, then the final one */
	char *detail; /* owned */
	char go_ahead[100]; /* the answer to DATA: some hosts put an id there */
	struct relay_ticket ticket; /* strings borrowed from owner */
	bool introduced;     /* on this connection */
	bool introducing;    /* the answer is awaited */
	uint64_t introduction_end; /* in the stream */
};

/* Says the next step. */
void relay_steps_say(struct relay *r);
/* All but the refused ones are to be said again. */
void relay_steps_rewind(struct relay *r);
void relay_steps_forget(struct relay *r);
/* For steps.c: one was added, say it or seek whom to say it to. */
void relay_go_on(struct relay *r);

bool relay_chunks_fit(const struct relay *r);
/* What was gathered and then this, as one chunk. */
void relay_chunks_send(
    struct relay *r, const char *data, size_t len, bool is_last);
/* Is it the answer to a chunk, and a good one? */
bool relay_chunks_reply(struct relay *r, const struct smtp_reply *reply);

/* Must the upstream be told who this connection is for, before all else? Then
 * it goes through its first words once more. */
bool relay_present(struct relay *r);
/* Says XFORWARD, where it is offered. */
void relay_introduce(struct relay *r);

/* Takes another host, or none, and counts where r is under way. */
void relay_set_host(struct relay *r, struct relay_host *h);
/* Seeks a fresh connection for r, whose steps go out when it is there. */
void relay_dial_start(struct relay *r);
/* r->conn is not ready yet, or no more; what becomes of it is seen to here. */
void relay_dial_await(struct relay *r);
/* The next address, or the same question when none was known. */
void relay_dial_next(struct relay *r);
/* For dial.c: it is there, or there is none. */
void relay_found(struct relay *r);
void relay_fail(struct relay *r, enum relay_failure why, const char *detail);

enum relay_mapped {
	MAP_PASS = 1, /* the client's */
	MAP_ALERT,    /* addressed to us */
	MAP_BROKEN    /* makes no sense here */
};

/* orphan: an earlier refusal explains a 503. */
enum relay_mapped relay_map(enum relay_step step, int code, bool orphan);
bool relay_map_accepts(enum relay_step step, int code);
const char *relay_step_name(enum relay_step step);

/* ---- getting in ---- */

#define RELAY_TLS_MEMORY 16 /* hosts' addresses whose last session is kept */
#define FINGERPRINT_SIZE 65

/* The last TLS session with an address of a host. */
struct tls_memory {
	const struct config_host *host; /* borrowed */
	char peer[64];
	SSL_SESSION *session; /* owned; NULL: none */
	uint64_t used;        /* when it was looked for, by relay_access.clock */
};

struct relay_access {
	const struct config_upstream *config; /* borrowed */
	SSL_CTX *tls;                         /* owned; NULL with tls = none */
	struct secret *password;              /* owned; NULL: no account */
	struct tls_memory memory[RELAY_TLS_MEMORY];
	uint64_t clock;
	char shown[FINGERPRINT_SIZE]; /* of the certificate last looked at */
};

/* Makes a->tls. */
int relay_tls_open(struct relay_access *a, struct error *err);
void relay_tls_forget(struct relay_access *a);
/* A TLS session for a connection, to be verified as the configuration says. */
SSL *relay_tls_session(struct relay_conn *c);
void relay_tls_free(struct relay_conn *c);
/* Why the handshake failed. */
void relay_tls_error(struct relay_conn *c, int result, char *to, size_t size);

/* Begins AUTH. */
void relay_account_say(struct relay_conn *c);
/* The answer to it; true: we are logged in. */
bool relay_account_reply(struct relay_conn *c, const struct smtp_reply *reply);

#endif
