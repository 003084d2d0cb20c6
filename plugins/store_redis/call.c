/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys are PREFIX:1:{OWNER}:c, :t:TXID and :o. The 1 is the version of what
 * they hold; the braces keep all of an owner in one slot of a Cluster. OWNER
 * is a letter for the scope and the escaped id.
 */
#include "call.h"

#include <inttypes.h>
#include <string.h>

#include "script.h"

#define VERSION "1"
#define KEY_LEN (64 + 3 * CALL_ID_MAX + 64)
#define NUMBERS_LEN (128 * (MAX_CHARGES + 1))
#define WORDS_MAX (16 + 5 * MAX_CHARGES)
#define SCAN_COUNT "200" /* keys looked at in a step of a walk */
#define MAX_SEQUENCES 64
#define WINDOW_MAX_S (31 * 86400)
#define AGE_MAX_US (INT64_C(100000000) * 1000000)
#define AMOUNT_MAX (INT64_C(1) << 53) /* exact in the script */
#define MAXIMUM_MAX (INT64_C(1) << 62)

static const char scopes[PORTERO_NSCOPES] = { 'p', 'c', 'd', 'h', 'n' };

/* A command in the making. It is large, so there is one for all; nobody asks
 * for two at a time. */
static struct call {
	size_t nwords;
	struct portero_str words[WORDS_MAX];
	size_t used;
	char numbers[NUMBERS_LEN];
	char keys[3][KEY_LEN];
} the_call;

static struct call *
call_begin(void)
{
	the_call.nwords = 0;
	the_call.used = 0;
	return &the_call;
}

const char *
call_fault(const struct portero_op *op)
{
	if (op->key.len > CALL_ID_MAX)
		return "a name is too long";
	if ((unsigned)op->scope >= PORTERO_NSCOPES)
		return "a scope is not known";
	if (op->kind < PORTERO_OP_PEEK || op->kind > PORTERO_OP_WALK)
		return "an operation is not known";
	if (op->ncharges > MAX_CHARGES)
		return "an operation has too many charges";
	if (op->sequence >= MAX_SEQUENCES)
		return "a take has too high a sequence";
	if (op->age_us < 0 || op->age_us > AGE_MAX_US)
		return "a charge is not of the last years";
	for (size_t i = 0; i < op->ncharges; i++) {
		const struct portero_charge *c = &op->charges[i];
		size_t len = strnlen(c->limit, sizeof c->limit);

		if (len == 0 || len == sizeof c->limit)
			return "a charge has no usable name";
		if ((unsigned)c->unit >= PORTERO_NUNITS || c->amount < 0 ||
		    c->max < PORTERO_UNLIMITED || c->window_s < 1 ||
		    c->window_s > WINDOW_MAX_S)
			return "a charge is out of range";
		for (size_t k = 0; k < i; k++)
			if (op->charges[k].unit == c->unit &&
			    strcmp(op->charges[k].limit, c->limit) == 0)
				return "an operation charges a limit twice";
	}
	return NULL;
}

/* ---- words --------------------------------------------------------------- */

static void
add(struct call *call, const void *data, size_t len)
{
	call->words[call->nwords++] = (struct portero_str){ data, len };
}

static void
add_text(struct call *call, const char *text)
{
	add(call, text, strlen(text));
}

static void __attribute__((format(printf, 2, 3)))
add_format(struct call *call, const char *format, ...)
{
	char *to = call->numbers + call->used;
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(to, sizeof call->numbers - call->used, format, ap);
	va_end(ap);
	add(call, to, (size_t)len);
	call->used += (size_t)len + 1;
}

static void
add_number(struct call *call, int64_t number)
{
	add_format(call, "%" PRId64, number);
}

/* Letters, digits and .@_+- as they are, all else as %XX. */
static size_t
escape(char *to, struct portero_str id)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.@_+-";
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < id.len; i++) {
		unsigned char c = (unsigned char)id.ptr[i];

		if (c != '\0' && strchr(plain, c) != NULL) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '%';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	to[n] = '\0';
	return n;
}

