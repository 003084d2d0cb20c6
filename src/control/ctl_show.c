/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Answers for people: aligned, short, and safe for the terminal whatever the
 * daemon says.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "control/porteroctl.h"
#include "control/text.h"
#include "ipc/shared.h"

/* A member as text; "" when it is not there. */
static struct str
member(const json_t *object, const char *name)
{
	const json_t *s = json_object_get(object, name);

	return (struct str){ json_is_string(s) ? json_string_value(s) : "",
		json_string_length(s) };
}

static int64_t
number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void
show(struct buf *out, struct str s)
{
	text_show(out, s, false);
}

static void
show_member(struct buf *out, const json_t *object, const char *name)
{
	show(out, member(object, name));
}

/* A JSON array of strings, separated by blanks. */
static void
show_list(struct buf *out, const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		buf_append(out, " ", i > 0);
		show(out, str_of(json_is_string(item) ? json_string_value(item)
						      : "?"));
	}
}

/* "3 d 4 h", "12 min 5 s" */
static void
show_duration(struct buf *out, int64_t s)
{
	static const struct {
		int64_t s;
		const char *name;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" },
		{ 1, "s" } };
	size_t i = 0;

	while (i < 3 && s < units[i].s)
		i++;
	buf_appendf(out, "%" PRId64 " %s", s / units[i].s, units[i].name);
	s %= units[i].s;
	if (i < 3 && s >= units[i + 1].s)
		buf_appendf(out, " %" PRId64 " %s", s / units[i + 1].s,
		    units[i + 1].name);
}

/* ---- tables ------------------------------------------------------------- */

#define COLUMNS 7

struct table {
	struct buf cells; /* each ends with NUL */
	size_t width[COLUMNS];
	unsigned columns, at; /* column of the next cell */
	unsigned right;       /* bit mask of columns that are set right */
};

/* Characters, not bytes. */
static size_t
width_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
table_cell(struct table *t, struct str s)
{
	size_t start = buf_len(&t->cells), width;

	show(&t->cells, s);
	buf_append(&t->cells, "", 1);
	width = width_of(buf_data(&t->cells) + start);
	if (width > t->width[t->at])
		t->width[t->at] = width;
	t->at = (t->at + 1) % t->columns;
}

static void __attribute__((format(printf, 2, 3)))
table_cellf(struct table *t, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	table_cell(t, str_of(text));
}

/* Without blanks at the end of a line. */
static void
table_print(struct table *t, struct buf *out)
{
	const char *cell = buf_len(&t->cells) == 0 ? NULL : buf_data(&t->cells);
	const char *end = cell == NULL ? NULL : cell + buf_len(&t->cells);
	unsigned column = 0;
	size_t blanks = 0, pad;

	for (; cell < end; cell += strlen(cell) + 1) {
		pad = t->width[column] - width_of(cell);
		if ((t->right & 1u << column) != 0)
			blanks += pad;
		if (*cell != '\0') {
			buf_appendf(out, "%*s%s", (int)blanks, "", cell);
			blanks = 0;
		}
		blanks += (t->right & 1u << column) != 0 ? 2 : pad + 2;
		column = (column + 1) % t->columns;
		if (column == 0) {
			buf_append(out, "\n", 1);
			blanks = 0;
		}
	}
	buf_free(&t->cells);
}

/* ---- status ------------------------------------------------------------- */

static void
show_head(const json_t *a, struct buf *out)
{
	buf_appendf(out, "portero ");
	show_member(out, a, "version");
	buf_appendf(out, " on ");
	show_member(out, a, "hostname");
	buf_appendf(out, ", up ");
	show_duration(out, number(a, "uptime_s"));
	buf_appendf(out, ", generation %" PRId64 "\nconfiguration ",
	    number(a, "generation"));
	show_member(out, a, "config");
	if (!json_is_true(json_object_get(a, "root")))
		buf_appendf(out, "\nstarted without root: all processes are "
				 "one user's, none is chrooted");
	buf_appendf(out, "\n\n");
}

