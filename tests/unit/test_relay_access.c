/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Getting into an upstream: its fingerprint, TLS where it is offered, and our
 * account there.
 */
#include "relay_rig.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/relay_private.h"

#define HELLO "220 mx", "< EHLO portero.example.org"
#define UPGRADE HELLO, "250-mx", "250 STARTTLS", "< STARTTLS", "alone", "220 go"
#define OK "250 ok"
#define MESSAGE "< MAIL", "< RCPT", "< DATA", OK, OK, "354 go", "body", OK
#define SENT "MAIL 250 RCPT 250 DATA 354 DOT 250"

static char password_file[] = "/tmp/portero-test-password-XXXXXX";
static char *no_fingerprints[] = { NULL };

/* ---- fingerprints ---- */

static void
fingerprints_of(SSL_CTX *ctx, char certificate[65], char key[65])
{
	X509 *x = SSL_CTX_get0_certificate(ctx);
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	assert_true(len > 0);
	X509_digest(x, EVP_sha256(), digest, NULL);
	for (size_t i = 0; i < 32; i++)
		snprintf(certificate + 2 * i, 3, "%02x", digest[i]);
	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < 32; i++)
		snprintf(key + 2 * i, 3, "%02x", digest[i]);
	OPENSSL_free(der);
}

enum pin { PIN_CERTIFICATE, PIN_KEY, PIN_SECOND, PIN_OTHER };

static void
check_pin(enum pin pin)
{
	static const char *const good[] = { UPGRADE, "tls", "< EHLO", "250-mx",
		"250 PIPELINING", MESSAGE, NULL };
	static const char *const bad[] = { UPGRADE, "tls", "end", NULL };
	struct rig rig, *r = &rig;
	struct owner o = { 0 };
	char certificate[65], key[65], other[65];
	char *pins[3] = { NULL, NULL, NULL };

	rig_open(r);
	r->fake.tls = fake_tls_new("whatever.test", NULL);
	fingerprints_of(r->fake.tls, certificate, key);
	memset(other, 'a', 64);
	other[64] = '\0';
	pins[0] = pin == PIN_CERTIFICATE ? certificate
	          : pin == PIN_KEY       ? key
	                                 : other;
	pins[1] = pin == PIN_SECOND ? certificate : NULL;
	r->config.tls = CONFIG_UPSTREAM_STARTTLS;
	r->config.fingerprints = pins;
	fake_script(&r->fake, 0, pin == PIN_OTHER ? bad : good);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, pin == PIN_OTHER ? "tls" : SENT);
	if (pin == PIN_OTHER) /* so that the right one can be copied */
		assert_non_null(strstr(o.detail, certificate));
	rig_close(r);
}

static void
test_fingerprint_stands_for_name_and_authority(void **state)
{
	(void)state;
	check_pin(PIN_CERTIFICATE);
	check_pin(PIN_KEY);
	check_pin(PIN_SECOND);
	check_pin(PIN_OTHER);
}

/* ---- opportunistic ---- */

struct chance {
	const char *name;
	const char *script[20];
	const char *said;
};

static const struct chance chances[] = {
	{ "not offered", { HELLO, "250-mx", "250 PIPELINING", MESSAGE }, SENT },
	{ "HELO only",
	    { HELLO, "500 what?", "< HELO", "250 mx", "< MAIL", OK, "< RCPT",
		OK, "< DATA", "354 go", "body", OK },
	    SENT },
	{ "offered, of nobody's certificate",
	    { UPGRADE, "tls", "< EHLO", "250-mx", "250 PIPELINING", MESSAGE },
	    SENT },
	{ "offered and then refused",
	    { HELLO, "250-mx", "250 STARTTLS", "< STARTTLS", "454 no", "end" },
	    "tls" },
	{ "offered and then broken",
	    { HELLO, "250-mx", "250 STARTTLS", "< STARTTLS", "220 go", "pause",
		"220 no TLS" },
	    "tls" },
};

