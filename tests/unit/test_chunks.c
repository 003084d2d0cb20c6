/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A body in chunks: what goes on, and that no cut changes it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chunks_model.h"

static void
test_every_short_body_at_every_cut(void **state)
{
	static const char letters[] = { '\r', '\n', '.', 'x', '\0' };
	const size_t n = sizeof letters;
	char body[6];

	(void)state;
	for (size_t len = 0, count = 1; len <= 6; len++, count *= n) {
		for (size_t i = 0; i < count * 4; i++) {
			bool reject = i & 1, stuff = i & 2;
			size_t rest = i / 4;
			struct chunks_result want, got;

			for (size_t k = 0; k < len; k++, rest /= n)
				body[k] = letters[rest % n];
			want = chunks_model(body, len, reject, stuff);
			for (size_t max = 1; max <= 7; max += 3) {
				got = chunks_scan(body, len, reject, stuff,
				    (unsigned)i, max);
				assert_true(chunks_same(&got, &want));
				free(got.out);
			}
			free(want.out);
		}
	}
}

struct example {
	const char *in, *stuffed, *plain; /* NULL: refused */
};

static void
test_examples(void **state)
{
	static const struct example examples[] = {
		{ "", "", "" },
		{ "a\r\n", "a\r\n", "a\r\n" },
		{ "a", "a\r\n", "a" },
		{ ".\r\n", "..\r\n", ".\r\n" },
		{ ".", "..\r\n", "." },
		{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n" },
		{ "a\n.\nb\n", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n" },
		{ "a.b\r\n", "a.b\r\n", "a.b\r\n" },
		{ "a\rb", NULL, NULL },
		{ "a\r\r\n", NULL, NULL },
		{ "a\r", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		const struct example *e = &examples[i];

		for (int stuff = 0; stuff <= 1; stuff++) {
			const char *want = stuff ? e->stuffed : e->plain;
			struct chunks_result r = chunks_scan(
			    e->in, strlen(e->in), false, stuff, 1, 100);

			assert_int_equal(r.is_faulty, want == NULL);
			if (want != NULL) {
				assert_int_equal(r.len, strlen(want));
				assert_memory_equal(r.out, want, r.len);
			}
			free(r.out);
		}
	}
}

static void
test_a_fault_counts_every_byte_that_follows(void **state)
{
	struct chunks_result r = { .out = (char[64]){ 0 } };
	struct smtp_dots d;

	(void)state;
	smtp_dots_start(&d, SMTP_NEWLINE_NORMALIZE);
	smtp_chunks_feed(&d, true, "ab\0cd", 5, chunks_collect, &r);
	smtp_chunks_feed(&d, true, "0123456789", 10, chunks_collect, &r);
	smtp_chunks_end(&d, true, chunks_collect, &r);
	assert_int_equal(d.fault, SMTP_DOTS_NUL);
	assert_int_equal(d.size, 15);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_short_body_at_every_cut),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_a_fault_counts_every_byte_that_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
