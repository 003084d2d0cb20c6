/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The loader: which files it takes, which tables; and the memory that a
 * plugin's workers share. TEST_PLUGIN_DIR holds the plugins of the tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/shm.h"
#include "policy/plugin.h"

#define KINDS (PLUGIN_KIND(CONFIG_POLICY) | PLUGIN_KIND(CONFIG_STORE))

/* ---- tables ------------------------------------------------------------- */

static int
open_nothing(const struct portero_host *host, const struct portero_conf *conf,
    void *share, size_t bytes, enum portero_share_state state, void **ctx,
    char err[256])
{
	(void)host, (void)conf, (void)share, (void)bytes, (void)state;
	(void)ctx, (void)err;
	return 0;
}

static enum portero_verdict
judge_nothing(void *ctx, const struct portero_facts *facts,
    struct portero_answer *answer)
{
	(void)ctx, (void)facts, (void)answer;
	return PORTERO_NEXT;
}

static int
apply_nothing(void *ctx, struct portero_op *ops, size_t n)
{
	(void)ctx, (void)ops, (void)n;
	return 0;
}

static void
test_a_table_must_be_as_the_contract_says(void **state)
{
	struct portero_policy policy = { .size = sizeof policy,
		.stages = PORTERO_MAIL,
		.judge = judge_nothing };
	const struct portero_store store = { .size = sizeof store,
		.apply = apply_nothing };
	const struct portero_plugin good = { .abi = PORTERO_ABI,
		.size = sizeof good,
		.name = "x",
		.version = "1",
		.open = open_nothing,
		.policy = &policy };
	static const char *const says[] = { "ABI 2", "of at least", "name",
		"exactly one", "exactly one", "judge", "stages", "stages",
		"open", "for section store, not policy", "judge" };
	struct error err;

	(void)state;
	assert_int_equal(plugin_table_check(&good, CONFIG_POLICY, &err), 0);
	for (size_t fault = 0; fault < sizeof says / sizeof *says; fault++) {
		struct portero_plugin t = good;

		policy.judge = judge_nothing;
		policy.stages = PORTERO_MAIL;
		policy.size = sizeof policy;
		if (fault == 0)
			t.abi = 2;
		else if (fault == 1)
			t.size -= 8;
		else if (fault == 2)
			t.name = NULL;
		else if (fault == 3)
			t.policy = NULL;
		else if (fault == 4)
			t.store = &store;
		else if (fault == 5)
			policy.judge = NULL;
		else if (fault == 6)
			policy.stages = 0;
		else if (fault == 7)
			policy.stages = 1 << 20;
		else if (fault == 8)
			t.open = NULL;
		else if (fault == 9) {
			t.policy = NULL;
			t.store = &store;
		} else
			policy.size = 8;
		assert_int_equal(plugin_table_check(&t, CONFIG_POLICY, &err),
		    -1);
		if (strstr(err.text, says[fault]) == NULL)
			fail_msg("fault %zu: %s", fault, err.text);
	}
}

/* ---- files -------------------------------------------------------------- */

static char folder[] = "/tmp/portero-plugins-XXXXXX";
static char path[sizeof folder + 64];

static const char *
in_folder(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void
put(const char *name, const char *from)
{
	char bytes[65536];
	FILE *in = fopen(from, "rb"), *out = fopen(in_folder(name), "wb");
	size_t n;

	if (in == NULL || out == NULL)
		fail_msg("cannot copy %s", from);
	while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	fclose(in);
	fclose(out);
	chmod(in_folder(name), 0644);
}

static int
setup_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	chmod(folder, 0755);
	put("fault_policy.so", TEST_PLUGIN_DIR "/fault_policy.so");
	put("fault_auth.so", TEST_PLUGIN_DIR "/fault_auth.so");
	put("bad_table.so", TEST_PLUGIN_DIR "/bad_table.so");
	put("writable.so", TEST_PLUGIN_DIR "/fault_policy.so");
	chmod(in_folder("writable.so"), 0664);
	put("text.so", "/proc/self/status");
	assert_int_equal(mkdir(in_folder("folder.so"), 0755), 0);
	assert_int_equal(symlink("fault_policy.so", in_folder("link.so")), 0);
	return 0;
}

