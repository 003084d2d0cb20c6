/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The second half of reading: values, defaults, modules, listeners, printing.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/load.h"
#include "config_rig.h"

static struct config *
load_good(const char *text)
{
	const char *said;
	struct config *c = config_rig_text(text, &said);

	assert_string_equal(said, "");
	assert_non_null(c);
	return c;
}

static void
expect_said(const char *text, const char *expected)
{
	const char *said;
	struct config *c = config_rig_text(text, &said);

	assert_string_equal(said, expected);
	config_free(&c);
}

static void
test_a_short_configuration_gets_safe_defaults(void **state)
{
	struct config *c = load_good(CONFIG_GOOD);

	(void)state;
	assert_string_equal(c->hostname, "smtp.example.org");
	assert_true(c->session_workers >= 1);
	assert_int_equal(c->auth_workers, 8);
	assert_int_equal(c->policy_workers, 4);
	assert_string_equal(c->user, "portero");
	assert_string_equal(c->control_socket, PORTERO_RUN_DIR "/control");
	assert_string_equal(c->state_dir, PORTERO_STATE_DIR);
	assert_string_equal(c->plugin_dir, PORTERO_PLUGIN_DIR);
	assert_string_equal(c->pid_file, "");
	assert_null(c->help_url);
	assert_int_equal(c->bare_newline, SMTP_NEWLINE_NORMALIZE);
	assert_int_equal(c->max_recipients, 1000);
	assert_int_equal(c->login_timeout_ms, 60000);
	assert_int_equal(c->auth_deadline_ms, 5000);
	assert_int_equal(c->policy_deadline_ms, 1000);
	assert_int_equal(c->drain_timeout_ms, 620000);
	assert_int_equal(c->log_to, CONFIG_LOG_STDERR);
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->tls[0].profile, CONFIG_PROFILE_INTERMEDIATE);
	assert_int_equal(c->listens[0].max_size, 50 << 20);
	assert_string_equal(c->listens[0].address[0], "*");
	assert_false(c->listens[0].proxy);
	assert_int_equal(c->host.connections, 50);
	assert_int_equal(c->network.rate, 240);
	assert_int_equal(c->exempt.n, 2);
	assert_int_equal(c->max_transactions, 20);
	assert_string_equal(c->upstreams[0].hosts[0].name, "mail.example.org");
	assert_int_equal(c->upstreams[0].hosts[0].port, 25);
	assert_int_equal(c->upstreams[0].tls, CONFIG_UPSTREAM_STARTTLS);
	assert_true(c->upstreams[0].verify);
	assert_int_equal(c->upstreams[0].dot_timeout_ms, 600000);
	assert_int_equal(c->upstreams[0].resolve_every_s, 60);
	config_free(&c);
}

static void
test_values_set_in_the_file_arrive(void **state)
{
	struct config *c = load_good(CONFIG_GOOD
	    "session_workers = 3 auth_timeout = 250ms state_dir = \"\"\n"
	    "bare_newline = reject help_url = 'https://help.example.org/e/'\n"
	    "log { to = file file = /var/log/portero level = debug }\n"
	    "tls \"second\" { certificate = {/e.crt, /r.crt} profile = modern\n"
	    " key = {/e.key}\n key += {/r.key} }\n"
	    "listen \"b\" { address = {\"192.0.2.1\", \"[::1]\"} port = 587\n"
	    " tls = starttls max_size = 10K backlog = 7\n"
	    " proxy = required proxy_from = {\"192.0.2.0/24\", \"::1\"} }\n"
	    "max_host_rate = unlimited max_network_connections = 7\n");

	(void)state;
	assert_int_equal(c->session_workers, 3);
	assert_int_equal(c->auth_deadline_ms, 250);
	assert_string_equal(c->state_dir, "");
	assert_int_equal(c->bare_newline, SMTP_NEWLINE_REJECT);
	assert_string_equal(c->help_url, "https://help.example.org/e");
	assert_int_equal(c->log_to, CONFIG_LOG_FILE);
	assert_string_equal(c->log_file, "/var/log/portero");
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->ntls, 2);
	assert_string_equal(c->tls[0].title, "");
	assert_string_equal(c->tls[1].title, "second");
	assert_int_equal(c->tls[1].profile, CONFIG_PROFILE_MODERN);
	assert_string_equal(c->tls[1].certificate[1], "/r.crt");
	assert_string_equal(c->tls[1].key[0], "/e.key");
	assert_string_equal(c->tls[1].key[1], "/r.key");
	assert_null(c->tls[1].key[2]);
	assert_int_equal(c->tls[1].at.line, 12);
	assert_int_equal(c->listens[1].tls, CONFIG_TLS_STARTTLS);
	assert_int_equal(c->listens[1].max_size, 10240);
	assert_int_equal(c->listens[1].backlog, 7);
	assert_true(c->listens[1].proxy);
	assert_int_equal(c->listens[1].proxy_from.n, 2);
	assert_int_equal(c->host.rate, PORTERO_UNLIMITED);
	assert_int_equal(c->network.connections, 7);
	config_free(&c);
}

