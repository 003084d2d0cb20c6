/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Parameters of MAIL and RCPT: read strictly, never passed on as they came but
 * written anew from what was understood.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct smtp_fault;
struct smtp_mail;
struct smtp_rcpt;

/* The longest decoded forms: RFC 3461 sections 4.4 and 4.2, RFC 4954 section 5. */
#define SMTP_ENVID_MAX 100
#define SMTP_ORCPT_MAX 500
#define SMTP_AUTH_MAX 500
/* What smtp_mail_params() and smtp_rcpt_params() append at most. */
#define SMTP_PARAMS_MAX 2048

enum smtp_body { SMTP_BODY_NONE, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8
};

/* `rest` is what stands behind the path; `offered` (SMTP_EXT_*) what EHLO said:
 * a parameter of anything else is unknown, 555 5.5.4; a malformed or doubled
 * one 501 5.5.4. 0 or -1 and *fault. */
int smtp_mail_params_parse(struct str rest, uint32_t offered,
    struct smtp_mail *mail, struct smtp_fault *fault);
int smtp_rcpt_params_parse(struct str rest, uint32_t offered,
    struct smtp_rcpt *rcpt, struct smtp_fault *fault);
/* Appends " SIZE=5 RET=FULL" and so on, as far as `offered` by the upstream. */
void smtp_mail_params(
    struct buf *to, const struct smtp_mail *mail, uint32_t offered);
void smtp_rcpt_params(
    struct buf *to, const struct smtp_rcpt *rcpt, uint32_t offered);
/* The extensions (SMTP_EXT_*) without which it would not be the same. */
uint32_t smtp_mail_needs(const struct smtp_mail *mail);
uint32_t smtp_rcpt_needs(const struct smtp_rcpt *rcpt);

/* xtext (RFC 3461 section 4): the decoded length, or -1 when it is none, or
 * decodes to what is not printable ASCII, or does not fit. */
ptrdiff_t smtp_xtext_decode(struct str in, char *out, size_t size);

#endif
