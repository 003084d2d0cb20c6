/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * AUTH exchanges and base64.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <malloc.h>

#include "smtp/sasl.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define USERNAME "VXNlcm5hbWU6"
#define PASSWORD "UGFzc3dvcmQ6"

/*
 * An exchange as lines: the arguments of AUTH, then responses. Before each
 * response the challenge is asked for; the last line's result is checked.
 */
struct exchange {
	const char *args;
	const char *challenge, *response;
	const char *challenge2, *response2;
	int code; /* 0: done */
	const char *enhanced;
	const char *login, *password;
};

static void
run(const struct exchange *x)
{
	const char *challenges[] = { x->challenge, x->challenge2 };
	const char *responses[] = { x->response, x->response2 };
	struct smtp_fault fault = { 0 };
	struct smtp_sasl *sasl;
	struct str challenge;
	enum smtp_sasl_result result =
	    smtp_sasl_start(str_of(x->args), &sasl, &challenge, &fault);

	for (size_t i = 0; i < 2 && responses[i] != NULL; i++) {
		assert_int_equal(result, SMTP_SASL_CHALLENGE);
		assert_true(str_eq(challenge, str_of(challenges[i])));
		result = smtp_sasl_step(
		    sasl, str_of(responses[i]), &challenge, &fault);
	}
	if (x->code != 0) {
		assert_int_equal(result, SMTP_SASL_FAILED);
		assert_int_equal(fault.code, x->code);
		assert_string_equal(fault.enhanced, x->enhanced);
	} else {
		assert_int_equal(result, SMTP_SASL_DONE);
		assert_true(str_eq(smtp_sasl_login(sasl), str_of(x->login)));
		assert_true(
		    str_eq(smtp_sasl_password(sasl), str_of(x->password)));
	}
	smtp_sasl_free(&sasl);
	assert_null(sasl);
}

