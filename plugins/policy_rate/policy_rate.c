/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * policy_rate: how many messages, recipients and bytes may be sent in a
 * window of time.
 *
 *   policy "quota" {
 *           plugin = policy_rate
 *           queueing_classes = {"mta"}
 *           limit "hourly" {
 *                   messages = 100  recipients = 500  per = 1h
 *                   class "staff" { messages = 500 }
 *           }
 *   }
 *
 * It only declares what to count; the host looks at the counters and takes
 * from them. Each unit of a limit is a counter of its own. The number comes
 * from the person's own entry ("hourly.recipients", or "hourly" for the first
 * unit of the limit), else from the class, else from the limit; a counter for
 * which nobody gives a number does not count.
 */
#include <portero/plugin.h>

#include <stdlib.h>
#include <string.h>

#include "../common/value.h"

#define ABSENT INT64_MIN /* no number given */
#define NAME_SIZE sizeof(((struct portero_charge *)0)->limit)

/* Numbers for persons of a class, or for everybody. */
struct numbers {
	char *class_name; /* owned; NULL: everybody */
	int64_t max[PORTERO_NUNITS];
};

struct limit {
	char name[NAME_SIZE];
	enum portero_scope scope;
	enum portero_reply_kind reply;
	uint32_t per_s;
	bool monitor;
	bool counts[PORTERO_NUNITS]; /* somebody has a number */
	char **classes;              /* owned; whom it is for; none: all */
	size_t nclasses;
	struct numbers *numbers; /* owned; classes, then everybody */
	size_t nnumbers;
};

struct rate {
	const struct portero_host *host; /* borrowed */
	char **queueing;                 /* owned; classes */
	size_t nqueueing;
	struct limit *limits; /* owned */
	size_t nlimits;
};

static const char *const units[PORTERO_NUNITS] = {
	[PORTERO_MESSAGES] = "messages",
	[PORTERO_RECIPIENTS] = "recipients",
	[PORTERO_BYTES] = "bytes",
};

/* ---- options ----------------------------------------------------------- */

/* The order of enum portero_scope and of enum portero_reply_kind. */
static const char *const scopes[] = { "person", "class", "domain", "host",
	NULL };
static const char *const replies[] = { "auto", "temporary", "permanent",
	NULL };

#define UNIT_OPTIONS(whose)                                                   \
	{ .name = "messages",                                                 \
	    .type = PORTERO_OPT_COUNT,                                        \
	    .help = "Messages " whose " may send in the window; 0: none." },  \
	{ .name = "recipients",                                               \
	    .type = PORTERO_OPT_COUNT,                                        \
	    .help = "Recipients " whose " may write to in the window." },     \
	{ .name = "bytes",                                                    \
	    .type = PORTERO_OPT_STRING,                                       \
	    .help = "Bytes " whose " may send in the window, like 500M, or "  \
		    "unlimited." }

static const struct portero_option class_options[] = {
	UNIT_OPTIONS("a person of this class"),
	{ 0 },
};

static const struct portero_option limit_options[] = {
	UNIT_OPTIONS("one"),
	{ .name = "per",
	    .type = PORTERO_OPT_DURATION,
	    .help = "Length of the window. It slides: in no window of this "
		    "length is more sent.",
	    .min = 1,
	    .max = PORTERO_MAX_WINDOW_S,
	    .required = true },
	{ .name = "scope",
	    .type = PORTERO_OPT_ENUM,
	    .preset = "person",
	    .help = "Who shares the counter: each person has one, or all "
		    "persons of a class, of a domain, or of this host.",
	    .choices = scopes },
	{ .name = "classes",
	    .type = PORTERO_OPT_LIST,
	    .help = "Classes of persons this limit is for. Without: all." },
	{ .name = "reply",
	    .type = PORTERO_OPT_ENUM,
	    .preset = "auto",
	    .help = "How it refuses: temporary (450), permanent (550), or "
		    "auto: temporary if it passes within the hour.",
	    .choices = replies },
	{ .name = "monitor",
	    .type = PORTERO_OPT_BOOL,
	    .preset = "no",
	    .help = "Count and log, but refuse nothing." },
	{ .name = "class",
	    .type = PORTERO_OPT_SECTION,
	    .help = "Other numbers for persons of a class.",
	    .section = class_options },
	{ 0 },
};

