/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Services for plugins. The signal handler touches `hand` only, and calls
 * nothing but shutdown(2), and timer_settime(2) for an alarm that nobody needs;
 * a worker has one thread and one question at a time, so that is all the
 * locking there is.
 */
#include "policy/host.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/shm_table.h"
#include "config/conf.h"

#define MAX_GUARDED 16
#define AGAIN_NS (100 * CLOCK_NS_PER_MS)
#define NO_QUESTION_MS 3600000

struct alarm {
	timer_t timer;
	volatile int64_t at_ns; /* of the first ring; 0: it is off */
};

/* The question in hand. */
static struct {
	volatile int64_t deadline_ns; /* of the plugins; 0: no question */
	/* the deadline while it is nearer; 0: it is not */
	volatile int64_t unhurried_ns;
	struct str session_id;
	struct alarm last, hurried; /* of either deadline */
	volatile sig_atomic_t late;
	volatile int guarded[MAX_GUARDED]; /* descriptor + 1; 0: free */
} hand;

/* ---- alarms ------------------------------------------------------------- */

/* 0: never. */
static void
alarm_set(struct alarm *a, int64_t at_ns)
{
	struct itimerspec spec = { 0 };

	if (at_ns > 0) {
		spec.it_value.tv_sec = at_ns / 1000000000;
		spec.it_value.tv_nsec = at_ns % 1000000000;
		spec.it_interval.tv_nsec = AGAIN_NS;
	}
	a->at_ns = at_ns;
	timer_settime(a->timer, TIMER_ABSTIME, &spec, NULL);
}

/* Rings at that time, or up to so much earlier; when. An alarm that was set
 * for the last question is mostly good for this one too, which spares a busy
 * worker a system call. */
static int64_t
alarm_within(struct alarm *a, int64_t at_ns, int64_t slack_ns)
{
	int64_t set_ns = a->at_ns;

	if (set_ns <= at_ns && set_ns >= at_ns - slack_ns)
		return set_ns;
	alarm_set(a, at_ns);
	return at_ns;
}

static void
on_alarm(int sig)
{
	int64_t now_ns = clock_mono_ns();
	int saved = errno;

	(void)sig;
	if (hand.unhurried_ns == 0 && hand.hurried.at_ns != 0 &&
	    hand.hurried.at_ns <= now_ns)
		alarm_set(&hand.hurried, 0); /* nobody hurries any more */
	/* The alarm of a question that has been answered. */
	if (hand.deadline_ns == 0 || now_ns < hand.deadline_ns)
		return;
	hand.late = 1;
	for (size_t i = 0; i < MAX_GUARDED; i++)
		if (hand.guarded[i] != 0)
			shutdown(hand.guarded[i] - 1, SHUT_RDWR);
	errno = saved;
}

int
host_start(struct error *err)
{
	/* no SA_RESTART: a call that waits must end */
	struct sigaction action = { .sa_handler = on_alarm };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGALRM };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	if (sigaction(SIGALRM, &action, NULL) == -1 ||
	    sigprocmask(SIG_UNBLOCK, &set, NULL) == -1 ||
	    timer_create(CLOCK_MONOTONIC, &event, &hand.last.timer) == -1 ||
	    timer_create(CLOCK_MONOTONIC, &event, &hand.hurried.timer) == -1)
		return error_set(err, ERROR_INTERNAL, "deadline timer: %s",
		    strerror(errno));
	return 0;
}

/* ---- the question ------------------------------------------------------- */

void
host_begin(int64_t deadline_ns, struct str session_id)
{
	int64_t tenth_ns = (deadline_ns - clock_mono_ns()) / 10;

	hand.session_id = session_id;
	hand.late = 0;
	hand.deadline_ns = alarm_within(&hand.last, deadline_ns - tenth_ns,
	    tenth_ns);
}

bool
host_hurry(int64_t ms)
{
	int64_t for_ns = ms * CLOCK_NS_PER_MS;
	int64_t at_ns = clock_mono_ns() + for_ns;

	if (hand.deadline_ns == 0)
		return true;
	if (hand.deadline_ns < at_ns)
		return false;
	hand.unhurried_ns = hand.deadline_ns; /* first: see on_alarm() */
	hand.deadline_ns = alarm_within(&hand.hurried, at_ns, for_ns / 10);
	return true;
}

void
host_hurry_over(void)
{
	if (hand.unhurried_ns == 0)
		return;
	hand.deadline_ns = hand.unhurried_ns;
	hand.unhurried_ns = 0;
	hand.late = 0;
}

