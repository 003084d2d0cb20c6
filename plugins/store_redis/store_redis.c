/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A store that any number of hosts share.
 *
 * What must always hold: whoever gives an answer, the time for it is bounded;
 * what is not an answer is a failure of the operations it was for. All
 * operations may be sent twice: a take is known by its transaction.
 */
#include <portero/plugin.h>

#include <stdlib.h>
#include <string.h>

#include "../common/dial.h"
#include "answer.h"
#include "call.h"
#include "servers.h"
#include "status.h"

#define MAX_CALLS 256 /* sent before the first answer is read */
#define COMPLAIN_EVERY_MS 60000

struct store {
	const struct portero_host *host; /* borrowed */
	struct settings *settings;       /* owned */
	struct servers *servers;         /* owned; NULL: check role */
	char trouble[WHY_LEN];           /* why the store is away */
	int64_t complained_at_ms;
};

/* Something is wrong with one call; but not with every message. */
static void
complain(struct store *s, const char *what)
{
	int64_t now_ms = dial_now_ms();

	if (s->complained_at_ms != 0 &&
	    now_ms - s->complained_at_ms < COMPLAIN_EVERY_MS)
		return;
	s->complained_at_ms = now_ms;
	s->host->log(s->host, PORTERO_LOG_ERROR, "%s", what);
}

/* Nobody waits longer for the store. */
static int64_t
deadline(const struct store *s)
{
	return dial_now_ms() + s->settings->connect_timeout_ms +
	    s->settings->command_timeout_ms;
}

/* ---- one exchange -------------------------------------------------------- */

enum exchange {
	EXCHANGED = 1, /* all are answered, if some with a failure */
	UNKNOWN,       /* the server does not know the script */
	LOST,          /* the connection is lost */
	REFUSED,       /* the server cannot do that now */
	USELESS        /* the store is of no use now */
};

/* The operations in hand. The first `done` are answered. */
struct work {
	struct portero_op *ops;
	size_t n, done;
	size_t maybe; /* from here on an earlier exchange may have done them */
	bool sent;    /* some of them, and perhaps not answered */
};

static void
blame(struct store *s, const char *what)
{
	snprintf(s->trouble, WHY_LEN, "%.79s: %.110s",
	    servers_where(s->servers), what);
}

static void
blame_reply(struct store *s, const redisReply *r)
{
	blame(s, r->type == REDIS_REPLY_ERROR ?
		r->str : "its answer is none to what was asked");
}

/* It has certainly not been done. */
static void
op_fail(struct portero_op *op)
{
	if (op->kind == PORTERO_OP_TAKE || op->kind == PORTERO_OP_CHARGE)
		op->result = PORTERO_OP_FAILED;
}

/* Reads the answer to the next operation. */
static enum exchange
read_next(struct store *s, struct connection *c, struct work *w,
    int64_t until_ms)
{
	struct portero_op *op = &w->ops[w->done];
	redisReply *r = connection_reply(c, until_ms);
	enum exchange result = EXCHANGED;
	enum answer answer;
	int64_t nalerts = 0;

	if (r == NULL) {
		blame(s, connection_why(c));
		return connection_is_late(c) ? USELESS : LOST;
	}
	answer = answer_read(r, op, &nalerts);
	if (answer != ANSWER_DONE)
		blame_reply(s, r);
	switch (answer) {
	case ANSWER_DONE:
		w->done++;
		break;
	case ANSWER_NO_SCRIPT:
		result = UNKNOWN;
		break;
	case ANSWER_FAILED:
		complain(s, s->trouble);
		w->done++;
		break;
	case ANSWER_REFUSED:
		if (w->done < w->maybe)
			op_fail(op);
		result = REFUSED;
		break;
	case ANSWER_NONSENSE:
		result = USELESS;
		break;
	}
	if (nalerts > 0)
		complain(s, "the store holds values that are not Portero's; "
			    "they count as if they were not there");
	freeReplyObject(r);
	return result;
}

/* Sends what is not answered in one go, and reads the answers. with_text: so
 * that the server learns the script. */
static enum exchange
exchange(struct store *s, struct connection *c, struct work *w, bool with_text,
    int64_t until_ms)
{
	size_t first = w->done;
	enum exchange result = EXCHANGED;

	for (size_t i = first; i < w->n; i++) {
		w->ops[i].result = PORTERO_OP_NONE;
		call_add(c, s->settings->prefix, &w->ops[i],
		    with_text && i == first);
	}
	while (w->done < w->n && result == EXCHANGED)
		result = read_next(s, c, w, until_ms);
	if (result != UNKNOWN)
		return result;
	/* What comes behind it is asked again: all may be done twice. */
	for (size_t i = w->done + 1; i < w->n; i++) {
		redisReply *r = connection_reply(c, until_ms);

		if (r == NULL)
			return connection_is_late(c) ? USELESS : LOST;
		freeReplyObject(r);
	}
	return UNKNOWN;
}

