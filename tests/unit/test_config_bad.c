/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every file in tests/data/config/bad has one mistake or more, and begins
 * with what must be said about it and about nothing else:
 *
 *   # expect 7: error: port = 0465 begins with a zero
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config_rig.h"

static char folder[4096];

/* What the file's head announces, as it would be printed. */
static struct buf
read_expected(const char *path)
{
	struct buf text = { 0 };
	size_t errors = 0, warnings = 0;
	char line[1024];
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL &&
	       strncmp(line, "# expect ", 9) == 0) {
		buf_appendf(&text, "%s:%s", path, line + 9);
		errors += strstr(line, ": error: ") != NULL;
		warnings += strstr(line, ": warning: ") != NULL;
	}
	fclose(f);
	buf_appendf(&text, "%zu error%s, %zu warning%s\n", errors,
	    errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
	buf_append(&text, "", 1);
	return text;
}

static void
test_every_mistake_is_named_with_its_line(void **state)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, alphasort), nfiles = 0;

	(void)state;
	for (int i = 0; i < n; i++) {
		char *path = xasprintf("%s/%s", folder, names[i]->d_name);
		struct buf expected;
		const char *said;
		struct config *c;

		if (strstr(path, ".conf") != NULL) {
			expected = read_expected(path);
			c = config_rig_file(path, &said);
			assert_string_equal(said, buf_data(&expected));
			config_free(&c);
			buf_free(&expected);
			nfiles++;
		}
		free(path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	assert_true(nfiles >= 30);
	config_rig_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_mistake_is_named_with_its_line),
	};
	const char *top = getenv("srcdir");

	unsetenv("PORTERO_TEST_UNSET");
	unsetenv("PORTERO_TEST_SIZE");
	snprintf(folder, sizeof folder, "%s/tests/data/config/bad",
	    top == NULL ? "." : top);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
