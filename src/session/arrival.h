/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How a client comes in: who is turned away at the door, whom a load balancer
 * names, and who is counted while he is here.
 */
#ifndef SESSION_ARRIVAL_H
#define SESSION_ARRIVAL_H

#include "base/network.h"
#include "ipc/crowd.h"
#include "smtp/proxy.h"

struct session;
struct session_worker;

/* A client as the limits on connections see it. */
struct guest {
	struct ip_address address;
	bool is_counted;
	struct crowd_name host, network; /* while is_counted */
};

/* What has come of the PROXY header is taken. true: it is complete, and the
 * client it names may stay. */
bool arrival_read_proxy(struct session *s);
/* In a crowd, who has not logged in for a while gives way to the next one.
 * false: there is nobody like that. */
bool arrival_make_room(struct session_worker *w);
/* No newcomer any more: logged in, or going. */
void arrival_settle(struct session *s);
/* The client goes: counted no longer. */
void guest_leave(struct session_worker *w, struct guest *g);

#endif
