/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * fault_auth: an auth plugin that does wrong, as fault.h tells, when the word
 * occurs in the login. It knows nobody otherwise.
 */
#include "fault.h"

static const struct portero_option options[] = { FAULT_OPTIONS,
	{ .name = NULL } };

static int
fault_open(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t share_bytes, enum portero_share_state state, void **ctx,
    char err[256])
{
	(void)share;
	(void)share_bytes;
	(void)state;
	(void)err;
	*ctx = fault_new(host, conf);
	return 0;
}

static enum portero_verdict
fault_login(void *ctx, const struct portero_creds *creds,
    struct portero_identity *identity, struct portero_reply *reply)
{
	const struct fault_plugin *f = ctx;
	enum portero_verdict v;

	if (!fault_is_due(f, creds->login))
		return PORTERO_UNKNOWN;
	v = fault_commit(f);
	if (v != PORTERO_NEXT)
		return v;
	/* a login without an id, and not one string that ends */
	memset((char *)identity + sizeof identity->size, 0xff,
	    sizeof *identity - sizeof identity->size);
	reply->code = -1;
	return PORTERO_NEXT;
}

static const struct portero_auth auth = {
	.size = sizeof auth,
	.login = fault_login,
};

const struct portero_plugin portero_plugin = {
	.abi = PORTERO_ABI,
	.size = sizeof portero_plugin,
	.name = "fault_auth",
	.version = "1",
	.options = options,
	.open = fault_open,
	.close = fault_free,
	.auth = &auth,
};
