/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Drives reloads. Whatever goes wrong before the new generation is ready, the
 * old one was not touched.
 */
#include "master/reload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "master/generation.h"
#include "master/master_private.h"
#include "master/trial.h"

#define CROWDED_MS 60000 /* for an old generation to end by itself */

static void
start(struct master *m)
{
	struct error err;

	m->reload.trial = trial_start(m->config_path, false,
	    m->first_config_fd, &err);
	if (m->reload.trial == NULL)
		reload_on_generation(m, err.text);
}

void
reload_ask(struct master *m, const struct generation *g, uint64_t id)
{
	struct reload *r = &m->reload;
	bool busy = r->trial != NULL || r->next != NULL ||
	    master_current(m) == NULL;
	struct reload_askers *askers = busy ? &r->later : &r->now;

	if (m->stopping)
		return;
	if (g != NULL && askers->count < RELOAD_ASKERS_MAX)
		askers->asker[askers->count++] =
		    (struct reload_asker){ g->number, id };
	if (busy)
		r->again = true;
	else
		start(m);
}

/* ---- the verdict --------------------------------------------------------- */

static void
send_verdict(struct master *m, const struct reload_asker *to, bool good,
    struct str text)
{
	struct lifeline_record r = { .type = ORDER_VERDICT,
		.id = to->id,
		.value = good ? 0 : 1,
		.text = text,
		.fd = -1 };
	struct generation *g;

	for (g = m->newest; g != NULL; g = g->older)
		if (g->number == to->generation &&
		    generation_control(g)->lifeline != -1)
			lifeline_send(generation_control(g)->lifeline, &r);
}

static void
log_verdict(const struct master *m, bool good)
{
	struct log_line l;

	log_begin(&l, good ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "reload");
	log_adds(&l, "result", good ? "ok" : "refused");
	if (master_current(m) != NULL)
		log_addn(&l, "generation", master_current(m)->number);
	log_end(&l);
}

/* Ends the reload; starts the next one if somebody asked meanwhile. */
static void
finish(struct master *m, bool good, const struct buf *text)
{
	struct reload *r = &m->reload;
	struct str s = { buf_data(text), buf_len(text) };
	unsigned i;

	shared_add(m->shared, 0, COUNTER_RELOADS, 1);
	if (!good)
		shared_add(m->shared, 0, COUNTER_RELOADS_FAILED, 1);
	log_verdict(m, good);
	if (s.len > LIFELINE_MAX)
		s.len = LIFELINE_MAX;
	for (i = 0; i < r->now.count; i++)
		send_verdict(m, &r->now.asker[i], good, s);
	r->next = NULL;
	r->now.count = 0;
	buf_free(&r->notes);
	reload_resume(m);
}

void
reload_resume(struct master *m)
{
	struct reload *r = &m->reload;

	if (!r->again)
		return;
	r->again = false;
	r->now = r->later;
	r->later.count = 0;
	start(m);
}

static bool
holds(struct str line, const char *word)
{
	return memmem(line.ptr, line.len, word, strlen(word)) != NULL;
}

void
reload_log_messages(const char *text, size_t len)
{
	const char *end, *eol;
	struct log_line l;
	struct str line;

	if (len == 0)
		return; /* text may be NULL */
	for (end = text + len; text < end; text += line.len + 1) {
		eol = memchr(text, '\n', (size_t)(end - text));
		line.ptr = text;
		line.len = (size_t)((eol == NULL ? end : eol) - text);
		if (holds(line, ": warning: "))
			log_begin(&l, LOG_LEVEL_WARNING, "config");
		else if (*text >= '0' && *text <= '9')
			continue; /* the sum of them */
		else
			log_begin(&l, LOG_LEVEL_ERROR, "config");
		log_add(&l, "msg", line);
		log_end(&l);
	}
}

void
reload_on_generation(struct master *m, const char *why)
{
	struct reload *r = &m->reload;

	if (why != NULL) {
		reload_log_messages(why, strlen(why));
		buf_appendf(&r->notes, "%s\n", why);
	} else {
		buf_appendf(&r->notes, "generation %u serves\n",
		    m->newest->number);
	}
	finish(m, why == NULL, &r->notes);
}

/* ---- the trial ----------------------------------------------------------- */

/* The trial is over: go on with its plan, or end the reload. */
static void
conclude(struct master *m)
{
	struct trial *t = m->reload.trial;
	struct generation *g = NULL;
	struct error err = { 0 };

	m->reload.trial = NULL;
	reload_log_messages(buf_data(&t->messages), buf_len(&t->messages));
	buf_append(&m->reload.notes, buf_data(&t->messages),
	    buf_len(&t->messages));
	if (t->errors == 0) {
		g = generation_new(m, &t->plan, t->config_fd, &err);
		t->config_fd = -1; /* the generation's */
	}
	if (g != NULL) {
		g->older = m->newest;
		m->newest = g;
		m->reload.next = g;
	} else if (t->errors == 0) {
		reload_on_generation(m, err.text);
	} else {
		finish(m, false, &m->reload.notes);
	}
	trial_free(&t);
}

/* Is there no room for a generation more, and still time to wait for it? */
static bool
is_crowded(struct master *m, int64_t now_ms)
{
	struct reload *r = &m->reload;
	struct generation *oldest;

	if (r->trial->errors > 0 ||
	    master_serving(m, &oldest) < MAX_GENERATIONS ||
	    (r->crowded_until_ms != 0 && r->crowded_until_ms <= now_ms)) {
		r->crowded_until_ms = 0;
		return false;
	}
	if (r->crowded_until_ms == 0) {
		r->crowded_until_ms = now_ms + CROWDED_MS;
		log_say(LOG_LEVEL_INFO, "reload",
		    "waiting for generation %u to finish its messages",
		    oldest->number);
	}
	return true;
}

void
reload_tick(struct master *m, int64_t now_ms, int64_t *next_ms)
{
	struct trial *t = m->reload.trial;

	if (t == NULL)
		return;
	trial_read(t);
	if (!t->is_over && now_ms >= t->limit_ms)
		trial_fail(t, "the check of the configuration took too long");
	if (!t->is_over) {
		due(next_ms, t->limit_ms);
	} else if (is_crowded(m, now_ms)) {
		due(next_ms, m->reload.crowded_until_ms);
	} else {
		conclude(m);
		*next_ms = now_ms;
	}
}

void
reload_cancel(struct master *m)
{
	struct reload *r = &m->reload;
	const struct str why = STR("the server is stopping\n");
	unsigned i;

	trial_free(&r->trial);
	for (i = 0; i < r->now.count; i++)
		send_verdict(m, &r->now.asker[i], false, why);
	for (i = 0; i < r->later.count; i++)
		send_verdict(m, &r->later.asker[i], false, why);
	r->now.count = r->later.count = 0;
	r->crowded_until_ms = 0;
	r->next = NULL;
	r->again = false;
}

static bool
has_asker(const struct reload_askers *askers, uint32_t generation)
{
	unsigned i;

	for (i = 0; i < askers->count; i++)
		if (askers->asker[i].generation == generation)
			return true;
	return false;
}

bool
reload_is_awaited(const struct reload *r, uint32_t generation)
{
	return has_asker(&r->now, generation) ||
	    has_asker(&r->later, generation);
}

void
reload_free(struct reload *r)
{
	trial_free(&r->trial);
	buf_free(&r->notes);
}
