/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Clocks. No function here opens a file once the zone is known: tzset(3) is
 * called before a process is confined (sandbox_drop does), and strftime(3),
 * which would call it again, is not used.
 */
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t mono_shift_ns, wall_shift_us;

static int64_t
read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail with these two clocks */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC) + mono_shift_ns;
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_ns() / CLOCK_NS_PER_MS;
}

int64_t
clock_wall_us(void)
{
	return read_ns(CLOCK_REALTIME) / 1000 + wall_shift_us;
}

int64_t
clock_wall_s(void)
{
	return clock_wall_us() / 1000000;
}

/* Times from files and peers may be absurd; those show as year 0. */
static struct tm
broken_down(int64_t wall_s, struct tm *(*convert)(const time_t *, struct tm *))
{
	time_t t = (time_t)wall_s;
	struct tm tm = { .tm_year = -1900, .tm_mday = 1 };

	if (convert(&t, &tm) == NULL || tm.tm_year < -1900 ||
	    tm.tm_year > 9999 - 1900)
		tm = (struct tm){ .tm_year = -1900, .tm_mday = 1 };
	return tm;
}

void
clock_format(char *to, size_t size, int64_t wall_s)
{
	struct tm tm = broken_down(wall_s, gmtime_r);

	snprintf(to, size, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void
clock_format_rfc5322(char *to, size_t size, int64_t wall_s)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm = broken_down(wall_s, localtime_r);
	long east_min = tm.tm_gmtoff / 60;

	snprintf(to, size, "%s, %02d %s %04d %02d:%02d:%02d %c%02ld%02ld",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    east_min < 0 ? '-' : '+', labs(east_min) / 60, labs(east_min) % 60);
}

void
clock_shift(int64_t mono_ns, int64_t wall_us)
{
	mono_shift_ns = mono_ns;
	wall_shift_us = wall_us;
}
