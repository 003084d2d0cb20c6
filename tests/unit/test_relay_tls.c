/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * TLS to the upstream: what is good enough, and that nothing is said when it
 * is not. Probes, which see the same.
 */
#include "relay_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/error.h"
#include "relay/relay_private.h"

#define HELLO "220 mx", "< EHLO portero.example.org"
#define OFFER "250-mx", "250 STARTTLS"
#define SECURE "< EHLO portero.example.org", "250-mx", "250 PIPELINING"
#define OK "250 ok"
#define MESSAGE "< MAIL", "< RCPT", "< DATA", OK, OK, "354 go", "body", OK
#define UPGRADE HELLO, OFFER, "< STARTTLS", "alone", "220 go"
#define SENT "MAIL 250 RCPT 250 DATA 354 DOT 250"

static char ca_file[] = "/tmp/portero-test-ca-XXXXXX";
static char other_file[] = "/tmp/portero-test-ca-XXXXXX";

/* What the fake shows, and what the configuration asks for. */
struct trust {
	const char *certificate; /* the name in it */
	const char *host, *tls_name;
	bool other_ca, no_verify;
	bool good;
	const char *detail; /* a part of the reason, if not good */
};

static const struct trust trusts[] = {
	{ .certificate = "mx.example.net",
	    .host = "mx.example.net",
	    .good = true },
	{ .certificate = "mx.example.net",
	    .host = "192.0.2.1",
	    .tls_name = "mx.example.net",
	    .good = true },
	{ .certificate = "192.0.2.1", .host = "192.0.2.1", .good = true },
	{ .certificate = "*.example.net",
	    .host = "mx.example.net",
	    .good = true },
	{ .certificate = "evil.test",
	    .host = "mx.example.net",
	    .detail = "ostname mismatch" },
	{ .certificate = "192.0.2.2",
	    .host = "192.0.2.1",
	    .detail = "IP address mismatch" },
	{ .certificate = "mx.example.net",
	    .host = "mx.example.net",
	    .tls_name = "other.example.net",
	    .detail = "ostname mismatch" },
	{ .certificate = "mx.example.net",
	    .host = "mx.example.net",
	    .other_ca = true,
	    .detail = "self-signed" },
	{ .certificate = "evil.test",
	    .host = "mx.example.net",
	    .other_ca = true,
	    .no_verify = true,
	    .good = true },
};

static void
use(struct rig *r, const struct trust *t, enum config_upstream_tls tls)
{
	SSL_CTX *other = fake_tls_new("mx.example.net", other_file);

	r->fake.tls = fake_tls_new(t->certificate, ca_file);
	r->config.tls = tls;
	r->host.name = (char *)(uintptr_t)t->host;
	r->config.tls_name = (char *)(uintptr_t)t->tls_name;
	r->config.ca_file = t->other_ca ? other_file : ca_file;
	r->config.verify = !t->no_verify;
	SSL_CTX_free(other);
}

static void
check_trust(const struct trust *t, enum config_upstream_tls tls)
{
	static const char *const scripts[2][2][20] = {
		{ { "tls", "end", NULL }, { UPGRADE, "tls", "end", NULL } },
		{ { "tls", HELLO, "250-mx", "250 PIPELINING", MESSAGE, NULL },
		    { UPGRADE, "tls", SECURE, MESSAGE, NULL } },
	};
	struct rig rig, *r = &rig;
	struct owner o = { 0 };

	rig_open(r);
	use(r, t, tls);
	fake_script(
	    &r->fake, 0, scripts[t->good][tls == CONFIG_UPSTREAM_STARTTLS]);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, t->good ? SENT : "tls");
	if (!t->good && strstr(o.detail, t->detail) == NULL)
		fail_msg("the reason is \"%s\"", o.detail);
	if (t->good && t->host[0] == 'm')
		assert_string_equal(r->fake.sni, t->host);
	if (!t->good)
		assert_int_equal(rig_counter(r, COUNTER_UPSTREAM_FAILED), 1);
	rig_close(r);
}

static void
test_certificates_are_verified_for_the_name(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(trusts) / sizeof(trusts[0]); i++) {
		check_trust(&trusts[i], CONFIG_UPSTREAM_IMPLICIT);
		check_trust(&trusts[i], CONFIG_UPSTREAM_STARTTLS);
	}
}

struct upgrade {
	const char *name;
	const char *script[14];
	const char *said, *detail;
};