/* What was sent and is not answered may have been done; not the one that the
 * server refused, or did not know the script of. */
static void
note_maybe(struct work *w, enum exchange result)
{
	size_t from = result == REFUSED || result == UNKNOWN ? w->done + 1 :
							       w->done;

	if (from < w->maybe)
		w->maybe = from;
}

/* Asks until all is answered, once more on another connection if the kept one
 * turns out to be dead or to lead to a server that is the primary no more. 0,
 * or -1: the store is away. */
static int
work_off(struct store *s, struct work *w)
{
	int64_t until_ms = deadline(s);
	enum exchange result = EXCHANGED;
	bool with_text = false, is_new;
	struct connection *c;

	while (w->done < w->n) {
		int64_t command_ms =
		    dial_now_ms() + s->settings->command_timeout_ms;

		c = servers_take(s->servers, until_ms, &is_new, s->trouble);
		if (c == NULL)
			return -1;
		w->sent = true;
		result = exchange(s, c, w, with_text,
		    command_ms < until_ms ? command_ms : until_ms);
		note_maybe(w, result);
		if ((result == LOST || result == REFUSED) && !is_new)
			servers_drop(s->servers);
		else if (result == UNKNOWN && !with_text)
			with_text = true;
		else if (result != EXCHANGED)
			break;
	}
	if (w->done == w->n)
		return 0;
	servers_drop(s->servers);
	return -1;
}

/* ---- walks --------------------------------------------------------------- */

/* A report within a walk: whose it is. */
struct stop {
	const struct portero_op *walk; /* borrowed */
	char id[CALL_ID_MAX];
	size_t len;
};

static void
on_row(void *arg, const struct portero_row *row)
{
	const struct stop *stop = arg;
	struct portero_row copy = *row;

	copy.key = (struct portero_str){ stop->id, stop->len };
	stop->walk->row(stop->walk->row_arg, &copy);
}

/* Some keys. NULL: the store is away. */
static redisReply *
scan(struct store *s, const struct portero_op *op)
{
	int64_t until_ms = deadline(s);
	struct connection *c;
	redisReply *r;
	bool is_new;

	for (;;) {
		c = servers_take(s->servers, until_ms, &is_new, s->trouble);
		if (c == NULL)
			return NULL;
		call_add_scan(c, s->settings->prefix, op);
		r = connection_reply(c, until_ms);
		if (r != NULL)
			return r;
		blame(s, connection_why(c));
		is_new = is_new || connection_is_late(c);
		servers_drop(s->servers);
		if (is_new)
			return NULL;
	}
}

/* Reports all that the keys name. */
static int
report_all(struct store *s, const struct portero_op *walk,
    const redisReply *keys)
{
	struct portero_op *ops = calloc(keys->elements + 1, sizeof *ops);
	struct stop *stops = calloc(keys->elements + 1, sizeof *stops);
	struct work w = { .ops = ops, .maybe = SIZE_MAX };
	int ret = -1;

	snprintf(s->trouble, WHY_LEN, "out of memory");
	if (ops == NULL || stops == NULL)
		goto out;
	for (size_t i = 0; i < keys->elements; i++) {
		struct stop *stop = &stops[w.n];
		const struct portero_str key = { keys->element[i]->str,
			keys->element[i]->len };

		if (!call_read_key(
			s->settings->prefix, walk, key, stop->id, &stop->len))
			continue;
		stop->walk = walk;
		ops[w.n++] = (struct portero_op){ .size = sizeof *ops,
			.kind = PORTERO_OP_REPORT,
			.scope = walk->scope,
			.key = { stop->id, stop->len },
			.row = on_row,
			.row_arg = stop };
	}
	ret = work_off(s, &w);
out:
	free(ops);
	free(stops);
	return ret;
}

static int
walk(struct store *s, struct portero_op *op)
{
	redisReply *r = scan(s, op);
	const redisReply *keys;
	uint64_t cursor;
	int ret = -1;

	if (r == NULL)
		return -1;
	keys = answer_read_scan(r, &cursor);
	if (keys != NULL) {
		ret = report_all(s, op, keys);
	} else {
		blame_reply(s, r);
		servers_drop(s->servers);
	}
	freeReplyObject(r);
	if (ret == -1)
		return -1;
	op->cursor = cursor;
	op->result = PORTERO_OP_DONE;
	return 0;
}

