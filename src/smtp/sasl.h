/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * AUTH (RFC 4954): the mechanisms PLAIN (RFC 4616) and LOGIN, base64 decoded.
 */
#ifndef SMTP_SASL_H
#define SMTP_SASL_H

#include <stddef.h>

#include "base/str.h"
#include "smtp/command.h"

#define SMTP_LOGIN_MAX 255
#define SMTP_PASSWORD_MAX 1024

enum smtp_mechanism { SMTP_MECH_NONE, SMTP_MECH_PLAIN, SMTP_MECH_LOGIN };

/* One attempt to log in: made for it, freed with every outcome. */
struct smtp_sasl;

enum smtp_sasl_result {
	SMTP_SASL_CHALLENGE, /* send 334 with the challenge, read a line */
	SMTP_SASL_DONE,      /* login and password are there */
	SMTP_SASL_FAILED     /* reply with *fault; the attempt is over */
};

/* Arguments of AUTH: mechanism and perhaps an initial response ("=" is empty).
 * *sasl_r is set unless FAILED. *challenge_r is base64, perhaps empty. */
enum smtp_sasl_result smtp_sasl_start(struct str args, struct smtp_sasl **sasl_r,
    struct str *challenge_r, struct smtp_fault *fault);
/* A response line. "*" cancels: 501 5.7.0. Not base64: 501 5.5.2. Longer than
 * the bounds: 500 5.5.6. NUL or control characters in the login, an empty login or password,
 * a password with NUL, an authorization identity different from the login: 535 5.7.8 */
enum smtp_sasl_result smtp_sasl_step(struct smtp_sasl *sasl, struct str line,
    struct str *challenge_r, struct smtp_fault *fault);
enum smtp_mechanism smtp_sasl_mechanism(const struct smtp_sasl *sasl);
const char *smtp_mechanism_name(enum smtp_mechanism m);
struct str smtp_sasl_login(const struct smtp_sasl *sasl);
struct str smtp_sasl_password(const struct smtp_sasl *sasl);
/* Wipes everything it held. NULL is fine. */
void smtp_sasl_free(struct smtp_sasl **sasl);

/* Base64 (RFC 4648 section 4), strict: padding required, no blanks, no stray bits. Decoded length or -1. */
ptrdiff_t smtp_base64_decode(struct str in, char *out, size_t size);
/* Encoded length (without the NUL it adds), or -1 when it does not fit. */
ptrdiff_t smtp_base64_encode(const void *data, size_t len, char *out, size_t size);

#endif
