/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The log. Owns one buffer of whole lines, each ended by the only newline in
 * it. Nothing here allocates, opens a file or waits: it works when memory has
 * run out, and in a process that may only write(2) and send(2).
 *
 * A line is never torn by another process that writes to the same place: to
 * a pipe or socket at most PIPE_BUF bytes go at once, to a file with O_APPEND
 * the kernel serializes writes.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define BUFFER_MAX 65536
#define CUT_MARK " cut=yes"
/* What log_end() must always be able to add. */
#define TAIL_MAX (sizeof CUT_MARK - 1 + 1)
#define SYSLOG_FACILITY_MAIL (2 << 3)

static struct {
	int fd;
	enum log_kind kind;
	enum log_level level;
	bool is_pipe, is_socket;
	bool buffered;
	bool lost; /* syslog has gone; lines wait for log_replace() */
	bool told; /* the owner knows that */
	bool torn; /* the last write ended inside a line */
	uint64_t dropped;
	char ident[64]; /* "portero[123]" */
	size_t len;     /* bytes that wait in buffer */
	char buffer[BUFFER_MAX];
} out = { .fd = STDERR_FILENO, .kind = LOG_STREAM, .level = LOG_LEVEL_INFO };

/* clang-format off */
static const struct {
	const char *name;
	int syslog_severity;
} levels[] = {
	[LOG_LEVEL_ERROR] =   { "error",   3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_INFO] =    { "info",    6 },
	[LOG_LEVEL_DEBUG] =   { "debug",   7 },
};
/* clang-format on */