void
host_wake_at(int64_t at_ns)
{
	alarm_set(&hand.last, at_ns);
}

/* Alarms stay set, for the next question. A worker that finds none is woken
 * by them once. */

void
host_end(void)
{
	hand.late = 0;
	hand.deadline_ns = hand.unhurried_ns = 0;
	hand.session_id = STR("");
}

void
host_rest(void)
{
	if (hand.deadline_ns != 0)
		return;
	alarm_set(&hand.last, 0);
	alarm_set(&hand.hurried, 0);
}

bool
host_is_late(void)
{
	return hand.late != 0;
}

/* ---- what plugins call -------------------------------------------------- */

static struct {
	host_step *step; /* NULL: nobody listens */
	void *arg;
} trace;

void
host_trace(host_step *step, void *arg)
{
	trace.step = step;
	trace.arg = arg;
}

static bool
is_heard(enum portero_level level)
{
	return trace.step != NULL || log_wants((enum log_level)level);
}

void
host_say(const char *section, enum portero_level level, const char *text)
{
	struct log_line l;

	if (trace.step != NULL)
		trace.step(trace.arg, section, level, text);
	/* the two enums count alike */
	log_begin(&l, (enum log_level)level, "plugin");
	if (l.skip)
		return;
	if (hand.session_id.len > 0)
		log_add(&l, "s", hand.session_id);
	log_adds(&l, "plugin", section);
	log_adds(&l, "msg", text);
	log_end(&l);
}

__attribute__((format(printf, 3, 4))) static void
service_log(const struct portero_host *api, enum portero_level level,
    const char *format, ...)
{
	const struct host *h = api->internal;
	char text[LOG_VALUE_MAX];
	va_list ap;

	if (level > PORTERO_LOG_DEBUG)
		level = PORTERO_LOG_DEBUG;
	if (!is_heard(level))
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	host_say(h->section, level, text);
}

static int64_t
service_time_left_ms(const struct portero_host *api)
{
	int64_t left;

	(void)api;
	if (hand.deadline_ns == 0)
		return NO_QUESTION_MS;
	left = (hand.deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
	return left > 0 ? left : 0;
}

static int
service_guard(const struct portero_host *api, int fd)
{
	(void)api;
	for (size_t i = 0; i < MAX_GUARDED; i++) {
		if (hand.guarded[i] != 0)
			continue;
		hand.guarded[i] = fd + 1;
		if (hand.late) /* the alarm came before it was there */
			shutdown(fd, SHUT_RDWR);
		return 0;
	}
	return -1;
}

static void
service_unguard(const struct portero_host *api, int fd)
{
	(void)api;
	for (size_t i = 0; i < MAX_GUARDED; i++)
		if (hand.guarded[i] == fd + 1)
			hand.guarded[i] = 0;
}

static void
service_hash(const struct portero_host *api, const void *data, size_t len,
    struct portero_key *out)
{
	const struct host *h = api->internal;

	hash_sip128(h->key, data, len, out->byte);
}

static int64_t
service_now_us(const struct portero_host *api)
{
	(void)api;
	return clock_wall_us();
}

void
host_init(struct host *h, const char *section, const uint8_t key[HASH_KEY_LEN])
{
	*h = (struct host){
		.section = section,
		.api = { .size = sizeof h->api,
		    .abi = PORTERO_ABI,
		    .log = service_log,
		    .time_left_ms = service_time_left_ms,
		    .guard = service_guard,
		    .unguard = service_unguard,
		    .get_int = config_get_int,
		    .get_string = config_get_string,
		    .list_length = config_list_length,
		    .list_item = config_list_item,
		    .section_count = config_section_count,
		    .section = config_section,
		    .title = config_title,
		    .is_set = config_is_set,
		    .hash = service_hash,
		    .table_size = shm_table_size,
		    .table_open = shm_table_open,
		    .table_close = shm_table_close,
		    .table_lock = shm_table_lock,
		    .table_find = shm_table_find,
		    .table_save = shm_table_save,
		    .table_remove = shm_table_remove,
		    .table_commit = shm_table_commit,
		    .table_abort = shm_table_abort,
		    .table_each = shm_table_each,
		    .now_us = service_now_us,
		    .table_some = shm_table_some,
		    .internal = h },
	};
	memcpy(h->key, key, HASH_KEY_LEN);
}
