/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The store before a server that says what it likes: whatever that is, it is
 * a failure of the operation, within the time and a bounded memory; never a
 * crash, and never a yes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake_host.h"

#define CONNECT_MS 100
#define COMMAND_MS 150
#define SLACK_MS 2000 /* of a busy machine */
#define MEMORY_KB 4096
#define PRIMARY "$11\r\nrole:master\r\n"

#define GOOD_TAKE "*5\r\n:1\r\n:0\r\n:0\r\n:1\r\n:1795000000\r\n"
#define HEAD "*5\r\n:1\r\n:0\r\n"

enum manner {
	AT_ONCE,
	THEN_CLOSE,
	DRIP,      /* a byte every 20 ms */
	FOR_EVER,  /* again and again */
	UNASKED,   /* before anything was asked */
	AS_A_HELLO /* to the first command instead of the second */
};

/* ---- the server -------------------------------------------------------- */

static bool
say(int fd, const char *text, size_t len)
{
	return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void
say_manner(int fd, const char *text, size_t len, enum manner manner)
{
	const struct timespec pause = { 0, 20000000 };

	switch (manner) {
	case DRIP:
		for (size_t i = 0; i < len && say(fd, text + i, 1); i++)
			nanosleep(&pause, NULL);
		break;
	case FOR_EVER:
		while (say(fd, text, len))
			;
		break;
	default:
		say(fd, text, len);
		break;
	}
}

/* One connection to its end. */
static void
serve(int fd, const char *text, size_t len, enum manner manner)
{
	char question[65536];
	int n = 0;

	if (manner == UNASKED)
		say(fd, text, len);
	while (recv(fd, question, sizeof question, 0) > 0) {
		if (n++ == 0 && manner != AS_A_HELLO) {
			say(fd, PRIMARY, sizeof PRIMARY - 1);
			continue;
		}
		say_manner(fd, text, len, manner);
		if (manner == THEN_CLOSE)
			break;
	}
	close(fd);
}

struct server {
	pid_t pid;
	char path[64];
};

static unsigned nservers; /* so far */

static void
server_start(struct server *s, const char *text, size_t len,
    enum manner manner)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(s->path, sizeof s->path, "/tmp/redis_replies.%d.%u",
	    (int)getpid(), nservers++);
	memcpy(address.sun_path, s->path, sizeof s->path);
	unlink(s->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address),
	    0);
	assert_int_equal(listen(fd, 16), 0);
	s->pid = fork();
	assert_int_not_equal(s->pid, -1);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			serve(accept(fd, NULL, NULL), text, len, manner);
	}
	close(fd);
}

static void
server_stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	unlink(s->path);
}

/* ---- the store --------------------------------------------------------- */