/* A line of its own for what is there. */
static void
show_line(struct buf *out, const char *head, const json_t *list)
{
	if (json_array_size(list) == 0)
		return;
	buf_appendf(out, "\n  %-9s", head);
	show_list(out, list);
}

static void
show_upstream(const json_t *u, struct buf *out)
{
	const json_t *offer = json_object_get(u, "offer");

	buf_appendf(out, "upstream ");
	if (member(u, "upstream").len > 0) {
		show_member(out, u, "upstream");
		buf_append_str(out, STR(" "));
	}
	show_member(out, u, "host");
	buf_appendf(out, " port %" PRId64 ", tls ", number(u, "port"));
	show_member(out, u, "tls");
	buf_appendf(out, ": ");
	show_member(out, u, "state");
	buf_appendf(out, ", %" PRId64 " in transit", number(u, "transactions"));
	if (member(u, "error").len > 0) {
		buf_appendf(out, "\n  error    ");
		show_member(out, u, "error");
	}
	show_line(out, "address", json_object_get(u, "addresses"));
	show_line(out, "offers", json_object_get(offer, "extensions"));
	if (number(offer, "size") > 0)
		buf_appendf(out, " (%" PRId64 " bytes)", number(offer, "size"));
	buf_append(out, "\n", 1);
}

static void
show_upstreams(const json_t *list, struct buf *out)
{
	const json_t *u;
	size_t i;

	json_array_foreach(list, i, u) show_upstream(u, out);
	buf_append(out, "\n", 1);
}

static void
show_processes(const json_t *list, struct buf *out)
{
	struct table t = { .columns = 4, .right = 1u << 1 };
	struct buf note = { .mem = NULL };
	const json_t *p;
	struct str role;
	size_t i;

	table_cell(&t, STR("PROCESS"));
	table_cell(&t, STR("PID"));
	table_cell(&t, STR("STATE"));
	table_cell(&t, STR(""));
	json_array_foreach(list, i, p)
	{
		role = member(p, "role");
		if (str_eq(role, STR("master")) || str_eq(role, STR("control")))
			table_cell(&t, role);
		else
			table_cellf(&t, "%.*s %" PRId64, (int)role.len,
			    role.ptr, number(p, "slot"));
		table_cellf(&t, "%" PRId64, number(p, "pid"));
		table_cell(&t, member(p, "state"));
		show_list(&note, json_object_get(p, "sandbox"));
		if (json_object_get(p, "busy_ms") != NULL)
			buf_appendf(&note, "for %" PRId64 " ms, ",
			    number(p, "busy_ms"));
		if (json_object_get(p, "answered") != NULL)
			buf_appendf(&note, "%" PRId64 " answered",
			    number(p, "answered"));
		table_cell(
		    &t, buf_len(&note) == 0
			    ? STR("")
			    : (struct str){ buf_data(&note), buf_len(&note) });
		buf_free(&note);
	}
	table_print(&t, out);
	buf_append(out, "\n", 1);
}

/* What is now, and of the totals those that are not zero. */
static void
show_counters(const json_t *counters, struct buf *out)
{
	struct table t = { .columns = 2, .right = 1u << 1 };
	const char *name;

	for (int i = 0; i < COUNTER_NCOUNTERS; i++) {
		name = counter_name((enum counter)i);
		if (i >= COUNTER_NGAUGES && number(counters, name) == 0)
			continue;
		table_cell(&t, str_of(name));
		table_cellf(&t, "%" PRId64, number(counters, name));
	}
	table_print(&t, out);
}

static void
show_status(const json_t *a, struct buf *out)
{
	show_head(a, out);
	show_upstreams(json_object_get(a, "upstreams"), out);
	show_processes(json_object_get(a, "processes"), out);
	show_counters(json_object_get(a, "counters"), out);
}

