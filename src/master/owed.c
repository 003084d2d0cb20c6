/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The list of owed settles. Only so many at its front are under way at once,
 * so that the living workers' questions find room in the queue.
 *
 * What stands on a board was written by a process that faces the network:
 * nothing of it is used before it was copied and looked at.
 */
#include "master/owed.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "master/channels.h"

#define UNDER_WAY_MAX 64
#define REPEAT_MS 1000

struct owed_settle {
	uint64_t id; /* 0: not sent yet */
	int64_t due_ms;
	size_t len;
	uint8_t record[SETTLE_RECORD_MAX];
};

static int
copy_record(struct owed_settle *to, const struct reservation *r,
    uint32_t state)
{
	struct record_header h;
	int which = state == RESERVATION_PAST_DOT;

	*to = (struct owed_settle){ .len = r->len[which] };
	if (to->len > sizeof(to->record))
		return -1;
	memcpy(to->record, r->record[which], to->len);
	if (record_header_decode(to->record, to->len, &h) == -1 ||
	    h.type != RECORD_SETTLE)
		return -1;
	return 0;
}

static void
take_over(struct owed *o, struct reservation *r, uint32_t state)
{
	if (o->count == o->room) {
		o->room = o->room == 0 ? 16 : o->room * 2;
		o->settles =
		    xrealloc(o->settles, o->room * sizeof(*o->settles));
	}
	if (copy_record(&o->settles[o->count], r, state) == 0)
		o->count++;
	atomic_store(&r->state, RESERVATION_FREE);
}

size_t
owed_collect(struct owed *o, struct board *b, unsigned slot, uint32_t living)
{
	struct reservation *r =
	    b->reservations + (size_t)slot * RESERVATIONS_PER_SLOT;
	size_t before = o->count;
	uint32_t state;
	int i;

	for (i = 0; i < RESERVATIONS_PER_SLOT && r[i].incarnation != 0; i++) {
		state = atomic_load_explicit(&r[i].state,
		    memory_order_acquire);
		if (state != RESERVATION_FREE && r[i].incarnation != living)
			take_over(o, &r[i], state);
	}
	return o->count - before;
}

int64_t
owed_send(struct owed *o, struct channels *channels, uint32_t generation,
    int64_t deadline_ms, int64_t now_ms)
{
	int64_t next = 0;
	size_t i;

	for (i = 0; i < o->count && i < UNDER_WAY_MAX; i++) {
		struct owed_settle *s = &o->settles[i];

		if (s->due_ms <= now_ms) {
			if (s->id == 0)
				s->id = ++o->last_id;
			record_readdress(s->record, ASKER_MASTER, s->id,
			    (now_ms + deadline_ms) * CLOCK_NS_PER_MS,
			    generation);
			/* When the queue is full this is the repetition's. */
			channels_ask(channels, POOL_POLICY, s->record, s->len);
			s->due_ms = now_ms + REPEAT_MS;
		}
		if (next == 0 || s->due_ms < next)
			next = s->due_ms;
	}
	return next;
}

unsigned
owed_settled(struct owed *o, uint64_t id)
{
	size_t i;

	for (i = 0; i < o->count && i < UNDER_WAY_MAX; i++)
		if (o->settles[i].id == id && id != 0) {
			o->settles[i] = o->settles[--o->count];
			return 1;
		}
	return 0;
}

void
owed_free(struct owed *o)
{
	free(o->settles);
	*o = (struct owed){ 0 };
}
