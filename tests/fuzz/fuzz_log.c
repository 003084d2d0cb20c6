/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever the values are, a log line is one line of bounded length that can
 * be shown on a terminal and parses back to the values.
 *
 * Input: values, each led by a byte with its length (from f0 on: times 256).
 */
#include <assert.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define VALUES_MAX 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int log_fd = -1;
static char line[4 * LOG_LINE_MAX];
static size_t line_len;

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	if (fd != log_fd)
		return __real_write(fd, data, len);
	assert(len < sizeof line - line_len);
	memcpy(line + line_len, data, len);
	line_len += len;
	return (ssize_t)len;
}

static const char *
check_line(void)
{
	const size_t n = line_len;

	assert(n > 0 && n <= LOG_LINE_MAX);
	line[n] = '\0';
	assert(memchr(line, '\0', n) == NULL);
	assert(strchr(line, '\n') == line + n - 1);
	for (size_t i = 0; i < n - 1; i++)
		assert((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
	return line;
}

/* Decodes one byte of a quoted value; moves *p behind it. */
static char
unescape(const char **p)
{
	static const char pairs[] = "\"\"\\\\n\nr\rt\t";
	const char *s = *p;
	char hex[3] = { 0 };

	if (*s != '\\') {
		*p = s + 1;
		return *s;
	}
	if (s[1] == 'u') {
		assert(s[2] == '0' && s[3] == '0');
		memcpy(hex, s + 4, 2);
		*p = s + 6;
		return (char)strtol(hex, NULL, 16);
	}
	*p = s + 2;
	for (const char *pair = pairs; *pair != '\0'; pair += 2)
		if (*pair == s[1])
			return pair[1];
	abort();
}

/* A field " k=VALUE" at p holds v, or with cut a beginning of it. Returns
 * what is behind it. */
static const char *
check_field(const char *p, struct str v, bool cut)
{
	size_t i = 0;

	assert(strncmp(p, " k=", 3) == 0);
	p += 3;
	if (*p == '"') {
		for (p++; *p != '"'; i++)
			assert(i < v.len && unescape(&p) == v.ptr[i]);
		p++;
	} else {
		for (; *p != ' ' && *p != '\n'; p++, i++)
			assert(i < v.len && *p == v.ptr[i]);
		assert(i > 0);
	}
	assert(cut || i == v.len);
	return p;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct str values[VALUES_MAX];
	struct log_line l;
	const char *p;
	size_t n = 0;
	bool cut;

	if (log_fd == -1) {
		log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		log_open(log_fd, LOG_STREAM, LOG_LEVEL_INFO, "fuzz");
	}
	line_len = 0;
	for (; len > 0 && n < VALUES_MAX; n++) {
		size_t part = data[0] < 0xf0 ? data[0] : data[0] % 16u * 256;

		part = part < len - 1 ? part : len - 1;
		values[n] = (struct str){ (const char *)data + 1, part };
		data += 1 + part;
		len -= 1 + part;
	}
	log_begin(&l, LOG_LEVEL_INFO, "fuzz");
	for (size_t i = 0; i < n; i++)
		log_add(&l, "k", values[i]);
	log_end(&l);

	p = strstr(check_line(), " ev=fuzz");
	assert(p != NULL);
	p += strlen(" ev=fuzz");
	cut = strcmp(p + strlen(p) - strlen(" cut=yes\n"), " cut=yes\n") == 0 &&
	    l.cut;
	assert(cut == l.cut);
	for (size_t i = 0; i < n && strncmp(p, " k=", 3) == 0; i++)
		p = check_field(p, values[i], cut);
	assert(strcmp(p, cut ? " cut=yes\n" : "\n") == 0);
	return 0;
}
