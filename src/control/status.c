/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * `status`: everything the shared memory tells, as one JSON object.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sandbox.h"
#include "control/control.h"

#define HUNG_AFTER_MS                                                          \
	5000 /* a session worker's loop that long without a turn */

static json_t *
time_json(int64_t wall_s)
{
	char text[24];

	if (wall_s == 0)
		return json_null();
	clock_format(text, sizeof text, wall_s);
	return json_string(text);
}

/* ---- processes ---------------------------------------------------------- */

static json_t *
sandbox_json(uint32_t bits)
{
	static const struct {
		enum sandbox_bit bit;
		const char *name;
	} names[] = {
		{ SANDBOX_CHROOT, "chroot" },
		{ SANDBOX_USER, "user" },
		{ SANDBOX_NO_NEW_PRIVS, "no_new_privs" },
		{ SANDBOX_SECCOMP, "seccomp" },
		{ SANDBOX_LANDLOCK, "landlock" },
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if ((bits & names[i].bit) != 0)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

/* Its slot may still name a process that has just died. */
static bool
is_alive(pid_t pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

static json_t *
process_json(enum role role, unsigned slot, pid_t pid, const char *state)
{
	return json_pack("{s:s, s:i, s:i, s:s}", "role", role_name(role),
	    "slot", (int)slot, "pid", (int)pid, "state",
	    is_alive(pid) ? state : "down");
}

static json_t *
session_json(const struct board_beat *beat, unsigned slot)
{
	int64_t age_ms =
	    (clock_mono_ns() - atomic_load(&beat->beat_ns)) / CLOCK_NS_PER_MS;
	pid_t pid = (pid_t)atomic_load(&beat->pid);
	json_t *json = process_json(
	    ROLE_SESSION, slot, pid, age_ms > HUNG_AFTER_MS ? "hung" : "ok");

	json_object_set_new(json, "turn_ms_ago", json_integer(age_ms));
	json_object_set_new(
	    json, "sandbox", sandbox_json(atomic_load(&beat->sandbox)));
	return json;
}

static json_t *
worker_json(const struct board_score *score, enum role role, unsigned slot)
{
	bool busy = atomic_load(&score->busy) != 0;
	json_t *json =
	    process_json(role, slot, (pid_t)score->pid, busy ? "busy" : "idle");

	if (busy)
		json_object_set_new(json, "busy_ms",
		    json_integer((clock_mono_ns() - score->started_ns) /
				 CLOCK_NS_PER_MS));
	json_object_set_new(json, "answered",
	    json_integer((json_int_t)atomic_load(&score->answered)));
	return json;
}

static json_t *
processes_json(const struct control *c)
{
	json_t *list = json_array(), *self;

	json_array_append_new(
	    list, process_json(ROLE_MASTER, 0, getppid(), "ok"));
	self = process_json(ROLE_CONTROL, 0, getpid(), "ok");
	json_object_set_new(self, "sandbox", sandbox_json(c->sandbox));
	json_array_append_new(list, self);
	for (unsigned i = 0; i < c->board.nsession; i++)
		json_array_append_new(
		    list, session_json(&c->board.beats[i], i));
	for (unsigned i = 0; i < c->board.nauth; i++)
		json_array_append_new(
		    list, worker_json(&c->board.auth[i], ROLE_AUTH, i));
	for (unsigned i = 0; i < c->board.npolicy; i++)
		json_array_append_new(
		    list, worker_json(&c->board.policy[i], ROLE_POLICY, i));
	return list;
}

/* ---- the upstreams ------------------------------------------------------ */

static json_t *
offer_json(const struct smtp_offer *offer)
{
	json_t *list = json_array();
	const char *name;
	uint32_t bit;

	for (size_t i = 0; (name = smtp_extension_name(i, &bit)) != NULL; i++)
		if ((offer->extensions & bit) != 0)
			json_array_append_new(list, json_string(name));
	return json_pack(
	    "{s:o, s:I}", "extensions", list, "size", (json_int_t)offer->size);
}

static json_t *
host_json(const struct upstream_report *r)
{
	static const char *const tls[] = {
		[CONFIG_UPSTREAM_NONE] = "none",
		[CONFIG_UPSTREAM_STARTTLS] = "starttls",
		[CONFIG_UPSTREAM_IMPLICIT] = "implicit",
	};
	const struct upstream_state *s = &r->known;
	json_t *addresses = json_array(), *json = json_object();
	char text[80];

	for (uint32_t i = 0; i < s->naddresses; i++) {
		upstream_address_print(
		    &s->address[i], s->address_len[i], text, sizeof text);
		json_array_append_new(addresses, json_string(text));
	}
	json_object_set_new(
	    json, "upstream", answer_string(str_of(r->section->title)));
	json_object_set_new(
	    json, "priority", json_integer(r->section->priority));
	json_object_set_new(json, "host", answer_string(str_of(r->host->name)));
	json_object_set_new(json, "port", json_integer(r->host->port));
	json_object_set_new(json, "tls", json_string(tls[r->section->tls]));
	json_object_set_new(json, "state", json_string(r->state));
	json_object_set_new(
	    json, "transactions", json_integer((json_int_t)r->active));
	json_object_set_new(json, "addresses", addresses);
	json_object_set_new(json, "resolved_at", time_json(s->resolved_at));
	json_object_set_new(json, "probed_at", time_json(s->probed_at));
	json_object_set_new(json, "offer", offer_json(&s->offer));
	json_object_set_new(json, "error", answer_string(str_of(s->error)));
	return json;
}

json_t *
upstreams_json(const struct control *c)
{
	json_t *list = json_array();
	struct upstream_report r;

	for (unsigned i = 0; upstream_report(c->watch, i, &r); i++)
		json_array_append_new(list, host_json(&r));
	return list;
}

/* ---- all of it ---------------------------------------------------------- */

json_t *
status_answer(const struct control *c)
{
	json_t *answer = answer_ok(), *counters = json_object();

	for (int i = 0; i < COUNTER_NCOUNTERS; i++)
		json_object_set_new(counters, counter_name((enum counter)i),
		    json_integer(
			(json_int_t)shared_sum(c->shared, (enum counter)i)));
	json_object_set_new(answer, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(
	    answer, "hostname", answer_string(str_of(c->config->hostname)));
	json_object_set_new(
	    answer, "config", answer_string(str_of(c->args->config_path)));
	json_object_set_new(
	    answer, "generation", json_integer(c->args->generation));
	json_object_set_new(
	    answer, "started_at", time_json(c->shared->started_at));
	json_object_set_new(answer, "uptime_s",
	    json_integer(clock_wall_s() - c->shared->started_at));
	json_object_set_new(answer, "root", json_boolean(c->root));
	json_object_set_new(answer, "processes", processes_json(c));
	json_object_set_new(answer, "upstreams", upstreams_json(c));
	json_object_set_new(answer, "counters", counters);
	return answer;
}
