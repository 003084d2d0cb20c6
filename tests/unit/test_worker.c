/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A whole pool worker in a child process, with the descriptors that the
 * master would give it; the test is the master and the only asker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/conf.h"
#include "ipc/board.h"
#include "ipc/lifeline.h"
#include "ipc/question.h"
#include "ipc/role.h"
#include "ipc/shared.h"

#define MS CLOCK_NS_PER_MS
#define WAIT_MS 10000 /* for what surely comes */

enum { OURS, THEIRS };

static char folder[] = "/tmp/portero-worker-XXXXXX";
static char users[sizeof folder + 16];
static int config_fd, shared_fd, board_fd;
static int queue[2], lifeline[2], answers[2];
static struct board board;
static struct shared *shared;
static pid_t pid;
static uint8_t record[RECORD_MAX];
static uint64_t last_id;

static const char text[] =
    "hostname = \"smtp.example.org\"\n"
    "user_auth = \"nobody\"\n"
    "user_policy = \"nobody\"\n"
    "plugin_dir = \"%s\"\n"
    "tls { certificate = \"/c.crt\"  key = \"/c.key\" }\n"
    "listen \"submissions\" { port = 465  tls = implicit }\n"
    "upstream { hosts = {\"192.0.2.1\"} }\n"
    "auth \"local\" { plugin = auth_file  file = \"%s\" }\n"
    "policy \"crash\" { plugin = fault_policy  fault = crash  when = crash }\n"
    "policy \"wait\" { plugin = fault_policy  fault = wait  when = wait }\n"
    "policy \"trial\" { plugin = fault_policy  fault = crash  when = trial  "
    "mode = monitor }\n"
    "policy \"size\" { plugin = policy_size  max = 25M }\n";

/* ---- a world for the worker --------------------------------------------- */

static void
write_config(void)
{
	char path[sizeof folder + 16];
	struct config_messages *m = config_messages_new();
	FILE *f;

	snprintf(path, sizeof path, "%s/conf", folder);
	f = fopen(path, "w");
	fprintf(f, text, folder, users);
	fclose(f);
	config_fd = memfd_create("config", MFD_CLOEXEC);
	assert_int_equal(config_read(path, config_fd, m), 0);
	assert_int_equal(config_errors(m), 0);
	config_messages_free(&m);
	unlink(path);
}

static void
write_users(void)
{
	static struct crypt_data data;
	FILE *f;

	snprintf(users, sizeof users, "%s/users", folder);
	f = fopen(users, "w");
	fprintf(f, "ana:%s:class=staff\n",
	    crypt_rn("s3cret", "$5$rounds=1000$portero$", &data,
		(int)sizeof data));
	fclose(f);
	chmod(users, 0600);
	if (geteuid() == 0)
		assert_int_equal(chown(users, 65534, 65534), 0);
}

static void
put_plugin(const char *name)
{
	char from[512], to[sizeof folder + 64], bytes[65536];
	FILE *in, *out;
	size_t n;

	snprintf(from, sizeof from, TEST_PLUGIN_DIR "/%s.so", name);
	snprintf(to, sizeof to, "%s/%s.so", folder, name);
	in = fopen(from, "rb");
	out = fopen(to, "wb");
	if (in == NULL || out == NULL)
		fail_msg("cannot copy %s", from);
	while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	fclose(in);
	fclose(out);
	chmod(to, 0644);
}

static int
setup_all(void **state)
{
	struct error err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	chmod(folder, 0755);
	write_users();
	write_config();
	put_plugin("fault_policy");
	put_plugin("policy_size");
	put_plugin("auth_file");
	shared_fd = shared_create(&shared, &err);
	assert_true(shared_fd >= 0);
	board_fd = board_create(&board, 1, 1, 1, &err);
	assert_true(board_fd >= 0);
	return 0;
}

static int
teardown_all(void **state)
{
	static const char *const names[] = { "users", "fault_policy.so",
		"policy_size.so", "auth_file.so" };
	char path[sizeof folder + 64];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
	board_unmap(&board);
	return 0;
}