static void
test_opportunity_is_taken_and_never_taken_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(chances) / sizeof(chances[0]); i++) {
		struct rig rig, *r = &rig;
		struct owner o = { 0 };

		rig_open(r);
		r->fake.tls = fake_tls_new("whatever.test", NULL);
		r->config.tls = CONFIG_UPSTREAM_OPPORTUNISTIC;
		fake_script(&r->fake, 0, chances[i].script);
		rig_start(r);
		rig_send(r, &o, 1);
		if (r->fake.error[0] != '\0' ||
		    strcmp(o.said, chances[i].said) != 0)
			fail_msg("%s: said \"%s\" (%s), upstream: %s",
			    chances[i].name, o.said, o.detail, r->fake.error);
		rig_close(r);
	}
}

/* ---- the account ---- */

struct login {
	const char *name;
	const char *script[32];
	const char *said;
	const char *detail;
};

#define PLAIN "< AUTH PLAIN AHJlbGF5AHMzY3JldA==", "alone"
#define LOGIN_USER "< AUTH LOGIN", "alone", "334 VXNlcm5hbWU6", "< cmVsYXk="
#define LOGIN LOGIN_USER, "alone", "334 UGFzc3dvcmQ6", "< czNjcmV0", "alone"
#define TLS "tls", "220 mx", "< EHLO", "250-mx", "250-PIPELINING"

#define BECOMES(words) "< XCLIENT " words, "alone", "220 mx", "< EHLO", \
	"250-mx", "250-PIPELINING", "250 AUTH PLAIN"
#define AS_CLIENT TLS, "250-AUTH PLAIN", "250 XCLIENT ADDR", PLAIN, "235 hi", \
	BECOMES("ADDR=192.0.2.7"), PLAIN

static const struct login logins[] = {
	{ "PLAIN", { TLS, "250 AUTH LOGIN PLAIN", PLAIN, "235 hi", MESSAGE },
	    SENT, "" },
	{ "LOGIN where there is no PLAIN",
	    { TLS, "250 AUTH CRAM-MD5 LOGIN", LOGIN, "235 hi", MESSAGE }, SENT,
	    "" },
	{ "nothing for us", { TLS, "250 AUTH GSSAPI", "end" }, "broken",
	    "are not offered" },
	{ "no AUTH at all", { TLS, "250 SIZE", "end" }, "broken",
	    "are not offered" },
	{ "wrong password", { TLS, "250 AUTH PLAIN", PLAIN, "535 no", "end" },
	    "broken", "AUTH: 535 no" },
	{ "not now", { TLS, "250 AUTH PLAIN", PLAIN, "454 later", "end" },
	    "away", "AUTH: 454 later" },
	{ "LOGIN refused in the middle",
	    { TLS, "250 AUTH LOGIN", LOGIN_USER, "535 no", "end" }, "broken",
	    "AUTH: 535 no" },
	{ "a yes before the password",
	    { TLS, "250 AUTH LOGIN", LOGIN_USER, "235 hi", "end" }, "broken",
	    "AUTH: 235 hi" },
	{ "asked for more than there is",
	    { TLS, "250 AUTH PLAIN", PLAIN, "334 ", "end" }, "broken",
	    "AUTH: 334" },
	{ "asked for ever",
	    { TLS, "250 AUTH LOGIN", LOGIN, "334 more", "end" }, "broken",
	    "AUTH: 334 more" },
	{ "another yes", { TLS, "250 AUTH PLAIN", PLAIN, "250 hi", "end" },
	    "broken", "AUTH: 250 hi" },
	{ "silent", { TLS, "250 AUTH PLAIN", PLAIN }, "away", "in time" },
	{ "closed", { TLS, "250 AUTH PLAIN", PLAIN, "close" }, "away",
	    "closed by the upstream" },
	{ "the name that XCLIENT tells stands for it",
	    { TLS, "250-AUTH PLAIN", "250 XCLIENT LOGIN", PLAIN, "235 hi",
		BECOMES("LOGIN=ana"), MESSAGE },
	    SENT, "" },
};

/* With xclient = address, and no name to be told. */
static const struct login logins_again[] = {
	{ "PLAIN", { AS_CLIENT, "235 hi", MESSAGE }, SENT, "" },
	{ "in vain", { AS_CLIENT, "535 no", "end" }, "broken", "AUTH: 535 no" },
	{ "the first one still counts", { AS_CLIENT, "503 already", MESSAGE },
	    SENT, "" },
};

