/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The upstream of session_rig.h. It takes commands one by one, each when the
 * one before has its answer, and knows what is a message. Each 2xx to the end
 * of one bears a number of its own.
 */
#include "session_net.h"
#include "session_rig.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "smtp/params.h"

#define CONNS_MAX 8
#define FINALS_MAX 4096
#define VALUE_MAX 255 /* of XFORWARD */

/* What awaits an answer. */
enum step { NOTHING, GREETING, EHLO, DATA, END, QUIT, OTHER };

struct conn {
	int fd; /* -1: none */
	struct buf in, held;
	enum step step;
	bool in_body, is_over, chunk_ends;
	bool is_shifted; /* it said more than it was asked: anything may be taken
			  * for the answer to an end */
	size_t chunk; /* octets of it that are to come */
};

static struct {
	struct conn conns[CONNS_MAX];
	bool has_chunking, answers_all, is_planned;
	enum upstream_answer plan;
	unsigned nends, naccepted;
	bool is_told[FINALS_MAX];
} up;

static void
publish(struct session_worker *w)
{
	struct upstream_state state = { .naddresses = 1, .up_since_ms = 1 };
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(25) };

	address.sin_addr.s_addr = htonl(0xc0000202);

	state.offer.extensions = SMTP_EXT_PIPELINING | SMTP_EXT_8BITMIME |
	    SMTP_EXT_SIZE | SMTP_EXT_ENHANCEDSTATUSCODES | SMTP_EXT_DSN |
	    SMTP_EXT_SMTPUTF8;
	state.offer.size = 100000;
	if (up.has_chunking)
		state.offer.extensions |= SMTP_EXT_CHUNKING;
	memcpy(&state.address[0], &address, sizeof address);
	state.address_len[0] = sizeof address;
	shared_upstream_write(&w->shared->upstreams[0], &state);
	atomic_store(&w->board.hosts[0].slot, 1);
}

void
upstream_open(struct session_worker *w, bool has_chunking, bool answer)
{
	for (size_t i = 0; i < CONNS_MAX; i++)
		up.conns[i] = (struct conn){ .fd = -1 };
	up.has_chunking = has_chunking;
	up.answers_all = answer;
	up.is_planned = false;
	up.nends = up.naccepted = 0;
	memset(up.is_told, 0, sizeof up.is_told);
	net_listen(true);
	publish(w);
}

static void
conn_close(struct conn *c)
{
	if (c->fd != -1)
		close(c->fd);
	buf_free(&c->in);
	buf_free(&c->held);
	*c = (struct conn){ .fd = -1 };
}

void
upstream_close(void)
{
	for (size_t i = 0; i < CONNS_MAX; i++)
		conn_close(&up.conns[i]);
	net_listen(false);
}

bool
upstream_is_empty(void)
{
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (up.conns[i].fd != -1)
			return false;
	return true;
}

void
upstream_answer_all(bool on)
{
	up.answers_all = on;
	up.is_planned = false;
	if (on)
		upstream_release();
}

void
upstream_plan(enum upstream_answer answer)
{
	up.plan = answer;
	up.is_planned = true;
}

unsigned
upstream_ends(void)
{
	return up.nends;
}

unsigned
upstream_accepted(void)
{
	return up.naccepted;
}

void
upstream_assert_final(const char *reply)
{
	const char *at = strstr(reply, "final-");
	unsigned long n;

	assert(at != NULL);
	n = strtoul(at + 6, NULL, 10);
	assert(n > 0 && n <= up.naccepted && !up.is_told[n]);
	up.is_told[n] = true;
}

/* ---- what it hears ------------------------------------------------------ */

static void
message_ends(struct conn *c)
{
	c->in_body = false;
	c->step = END;
	up.nends++;
}

/* Takes one line of the body. */
static bool
body_take(struct conn *c, size_t len)
{
	const char *line = buf_data(&c->in);

	assert(len >= 2 && line[len - 2] == '\r');
	assert(memchr(line, '\r', len) == line + len - 2);
	if (len == 3 && line[0] == '.')
		message_ends(c);
	buf_consume(&c->in, len);
	return true;
}