/* In the child: everything at its number, as after the master's exec. */
static void
be_worker(enum role role)
{
	/* clang-format off */
	const struct { int from, to; } fds[] = {
		{ lifeline[THEIRS], ROLE_FD_LIFELINE },
		{ config_fd, ROLE_FD_CONFIG },
		{ open("/dev/null", O_WRONLY | O_CLOEXEC), ROLE_FD_LOG },
		{ shared_fd, ROLE_FD_SHARED },
		{ board_fd, ROLE_FD_BOARD },
		{ queue[THEIRS], role == ROLE_AUTH ? ROLE_FD_AUTH_QUEUE :
						     ROLE_FD_POLICY_QUEUE },
		{ answers[THEIRS], ROLE_FD_FIRST },
	};
	/* clang-format on */
	const struct role_args args = { .role = role,
		.row = 3,
		.generation = 1,
		.incarnation = 5,
		.naskers = 1 };
	int high[sizeof fds / sizeof *fds];

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		high[i] = fcntl(fds[i].from, F_DUPFD_CLOEXEC, 100);
	for (int fd = 3; fd < 100; fd++)
		close(fd);
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		dup2(high[i], fds[i].to);
	for (int fd = 100; fd < 200; fd++)
		close(fd);
	_exit(policy_main(&args));
}

static int
receive(int fd, void *to, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, WAIT_MS) != 1)
		return -1;
	return (int)recv(fd, to, size, 0);
}

static void
await_report(enum lifeline_type type, uint64_t id)
{
	static uint8_t buf[LIFELINE_MAX + 32];
	struct pollfd p = { .fd = lifeline[OURS], .events = POLLIN };
	struct lifeline_record r;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(lifeline_receive(lifeline[OURS], &r, buf, sizeof buf),
	    1);
	assert_int_equal(r.type, type);
	assert_int_equal(r.id, id);
}

static void
start(enum role role)
{
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;

	assert_int_equal(socketpair(AF_UNIX, type, 0, queue), 0);
	assert_int_equal(socketpair(AF_UNIX, type, 0, lifeline), 0);
	assert_int_equal(socketpair(AF_UNIX, type, 0, answers), 0);
	pid = fork();
	if (pid == 0)
		be_worker(role);
	close(lifeline[THEIRS]);
	close(queue[THEIRS]);
	await_report(REPORT_READY, 0);
}

static int
setup_policy(void **state)
{
	(void)state;
	start(ROLE_POLICY);
	return 0;
}

static int
setup_auth(void **state)
{
	(void)state;
	start(ROLE_AUTH);
	return 0;
}

static int
ended(void)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	pid = 0;
	return status;
}

static int
teardown(void **state)
{
	(void)state;
	if (pid > 0) {
		kill(pid, SIGKILL);
		ended();
	}
	close(lifeline[OURS]);
	close(queue[OURS]);
	close(answers[OURS]);
	close(answers[THEIRS]);
	atomic_store(&board.policy[0].busy, 0);
	return 0;
}

/* ---- asking ------------------------------------------------------------- */

static struct record_header
header(int64_t ms)
{
	return (struct record_header){ .id = ++last_id,
		.deadline_ns = clock_mono_ns() + ms * MS,
		.generation = 1,
		.incarnation = 77 };
}

static struct judge_question
judge_of(const char *reverse_path)
{
	static uint8_t blob[IDENTITY_MAX];
	static const struct portero_identity ana = { .id = "ana" };
	size_t len = identity_encode(blob, sizeof blob, &ana);

	return (struct judge_question){ .stages = PORTERO_MAIL,
		.identity = { (const char *)blob, len },
		.session_id = STR("7Q3K9F2M"),
		.reverse_path = str_of(reverse_path),
		.declared_size = -1,
		.message_size = -1 };
}

static void
ask(const struct judge_question *q, int64_t ms)
{
	const struct record_header h = header(ms);
	size_t len = judge_question_encode(record, sizeof record, &h, q);

	assert_true(len > 0);
	assert_int_equal(send(queue[OURS], record, len, 0), len);
}

