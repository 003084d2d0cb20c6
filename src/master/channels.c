/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Makes, lends and closes the socket pairs between askers and pools.
 */
#include "master/channels.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_BYTES (4 << 20)
#define ANSWER_BYTES (1 << 20)

static int
make_pair(int pair[2], int bytes, struct error *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return error_set(err, ERROR_TEMPORARY, "socketpair: %s",
		    strerror(errno));
	pair[READ_END] = fds[0];
	pair[WRITE_END] = fds[1];
	if (setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &bytes,
		sizeof(bytes)) == -1)
		setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes,
		    sizeof(bytes));
	return 0;
}

static void
close_pair(int pair[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		if (pair[i] != -1)
			close(pair[i]);
		pair[i] = -1;
	}
}

int
queue_stock_fill(struct queue_stock *s, struct error *err)
{
	int i;

	memset(s->pairs, -1, sizeof(s->pairs));
	for (i = 0; i < QUEUE_STOCK; i++)
		if (make_pair(s->pairs[i], QUEUE_BYTES, err) == -1)
			return -1;
	return 0;
}

void
queue_stock_close(struct queue_stock *s)
{
	int i;

	for (i = 0; i < QUEUE_STOCK; i++)
		close_pair(s->pairs[i]);
}

/* With all of the stock lent, a pair of what size we are allowed. */
static int
queue_take(struct queue_stock *s, int pair[2], struct error *err)
{
	int i;

	for (i = 0; i < QUEUE_STOCK; i++)
		if (!s->taken[i]) {
			s->taken[i] = true;
			memcpy(pair, s->pairs[i], sizeof(s->pairs[i]));
			return 0;
		}
	return make_pair(pair, QUEUE_BYTES, err);
}

/* Questions that nobody took are thrown away unread: a length of 0 drops the
 * whole record. */
static void
queue_give(struct queue_stock *s, int pair[2])
{
	char nothing;
	int i;

	for (i = 0; i < QUEUE_STOCK; i++) {
		if (!s->taken[i] || s->pairs[i][READ_END] != pair[READ_END] ||
		    pair[READ_END] == -1)
			continue;
		while (recv(pair[READ_END], &nothing, 0,
			   MSG_DONTWAIT | MSG_TRUNC) != -1 ||
		    errno == EINTR)
			continue;
		s->taken[i] = false;
		return;
	}
	close_pair(pair);
}

int
channels_open(struct channels *c, struct queue_stock *s, unsigned naskers,
    struct error *err)
{
	unsigned i, pool;

	assert(naskers <= MAX_ASKERS);
	memset(c, -1, sizeof(*c));
	c->naskers = naskers;
	for (pool = 0; pool < NPOOLS; pool++)
		if (queue_take(s, c->queue[pool], err) == -1)
			return -1;
	for (pool = 0; pool < NPOOLS; pool++)
		for (i = 0; i < naskers; i++)
			if (make_pair(c->answers[pool][i], ANSWER_BYTES, err) ==
			    -1)
				return -1;
	return 0;
}

void
channels_close(struct channels *c, struct queue_stock *s)
{
	unsigned i, pool;

	for (pool = 0; pool < NPOOLS; pool++) {
		queue_give(s, c->queue[pool]);
		for (i = 0; i < c->naskers; i++)
			close_pair(c->answers[pool][i]);
	}
}

static bool
put(int fd, const uint8_t *record, size_t len)
{
	return send(fd, record, len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)len;
}

bool
channels_ask(struct channels *c, enum pool pool, const uint8_t *record,
    size_t len)
{
	return put(c->queue[pool][WRITE_END], record, len);
}

bool
channels_answer(struct channels *c, enum pool pool, unsigned asker,
    const uint8_t *record, size_t len)
{
	return asker < c->naskers &&
	    put(c->answers[pool][asker][WRITE_END], record, len);
}
