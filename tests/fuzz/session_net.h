/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sockets and epoll without a kernel, for session_rig.h: a system call costs
 * more than what the session does between two of them. Streams are like TCP's
 * and hold little, so that writers often wait; packets like SOCK_SEQPACKET's.
 * The product's calls and libevent's come here by their own names; what is
 * not one of these descriptors goes on to the kernel.
 */
#ifndef TESTS_SESSION_NET_H
#define TESTS_SESSION_NET_H

#include <stdbool.h>

#define NET_FIXED 16 /* descriptors below are taken from the kernel */
#define NET_STREAM_MAX 2048

/* Two ends of a stream. */
void net_pair(int fds[2]);
/* Two ends of packets, of which one is to be the descriptor theirs, below
 * NET_FIXED. Returns the other one. */
int net_channel(int theirs);
/* Are connections taken? There is one address. */
void net_listen(bool on);
/* The next one that came; -1: none. */
int net_accept(void);
/* All but channels are closed. */
bool net_is_empty(void);

#endif