static const struct upgrade upgrades[] = {
	{ "STARTTLS is not offered", { HELLO, "250-mx", "250 SIZE", "end" },
	    "tls", "not offered" },
	{ "HELO only", { HELLO, "500 what?", "< HELO", "250 mx", "end" }, "tls",
	    "not offered" },
	{ "refused", { HELLO, OFFER, "< STARTTLS", "454 no", "end" }, "tls",
	    "STARTTLS: 454 no" },
	{ "no TLS behind the 220",
	    { HELLO, OFFER, "< STARTTLS", "220 go", "pause", "220 hello" },
	    "tls", "TLS: " },
	{ "closed instead of a handshake",
	    { HELLO, OFFER, "< STARTTLS", "220 go", "close" }, "tls",
	    "TLS: closed" },
	{ "a reply behind the 220",
	    { HELLO, OFFER, "< STARTTLS",
		"> 220 go\r\n250-mx\r\n250 PIPELINING\r\n", "end" },
	    "broken", "bytes behind the answer to STARTTLS" },
	{ "half a line behind the 220",
	    { HELLO, OFFER, "< STARTTLS", "> 220 go\r\n2", "end" }, "broken",
	    "bytes behind the answer to STARTTLS" },
	{ "the answer to STARTTLS before it was asked for",
	    { HELLO, "250-mx", "250 STARTTLS", "220 go", "end" }, "broken",
	    "before its question" },
	{ "closed after the handshake",
	    { HELLO, OFFER, "< STARTTLS", "220 go", "tls", "< EHLO", "close" },
	    "away", "closed by the upstream" },
	{ "silent in the handshake",
	    { HELLO, OFFER, "< STARTTLS", "220 go", "pause" }, "away",
	    "no answer in time" },
};

static void
test_upgrade_that_fails_says_nothing_in_plaintext(void **state)
{
	struct rig rig, *r = &rig;
	struct owner o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(upgrades) / sizeof(upgrades[0]); i++) {
		memset(&o, 0, sizeof(o));
		rig_open(r);
		use(r, &trusts[0], CONFIG_UPSTREAM_STARTTLS);
		if (strstr(upgrades[i].name, "silent") != NULL)
			r->config.connect_timeout_ms = 60;
		fake_script(&r->fake, 0, upgrades[i].script);
		rig_start(r);
		rig_send(r, &o, 1);
		if (r->fake.error[0] != '\0' ||
		    strcmp(o.said, upgrades[i].said) != 0 ||
		    strstr(o.detail, upgrades[i].detail) == NULL)
			fail_msg("%s: said \"%s\" (%s), upstream: %s",
			    upgrades[i].name, o.said, o.detail, r->fake.error);
		rig_close(r);
	}
}

