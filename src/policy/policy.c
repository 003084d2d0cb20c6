/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A worker of the auth or the policy pool: one question at a time, start to
 * end, and nothing kept between two of them. It reads secrets while it still
 * may, gives its rights up, and only then runs any plugin's code.
 *
 * What must hold: the scoreboard says what the worker is at from the moment it
 * has a question, and a record that may hold a password is wiped before the
 * next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "config/start.h"
#include "ipc/board.h"
#include "ipc/lifeline.h"
#include "ipc/log_care.h"
#include "ipc/question.h"
#include "ipc/role.h"
#include "ipc/shared.h"
#include "policy/attempts.h"
#include "policy/chain.h"
#include "policy/login.h"
#include "policy/login_cache.h"
#include "policy/plugin.h"
#include "policy/queue.h"
#include "policy/secrets.h"
#include "policy/store.h"

#define RESERVED_SPARE_S 3600 /* a reservation outlives its message by this */
#define TEND_MS 1000 /* no slice of it is near that */
#define SETTLED_SPARE_S 60    /* and a settle the questions under way */

struct worker {
	const struct role_args *args;
	struct config *config;
	struct shared *shared;
	struct board board;
	struct board_score *score; /* this worker's */
	struct secrets *secrets;   /* until they are in the config */
	char *folder;              /* owned; the plugins' */
	struct plugin_set *plugins;
	struct login *login; /* auth pool */
	struct login_cache *login_cache; /* auth pool */
	struct chain *chain; /* policy pool */
	struct attempts *attempts; /* policy pool */
	struct record_scratch *scratch;
	bool drains; /* leaves when the queue is empty */
	struct record_header header; /* of the question in hand */
	size_t len;
	uint8_t record[RECORD_MAX];
	uint8_t answer[RECORD_MAX];
	uint8_t order[LIFELINE_MAX + 32];
};

/* ---- answering ---------------------------------------------------------- */

