/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The listening sockets, which outlive every generation that uses them.
 *
 * Each address has the same number of sockets (SO_REUSEPORT), at least one
 * for each slot; the number never falls while the address is in use, since
 * closing a socket would reset the clients that wait in it. When there are
 * more sockets than slots a slot is given several, so that no socket is left
 * without somebody who accepts from it.
 */
#ifndef MASTER_LISTENER_H
#define MASTER_LISTENER_H

#include <stdbool.h>

#include "base/error.h"
#include "ipc/plan.h"

struct listener {
	struct listener *next;
	struct plan_listener at;
	unsigned users;  /* generations */
	int *fds;        /* owned */
	unsigned nfds;
	bool given;      /* by the service manager: shared as they are */
};

struct listeners {
	struct listener *first;
	unsigned width; /* sockets of each address, since the last good start */
};

/* What the service manager passed (LISTEN_FDS); takes the variables away. */
void listeners_inherit(struct listeners *ls);
/*
 * Binds what the plan names and is not there yet, for nslots slots. Fills
 * used[plan->nlisteners]; they stay until released. *width_r gets the number
 * of sockets of each address. New sockets do not listen yet, so clients are
 * not led to them before somebody accepts.
 */
int listeners_use(struct listeners *ls, const struct plan *plan,
    struct listener *used[], unsigned *width_r, struct error *err);
/* Lets all of a generation's sockets listen. */
int listeners_listen(struct listener *const used[], const struct plan *plan,
    struct error *err);
/* The generation that uses these came up: its width is now the one to keep,
 * and where it does not listen clients are refused from now on. */
void listeners_commit(struct listeners *ls, struct listener *const used[],
    unsigned nused, unsigned width);
/* It does not come up: closes what was added for it to addresses in use. */
void listeners_abandon(struct listeners *ls);
/* All ends: clients are refused as soon as the workers have closed theirs. */
void listeners_shut(struct listeners *ls);
/* A generation has gone: forgets what nobody uses. */
void listeners_release(struct listeners *ls, struct listener *used[],
    unsigned nused);
/* Socket number i of an address, for any i. */
int listener_socket(const struct listener *l, unsigned i);
/* How many rounds (one socket of each address) slot has. */
unsigned listeners_rounds(unsigned width, unsigned nslots, unsigned slot);
void listeners_close(struct listeners *ls);

#endif