static void *
open_store(const struct server *s, const struct server *second)
{
	struct portero_conf *conf = fake_conf_new(portero_plugin.options, "");
	char uri[80], err[256] = "";
	void *ctx = NULL;

	snprintf(uri, sizeof uri, "unix:%s", s->path);
	fake_conf_set(conf, "uri", uri);
	if (second != NULL) {
		snprintf(uri, sizeof uri, "unix:%s", second->path);
		fake_conf_set(conf, "uri", uri);
	}
	fake_conf_set(conf, "connect_timeout_ms", "100");
	fake_conf_set(conf, "command_timeout_ms", "150");
	if (portero_plugin.open(&fake_host, conf, NULL, 0,
		PORTERO_SHARE_IN_USE, &ctx, err) == -1)
		fail_msg("%s", err);
	fake_conf_free(&conf);
	return ctx;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The most that was in use so far. Sanitizers count otherwise. */
static long
memory_kb(void)
{
	struct rusage usage;

#ifdef PORTERO_SANITIZE
	return 0;
#endif
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void
no_row(void *arg, const struct portero_row *row)
{
	(void)arg;
	(void)row;
	fail_msg("a row out of nonsense");
}

struct asked {
	struct portero_charge charge;
	struct portero_op op;
	int ret;
};

/* One operation; what it may cost is looked at. */
static void
ask(struct asked *a, enum portero_op_kind kind, const char *text, size_t len,
    enum manner manner)
{
	struct server server;
	int64_t started_ms;
	long memory;
	void *ctx;

	a->charge = (struct portero_charge){ .size = sizeof a->charge,
		.limit = "hourly",
		.amount = 1,
		.max = 100,
		.window_s = 3600 };
	a->op = (struct portero_op){ .size = sizeof a->op,
		.kind = kind,
		.key = { "ana", 3 },
		.lifetime_s = 3600,
		.charges = &a->charge,
		.ncharges = 1,
		.row = no_row };
	server_start(&server, text, len, manner);
	ctx = open_store(&server, NULL);
	memory = memory_kb();
	started_ms = now_ms();
	a->ret = portero_plugin.store->apply(ctx, &a->op, 1);
	assert_in_range(now_ms() - started_ms, 0,
	    CONNECT_MS + COMMAND_MS + SLACK_MS);
	assert_in_range(memory_kb() - memory, 0, MEMORY_KB);
	portero_plugin.close(ctx);
	server_stop(&server);
}

static void
assert_no_yes(enum portero_op_kind kind, const char *text, size_t len,
    enum manner manner)
{
	struct asked a;

	ask(&a, kind, text, len, manner);
	if (a.op.result != PORTERO_OP_NONE &&
	    a.op.result != PORTERO_OP_FAILED)
		fail_msg("operation %d: %.60s: result %d", (int)kind, text,
		    (int)a.op.result);
	assert_false(a.charge.fits);
	assert_int_equal(a.charge.used, 0);
	assert_int_equal(a.charge.fits_at, 0);
	assert_int_equal(a.op.cursor, 0);
}

#define NONSENSE(kind, text, manner)                                          \
	assert_no_yes(kind, text, sizeof text - 1, manner)

/* ---- tests ------------------------------------------------------------- */

static void
test_a_good_server_is_believed(void **state)
{
	struct asked a;

	(void)state;
	ask(&a, PORTERO_OP_TAKE, GOOD_TAKE, sizeof GOOD_TAKE - 1, AT_ONCE);
	assert_int_equal(a.ret, 0);
	assert_int_equal(a.op.result, PORTERO_OP_DONE);
	assert_true(a.charge.fits);
	assert_int_equal(a.charge.fits_at, 1795000000);
}

/* Replies to a take that are none. */
static const char *const takes[] = {
	"+OK\r\n", "$3\r\nabc\r\n", "$0\r\n\r\n", "$-1\r\n", ":1\r\n", "*0\r\n",
	"*-1\r\n", "*1\r\n:1\r\n", "*2\r\n:1\r\n:0\r\n", "*2\r\n:2\r\n:0\r\n",
	"*2\r\n:3\r\n:0\r\n", "*4\r\n:1\r\n:0\r\n:0\r\n:1\r\n",
	"*6\r\n:1\r\n:0\r\n:0\r\n:1\r\n:5\r\n:5\r\n",
	"*8\r\n:1\r\n:0\r\n:0\r\n:1\r\n:5\r\n:0\r\n:1\r\n:5\r\n",
	"*5\r\n:0\r\n:0\r\n:0\r\n:1\r\n:5\r\n",
	"*5\r\n:5\r\n:0\r\n:0\r\n:1\r\n:5\r\n",
	"*5\r\n:-1\r\n:0\r\n:0\r\n:1\r\n:5\r\n",
	"*5\r\n:1\r\n:-1\r\n:0\r\n:1\r\n:5\r\n",
	"*5\r\n:1\r\n:9223372036854775807\r\n:0\r\n:1\r\n:5\r\n",
	HEAD ":-1\r\n:1\r\n:5\r\n",
	HEAD ":9223372036854775807\r\n:1\r\n:5\r\n",
	HEAD ":-9223372036854775808\r\n:1\r\n:5\r\n",
	HEAD ":99999999999999999999\r\n:1\r\n:5\r\n",
	HEAD ":0\r\n:2\r\n:5\r\n", HEAD ":0\r\n:-1\r\n:5\r\n",
	HEAD ":0\r\n:1\r\n:-5\r\n",
	HEAD ":0\r\n:1\r\n:9223372036854775807\r\n",
	HEAD "$1\r\n0\r\n:1\r\n:5\r\n", HEAD ":0\r\n+1\r\n:5\r\n",
	HEAD ":0\r\n:1\r\n$-1\r\n", HEAD ":0\r\n:1\r\n-ERR x\r\n",
	HEAD ":0\r\n:1\r\n*1\r\n:5\r\n", "*1\r\n*5\r\n:1\r\n:0\r\n:0\r\n:1\r\n:5\r\n",
	"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
	"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
	"*4097\r\n:1\r\n", "*1000000000\r\n:1\r\n", "*2147483647\r\n:1\r\n",
	"*4294967301\r\n:1\r\n", "*99999999999999999999\r\n", "*-2\r\n",
	"*\r\n", "*x\r\n", ":\r\n", ":x\r\n", "$x\r\n", "$-2\r\n",
	"$99999999999999999999\r\n", "$2147483647\r\nabc", "\r\n", "x\r\n",
	"%1\r\n:1\r\n:1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(12\r\n",
	"HTTP/1.1 400 Bad Request\r\n\r\n", "220 smtp.example.test\r\n",
	"-\r\n", "- \r\n", "-ERR x\r\n", "-NOSCRIPT\r\n", "-NOSCRIPT x\r\n",
	"-LOADING Redis is loading the dataset in memory\r\n",
	"-READONLY You can't write against a read only replica.\r\n",
	"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
	"-NOAUTH Authentication required.\r\n", "-NOPERM no\r\n",
	"-WRONGTYPE Operation against a key\r\n", "-BUSY x\r\n",
	"-MASTERDOWN x\r\n", "-MOVED 3999 127.0.0.1:6381\r\n", "-ASK 1 x\r\n",
	"-CLUSTERDOWN x\r\n", "-MISCONF x\r\n", "-\x01\xff\r\n",
};

static void
test_nonsense_is_no_yes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
		size_t len = strlen(takes[i]);

		assert_no_yes(PORTERO_OP_TAKE, takes[i], len, THEN_CLOSE);
		assert_no_yes(PORTERO_OP_PEEK, takes[i], len, THEN_CLOSE);
	}
	NONSENSE(PORTERO_OP_TAKE, "\0\0\0\0\0\0", THEN_CLOSE);
	NONSENSE(PORTERO_OP_PEEK, "*5\r\n:2\r\n:0\r\n:0\r\n:1\r\n:5\r\n", AT_ONCE);
	NONSENSE(PORTERO_OP_SETTLE, GOOD_TAKE, AT_ONCE);
	NONSENSE(PORTERO_OP_SETTLE, "*2\r\n:2\r\n:0\r\n", AT_ONCE);
	NONSENSE(PORTERO_OP_RESET, "+OK\r\n", AT_ONCE);
}

