/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sends and receives lifeline records. Both ends run the same binary on the
 * same machine, so the header is a plain struct. Neither call ever waits.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/lifeline.h"

struct header {
	uint16_t type;
	uint16_t reserved;
	uint32_t length; /* of the text */
	uint64_t id;
	int64_t value;
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int))];
};

static void
attach(struct msghdr *msg, union control *control, int fd)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control->space;
	msg->msg_controllen = sizeof(control->space);
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

/* The one descriptor that came along, or -1: there is room for no more. */
static int
detach(struct msghdr *msg)
{
	struct cmsghdr *c;
	int fd = -1;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET &&
		    c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int
lifeline_send(int fd, const struct lifeline_record *r)
{
	struct header h = { .type = r->type, .length = (uint32_t)r->text.len,
		.id = r->id, .value = r->value };
	struct iovec iov[2] = { { &h, sizeof(h) },
		{ (void *)r->text.ptr, r->text.len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	union control control;
	ssize_t n;

	assert(r->text.len <= LIFELINE_MAX);
	if (r->fd != -1)
		attach(&msg, &control, r->fd);
	do
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n != -1)
		return 1;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ||
	    errno == ETOOMANYREFS)
		return 0;
	return -1;
}

int
lifeline_receive(int fd, struct lifeline_record *r, uint8_t *buf, size_t size)
{
	struct header h;
	struct iovec iov = { buf, size };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN ? 0 : -1;
	r->fd = detach(&msg);
	memset(&h, 0, sizeof(h));
	memcpy(&h, buf, (size_t)n < sizeof(h) ? (size_t)n : sizeof(h));
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    (size_t)n < sizeof(h) || h.length != (size_t)n - sizeof(h)) {
		if (r->fd != -1)
			close(r->fd);
		r->fd = -1;
		return -1;
	}
	r->type = h.type;
	r->id = h.id;
	r->value = h.value;
	r->text = (struct str){ (const char *)buf + sizeof(h), h.length };
	return 1;
}