static void
test_modules_come_in_the_order_of_the_file(void **state)
{
	struct config *c = load_good(CONFIG_GOOD
	    "policy \"big\" { plugin = policy_size mode = monitor }\n"
	    "auth \"x\" { plugin = unseen anything = {1, 2} }\n");
	const struct portero_conf *o;

	(void)state;
	assert_int_equal(c->nmodules, 5);
	assert_int_equal(c->modules[0].kind, CONFIG_AUTH);
	assert_int_equal(c->modules[1].kind, CONFIG_STORE);
	assert_string_equal(c->modules[1].title, "");
	assert_int_equal(c->modules[2].kind, CONFIG_POLICY);
	assert_string_equal(c->modules[2].title, "quota");
	assert_int_equal(c->modules[2].mode, CONFIG_ENFORCE);
	assert_string_equal(c->modules[3].plugin, "policy_size");
	assert_int_equal(c->modules[3].mode, CONFIG_MONITOR);
	assert_null(c->modules[4].options);

	o = c->modules[3].options;
	assert_int_equal(config_get_int(o, "max"), 25 << 20);
	assert_false(config_is_set(o, "max"));
	o = c->modules[2].options;
	assert_int_equal(config_section_count(o, "limit"), 1);
	o = config_section(o, "limit", 0);
	assert_string_equal(config_title(o), "hourly");
	assert_true(config_is_set(o, "messages"));
	assert_int_equal(config_get_int(o, "messages"), 100);
	assert_int_equal(config_get_int(o, "per"), 3600);
	assert_null(config_section(c->modules[2].options, "limit", 1));
	config_free(&c);
}

static void
test_a_secret_takes_the_place_of_its_path(void **state)
{
	struct config *c = load_good(CONFIG_GOOD
	    "auth \"s\" { plugin = auth_secret password_file = /secret }\n");
	struct portero_conf *o = c->modules[3].options;
	struct buf text = { 0 };

	(void)state;
	assert_string_equal(config_get_string(o, "password_file"), "/secret");
	config_set_secret(o, "password_file", STR("old"));
	config_set_secret(o, "password_file", STR("canary"));
	assert_string_equal(config_get_string(o, "password_file"), "canary");
	assert_int_equal(config_list_length(o, "uri"), 2);
	assert_string_equal(config_list_item(o, "uri", 1), "ldap://b");
	assert_null(config_list_item(o, "uri", 2));
	config_print(c, true, &text);
	buf_append(&text, "", 1);
	assert_null(strstr(buf_data(&text), "canary"));
	assert_non_null(strstr(buf_data(&text), "\"/secret\""));
	buf_free(&text);
	config_free(&c);
}

static void
collect(void *arg, const char *path)
{
	buf_appendf(arg, "%s ", path);
}

static void
test_files_of_modules_are_found_without_their_tables(void **state)
{
	static const char text[] = CONFIG_GOOD
	    "auth \"x\" { plugin = unseen a_file = {'/1', \"/\\\"2\"} b = /3\n"
	    " inner \"i\" { c_file = /4 } file = /5 }\n"
	    "policy \"y\" { plugin = unseen d_file = /6 }\n";
	struct config *c = load_good(text);
	struct buf found = { 0 };

	(void)state;
	config_each_file(c, CONFIG_AUTH, collect, &found);
	buf_append(&found, "", 1);
	assert_string_equal(buf_data(&found), "/4 /1 /\"2 ");
	buf_free(&found);
	config_each_file(c, CONFIG_POLICY, collect, &found);
	buf_append(&found, "", 1);
	assert_string_equal(buf_data(&found), "/6 ");
	buf_free(&found);
	config_free(&c);
}