/* ---- where the password must not stay ---- */

void __real_free(void *p);
void __wrap_free(void *p);

static const char *const secrets[] = { "s3cret", "AHJlbGF5AHMzY3JldA",
	"czNjcmV0" };
static int nfreed_with_secret;

void
__wrap_free(void *p)
{
	for (size_t i = 0; p != NULL && i < 3; i++)
		if (memmem(p, malloc_usable_size(p), secrets[i],
			strlen(secrets[i])) != NULL)
			nfreed_with_secret++;
	__real_free(p);
}

static void
test_trap_for_freed_passwords_works(void **state)
{
	char *volatile copy = strdup(secrets[0]);

	(void)state;
	free(copy);
	assert_int_equal(nfreed_with_secret, 1);
	nfreed_with_secret = 0;
}

static void
check_login(const struct login *l, enum config_xclient xclient)
{
	struct rig rig, *r = &rig;
	struct owner o = { 0 };
	char fingerprint[65], key[65];
	char *pins[] = { fingerprint, NULL };

	rig_open(r);
	r->fake.tls = fake_tls_new("mx.example.net", NULL);
	fingerprints_of(r->fake.tls, fingerprint, key);
	r->config.tls = CONFIG_UPSTREAM_IMPLICIT;
	r->config.fingerprints = pins;
	r->config.user = (char *)(uintptr_t) "relay";
	r->config.password_file = password_file;
	r->config.xclient = xclient;
	if (strcmp(l->name, "silent") == 0)
		r->config.connect_timeout_ms = 600;
	fake_script(&r->fake, 0, l->script);
	rig_start(r);
	rig_send(r, &o, 1);
	if (r->fake.error[0] != '\0' || strcmp(o.said, l->said) != 0 ||
	    strstr(o.detail, l->detail) == NULL)
		fail_msg("%s: said \"%s\" (%s), upstream: %s", l->name, o.said,
		    o.detail, r->fake.error);
	assert_null(strstr(rig_log(r), "AHJlbGF5"));
	rig_close(r);
	if (nfreed_with_secret != 0)
		fail_msg("%s: the password stays in freed memory", l->name);
}

static void
test_account_is_used_before_anything_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++)
		check_login(&logins[i], CONFIG_XCLIENT_LOGIN);
}

static void
test_account_is_used_again_where_xclient_tells_no_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(logins_again) / sizeof(*logins_again); i++)
		check_login(&logins_again[i], CONFIG_XCLIENT_ADDRESS);
}

static void
test_secrets_that_cannot_be_read_are_an_error(void **state)
{
	struct config_upstream u = { .tls = CONFIG_UPSTREAM_NONE,
		.fingerprints = no_fingerprints,
		.password_file = (char *)(uintptr_t) "/nonexistent/password" };
	const struct config c = { .upstreams = &u, .nupstreams = 1 };
	struct relay_access **a;
	struct error err;

	(void)state;
	assert_null(relay_access_new(&c, true, &err));
	assert_non_null(strstr(err.text, "/nonexistent/password"));
	/* who does not log in does not read it */
	a = relay_access_new(&c, false, &err);
	assert_non_null(a);
	relay_access_free(&a, &c);
	u.tls = CONFIG_UPSTREAM_OPPORTUNISTIC;
	u.certificate = u.key = (char *)(uintptr_t) "/nonexistent/mine";
	assert_null(relay_access_new(&c, false, &err));
	assert_non_null(strstr(err.text, "/nonexistent/mine"));
}

static int
make_files(void **state)
{
	int fd = mkstemp(password_file);

	(void)state;
	return write(fd, "s3cret\n", 7) == 7 ? close(fd) : -1;
}

static int
remove_files(void **state)
{
	(void)state;
	return unlink(password_file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_fingerprint_stands_for_name_and_authority),
		cmocka_unit_test(
		    test_opportunity_is_taken_and_never_taken_back),
		cmocka_unit_test(test_trap_for_freed_passwords_works),
		cmocka_unit_test(test_account_is_used_before_anything_else),
		cmocka_unit_test(
		    test_account_is_used_again_where_xclient_tells_no_name),
		cmocka_unit_test(test_secrets_that_cannot_be_read_are_an_error),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