/* ---- upstream ----------------------------------------------------------- */

static void
show_hosts(const json_t *list, struct buf *out)
{
	static const char *const head[] = { "UPSTREAM", "PRIORITY", "HOST",
		"STATE", "TRANSIT", "ERROR" };
	const unsigned columns = sizeof head / sizeof *head;
	struct table t = { .columns = columns, .right = 1u << 1 | 1u << 4 };
	const json_t *u;
	struct str title, host;
	size_t i;

	for (i = 0; i < columns; i++)
		table_cell(&t, str_of(head[i]));
	json_array_foreach(list, i, u)
	{
		title = member(u, "upstream");
		host = member(u, "host");
		table_cell(&t, title.len == 0 ? STR("-") : title);
		table_cellf(&t, "%" PRId64, number(u, "priority"));
		table_cellf(&t, "%.*s:%" PRId64, (int)host.len, host.ptr,
		    number(u, "port"));
		table_cell(&t, member(u, "state"));
		table_cellf(&t, "%" PRId64, number(u, "transactions"));
		table_cell(&t, member(u, "error"));
	}
	table_print(&t, out);
}

static void
show_checks(const json_t *list, struct buf *out)
{
	static const char *const members[] = { "check", "name", "result",
		"detail" };
	struct table t = { .columns = 4 };
	const json_t *check;
	size_t i, k;

	table_cell(&t, STR("CHECK"));
	table_cell(&t, STR("NAME"));
	table_cell(&t, STR("RESULT"));
	table_cell(&t, STR("DETAIL"));
	json_array_foreach(list, i, check)
	{
		for (k = 0; k < 4; k++)
			table_cell(&t, member(check, members[k]));
	}
	table_print(&t, out);
}

/* ---- limits ------------------------------------------------------------- */

static void
show_limits(const json_t *rows, bool with_person, struct buf *out)
{
	static const char *const head[COLUMNS] = { "PERSON", "LIMIT", "USED",
		"MAX", "UNIT", "WINDOW", "ALL FREE AT" };
	struct table t = { .columns = with_person ? COLUMNS : COLUMNS - 1,
		.right = with_person ? 3u << 2 : 3u << 1 };
	struct buf window = { .mem = NULL };
	const json_t *row;
	size_t i;

	for (i = with_person ? 0 : 1; i < COLUMNS; i++)
		table_cell(&t, str_of(head[i]));
	json_array_foreach(rows, i, row)
	{
		if (with_person)
			table_cell(&t, member(row, "person"));
		table_cell(&t, member(row, "limit"));
		table_cellf(&t, "%" PRId64, number(row, "used"));
		if (json_is_integer(json_object_get(row, "max")))
			table_cellf(&t, "%" PRId64, number(row, "max"));
		else
			table_cell(&t, STR("unlimited"));
		table_cell(&t, member(row, "unit"));
		show_duration(&window, number(row, "window_s"));
		table_cell(
		    &t, (struct str){ buf_data(&window), buf_len(&window) });
		buf_free(&window);
		table_cell(&t, member(row, "free_at"));
	}
	table_print(&t, out);
}

static void
show_store(const json_t *lines, struct buf *out)
{
	struct table t = { .columns = 2 };
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
	{
		table_cell(&t, member(line, "name"));
		table_cell(&t, member(line, "value"));
	}
	table_print(&t, out);
}

/* Warnings, each a line, and at the end what came of it. */
static void
show_reload(struct str text, struct buf *out)
{
	const char *last;

	if (text.len > 0 && text.ptr[text.len - 1] == '\n')
		text.len--;
	last = memrchr(text.ptr, '\n', text.len);
	last = last == NULL ? text.ptr : last + 1;
	text_show(out, (struct str){ text.ptr, (size_t)(last - text.ptr) },
	    true);
	buf_append_str(out, STR("reloaded: "));
	text.len -= (size_t)(last - text.ptr);
	show(out, (struct str){ last, text.len });
	buf_append(out, "\n", 1);
}