static bool
chunk_take(struct conn *c)
{
	size_t n = buf_len(&c->in);

	if (n > c->chunk)
		n = c->chunk;
	if (n == 0 && c->chunk > 0)
		return false;
	buf_consume(&c->in, n);
	c->chunk -= n;
	if (c->chunk > 0)
		return true;
	c->step = OTHER;
	if (c->chunk_ends)
		message_ends(c);
	return true;
}

/* Values as xtext; what a client said is in them and ends neither. */
static void
xforward_check(const char *line)
{
	char value[VALUE_MAX + 1];

	for (const char *p = line + strlen("XFORWARD"); *p == ' ';) {
		const char *at = strchr(p, '=');
		struct str xtext;

		assert(at != NULL);
		xtext = (struct str){ at + 1, strcspn(at + 1, " \r") };
		assert(smtp_xtext_decode(xtext, value, sizeof value) > 0 ||
		    str_eq(xtext, STR("[UNAVAILABLE]")));
		p = xtext.ptr + xtext.len;
	}
}

/* One line, of text. */
static void
command_take(struct conn *c, const char *line)
{
	for (const char *p = line; p[2] != '\0'; p++)
		assert((unsigned char)*p >= ' ' && *p != 0x7f);
	if (strncmp(line, "XFORWARD ", 9) == 0)
		xforward_check(line);
	if (strncmp(line, "EHLO ", 5) == 0)
		c->step = EHLO;
	else if (strncmp(line, "DATA", 4) == 0)
		c->step = DATA;
	else if (strncmp(line, "QUIT", 4) == 0)
		c->step = QUIT;
	else
		c->step = OTHER;
	/* Nothing comes from a person who was not let in. */
	if (strncmp(line, "MAIL ", 5) == 0)
		assert(pools_logins() > 0);
	if (strncmp(line, "BDAT ", 5) != 0)
		return;
	assert(up.has_chunking);
	c->chunk = strtoul(line + 5, NULL, 10);
	c->chunk_ends = strstr(line, " LAST\r") != NULL;
	c->step = NOTHING;
	if (c->chunk == 0)
		chunk_take(c);
}

/* Takes one thing of what came; false: it is not whole, or not its turn. */
static bool
conn_take(struct conn *c)
{
	char line[2048];
	const char *lf;
	size_t len;

	if (c->step != NOTHING || buf_len(&c->in) == 0)
		return false;
	if (c->chunk > 0)
		return chunk_take(c);
	lf = memchr(buf_data(&c->in), '\n', buf_len(&c->in));
	if (lf == NULL)
		return false;
	len = (size_t)(lf - buf_data(&c->in)) + 1;
	if (c->in_body)
		return body_take(c, len);
	assert(len < sizeof line && lf[-1] == '\r');
	memcpy(line, buf_data(&c->in), len);
	line[len] = '\0';
	buf_consume(&c->in, len);
	command_take(c, line);
	return true;
}

static bool
conn_read(struct conn *c)
{
	char block[8192];
	ssize_t n = recv(c->fd, block, sizeof block, MSG_DONTWAIT);

	if (n > 0)
		buf_append(&c->in, block, (size_t)n);
	else if (n == 0)
		c->is_over = true;
	else
		return false;
	return true;
}

/* ---- what it says ------------------------------------------------------- */

