/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The language of the control socket, the verb table and what is kept in step
 * with it, and text on its way to a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "control/request.h"
#include "control/text.h"

static int
parse(const char *line, struct request *r)
{
	struct error err = { .text = "" };
	int ret = request_parse(line, strlen(line), r, &err);

	assert_true(ret == 0 || err.text[0] != '\0');
	return ret;
}

/* ---- requests ----------------------------------------------------------- */

static void
test_each_verb_of_the_daemon_is_a_request(void **state)
{
	struct request r = { .person = "ana", .host = "mx:25" }, back;
	const char *operand;
	char *line;

	(void)state;
	for (r.verb = verbs; r.verb->name != NULL; r.verb++) {
		r.all = (r.verb->flags & VERB_HAS_ALL) != 0;
		line = request_line(&r);
		assert_int_equal(line[strlen(line) - 1], '\n');
		line[strlen(line) - 1] = '\0';
		if ((r.verb->flags & VERB_LOCAL) != 0) {
			assert_int_equal(parse(line, &back), -1);
		} else {
			assert_int_equal(parse(line, &back), 0);
			assert_ptr_equal(back.verb, r.verb);
			assert_int_equal(back.all, r.all);
			operand = (r.verb->flags & VERB_HOST) != 0 ? "mx:25"
								   : "ana";
			assert_string_equal(request_operand(&back),
			    (r.verb->flags & VERB_OPERAND) != 0 ? operand : "");
		}
		free(line);
	}
}

static void
test_what_a_verb_does_not_take_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"status",
		"\"status\"",
		"[\"status\"]",
		"{}",
		"{\"verb\":1}",
		"{\"verb\":\"nonsense\"}",
		"{\"verb\":\"passwd\",\"person\":\"ana\"}",
		"{\"verb\":\"status\",\"person\":\"ana\"}",
		"{\"verb\":\"status\",\"all\":true}",
		"{\"verb\":\"status\",\"more\":1}",
		"{\"verb\":\"status\",\"verb\":\"stop\"}",
		"{\"verb\":\"status\"} x",
		"{\"verb\":\"config show\",\"all\":1}",
		"{\"verb\":\"limits show\"}",
		"{\"verb\":\"limits show\",\"person\":\"\"}",
		"{\"verb\":\"limits show\",\"person\":7}",
		"{\"verb\":\"limits show\",\"person\":\"a\\nb\"}",
		"{\"verb\":\"limits show\",\"person\":\"a\\u0000b\"}",
		"{\"verb\":\"limits show\",\"person\":\"a\\u202eb\"}",
		"{\"verb\":\"limits show\",\"person\":\"\xff\"}",
	};
	struct request r;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(parse(bad[i], &r), -1);
}

static void
test_a_person_has_at_most_255_bytes(void **state)
{
	char name[PERSON_MAX + 2], line[400];
	struct request r;

	(void)state;
	memset(name, 'a', sizeof name);
	for (size_t len = PERSON_MAX; len <= PERSON_MAX + 1; len++) {
		snprintf(line, sizeof line,
		    "{\"verb\":\"limits show\",\"person\":\"%.*s\"}", (int)len,
		    name);
		assert_int_equal(parse(line, &r), len == PERSON_MAX ? 0 : -1);
	}
	assert_int_equal(
	    parse("{\"verb\":\"limits reset\",\"person\":\"josé@example.org\"}",
		&r),
	    0);
	assert_string_equal(r.person, "josé@example.org");
}

static void
test_a_check_takes_two_addresses_or_none(void **state)
{
	static const char *const bad[] = {
		"{\"verb\":\"check\",\"from\":\"a@b\"}",
		"{\"verb\":\"check\",\"to\":\"a@b\"}",
		"{\"verb\":\"check\",\"from\":\"\",\"to\":\"a@b\"}",
		"{\"verb\":\"check\",\"from\":\"a@b\",\"to\":7}",
		"{\"verb\":\"check\",\"from\":\"a@b>\",\"to\":\"a@b\"}",
		"{\"verb\":\"check\",\"from\":\"a@b\",\"to\":\"a\\r\\nRSET\"}",
		"{\"verb\":\"check\",\"from\":\"a@b\",\"to\":\"a b\"}",
		"{\"verb\":\"ping\",\"from\":\"a@b\",\"to\":\"c@d\"}",
	};
	struct request r, back;
	char *line;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(parse(bad[i], &r), -1);
	assert_int_equal(
	    parse("{\"verb\":\"check\",\"from\":\"a@b\",\"to\":\"c@d\"}",
		&r),
	    0);
	line = request_line(&r);
	line[strlen(line) - 1] = '\0';
	assert_int_equal(parse(line, &back), 0);
	assert_string_equal(back.from, "a@b");
	assert_string_equal(back.to, "c@d");
	free(line);
}

static void
test_a_request_has_at_most_64_kib(void **state)
{
	static char line[REQUEST_MAX + 1];
	struct request r;
	struct error err;

	(void)state;
	memset(line, ' ', sizeof line);
	memcpy(line, "{\"verb\":\"ping\"}", 15);
	assert_int_equal(request_parse(line, REQUEST_MAX, &r, &err), 0);
	assert_int_equal(request_parse(line, REQUEST_MAX + 1, &r, &err), -1);
}

static void
test_brackets_without_end_are_refused(void **state)
{
	static char line[REQUEST_MAX];
	struct request r;
	struct error err;

	(void)state;
	memset(line, '[', sizeof line);
	assert_int_equal(request_parse(line, sizeof line, &r, &err), -1);
}

/* ---- answers ------------------------------------------------------------ */

