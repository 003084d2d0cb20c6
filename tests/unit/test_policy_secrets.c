/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Secrets of plugins: read before their options are known, put in place of
 * their paths after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_rig.h"
#include "policy/plugin.h"
#include "policy/secrets.h"

#define LONG 10000 /* more than a secret may have */

static char dir[] = "/tmp/portero-secrets-XXXXXX", ca[64], password[64];
static struct config *config;
static struct secrets *secrets;

static void
write_file(const char *path, const char *text, size_t times, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	while (times-- > 0)
		fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

/* A plugin with a file that anybody may read and a secret. */
static int
setup(void **state)
{
	const char *messages;
	char text[512];

	(void)state;
	memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(ca, sizeof ca, "%s/ca", dir);
	snprintf(password, sizeof password, "%s/password", dir);
	write_file(ca, "certificate\n", LONG / 12, 0644);
	write_file(password, "canary\n", 1, 0600);
	snprintf(text, sizeof text,
	    "hostname = smtp.example.org\n"
	    "tls { certificate = /c key = /k }\n"
	    "listen \"l\" { port = 465 tls = implicit }\n"
	    "upstream { hosts = a }\n"
	    "auth \"a\" { plugin = auth_secret ca_file = %s "
	    "password_file = %s }\n",
	    ca, password);
	config = config_rig_text(text, &messages);
	assert_string_equal(messages, "");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	secrets_free(&secrets);
	config_free(&config);
	unlink(ca);
	unlink(password);
	config_rig_end();
	return rmdir(dir);
}

static int
put(unsigned kinds, struct error *err)
{
	static const struct portero_option options[] = {
		{ "password_file", PORTERO_OPT_SECRET, .help = "Password." },
		{ "ca_file", PORTERO_OPT_FILE, .help = "Authorities." },
		{ .name = NULL }
	};

	secrets = secrets_read(config, kinds);
	return secrets_put(secrets, config->modules[0].options, options, err);
}

static void
test_a_secret_takes_the_place_of_its_path_and_other_files_do_not(void **state)
{
	const struct portero_conf *options = config->modules[0].options;
	struct error err;

	(void)state;
	assert_int_equal(put(PLUGIN_KIND(CONFIG_AUTH), &err), 0);
	assert_string_equal(config_get_string(options, "password_file"),
	    "canary");
	assert_string_equal(config_get_string(options, "ca_file"), ca);
}

static void
test_a_secret_must_be_private(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(chmod(password, 0644), 0);
	assert_int_equal(put(PLUGIN_KIND(CONFIG_AUTH), &err), -1);
	assert_non_null(strstr(err.text, "is open to others"));
	assert_null(strstr(err.text, "canary"));
}

static void
test_a_secret_must_be_there(void **state)
{
	struct error err;

	(void)state;
	unlink(password);
	assert_int_equal(put(PLUGIN_KIND(CONFIG_AUTH), &err), -1);
	assert_non_null(strstr(err.text, "No such file"));
}

static void
test_secrets_of_other_kinds_are_not_read(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(put(PLUGIN_KIND(CONFIG_POLICY), &err), -1);
	assert_non_null(strstr(err.text, "was not read"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_secret_takes_the_place_of_its_path_and_other_files_do_not),
		T(test_a_secret_must_be_private),
		T(test_a_secret_must_be_there),
		T(test_secrets_of_other_kinds_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