static void
test_sasl_exchanges(void **state)
{
	/* clang-format off */
	static const struct exchange table[] = {
		/* PLAIN: \0ana\0s3cret */
		{ .args = "PLAIN AGFuYQBzM2NyZXQ=", .login = "ana", .password = "s3cret" },
		{ .args = "plain", "", "AGFuYQBzM2NyZXQ=", .login = "ana", .password = "s3cret" },
		/* ana\0ana\0s3cret: herself; bob\0ana\0s3cret: somebody else */
		{ .args = "PLAIN YW5hAGFuYQBzM2NyZXQ=", .login = "ana", .password = "s3cret" },
		{ .args = "PLAIN Ym9iAGFuYQBzM2NyZXQ=", .code = 535, .enhanced = "5.7.8" },
		/* \0\0s3cret, \0ana\0, \0ana\0s3\0ret */
		{ .args = "PLAIN AABzM2NyZXQ=", .code = 535, .enhanced = "5.7.8" },
		{ .args = "PLAIN AGFuYQA=", .code = 535, .enhanced = "5.7.8" },
		{ .args = "PLAIN AGFuYQBzMwByZXQ=", .code = 535, .enhanced = "5.7.8" },
		/* ana, \0ana, nothing at all */
		{ .args = "PLAIN YW5h", .code = 501, .enhanced = "5.5.2" },
		{ .args = "PLAIN AGFuYQ==", .code = 501, .enhanced = "5.5.2" },
		{ .args = "PLAIN =", .code = 501, .enhanced = "5.5.2" },
		{ .args = "PLAIN", "", "", .code = 501, .enhanced = "5.5.2" },
		/* \0a\nb\0s, \0a\x85b\0s as C1 in UTF-8, \0\xff\0s, \0\xc3\xb1\0s */
		{ .args = "PLAIN AGEKYgBz", .code = 535, .enhanced = "5.7.8" },
		{ .args = "PLAIN AGHChWIAcw==", .code = 535, .enhanced = "5.7.8" },
		{ .args = "PLAIN AP8Acw==", .code = 535, .enhanced = "5.7.8" },
		{ .args = "PLAIN AMOxAHM=", .login = "\xc3\xb1", .password = "s" },
		/* LOGIN, with and without the name at once */
		{ .args = "LOGIN", USERNAME, "YW5h", PASSWORD, "czNjcmV0", .login = "ana", .password = "s3cret" },
		{ .args = "LOGIN YW5h", PASSWORD, "czNjcmV0", .login = "ana", .password = "s3cret" },
		{ .args = "Login =", PASSWORD, "czNjcmV0", .code = 535, .enhanced = "5.7.8" },
		{ .args = "LOGIN", USERNAME, "", PASSWORD, "czNjcmV0", .code = 535, .enhanced = "5.7.8" },
		{ .args = "LOGIN", USERNAME, "YW5h", PASSWORD, "", .code = 535, .enhanced = "5.7.8" },
		{ .args = "LOGIN", USERNAME, "YQA=", PASSWORD, "czNjcmV0", .code = 535, .enhanced = "5.7.8" },
		/* cancelled, not base64, not known */
		{ .args = "PLAIN", "", "*", .code = 501, .enhanced = "5.7.0" },
		{ .args = "LOGIN", USERNAME, "*", .code = 501, .enhanced = "5.7.0" },
		{ .args = "LOGIN", USERNAME, "YW5h", PASSWORD, "*", .code = 501, .enhanced = "5.7.0" },
		{ .args = "PLAIN ***", .code = 501, .enhanced = "5.5.2" },
		{ .args = "PLAIN", "", "AGFuYQBzM2NyZXQ", .code = 501, .enhanced = "5.5.2" },
		{ .args = "PLAIN AGFu YQBzM2NyZXQ=", .code = 501, .enhanced = "5.5.2" },
		{ .args = "", .code = 501, .enhanced = "5.5.4" },
		{ .args = "CRAM-MD5", .code = 504, .enhanced = "5.5.4" },
		{ .args = "PLAINX", .code = 504, .enhanced = "5.5.4" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++)
		run(&table[i]);
}

/* A PLAIN attempt with a login and a password of these lengths. */
static int
plain_code(size_t login_len, size_t password_len)
{
	static char message[20000], line[30000];
	struct smtp_fault fault = { 0 };
	struct smtp_sasl *sasl;
	struct str challenge;
	size_t len = 2 + login_len + password_len;
	ptrdiff_t n;

	memset(message, 'x', sizeof message);
	message[0] = message[1 + login_len] = '\0';
	n = smtp_base64_encode(message, len, line, sizeof line);
	assert_true(n > 0);
	assert_int_equal(
	    smtp_sasl_start(STR("PLAIN"), &sasl, &challenge, &fault),
	    SMTP_SASL_CHALLENGE);
	if (smtp_sasl_step(sasl, (struct str){ line, (size_t)n }, &challenge,
		&fault) == SMTP_SASL_DONE) {
		assert_int_equal(smtp_sasl_login(sasl).len, login_len);
		assert_int_equal(smtp_sasl_password(sasl).len, password_len);
	}
	smtp_sasl_free(&sasl);
	return fault.code;
}

static void
test_sasl_keeps_its_bounds(void **state)
{
	(void)state;
	assert_int_equal(plain_code(1, 1), 0);
	assert_int_equal(plain_code(SMTP_LOGIN_MAX, SMTP_PASSWORD_MAX), 0);
	assert_int_equal(plain_code(SMTP_LOGIN_MAX + 1, 1), 500);
	assert_int_equal(plain_code(1, SMTP_PASSWORD_MAX + 1), 500);
	assert_int_equal(plain_code(9000, 9000), 500);
}

static void
test_sasl_login_name_too_long_is_refused_at_once(void **state)
{
	char name[SMTP_LOGIN_MAX + 1], line[400];
	struct smtp_fault fault;
	struct smtp_sasl *sasl;
	struct str challenge;
	ptrdiff_t n;

	(void)state;
	memset(name, 'x', sizeof name);
	n = smtp_base64_encode(name, sizeof name, line, sizeof line);
	smtp_sasl_start(STR("LOGIN"), &sasl, &challenge, &fault);
	assert_int_equal(smtp_sasl_step(sasl, (struct str){ line, (size_t)n },
			     &challenge, &fault),
	    SMTP_SASL_FAILED);
	assert_int_equal(fault.code, 500);
	assert_string_equal(fault.enhanced, "5.5.6");
	smtp_sasl_free(&sasl);
}

static void
test_sasl_mechanism_is_told(void **state)
{
	struct smtp_fault fault;
	struct smtp_sasl *sasl;
	struct str challenge;

	(void)state;
	smtp_sasl_start(STR("login"), &sasl, &challenge, &fault);
	assert_int_equal(smtp_sasl_mechanism(sasl), SMTP_MECH_LOGIN);
	smtp_sasl_free(&sasl);
	smtp_sasl_free(&sasl);
	assert_string_equal(smtp_mechanism_name(SMTP_MECH_PLAIN), "PLAIN");
	assert_string_equal(smtp_mechanism_name(SMTP_MECH_LOGIN), "LOGIN");
	assert_string_equal(smtp_mechanism_name(SMTP_MECH_NONE), "none");
}

/* Linked with --wrap=free: what is in memory that is given back. */
void __real_free(void *p);
void __wrap_free(void *p);

static const char canary[] = "CANARY-4711";
static int nfreed_with_canary;

void
__wrap_free(void *p)
{
	if (p != NULL &&
	    memmem(p, malloc_usable_size(p), canary, strlen(canary)) != NULL)
		nfreed_with_canary++;
	__real_free(p);
}

static void
test_sasl_wipes_the_password(void **state)
{
	static const char *const exchanges[][2] = {
		{ "PLAIN AGFuYQBDQU5BUlktNDcxMQ==", NULL },     /* accepted */
		{ "PLAIN Ym9iAGFuYQBDQU5BUlktNDcxMQ==", NULL }, /* refused */
		{ "LOGIN YW5h", "Q0FOQVJZLTQ3MTE=" },
		{ "LOGIN Q0FOQVJZLTQ3MTE=", "*" },
	};

	char *volatile copy = strdup(canary);

	(void)state;
	for (size_t i = 0; i < COUNT(exchanges); i++) {
		struct smtp_fault fault;
		struct smtp_sasl *sasl;
		struct str challenge;

		smtp_sasl_start(
		    str_of(exchanges[i][0]), &sasl, &challenge, &fault);
		if (exchanges[i][1] != NULL)
			smtp_sasl_step(
			    sasl, str_of(exchanges[i][1]), &challenge, &fault);
		smtp_sasl_free(&sasl);
	}
	assert_int_equal(nfreed_with_canary, 0);
	free(copy); /* the trap works */
	assert_int_equal(nfreed_with_canary, 1);
}

static void
test_base64_both_ways(void **state)
{
	static const struct {
		const char *plain, *encoded; /* RFC 4648 section 10 */
	} table[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xfb\xff\xbf", "+/+/" },
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		size_t plain = strlen(table[i].plain);
		size_t encoded = strlen(table[i].encoded);

		assert_int_equal(
		    smtp_base64_encode(table[i].plain, plain, out, encoded + 1),
		    encoded);
		assert_string_equal(out, table[i].encoded);
		assert_int_equal(
		    smtp_base64_encode(table[i].plain, plain, out, encoded),
		    -1);
		assert_int_equal(
		    smtp_base64_decode(str_of(table[i].encoded), out, plain),
		    plain);
		assert_memory_equal(out, table[i].plain, plain);
		if (plain > 0)
			assert_int_equal(
			    smtp_base64_decode(
				str_of(table[i].encoded), out, plain - 1),
			    -1);
	}
}

static void
test_base64_is_strict(void **state)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "=",
		"==", "===", "====", "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==",
		"Z=g=", "Zm 9", "Zm9\n", "Zm9-", "Zm9_", "Zm9v\x80YW5",
		"Zm9v====" };
	char out[16];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (smtp_base64_decode(str_of(bad[i]), out, sizeof out) != -1)
			fail_msg("decoded: %s", bad[i]);
	}
	assert_int_equal(smtp_base64_decode(STR("Zm9\0"), out, sizeof out), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sasl_exchanges),
		cmocka_unit_test(test_sasl_keeps_its_bounds),
		cmocka_unit_test(
		    test_sasl_login_name_too_long_is_refused_at_once),
		cmocka_unit_test(test_sasl_mechanism_is_told),
		cmocka_unit_test(test_sasl_wipes_the_password),
		cmocka_unit_test(test_base64_both_ways),
		cmocka_unit_test(test_base64_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
