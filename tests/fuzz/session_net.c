/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The sockets of session_net.h. Each end owns what has come for it.
 */
#include "session_net.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"


#define NET_EPOLL 32 /* no descriptor of the kernel's comes so high */
#define NET_FIRST 33
#define NET_MAX 64
#define PACKETS_MAX 128

enum state { CLOSED, FRESH, CONNECTING, CONNECTED };

struct end {
	enum state state;
	bool is_packets;
	bool is_over;   /* nothing comes any more */
	bool is_shut;   /* nothing may be said any more */
	bool is_abrupt; /* closing it is a reset */
	int peer;       /* -1: gone, or none yet */
	int error;
	size_t npackets;
	struct buf in;
	uint32_t watched;
	epoll_data_t data;
};

static struct end ends[NET_MAX];
static bool is_listening;

static struct end *
end_of(int fd)
{
	if (fd < 0 || fd >= NET_MAX || ends[fd].state == CLOSED)
		return NULL;
	return &ends[fd];
}

static int
fail(int error)
{
	errno = error;
	return -1;
}

static int
end_new(void)
{
	for (int fd = NET_FIRST; fd < NET_MAX; fd++)
		if (ends[fd].state == CLOSED) {
			ends[fd] = (struct end){ .state = FRESH, .peer = -1 };
			return fd;
		}
	assert(!"more descriptors than anybody needs");
	return -1;
}

static void
join(int a, int b)
{
	ends[a].state = ends[b].state = CONNECTED;
	ends[a].peer = b;
	ends[b].peer = a;
}

static void
refuse(struct end *e)
{
	e->state = FRESH;
	e->error = ECONNREFUSED;
}

/* ---- for the rig -------------------------------------------------------- */

void
net_pair(int fds[2])
{
	fds[0] = end_new();
	fds[1] = end_new();
	join(fds[0], fds[1]);
}

int
net_channel(int theirs)
{
	int ours = end_new();

	/* The kernel gives these to nobody else. */
	while (fcntl(theirs, F_GETFD) == -1) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		assert(fd != -1 && fd < NET_FIXED);
	}
	assert(theirs < NET_FIXED);
	ends[theirs] = (struct end){ .is_packets = true };
	ends[ours].is_packets = true;
	join(theirs, ours);
	return ours;
}

void
net_listen(bool on)
{
	is_listening = on;
	for (int fd = NET_FIRST; fd < NET_MAX && !on; fd++)
		if (ends[fd].state == CONNECTING)
			refuse(&ends[fd]);
}

int
net_accept(void)
{
	for (int fd = NET_FIRST; fd < NET_MAX; fd++)
		if (ends[fd].state == CONNECTING) {
			int ours = end_new();

			join(fd, ours);
			return ours;
		}
	return -1;
}

bool
net_is_empty(void)
{
	for (int fd = NET_FIRST; fd < NET_MAX; fd++)
		if (ends[fd].state != CLOSED && !ends[fd].is_packets)
			return false;
	return true;
}

/* ---- sockets, by the names of libc's ------------------------------------ */

int
socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)protocol;
	assert((type & 0xf) == SOCK_STREAM && (type & SOCK_NONBLOCK) != 0);
	return end_new();
}

int
connect(int fd, const struct sockaddr *address, socklen_t len)
{
	struct end *e = end_of(fd);

	(void)address;
	(void)len;
	assert(e != NULL && e->state == FRESH);
	e->state = CONNECTING;
	if (!is_listening)
		refuse(e);
	return fail(EINPROGRESS);
}

int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	struct end *e = end_of(fd);

	assert(e != NULL && level == SOL_SOCKET && name == SO_ERROR);
	assert(*len == sizeof e->error);
	memcpy(value, &e->error, sizeof e->error);
	e->error = 0;
	return 0;
}

int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct end *e = end_of(fd);

	(void)value;
	(void)len;
	assert(e != NULL);
	if (level == SOL_SOCKET && name == SO_LINGER)
		e->is_abrupt = true;
	return 0;
}

static ssize_t
packet_take(struct end *e, void *to, size_t size)
{
	uint32_t len;

	memcpy(&len, buf_data(&e->in), sizeof len);
	buf_consume(&e->in, sizeof len);
	size = size < len ? size : len;
	memcpy(to, buf_data(&e->in), size);
	buf_consume(&e->in, len);
	e->npackets--;
	return (ssize_t)size;
}

ssize_t
recv(int fd, void *to, size_t size, int flags)
{
	struct end *e = end_of(fd);

	if (e == NULL)
		return fail(EBADF);
	if (buf_len(&e->in) > 0) {
		if (e->is_packets)
			return packet_take(e, to, size);
		size = size < buf_len(&e->in) ? size : buf_len(&e->in);
		memcpy(to, buf_data(&e->in), size);
		if ((flags & MSG_PEEK) == 0)
			buf_consume(&e->in, size);
		return (ssize_t)size;
	}
	if (e->error != 0) {
		int error = e->error;

		e->error = 0;
		return fail(error);
	}
	return e->is_over ? 0 : fail(EAGAIN);
}