static void
test_listeners_are_flattened_in_order(void **state)
{
	struct config *c = load_good(CONFIG_GOOD
	    "listen \"b\" { address = {\"192.0.2.1\", \"[2001:db8::1]\"}\n"
	    " port = 587 tls = starttls }\n");
	struct config_socket to[3];
	char text[INET6_ADDRSTRLEN];

	(void)state;
	assert_int_equal(config_sockets(c, NULL, 0), 3);
	assert_int_equal(config_sockets(c, to, 2), 3);
	assert_int_equal(config_sockets(c, to, 3), 3);
	assert_ptr_equal(to[0].listen, &c->listens[0]);
	assert_int_equal(
	    ((struct sockaddr_in *)&to[1].address)->sin_port, htons(587));
	assert_int_equal(to[1].address_len, sizeof(struct sockaddr_in));
	assert_int_equal(to[2].address.ss_family, AF_INET6);
	inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&to[2].address)->sin6_addr,
	    text, sizeof text);
	assert_string_equal(text, "2001:db8::1");
	config_free(&c);
}

static void
test_upstream_hosts_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *host;
		int port;
	} hosts[] = { { "mail", "mail", 25 }, { "mail:2525", "mail", 2525 },
		{ "192.0.2.1", "192.0.2.1", 25 },
		{ "[2001:db8::1]:26", "2001:db8::1", 26 },
		{ "[::1]", "::1", 25 } };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		char *text =
		    xasprintf("hostname = a\n"
			      "tls { certificate = /c key = /k }\n"
			      "listen \"l\" { port = 465 tls = implicit }\n"
			      "auth \"p\" { plugin = unseen }\n"
			      "upstream { hosts = \"%s\" }\n",
			hosts[i].text);
		struct config *c = load_good(text);

		assert_string_equal(c->upstreams[0].hosts[0].name, hosts[i].host);
		assert_int_equal(c->upstreams[0].hosts[0].port, hosts[i].port);
		config_free(&c);
		free(text);
	}
}

static void
test_wrong_upstream_hosts_are_refused(void **state)
{
	static const char *const hosts[] = { "", ":25", "mail:", "mail:0",
		"mail:65536", "mail:-1", "mail:025", "[mail]", "[192.0.2.1]:25",
		"[::1", "[::1]25", "::1", "a..b", "-a", "a b", "[]:25" };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		char *text =
		    xasprintf("hostname = a\n"
			      "tls { certificate = /c key = /k }\n"
			      "listen \"l\" { port = 465 tls = implicit }\n"
			      "auth \"p\" { plugin = unseen }\n"
			      "upstream { hosts = \"%s\" }\n",
			hosts[i]);
		const char *said;
		struct config *c = config_rig_text(text, &said);

		assert_non_null(strstr(said, "x.conf:5: error: hosts = "));
		config_free(&c);
		free(text);
	}
}

static const char start_of_all[] =
    "hostname = a\n"
    "tls { certificate = /c key = /k }\n"
    "listen \"l\" { port = 465 tls = implicit }\n"
    "auth \"p\" { plugin = unseen }\n";

static void
test_upstreams_are_numbered_through(void **state)
{
	char *text = xasprintf("%s%s", start_of_all,
	    "upstream { hosts = {a, \"b:26\"} }\n"
	    "upstream \"spare\" { hosts = c priority = 2 dot_timeout = 1m }\n"
	    "upstream \"bulk\" { hosts = {d, a} classes = {news, list} }\n");
	struct config *c = load_good(text);

	(void)state;
	assert_int_equal(c->nupstreams, 3);
	assert_int_equal(c->nhosts, 5);
	assert_int_equal(c->dot_timeout_ms, 600000);
	assert_string_equal(c->upstreams[0].title, "");
	assert_int_equal(c->upstreams[0].nhosts, 2);
	assert_int_equal(c->upstreams[0].hosts[1].port, 26);
	assert_int_equal(c->upstreams[0].priority, 1);
	assert_null(c->upstreams[0].classes[0]);
	assert_int_equal(c->upstreams[1].first, 2);
	assert_int_equal(c->upstreams[1].priority, 2);
	assert_string_equal(c->upstreams[2].title, "bulk");
	assert_int_equal(c->upstreams[2].first, 3);
	assert_string_equal(c->upstreams[2].classes[1], "list");
	config_free(&c);
	free(text);
}

