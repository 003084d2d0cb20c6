/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a client answers in an AUTH exchange, a login that comes out is
 * one that plugins may be handed, and base64 has one spelling.
 *
 * Input: lines. The first is the argument of AUTH, the others are responses.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Takes the next line off; its memory is its own size. */
static struct str
take_line(struct str *rest)
{
	const char *lf = memchr(rest->ptr, '\n', rest->len);
	size_t len = lf == NULL ? rest->len : (size_t)(lf - rest->ptr);
	char *line = malloc(len > 0 ? len : 1);

	memcpy(line, rest->ptr, len);
	len += lf != NULL;
	*rest = (struct str){ rest->ptr + len, rest->len - len };
	return (struct str){ line, len - (lf != NULL) };
}

static void
check_base64(struct str line)
{
	size_t size = line.len * 2 + 8;
	char *plain = malloc(size), *again = malloc(size);
	ptrdiff_t len = smtp_base64_decode(line, plain, line.len);
	ptrdiff_t back;

	if (len >= 0) {
		back = smtp_base64_encode(plain, (size_t)len, again, size);
		assert(back == (ptrdiff_t)line.len);
		assert(memcmp(again, line.ptr, line.len) == 0);
	}
	back = smtp_base64_encode(line.ptr, line.len, again, size);
	assert(back >= 0 && again[back] == '\0');
	len = smtp_base64_decode(
	    (struct str){ again, (size_t)back }, plain, size);
	assert(len == (ptrdiff_t)line.len);
	assert(line.len == 0 || memcmp(plain, line.ptr, line.len) == 0);
	free(plain);
	free(again);
}

static void
assert_credentials(const struct smtp_sasl *sasl)
{
	struct str login = smtp_sasl_login(sasl);
	struct str password = smtp_sasl_password(sasl);

	assert(login.len >= 1 && login.len <= SMTP_LOGIN_MAX);
	assert(password.len >= 1 && password.len <= SMTP_PASSWORD_MAX);
	assert(memchr(password.ptr, '\0', password.len) == NULL);
	for (size_t i = 0; i < login.len; i++) {
		unsigned char c = (unsigned char)login.ptr[i];

		assert(c >= 32 && c != 127);
		assert(c != 0xc0 && c != 0xc1 && c < 0xf5);
	}
	assert(smtp_sasl_mechanism(sasl) != SMTP_MECH_NONE);
}

static void
assert_fault(const struct smtp_fault *f)
{
	assert(f->code >= 500 && f->code <= 535);
	assert(f->enhanced[0] == '5' && f->text != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct str rest = { (const char *)data, len }, challenge;
	struct smtp_fault fault = { 0 };
	enum smtp_sasl_result result;
	struct smtp_sasl *sasl;
	unsigned nsteps = 0;
	struct str line;

	if (len == 0)
		return 0;
	line = take_line(&rest);
	check_base64(line);
	result = smtp_sasl_start(line, &sasl, &challenge, &fault);
	assert((sasl == NULL) == (result == SMTP_SASL_FAILED));
	free((void *)(uintptr_t)line.ptr);
	while (result == SMTP_SASL_CHALLENGE && rest.len > 0) {
		assert(challenge.ptr != NULL && ++nsteps <= 2);
		line = take_line(&rest);
		check_base64(line);
		result = smtp_sasl_step(sasl, line, &challenge, &fault);
		free((void *)(uintptr_t)line.ptr);
	}
	if (result == SMTP_SASL_DONE)
		assert_credentials(sasl);
	if (result == SMTP_SASL_FAILED)
		assert_fault(&fault);
	smtp_sasl_free(&sasl);
	return 0;
}
