/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * To be preloaded into a server under test: its clock stands at the
 * microseconds since 1970 in the file that STAND_CLOCK names, until the test
 * writes another number there.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

static const volatile int64_t *now_us;

static void __attribute__((constructor)) stand_clock_start(void)
{
	const char *path = getenv("STAND_CLOCK");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *map = MAP_FAILED;

	if (fd != -1)
		map = mmap(NULL, sizeof *now_us, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		_exit(99); /* never the real time by mistake */
	now_us = map;
	close(fd);
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	(void)zone;
	tv->tv_sec = *now_us / 1000000;
	tv->tv_usec = *now_us % 1000000;
	return 0;
}