static void
add_keys(struct call *call, const char *prefix, const struct portero_op *op)
{
	char id[3 * CALL_ID_MAX + 1];
	int n;

	escape(id, op->key);
	for (int i = 0; i < 3; i++) {
		static const char *const ends[] = { ":c", ":t:", ":o" };

		n = snprintf(call->keys[i], KEY_LEN, "%s:%s:{%c%s}%s", prefix,
		    VERSION, scopes[op->scope], id, ends[i]);
		if (i == 1 && op->kind != PORTERO_OP_REPORT) {
			memcpy(call->keys[i] + n, op->txid, sizeof op->txid);
			n += (int)sizeof op->txid;
		}
		add(call, call->keys[i], (size_t)n);
	}
}

static void
add_charges(struct call *call, const struct portero_op *op)
{
	for (size_t i = 0; i < op->ncharges; i++) {
		const struct portero_charge *c = &op->charges[i];

		add_format(call, "%d%s", (int)c->unit, c->limit);
		add_number(call, c->amount);
		add_number(call, c->max < MAXIMUM_MAX ? c->max : MAXIMUM_MAX);
		add_number(call, c->window_s);
		add_text(call, c->monitor ? "0" : "1");
	}
}

static int64_t
actual(const struct portero_op *op, int unit)
{
	if (op->actual[unit] < 0)
		return 0;
	return op->actual[unit] < AMOUNT_MAX ? op->actual[unit] : AMOUNT_MAX;
}

void
call_add(struct connection *c, const char *prefix, const struct portero_op *op,
    bool with_text)
{
	static const char *const words[] = {
		[PORTERO_OP_PEEK] = "PEEK",
		[PORTERO_OP_TAKE] = "TAKE",
		[PORTERO_OP_CHARGE] = "CHARGE",
		[PORTERO_OP_SETTLE] = "SETTLE",
		[PORTERO_OP_REPORT] = "REPORT",
		[PORTERO_OP_RESET] = "RESET",
	};
	struct call *call = call_begin();

	add_text(call, with_text ? "EVAL" : "EVALSHA");
	if (with_text)
		add(call, script_text, script_len);
	else
		add_text(call, script_sha1);
	add_text(call, "3");
	add_keys(call, prefix, op);
	add_text(call, words[op->kind]);
	switch (op->kind) {
	case PORTERO_OP_PEEK:
	case PORTERO_OP_TAKE:
	case PORTERO_OP_CHARGE:
		add(call, op->txid, sizeof op->txid);
		add_number(call, op->sequence);
		add_number(call, op->lifetime_s);
		add_number(
		    call, op->kind == PORTERO_OP_CHARGE ? op->age_us : 0);
		add_charges(call, op);
		break;
	case PORTERO_OP_SETTLE:
		add_number(call, op->lifetime_s);
		for (int unit = 0; unit < PORTERO_NUNITS; unit++)
			add_number(call, actual(op, unit));
		add(call, op->txid, sizeof op->txid);
		break;
	default:
		break;
	}
	connection_add(c, call->words, call->nwords);
}

/* ---- walks --------------------------------------------------------------- */

void
call_add_scan(struct connection *c, const char *prefix,
    const struct portero_op *op)
{
	struct call *call = call_begin();

	add_text(call, "SCAN");
	add_format(call, "%" PRIu64, op->cursor);
	add_text(call, "MATCH");
	add_format(call, "%s:%s:{%c*:c", prefix, VERSION, scopes[op->scope]);
	add_text(call, "COUNT");
	add_text(call, SCAN_COUNT);
	connection_add(c, call->words, call->nwords);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
call_read_key(const char *prefix, const struct portero_op *op,
    struct portero_str key, char id[CALL_ID_MAX], size_t *len)
{
	static const char end[] = "}:c";
	char start[KEY_LEN];
	size_t at = (size_t)snprintf(start, sizeof start, "%s:%s:{%c", prefix,
	    VERSION, scopes[op->scope]);
	size_t stop;

	if (key.len < at + sizeof end - 1 || memcmp(key.ptr, start, at) != 0)
		return false;
	stop = key.len - (sizeof end - 1);
	if (memcmp(key.ptr + stop, end, sizeof end - 1) != 0)
		return false;
	for (*len = 0; at < stop && *len < CALL_ID_MAX; ++*len) {
		int high = 0, low = 0;

		id[*len] = key.ptr[at];
		if (key.ptr[at++] != '%')
			continue;
		if (stop - at >= 2) {
			high = hex_digit(key.ptr[at]);
			low = hex_digit(key.ptr[at + 1]);
		}
		if (stop - at < 2 || high < 0 || low < 0)
			return false;
		id[*len] = (char)(high * 16 + low);
		at += 2;
	}
	return at == stop;
}
