/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people write them. A leading zero is refused: some would read
 * it as octal. A duration needs its unit: nobody remembers which it was.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "config/hint.h"
#include "config/value.h"

struct unit {
	const char *name;
	int64_t factor;
};

struct scale {
	const char *like;     /* what a number on it looks like */
	struct unit units[6]; /* from large to small; ends with no name */
};

/* clang-format off */
static const struct scale plain = { "a number", { { "", 1 } } };
static const struct scale bytes = { "a size like 25M",
	{ { "G", 1 << 30 }, { "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 } } };
static const struct scale seconds = { "a duration like 90s or 1h",
	{ { "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 } } };
static const struct scale milliseconds = { "a duration like 90s or 1h",
	{ { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 },
	  { "ms", 1 } } };
/* clang-format on */

static const struct scale *
scale_of(const struct portero_option *o)
{
	if (o->type == PORTERO_OPT_SIZE)
		return &bytes;
	if (o->type == PORTERO_OPT_DURATION)
		return &seconds;
	if (o->type == VALUE_MILLISECONDS)
		return &milliseconds;
	return &plain;
}

bool
value_is_number(const struct portero_option *o)
{
	switch (o->type) {
	case PORTERO_OPT_STRING:
	case PORTERO_OPT_FILE:
	case PORTERO_OPT_SECRET:
	case PORTERO_OPT_LIST:
	case PORTERO_OPT_SECTION:
		return false;
	default:
		return true;
	}
}

/* 25m is 25M, but 1M is not 1m. */
static const struct unit *
find_unit(const struct scale *scale, const char *name)
{
	const struct unit *u = scale->units;

	while (u->name != NULL && strcmp(u->name, name) != 0 &&
	       (scale != &bytes || strcasecmp(u->name, name) != 0))
		u++;
	return u->name == NULL ? NULL : u;
}

/* Digits, then one of the units. NULL, or why not. */
static const char *
read_digits(const struct portero_option *o, const char *text, int64_t *number_r)
{
	static char why[64];
	const struct unit *unit;
	int64_t number = 0;
	const char *p = text;

	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, *p - '0', &number))
			return "is too large";
	unit = find_unit(scale_of(o), p);
	if (p == text || unit == NULL) {
		snprintf(why, sizeof why, "is not %s", scale_of(o)->like);
		return why;
	}
	if (p - text > 1 && *text == '0')
		return "begins with a zero";
	if (__builtin_mul_overflow(number, unit->factor, number_r))
		return "is too large";
	return NULL;
}

/* Appends the number with the largest unit that divides it. */
static void
write_digits(const struct portero_option *o, int64_t number, struct buf *out)
{
	const struct unit *u = scale_of(o)->units;

	while (u[1].name != NULL && (number == 0 || number % u->factor != 0))
		u++;
	buf_appendf(out, "%" PRId64 "%s", number / u->factor, u->name);
}

static const char *
check_range(const struct portero_option *o, int64_t number)
{
	static char why[96];
	struct buf range = { 0 };

	if ((o->min == 0 && o->max == 0) ||
	    (number >= o->min && number <= o->max))
		return NULL;
	write_digits(o, o->min, &range);
	buf_appendf(&range, " to ");
	write_digits(o, o->max, &range);
	snprintf(why, sizeof why, "is not in the range %.*s",
	    (int)buf_len(&range), buf_data(&range));
	buf_free(&range);
	return why;
}

static const char *
read_choice(const char *const *choices, const char *text, int64_t *number_r)
{
	static char why[256];
	struct hint h;
	size_t len;

	hint_start(&h, str_of(text));
	for (int64_t i = 0; choices[i] != NULL; i++) {
		if (strcmp(choices[i], text) == 0) {
			*number_r = i;
			return NULL;
		}
		hint_try(&h, choices[i]);
	}
	len = (size_t)snprintf(why, sizeof why, "is not ");
	for (size_t i = 0; choices[i] != NULL && len < sizeof why; i++)
		len += (size_t)snprintf(why + len, sizeof why - len, "%s%s",
		    i == 0                   ? ""
		    : choices[i + 1] == NULL ? " or "
					     : ", ",
		    choices[i]);
	if (len < sizeof why)
		snprintf(why + len, sizeof why - len, "%s", hint_text(&h));
	return why;
}

int
value_read(const struct portero_option *o, const char *text, int64_t *number_r,
    const char **why_r)
{
	static const char *const no_yes[] = { "no", "yes", NULL };

	if (o->type == PORTERO_OPT_BOOL)
		*why_r = read_choice(no_yes, text, number_r);
	else if (o->type == PORTERO_OPT_ENUM)
		*why_r = read_choice(o->choices, text, number_r);
	else if (o->type == PORTERO_OPT_COUNT &&
		 strcmp(text, "unlimited") == 0) {
		*number_r = PORTERO_UNLIMITED;
		*why_r = NULL;
	} else {
		*why_r = read_digits(o, text, number_r);
		if (*why_r == NULL)
			*why_r = check_range(o, *number_r);
	}
	return *why_r == NULL ? 0 : -1;
}

void
value_write(const struct portero_option *o, int64_t number, struct buf *out)
{
	if (o->type == PORTERO_OPT_BOOL)
		buf_appendf(out, "%s", number != 0 ? "yes" : "no");
	else if (o->type == PORTERO_OPT_ENUM)
		buf_appendf(out, "%s", o->choices[number]);
	else if (o->type == PORTERO_OPT_COUNT && number == PORTERO_UNLIMITED)
		buf_appendf(out, "unlimited");
	else
		write_digits(o, number, out);
}

void
value_write_string(const char *text, struct buf *out)
{
	buf_appendf(out, "\"");
	for (; *text != '\0'; text++) {
		if (strchr("\"\\$", *text) != NULL)
			buf_appendf(out, "\\");
		buf_append(out, text, 1);
	}
	buf_appendf(out, "\"");
}

const char *
value_type_name(const struct portero_option *o)
{
	switch (o->type) {
	case PORTERO_OPT_FILE:
	case PORTERO_OPT_SECRET:
		return "file";
	case PORTERO_OPT_BOOL:
		return "yes or no";
	case PORTERO_OPT_INT:
		return "number";
	case PORTERO_OPT_SIZE:
		return "size";
	case PORTERO_OPT_DURATION:
		return "duration";
	case PORTERO_OPT_ENUM:
		return "word";
	case PORTERO_OPT_LIST:
		return "list";
	case PORTERO_OPT_COUNT:
		return "count or unlimited";
	case PORTERO_OPT_SECTION:
		return "section";
	case PORTERO_OPT_STRING:
		return "string";
	}
	return "duration"; /* VALUE_MILLISECONDS */
}