static const struct portero_option options[] = {
	{ .name = "limit",
	    .type = PORTERO_OPT_SECTION,
	    .help = "A limit; its title names the counter and appears in "
		    "replies.",
	    .section = limit_options,
	    .required = true },
	{ .name = "queueing_classes",
	    .type = PORTERO_OPT_LIST,
	    .help = "Classes of clients that keep refused mail and try again "
		    "(other mail servers): reply = auto is temporary." },
	{ 0 },
};

/* "25M" or "unlimited". false: neither. */
static bool
read_bytes(const char *text, int64_t *bytes_r)
{
	*bytes_r = PORTERO_UNLIMITED;
	return strcmp(text, "unlimited") == 0 ||
	    value_size((struct portero_str){ text, strlen(text) }, bytes_r);
}

/* Reads the numbers of a section. */
static int
read_numbers(const struct portero_host *host, const struct portero_conf *conf,
    struct limit *l, struct numbers *n, char err[256])
{
	for (int unit = 0; unit < PORTERO_NUNITS; unit++) {
		n->max[unit] = ABSENT;
		if (!host->is_set(conf, units[unit]))
			continue;
		l->counts[unit] = true;
		if (unit != PORTERO_BYTES) {
			n->max[unit] = host->get_int(conf, units[unit]);
		} else if (!read_bytes(host->get_string(conf, units[unit]),
			       &n->max[unit])) {
			snprintf(err, 256,
			    "limit \"%s\": bytes = %s is neither a size like "
			    "500M nor unlimited",
			    l->name, host->get_string(conf, units[unit]));
			return -1;
		}
	}
	return 0;
}

/* A copy of a list. -1: out of memory. */
static int
read_list(const struct portero_host *host, const struct portero_conf *conf,
    const char *name, char ***list_r, size_t *n_r)
{
	size_t n = host->list_length(conf, name);

	*list_r = calloc(n + 1, sizeof **list_r);
	if (*list_r == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		(*list_r)[i] = strdup(host->list_item(conf, name, i));
		if ((*list_r)[i] == NULL)
			return -1;
		*n_r = i + 1;
	}
	return 0;
}

static bool
is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < NAME_SIZE &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

static int
out_of_memory(char err[256])
{
	snprintf(err, 256, "out of memory");
	return -1;
}

/* The numbers of the classes and, last, of everybody. */
static int
read_all_numbers(const struct portero_host *host,
    const struct portero_conf *conf, struct limit *l, char err[256])
{
	size_t nclasses = host->section_count(conf, "class");

	l->numbers = calloc(nclasses + 1, sizeof *l->numbers);
	if (l->numbers == NULL)
		return out_of_memory(err);
	l->nnumbers = nclasses + 1;
	for (size_t i = 0; i < nclasses; i++) {
		const struct portero_conf *class = host->section(conf, "class",
		    i);

		l->numbers[i].class_name = strdup(host->title(class));
		if (l->numbers[i].class_name == NULL)
			return out_of_memory(err);
		if (read_numbers(host, class, l, &l->numbers[i], err) == -1)
			return -1;
	}
	return read_numbers(host, conf, l, &l->numbers[nclasses], err);
}

static int
read_limit(const struct portero_host *host, const struct portero_conf *conf,
    struct limit *l, char err[256])
{
	const char *title = host->title(conf);