/* What a compiler makes of recv() where it knows the size of the buffer. */
ssize_t __recv_chk(int fd, void *to, size_t len, size_t size, int flags);

ssize_t
__recv_chk(int fd, void *to, size_t len, size_t size, int flags)
{
	assert(len <= size);
	return recv(fd, to, len, flags);
}

ssize_t
send(int fd, const void *from, size_t len, int flags)
{
	struct end *e = end_of(fd), *peer;
	const uint32_t n = (uint32_t)len;

	(void)flags;
	if (e == NULL)
		return fail(EBADF);
	assert(e->state == CONNECTED);
	peer = end_of(e->peer);
	if (peer == NULL || e->is_shut)
		return fail(EPIPE);
	if (e->is_packets) {
		if (peer->npackets == PACKETS_MAX)
			return fail(EAGAIN);
		buf_append(&peer->in, &n, sizeof n);
		peer->npackets++;
	} else {
		if (buf_len(&peer->in) == NET_STREAM_MAX)
			return fail(EAGAIN);
		if (len > NET_STREAM_MAX - buf_len(&peer->in))
			len = NET_STREAM_MAX - buf_len(&peer->in);
	}
	buf_append(&peer->in, from, len);
	return (ssize_t)len;
}

ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t n = 0, sum = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		const struct iovec *v = &msg->msg_iov[i];

		n = send(fd, v->iov_base, v->iov_len, flags);
		if (n == -1)
			break;
		sum += n;
		if ((size_t)n < v->iov_len)
			break;
	}
	return n == -1 && sum == 0 ? -1 : sum;
}

int
shutdown(int fd, int how)
{
	struct end *e = end_of(fd), *peer;

	assert(e != NULL && how == SHUT_WR);
	e->is_shut = true;
	peer = end_of(e->peer);
	if (peer != NULL)
		peer->is_over = true;
	return 0;
}

int
close(int fd)
{
	struct end *e = end_of(fd), *peer;

	if (e == NULL)
		return fd == NET_EPOLL ? 0 : (int)syscall(SYS_close, fd);
	assert(fd >= NET_FIRST);
	peer = end_of(e->peer);
	if (peer != NULL) {
		peer->peer = -1;
		peer->is_over = true;
		if (e->is_abrupt)
			buf_free(&peer->in);
		if (e->is_abrupt || buf_len(&e->in) > 0)
			peer->error = ECONNRESET;
	}
	buf_free(&e->in);
	e->state = CLOSED;
	return 0;
}

/* ---- epoll -------------------------------------------------------------- */

int
epoll_create1(int flags)
{
	(void)flags;
	return NET_EPOLL;
}

int
epoll_create(int size)
{
	(void)size;
	return NET_EPOLL;
}

int
epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct end *e = end_of(fd);

	if (epfd != NET_EPOLL)
		return (int)syscall(SYS_epoll_ctl, epfd, op, fd, ev);
	if (e == NULL)
		return fail(EBADF);
	if (op == EPOLL_CTL_ADD && e->watched != 0)
		return fail(EEXIST);
	if (op != EPOLL_CTL_ADD && e->watched == 0)
		return fail(ENOENT);
	e->watched = 0;
	if (op != EPOLL_CTL_DEL) {
		e->watched = ev->events | EPOLLERR | EPOLLHUP;
		e->data = ev->data;
	}
	return 0;
}

static uint32_t
ready(const struct end *e)
{
	const struct end *peer = end_of(e->peer);
	uint32_t events = 0;

	if (e->error != 0)
		events |= EPOLLERR | EPOLLIN | EPOLLOUT;
	if (e->state != CONNECTED)
		return events;
	if (buf_len(&e->in) > 0 || e->is_over)
		events |= EPOLLIN;
	if (e->is_over)
		events |= EPOLLRDHUP;
	if (peer == NULL || (e->is_over && e->is_shut))
		events |= EPOLLHUP;
	if (peer == NULL || e->is_shut ||
	    (e->is_packets ? peer->npackets < PACKETS_MAX
			   : buf_len(&peer->in) < NET_STREAM_MAX))
		events |= EPOLLOUT;
	return events;
}

int
epoll_wait(int epfd, struct epoll_event *to, int max, int timeout)
{
	uint32_t events;
	int n = 0;

	if (epfd != NET_EPOLL)
		return (int)syscall(SYS_epoll_wait, epfd, to, max, timeout);
	for (int fd = 0; fd < NET_MAX && n < max; fd++) {
		const struct end *e = &ends[fd];

		if (e->state == CLOSED || e->watched == 0)
			continue;
		events = ready(e) & e->watched;
		if (events != 0)
			to[n++] = (struct epoll_event){ events, e->data };
	}
	return n;
}