static int
teardown_folder(void **state)
{
	static const char *const names[] = { "fault_policy.so", "fault_auth.so",
		"bad_table.so", "writable.so", "text.so", "link.so" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(in_folder(names[i]));
	rmdir(in_folder("folder.so"));
	rmdir(folder);
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	return 0;
}

/* What the loader says of a plugin as a policy; "" if it takes it. */
static const char *
try_load(const char *name)
{
	static struct error err;
	struct plugin_set *s = plugin_set_new(folder, KINDS);
	struct config_resolver r = plugin_set_resolver(s);
	bool ignore = false;

	memset(&err, 0, sizeof err);
	if (r.options(r.arg, CONFIG_POLICY, "x", name, &ignore, &err) == NULL)
		assert_true(err.text[0] != '\0');
	assert_false(ignore);
	plugin_set_free(&s);
	return err.text;
}

static void
test_only_a_safe_plain_file_of_the_folder_is_loaded(void **state)
{
	/* clang-format off */
	static const struct { const char *name, *says; } table[] = {
		{ "fault_policy", "" },
		{ "fault_auth", "for section auth, not policy" },
		{ "bad_table", "ABI 2" },
		{ "missing", "No such file" },
		{ "writable", "others may write to it (mode 0664)" },
		{ "link", "is a symbolic link" },
		{ "folder", "is not a plain file" },
		{ "text", "ELF" },
		{ "../fault_policy", "bare name" },
		{ "/etc/passwd", "bare name" },
		{ "fault_policy.so", "bare name" },
		{ "", "bare name" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const char *said = try_load(table[i].name);

		if (strstr(said, table[i].says) == NULL ||
		    (table[i].says[0] == '\0' && said[0] != '\0'))
			fail_msg("%s: %s", table[i].name, said);
	}
}

static void
test_a_folder_that_others_may_write_to_holds_no_plugin(void **state)
{
	(void)state;
	chmod(folder, 0775);
	assert_non_null(strstr(try_load("fault_policy"), "others may write"));
	chmod(folder, 0755);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(in_folder("fault_policy.so"), 65534, 0), 0);
	assert_non_null(strstr(try_load("fault_policy"), "belongs to user"));
	assert_int_equal(chown(folder, 65534, 0), 0);
	assert_non_null(strstr(try_load("fault_auth"), "belongs to user"));
}

static void
test_sections_of_other_kinds_are_passed_over(void **state)
{
	struct plugin_set *s = plugin_set_new(folder, KINDS);
	struct config_resolver r = plugin_set_resolver(s);
	struct error err;
	bool ignore = false;

	(void)state;
	assert_null(r.options(r.arg, CONFIG_AUTH, "x", "missing", &ignore,
	    &err));
	assert_true(ignore);
	plugin_set_free(&s);
}

/* ---- sections ----------------------------------------------------------- */

static int
config_of(const char *policies)
{
	static const char before[] =
	    "hostname = \"smtp.example.org\"\n"
	    "tls { certificate = \"/c.crt\"  key = \"/c.key\" }\n"
	    "listen \"submissions\" { port = 465  tls = implicit }\n"
	    "upstream { hosts = {\"192.0.2.1\"} }\n"
	    "auth \"people\" { plugin = auth_file  file = \"/users\" }\n";
	char name[] = "/tmp/portero-conf-XXXXXX";
	struct config_messages *m = config_messages_new();
	int text = mkstemp(name), fd = memfd_create("conf", MFD_CLOEXEC);

	assert_true(write(text, before, sizeof before - 1) > 0);
	assert_true(write(text, policies, strlen(policies)) > 0);
	close(text);
	assert_int_equal(config_read(name, fd, m), 0);
	assert_int_equal(config_errors(m), 0);
	unlink(name);
	config_messages_free(&m);
	return fd;
}

static void
test_two_sections_of_one_plugin_are_opened_apart(void **state)
{
	static const struct plugin_shares none = { 0 };
	int fd = config_of(
	    "policy \"a\" { plugin = fault_policy  fault = crash }\n"
	    "policy \"b\" { plugin = fault_policy  fault = none  "
	    "mode = monitor }\n");
	struct config_messages *m = config_messages_new();
	struct plugin_set *s = plugin_set_new(folder,
	    PLUGIN_KIND(CONFIG_POLICY));
	struct config_resolver r = plugin_set_resolver(s);
	struct config *c = config_load(fd, &r, m);
	struct error err = { 0 };

	(void)state;
	assert_non_null(c);
	assert_int_equal(config_errors(m), 0);
	assert_int_equal(plugin_set_open(s, c, &none, &err), 0);
	assert_int_equal(plugin_set_count(s), 2);
	assert_string_equal(plugin_name(plugin_set_at(s, 0)->module), "a");
	assert_string_equal(plugin_name(plugin_set_at(s, 1)->module), "b");
	assert_ptr_equal(plugin_set_at(s, 0)->table, plugin_set_at(s, 1)->table);
	assert_ptr_not_equal(plugin_set_at(s, 0)->ctx, plugin_set_at(s, 1)->ctx);
	assert_int_equal(plugin_set_at(s, 1)->module->mode, CONFIG_MONITOR);
	plugin_set_free(&s);
	config_free(&c);
	config_messages_free(&m);
	close(fd);
}

static void
test_a_trial_names_file_line_and_plugin(void **state)
{
	int fd = config_of("policy \"a\" { plugin = missing }\n"
			   "policy \"b\" { plugin = fault_policy }\n");
	struct config_messages *m = config_messages_new();
	struct plugin_set *s = plugin_set_new(folder,
	    PLUGIN_KIND(CONFIG_POLICY));
	struct config_resolver r = plugin_set_resolver(s);
	struct config *c = config_load(fd, &r, m);
	struct buf text = { 0 };

	(void)state;
	config_messages_print(m, &text);
	buf_append(&text, "", 1);
	if (strstr(buf_data(&text), ":6: error: ") == NULL ||
	    strstr(buf_data(&text), "plugin missing: ") == NULL ||
	    strstr(buf_data(&text), ":7: error: ") == NULL)
		fail_msg("%s", buf_data(&text));
	buf_free(&text);
	plugin_set_free(&s);
	config_free(&c);
	config_messages_free(&m);
	close(fd);
}

/* ---- shared memory ------------------------------------------------------ */

static const uint8_t this_start[SHARE_EPOCH_LEN] = "this";
static const uint8_t next_start[SHARE_EPOCH_LEN] = "next";

static int
memory(void)
{
	int fd = memfd_create("share", MFD_CLOEXEC);
	struct error err;

	assert_int_equal(share_header_init(fd, share_size(100), "store", &err),
	    0);
	return fd;
}

static enum portero_share_state
open_share(int fd, const uint8_t epoch[SHARE_EPOCH_LEN], bool opened, char mark)
{
	enum portero_share_state state;
	struct share s;
	struct error err;
	size_t bytes;
	char *p;

	assert_int_equal(share_map(&s, fd, &err), 0);
	state = share_lock(&s, epoch, &err);
	p = share_memory(&s, &bytes);
	assert_int_equal(bytes, 4096);
	if (state == PORTERO_SHARE_NEW)
		assert_int_equal(p[0], 0);
	if (mark != 0)
		p[0] = mark;
	share_unlock(&s, epoch, opened);
	share_unmap(&s);
	return state;
}

static char
mark_of(int fd)
{
	char mark;

	assert_int_equal(pread(fd, &mark, 1, SHARE_HEADER_SIZE), 1);
	return mark;
}

static void
test_memory_is_new_then_in_use_then_kept(void **state)
{
	int fd = memory();

	(void)state;
	assert_int_equal(share_size(0), 0);
	assert_int_equal(open_share(fd, this_start, true, 'x'),
	    PORTERO_SHARE_NEW);
	assert_int_equal(open_share(fd, this_start, true, 0),
	    PORTERO_SHARE_IN_USE);
	assert_int_equal(open_share(fd, next_start, true, 0),
	    PORTERO_SHARE_KEPT);
	assert_int_equal(open_share(fd, next_start, true, 0),
	    PORTERO_SHARE_IN_USE);
	assert_int_equal(mark_of(fd), 'x');
	close(fd);
}

static void
test_memory_that_could_not_be_opened_is_new_again(void **state)
{
	int fd = memory();

	(void)state;
	assert_int_equal(open_share(fd, this_start, false, 'x'),
	    PORTERO_SHARE_NEW);
	assert_int_equal(open_share(fd, this_start, true, 'y'),
	    PORTERO_SHARE_NEW);
	close(fd);
}

static void
test_a_worker_that_dies_opening_leaves_the_memory_new(void **state)
{
	int fd = memory(), status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct share s;
		struct error err;
		size_t bytes;

		if (share_map(&s, fd, &err) == 0 &&
		    share_lock(&s, this_start, &err) == PORTERO_SHARE_NEW)
			*(char *)share_memory(&s, &bytes) = 'x';
		_exit(7); /* with the lock */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(mark_of(fd), 'x');
	assert_int_equal(open_share(fd, this_start, true, 0),
	    PORTERO_SHARE_NEW);
	close(fd);
}

static void
test_a_new_master_keeps_what_is_the_same_modules(void **state)
{
	int fd = memory();
	struct error err;

	(void)state;
	open_share(fd, this_start, true, 'x');
	assert_int_equal(share_header_init(fd, share_size(100), "store", &err),
	    0);
	assert_int_equal(open_share(fd, next_start, true, 0),
	    PORTERO_SHARE_KEPT);
	assert_int_equal(share_header_init(fd, share_size(100), "other", &err),
	    0);
	assert_int_equal(open_share(fd, next_start, true, 'y'),
	    PORTERO_SHARE_NEW);
	assert_int_equal(share_header_init(fd, share_size(5000), "other", &err),
	    0);
	assert_int_equal(mark_of(fd), 0);
	close(fd);
}

static void
test_the_hash_key_lives_with_the_memory(void **state)
{
	int fd = memory(), other = memory();
	struct share a, b;
	struct error err;
	uint8_t key[HASH_KEY_LEN];

	(void)state;
	assert_int_equal(share_map(&a, fd, &err), 0);
	assert_int_equal(share_map(&b, other, &err), 0);
	assert_memory_not_equal(share_key(&a), share_key(&b), HASH_KEY_LEN);
	memcpy(key, share_key(&a), HASH_KEY_LEN);
	share_unmap(&a);
	share_header_init(fd, share_size(100), "store", &err);
	assert_int_equal(share_map(&a, fd, &err), 0);
	assert_memory_equal(share_key(&a), key, HASH_KEY_LEN);
	share_unmap(&a);
	share_unmap(&b);
	close(fd);
	close(other);
}

#define FOLDER(name) \
	cmocka_unit_test_setup_teardown(name, setup_folder, teardown_folder)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_table_must_be_as_the_contract_says),
		FOLDER(test_only_a_safe_plain_file_of_the_folder_is_loaded),
		FOLDER(test_a_folder_that_others_may_write_to_holds_no_plugin),
		FOLDER(test_sections_of_other_kinds_are_passed_over),
		FOLDER(test_two_sections_of_one_plugin_are_opened_apart),
		FOLDER(test_a_trial_names_file_line_and_plugin),
		cmocka_unit_test(test_memory_is_new_then_in_use_then_kept),
		cmocka_unit_test(
		    test_memory_that_could_not_be_opened_is_new_again),
		cmocka_unit_test(
		    test_a_worker_that_dies_opening_leaves_the_memory_new),
		cmocka_unit_test(
		    test_a_new_master_keeps_what_is_the_same_modules),
		cmocka_unit_test(test_the_hash_key_lives_with_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