/* ---- a login ------------------------------------------------------------ */

static void
show_steps(const json_t *a, struct buf *out)
{
	struct table t = { .columns = 3, .right = 1u << 0 };
	const json_t *step;
	size_t i;

	table_cell(&t, STR("MS"));
	table_cell(&t, STR("SECTION"));
	table_cell(&t, STR("STEP"));
	json_array_foreach(json_object_get(a, "steps"), i, step)
	{
		table_cellf(&t, "%.1f",
		    json_real_value(json_object_get(step, "ms")));
		table_cell(&t, member(step, "section"));
		table_cell(&t, member(step, "text"));
	}
	table_print(&t, out);
}

static void
show_own_limits(const json_t *identity, struct buf *out)
{
	const json_t *limit;
	size_t i;

	json_array_foreach(json_object_get(identity, "limits"), i, limit)
	{
		buf_appendf(out, "\n  limit     ");
		show_member(out, limit, "limit");
		if (json_is_integer(json_object_get(limit, "max")))
			buf_appendf(out, "=%" PRId64, number(limit, "max"));
		else
			buf_appendf(out, "=unlimited");
		if (number(limit, "window_s") > 0) {
			buf_appendf(out, " in ");
			show_duration(out, number(limit, "window_s"));
		}
	}
}

static void
show_login(const json_t *a, struct buf *out)
{
	static const char *const words[] = { "id", "class", "domain",
		"language" };
	const json_t *identity = json_object_get(a, "identity");

	show_steps(a, out);
	if (identity == NULL)
		return;
	buf_appendf(out, "\nlogin ok by section ");
	show_member(out, a, "section");
	buf_appendf(out, " in %.1f ms",
	    json_real_value(json_object_get(a, "ms")));
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (member(identity, words[i]).len == 0)
			continue;
		buf_appendf(out, "\n  %-9s ", words[i]);
		show_member(out, identity, words[i]);
	}
	if (number(identity, "max_size") > 0)
		buf_appendf(out, "\n  max size  %" PRId64 " bytes",
		    number(identity, "max_size"));
	show_own_limits(identity, out);
	show_line(out, "address", json_object_get(identity, "addresses"));
	if (!json_is_true(json_object_get(identity, "addresses_complete")))
		buf_appendf(out, "\n  others    are asked for when they are "
				 "used");
	buf_appendf(out, "\n");
}

void
ctl_show(const struct verb *v, const json_t *answer, struct buf *out)
{
	struct str text = member(answer, "text");

	switch (v->id) {
	case VERB_STATUS:
		show_status(answer, out);
		break;
	case VERB_CHECK:
		show_checks(json_object_get(answer, "checks"), out);
		break;
	case VERB_UPSTREAM_LIST:
		show_hosts(json_object_get(answer, "upstreams"), out);
		break;
	case VERB_LIMITS_SHOW:
		show_limits(json_object_get(answer, "limits"), false, out);
		break;
	case VERB_LIMITS_TOP:
		show_limits(json_object_get(answer, "limits"), true, out);
		break;
	case VERB_STORE_STATUS:
		show_store(json_object_get(answer, "store"), out);
		break;
	case VERB_LIMITS_RESET:
		buf_append_str(out, STR("reset\n"));
		break;
	case VERB_AUTH_TEST:
		show_login(answer, out);
		break;
	case VERB_CACHE_FLUSH:
		buf_appendf(out, "%" PRId64 " login%s forgotten\n",
		    number(answer, "logins"),
		    number(answer, "logins") == 1 ? "" : "s");
		break;
	case VERB_RELOAD:
		show_reload(text, out);
		break;
	default:
		text_show(out, text, true);
		if (text.len > 0 && text.ptr[text.len - 1] != '\n')
			buf_append(out, "\n", 1);
	}
}