static void
test_upstreams_that_contradict_each_other_are_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "upstream { hosts = {a, \"A:25\"} }\n",
		    "x.conf:5: error: hosts = \"A:25\" stands there twice\n" },
		{ "upstream { hosts = a }\nupstream { hosts = b }\n",
		    "x.conf:6: error: " },
		{ "upstream { hosts = a }\nupstream \"s\" { hosts = b }\n",
		    "x.conf:6: error: upstream \"s\" has the priority of "
		    "upstream \"\" for the same people" },
		{ "upstream { hosts = a }\n"
		  "upstream \"s\" { hosts = b classes = {x, y} }\n"
		  "upstream \"t\" { hosts = c classes = y }\n",
		    "x.conf:7: error: upstream \"t\" has the priority of" },
		{ "upstream \"s\" { hosts = b classes = x }\n",
		    "x.conf:5: error: all sections upstream have classes" },
		{ "upstream { hosts = a classes = {} }\n",
		    "x.conf:5: error: classes is empty" },
		{ "upstream { hosts = a }\n"
		  "upstream \"s\" { hosts = b classes = {\"\"} }\n",
		    "x.conf:6: error: classes = \"\" is not the name" },
		{ "upstream { hosts = a priority = 0 }\n",
		    "x.conf:5: error: priority = 0 " },
		{ "upstream \"s t\" { hosts = a }\n",
		    "x.conf:5: error: the title \"s t\" of upstream" },
		{ "upstream { hosts = {a01,a02,a03,a04,a05,a06,a07,a08,a09,a10,"
		  "a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,"
		  "a26,a27,a28,a29,a30,a31,a32,a33} }\n",
		    "x.conf:5: error: more than 32 hosts" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = xasprintf("%s%s", start_of_all, cases[i].text);
		const char *said;
		struct config *c = config_rig_text(text, &said);

		if (strstr(said, cases[i].said) == NULL)
			fail_msg("case %zu: %s", i, said);
		config_free(&c);
		free(text);
	}
}