/* ---- operations ---------------------------------------------------------- */

/* How many from the first can be sent together. */
static size_t
count_calls(const struct portero_op *ops, size_t n)
{
	size_t i = 0;

	while (i < n && i < MAX_CALLS && ops[i].kind != PORTERO_OP_WALK &&
	       call_fault(&ops[i]) == NULL)
		i++;
	return i;
}

static int
apply_some(struct store *s, struct portero_op *ops, size_t n, size_t *done)
{
	struct work w = { .ops = ops,
		.n = count_calls(ops, n),
		.maybe = SIZE_MAX };
	const char *fault = call_fault(ops);
	int ret;

	*done = 1;
	if (fault != NULL) {
		complain(s, fault);
		op_fail(ops);
		return 0;
	}
	if (ops->kind == PORTERO_OP_WALK)
		return walk(s, ops);
	ret = work_off(s, &w);
	*done = w.sent ? w.n : 0;
	return ret;
}

static int
store_apply(void *ctx, struct portero_op *ops, size_t n)
{
	struct store *s = ctx;
	size_t at = 0, done;
	int ret = 0;

	for (size_t i = 0; i < n; i++)
		ops[i].result = PORTERO_OP_NONE;
	for (; at < n && ret == 0; at += done)
		ret = apply_some(s, ops + at, n - at, &done);
	/* What was never sent is certainly not done. */
	for (; at < n; at++)
		op_fail(&ops[at]);
	return ret;
}

/* ---- status -------------------------------------------------------------- */

static int
store_status(void *ctx,
    void (*row)(void *arg, const char *name, const char *value), void *arg)
{
	const struct status_reader to = { row, arg };
	struct store *s = ctx;
	int64_t until_ms = deadline(s);
	struct connection *c;
	bool is_new;

	c = servers_take(s->servers, until_ms, &is_new, s->trouble);
	if (c == NULL)
		return -1;
	row(arg, "server", servers_where(s->servers));
	if (status_read(c, s->settings->prefix, until_ms, &to))
		return 0;
	blame(s, connection_why(c));
	servers_drop(s->servers);
	return -1;
}

static void
log_warning(void *arg, const char *name, const char *value)
{
	const struct store *s = arg;

	if (strcmp(name, "warning") == 0)
		s->host->log(s->host, PORTERO_LOG_WARNING, "%s", value);
}

/* What the first of the workers sees when it starts. */
static void
look_around(struct store *s)
{
	const struct status_reader to = { log_warning, s };
	int64_t until_ms = deadline(s);
	struct connection *c;
	bool is_new;

	c = servers_take(s->servers, until_ms, &is_new, s->trouble);
	if (c == NULL)
		s->host->log(s->host, PORTERO_LOG_ERROR,
		    "the store is away: %s", s->trouble);
	else if (!status_warn(c, until_ms, &to))
		servers_drop(s->servers);
}

static const char *
store_trouble(void *ctx)
{
	const struct store *s = ctx;

	return s->trouble;
}

/* ---- the plugin ---------------------------------------------------------- */

/* Nothing is kept there: it tells who is the first. */
static size_t
store_share_size(const struct portero_host *host,
    const struct portero_conf *conf)
{
	(void)host;
	(void)conf;
	return sizeof(uint64_t);
}

static void
store_close(void *ctx)
{
	struct store *s = ctx;

	servers_free(&s->servers);
	settings_free(&s->settings);
	free(s);
}

static int
store_open(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state, void **ctx,
    char err[256])
{
	struct store *s = calloc(1, sizeof *s);

	(void)share;
	(void)share_bytes;
	snprintf(err, 256, "out of memory");
	if (s == NULL)
		return -1;
	s->host = host;
	s->settings = settings_new(host, conf, err);
	if (s->settings != NULL && state != PORTERO_SHARE_NONE)
		s->servers = servers_new(host, s->settings);
	if (s->settings == NULL ||
	    (state != PORTERO_SHARE_NONE && s->servers == NULL)) {
		store_close(s);
		return -1;
	}
	if (state == PORTERO_SHARE_NEW || state == PORTERO_SHARE_KEPT)
		look_around(s);
	*ctx = s;
	return 0;
}

static const struct portero_store store = {
	.size = sizeof(struct portero_store),
	.apply = store_apply,
	.remote = true,
	.trouble = store_trouble,
	.status = store_status,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof(struct portero_plugin),
	.name = "store_redis",
	.version = "1",
	.options = settings_options,
	.share_size = store_share_size,
	.open = store_open,
	.close = store_close,
	.store = &store,
};
