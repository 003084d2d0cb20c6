/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One attempt to log in. It owns the only copy of the password that this
 * module makes, in one piece of memory that is wiped before it is freed.
 */
#include "smtp/sasl.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"

/* PLAIN: authorization identity, NUL, login, NUL, password. */
#define MESSAGE_MAX (2 * SMTP_LOGIN_MAX + SMTP_PASSWORD_MAX + 2)

enum step { STEP_PLAIN, STEP_LOGIN, STEP_PASSWORD, STEP_DONE };

struct smtp_sasl {
	enum smtp_mechanism mechanism;
	enum step next;
	struct str login, password; /* in `text` or in `message` */
	char text[SMTP_LOGIN_MAX];  /* the login of LOGIN */
	char message[MESSAGE_MAX];  /* the last response, decoded */
};

/* clang-format off */
static const struct smtp_fault no_mechanism =
	{ 501, "5.5.4", "Syntax: AUTH mechanism [initial-response]" };
static const struct smtp_fault bad_mechanism =
	{ 504, "5.5.4", "Mechanism not known, use PLAIN or LOGIN" };
static const struct smtp_fault cancelled =
	{ 501, "5.7.0", "Login cancelled" };
static const struct smtp_fault bad_base64 =
	{ 501, "5.5.2", "Cannot decode the response" };
static const struct smtp_fault too_long =
	{ 500, "5.5.6", "Response is too long" };
static const struct smtp_fault wrong =
	{ 535, "5.7.8", "Wrong user name or password" };
/* clang-format on */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits that a character stands for, or -1. */
static int
sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes that padded base64 of this form decodes to. */
static size_t
decoded_length(struct str in)
{
	size_t n = in.len / 4 * 3;

	if (in.len >= 4 && in.ptr[in.len - 1] == '=')
		n -= in.ptr[in.len - 2] == '=' ? 2 : 1;
	return n;
}

ptrdiff_t
smtp_base64_decode(struct str in, char *out, size_t size)
{
	size_t len = decoded_length(in), at = 0;

	if (in.len % 4 != 0 || len > size)
		return -1;
	for (size_t i = 0; i < in.len; i += 4) {
		size_t n = len - at < 3 ? len - at : 3;
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			int six = k <= n ? sextet(in.ptr[i + k]) : 0;

			if (six == -1)
				return -1;
			bits = bits << 6 | (uint32_t)six;
		}
		/* bits that no byte takes must not be there */
		if ((bits & (0xffffffu >> 8 * n)) != 0)
			return -1;
		for (size_t k = 0; k < n; k++)
			out[at++] = (char)(bits >> (16 - 8 * k));
	}
	return (ptrdiff_t)len;
}

ptrdiff_t
smtp_base64_encode(const void *data, size_t len, char *out, size_t size)
{
	const unsigned char *in = data;
	size_t at = 0;

	if (size < 1 || len / 3 + (len % 3 != 0) > (size - 1) / 4)
		return -1;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t bits = (uint32_t)in[i] << 16;

		if (n > 1)
			bits |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			bits |= in[i + 2];
		for (size_t k = 0; k < 4; k++)
			out[at++] =
			    k <= n ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
	}
	out[at] = '\0';
	return (ptrdiff_t)at;
}

static enum smtp_sasl_result
fail(struct smtp_fault *to, struct smtp_fault fault)
{
	*to = fault;
	return SMTP_SASL_FAILED;
}

/* What a plugin may be handed: UTF-8 without control characters. */
static bool
login_is_valid(struct str login)
{
	return login.len > 0 && utf8_is_text(login);
}

/* The last step: are these a login and a password at all? */
static enum smtp_sasl_result
finish(struct smtp_sasl *sasl, struct smtp_fault *fault)
{
	if (sasl->login.len > SMTP_LOGIN_MAX ||
	    sasl->password.len > SMTP_PASSWORD_MAX)
		return fail(fault, too_long);
	if (!login_is_valid(sasl->login) || sasl->password.len == 0 ||
	    memchr(sasl->password.ptr, '\0', sasl->password.len) != NULL)
		return fail(fault, wrong);
	sasl->next = STEP_DONE;
	return SMTP_SASL_DONE;
}

/* Takes what comes before the first NUL off s, and the NUL. */
static bool
take_field(struct str *s, struct str *field_r)
{
	const char *nul = s->len == 0 ? NULL : memchr(s->ptr, '\0', s->len);

	if (nul == NULL)
		return false;
	*field_r = (struct str){ s->ptr, (size_t)(nul - s->ptr) };
	*s = (struct str){ nul + 1, s->len - field_r->len - 1 };
	return true;
}

