/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replies, ours and the upstream's. A parser owns the reply it builds and the
 * line whose end it has not seen; both are bounded, whatever is sent.
 */
#include "smtp/reply.h"

#include <stdint.h>
#include <stdio.h>

#include "base/ascii.h"

static bool
is_printable(char c)
{
	return c >= 32 && c <= 126;
}

/* Appends text with '?' for what may not stand in a reply. */
static void
append_clean(struct buf *out, struct str text)
{
	char clean[256];

	while (text.len > 0) {
		size_t n = text.len < sizeof clean ? text.len : sizeof clean;

		for (size_t i = 0; i < n; i++)
			clean[i] =
			    is_printable(text.ptr[i]) ? text.ptr[i] : '?';
		buf_append(out, clean, n);
		text = (struct str){ text.ptr + n, text.len - n };
	}
}

void
smtp_reply_make(struct buf *out, int code, const char *enhanced,
    struct str text, const char *link, const char *sid)
{
	struct str url = str_of(code >= 400 ? link : NULL);
	struct str id = str_of(code >= 400 ? sid : NULL);
	char head[32];
	size_t room = SMTP_OUR_REPLY_MAX;

	/* not ours to cut: better no link than half of one */
	if (url.len > SMTP_OUR_REPLY_MAX / 2)
		url.len = 0;
	if (id.len > 32)
		id.len = 32;
	if (enhanced == NULL)
		snprintf(head, sizeof head, "%d ", code);
	else
		snprintf(head, sizeof head, "%d %.11s ", code, enhanced);
	room -= strlen(head);
	room -= url.len > 0 ? url.len + strlen(" ") : 0;
	room -= id.len > 0 ? id.len + strlen(" []") : 0;
	if (text.len > room)
		text.len = room;

	append_clean(out, str_of(head));
	append_clean(out, text);
	if (url.len > 0) {
		buf_append_str(out, STR(" "));
		append_clean(out, url);
	}
	if (id.len > 0) {
		buf_append_str(out, STR(" ["));
		append_clean(out, id);
		buf_append_str(out, STR("]"));
	}
	buf_append_str(out, STR("\r\n"));
}

/* The code of a line, 0: none that we know. */
static int
line_code(struct str line)
{
	if (line.len < 3 || line.ptr[0] < '2' || line.ptr[0] > '5' ||
	    !is_digit(line.ptr[1]) || !is_digit(line.ptr[2]))
		return 0;
	if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
		return 0;
	return (line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 +
	       (line.ptr[2] - '0');
}

/* Takes a line without its line end into the reply. */
static enum smtp_reply_result
take_line(struct smtp_reply *r, struct str line)
{
	int code = line_code(line);

	if (code == 0 || (r->nlines > 0 && code != r->code))
		return SMTP_REPLY_BROKEN;
	if (r->nlines == SMTP_REPLY_MAX_LINES)
		return SMTP_REPLY_BROKEN;
	r->code = code;
	if (r->nlines++ > 0)
		buf_append_str(&r->text, STR("\n"));
	if (line.len > 4)
		append_clean(
		    &r->text, (struct str){ line.ptr + 4, line.len - 4 });
	if (line.len > 3 && line.ptr[3] == '-')
		return SMTP_REPLY_MORE;
	return SMTP_REPLY_DONE;
}

/* Without LF or CRLF. */
static struct str
chomp(struct str line)
{
	line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

enum smtp_reply_result
smtp_reply_feed(
    struct smtp_reply_parser *p, const char *data, size_t len, size_t *used)
{
	enum smtp_reply_result result = SMTP_REPLY_MORE;
	size_t at = 0;

	while (at < len && result == SMTP_REPLY_MORE) {
		const char *lf = memchr(data + at, '\n', len - at);
		struct str part = { data + at, len - at };

		if (lf != NULL)
			part.len = (size_t)(lf - part.ptr) + 1;
		at += part.len;
		if (part.len > SMTP_REPLY_MAX_BYTES - p->bytes ||
		    part.len > SMTP_REPLY_MAX_LINE + 2 - buf_len(&p->line)) {
			result = SMTP_REPLY_BROKEN;
			break;
		}
		p->bytes += part.len;
		if (lf != NULL && buf_len(&p->line) == 0) {
			result = take_line(&p->reply, chomp(part));
			continue;
		}
		buf_append_str(&p->line, part);
		if (lf == NULL)
			continue;
		result = take_line(&p->reply,
		    chomp(
			(struct str){ buf_data(&p->line), buf_len(&p->line) }));
		buf_free(&p->line);
	}
	*used = at;
	return result;
}

void
smtp_reply_partial(char *to, size_t size, const struct smtp_reply_parser *p)
{
	if (p->reply.nlines > 0)
		smtp_reply_summary(to, size, &p->reply);
	else
		str_copy(to, size,
		    (struct str){ buf_data(&p->line), buf_len(&p->line) });
}

struct smtp_reply
smtp_reply_parser_take(struct smtp_reply_parser *p)
{
	struct smtp_reply r = p->reply;

	p->reply = (struct smtp_reply){ 0 };
	p->bytes = 0;
	return r;
}

void
smtp_reply_parser_free(struct smtp_reply_parser *p)
{
	smtp_reply_free(&p->reply);
	buf_free(&p->line);
	p->bytes = 0;
}

void
smtp_reply_free(struct smtp_reply *r)
{
	buf_free(&r->text);
	*r = (struct smtp_reply){ 0 };
}

static struct str
reply_text(const struct smtp_reply *r)
{
	return (struct str){ r->text.mem == NULL ? "" : buf_data(&r->text),
		buf_len(&r->text) };
}

/* How many digits, one to three, s starts with from i on; 0: not so. */
static size_t
digits(struct str s, size_t i)
{
	size_t n = 0;

	while (i + n < s.len && is_digit(s.ptr[i + n]))
		n++;
	return n <= 3 ? n : 0;
}

size_t
smtp_enhanced_length(struct str text, int code)
{
	size_t subject, detail, len;

	if (text.len < 5 || text.ptr[0] != '0' + code / 100 ||
	    strchr("245", text.ptr[0]) == NULL || text.ptr[1] != '.')
		return 0;
	subject = digits(text, 2);
	if (subject == 0 || 2 + subject == text.len ||
	    text.ptr[2 + subject] != '.')
		return 0;
	detail = digits(text, 3 + subject);
	len = 3 + subject + detail;
	if (detail == 0 || (len < text.len && text.ptr[len] != ' '))
		return 0;
	return len;
}

void
smtp_reply_pass(struct buf *out, const struct smtp_reply *r)
{
	struct str rest = reply_text(r), first = rest;
	char prefix[16] = "";

	first = str_cut(&first, '\n');
	if (r->code / 100 != 3 && smtp_enhanced_length(first, r->code) == 0)
		snprintf(prefix, sizeof prefix, "%d.0.0 ", r->code / 100);
	for (size_t i = 1; i <= r->nlines; i++) {
		buf_appendf(
		    out, "%d%c%s", r->code, i < r->nlines ? '-' : ' ', prefix);
		buf_append_str(out, str_cut(&rest, '\n'));
		buf_append_str(out, STR("\r\n"));
	}
}

void
smtp_reply_summary(char *to, size_t size, const struct smtp_reply *r)
{
	struct str rest = reply_text(r);
	struct str first = str_cut(&rest, '\n');

	snprintf(to, size, "%d%s%.*s", r->code, first.len > 0 ? " " : "",
	    (int)first.len, first.ptr);
}
