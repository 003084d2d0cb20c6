/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "op.h"

#include <string.h>

const char *
op_fault(const struct portero_op *op)
{
	if ((unsigned)op->scope >= PORTERO_NSCOPES)
		return "a scope is not known";
	if (op->ncharges > MAX_CHARGES)
		return "an operation has too many charges";
	if (op->sequence >= MAX_SEQUENCES)
		return "a take has too high a sequence";
	if (op->age_us < 0)
		return "a charge is of the future";
	for (size_t i = 0; i < op->ncharges; i++) {
		const struct portero_charge *c = &op->charges[i];
		size_t len = strnlen(c->limit, sizeof c->limit);

		if (len == 0 || len == sizeof c->limit)
			return "a charge has no usable name";
		if ((unsigned)c->unit >= PORTERO_NUNITS || c->amount < 0 ||
		    c->max < PORTERO_UNLIMITED || c->window_s < 1 ||
		    c->window_s > PORTERO_MAX_WINDOW_S)
			return "a charge is out of range";
		for (size_t k = 0; k < i; k++)
			if (op->charges[k].unit == c->unit &&
			    strcmp(op->charges[k].limit, c->limit) == 0)
				return "an operation charges a limit twice";
	}
	return NULL;
}