static void
test_contradictions_of_the_upstream_are_refused(void **state)
{
	static const struct {
		const char *options, *said;
	} table[] = {
		{ "tls = none ca_file = \"/ca\"",
		    "ca_file means nothing with tls = none" },
		{ "tls = opportunistic verify = yes",
		    "verify means nothing with tls = opportunistic" },
		{ "tls = opportunistic fingerprints = {\"00\"}",
		    "fingerprints means nothing with tls = opportunistic" },
		{ "fingerprints = {\"00:11\"}",
		    "\"00:11\" is not a SHA-256 fingerprint" },
		{ "fingerprints = {\"0:0\"}", "is not a SHA-256 fingerprint" },
		{ "verify = no fingerprints = {"
		  "\"000102030405060708090a0b0c0d0e0f"
		  "000102030405060708090A0B0C0D0E0F\"}",
		    "verify = no and fingerprints contradict each other" },
		{ "certificate = \"/c\"",
		    "certificate and key belong together" },
		{ "key = \"/k\"", "certificate and key belong together" },
		{ "user = u", "user and password_file belong together" },
		{ "password_file = \"/p\"",
		    "user and password_file belong together" },
		{ "tls = opportunistic user = u password_file = \"/p\"",
		    "the password would go to whoever answers" },
		{ "verify = no user = u password_file = \"/p\"",
		    "the password would go to whoever answers" },
		{ "user = \"\" password_file = \"/p\"",
		    "user must have 1 to 255 bytes" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char *text =
		    xasprintf("hostname = a\n"
			      "tls { certificate = /c key = /k }\n"
			      "listen \"l\" { port = 465 tls = implicit }\n"
			      "auth \"p\" { plugin = unseen }\n"
			      "upstream { hosts = a %s }\n",
			table[i].options);
		const char *said;
		struct config *c = config_rig_text(text, &said);

		if (strstr(said, table[i].said) == NULL ||
		    strstr(said, "x.conf:5: error: ") == NULL)
			fail_msg("%s: %s", table[i].options, said);
		config_free(&c);
		free(text);
	}
}

static void
test_lints_warn_and_do_not_refuse(void **state)
{
	char text[512];

	(void)state;
	snprintf(text, sizeof text, "%s%s", start_of_all,
	    "upstream { hosts = {\"127.0.0.1\"} tls = none }\n");
	expect_said(text, "");
	snprintf(text, sizeof text, "%s%s", start_of_all,
	    "upstream { hosts = {\"mail\"} tls = none\n dot_timeout = 15m }\n");
	expect_said(text,
	    "x.conf:1: warning: drain_timeout is shorter than "
	    "upstream.dot_timeout: a reload may cut messages whose answer is "
	    "awaited\n"
	    "x.conf:5: warning: mail goes to mail in the clear\n"
	    "0 errors, 2 warnings\n");
}

static void
test_printing_can_be_read_again(void **state)
{
	struct config *c =
	    load_good(CONFIG_GOOD "help_url = \"https://h/\\\"\\\\\\$\"\n"
				  "policy \"y\" { plugin = unseen d_file = /6\n"
				  " inner { a = {1,\n2} } }\n");
	struct buf first = { 0 }, second = { 0 };

	(void)state;
	config_print(c, false, &first);
	buf_append(&first, "", 1);
	config_free(&c);
	assert_null(strstr(buf_data(&first), "default"));
	assert_non_null(strstr(buf_data(&first), "inner { a = {1, 2} }"));
	assert_non_null(strstr(buf_data(&first), "# x.conf:7\n"));

	/* lines move; what is set does not */
	c = load_good(buf_data(&first));
	assert_string_equal(c->help_url, "https://h/\"\\$");
	config_print(c, true, &second);
	buf_append(&second, "", 1);
	config_free(&c);
	c = load_good(buf_data(&second));
	assert_int_equal(c->drain_timeout_ms, 620000);
	assert_int_equal(c->nmodules, 4);
	config_free(&c);
	buf_free(&first);
	buf_free(&second);
}

static void
test_what_needs_a_restart_is_named(void **state)
{
	struct config *a = load_good(CONFIG_GOOD "control_socket = /a\n");
	struct config *b = load_good(CONFIG_GOOD
	    "idle_timeout = 9s\n"
	    "control_socket = /b\nstate_dir = \"" PORTERO_STATE_DIR "\"\n");
	struct config_messages *m = config_messages_new();
	struct buf said = { 0 };

	(void)state;
	assert_int_equal(config_needs_restart(a, a, m), 0);
	assert_int_equal(config_needs_restart(a, b, m), 1);
	config_messages_print(m, &said);
	buf_append(&said, "", 1);
	assert_string_equal(buf_data(&said),
	    "x.conf:10: warning: "
	    "control_socket changed: needs a restart; the old value stays "
	    "until then\n0 errors, 1 warning\n");
	buf_free(&said);
	config_messages_free(&m);
	config_free(&a);
	config_free(&b);
}

static void
test_a_near_plugin_is_offered(void **state)
{
	char dir[] = "/tmp/test_config.XXXXXX", path[64], text[1024];
	const char *said;
	struct config *c;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/policy_size.so", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	snprintf(text, sizeof text,
	    "%splugin_dir = \"%s\"\n"
	    "policy \"p\" { plugin = policy_sise }\n",
	    CONFIG_GOOD, dir);
	c = config_rig_text(text, &said);
	assert_string_equal(said, "x.conf:10: error: there is no plugin "
				  "policy_sise; did you mean \"policy_size\"?\n"
				  "1 error, 0 warnings\n");
	config_free(&c);
	unlink(path);
	rmdir(dir);
}