static void
send_answer(struct worker *w, size_t len)
{
	const struct record_header *h = &w->header;

	if (len > 0 && send(ROLE_FD_FIRST + h->asker, w->answer, len,
			   MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
		return;
	/* The asker has its own deadline. */
	log_say(LOG_LEVEL_WARNING, "ipc",
	    "type %u for asker %u: %s", h->type, h->asker,
	    len == 0 ? "too long" : strerror(errno));
}

static void
send_settled(struct worker *w)
{
	struct lifeline_record r = { .type = REPORT_SETTLED,
		.id = w->header.id,
		.fd = -1 };

	lifeline_send(ROLE_FD_LIFELINE, &r); /* else it asks again */
}

static int
do_login(struct worker *w)
{
	struct login_question q;
	struct login_answer a;

	if (login_question_decode(w->record, w->len, &q) == -1)
		return -1;
	host_begin(w->header.deadline_ns, q.session_id);
	login_ask(w->login, &q, &a);
	send_answer(w, login_answer_encode(w->answer, sizeof w->answer,
			   &w->header, &a));
	return 0;
}

static int
do_owns(struct worker *w)
{
	struct owns_question q;
	struct owns_answer a;

	if (owns_question_decode(w->record, w->len, &q) == -1)
		return -1;
	host_begin(w->header.deadline_ns, q.session_id);
	login_owns(w->login, &q, &a);
	send_answer(w, owns_answer_encode(w->answer, sizeof w->answer,
			   &w->header, &a));
	return 0;
}

static int
do_judge(struct worker *w)
{
	struct judge_question q;
	struct judge_answer a;

	if (judge_question_decode(w->record, w->len, &q, w->scratch) == -1)
		return -1;
	host_begin(w->header.deadline_ns, q.session_id);
	chain_judge(w->chain, &q, w->header.deadline_ns, &a);
	send_answer(w, judge_answer_encode(w->answer, sizeof w->answer,
			   &w->header, &a));
	chain_afterwards(w->chain, &q, &a);
	return 0;
}

static int
do_settle(struct worker *w)
{
	struct settle_question q;
	struct settle_answer a;

	if (settle_question_decode(w->record, w->len, &q, w->scratch) == -1)
		return -1;
	host_begin(w->header.deadline_ns, STR(""));
	chain_settle(w->chain, &q, &a);
	if (w->header.asker != ASKER_MASTER)
		send_answer(w, settle_answer_encode(w->answer,
				   sizeof w->answer, &w->header, &a));
	else if (a.nsettled == q.nsettles)
		send_settled(w);
	chain_settle_afterwards(w->chain, &q);
	return 0;
}

static int
do_store(struct worker *w)
{
	struct store_question q;
	struct store_answer a;

	if (store_question_decode(w->record, w->len, &q) == -1)
		return -1;
	host_begin(w->header.deadline_ns, STR(""));
	chain_store(w->chain, &q, &a);
	if (q.ask == STORE_RESET && !attempts_forget(w->attempts, q.key) &&
	    !a.failed) {
		a.failed = true;
		a.error = STR("a policy could not forget it");
	}
	send_answer(w, store_answer_encode(w->answer, sizeof w->answer,
			   &w->header, &a));
	return 0;
}

static int
do_attempt(struct worker *w)
{
	struct attempt_question q;
	struct attempt_answer a;

	if (attempt_question_decode(w->record, w->len, &q) == -1)
		return -1;
	host_begin(w->header.deadline_ns, q.session_id);
	attempts_judge(w->attempts, &q, &a);
	send_answer(w, attempt_answer_encode(w->answer, sizeof w->answer,
			   &w->header, &a));
	attempts_afterwards(w->attempts, &q);
	return 0;
}

static int
do_forget(struct worker *w)
{
	struct forget_question q;
	struct forget_answer a;

	if (forget_question_decode(w->record, w->len, &q) == -1)
		return -1;
	login_forget(w->login, &q, &a);
	send_answer(w, forget_answer_encode(w->answer, sizeof w->answer,
			   &w->header, &a));
	return 0;
}

/* ---- one record --------------------------------------------------------- */

static void
score_busy(struct worker *w)
{
	w->score->started_ns = clock_mono_ns();
	atomic_store_explicit(&w->score->busy, 1, memory_order_release);
}

static void
score_idle(struct worker *w)
{
	memset(w->score->question, 0, sizeof w->score->question);
	atomic_store_explicit(&w->score->busy, 0, memory_order_release);
}

/* -1: not a question for this pool, or broken. */
static int
do_question(struct worker *w)
{
	bool is_auth = w->args->role == ROLE_AUTH;

	switch ((enum record_type)w->header.type) {
	case RECORD_LOGIN:
		return is_auth ? do_login(w) : -1;
	case RECORD_OWNS:
		return is_auth ? do_owns(w) : -1;
	case RECORD_FORGET:
		return is_auth ? do_forget(w) : -1;
	case RECORD_JUDGE:
		return is_auth ? -1 : do_judge(w);
	case RECORD_SETTLE:
		return is_auth ? -1 : do_settle(w);
	case RECORD_STORE:
		return is_auth ? -1 : do_store(w);
	case RECORD_ATTEMPT:
		return is_auth ? -1 : do_attempt(w);
	default:
		return -1;
	}
}

static void
on_record(struct worker *w)
{
	struct record_header *h = &w->header;

	if (w->len > sizeof w->record ||
	    record_header_decode(w->record, w->len, h) == -1 ||
	    (h->asker >= w->args->naskers &&
		(h->asker != ASKER_MASTER || h->type != RECORD_SETTLE))) {
		log_say(LOG_LEVEL_ERROR, "ipc",
		    "%zu bytes on the queue: dropped", w->len);
		return;
	}
	if (clock_mono_ns() >= h->deadline_ns)
		return; /* the asker has answered for us */
	score_busy(w);
	if (do_question(w) == -1) {
		log_say(LOG_LEVEL_ERROR, "ipc",
		    "question of type %u: deferred", h->type);
		if (h->asker == ASKER_MASTER)
			send_settled(w); /* it would ask for ever */
		else
			send_answer(w, record_defer_encode(w->answer,
					   sizeof w->answer, h, "broken"));
	}
	host_end();
	atomic_fetch_add_explicit(&w->score->answered, 1,
	    memory_order_relaxed);
}

/* Wipes what the record may have held. */
static void
take_record(struct worker *w)
{
	on_record(w);
	score_idle(w);
	explicit_bzero(w->record,
	    w->len < sizeof w->record ? w->len : sizeof w->record);
}

/* ---- orders ------------------------------------------------------------- */

/* false: end now. */
static bool
obey(struct worker *w, const struct lifeline_record *r)
{
	switch (r->type) {
	case ORDER_STOP:
		return false;
	case ORDER_DRAIN:
		w->drains = true;
		return true;
	case ORDER_LOG:
		if (r->fd != -1)
			log_replace(r->fd);
		return true;
	default:
		if (r->fd != -1)
			close(r->fd);
		return true;
	}
}

/* Without a master the questions of those who drain are still answered: the
 * queue closes when the last of them has gone. */
static bool
take_orders(struct worker *w)
{
	struct lifeline_record r;

	while (lifeline_receive(ROLE_FD_LIFELINE, &r, w->order,
		   sizeof w->order) == 1)
		if (!obey(w, &r))
			return false;
	return true;
}

/* What has to be done beside questions. To the master it is a question of
 * its own, so that it ends whoever hangs in it. */
static void
tend(struct worker *w)
{
	const struct record_header h = { .asker = ASKER_MASTER,
		.deadline_ns = clock_mono_ns() + TEND_MS * CLOCK_NS_PER_MS };
	const struct settle_question q = { 0 };
	int64_t next_ns;

	if (w->chain == NULL || !chain_needs_tending(w->chain))
		return;
	if (settle_question_encode(w->record, sizeof w->record, &h, &q) > 0)
		memcpy(w->score->question, w->record,
		    sizeof w->score->question);
	score_busy(w);
	next_ns = chain_tend(w->chain);
	score_idle(w);
	if (next_ns != 0)
		host_wake_at(next_ns);
}

static void
loop(struct worker *w)
{
	for (;;) {
		tend(w);
		switch (queue_next(w->record, sizeof w->record, !w->drains,
		    &w->len)) {
		case QUEUE_RECORD:
			take_record(w);
			break;
		case QUEUE_ORDER:
			if (!take_orders(w))
				return;
			break;
		case QUEUE_WOKEN:
			break;
		case QUEUE_EMPTY:
		case QUEUE_CLOSED:
			return;
		}
		log_flush();
		log_care(w->shared, w->args->row);
	}
}

/* ---- start -------------------------------------------------------------- */

static unsigned
own_kinds(const struct worker *w)
{
	if (w->args->role == ROLE_AUTH)
		return PLUGIN_KIND(CONFIG_AUTH);
	return PLUGIN_KIND(CONFIG_STORE) | PLUGIN_KIND(CONFIG_POLICY);
}

static int
map_memory(struct worker *w, struct error *err)
{
	const struct role_args *args = w->args;
	unsigned n;

	w->shared = shared_map(ROLE_FD_SHARED, err);
	if (w->shared == NULL ||
	    board_map(&w->board, ROLE_FD_BOARD, err) == -1)
		return -1;
	n = args->role == ROLE_AUTH ? w->board.nauth : w->board.npolicy;
	if (args->slot >= n)
		return error_set(err, ERROR_INTERNAL,
		    "slot %u is not on the board", args->slot);
	w->score = (args->role == ROLE_AUTH ? w->board.auth :
					      w->board.policy) +
	    args->slot;
	w->score->pid = (uint32_t)getpid();
	return 0;
}

/* From here on code of plugins runs. */
static int
open_plugins(struct worker *w, struct error *err)
{
	struct plugin_shares shares = {
		.first_fd = ROLE_FD_FIRST + (int)w->args->naskers,
		.mask = w->args->share_mask
	};
	struct config_resolver resolver;

	setenv("LDAPNOINIT", "1", 1); /* no ldaprc of whoever started us */
	memcpy(shares.key, w->shared->key, sizeof shares.key);
	w->folder = xstrdup(w->config->plugin_dir);
	w->plugins = plugin_set_new(w->folder, own_kinds(w));
	resolver = plugin_set_resolver(w->plugins);
	config_free(&w->config); /* it did not know the plugins' options */
	w->config = start_config(&resolver, err);
	if (w->config == NULL ||
	    secrets_put_all(w->secrets, w->config, w->plugins, err) == -1)
		return -1;
	secrets_free(&w->secrets);
	return plugin_set_open(w->plugins, w->config, &shares, err);
}

/* Only if it is of use: it takes its memory. */
static int
open_login_cache(struct worker *w, struct error *err)
{
	if (!login_wants_cache(w->login))
		return 0;
	w->login_cache = login_cache_open(ROLE_FD_LOGIN_CACHE, w->shared->key,
	    err);
	if (w->login_cache == NULL)
		return -1;
	login_use_cache(w->login, w->login_cache);
	return 0;
}

static int
build(struct worker *w, struct error *err)
{
	struct plugin *plugins[MAX_MODULES];
	size_t n = plugin_set_count(w->plugins);
	const struct config *c = w->config;
	const struct chain_settings settings = { .hostname = c->hostname,
		.delimiters = c->sub_address_delimiters,
		.max_recipients = c->max_recipients,
		.lifetime_s = (uint32_t)((c->data_timeout_ms +
					     c->dot_timeout_ms) /
				      1000) +
		    RESERVED_SPARE_S,
		.tombstone_s = (uint32_t)(c->policy_deadline_ms / 1000) +
		    SETTLED_SPARE_S,
		.shared = w->shared,
		.row = w->args->row };

	for (size_t i = 0; i < n; i++) {
		plugins[i] = plugin_set_at(w->plugins, i);
		if (plugins[i]->store != NULL)
			store_start(plugins[i]->store, w->shared,
			    w->args->row, c->policy_deadline_ms);
	}
	w->scratch = record_scratch_new();
	if (w->args->role == ROLE_AUTH) {
		w->login = login_new(plugins, n, w->shared, w->args->row,
		    c->sub_address_delimiters);
		return open_login_cache(w, err);
	}
	w->chain = chain_new(plugins, n, &settings);
	w->attempts = attempts_new(plugins, n, &settings);
	atomic_store(&w->score->hears, attempts_are_watched(w->attempts) ?
		BOARD_HEARS_LOGINS :
		BOARD_HEARS_NOTHING);
	return 0;
}

static int
start(struct worker *w, struct error *err)
{
	const struct role_args *args = w->args;
	bool is_auth = args->role == ROLE_AUTH;
	const struct config *c;
	uint32_t bits;

	if (map_memory(w, err) == -1)
		return -1;
	c = w->config = start_config(NULL, err);
	if (c == NULL)
		return -1;
	start_log(c, is_auth ? "portero-auth" : "portero-policy");
	w->secrets = secrets_read(c, own_kinds(w));
	if (start_become(is_auth ? c->user_auth : c->user_policy, NULL, &bits,
		err) == -1 ||
	    host_start(err) == -1 || open_plugins(w, err) == -1 ||
	    build(w, err) == -1)
		return -1;
	if (queue_open(is_auth ? ROLE_FD_AUTH_QUEUE : ROLE_FD_POLICY_QUEUE,
		ROLE_FD_LIFELINE, w->score->question,
		sizeof w->score->question, err) == -1)
		return -1;
	if (!is_auth && args->slot > 0 && !chain_waits(w->chain))
		queue_rest(w->board.calls);
	return 0;
}

static void
worker_free(struct worker **w)
{
	record_scratch_free(&(*w)->scratch);
	login_free(&(*w)->login);
	login_cache_free(&(*w)->login_cache);
	chain_free(&(*w)->chain);
	attempts_free(&(*w)->attempts);
	plugin_set_free(&(*w)->plugins);
	secrets_free(&(*w)->secrets);
	config_free(&(*w)->config);
	board_unmap(&(*w)->board);
	free((*w)->folder);
	free(*w);
	*w = NULL;
}

int
policy_main(const struct role_args *a)
{
	struct worker *w = xcalloc(1, sizeof *w);
	const struct lifeline_record ready = { .type = REPORT_READY, .fd = -1 };
	struct error err;
	int status = 0;

	sandbox_quiet();
	w->args = a;
	if (start(w, &err) == 0) {
		lifeline_send(ROLE_FD_LIFELINE, &ready);
		loop(w);
	} else {
		log_say(LOG_LEVEL_ERROR, "start", "%s worker: %s",
		    role_name(a->role), err.text);
		status = 1;
	}
	log_flush();
	worker_free(&w);
	return status;
}