static void
test_what_no_call_can_do_now_is_an_outage(void **state)
{
	static const struct {
		const char *reply;
		int ret;
		enum portero_op_result result;
	} cases[] = {
		{ "-OOM command not allowed\r\n", -1, PORTERO_OP_FAILED },
		{ "-LOADING Redis is loading\r\n", -1, PORTERO_OP_FAILED },
		{ "-ERR Error running script (call to f_0): @user_script: 9: "
		  "@user_script: 9: -READONLY You can't write\r\n", -1,
		    PORTERO_OP_FAILED },
		{ "-ERR Error running script (call to f_0): @user_script: 9: "
		  "attempt to index a nil value\r\n", 0, PORTERO_OP_NONE },
		{ "-ERR @user_script: 9: -NOSCRIPT x\r\n", 0,
		    PORTERO_OP_NONE },
		{ "-WRONGTYPE Operation\r\n", 0, PORTERO_OP_NONE },
		{ "-NOSCRIPT x\r\n", -1, PORTERO_OP_NONE },
		{ "+OK\r\n", -1, PORTERO_OP_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct asked a;

		ask(&a, PORTERO_OP_TAKE, cases[i].reply,
		    strlen(cases[i].reply), AT_ONCE);
		if (a.ret != cases[i].ret || a.op.result != cases[i].result)
			fail_msg("%s: %d, %d", cases[i].reply, a.ret,
			    (int)a.op.result);
	}
}

static void
test_a_reply_that_is_cut_is_no_yes(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof GOOD_TAKE - 1; len++)
		assert_no_yes(PORTERO_OP_TAKE, GOOD_TAKE, len, THEN_CLOSE);
}