	if (!is_name(title)) {
		snprintf(err, 256, "limit \"%s\": a name has 1 to %zu letters, "
		    "digits, dots, hyphens and underscores", title,
		    NAME_SIZE - 1);
		return -1;
	}
	memcpy(l->name, title, strlen(title));
	l->per_s = (uint32_t)host->get_int(conf, "per");
	l->scope = (enum portero_scope)host->get_int(conf, "scope");
	l->reply = (enum portero_reply_kind)host->get_int(conf, "reply");
	l->monitor = host->get_int(conf, "monitor") != 0;
	if (read_list(host, conf, "classes", &l->classes, &l->nclasses) == -1)
		return out_of_memory(err);
	if (read_all_numbers(host, conf, l, err) == -1)
		return -1;
	for (int unit = 0; unit < PORTERO_NUNITS; unit++)
		if (l->counts[unit])
			return 0;
	snprintf(err, 256, "limit \"%s\" limits nothing: give messages, "
	    "recipients or bytes", l->name);
	return -1;
}

/* What the sections cannot tell by themselves. */
static int
check_limits(const struct rate *r, char err[256])
{
	unsigned counters = 0;

	for (size_t i = 0; i < r->nlimits; i++) {
		for (int unit = 0; unit < PORTERO_NUNITS; unit++)
			counters += r->limits[i].counts[unit];
		for (size_t k = 0; k < i; k++)
			if (strcmp(r->limits[i].name, r->limits[k].name) == 0) {
				snprintf(err, 256, "there are two limits "
				    "\"%s\"", r->limits[i].name);
				return -1;
			}
	}
	if (counters == 0 || counters > PORTERO_MAX_CHARGES) {
		snprintf(err, 256, "the limits have %u counters (one for each "
		    "unit); 1 to %d are possible", counters,
		    PORTERO_MAX_CHARGES);
		return -1;
	}
	return 0;
}

/* ---- life -------------------------------------------------------------- */