static void
test_an_answer_is_one_line_whatever_is_in_it(void **state)
{
	static const char text[] = "one\ntwo\0three \xff \x1b[2J";
	char *line;
	json_t *back;

	(void)state;
	line = answer_line(answer_text((struct str){ text, sizeof text - 1 }));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_null(strchr(line, '\x1b'));
	back = json_loads(line, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(back, "text")),
	    "one\ntwo?three ? \x1b[2J");
	assert_true(json_is_true(json_object_get(back, "ok")));
	json_decref(back);
	free(line);
}

static void
test_an_answer_too_long_becomes_an_error(void **state)
{
	char *text = xmalloc(ANSWER_MAX), *line;

	(void)state;
	memset(text, 'a', ANSWER_MAX);
	line = answer_line(answer_text((struct str){ text, ANSWER_MAX }));
	assert_non_null(strstr(line, "\"ok\":false"));
	assert_true(strlen(line) < 200);
	free(line);
	line = answer_line(answer_text((struct str){ text, ANSWER_MAX - 100 }));
	assert_non_null(strstr(line, "\"ok\":true"));
	free(line);
	free(text);
}

/* ---- text --------------------------------------------------------------- */

static void
test_nothing_from_outside_acts_on_a_terminal(void **state)
{
	/* clang-format off */
	static const struct {
		const char *in;
		bool lines;
		const char *out;
	} cases[] = {
		{ "", false, "" },
		{ "plain", false, "plain" },
		{ "a\nb\tc", true, "a\nb\tc" },
		{ "a\nb\tc", false, "a\\x0ab\\x09c" },
		{ "\x1b[31mred\x7f", true, "\\x1b[31mred\\x7f" },
		{ "a\rb", true, "a\\x0db" },
		{ "\xc2\x9b" "31m", true, "\\u{009b}31m" },
		{ "\xe2\x80\xae" "abc", false, "\\u{202e}abc" },
		{ "ñandú €𝄞", false, "ñandú €𝄞" },
		{ "\xff\xc0\xaf", false, "\\xff\\xc0\\xaf" },
		{ "\xed\xa0\x80", false, "\\xed\\xa0\\x80" },
		{ "\xf4\x90\x80\x80", false, "\\xf4\\x90\\x80\\x80" },
		{ "cut \xe2\x82", false, "cut \\xe2\\x82" },
	};
	/* clang-format on */
	struct buf out = { .mem = NULL };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		text_show(&out, str_of(cases[i].in), cases[i].lines);
		buf_append(&out, "", 1);
		assert_string_equal(buf_data(&out), cases[i].out);
		assert_int_equal(text_is_clean(str_of(cases[i].in)),
		    !cases[i].lines && strcmp(cases[i].in, cases[i].out) == 0);
		buf_free(&out);
	}
}

/* ---- the completion ----------------------------------------------------- */

static char *
read_completion(void)
{
	const char *source = getenv("srcdir");
	char path[4096], *text = xcalloc(1, 65536);
	FILE *f;

	snprintf(path, sizeof path, "%s/conf/porteroctl.bash",
	    source == NULL ? "." : source);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The line of the completion that offers what may follow `first`. */
static char *
expected_line(const char *first)
{
	const size_t skip = strlen(first) + (*first != '\0');
	char *words[32], *line;
	size_t n = 0, len;

	for (const struct verb *v = verbs; v->name != NULL; v++) {
		if (strncmp(v->name, first, skip > 0 ? skip - 1 : 0) != 0 ||
		    (skip > 0 && v->name[skip - 1] != ' '))
			continue;
		len = strcspn(v->name + skip, " ");
		if (n > 0 && strlen(words[n - 1]) == len &&
		    strncmp(words[n - 1], v->name + skip, len) == 0)
			continue;
		words[n++] = xstrndup(v->name + skip, len);
	}
	qsort(words, n, sizeof words[0], by_name);
	line = xasprintf("\t%s) echo \"", *first == '\0' ? "''" : first);
	for (size_t i = 0; i < n; i++) {
		char *longer = xasprintf(
		    "%s%s%s", line, words[i], i + 1 < n ? " " : "\" ;;\n");

		free(words[i]);
		free(line);
		line = longer;
	}
	return line;
}

static void
test_the_completion_offers_the_verbs_and_no_others(void **state)
{
	char *text = read_completion(), *line, first[32];
	unsigned lines = 1;

	(void)state;
	line = expected_line("");
	assert_non_null(strstr(text, line));
	free(line);
	first[0] = '\0';
	for (const struct verb *v = verbs; v->name != NULL; v++) {
		if (strchr(v->name, ' ') == NULL ||
		    (*first != '\0' &&
			strncmp(v->name, first, strlen(first)) == 0))
			continue;
		str_copy(first, sizeof first,
		    (struct str){ v->name, strcspn(v->name, " ") });
		line = expected_line(first);
		assert_non_null(strstr(text, line));
		free(line);
		lines++;
	}
	for (const char *at = text; (at = strstr(at, ") echo \"")) != NULL;
	     at++)
		lines--;
	assert_int_equal(lines, 0);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_verb_of_the_daemon_is_a_request),
		cmocka_unit_test(test_what_a_verb_does_not_take_is_refused),
		cmocka_unit_test(test_a_person_has_at_most_255_bytes),
		cmocka_unit_test(test_a_check_takes_two_addresses_or_none),
		cmocka_unit_test(test_a_request_has_at_most_64_kib),
		cmocka_unit_test(test_brackets_without_end_are_refused),
		cmocka_unit_test(test_an_answer_is_one_line_whatever_is_in_it),
		cmocka_unit_test(test_an_answer_too_long_becomes_an_error),
		cmocka_unit_test(test_nothing_from_outside_acts_on_a_terminal),
		cmocka_unit_test(
		    test_the_completion_offers_the_verbs_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