static enum smtp_sasl_result
take_plain(struct smtp_sasl *sasl, struct str message, struct smtp_fault *fault)
{
	struct str identity;

	if (!take_field(&message, &identity) ||
	    !take_field(&message, &sasl->login))
		return fail(fault, bad_base64);
	sasl->password = message;
	if (identity.len > 0 && !str_eq(identity, sasl->login))
		return fail(fault, wrong);
	return finish(sasl, fault);
}

static enum smtp_sasl_result
take_login(struct smtp_sasl *sasl, struct str message, struct str *challenge_r,
    struct smtp_fault *fault)
{
	if (message.len > SMTP_LOGIN_MAX)
		return fail(fault, too_long);
	if (message.len > 0)
		memcpy(sasl->text, message.ptr, message.len);
	sasl->login = (struct str){ sasl->text, message.len };
	sasl->next = STEP_PASSWORD;
	*challenge_r = STR("UGFzc3dvcmQ6"); /* "Password:" */
	return SMTP_SASL_CHALLENGE;
}

/* A response, still base64. */
static enum smtp_sasl_result
take_response(struct smtp_sasl *sasl, struct str response,
    struct str *challenge_r, struct smtp_fault *fault)
{
	struct str message = { sasl->message, 0 };
	ptrdiff_t len;

	if (decoded_length(response) > sizeof sasl->message)
		return fail(fault, too_long);
	len = smtp_base64_decode(response, sasl->message, sizeof sasl->message);
	if (len == -1)
		return fail(fault, bad_base64);
	message.len = (size_t)len;
	if (sasl->next == STEP_PLAIN)
		return take_plain(sasl, message, fault);
	if (sasl->next == STEP_LOGIN)
		return take_login(sasl, message, challenge_r, fault);
	sasl->password = message;
	return finish(sasl, fault);
}

enum smtp_sasl_result
smtp_sasl_start(struct str args, struct smtp_sasl **sasl_r,
    struct str *challenge_r, struct smtp_fault *fault)
{
	const char *blank =
	    args.len == 0 ? NULL : memchr(args.ptr, ' ', args.len);
	struct str name = args, initial = { NULL, 0 };
	enum smtp_sasl_result result = SMTP_SASL_CHALLENGE;
	enum smtp_mechanism mechanism;
	struct smtp_sasl *sasl;

	*sasl_r = NULL;
	*challenge_r = STR("");
	if (blank != NULL) {
		name.len = (size_t)(blank - args.ptr);
		initial = (struct str){ blank + 1, args.len - name.len - 1 };
	}
	if (name.len == 0)
		return fail(fault, no_mechanism);
	if (str_case_eq(name, STR("PLAIN")))
		mechanism = SMTP_MECH_PLAIN;
	else if (str_case_eq(name, STR("LOGIN")))
		mechanism = SMTP_MECH_LOGIN;
	else
		return fail(fault, bad_mechanism);

	sasl = xcalloc(1, sizeof *sasl);
	sasl->mechanism = mechanism;
	sasl->next = mechanism == SMTP_MECH_PLAIN ? STEP_PLAIN : STEP_LOGIN;
	if (initial.len > 0) {
		if (str_eq(initial, STR("=")))
			initial.len = 0;
		result = take_response(sasl, initial, challenge_r, fault);
	} else if (mechanism == SMTP_MECH_LOGIN) {
		*challenge_r = STR("VXNlcm5hbWU6"); /* "Username:" */
	}
	if (result == SMTP_SASL_FAILED)
		smtp_sasl_free(&sasl);
	*sasl_r = sasl;
	return result;
}

enum smtp_sasl_result
smtp_sasl_step(struct smtp_sasl *sasl, struct str line, struct str *challenge_r,
    struct smtp_fault *fault)
{
	*challenge_r = STR("");
	if (str_eq(line, STR("*")))
		return fail(fault, cancelled);
	return take_response(sasl, line, challenge_r, fault);
}

enum smtp_mechanism
smtp_sasl_mechanism(const struct smtp_sasl *sasl)
{
	return sasl->mechanism;
}

const char *
smtp_mechanism_name(enum smtp_mechanism m)
{
	if (m == SMTP_MECH_PLAIN)
		return "PLAIN";
	return m == SMTP_MECH_LOGIN ? "LOGIN" : "none";
}

struct str
smtp_sasl_login(const struct smtp_sasl *sasl)
{
	return sasl->login;
}

struct str
smtp_sasl_password(const struct smtp_sasl *sasl)
{
	return sasl->password;
}

void
smtp_sasl_free(struct smtp_sasl **sasl)
{
	if (*sasl == NULL)
		return;
	explicit_bzero(*sasl, sizeof **sasl);
	free(*sasl);
	*sasl = NULL;
}
