/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The language of the control socket: one JSON object a line, a request up,
 * an answer down.
 *
 *   {"verb": "limits show", "person": "ana"}
 *   {"ok": true, "limits": [...]}
 *   {"ok": false, "reason": "failed", "error": "the store did not answer"}
 *
 * A request is exactly what its verb takes; a member too many is an error.
 */
#ifndef CONTROL_REQUEST_H
#define CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"
#include "control/verbs.h"

#define REQUEST_MAX 65536
#define ANSWER_MAX (1024 * 1024)
#define PERSON_MAX 255 /* bytes of a canonical id */

struct request {
	const struct verb *verb;
	char person[PERSON_MAX + 1]; /* operand of the limits verbs */
	char host[PERSON_MAX + 1];   /* operand of verbs with VERB_HOST */
	bool all;                    /* config show */
	char from[PERSON_MAX + 1], to[PERSON_MAX + 1]; /* check; "" or both */
};

/* A line without its end. -1: not a request, the reason in err. */
int request_parse(const char *line, size_t len, struct request *r,
    struct error *err) __attribute__((warn_unused_result));
/* The line with its end; the caller frees it. */
char *request_line(const struct request *r);
/* A name that may be asked for: 1 to PERSON_MAX bytes of clean text. */
bool request_person_ok(struct str name);
/* An address without angle brackets, fit for MAIL and RCPT. */
bool request_address_ok(struct str address);
/* Where the operand of r->verb goes; PERSON_MAX + 1 bytes. */
char *request_operand(struct request *r);

/* Reasons of an answer that is not ok; porteroctl's exit status follows. */
#define REASON_USAGE "usage"             /* 2 */
#define REASON_UNREACHABLE "unreachable" /* 3 */
#define REASON_NOT_FOUND "not_found"     /* 4 */
#define REASON_REFUSED "refused"         /* 1, as all others */
#define REASON_FAILED "failed"

json_t *answer_ok(void);
/* {"ok": true, "text": ...} */
json_t *answer_text(struct str text);
json_t *answer_error(const char *reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A JSON string; bytes that are not UTF-8 become '?'. */
json_t *answer_string(struct str s);
/* The line with its end, at most ANSWER_MAX bytes; the caller frees it. Takes
 * the answer over. */
char *answer_line(json_t *answer);

#endif