static struct judge_answer
answer(void)
{
	struct judge_answer a = { 0 };
	struct record_header h;
	int n = receive(answers[OURS], record, sizeof record);

	assert_true(n > 0);
	assert_int_equal(record_header_decode(record, (size_t)n, &h), 0);
	assert_int_equal(h.id, last_id);
	assert_int_equal(h.incarnation, 77);
	assert_int_equal(judge_answer_decode(record, (size_t)n, &a), 0);
	return a;
}

static void
order(enum lifeline_type type, int fd)
{
	const struct lifeline_record r = { .type = (uint16_t)type, .fd = fd };

	assert_int_equal(lifeline_send(lifeline[OURS], &r), 1);
}

/* ---- tests -------------------------------------------------------------- */

static void
test_a_question_is_answered_by_its_policies(void **state)
{
	struct judge_question q = judge_of("ana@example.org");

	(void)state;
	ask(&q, 5000);
	assert_int_equal(answer().verdict, PORTERO_NEXT);
	q.declared_size = 26 << 20;
	ask(&q, 5000);
	assert_int_equal(answer().reply.code, 552);
	assert_int_equal(board.policy[0].pid, pid);
}

static void
test_what_is_late_or_broken_is_dropped(void **state)
{
	struct judge_question q = judge_of("ana@example.org");

	(void)state;
	ask(&q, -1);
	assert_int_equal(send(queue[OURS], "nonsense", 8, 0), 8);
	memset(record, 0xff, sizeof record);
	send(queue[OURS], record, sizeof record, 0);
	ask(&q, 5000);
	assert_int_equal(answer().verdict, PORTERO_NEXT); /* the last one's */
}

static void
test_a_broken_question_of_an_asker_is_try_later(void **state)
{
	const struct record_header h = header(5000);
	struct judge_question q = judge_of("");
	size_t len;

	(void)state;
	q.stages = 0;
	len = judge_question_encode(record, sizeof record, &h, &q);
	assert_int_equal(send(queue[OURS], record, len, 0), len);
	assert_int_equal(answer().verdict, PORTERO_DEFER);
}

static void
test_a_plugin_that_waits_is_freed_at_the_deadline(void **state)
{
	struct judge_question q = judge_of("wait@example.org");
	int64_t from = clock_mono_ms(), took;
	struct judge_answer a;

	(void)state;
	ask(&q, 300);
	a = answer();
	took = clock_mono_ms() - from;
	assert_int_equal(a.verdict, PORTERO_DEFER);
	assert_int_equal(a.reply.code, 451);
	assert_true(took >= 260 && took < 5000);
	assert_true(shared->rows[3].counter[COUNTER_PLUGIN_FAILED] > 0);
}

static void
test_a_crash_leaves_the_question_on_the_board(void **state)
{
	struct judge_question q = judge_of("crash@example.org");
	struct record_header h;
	struct judge_answer a;
	size_t len;

	(void)state;
	ask(&q, 5000);
	assert_true(WIFSIGNALED(ended()));
	assert_int_equal(board.policy[0].busy, 1);
	assert_int_equal(record_head_decode(board.policy[0].question, &h), 0);
	assert_int_equal(h.id, last_id);
	len = record_defer_encode(record, sizeof record, &h, "crash");
	assert_int_equal(judge_answer_decode(record, len, &a), 0);
}

static void
test_a_crash_on_trial_comes_after_the_answer(void **state)
{
	struct judge_question q = judge_of("trial@example.org");

	(void)state;
	ask(&q, 5000);
	assert_int_equal(answer().verdict, PORTERO_NEXT);
	assert_true(WIFSIGNALED(ended()));
}

static void
test_the_masters_settle_is_acknowledged_on_the_lifeline(void **state)
{
	const struct settle s = { .outcome = PORTERO_LOST, .id = STR("ana") };
	const struct settle_question q = { .nsettles = 1, .settles = &s };
	struct record_header h = header(5000);
	size_t len;

	(void)state;
	h.asker = ASKER_MASTER;
	len = settle_question_encode(record, sizeof record, &h, &q);
	assert_int_equal(send(queue[OURS], record, len, 0), len);
	await_report(REPORT_SETTLED, last_id);
}