static void
list_free(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static void
rate_close(void *ctx)
{
	struct rate *r = ctx;

	for (size_t i = 0; i < r->nlimits; i++) {
		struct limit *l = &r->limits[i];

		for (size_t k = 0; k < l->nnumbers; k++)
			free(l->numbers[k].class_name);
		free(l->numbers);
		list_free(l->classes, l->nclasses);
	}
	free(r->limits);
	list_free(r->queueing, r->nqueueing);
	free(r);
}

static int
rate_read(struct rate *r, const struct portero_conf *conf, char err[256])
{
	size_t n = r->host->section_count(conf, "limit");

	if (read_list(r->host, conf, "queueing_classes", &r->queueing,
		&r->nqueueing) == -1)
		return out_of_memory(err);
	r->limits = calloc(n + 1, sizeof *r->limits);
	if (r->limits == NULL)
		return out_of_memory(err);
	for (r->nlimits = 0; r->nlimits < n;) {
		struct limit *l = &r->limits[r->nlimits++];

		if (read_limit(r->host, r->host->section(conf, "limit",
			r->nlimits - 1), l, err) == -1)
			return -1;
	}
	return check_limits(r, err);
}

static int
rate_open(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state,
    void **ctx, char err[256])
{
	struct rate *r = calloc(1, sizeof *r);

	(void)share;
	(void)share_bytes;
	(void)state;
	if (r == NULL)
		return out_of_memory(err);
	r->host = host;
	if (rate_read(r, conf, err) == -1) {
		rate_close(r);
		return -1;
	}
	*ctx = r;
	return 0;
}

/* ---- judging ----------------------------------------------------------- */

static bool
is_in(char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

/* Does the entry's name mean this unit of the limit? */
static bool
is_named(const char *name, const struct limit *l, int unit)
{
	size_t len = strlen(l->name);
	int first = 0;

	while (!l->counts[first])
		first++;
	if (strncmp(name, l->name, len) != 0)
		return false;
	if (name[len] == '\0')
		return unit == first;
	return name[len] == '.' && strcmp(name + len + 1, units[unit]) == 0;
}

/* The person's own number, which counts only what is the person's own. The
 * longer name is the more exact one. */
static const struct portero_limit *
own_number(const struct limit *l, int unit,
    const struct portero_identity *identity)
{
	const struct portero_limit *best = NULL;

	if (l->scope != PORTERO_PERSON)
		return NULL;
	for (uint32_t i = 0;
	     i < identity->nlimits && i < PORTERO_MAX_LIMITS; i++) {
		const struct portero_limit *own = &identity->limits[i];

		if (own->max < PORTERO_UNLIMITED ||
		    !is_named(own->name, l, unit))
			continue;
		if (best == NULL || strlen(own->name) > strlen(best->name))
			best = own;
	}
	return best;
}

static int64_t
configured_number(const struct limit *l, int unit, const char *class_name)
{
	for (size_t i = 0; i < l->nnumbers; i++) {
		const struct numbers *n = &l->numbers[i];

		if (n->max[unit] != ABSENT &&
		    (n->class_name == NULL ||
			strcmp(n->class_name, class_name) == 0))
			return n->max[unit];
	}
	return ABSENT;
}

/* What the message costs at this stage; ABSENT: nothing to say. */
static int64_t
amount_of(const struct portero_facts *f, int unit)
{
	int64_t declared = f->declared_size > 0 ? f->declared_size : 0;

	if (f->stage == PORTERO_END)
		return unit == PORTERO_BYTES && f->message_size > declared ?
		    f->message_size - declared :
		    ABSENT;
	if (unit == PORTERO_MESSAGES)
		return 1;
	if (unit == PORTERO_BYTES)
		return declared;
	return f->stage == PORTERO_DATA ? (int64_t)f->nrecipients : 0;
}

/* Declares the counter of one unit of a limit. */
static void
declare(const struct rate *r, const struct limit *l, int unit,
    const struct portero_facts *f, struct portero_answer *answer)
{
	const struct portero_identity *who = f->identity;
	const struct portero_limit *own = own_number(l, unit, who);
	int64_t max = own != NULL ? own->max :
	    configured_number(l, unit, who->class_name);
	int64_t amount = amount_of(f, unit);
	struct portero_charge *c;

	if (max == ABSENT || amount == ABSENT)
		return;
	c = &answer->charges[answer->ncharges++];
	*c = (struct portero_charge){ .size = sizeof *c,
		.scope = l->scope,
		.unit = (enum portero_unit)unit,
		.amount = amount,
		.max = max,
		.window_s = l->per_s,
		.monitor = l->monitor,
		.reply = l->reply };
	memcpy(c->limit, l->name, sizeof c->limit);
	if (own != NULL && own->window_s > 0 &&
	    own->window_s <= PORTERO_MAX_WINDOW_S)
		c->window_s = own->window_s;
	if (l->reply == PORTERO_REPLY_AUTO &&
	    is_in(r->queueing, r->nqueueing, who->class_name))
		c->reply = PORTERO_REPLY_TEMPORARY;
}

static enum portero_verdict
rate_judge(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	const struct rate *r = ctx;

	for (size_t i = 0; i < r->nlimits; i++) {
		const struct limit *l = &r->limits[i];

		if (l->nclasses > 0 && !is_in(l->classes, l->nclasses,
					   facts->identity->class_name))
			continue;
		for (int unit = 0; unit < PORTERO_NUNITS; unit++)
			if (l->counts[unit])
				declare(r, l, unit, facts, answer);
	}
	return PORTERO_NEXT;
}

static uint32_t
rate_scopes(const void *ctx)
{
	const struct rate *r = ctx;
	uint32_t used = 0;

	for (size_t i = 0; i < r->nlimits; i++)
		used |= 1u << r->limits[i].scope;
	return used;
}

/* Who counts no bytes need not see the end. */
static uint32_t
rate_stages(const void *ctx)
{
	const struct rate *r = ctx;

	for (size_t i = 0; i < r->nlimits; i++)
		if (r->limits[i].counts[PORTERO_BYTES])
			return PORTERO_MAIL | PORTERO_DATA | PORTERO_END;
	return PORTERO_MAIL | PORTERO_DATA;
}

static const struct portero_policy policy = {
	.size = sizeof(struct portero_policy),
	.stages = PORTERO_MAIL | PORTERO_DATA | PORTERO_END,
	.judge = rate_judge,
	.scopes = rate_scopes,
	.stages_used = rate_stages,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof(struct portero_plugin),
	.name = "policy_rate",
	.version = "1",
	.options = options,
	.open = rate_open,
	.close = rate_close,
	.policy = &policy,
};