static void
test_rows_must_be_whole(void **state)
{
	static const char *const rows[] = {
		"*3\r\n:1\r\n:0\r\n$2\r\n0a\r\n",
		"*8\r\n:1\r\n:0\r\n$1\r\n0\r\n:9\r\n:1\r\n:60\r\n:9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n$2\r\n9a\r\n:9\r\n:1\r\n:60\r\n:9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n:5\r\n:9\r\n:1\r\n:60\r\n:9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n$33\r\n0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
		":9\r\n:1\r\n:60\r\n:9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n$2\r\n0a\r\n:-2\r\n:1\r\n:60\r\n:9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n$2\r\n0a\r\n:9\r\n:-1\r\n:60\r\n:9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n$2\r\n0a\r\n:9\r\n:1\r\n:0\r\n:9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n$2\r\n0a\r\n:9\r\n:1\r\n:60\r\n:-9\r\n:0\r\n",
		"*8\r\n:1\r\n:0\r\n$2\r\n0a\r\n:9\r\n:1\r\n:60\r\n:9\r\n:-1\r\n",
		"*14\r\n:1\r\n:0\r\n$2\r\n0a\r\n:9\r\n:1\r\n:60\r\n:9\r\n:0\r\n"
		"$2\r\n0b\r\n:9\r\n:1\r\n:60\r\n:9\r\n+0\r\n",
	};
	/* Steps of a walk. */
	static const char *const scans[] = { "*0\r\n", "*1\r\n$1\r\n0\r\n",
		"*2\r\n:0\r\n*0\r\n", "*2\r\n$1\r\nx\r\n*0\r\n",
		"*2\r\n$1\r\n0\r\n:1\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n",
		"*2\r\n$20\r\n99999999999999999999\r\n*0\r\n",
		"*2\r\n$2\r\n-1\r\n*0\r\n", "*2\r\n$1\r\n0\r\n*1\r\n*0\r\n",
		"*2\r\n$1\r\n7\r\n*1\r\n$20\r\nportero:1:{pana}:c\0\0\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_no_yes(PORTERO_OP_REPORT, rows[i], strlen(rows[i]),
		    AT_ONCE);
	for (size_t i = 0; i < sizeof scans / sizeof *scans; i++)
		assert_no_yes(PORTERO_OP_WALK, scans[i], strlen(scans[i]),
		    THEN_CLOSE);
}

static void
test_nobody_waits_for_the_silent_and_the_slow(void **state)
{
	(void)state;
	NONSENSE(PORTERO_OP_TAKE, "", AT_ONCE);
	NONSENSE(PORTERO_OP_WALK, "", AT_ONCE);
	NONSENSE(PORTERO_OP_TAKE, "", AS_A_HELLO);
	NONSENSE(PORTERO_OP_TAKE, GOOD_TAKE, DRIP);
}