/* It came from a process that has died, and would be sent for ever. */
static void
test_a_settle_that_cannot_be_read_is_asked_once(void **state)
{
	const struct settle s = { .outcome = PORTERO_LOST, .id = STR("ana") };
	const struct settle_question q = { .nsettles = 1, .settles = &s };
	struct record_header h = header(5000);
	size_t len;

	(void)state;
	h.asker = ASKER_MASTER;
	len = settle_question_encode(record, sizeof record, &h, &q);
	memset(record + RECORD_HEADER_LEN, 0xff, 4); /* so many settles */
	assert_int_equal(send(queue[OURS], record, len, 0), len);
	await_report(REPORT_SETTLED, last_id);
}

static void
test_draining_answers_what_is_queued_and_ends(void **state)
{
	struct judge_question q = judge_of("ana@example.org");

	(void)state;
	order(ORDER_LOG, open("/dev/null", O_WRONLY | O_CLOEXEC));
	ask(&q, 5000);
	order(ORDER_DRAIN, -1);
	assert_int_equal(answer().verdict, PORTERO_NEXT);
	assert_int_equal(ended(), 0);
}

static void
test_an_order_to_stop_ends_a_worker_that_waits(void **state)
{
	struct judge_question q = judge_of("ana@example.org");

	(void)state;
	ask(&q, 5000);
	answer();
	order(ORDER_STOP, -1);
	assert_int_equal(ended(), 0);
}

static void
test_without_a_master_it_serves_until_the_last_asker_goes(void **state)
{
	struct judge_question q = judge_of("ana@example.org");

	(void)state;
	shutdown(lifeline[OURS], SHUT_RDWR);
	ask(&q, 5000);
	assert_int_equal(answer().verdict, PORTERO_NEXT);
	close(queue[OURS]);
	assert_int_equal(ended(), 0);
	queue[OURS] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
test_a_login_is_answered_by_the_auth_pool_alone(void **state)
{
	const struct login_question q = { .login = STR("Ana"),
		.password = STR("s3cret") };
	const struct judge_question jq = judge_of("ana@example.org");
	const struct record_header h = header(5000);
	struct login_answer a;
	size_t len = login_question_encode(record, sizeof record, &h, &q);
	int n;

	(void)state;
	assert_int_equal(send(queue[OURS], record, len, 0), len);
	n = receive(answers[OURS], record, sizeof record);
	assert_int_equal(login_answer_decode(record, (size_t)n, &a), 0);
	assert_int_equal(a.verdict, PORTERO_NEXT);
	assert_true(str_eq(a.id, STR("ana")));
	ask(&jq, 5000);
	assert_int_equal(answer().verdict, PORTERO_DEFER);
	order(ORDER_DRAIN, -1);
	assert_int_equal(ended(), 0);
}

#define POLICY(name) \
	cmocka_unit_test_setup_teardown(name, setup_policy, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY(test_a_question_is_answered_by_its_policies),
		POLICY(test_what_is_late_or_broken_is_dropped),
		POLICY(test_a_broken_question_of_an_asker_is_try_later),
		POLICY(test_a_plugin_that_waits_is_freed_at_the_deadline),
		POLICY(test_a_crash_leaves_the_question_on_the_board),
		POLICY(test_a_crash_on_trial_comes_after_the_answer),
		POLICY(test_the_masters_settle_is_acknowledged_on_the_lifeline),
		POLICY(test_a_settle_that_cannot_be_read_is_asked_once),
		POLICY(test_draining_answers_what_is_queued_and_ends),
		POLICY(test_an_order_to_stop_ends_a_worker_that_waits),
		POLICY(
		    test_without_a_master_it_serves_until_the_last_asker_goes),
		cmocka_unit_test_setup_teardown(
		    test_a_login_is_answered_by_the_auth_pool_alone, setup_auth,
		    teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
