/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where a message may go. The sections that name the person's class, or else
 * those that name none, are its route, in the order of their priority. Of a
 * section the host with the fewest messages under way is taken, all session
 * workers together; one that has just come back counts as busier than it is.
 *
 * What always holds: a host that is not up is better than none. Only the
 * operator's drain takes a host away altogether.
 */
#include "relay/relay_private.h"

#include <string.h>

#include "base/clock.h"

#define RETURN_STEPS 6

static bool
names_class(const struct config_upstream *u, const char *class_name)
{
	char **class;

	for (class = u->classes; *class != NULL; class++)
		if (strcmp(*class, class_name) == 0)
			return true;
	return false;
}

/* NULL, if no section names the class: the route of all others. */
static const char *
route_of(const struct relay_pool *p, const char *class_name)
{
	size_t i;

	for (i = 0; i < p->norder; i++)
		if (names_class(p->order[i], class_name))
			return class_name;
	return NULL;
}

static bool
is_on(const struct config_upstream *u, const char *route)
{
	return route == NULL ? u->classes[0] == NULL : names_class(u, route);
}

/* ---- one host ---- */

static bool
may_take(struct relay_host *h, uint32_t needs, uint64_t excluded)
{
	const struct upstream_state *s = relay_host_state(h);

	return (excluded & (uint64_t)1 << h->index) == 0 &&
	       s->naddresses > 0 && !relay_host_is_drained(h) &&
	       (s->probed_at == 0 || (s->offer.extensions & needs) == needs);
}

static uint64_t
load_of(struct relay_host *h)
{
	uint64_t active = board_cell_sum(h->setup->board, h->index).active;
	int64_t age_ms = clock_mono_ms() - relay_host_state(h)->up_since_ms;
	int64_t step = age_ms / (RELAY_RETURN_MS / RETURN_STEPS);

	if (step < 0 || step >= RETURN_STEPS)
		return active + 1;
	return (active + 1) * (uint64_t)(RETURN_STEPS - step);
}

/* ---- all of them ---- */

static struct relay_host *
least(struct relay_pool *p, const struct config_upstream *u, uint32_t needs,
    uint64_t excluded, bool up)
{
	struct relay_host *best = NULL, *h;
	uint64_t load, best_load = 0;
	size_t i;

	for (i = 0; i < u->nhosts; i++) {
		h = &p->hosts[u->first + (p->turn + i) % u->nhosts];
		if (!may_take(h, needs, excluded) || relay_host_is_up(h) != up)
			continue;
		load = load_of(h);
		if (best == NULL || load < best_load) {
			best = h;
			best_load = load;
		}
	}
	return best;
}

struct relay_host *
relay_route_pick(struct relay_pool *p, const char *class_name, uint32_t needs,
    uint64_t excluded)
{
	const char *route = route_of(p, class_name);
	struct relay_host *h = NULL;
	size_t i;
	int up;

	p->turn++;
	for (up = 1; up >= 0 && h == NULL; up--)
		for (i = 0; i < p->norder && h == NULL; i++)
			if (is_on(p->order[i], route))
				h = least(
				    p, p->order[i], needs, excluded, up == 1);
	return h;
}

bool
relay_route_may_come(
    struct relay_pool *p, const char *class_name, const char **why)
{
	const char *route = route_of(p, class_name);
	const struct upstream_state *s;
	bool may = false;
	size_t i;

	*why = "all hosts are drained, or lack what the message needs";
	for (i = 0; i < p->nhosts; i++) {
		s = relay_host_state(&p->hosts[i]);
		if (!is_on(p->hosts[i].config, route) || s->naddresses > 0 ||
		    relay_host_is_drained(&p->hosts[i]))
			continue;
		may = true;
		*why =
		    s->error[0] != '\0' ? s->error : "no address is known";
	}
	return may;
}

/* ---- what may be offered ---- */

/* The size is a limit, not a faculty: the smallest that is stated counts. */
static void
join(struct smtp_offer *to, const struct smtp_offer *offer, bool *any)
{
	const uint32_t size = (to->extensions | offer->extensions) &
	                      SMTP_EXT_SIZE;

	if (!*any) {
		*to = *offer;
		*any = true;
		return;
	}
	to->extensions = (to->extensions & offer->extensions) | size;
	if (to->size == 0 || (offer->size != 0 && offer->size < to->size))
		to->size = offer->size;
	if (to->rcptmax == 0 ||
	    (offer->rcptmax != 0 && offer->rcptmax < to->rcptmax))
		to->rcptmax = offer->rcptmax;
}

static bool
join_section(struct relay_pool *p, const struct config_upstream *u, bool up,
    struct smtp_offer *to)
{
	bool any = false;
	size_t i;

	for (i = 0; i < u->nhosts; i++) {
		struct relay_host *h = &p->hosts[u->first + i];

		if (relay_host_state(h)->probed_at == 0 ||
		    relay_host_is_drained(h) || (up && !relay_host_is_up(h)))
			continue;
		join(to, &h->state.offer, &any);
	}
	return any;
}

/* Of the first section that has a host which is up, else of the first whose
 * hosts were ever asked. */
static void
join_route(struct relay_pool *p, const char *route, struct smtp_offer *to,
    bool *any)
{
	struct smtp_offer offer = { 0 };
	bool found = false;
	size_t i;
	int up;

	for (up = 1; up >= 0 && !found; up--)
		for (i = 0; i < p->norder && !found; i++)
			found = is_on(p->order[i], route) &&
			        join_section(p, p->order[i], up == 1, &offer);
	join(to, &offer, any);
}

void
relay_pool_offer(
    struct relay_pool *p, const char *class_name, struct smtp_offer *to)
{
	bool any = false;
	char **class;
	size_t i;

	*to = (struct smtp_offer){ 0 };
	if (class_name != NULL) {
		join_route(p, route_of(p, class_name), to, &any);
		return;
	}
	join_route(p, NULL, to, &any);
	for (i = 0; i < p->norder; i++)
		for (class = p->order[i]->classes; *class != NULL; class++)
			join_route(p, *class, to, &any);
}
