/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Checks of certificates, keys and other files, on ones made here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "config_rig.h"

#define DAY 86400L

static char dir[] = "/tmp/test_config.XXXXXX";

/* A path in the folder; good until the fourth call after. */
static const char *
in(const char *name)
{
	static char paths[4][64];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(paths[i], sizeof paths[i], "%s/%s", dir, name);
	return paths[i];
}

static FILE *
create(const char *name, mode_t mode)
{
	FILE *f = fopen(in(name), "w");

	assert_non_null(f);
	assert_int_equal(chmod(in(name), mode), 0);
	return f;
}

static void
make_key(EVP_PKEY **key, const char *name, mode_t mode)
{
	FILE *f = create(name, mode);

	*key = EVP_EC_gen("P-256");
	assert_non_null(*key);
	assert_int_equal(
	    PEM_write_PrivateKey(f, *key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

/* A self-signed certificate for smtp.example.org. */
static void
make_certificate(EVP_PKEY *key, const char *name, long from_s, long to_s)
{
	FILE *f = create(name, 0644);
	X509 *x = X509_new();

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	    (const unsigned char *)"smtp.example.org", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, x), 1);
	fclose(f);
	X509_free(x);
}

static int
set_up(void **state)
{
	EVP_PKEY *key, *other, *open;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	make_key(&key, "key", 0600);
	make_key(&other, "other", 0640);
	make_key(&open, "open", 0644);
	make_certificate(key, "good", -DAY, 90 * DAY);
	make_certificate(key, "old", -3 * DAY, -DAY);
	make_certificate(key, "early", DAY, 90 * DAY);
	make_certificate(key, "soon", -DAY, 29 * DAY);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	EVP_PKEY_free(open);
	return fclose(create("text", 0600));
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "key", "other", "open", "good",
		"old", "early", "soon", "text" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(in(names[i]));
	config_rig_end();
	return rmdir(dir);
}

/* Checks the files of a configuration with these lines added; @ in expected
 * is the folder. The first two lines are tls and the names. */
static void
check(const char *hostname, const char *certificate, const char *key,
    const char *more, const char *expected)
{
	struct config_messages *m = config_messages_new();
	struct buf said = { 0 }, wanted = { 0 };
	const char *before;
	char text[2048], places[256];
	struct config *c;

	snprintf(places, sizeof places,
	    "control_socket = %s/c chroot_dir = %s/r state_dir = %s/s", dir,
	    dir, dir);
	snprintf(text, sizeof text,
	    "hostname = %s plugin_dir = %s %s\n"
	    "tls { certificate = \"%s\" key = \"%s\" }\n"
	    "user = nobody user_auth = nobody user_policy = nobody\n"
	    "listen \"l\" { port = 465 tls = implicit }\n"
	    "upstream { hosts = a }\n%s%s",
	    hostname, dir, strstr(more, "state_dir") != NULL ? "" : places,
	    in(certificate), in(key), more,
	    strstr(more, "auth ") != NULL ? ""
					  : "auth \"a\" { plugin = unseen }\n");
	c = config_rig_text(text, &before);
	assert_string_equal(before, "");
	config_check_files(c, m);
	config_check_secrets(c, c, m);
	config_messages_print(m, &said);
	buf_append(&said, "", 1);
	for (const char *p = expected; *p != '\0'; p++)
		buf_appendf(
		    &wanted, *p == '@' ? "%s" : "%.1s", *p == '@' ? dir : p);
	buf_append(&wanted, "", 1);
	assert_string_equal(buf_data(&said), buf_data(&wanted));
	buf_free(&said);
	buf_free(&wanted);
	config_messages_free(&m);
	config_free(&c);
}

static void
test_a_good_pair_is_taken(void **state)
{
	(void)state;
	check("smtp.example.org", "good", "key", "", "");
}

static void
test_dates_are_looked_at(void **state)
{
	(void)state;
	check("smtp.example.org", "old", "key", "",
	    "x.conf:2: error: the certificate in @/old has expired\n"
	    "1 error, 0 warnings\n");
	check("smtp.example.org", "early", "key", "",
	    "x.conf:2: error: the certificate in @/early is not valid yet\n"
	    "1 error, 0 warnings\n");
	check("smtp.example.org", "soon", "key", "",
	    "x.conf:2: warning: the certificate in @/soon expires in less than "
	    "30 days\n0 errors, 1 warning\n");
}

static void
test_a_key_must_fit_and_be_closed_to_others(void **state)
{
	(void)state;
	check("smtp.example.org", "good", "other", "",
	    "x.conf:2: error: the key in @/other does not belong to the "
	    "certificate in @/good\n1 error, 0 warnings\n");
	check("smtp.example.org", "good", "open", "",
	    "x.conf:2: error: anyone may read or write @/open; chmod o= would "
	    "help\n1 error, 0 warnings\n");
	check("smtp.example.org", "good", "text", "",
	    "x.conf:2: error: @/text holds no private key in PEM without a "
	    "password\n1 error, 0 warnings\n");
}

static void
test_what_is_not_there_or_no_certificate_is_named(void **state)
{
	(void)state;
	check("smtp.example.org", "none", "key", "",
	    "x.conf:2: error: cannot read @/none: No such file or directory\n"
	    "1 error, 0 warnings\n");
	check("smtp.example.org", "text", "key", "",
	    "x.conf:2: error: @/text holds no certificate in PEM\n"
	    "1 error, 0 warnings\n");
}

static void
test_another_hostname_is_a_warning(void **state)
{
	(void)state;
	check("mail.example.org", "good", "key", "",
	    "x.conf:2: warning: the certificate in @/good does not cover "
	    "hostname mail.example.org\n0 errors, 1 warning\n");
}

static void
test_files_of_modules_are_looked_at(void **state)
{
	(void)state;
	check("smtp.example.org", "good", "key",
	    "auth \"p\" { plugin = auth_file file = /no/users }\n"
	    "policy \"q\" { plugin = unseen\n file = /no/x }\n",
	    "x.conf:6: error: cannot read /no/users: No such file or "
	    "directory\n"
	    "x.conf:8: error: cannot read /no/x: No such file or directory\n"
	    "2 errors, 0 warnings\n");
}

/* Root in the check role may not read what is another user's alone. */
static void
test_a_file_that_only_the_role_reads_is_taken(void **state)
{
	char more[512], expected[256];

	(void)state;
	if (geteuid() != 0)
		skip(); /* all roles run as whoever we are */
	snprintf(more, sizeof more,
	    "auth \"p\" { plugin = auth_file file = %s }\n"
	    "policy \"q\" { plugin = unseen file = %s\n key_file = %s }\n"
	    "policy \"r\" { plugin = unseen file = %s/none }\n"
	    "auth \"s\" { plugin = auth_secret password_file = %s }\n",
	    in("text"), in("text"), in("text"), dir, in("text"));
	snprintf(expected, sizeof expected,
	    "x.conf:9: error: cannot read @/none: No such file or directory\n"
	    "x.conf:10: error: cannot read @/text: Permission denied\n"
	    "2 errors, 0 warnings\n");
	assert_int_equal(chmod(dir, 0711), 0);
	assert_int_equal(chown(in("key"), 65534, 65534), 0);
	setfsuid(65534);
	check("smtp.example.org", "good", "key", more, expected);
	setfsuid(0);
	assert_int_equal(chown(in("key"), 0, 0), 0);
}

static void
test_a_secret_open_to_others_is_refused(void **state)
{
	char more[128];

	(void)state;
	snprintf(more, sizeof more,
	    "auth \"p\" { plugin = auth_secret "
	    "password_file = %s }\n",
	    in("open"));
	check("smtp.example.org", "good", "key", more,
	    "x.conf:6: error: @/open holds a secret but its mode 0644 is open "
	    "to others; chmod o-rw\n1 error, 0 warnings\n");
	snprintf(more, sizeof more,
	    "auth \"p\" { plugin = auth_secret "
	    "password_file = %s }\n",
	    in("text"));
	check("smtp.example.org", "good", "key", more,
	    "x.conf:6: error: @/text is empty\n1 error, 0 warnings\n");
}

static void
test_other_files_may_be_open_to_others(void **state)
{
	char more[256];

	(void)state;
	snprintf(more, sizeof more,
	    "auth \"p\" { plugin = auth_secret "
	    "ca_file = %s password_file = %s }\n",
	    in("good"), in("key"));
	check("smtp.example.org", "good", "key", more, "");
}

static void
test_what_the_server_makes_must_be_possible(void **state)
{
	(void)state;
	check("smtp.example.org", "good", "key",
	    "pid_file = /no/such/pid\n"
	    "control_socket = /no/such/folder/control\n"
	    "state_dir = /no/state\n"
	    "log { to = file file = /no/log }\n"
	    "chroot_dir = /\n",
	    "x.conf:6: error: pid_file: cannot make /no/such/pid: No such "
	    "file or directory\n"
	    "x.conf:7: error: control_socket: cannot make "
	    "/no/such/folder/control: No such file or directory\n"
	    "x.conf:8: warning: cannot use state_dir /no/state: No such file "
	    "or directory; counters will not outlive a restart\n"
	    "x.conf:9: error: file: cannot make /no/log: No such file or "
	    "directory\n"
	    "3 errors, 1 warning\n");
}

static void
test_nobody_is_locked_into_a_folder_that_others_write_to(void **state)
{
	char more[256];

	(void)state;
	if (geteuid() != 0)
		skip(); /* nobody is locked in */
	snprintf(more, sizeof more,
	    "control_socket = %s/c state_dir = \"\"\nchroot_dir = /tmp\n",
	    dir);
	check("smtp.example.org", "good", "key", more,
	    "x.conf:7: error: chroot_dir /tmp: others than root may write to "
	    "it\n1 error, 0 warnings\n");
}

static void
test_users_must_exist_and_have_no_rights(void **state)
{
	static const char text[] =
	    "hostname = smtp.example.org\n"
	    "tls { certificate = %s key = %s }\n"
	    "user = root user_auth = no-such-user plugin_dir = %s\n"
	    "control_socket = /c chroot_dir = / state_dir = \"\"\n"
	    "listen \"l\" { port = 465 tls = implicit }\n"
	    "upstream { hosts = a } auth \"a\" { plugin = unseen }\n"
	    "user_policy = nobody group_control = no-such-group\n";
	struct config_messages *m = config_messages_new();
	char full[512];
	const char *before;
	struct config *c;

	(void)state;
	if (geteuid() != 0) {
		config_messages_free(&m);
		skip(); /* users only matter to root */
	}
	snprintf(full, sizeof full, text, in("good"), in("key"), dir);
	c = config_rig_text(full, &before);
	config_check_files(c, m);
	assert_int_equal(config_errors(m), 2);
	assert_int_equal(config_warnings(m), 1);
	config_messages_free(&m);
	config_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_pair_is_taken),
		cmocka_unit_test(test_dates_are_looked_at),
		cmocka_unit_test(test_a_key_must_fit_and_be_closed_to_others),
		cmocka_unit_test(
		    test_what_is_not_there_or_no_certificate_is_named),
		cmocka_unit_test(test_another_hostname_is_a_warning),
		cmocka_unit_test(test_files_of_modules_are_looked_at),
		cmocka_unit_test(test_a_file_that_only_the_role_reads_is_taken),
		cmocka_unit_test(test_a_secret_open_to_others_is_refused),
		cmocka_unit_test(test_other_files_may_be_open_to_others),
		cmocka_unit_test(test_what_the_server_makes_must_be_possible),
		cmocka_unit_test(
		    test_nobody_is_locked_into_a_folder_that_others_write_to),
		cmocka_unit_test(test_users_must_exist_and_have_no_rights),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