static void
test_help_knows_every_option_it_lists(void **state)
{
	struct buf all = { 0 }, one = { 0 };
	char *line, *rest;
	size_t n = 0;

	(void)state;
	assert_int_equal(config_help(NULL, &all), 0);
	buf_append(&all, "", 1);
	for (line = strtok_r(all.mem, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *name = line;

		assert_true(strlen(line) <= 84);
		if (*name == ' ')
			continue;
		name = xstrndup(line, strcspn(line, " "));
		assert_int_equal(config_help(name, &one), 0);
		buf_append(&one, "", 1);
		assert_memory_equal(buf_data(&one), line, strlen(line));
		buf_free(&one);
		free(name);
		n++;
	}
	assert_true(n > 50);
	assert_int_equal(config_help("listen.por", &one), -1);
	assert_int_equal(config_help("listen.", &one), -1);
	assert_int_equal(config_help("listen.port.x", &one), -1);
	assert_int_equal(config_help("hostname.x", &one), -1);
	assert_int_equal(config_help("", &one), -1);
	assert_int_equal(config_help("upstream.reply_timeout", &one), 0);
	buf_append(&one, "", 1);
	assert_string_equal(buf_data(&one),
	    "upstream.reply_timeout = duration\n"
	    "    The upstream's answer to MAIL, RCPT and DATA.\n"
	    "    Default: 60s. Range: 100ms to 1h.\n");
	buf_free(&one);
	buf_free(&all);
}

static void
test_help_on_the_options_of_a_plugin(void **state)
{
	static const struct portero_option inner[] = {
		{ "per", PORTERO_OPT_DURATION, .help = "Window.", .min = 1,
		    .max = 60 },
		{ .name = NULL },
	};
	static const struct portero_option options[] = {
		{ "max", PORTERO_OPT_SIZE, "25M", .help = "Size." },
		{ "limit", PORTERO_OPT_SECTION, .help = "A limit.",
		    .section = inner },
		{ .name = NULL },
	};
	static const struct {
		const char *name, *text;
	} cases[] = {
		{ NULL, "x.max = size\n    Size.\n    Default: 25M.\n"
			"x.limit \"name\" { ... }\n    A limit.\n"
			"x.limit.per = duration\n    Window.\n"
			"    Range: 1s to 1m.\n" },
		{ "max", "x.max = size\n    Size.\n    Default: 25M.\n" },
		{ "limit.per", "x.limit.per = duration\n    Window.\n"
			       "    Range: 1s to 1m.\n" },
		{ "limit.x", NULL },
		{ "max.x", NULL },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(
		    config_help_plugin("x", options, cases[i].name, &out),
		    cases[i].text == NULL ? -1 : 0);
		buf_append(&out, "", 1);
		assert_string_equal(buf_data(&out),
		    cases[i].text == NULL ? "" : cases[i].text);
		buf_free(&out);
	}
	assert_int_equal(config_help_plugin("x", NULL, NULL, &out), 0);
	assert_true(buf_len(&out) > 0);
	buf_free(&out);
}

static void
test_a_name_outside_the_table_ends_the_process(void **state)
{
	struct config *c = load_good(CONFIG_GOOD);
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		fclose(stderr);
		config_get_int(c->modules[0].options, "users_file");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	config_free(&c);
}

static void
test_a_text_that_is_not_resolved_is_refused(void **state)
{
	struct config_messages *m = config_messages_new();

	(void)state;
	assert_null(
	    config_load_text(CONFIG_GOOD, strlen(CONFIG_GOOD), NULL, m));
	assert_null(config_load_text("", 0, NULL, m));
	assert_int_equal(config_errors(m), 2);
	config_messages_free(&m);
}

static void
test_the_example_is_good(void **state)
{
	const char *top = getenv("srcdir"), *said;
	char *path = xasprintf("%s/conf/portero.conf", top == NULL ? "." : top);
	struct config *c = config_rig_file(path, &said);

	(void)state;
	assert_string_equal(said, "");
	assert_int_equal(c->nlistens, 2);
	config_free(&c);
	free(path);
}

static int
end(void **state)
{
	(void)state;
	config_rig_end();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_short_configuration_gets_safe_defaults),
		cmocka_unit_test(test_values_set_in_the_file_arrive),
		cmocka_unit_test(test_modules_come_in_the_order_of_the_file),
		cmocka_unit_test(test_a_secret_takes_the_place_of_its_path),
		cmocka_unit_test(
		    test_files_of_modules_are_found_without_their_tables),
		cmocka_unit_test(test_listeners_are_flattened_in_order),
		cmocka_unit_test(test_upstream_hosts_are_taken_apart),
		cmocka_unit_test(test_wrong_upstream_hosts_are_refused),
		cmocka_unit_test(test_upstreams_are_numbered_through),
		cmocka_unit_test(
		    test_upstreams_that_contradict_each_other_are_refused),
		cmocka_unit_test(
		    test_contradictions_of_the_upstream_are_refused),
		cmocka_unit_test(test_lints_warn_and_do_not_refuse),
		cmocka_unit_test(test_printing_can_be_read_again),
		cmocka_unit_test(test_what_needs_a_restart_is_named),
		cmocka_unit_test(test_a_near_plugin_is_offered),
		cmocka_unit_test(test_help_knows_every_option_it_lists),
		cmocka_unit_test(test_help_on_the_options_of_a_plugin),
		cmocka_unit_test(
		    test_a_name_outside_the_table_ends_the_process),
		cmocka_unit_test(test_a_text_that_is_not_resolved_is_refused),
		cmocka_unit_test(test_the_example_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
