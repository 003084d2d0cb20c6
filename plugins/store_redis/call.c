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

#include "../common/op.h"
#include "command.h"
#include "script.h"

#define VERSION "1"
#define OWNER_LEN (64 + 3 * CALL_ID_MAX + 8)
#define SCAN_COUNT "200" /* keys looked at in a step of a walk */
#define AGE_MAX_US (INT64_C(100000000) * 1000000)
#define AMOUNT_MAX (INT64_C(1) << 53) /* exact in the script */
#define MAXIMUM_MAX (INT64_C(1) << 62)

static const char scopes[PORTERO_NSCOPES] = { 'p', 'c', 'd', 'h', 'n' };

const char *
call_fault(const struct portero_op *op)
{
	if (op->key.len > CALL_ID_MAX)
		return "a name is too long";
	if (op->kind < PORTERO_OP_PEEK || op->kind > PORTERO_OP_WALK)
		return "an operation is not known";
	if (op->age_us > AGE_MAX_US)
		return "a charge is not of the last years";
	return op_fault(op);
}

/* ---- words --------------------------------------------------------------- */

/* Letters, digits and .@_+- as they are, all else as %XX. */
static bool
is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '.' || c == '@' || c == '_' ||
	    c == '+' || c == '-';
}

static size_t
escape(char *to, struct portero_str id)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < id.len; i++) {
		unsigned char c = (unsigned char)id.ptr[i];

		if (is_plain(c)) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '%';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	return n;
}

static void
add_keys(struct command *c, const char *prefix, const struct portero_op *op)
{
	char owner[OWNER_LEN];
	const char *txid = (const char *)op->txid;
	size_t n = strlen(prefix);
	struct portero_str parts[3] = { { owner, 0 } };

	memcpy(owner, prefix, n);
	memcpy(owner + n, ":" VERSION ":{", sizeof ":" VERSION ":{" - 1);
	n += sizeof ":" VERSION ":{" - 1;
	owner[n++] = scopes[op->scope];
	n += escape(owner + n, op->key);
	owner[n++] = '}';
	parts[0].len = n;

	parts[1] = (struct portero_str){ ":c", 2 };
	command_join(c, parts, 2);
	parts[1] = (struct portero_str){ ":t:", 3 };
	parts[2] = (struct portero_str){ txid, sizeof op->txid };
	command_join(c, parts, op->kind == PORTERO_OP_REPORT ? 2 : 3);
	parts[1] = (struct portero_str){ ":o", 2 };
	command_join(c, parts, 2);
}

static void
add_charges(struct command *c, const struct portero_op *op)
{
	for (size_t i = 0; i < op->ncharges; i++) {
		const struct portero_charge *charge = &op->charges[i];
		const char unit = (char)('0' + charge->unit);
		const struct portero_str name[2] = { { &unit, 1 },
			{ charge->limit, strlen(charge->limit) } };

		command_join(c, name, 2);
		command_add_number(c, charge->amount);
		command_add_number(c,
		    charge->max < MAXIMUM_MAX ? charge->max : MAXIMUM_MAX);
		command_add_number(c, charge->window_s);
		command_add(c, charge->monitor ? "0" : "1", 1);
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
call_add(struct connection *to, const char *prefix, const struct portero_op *op,
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
	struct command *c = command_begin();

	command_add_text(c, with_text ? "EVAL" : "EVALSHA");
	if (with_text)
		command_add(c, script_text, script_len);
	else
		command_add_text(c, script_sha1);
	command_add_text(c, "3");
	add_keys(c, prefix, op);
	command_add_text(c, words[op->kind]);
	switch (op->kind) {
	case PORTERO_OP_PEEK:
	case PORTERO_OP_TAKE:
	case PORTERO_OP_CHARGE:
		command_add(c, op->txid, sizeof op->txid);
		command_add_number(c, op->sequence);
		command_add_number(c, op->lifetime_s);
		command_add_number(
		    c, op->kind == PORTERO_OP_CHARGE ? op->age_us : 0);
		add_charges(c, op);
		break;
	case PORTERO_OP_SETTLE:
		command_add_number(c, op->lifetime_s);
		for (int unit = 0; unit < PORTERO_NUNITS; unit++)
			command_add_number(c, actual(op, unit));
		command_add(c, op->txid, sizeof op->txid);
		break;
	default:
		break;
	}
	connection_add(to, c);
}

/* ---- walks --------------------------------------------------------------- */

void
call_add_scan(struct connection *to, const char *prefix,
    const struct portero_op *op)
{
	struct command *c = command_begin();
	char text[OWNER_LEN];

	command_add_text(c, "SCAN");
	snprintf(text, sizeof text, "%" PRIu64, op->cursor);
	command_add_text(c, text);
	command_add_text(c, "MATCH");
	snprintf(text, sizeof text, "%s:" VERSION ":{%c*:c", prefix,
	    scopes[op->scope]);
	command_add_text(c, text);
	command_add_text(c, "COUNT");
	command_add_text(c, SCAN_COUNT);
	connection_add(to, c);
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
	char start[OWNER_LEN];
	size_t at = (size_t)snprintf(start, sizeof start, "%s:" VERSION ":{%c",
	    prefix, scopes[op->scope]);
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
