/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The log: what a line looks like, and what happens when nobody reads it.
 */
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

#define STAMP_LEN (sizeof "ts=0000-00-00T00:00:00.000Z " - 1)

/* Since the start. */
static uint64_t
log_dropped(void)
{
	static uint64_t sum;

	sum += log_take_dropped();
	return sum;
}

static char seen[1 << 20];
static int file = -1; /* stands for a log file */

static void
open_file(enum log_level level)
{
	if (file != -1)
		close(file);
	file = memfd_create("log", MFD_CLOEXEC);
	assert_true(file >= 0);
	log_open(file, LOG_STREAM, level, "test");
}

/* Everything that is in the file now. */
static const char *
text_of_file(void)
{
	ssize_t n = pread(file, seen, sizeof seen - 1, 0);

	assert_true(n >= 0);
	seen[n] = '\0';
	return seen;
}

static void
assert_value_shows_as(struct str value, const char *text)
{
	char expected[256];
	struct log_line l;

	open_file(LOG_LEVEL_INFO);
	log_begin(&l, LOG_LEVEL_INFO, "test");
	log_add(&l, "k", value);
	log_adds(&l, "next", "x");
	log_end(&l);
	snprintf(expected, sizeof expected, "level=info ev=test k=%s next=x\n",
	    text);
	assert_string_equal(text_of_file() + STAMP_LEN, expected);
}