void
log_open(int fd, enum log_kind kind, enum log_level level, const char *ident)
{
	struct stat st = { 0 };
	int flags;

	fstat(fd, &st); /* what cannot be looked at is taken for a file */
	out.fd = fd;
	out.kind = kind;
	out.level = level;
	snprintf(out.ident, sizeof out.ident, "%.40s[%ld]", ident,
	    (long)getpid());
	out.is_pipe = S_ISFIFO(st.st_mode);
	out.is_socket = kind == LOG_SYSLOG || S_ISSOCK(st.st_mode);
	/* Sockets are told call by call, and files never wait. */
	if (out.is_pipe && (flags = fcntl(fd, F_GETFL)) != -1)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void
log_replace(int fd)
{
	if (fd != out.fd) {
		if (dup3(fd, out.fd, O_CLOEXEC) == -1)
			log_say(LOG_LEVEL_ERROR, "log",
			    "cannot take the new log descriptor: %s",
			    strerror(errno));
		close(fd);
	}
	out.lost = false;
	out.told = false;
	out.torn = false;
	log_flush();
}

void
log_buffered(bool on)
{
	out.buffered = on;
	if (!on)
		log_flush();
}

uint64_t
log_take_dropped(void)
{
	uint64_t n = out.dropped;

	out.dropped = 0;
	return n;
}

bool
log_take_lost(void)
{
	bool news = out.lost && !out.told;

	out.told = out.lost;
	return news;
}

bool
log_wants(enum log_level level)
{
	return level <= out.level;
}

/* ---- the way out ------------------------------------------------------- */

static ssize_t
put(const char *data, size_t len)
{
	ssize_t n;

	do {
		if (out.is_socket)
			n = send(out.fd, data, len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(out.fd, data, len);
	} while (n == -1 && errno == EINTR);
	return n;
}

/* The number of bytes at p that may go at once: whole lines, or for syslog the
 * one line without its newline. */
static size_t
portion(const char *p, size_t len)
{
	const char *end;

	if (out.kind == LOG_SYSLOG)
		return (size_t)((const char *)memchr(p, '\n', len) - p);
	if ((!out.is_pipe && !out.is_socket) || len <= LOG_LINE_MAX)
		return len;
	end = memrchr(p, '\n', LOG_LINE_MAX);
	assert(end != NULL);
	return (size_t)(end + 1 - p);
}

static void
drop(const char *p, size_t len)
{
	for (const char *end = p + len; p < end; p++)
		if (*p == '\n')
			out.dropped++;
}

/* Does the error say that the reader will be back and lines should wait? */
static bool
may_wait(int error)
{
	if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS)
		return true;
	if (out.kind != LOG_SYSLOG)
		return false;
	if (error != ECONNREFUSED && error != ENOTCONN && error != ECONNRESET &&
	    error != EPIPE)
		return false;
	out.lost = true;
	return true;
}

void
log_flush(void)
{
	const char *p = out.buffer, *end = out.buffer + out.len;
	size_t len;
	ssize_t n;

	if (out.len == 0 || out.lost)
		return;
	if (out.torn && put("\n", 1) == 1)
		out.torn = false;
	while (p < end) {
		len = portion(p, (size_t)(end - p));
		n = put(p, len);
		if (n == -1 && may_wait(errno))
			break;
		if (n <= 0) {
			out.torn = out.kind == LOG_STREAM && p > out.buffer &&
			    p[-1] != '\n';
			drop(p, (size_t)(end - p));
			p = end;
			break;
		}
		p += out.kind == LOG_SYSLOG ? (size_t)n + 1 : (size_t)n;
	}
	out.len = (size_t)(end - p);
	memmove(out.buffer, p, out.len);
}

/* Takes a whole line, newline included. */
static void
queue(const char *line, size_t len)
{
	if (out.len + len > sizeof out.buffer)
		log_flush();
	if (out.len + len > sizeof out.buffer) {
		out.dropped++;
		return;
	}
	memcpy(out.buffer + out.len, line, len);
	out.len += len;
	if (!out.buffered)
		log_flush();
}

/* ---- one line ---------------------------------------------------------- */

/* The time as text; only the milliseconds are new most of the time. */
static size_t
stamp(char *to)
{
	static int64_t last_s = INT64_MIN;
	static char text[] = "ts=0000-00-00T00:00:00.000Z ";
	int64_t now_us = clock_wall_us();
	int ms = (int)(now_us / 1000 % 1000);

	if (now_us / 1000000 != last_s) {
		last_s = now_us / 1000000;
		clock_format(text + 3, 21, last_s);
		memcpy(text + 22, ".000Z ", 6);
	}
	text[23] = (char)('0' + ms / 100);
	text[24] = (char)('0' + ms / 10 % 10);
	text[25] = (char)('0' + ms % 10);
	memcpy(to, text, sizeof text - 1);
	return sizeof text - 1;
}

void
log_begin(struct log_line *l, enum log_level level, const char *event)
{
	l->level = level;
	l->skip = !log_wants(level);
	l->cut = false;
	l->len = 0;
	if (l->skip)
		return;
	if (out.kind == LOG_SYSLOG)
		l->len = (size_t)snprintf(l->text, 80, "<%d>%s: ",
		    SYSLOG_FACILITY_MAIL | levels[level].syslog_severity,
		    out.ident);
	else
		l->len = stamp(l->text);
	l->len += (size_t)snprintf(l->text + l->len, 16, "level=%s",
	    levels[level].name);
	log_adds(l, "ev", event);
}

/* Length of the UTF-8 sequence at s if it is a character that a log may show:
 * well-formed, no control character, nothing invisible that moves or breaks
 * text. 0: its first byte is to be escaped. */
static size_t
visible_length(const unsigned char *s, size_t len)
{
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t c = s[0] & (0xffu >> (n + 1));

	if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000))
		return 0; /* overlong */
	if (c < 0xa0 || (c >= 0xd800 && c <= 0xdfff) || c == 0xfeff ||
	    (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f) || c >= 0xe0000)
		return 0;
	return n;
}

/* Writes the character at s for a quoted value; *used gets its length there.
 * Returns the length written, at most 6. */