static void
say(struct conn *c, const char *words)
{
	(void)send(c->fd, words, strlen(words), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
accepting_reply(char *to, size_t size)
{
	up.naccepted++;
	assert(up.naccepted < FINALS_MAX);
	snprintf(to, size, "250 2.0.0 final-%u\r\n", up.naccepted);
}

static void
good_reply(struct conn *c, char *to, size_t size)
{
	switch (c->step) {
	case GREETING:
		snprintf(to, size, "220 upstream ESMTP\r\n");
		break;
	case EHLO:
		snprintf(to, size, "250-upstream\r\n250-PIPELINING\r\n"
		    "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n%s"
		    "250-DSN\r\n250-SMTPUTF8\r\n250-SIZE 100000\r\n"
		    "250 XFORWARD NAME ADDR PROTO HELO IDENT SOURCE\r\n",
		    up.has_chunking ? "250-CHUNKING\r\n" : "");
		break;
	case DATA:
		snprintf(to, size, "354 go on\r\n");
		c->in_body = true;
		break;
	case END:
		accepting_reply(to, size);
		break;
	case QUIT:
		snprintf(to, size, "221 2.0.0 Bye\r\n");
		break;
	default:
		if (c->is_shifted)
			accepting_reply(to, size);
		else
			snprintf(to, size, "250 2.0.0 Ok\r\n");
	}
}

/* Behind a 354 nothing is awaited before the end: there it must not count. */
static void
say_stray(struct conn *c, enum step step)
{
	char line[64] = "250 2.0.0 Stray\r\n";

	if (step != DATA) {
		c->is_shifted = true;
		accepting_reply(line, sizeof line);
	}
	say(c, line);
}

static void
say_good(struct conn *c, enum upstream_answer how)
{
	char line[256];
	size_t len;

	good_reply(c, line, sizeof line);
	len = strlen(line);
	if (how == UPSTREAM_HALF) {
		buf_append(&c->held, line + len / 2, len - len / 2);
		line[len / 2] = '\0';
	}
	say(c, line);
	if (how == UPSTREAM_TWICE)
		say_stray(c, c->step);
}

static void
conn_answer(struct conn *c, enum upstream_answer how)
{
	const struct linger now = { 1, 0 };
	const enum step step = c->step;

	switch (how) {
	case UPSTREAM_REFUSE:
		say(c, "550-5.7.1 No,\r\n550 5.7.1 never\r\n");
		break;
	case UPSTREAM_LATER:
		say(c, "451 4.3.0 Later\r\n");
		break;
	case UPSTREAM_LEAVE:
		say(c, "421 4.3.2 Leaving\r\n");
		break;
	case UPSTREAM_GARBAGE:
		say(c, "2 0\t0 \x80 what?\r\n");
		break;
	case UPSTREAM_CLOSE:
		break;
	case UPSTREAM_RESET:
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		break;
	default:
		say_good(c, how);
	}
	c->step = NOTHING;
	if (step == QUIT || how == UPSTREAM_LEAVE || how == UPSTREAM_CLOSE ||
	    how == UPSTREAM_RESET)
		conn_close(c);
}

void
upstream_release(void)
{
	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &up.conns[i];

		if (c->fd == -1 || buf_len(&c->held) == 0)
			continue;
		(void)send(c->fd, buf_data(&c->held), buf_len(&c->held),
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		buf_free(&c->held);
	}
}

static bool
conn_turn(struct conn *c)
{
	bool moved = conn_read(c);

	while (conn_take(c))
		moved = true;
	if (c->step != NOTHING && buf_len(&c->held) == 0 &&
	    (up.is_planned || up.answers_all)) {
		enum upstream_answer how = up.is_planned ? up.plan
							 : UPSTREAM_GOOD;

		up.is_planned = false;
		conn_answer(c, how);
		return true;
	}
	if (c->is_over) {
		conn_close(c);
		moved = true;
	}
	return moved;
}

static bool
conn_accept(void)
{
	int fd = net_accept();

	if (fd == -1)
		return false;
	for (size_t i = 0; i < CONNS_MAX; i++) {
		if (up.conns[i].fd != -1)
			continue;
		up.conns[i] = (struct conn){ .fd = fd, .step = GREETING };
		return true;
	}
	close(fd);
	return true;
}

bool
upstream_turn(void)
{
	bool moved = conn_accept();

	for (size_t i = 0; i < CONNS_MAX; i++)
		if (up.conns[i].fd != -1)
			moved |= conn_turn(&up.conns[i]);
	return moved;
}
