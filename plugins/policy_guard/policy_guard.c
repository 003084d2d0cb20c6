/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * policy_guard: who guesses passwords is stopped, and nobody else.
 *
 *   policy "guard" {
 *           plugin = policy_guard
 *           network_failures = 30  person_failures = 10  per = 1h
 *   }
 *
 * Only different wrong passwords count: a phone that repeats an old one is one
 * failure. A network from which a person has logged in is that person's home
 * for some weeks.
 *
 *   - From home a person is held up by nobody's failures but those of the own
 *     name from there: an office behind one address is not locked out. While
 *     too many logins fail there each name has fewer tries.
 *   - From elsewhere, a network with too many failures is held up; and when
 *     too many wrong passwords of a person came from strange networks, each of
 *     these has one try for that person in a window: who knows the password
 *     still gets in with it, wherever she is. Only after ten times as many the
 *     strange networks have none. So strangers lock nobody out at home.
 *
 * It counts in its own memory, and where the store is shared by several hosts
 * in the store, too. While that is away each host counts by itself.
 */
#include <portero/plugin.h>

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "spelling.h"

/* A network is charged in the store for so many failures at once: one that
 * fails once or twice leaves nothing there. */
#define NETWORK_LUMP 5
/* From a network with too many failures, for those who are at home there. */
#define HOME_TRIES 3
/* So many times person_failures are all that the strange networks together
 * have for a person. */
#define STRANGERS_TIMES 10

struct guard {
	const struct portero_host *host; /* borrowed */
	int64_t network_failures, person_failures; /* PORTERO_UNLIMITED */
	struct memory memory;
};

static const struct portero_option options[] = {
	{ .name = "network_failures",
	    .type = PORTERO_OPT_COUNT,
	    .preset = "30",
	    .help = "Different wrong logins from one network (/24 of IPv4, "
		    "/48 of IPv6) in the window. Then only people who have "
		    "logged in from there before may try.",
	    .min = 1,
	    .max = 1000000 },
	{ .name = "person_failures",
	    .type = PORTERO_OPT_COUNT,
	    .preset = "10",
	    .help = "Different wrong passwords of one person in the window: "
		    "from one network, where it has to wait then; and from all "
		    "networks it has not logged in from before, each of which "
		    "has a single try for it then, and after ten times as many "
		    "none.",
	    .min = 1,
	    .max = 1000000 },
	{ .name = "per",
	    .type = PORTERO_OPT_DURATION,
	    .preset = "1h",
	    .help = "Length of the window.",
	    .min = 1,
	    .max = PORTERO_MAX_WINDOW_S },
	{ .name = "remember",
	    .type = PORTERO_OPT_DURATION,
	    .preset = "30d",
	    .help = "How long a network counts as one that a person logs in "
		    "from.",
	    .min = 1,
	    .max = 366 * 86400 },
	{ .name = "entries",
	    .type = PORTERO_OPT_INT,
	    .preset = "65536",
	    .help = "Room to remember so many failures, and as many people and "
		    "their networks; about 200 bytes for both. While a failure "
		    "finds no room, people can log in only from networks they "
		    "have logged in from before.",
	    .min = 1024,
	    .max = 1 << 24 },
	{ .name = NULL },
};

/* ---- life --------------------------------------------------------------- */

static size_t
guard_share_size(const struct portero_host *host,
    const struct portero_conf *conf)
{
	return memory_size(host, (uint32_t)host->get_int(conf, "entries"));
}

static void
guard_close(void *ctx)
{
	struct guard *g = ctx;

	memory_close(&g->memory);
	free(g);
}

static int
guard_open(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state,
    void **ctx, char err[256])
{
	struct guard *g = calloc(1, sizeof *g);

	if (g == NULL) {
		snprintf(err, 256, "out of memory");
		return -1;
	}
	g->host = host;
	g->network_failures = host->get_int(conf, "network_failures");
	g->person_failures = host->get_int(conf, "person_failures");
	g->memory.window_s = (uint32_t)host->get_int(conf, "per");
	g->memory.home_s = (uint32_t)host->get_int(conf, "remember");
	if (state != PORTERO_SHARE_NONE &&
	    memory_open(&g->memory, host,
		(uint32_t)host->get_int(conf, "entries"), share, share_bytes,
		state, err) == -1) {
		guard_close(g);
		return -1;
	}
	*ctx = g;
	return 0;
}

/* ---- charges ------------------------------------------------------------ */

static void
charge(const struct guard *g, struct portero_answer *answer,
    enum portero_scope scope, int64_t amount, int64_t max)
{
	struct portero_charge *c;

	if (amount == 0 || max == PORTERO_UNLIMITED)
		return;
	c = &answer->charges[answer->ncharges++];
	*c = (struct portero_charge){ .size = sizeof *c,
		.scope = scope,
		.unit = PORTERO_MESSAGES,
		.amount = amount,
		.max = max,
		.window_s = g->memory.window_s };
	snprintf(c->limit, sizeof c->limit, "guard.%s",
	    scope == PORTERO_NETWORK ? "network" : "person");
}

/* ---- before ------------------------------------------------------------- */