static size_t
escape(char to[7], const unsigned char *s, size_t len, size_t *used)
{
	static const char hex[] = "0123456789abcdef";
	const char *named = "\"\"\\\\\nn\rr\tt";
	size_t n;

	*used = 1;
	for (; *named != '\0'; named += 2)
		if (*s == (unsigned char)named[0]) {
			to[0] = '\\';
			to[1] = named[1];
			return 2;
		}
	n = *s >= ' ' && *s < 0x7f ? 1 : visible_length(s, len);
	if (n > 0) {
		memcpy(to, s, n);
		*used = n;
		return n;
	}
	memcpy(to, "\\u00", 4);
	to[4] = hex[*s >> 4];
	to[5] = hex[*s & 15];
	return 6;
}

/* Can it stand without quotes? */
static bool
is_plain(struct str v)
{
	for (size_t i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.ptr[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return v.len > 0;
}

static size_t
room(const struct log_line *l)
{
	return sizeof l->text - TAIL_MAX - l->len;
}

static void
add_quoted(struct log_line *l, struct str v)
{
	const unsigned char *s = (const unsigned char *)v.ptr;
	char one[7];
	size_t n, used;

	l->text[l->len++] = '"';
	for (size_t i = 0; i < v.len; i += used) {
		n = escape(one, s + i, v.len - i, &used);
		if (n + 1 > room(l)) {
			l->cut = true;
			break;
		}
		memcpy(l->text + l->len, one, n);
		l->len += n;
	}
	l->text[l->len++] = '"';
}

void
log_add(struct log_line *l, const char *key, struct str value)
{
	size_t klen = strlen(key);

	if (l->skip)
		return;
	if (value.len > LOG_VALUE_MAX) {
		value.len = LOG_VALUE_MAX;
		l->cut = true;
	}
	if (klen + sizeof " =\"\"" - 1 > room(l)) {
		l->cut = true;
		return;
	}
	l->text[l->len++] = ' ';
	memcpy(l->text + l->len, key, klen);
	l->len += klen;
	l->text[l->len++] = '=';
	if (is_plain(value) && value.len <= room(l)) {
		memcpy(l->text + l->len, value.ptr, value.len);
		l->len += value.len;
	} else {
		add_quoted(l, value);
	}
}

void
log_adds(struct log_line *l, const char *key, const char *value)
{
	log_add(l, key, str_of(value));
}

void
log_addn(struct log_line *l, const char *key, int64_t value)
{
	char digits[20], *p = digits + sizeof digits;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	if (l->skip)
		return;
	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		*--p = '-';
	log_add(l, key, (struct str){ p, (size_t)(digits + sizeof digits - p) });
}

static void
add_formatted(struct log_line *l, const char *key, const char *format,
    va_list ap) __attribute__((format(printf, 3, 0)));

static void
add_formatted(struct log_line *l, const char *key, const char *format,
    va_list ap)
{
	char text[LOG_VALUE_MAX + 1];
	int n = vsnprintf(text, sizeof text, format, ap);

	assert(n >= 0);
	if ((size_t)n >= sizeof text)
		l->cut = true;
	log_adds(l, key, text);
}

void
log_addf(struct log_line *l, const char *key, const char *format, ...)
{
	va_list ap;

	if (l->skip)
		return;
	va_start(ap, format);
	add_formatted(l, key, format, ap);
	va_end(ap);
}

void
log_end(struct log_line *l)
{
	if (l->skip)
		return;
	if (l->cut) {
		memcpy(l->text + l->len, CUT_MARK, sizeof CUT_MARK - 1);
		l->len += sizeof CUT_MARK - 1;
	}
	l->text[l->len++] = '\n';
	queue(l->text, l->len);
}

void
log_say(enum log_level level, const char *event, const char *format, ...)
{
	struct log_line l;
	va_list ap;

	log_begin(&l, level, event);
	if (l.skip)
		return;
	va_start(ap, format);
	add_formatted(&l, "msg", format, ap);
	va_end(ap);
	log_end(&l);
}
