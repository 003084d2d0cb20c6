/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every text says what, how much, and when it will pass: the person who reads
 * it should need nobody else.
 */
#include "policy/refusal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/sizes.h"

#define HOUR_S 3600

/* An amount of that unit, without its name but for bytes. */
static void
amount_text(char to[SIZE_TEXT], enum portero_unit unit, int64_t n)
{
	if (unit == PORTERO_BYTES)
		size_text(to, n);
	else
		snprintf(to, SIZE_TEXT, "%lld", (long long)n);
}

static const char *
unit_noun(enum portero_unit unit)
{
	return unit == PORTERO_MESSAGES ? " messages" :
	    unit == PORTERO_RECIPIENTS	? " recipients" :
					  "";
}

/* "2026-11-23 14:20 UTC", never before the moment. */
static void
time_text(char to[SIZE_TEXT], int64_t at_s)
{
	char iso[SIZE_TEXT];

	clock_format(iso, sizeof iso, (at_s + 59) / 60 * 60);
	snprintf(to, SIZE_TEXT, "%.10s %.5s UTC", iso, iso + 11);
}

/* The amount alone is over the limit: waiting does not help. */
static void
refuse_for_good(struct portero_reply *to, const struct portero_charge *c)
{
	char amount[SIZE_TEXT], max[SIZE_TEXT];

	if (c->max == 0)
		portero_reply_set(to, 550, "5.7.1",
		    "Limit %s: you may not send mail (it is 0%s).", c->limit,
		    c->unit == PORTERO_BYTES ? " bytes" : unit_noun(c->unit));
	else if (c->unit == PORTERO_BYTES) {
		size_text_pair(amount, c->amount, max, c->max);
		portero_reply_set(to, 550, "5.7.1",
		    "Limit %s: the message is too big for it: %s of at most "
		    "%s. Send it in parts.",
		    c->limit, amount, max);
	} else
		portero_reply_set(to, 550, "5.7.1",
		    "Limit %s: the message is too big for it: %lld of at most "
		    "%lld%s. Send it to fewer at once.",
		    c->limit, (long long)c->amount, (long long)c->max,
		    unit_noun(c->unit));
}

static bool
is_temporary(const struct portero_charge *c, int64_t now_s)
{
	switch (c->reply) {
	case PORTERO_REPLY_TEMPORARY:
		return true;
	case PORTERO_REPLY_PERMANENT:
		return false;
	default:
		return c->fits_at <= now_s + HOUR_S;
	}
}

void
refusal_limit(struct portero_reply *to, const struct portero_charge *c,
    int64_t now_s)
{
	char used[SIZE_TEXT], max[SIZE_TEXT], more[SIZE_TEXT], at[SIZE_TEXT];
	bool temporary = is_temporary(c, now_s);
	int code = temporary ? 450 : 550;
	const char *enhanced = temporary ? "4.7.1" : "5.7.1";

	str_copy(to->reason, sizeof to->reason, STR("quota"));
	if (c->fits_at == 0) {
		refuse_for_good(to, c);
		return;
	}
	amount_text(used, c->unit, c->used);
	amount_text(max, c->unit, c->max);
	amount_text(more, c->unit, c->amount);
	time_text(at, c->fits_at);
	if (c->used >= c->max || c->amount <= 1)
		portero_reply_set(to, code, enhanced,
		    "Limit %s: %s of %s%s used. You can go on at %s.", c->limit,
		    used, max, unit_noun(c->unit), at);
	else
		portero_reply_set(to, code, enhanced,
		    "Limit %s: %s of %s%s used, %s more do not fit. "
		    "You can go on at %s.",
		    c->limit, used, max, unit_noun(c->unit), more, at);
}

void
refusal_attempts(struct portero_reply *to, int64_t at_s)
{
	char at[SIZE_TEXT];

	str_copy(to->reason, sizeof to->reason, STR("guesses"));
	time_text(at, at_s);
	portero_reply_set(to, 454, "4.7.0",
	    "Too many wrong passwords. You can try again at %s.", at);
}

void
refusal_too_large(struct portero_reply *to, int64_t size, int64_t max)
{
	char size_is[SIZE_TEXT], max_is[SIZE_TEXT];

	str_copy(to->reason, sizeof to->reason, STR("size"));
	size_text_pair(size_is, size, max_is, max);
	portero_reply_set(to, 552, "5.3.4",
	    "This message is %s, the limit is %s. Make attachments smaller or "
	    "send it in parts.",
	    size_is, max_is);
}

void
refusal_store(struct portero_reply *to)
{
	str_copy(to->reason, sizeof to->reason, STR("store"));
	portero_reply_set(to, 451, "4.7.0",
	    "Your limits cannot be checked right now; try again in a few "
	    "minutes.");
}

void
refusal_plugin(struct portero_reply *to)
{
	str_copy(to->reason, sizeof to->reason, STR("plugin"));
	portero_reply_set(to, 451, "4.7.0",
	    "This cannot be checked right now; try again in a few minutes.");
}

/* ---- what plugins say --------------------------------------------------- */

/* Ends it, and puts '?' for what is not printable ASCII. false: it did. */
static bool
clean(char *text, size_t size)
{
	bool was_clean = memchr(text, '\0', size) != NULL;

	text[size - 1] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~') {
			*p = '?';
			was_clean = false;
		}
	return was_clean;
}

/* "4.7.1": class, subject and detail (RFC 3463 section 2). */
static bool
is_enhanced(const char *text, int class)
{
	unsigned subject, detail;
	char rest;

	return text[0] == '0' + class && text[1] == '.' &&
	    strspn(text, "0123456789.") == strlen(text) &&
	    sscanf(text + 2, "%3u.%3u%c", &subject, &detail, &rest) == 2;
}

static bool
is_word(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

	return len > 0 && text[len] == '\0';
}

const char *
refusal_clamp(struct portero_reply *r, enum portero_verdict verdict,
    bool *usable)
{
	const char *fault = NULL;
	int class;

	if (r->code == 0 && verdict == PORTERO_DEFER)
		refusal_plugin(r);
	else if (r->code == 0)
		portero_reply_set(r, 550, "5.7.1",
		    "This is against the rules here.");
	class = r->code / 100;
	*usable = class == 4 || (class == 5 && verdict == PORTERO_DENY);
	if (!*usable)
		return "a reply code that does not go with the verdict";
	if (!clean(r->enhanced, sizeof r->enhanced) ||
	    !is_enhanced(r->enhanced, class)) {
		fault = "a wrong enhanced code in the reply";
		str_copy(r->enhanced, sizeof r->enhanced,
		    class == 4 ? STR("4.7.0") : STR("5.7.1"));
	}
	if (r->reason[0] == '\0') {
		str_copy(r->reason, sizeof r->reason, STR("policy"));
	} else if (!clean(r->reason, sizeof r->reason) ||
	    !is_word(r->reason)) { /* it becomes the end of a link */
		fault = "a reason in the reply that is not a word";
		str_copy(r->reason, sizeof r->reason, STR("policy"));
	}
	if (!clean(r->text, sizeof r->text))
		fault = "a text in the reply that is not printable ASCII";
	return fault;
}

struct answer_reply
refusal_view(const struct portero_reply *r)
{
	return (struct answer_reply){ .code = (uint16_t)r->code,
		.enhanced = str_of(r->enhanced),
		.text = str_of(r->text),
		.reason = str_of(r->reason) };
}