/* STARTTLS stood in the first EHLO reply only, PIPELINING in the second. */
static void
test_offer_before_tls_is_forgotten(void **state)
{
	static const char *const script[] = { HELLO, "250-mx", "250-PIPELINING",
		"250-SIZE 99", "250 STARTTLS", "< STARTTLS", "220 go", "tls",
		"< EHLO", "250 mx", "< MAIL FROM:<ana@example.org>", "alone",
		OK, "< RCPT", "alone", OK, "< DATA", "354 go", "body", OK,
		NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	use(r, &trusts[0], CONFIG_UPSTREAM_STARTTLS);
	fake_script(&r->fake, 0, script);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
}

static void
test_old_protocols_are_refused(void **state)
{
	static const char *const script[] = { "tls", "end", NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	use(r, &trusts[0], CONFIG_UPSTREAM_IMPLICIT);
	SSL_CTX_set_min_proto_version(r->fake.tls, TLS1_1_VERSION);
	SSL_CTX_set_max_proto_version(r->fake.tls, TLS1_1_VERSION);
	SSL_CTX_set_security_level(r->fake.tls, 0);
	fake_script(&r->fake, 0, script);
	rig_start(r);
	SSL_CTX_set_security_level(r->access[0]->tls, 0);
	rig_send(r, &o, 1);
	rig_expect(r, &o, "tls");
}

static void
test_tls_1_2_is_spoken(void **state)
{
	static const char *const script[] = { "tls", HELLO, "250-mx",
		"250 PIPELINING", MESSAGE, MESSAGE, "end", NULL };
	struct rig *r = *state;
	struct owner o = { .body = "x\r\n" };

	use(r, &trusts[0], CONFIG_UPSTREAM_IMPLICIT);
	SSL_CTX_set_max_proto_version(r->fake.tls, TLS1_2_VERSION);
	fake_script(&r->fake, 0, script);
	rig_start(r);
	owner_begin(&o, r, 1, true);
	while (!o.is_over)
		rig_turn(r);
	rig_expect(r, &o, SENT);
	owner_begin(&o, r, 1, true);
	while (!o.is_over)
		rig_turn(r);
	rig_expect(r, &o, SENT);
	assert_int_equal(fake_accepted(&r->fake), 1);
}

/* They are read ahead: no event of the socket tells of the second. */
static void
test_answers_in_several_records_at_once_are_all_seen(void **state)
{
	static const char *const script[] = { "tls", HELLO, "250-mx",
		"250 PIPELINING", "< MAIL", OK, "< RCPT", OK, "< DATA",
		"354 go", "body", OK, NULL };
	struct rig *r = *state;
	struct owner o = { 0 };

	use(r, &trusts[0], CONFIG_UPSTREAM_IMPLICIT);
	fake_script(&r->fake, 0, script);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
}

/* An address whose certificate is bad does not keep us from the next. */
static void
test_next_address_is_tried_after_tls_trouble(void **state)
{
	static const char *const plain[] = { HELLO, "250 mx", "end", NULL };
	static const char *const good[] = { UPGRADE, "tls", SECURE, MESSAGE,
		NULL };
	static const size_t ports[] = { 1, 0 };
	struct rig *r = *state;
	struct owner o = { 0 };

	use(r, &trusts[0], CONFIG_UPSTREAM_STARTTLS);
	rig_publish(r, ports, 2);
	fake_script(&r->fake, 1, plain);
	fake_script(&r->fake, 0, good);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
}

/* The name that the certificate was verified for is not the other's. */
static void
test_session_of_one_host_is_not_resumed_for_another(void **state)
{
	static const char *const good[] = { "tls", HELLO, "250-mx",
		"250 PIPELINING", MESSAGE, "< QUIT", "end", NULL };
	static const char *const bad[] = { "tls", "end", NULL };
	static const size_t port = 0;
	struct config_host hosts[] = { { "other.example.net", 25 },
		{ "mx.example.net", 25 } };
	struct rig *r = *state;
	struct owner o = { 0 };

	use(r, &trusts[0], CONFIG_UPSTREAM_IMPLICIT);
	r->config.idle_connections = 0;
	r->config.hosts = hosts;
	r->config.nhosts = r->whole.nhosts = 2;
	rig_publish_host(r, 1, &port, 1);
	fake_script(&r->fake, 0, good);
	rig_start(r);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
	assert_string_equal(r->fake.sni, "mx.example.net");
	fake_script(&r->fake, 0, bad);
	fake_script(&r->fake, 0, good);
	rig_send(r, &o, 1);
	rig_expect(r, &o, SENT);
	assert_string_equal(r->fake.sni, "mx.example.net");
	assert_non_null(strstr(rig_log(r), "ostname mismatch"));
}

static void
test_unreadable_ca_file_is_an_error(void **state)
{
	struct config_upstream u = { .tls = CONFIG_UPSTREAM_IMPLICIT,
		.verify = true,
		.ca_file = (char *)(uintptr_t) "/nonexistent/ca.pem" };
	const struct config c = { .upstreams = &u, .nupstreams = 1 };
	struct error err;

	(void)state;
	assert_null(relay_access_new(&c, false, &err));
	assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
	assert_non_null(strstr(err.text, "No such file"));
}

/* ---- probes ---- */

struct probed {
	bool done;
	int calls;
	char error[400];
	struct smtp_offer offer;
	struct relay_probe_result result;
	struct relay_probe *probe;
};

static void
on_probed(void *arg, const struct relay_probe_result *result)
{
	struct probed *p = arg;

	p->done = true;
	p->calls++;
	p->result = *result;
	if (result->error == NULL)
		p->offer = result->offer;
	else
		snprintf(p->error, sizeof(p->error), "%s", result->error);
	relay_probe_free(&p->probe);
}

static void
probe_saying(struct rig *r, struct probed *p, const char *const *script,
    const char *const *say)
{
	struct relay_setup setup = {
		.base = r->base,
		.config = &r->whole,
		.shared = r->shared,
		.board = &r->board,
	};
	struct error err;

	memset(p, 0, sizeof(*p));
	if (r->access == NULL)
		r->access = relay_access_new(&r->whole, false, &err);
	setup.access = r->access;
	fake_script(&r->fake, 0, script);
	p->probe = relay_probe_start(&setup, 0, &r->fake.ports[0].address,
	    sizeof(struct sockaddr_in), say, on_probed, p);
	assert_false(p->done);
	rig_run(r, &p->done);
	assert_int_equal(p->calls, 1);
	assert_string_equal(r->fake.error, "");
}

static void
probe(struct rig *r, struct probed *p, const char *const *script)
{
	probe_saying(r, p, script, NULL);
}

static void
test_probe_learns_the_offer(void **state)
{
	static const char *const script[] = { HELLO, "250-mx", "250-SIZE 7777",
		"250 8BITMIME", "< QUIT", "end", NULL };
	struct rig *r = *state;
	struct probed p;

	probe(r, &p, script);
	assert_string_equal(p.error, "");
	assert_int_equal(p.offer.size, 7777);
	assert_int_equal(p.offer.extensions, SMTP_EXT_SIZE | SMTP_EXT_8BITMIME);
}

static void
test_probe_learns_the_offer_behind_tls(void **state)
{
	static const char *const script[] = { UPGRADE, "tls", SECURE, "< QUIT",
		"end", NULL };
	static const char *const plain[] = { HELLO, "250 mx", "end", NULL };
	struct rig *r = *state;
	struct probed p;

	use(r, &trusts[0], CONFIG_UPSTREAM_STARTTLS);
	probe(r, &p, script);
	assert_string_equal(p.error, "");
	assert_int_equal(p.offer.extensions, SMTP_EXT_PIPELINING);
	probe(r, &p, plain);
	assert_non_null(strstr(p.error, "STARTTLS is not offered"));
}

static void
test_probe_tells_what_is_wrong(void **state)
{
	static const char *const closing[] = { "421 busy", "end", NULL };
	static const char *const silent[] = { "220 mx", NULL };
	struct rig *r = *state;
	struct probed p;

	probe(r, &p, closing);
	assert_non_null(strstr(p.error, "greeting: 421 busy"));
	r->config.connect_timeout_ms = 20;
	probe(r, &p, silent);
	assert_non_null(strstr(p.error, "no answer in time"));
}

static void
test_probe_says_what_it_is_told_and_keeps_the_answers(void **state)
{
	static const char *const script[] = { HELLO, "250 mx", "< MAIL FROM:<a>",
		"alone", OK, "< RCPT TO:<b>", "alone", "550 5.1.1 no", "< RSET",
		OK, "< QUIT", "end", NULL };
	static const char *const dies[] = { HELLO, "250 mx", "< MAIL", OK,
		"close", NULL };
	static const char *const say[] = { "MAIL FROM:<a>", "RCPT TO:<b>",
		"RSET", NULL };
	struct rig *r = *state;
	struct probed p;

	probe_saying(r, &p, script, say);
	assert_string_equal(p.error, "");
	assert_int_equal(p.result.nreplies, 3);
	assert_int_equal(p.result.code[1], 550);
	assert_string_equal(p.result.reply[1], "550 5.1.1 no");
	assert_int_equal(p.result.code[2], 250);
	probe_saying(r, &p, dies, say);
	assert_non_null(strstr(p.error, "closed by the upstream"));
}

static int
make_files(void **state)
{
	(void)state;
	close(mkstemp(ca_file));
	close(mkstemp(other_file));
	return 0;
}

static int
remove_files(void **state)
{
	(void)state;
	unlink(ca_file);
	unlink(other_file);
	return 0;
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates_are_verified_for_the_name),
		cmocka_unit_test(
		    test_upgrade_that_fails_says_nothing_in_plaintext),
		TEST(test_offer_before_tls_is_forgotten),
		TEST(test_old_protocols_are_refused),
		TEST(test_tls_1_2_is_spoken),
		TEST(test_answers_in_several_records_at_once_are_all_seen),
		TEST(test_next_address_is_tried_after_tls_trouble),
		TEST(test_session_of_one_host_is_not_resumed_for_another),
		cmocka_unit_test(test_unreadable_ca_file_is_an_error),
		TEST(test_probe_learns_the_offer),
		TEST(test_probe_learns_the_offer_behind_tls),
		TEST(test_probe_tells_what_is_wrong),
		TEST(test_probe_says_what_it_is_told_and_keeps_the_answers),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