static enum portero_verdict
refuse(struct portero_answer *answer, const char *reason, int64_t wait_s)
{
	long minutes = (long)(wait_s + 59) / 60;

	portero_reply_set(&answer->reply, 454, "4.7.0",
	    "Too many wrong passwords. You can try again in %ld minute%s.",
	    minutes, minutes == 1 ? "" : "s");
	snprintf(answer->reply.reason, sizeof answer->reply.reason, "%s",
	    reason);
	return PORTERO_DENY;
}

static bool
is_over(const struct failures *f, int64_t max)
{
	return max != PORTERO_UNLIMITED && f->count >= max;
}

/* Whom the counters count together: not those who share an exempt network. */
static struct portero_str
place_of(const struct portero_facts *f)
{
	return f->client_exempt ? f->client_address : f->client_network;
}

/* How many failures from strange networks hold this one up. */
static int64_t
strangers_max(const struct guard *g, const struct failures *pair)
{
	if (g->person_failures == PORTERO_UNLIMITED)
		return PORTERO_UNLIMITED;
	return pair->count > 0 ? g->person_failures
			       : g->person_failures * STRANGERS_TIMES;
}

static enum portero_verdict
before(struct guard *g, const struct portero_facts *f,
    struct portero_answer *answer)
{
	struct portero_str place = place_of(f);
	struct failures pair, name, network;
	int64_t now_s = g->host->now_us(g->host) / 1000000;

	if (memory_look(&g->memory, FAILURES_OF_PAIR, f->login, place,
		&pair) == -1 ||
	    memory_look(&g->memory, FAILURES_OF_NAME, f->login, place,
		&name) == -1 ||
	    memory_look(&g->memory, FAILURES_OF_NETWORK, f->login, place,
		&network) == -1)
		return PORTERO_DEFER;
	if (is_over(&pair, g->person_failures))
		return refuse(answer, "guesses", pair.until_s - now_s);
	if (memory_is_home(&g->memory, f->login, place))
		return pair.count >= HOME_TRIES && !f->client_exempt &&
			is_over(&network, g->network_failures)
		    ? refuse(answer, "guesses_network", pair.until_s - now_s)
		    : PORTERO_NEXT;
	if (memory_is_full(&g->memory))
		return refuse(answer, "guesses_network", 60);
	if (is_over(&name, strangers_max(g, &pair)))
		return refuse(answer, "guesses_person", name.until_s - now_s);
	if (!f->client_exempt && is_over(&network, g->network_failures))
		return refuse(answer, "guesses_network",
		    network.until_s - now_s);
	if (!f->store_is_remote)
		return PORTERO_NEXT;
	charge(g, answer, PORTERO_PERSON, 1, strangers_max(g, &pair));
	if (!f->client_exempt)
		charge(g, answer, PORTERO_NETWORK, 1, g->network_failures);
	return PORTERO_NEXT;
}

/* ---- afterwards --------------------------------------------------------- */

static int64_t
lump(const struct guard *g, const struct failures *network)
{
	if (g->network_failures < 4 * NETWORK_LUMP)
		return 1;
	return network->count % NETWORK_LUMP == 0 ? NETWORK_LUMP : 0;
}

static void
after_failure(struct guard *g, const struct portero_facts *f,
    struct portero_answer *answer)
{
	struct portero_str place = place_of(f);
	bool is_home = memory_is_home(&g->memory, f->login, place);
	struct failures now;

	if (!memory_count(&g->memory, FAILURES_OF_PAIR, f->login, place,
		f->password_tag, &now))
		return; /* the same again */
	if (!is_home) {
		memory_count(&g->memory, FAILURES_OF_NAME, f->login, place, 0,
		    &now);
		/* in the store only for those who exist: they are so many */
		if (f->store_is_remote && f->attempt == PORTERO_ATTEMPT_WRONG)
			charge(g, answer, PORTERO_PERSON, 1,
			    g->person_failures);
	}
	if (f->client_exempt)
		return;
	memory_count(&g->memory, FAILURES_OF_NETWORK, f->login, place, 0, &now);
	if (f->store_is_remote)
		charge(g, answer, PORTERO_NETWORK, lump(g, &now),
		    g->network_failures);
}

static enum portero_verdict
guard_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	struct guard *g = ctx;

	switch (facts->attempt) {
	case PORTERO_ATTEMPT_BEGINS:
		return before(g, facts, answer);
	case PORTERO_ATTEMPT_RIGHT:
		memory_set_home(&g->memory, facts->login, place_of(facts));
		memory_forget(&g->memory, FAILURES_OF_PAIR, facts->login,
		    place_of(facts));
		break;
	default:
		after_failure(g, facts, answer);
	}
	return PORTERO_NEXT;
}

static size_t
guard_spell(void *ctx, struct portero_str typed, char *to, size_t room)
{
	(void)ctx;
	return spelling_of(typed, to, room);
}

static int
guard_forget(void *ctx, struct portero_str login)
{
	struct guard *g = ctx;

	return memory_forgive(&g->memory, login);
}

static uint32_t
guard_scopes(const void *ctx)
{
	(void)ctx;
	return 1u << PORTERO_PERSON | 1u << PORTERO_NETWORK;
}

static const struct portero_policy policy = {
	.size = sizeof policy,
	.stages = PORTERO_LOGIN,
	.judge = guard_judge,
	.scopes = guard_scopes,
	.spell = guard_spell,
	.forget = guard_forget,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "policy_guard",
	.version = "1",
	.options = options,
	.share_size = guard_share_size,
	.open = guard_open,
	.close = guard_close,
	.policy = &policy,
};