static void
test_log_values_are_quoted_and_escaped_when_they_must(void **state)
{
	/* clang-format off */
	static const struct {
		struct str value;
		const char *text;
	} cases[] = {
		{ STR("ana"), "ana" },
		{ STR("<a@b.example>;SIZE:1/2"), "<a@b.example>;SIZE:1/2" },
		{ STR(""), "\"\"" },
		{ { NULL, 0 }, "\"\"" },
		{ STR("two words"), "\"two words\"" },
		{ STR("a=b"), "\"a=b\"" },
		{ STR("a\"b"), "\"a\\\"b\"" },
		{ STR("a\\b"), "\"a\\\\b\"" },
		{ STR("a\nb\r\t"), "\"a\\nb\\r\\t\"" },
		{ STR("\0\x1b\x7f"), "\"\\u0000\\u001b\\u007f\"" },
		{ STR("Jos\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
		    "\"Jos\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		/* not UTF-8: stray, short, overlong, surrogate, too large */
		{ STR("\xe9"), "\"\\u00e9\"" },
		{ STR("\xc3"), "\"\\u00c3\"" },
		{ STR("\xe2\x82 "), "\"\\u00e2\\u0082 \"" },
		{ STR("\xc0\xaf"), "\"\\u00c0\\u00af\"" },
		{ STR("\xe0\x80\xaf"), "\"\\u00e0\\u0080\\u00af\"" },
		{ STR("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"" },
		{ STR("\xf4\x90\x80\x80"),
		    "\"\\u00f4\\u0090\\u0080\\u0080\"" },
		/* NEL, line separator, right-to-left override, BOM */
		{ STR("\xc2\x85"), "\"\\u00c2\\u0085\"" },
		{ STR("\xe2\x80\xa8"), "\"\\u00e2\\u0080\\u00a8\"" },
		{ STR("\xe2\x80\xae"), "\"\\u00e2\\u0080\\u00ae\"" },
		{ STR("\xef\xbb\xbf"), "\"\\u00ef\\u00bb\\u00bf\"" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_value_shows_as(cases[i].value, cases[i].text);
}

static void
test_log_line_has_time_level_event_and_fields(void **state)
{
	regex_t re;

	(void)state;
	open_file(LOG_LEVEL_INFO);
	log_say(LOG_LEVEL_WARNING, "reload", "%s: %d errors", "a.conf", 3);
	assert_int_equal(regcomp(&re,
			     "^ts=20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:"
			     "[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z level=warning "
			     "ev=reload msg=\"a.conf: 3 errors\"\n$",
			     REG_EXTENDED | REG_NOSUB),
	    0);
	assert_int_equal(regexec(&re, text_of_file(), 0, NULL, 0), 0);
	regfree(&re);
}

static void
test_log_time_follows_the_clock(void **state)
{
	(void)state;
	open_file(LOG_LEVEL_INFO);
	clock_shift(0, 1795443600 * INT64_C(1000000) + 123456 -
		clock_wall_us());
	log_say(LOG_LEVEL_INFO, "a", "x");
	assert_memory_equal(text_of_file(), "ts=2026-11-23T14:20:00.1", 24);
	clock_shift(0, 0);
	open_file(LOG_LEVEL_INFO);
	log_say(LOG_LEVEL_INFO, "a", "x");
	assert_memory_not_equal(text_of_file(), "ts=2026-11-23T14:20:00.", 23);
}

static void
test_log_numbers_are_exact(void **state)
{
	static const struct {
		int64_t number;
		const char *text;
	} cases[] = {
		{ 0, " n=0\n" },
		{ -1, " n=-1\n" },
		{ 1234567890, " n=1234567890\n" },
		{ INT64_MAX, " n=9223372036854775807\n" },
		{ INT64_MIN, " n=-9223372036854775808\n" },
	};
	struct log_line l;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		open_file(LOG_LEVEL_INFO);
		log_begin(&l, LOG_LEVEL_INFO, "e");
		log_addn(&l, "n", cases[i].number);
		log_end(&l);
		assert_non_null(strstr(text_of_file(), cases[i].text));
	}
}

static void
test_log_below_the_level_is_not_written(void **state)
{
	(void)state;
	open_file(LOG_LEVEL_WARNING);
	assert_true(log_wants(LOG_LEVEL_ERROR));
	assert_false(log_wants(LOG_LEVEL_INFO));
	log_say(LOG_LEVEL_INFO, "no", "x");
	log_say(LOG_LEVEL_DEBUG, "no", "x");
	log_say(LOG_LEVEL_ERROR, "yes", "x");
	assert_non_null(strstr(text_of_file(), "ev=yes"));
	assert_null(strstr(seen, "ev=no"));
}

static void
test_log_line_is_bounded_and_says_when_it_was_cut(void **state)
{
	static char big[20000];
	struct log_line l;
	const char *text;

	(void)state;
	for (size_t len = 0; len < 6000; len += 37) {
		for (int byte = 0; byte < 2; byte++) {
			memset(big, byte == 0 ? 'x' : '\1', len);
			open_file(LOG_LEVEL_INFO);
			log_begin(&l, LOG_LEVEL_INFO, "e");
			for (size_t i = 0; i < 7; i++)
				log_add(&l, "k", (struct str){ big, len });
			log_end(&l);
			text = text_of_file();
			assert_in_range(strlen(text), 40, LOG_LINE_MAX);
			assert_ptr_equal(strchr(text, '\n'),
			    text + strlen(text) - 1);
			if (7 * len * (byte == 0 ? 1 : 6) + 200 > LOG_LINE_MAX)
				assert_non_null(strstr(text, " cut=yes\n"));
			if (7 * len * (byte == 0 ? 1 : 6) + 300 < LOG_LINE_MAX)
				assert_null(strstr(text, "cut=yes"));
		}
	}
	memset(big, 'y', sizeof big - 1);
	open_file(LOG_LEVEL_INFO);
	log_say(LOG_LEVEL_INFO, "e", "%s", big);
	assert_non_null(strstr(text_of_file(), "yyy cut=yes\n"));
}

static void
test_log_buffered_lines_wait_for_the_flush(void **state)
{
	(void)state;
	open_file(LOG_LEVEL_INFO);
	log_buffered(true);
	log_say(LOG_LEVEL_INFO, "one", "x");
	log_say(LOG_LEVEL_INFO, "two", "x");
	assert_string_equal(text_of_file(), "");
	log_flush();
	assert_non_null(strstr(text_of_file(), "ev=two"));
	for (int i = 0; i < 3000; i++)
		log_say(LOG_LEVEL_INFO, "many", "%d", i);
	log_buffered(false);
	assert_non_null(strstr(text_of_file(), "msg=2999\n"));
	assert_non_null(strstr(seen, "msg=0\n"));
}

/* Reads a pipe until it would block; returns the number of lines, all whole. */
static uint64_t
drain(int fd)
{
	size_t len = 0;
	uint64_t lines = 0;
	ssize_t n;

	while ((n = read(fd, seen + len, sizeof seen - len)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++) {
		if (i == 0 || seen[i - 1] == '\n')
			assert_memory_equal(seen + i, "ts=", 3);
		lines += seen[i] == '\n';
	}
	assert_true(len == 0 || seen[len - 1] == '\n');
	return lines;
}

static void
log_many(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		log_say(LOG_LEVEL_INFO, "full", "%0*d", (int)(i * 7 % 400), 0);
}

static void
assert_nothing_waits_and_all_is_accounted_for(int reader, uint64_t sent)
{
	uint64_t dropped = log_dropped(), got = 0, n;

	log_many(sent);
	assert_true(log_dropped() > dropped);
	while ((n = drain(reader)) > 0) {
		got += n;
		log_flush();
	}
	assert_int_equal(got + (log_dropped() - dropped), sent);
	log_say(LOG_LEVEL_INFO, "again", "x");
	assert_int_equal(drain(reader), 1);
}

static void
test_log_pipe_that_nobody_reads_blocks_nothing(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	log_open(fds[1], LOG_STREAM, LOG_LEVEL_INFO, "test");
	assert_nothing_waits_and_all_is_accounted_for(fds[0], 2000);
	close(fds[0]);
	close(fds[1]);
}

static void
test_log_stream_socket_that_nobody_reads_blocks_nothing(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	log_open(fds[1], LOG_STREAM, LOG_LEVEL_INFO, "test");
	assert_nothing_waits_and_all_is_accounted_for(fds[0], 6000);
	close(fds[0]);
	close(fds[1]);
}

static void
test_log_full_disk_drops_and_counts(void **state)
{
	uint64_t before = log_dropped();
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	log_open(fd, LOG_STREAM, LOG_LEVEL_INFO, "test");
	log_say(LOG_LEVEL_INFO, "a", "x");
	assert_int_equal(log_dropped(), before + 1);
	log_buffered(true);
	log_say(LOG_LEVEL_INFO, "a", "x");
	log_say(LOG_LEVEL_INFO, "b", "x");
	log_buffered(false);
	assert_int_equal(log_dropped(), before + 3);
	close(fd);
}

/* A syslog server in its own folder. */
static char dir[] = "/tmp/test_log.XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static int
syslog_server(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	unlink(address.sun_path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address),
	    0);
	return fd;
}

static int
syslog_client(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void
assert_datagram(int server, int priority, const char *text)
{
	char expected[256];
	ssize_t n = recv(server, seen, sizeof seen - 1, 0);

	assert_true(n > 0);
	seen[n] = '\0';
	snprintf(expected, sizeof expected, "<%d>porterod[%ld]: %s", priority,
	    (long)getpid(), text);
	assert_string_equal(seen, expected);
}

static void
test_log_syslog_restart_loses_nothing_once_replaced(void **state)
{
	int server, client;

	(void)state;
	server = syslog_server();
	client = syslog_client();
	log_open(client, LOG_SYSLOG, LOG_LEVEL_DEBUG, "porterod");
	log_say(LOG_LEVEL_ERROR, "e", "x y");
	assert_datagram(server, 19, "level=error ev=e msg=\"x y\"");
	log_say(LOG_LEVEL_DEBUG, "d", "x");
	assert_datagram(server, 23, "level=debug ev=d msg=x");
	assert_false(log_take_lost());

	close(server);
	log_say(LOG_LEVEL_INFO, "one", "x");
	assert_true(log_take_lost());
	log_say(LOG_LEVEL_INFO, "two", "x");
	assert_false(log_take_lost());
	log_replace(dup(client)); /* a new one that is dead as well */
	assert_true(log_take_lost());

	server = syslog_server();
	log_replace(syslog_client());
	assert_datagram(server, 22, "level=info ev=one msg=x");
	assert_datagram(server, 22, "level=info ev=two msg=x");
	assert_false(log_take_lost());
	log_say(LOG_LEVEL_INFO, "three", "x");
	assert_datagram(server, 22, "level=info ev=three msg=x");
	close(server);
	close(client);
}

static void
test_log_file_is_replaced_in_place(void **state)
{
	int second = memfd_create("second", MFD_CLOEXEC), old = -1;

	(void)state;
	open_file(LOG_LEVEL_INFO);
	log_say(LOG_LEVEL_INFO, "one", "x");
	old = dup(file);
	log_replace(dup(second));
	log_say(LOG_LEVEL_INFO, "two", "x");
	assert_non_null(strstr(text_of_file(), "ev=two"));
	assert_null(strstr(seen, "ev=one"));
	close(file);
	file = old;
	assert_non_null(strstr(text_of_file(), "ev=one"));
	close(second);
}

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/log", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(address.sun_path);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_log_values_are_quoted_and_escaped_when_they_must),
		cmocka_unit_test(test_log_line_has_time_level_event_and_fields),
		cmocka_unit_test(test_log_time_follows_the_clock),
		cmocka_unit_test(test_log_numbers_are_exact),
		cmocka_unit_test(test_log_below_the_level_is_not_written),
		cmocka_unit_test(
		    test_log_line_is_bounded_and_says_when_it_was_cut),
		cmocka_unit_test(test_log_buffered_lines_wait_for_the_flush),
		cmocka_unit_test(
		    test_log_pipe_that_nobody_reads_blocks_nothing),
		cmocka_unit_test(
		    test_log_stream_socket_that_nobody_reads_blocks_nothing),
		cmocka_unit_test(test_log_full_disk_drops_and_counts),
		cmocka_unit_test(
		    test_log_syslog_restart_loses_nothing_once_replaced),
		cmocka_unit_test(test_log_file_is_replaced_in_place),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
