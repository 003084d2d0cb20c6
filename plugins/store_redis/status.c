/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A question that Redis does not allow (ACL) leaves out what it was for.
 */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "call.h"
#include "script.h"

#define PINGS 5
#define PEOPLE_MAX 20 /* whose memory is looked at */

struct look {
	struct connection *connection; /* borrowed */
	int64_t until_ms;
	const struct status_reader *to; /* borrowed */
};

static void __attribute__((format(printf, 3, 4)))
tell(const struct look *l, const char *name, const char *format, ...)
{
	char value[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(value, sizeof value, format, ap);
	va_end(ap);
	l->to->row(l->to->arg, name, value);
}

/* The answer to some words, the caller's. NULL: the connection failed. */
static redisReply *
ask(const struct look *l, const char *const *words, size_t n)
{
	struct portero_str strings[8];

	for (size_t i = 0; i < n; i++)
		strings[i] = (struct portero_str){ words[i], strlen(words[i]) };
	connection_add(l->connection, command_of(strings, n));
	return connection_reply(l->connection, l->until_ms);
}

/* ---- settings ------------------------------------------------------------ */

/* The value of a line of INFO; "" if there is none. */
static void
info_value(const redisReply *info, const char *name, char to[64])
{
	size_t len = strlen(name), n;
	const char *line = info->type == REDIS_REPLY_STRING ? info->str : "";

	*to = '\0';
	for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		n = strcspn(line, "\r\n");
		snprintf(to, 64, "%.*s", n < 63 ? (int)n : 63, line);
		return;
	}
}

static void
tell_eviction(const struct look *l, const redisReply *info)
{
	char policy[64], max[64];

	info_value(info, "maxmemory_policy", policy);
	info_value(info, "maxmemory", max);
	if (*policy == '\0')
		return;
	tell(l, "eviction", "%s, maxmemory %s", policy,
	    strcmp(max, "0") == 0 ? "unlimited" : max);
	if (strcmp(policy, "noeviction") != 0 && strcmp(max, "0") != 0)
		tell(l, "warning",
		    "maxmemory-policy is %s: when its memory is full Redis "
		    "throws counters away, and people begin anew; set "
		    "noeviction", policy);
}

/* The value of `save`: with "" there are no snapshots. NULL: it may not be
 * asked for. */
static const char *
snapshots(const redisReply *save)
{
	if (save->type != REDIS_REPLY_ARRAY || save->elements != 2 ||
	    save->element[1]->type != REDIS_REPLY_STRING)
		return NULL;
	return save->element[1]->str;
}

static void
tell_persistence(const struct look *l, const redisReply *info,
    const redisReply *save)
{
	const char *when = snapshots(save);
	char aof[64];

	info_value(info, "aof_enabled", aof);
	if (strcmp(aof, "1") == 0) {
		tell(l, "persistence", "append-only file");
	} else if (*aof != '\0' && when != NULL && *when != '\0') {
		tell(l, "persistence", "snapshots (save %s); a crash forgets "
				       "what was counted since the last one",
		    when);
	} else if (*aof != '\0' && when != NULL) {
		tell(l, "persistence", "none");
		tell(l, "warning",
		    "Redis keeps nothing on disk: when it is started again "
		    "people begin anew; set appendonly yes");
	}
}

static bool
tell_settings(const struct look *l)
{
	static const char *const get_info[] = { "INFO" };
	static const char *const get_save[] = { "CONFIG", "GET", "save" };
	redisReply *info = ask(l, get_info, 1);
	redisReply *save = ask(l, get_save, 3);
	bool good = info != NULL && save != NULL;
	char version[64];

	if (good) {
		info_value(info, "redis_version", version);
		if (*version != '\0')
			tell(l, "version", "%s", version);
		tell_eviction(l, info);
		tell_persistence(l, info, save);
	}
	freeReplyObject(info);
	freeReplyObject(save);
	return good;
}

/* ---- the rest ------------------------------------------------------------ */

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool
tell_latency(const struct look *l)
{
	static const char *const ping[] = { "PING" };
	int64_t best = INT64_MAX;

	for (int i = 0; i < PINGS; i++) {
		int64_t started = now_ns();
		redisReply *r = ask(l, ping, 1);

		if (r == NULL)
			return false;
		freeReplyObject(r);
		if (now_ns() - started < best)
			best = now_ns() - started;
	}
	tell(l, "latency", "%.2f ms", (double)best / 1e6);
	return true;
}

static bool
tell_script(const struct look *l)
{
	const char *const words[] = { "SCRIPT", "EXISTS", script_sha1 };
	redisReply *r = ask(l, words, 3);
	bool good = r != NULL, is_known;

	if (good && r->type == REDIS_REPLY_ARRAY && r->elements == 1 &&
	    r->element[0]->type == REDIS_REPLY_INTEGER) {
		is_known = r->element[0]->integer == 1;
		tell(l, "script", "%.12s, %s", script_sha1,
		    is_known ? "loaded" : "not loaded yet");
	}
	freeReplyObject(r);
	return good;
}

/* Adds up what some keys take. false: the connection failed. */
static bool
measure(const struct look *l, const redisReply *keys, int64_t *sum, size_t *n)
{
	for (size_t i = 0; i < keys->elements && *n < PEOPLE_MAX; i++) {
		const char *const words[] = { "MEMORY", "USAGE",
			keys->element[i]->str };
		redisReply *r = ask(l, words, 3);

		if (r == NULL)
			return false;
		if (r->type == REDIS_REPLY_INTEGER && r->integer > 0 &&
		    r->integer < INT32_MAX) {
			*sum += r->integer;
			++*n;
		}
		freeReplyObject(r);
	}
	return true;
}

static bool
tell_memory(const struct look *l, const char *prefix)
{
	const struct portero_op walk = { .kind = PORTERO_OP_WALK };
	const redisReply *keys;
	redisReply *r;
	int64_t sum = 0;
	size_t n = 0;
	uint64_t cursor;
	bool good;

	call_add_scan(l->connection, prefix, &walk);
	r = connection_reply(l->connection, l->until_ms);
	keys = r == NULL ? NULL : answer_read_scan(r, &cursor);
	good = r != NULL && (keys == NULL || measure(l, keys, &sum, &n));
	if (good && n > 0)
		tell(l, "memory per person", "%" PRId64 " bytes (of %zu looked "
		    "at)", sum / (int64_t)n, n);
	freeReplyObject(r);
	return good;
}

bool
status_read(struct connection *c, const char *prefix, int64_t until_ms,
    const struct status_reader *to)
{
	const struct look l = { c, until_ms, to };

	return tell_latency(&l) && tell_settings(&l) && tell_script(&l) &&
	    tell_memory(&l, prefix);
}

bool
status_warn(struct connection *c, int64_t until_ms,
    const struct status_reader *to)
{
	const struct look l = { c, until_ms, to };

	return tell_settings(&l);
}