static void
test_memory_is_bounded(void **state)
{
	static char much[64 * 1024];
	size_t n;

	(void)state;
	memset(much, 'x', sizeof much);
	assert_no_yes(PORTERO_OP_TAKE, much, sizeof much, FOR_EVER);
	much[0] = '-'; /* an error without end */
	assert_no_yes(PORTERO_OP_TAKE, much, sizeof much, FOR_EVER);
	memcpy(much, "$100000000\r\n", 12);
	assert_no_yes(PORTERO_OP_TAKE, much, sizeof much, FOR_EVER);
	memcpy(much, "*5\r\n$100000000\r\n", 16);
	assert_no_yes(PORTERO_OP_TAKE, much, sizeof much, FOR_EVER);
	/* Lists within a list, each as long as may be. */
	n = (size_t)snprintf(much, sizeof much, "*4000\r\n");
	while (n + 8 < sizeof much)
		n += (size_t)snprintf(much + n, sizeof much - n, "*90\r\n");
	assert_no_yes(PORTERO_OP_TAKE, much, n, FOR_EVER);
	/* Many answers to one question. */
	NONSENSE(PORTERO_OP_TAKE, ":1\r\n:1\r\n:1\r\n:1\r\n", FOR_EVER);
}

static void
test_what_was_not_asked_for_is_no_answer(void **state)
{
	(void)state;
	NONSENSE(PORTERO_OP_TAKE, GOOD_TAKE, UNASKED);
	NONSENSE(PORTERO_OP_TAKE, GOOD_TAKE, AS_A_HELLO);
	NONSENSE(PORTERO_OP_TAKE, "$10\r\nrole:slave\r\n", AS_A_HELLO);
	NONSENSE(PORTERO_OP_TAKE, "-LOADING x\r\n", AS_A_HELLO);
	NONSENSE(PORTERO_OP_TAKE, "*1000000\r\n", AS_A_HELLO);
}

/* A reply too many is not the answer to the next question. */
static void
test_a_stray_reply_ends_the_connection(void **state)
{
	static const char twice[] = GOOD_TAKE GOOD_TAKE;
	struct server server;
	struct asked a;
	void *ctx;

	(void)state;
	ask(&a, PORTERO_OP_TAKE, twice, sizeof twice - 1, AT_ONCE);
	assert_int_equal(a.op.result, PORTERO_OP_DONE);
	server_start(&server, twice, sizeof twice - 1, AT_ONCE);
	ctx = open_store(&server, NULL);
	assert_int_equal(portero_plugin.store->apply(ctx, &a.op, 1), 0);
	a.op.kind = PORTERO_OP_SETTLE;
	/* Its own answer is of the wrong length; the stray one would be, too,
	 * but on a new connection it is the server's fault once more. */
	assert_int_equal(portero_plugin.store->apply(ctx, &a.op, 1), -1);
	assert_int_equal(a.op.result, PORTERO_OP_NONE);
	portero_plugin.close(ctx);
	server_stop(&server);
}

static void
test_a_silent_server_does_not_hide_the_next(void **state)
{
	struct server silent, good;
	struct asked a;
	void *ctx;

	(void)state;
	ask(&a, PORTERO_OP_TAKE, GOOD_TAKE, sizeof GOOD_TAKE - 1, AT_ONCE);
	server_start(&silent, "", 0, AS_A_HELLO);
	server_start(&good, GOOD_TAKE, sizeof GOOD_TAKE - 1, AT_ONCE);
	ctx = open_store(&silent, &good);
	assert_int_equal(portero_plugin.store->apply(ctx, &a.op, 1), -1);
	assert_int_equal(a.op.result, PORTERO_OP_FAILED);
	assert_int_equal(portero_plugin.store->apply(ctx, &a.op, 1), 0);
	assert_int_equal(a.op.result, PORTERO_OP_DONE);
	portero_plugin.close(ctx);
	server_stop(&silent);
	server_stop(&good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_server_is_believed),
		cmocka_unit_test(test_nonsense_is_no_yes),
		cmocka_unit_test(test_what_no_call_can_do_now_is_an_outage),
		cmocka_unit_test(test_a_reply_that_is_cut_is_no_yes),
		cmocka_unit_test(test_rows_must_be_whole),
		cmocka_unit_test(test_nobody_waits_for_the_silent_and_the_slow),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_what_was_not_asked_for_is_no_answer),
		cmocka_unit_test(test_a_stray_reply_ends_the_connection),
		cmocka_unit_test(test_a_silent_server_does_not_hide_the_next),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
