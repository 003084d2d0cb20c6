/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the directory's answer to a person's bind means. The client only
 * learns "wrong" or "later"; the log gets the word.
 */
#ifndef AUTH_LDAP_RESULT_H
#define AUTH_LDAP_RESULT_H

#include "connection.h"

struct result {
	enum portero_verdict verdict;
	const char *cause; /* for the log */
};

/* Of a bind as the person. */
struct result result_of_bind(const struct answer *a);
/* Of a search that found nothing out; never DENY. */
struct result result_of_search(const struct answer *a);
/* Of a bind to a DN that may not exist: nothing in it says that it does. */
bool result_may_be_unknown(const struct result *r);

#endif
